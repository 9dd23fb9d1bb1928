//! The quickstart: three days of an HR file become accounts on two targets.

mod day;
mod onboarding;
mod person;
mod plan_view;
mod setup;

use std::path::Path;
use std::sync::Arc;

use provision_core::Result;
use provision_core::engine::Engine;
use provision_core::id::IdentityId;
use provision_core::model::Actor;
use provision_core::runtime::{FixedClock, Runtime};

use crate::screen::{Screen, say};

/// Everything the days share.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    runtime: Runtime,
    engine: Engine,
    clock: Arc<FixedClock>,
    /// Who asks for plans and applies them.
    actor: Actor,
    /// Where the HR system puts its files.
    inbox: std::path::PathBuf,
    state: &'a Path,
    screen: Screen,
}

/// Runs the three days on the state in a folder. Running it again on the same state finds nothing to do.
///
/// # Errors
/// What the engine says; every call says what it did before it failed.
pub async fn run(state: &Path, screen: Screen) -> Result<()> {
    say(screen.bold("provision quickstart"));
    say(format!("State is kept in {}; delete it to start over.", state.display()));
    let stage = setup::open(state, screen).await?;

    stage.title("Day one: the first file of the HR system");
    let mut busy = stage.receive("2026-11-02").await?;
    stage.title("The directory has accounts already: onboarding reads them and writes nothing");
    stage.onboard().await?;
    stage.title("Day one: the plan");
    busy |= stage.plan_and_apply(day::ONE).await?;

    stage.title("Day two: joiners, movers, leavers");
    busy |= stage.receive("2026-11-03").await?;
    busy |= stage.plan_and_apply(day::TWO).await?;

    stage.title("Day three: a file that broke off");
    stage.receive("2026-11-04").await?;
    busy |= stage.plan_and_apply(&[]).await?;

    stage.title("Why does John Smith have what he has?");
    stage.explain("1501").await?;
    stage.title("What happened to Marcus Feldmann's accounts?");
    stage.history("1036").await?;
    stage.close(busy).await
}

impl Stage<'_> {
    fn title(&self, text: &str) {
        say("");
        say(self.screen.bold(&format!("== {text} ==")));
    }

    /// The identity of a row of the HR file.
    async fn person(&self, key: &str) -> Result<Option<IdentityId>> {
        match self.engine.find(&format!("hr:{key}")).await {
            Ok(identity) => Ok(Some(identity.id)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The end: is the history whole, where is everything?
    async fn close(&self, busy: bool) -> Result<()> {
        self.title("Done");
        let verdict = self.engine.verify().await?;
        let whole = if verdict.is_whole() { self.screen.green("whole") } else { self.screen.red("BROKEN") };
        say(format!(
            "The history has {} entries in {} seals and is {whole}.",
            verdict.entries, verdict.seals
        ));
        for (what, file) in [
            ("the directory", "directory.json"),
            ("the badge office's file", "badges.csv"),
            ("the store (SQLite)", "provision.db"),
        ] {
            say(format!("  {what}: {}", self.state.join(file).display()));
        }
        if busy {
            say("Run it again: every file has been seen, every plan is empty.");
        } else {
            say(self
                .screen
                .green("Every file had been seen, every plan was empty: there was nothing to do."));
        }
        Ok(())
    }
}
