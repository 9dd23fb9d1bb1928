//! One person: why, and what happened.

use provision_core::Result;
use provision_core::engine::{ExplainOptions, render_history};

use super::Stage;
use crate::screen::say;

impl Stage<'_> {
    /// Why a person has what they have.
    pub(super) async fn explain(&self, key: &str) -> Result<()> {
        let Some(identity) = self.person(key).await? else { return Ok(()) };
        let options = ExplainOptions { target: Some("directory".into()), ..ExplainOptions::default() };
        let explanation = self.engine.explain(identity, &options).await?;
        say(explanation.render().trim_end());
        Ok(())
    }

    /// What was done for a person, oldest first.
    pub(super) async fn history(&self, key: &str) -> Result<()> {
        let Some(identity) = self.person(key).await? else { return Ok(()) };
        let entries = self.engine.history(identity).await?;
        say(render_history(&entries).trim_end());
        Ok(())
    }
}
