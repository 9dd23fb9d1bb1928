//! Taking feeds in.

use std::time::Duration;

use provision_core::id::SourceName;
use provision_core::ingest::FeedOutcome;
use provision_core::model::FeedReport;
use provision_core::text::escape;
use serde_json::json;

use crate::answer::{Answer, Exit, Failure};
use crate::host::Host;

/// Problems shown of one feed.
const PROBLEMS: usize = 5;

/// Between two looks at a source that somebody else reads.
const LOOK: Duration = Duration::from_secs(1);

/// What to do about a source that another process reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    /// Leave it to it.
    Leave,
    /// Wait until it is clear whether it is still there, 30 seconds at most.
    WaitOut,
}

pub(crate) async fn ingest(host: &Host, named: Option<&str>, others: Others) -> Result<Answer, Failure> {
    let (mut text, mut outcomes, mut exit) = (String::new(), Vec::new(), Exit::Clean);
    for source in host.sources(named).await? {
        let ended = look(host, &source, others).await?;
        if ended.is_empty() {
            text.push_str(&format!("{source}: no feed is ready\n"));
        }
        for outcome in &ended {
            match outcome {
                FeedOutcome::Held { .. } => exit = Exit::Held,
                FeedOutcome::Refused { .. } if exit != Exit::Held => exit = Exit::Unsuccessful,
                FeedOutcome::BeingRead { .. } if exit == Exit::Clean => exit = Exit::Pending,
                _ => {}
            }
            text.push_str(&format!("{source}: {}", shown(host, outcome)));
        }
        outcomes.push(json!({ "source": source, "feeds": ended }));
    }
    Answer::new(text, json!({ "sources": outcomes }), exit)
}

/// Takes what a source has ready. A process that died while it read has the source for a while.
async fn look(host: &Host, source: &SourceName, others: Others) -> Result<Vec<FeedOutcome>, Failure> {
    let (mut taken, mut known) = (Vec::new(), None);
    loop {
        taken.extend(host.engine.ingest(&host.actor, source).await?);
        let Some(FeedOutcome::BeingRead { until, .. }) = taken.last() else { return Ok(taken) };
        let until = *until;
        // Whoever goes on with it is there.
        if others == Others::Leave || known.is_some_and(|known| known != until) {
            return Ok(taken);
        }
        known = Some(until);
        // What was applied by now is seen before the next time.
        taken.retain(|outcome| matches!(outcome, FeedOutcome::Applied(_)));
        host.runtime.clock().sleep(LOOK).await;
    }
}

/// An outcome in a few lines.
pub(crate) fn shown(host: &Host, outcome: &FeedOutcome) -> String {
    match outcome {
        FeedOutcome::Applied(report) => format!("{} taken in: {}", escape(&report.name), counted(report)),
        FeedOutcome::Held { report, hold } => {
            let mut text =
                format!("{} {}: {}", escape(&report.name), host.screen.yellow("HELD"), counted(report));
            for reason in &hold.reasons {
                text.push_str(&format!("  because {}\n", escape(reason)));
            }
            text.push_str(&format!("  approve {} --digest {}\n", hold.id, hold.digest));
            text
        }
        FeedOutcome::AlreadyConsumed { earlier } => {
            format!("{} seen before, not read\n", escape(&earlier.name))
        }
        FeedOutcome::Older { last_order } => {
            format!("a feed that is not newer than the last one ({}), not read\n", escape(last_order))
        }
        FeedOutcome::Refused { report, reason } => {
            format!("{} {}: {}\n", escape(&report.name), host.screen.red("refused"), escape(reason))
        }
        FeedOutcome::BeingRead { by, until } => {
            format!("{} reads it, until {until} or longer: left to it\n", escape(by))
        }
        other => format!("{other:?}\n"),
    }
}

fn counted(report: &FeedReport) -> String {
    let counts = &report.counts;
    let mut text = format!(
        "{} rows, {} new, {} changed, {} ended, {} gone, {} missing, {} unchanged\n",
        counts.rows,
        counts.added,
        counts.changed,
        counts.terminated,
        counts.removed,
        counts.absent,
        counts.unchanged
    );
    for problem in report.problems.iter().take(PROBLEMS) {
        text.push_str(&format!("{problem}\n"));
    }
    text
}
