//! Commands about one person.

use provision_core::engine::{ExplainOptions, render_history};
use provision_core::id::TargetName;
use provision_core::value::Timestamp;
use serde_json::json;

use crate::answer::{Answer, Exit, Failure};
use crate::host::Host;

/// Why a person has what they have.
pub(crate) async fn explain(
    host: &Host,
    person: &str,
    as_of: Option<Timestamp>,
    target: Option<&str>,
) -> Result<Answer, Failure> {
    let identity = host.engine.find(person).await?;
    let options = ExplainOptions { as_of, target: target.map(TargetName::new), proposed: false };
    let explanation = host.engine.explain(identity.id, &options).await?;
    Answer::new(explanation.render(), &explanation, Exit::Clean)
}

/// What was done for a person.
pub(crate) async fn history(host: &Host, person: &str) -> Result<Answer, Failure> {
    let identity = host.engine.find(person).await?;
    let entries = host.engine.history(identity.id).await?;
    Answer::new(render_history(&entries), json!({ "identity": identity.id, "entries": entries }), Exit::Clean)
}
