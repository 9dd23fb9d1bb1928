//! One day: a file comes, a plan is made, read and applied.

use provision_core::engine::{ApplyOptions, PlanOptions};
use provision_core::id::SourceName;
use provision_core::ingest::FeedOutcome;
use provision_core::model::{FeedCounts, FeedState, Hold};
use provision_core::plan::{PlanState, Scope, render_header};
use provision_core::text::escape;
use provision_core::{Error, ErrorKind, Result};

use super::Stage;
use super::plan_view::Contents;
use crate::company;
use crate::screen::say;

/// Whose steps are shown of a plan, and why them.
pub(super) type Stories = &'static [(&'static str, &'static str)];

/// Day one.
pub(super) const ONE: Stories = &[
    ("1004", "a name with accents, an apostrophe and a hyphen"),
    ("1026", "her login is taken by a mailbox of nobody in HR: the number counts on"),
    ("1314", "works here, and somebody disabled the account"),
    ("1036", "left, and the account still works"),
    ("1013", "no romanised name, so no account until HR gives one: nothing is guessed"),
];

/// Day two.
pub(super) const TWO: Stories = &[
    ("1501", "a joiner, and the second John Smith: login, mail and name count on"),
    ("1036", "a rehire: the account he had comes back"),
    ("1039", "a contractor whose last day was yesterday: nobody had to tell us"),
    ("1045", "a contractor who was hired: other groups, same account"),
];

impl Stage<'_> {
    /// A file arrives and is taken in. True if anything of it was new.
    pub(super) async fn receive(&self, day: &str) -> Result<bool> {
        self.advance_to(day)?;
        let file = format!("{day}.csv");
        std::fs::copy(company::data().join("hr").join(&file), self.inbox.join(&file)).map_err(|error| {
            Error::new(ErrorKind::StoreUnusable, format!("cannot put {file} into the inbox: {error}"))
        })?;
        let mut news = false;
        for outcome in self.engine.ingest(&self.actor, &SourceName::new("hr")).await? {
            // The files of the days before are in the inbox still; they have been told about.
            if outcome.report().is_some_and(|report| report.name != file) {
                continue;
            }
            match &outcome {
                FeedOutcome::Applied(report) => {
                    news = true;
                    say(format!("{file}: {}", counted(&report.counts)));
                }
                FeedOutcome::AlreadyConsumed { earlier } => {
                    let still = if earlier.state == FeedState::Held { "; its hold still waits" } else { "" };
                    say(format!("{file}: seen before, not read again{still}"));
                }
                FeedOutcome::Older { last_order } => {
                    say(format!("{file}: not newer than the last one ({}), not read", escape(last_order)));
                }
                FeedOutcome::Held { report, hold } => {
                    say(format!("{file}: {}", counted(&report.counts)));
                    self.show_hold(hold);
                }
                FeedOutcome::Refused { reason, .. } => {
                    say(self.screen.red(&format!("{file}: refused: {}", escape(reason))));
                }
                other => say(format!("{file}: {other:?}")),
            }
        }
        Ok(news)
    }

    fn show_hold(&self, hold: &Hold) {
        say(self
            .screen
            .yellow("HELD: nothing of this file is in force until a person has looked at it. Why:"));
        for reason in &hold.reasons {
            say(format!("  - {}", escape(reason)));
        }
        say(
            "If the file were right, somebody else than who delivered it would approve exactly this content:",
        );
        say(self.screen.dim(&format!("  provisioner approve {} --digest {}", hold.id, hold.digest)));
    }

    /// Makes a plan, shows it, applies it. True if there was anything to do.
    pub(super) async fn plan_and_apply(&self, stories: Stories) -> Result<bool> {
        let header = self.engine.plan(&self.actor, Scope::Changed, PlanOptions::default()).await?;
        if header.is_empty() {
            say(self.screen.green("The plan is empty: nothing to do."));
            return Ok(false);
        }
        say(render_header(&header).trim_end());
        let contents = Contents::read(&self.engine, &header).await?;
        self.show_plan(&contents, stories).await?;
        if header.state == PlanState::Held {
            say(self
                .screen
                .yellow("The plan is over a budget: it is held whole until a person approves it."));
            return Ok(true);
        }
        let report =
            crate::apply::apply(&self.engine, &self.actor, header.id, &ApplyOptions::default()).await?;
        let done = format!("Applied: {} of {} steps done", report.done, header.steps);
        let rest = report.failed + report.skipped + report.disputed + report.open;
        if rest == 0 {
            say(self.screen.green(&format!("{done}.")));
        } else {
            say(self.screen.red(&format!(
                "{done}; {} failed, {} disputed, {} not tried, {} open.",
                report.failed, report.disputed, report.skipped, report.open
            )));
        }
        for (target, problems) in &report.problems {
            problems.iter().for_each(|problem| say(format!("  {target}: {}", escape(problem))));
        }
        Ok(true)
    }
}

fn counted(counts: &FeedCounts) -> String {
    let parts = [
        (counts.added, "new"),
        (counts.changed, "changed"),
        (counts.terminated, "ended"),
        (counts.removed, "gone"),
        (counts.absent, "missing"),
        (counts.unchanged, "unchanged"),
        (counts.disputed, "disputed"),
        (counts.problems, "unusable"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    format!("{} rows: {}", counts.rows, parts.collect::<Vec<_>>().join(", "))
}
