//! Taking feeds in.

use provision_core::ingest::FeedOutcome;
use provision_core::model::FeedReport;
use provision_core::text::escape;
use serde_json::json;

use crate::answer::{Answer, Exit, Failure};
use crate::host::Host;

/// Problems shown of one feed.
const PROBLEMS: usize = 5;

pub(crate) async fn ingest(host: &Host, named: Option<&str>) -> Result<Answer, Failure> {
    let (mut text, mut outcomes, mut exit) = (String::new(), Vec::new(), Exit::Clean);
    for source in host.sources(named).await? {
        let ended = host.engine.ingest(&host.actor, &source).await?;
        if ended.is_empty() {
            text.push_str(&format!("{source}: no feed is ready\n"));
        }
        for outcome in &ended {
            match outcome {
                FeedOutcome::Held { .. } => exit = Exit::Held,
                FeedOutcome::Refused { .. } if exit != Exit::Held => exit = Exit::Unsuccessful,
                _ => {}
            }
            text.push_str(&format!("{source}: {}", shown(host, outcome)));
        }
        outcomes.push(json!({ "source": source, "feeds": ended }));
    }
    Answer::new(text, json!({ "sources": outcomes }), exit)
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
