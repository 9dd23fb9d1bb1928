//! The continuous drive, and trying again.

use std::time::Duration;

use provision_core::engine::{RetryFilter, RunOptions, RunReport, RunUntil, Stop};
use provision_core::id::TargetName;
use provision_core::text::escape;
use provision_examples::screen::warn;
use serde_json::json;

use crate::answer::{Answer, Exit, Failure};
use crate::feeds;
use crate::host::Host;

/// Between two looks at the sources.
const SOURCES_EVERY: Duration = Duration::from_secs(60);

/// Takes feeds in and brings accounts right, until stopped; with `once` until nothing is left to do.
pub(crate) async fn run(host: &Host, once: bool, workers: u32) -> Result<Answer, Failure> {
    let stop = Stop::new();
    let taken = feeds::ingest(host, None).await?;
    warn(taken.text.trim_end());
    let options = RunOptions {
        workers,
        until: if once { RunUntil::Idle } else { RunUntil::Forever },
        stop: stop.clone(),
        ..RunOptions::default()
    };
    let work = host.engine.run(&host.actor, &options);
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(work, interrupted);
    let mut looks = tokio::time::interval_at(tokio::time::Instant::now() + SOURCES_EVERY, SOURCES_EVERY);
    let report = loop {
        tokio::select! {
            report = &mut work => break report?,
            Ok(()) = &mut interrupted, if !stop.is_stopped() => {
                warn("stopping: what is under way is finished first");
                stop.stop();
            }
            _ = looks.tick(), if !once && !stop.is_stopped() => {
                // A source that fails must not end the drive: the accounts of everybody else go on.
                match feeds::ingest(host, None).await {
                    Ok(taken) if taken.exit != Exit::Clean => warn(taken.text.trim_end()),
                    Ok(_) => {}
                    Err(failure) => warn(format!("a source: {failure}")),
                }
            }
        }
    };
    Answer::new(
        shown(&report),
        json!({ "sources": taken.json, "report": report }),
        exit_of(&report, taken.exit),
    )
}

fn exit_of(report: &RunReport, taken: Exit) -> Exit {
    if report.failed + report.skipped + report.disputed > 0 {
        Exit::Unsuccessful
    } else if !report.held.is_empty() {
        Exit::Held
    } else {
        taken
    }
}

fn shown(report: &RunReport) -> String {
    format!(
        "{} identities looked at: {} steps done, {} failed, {} not tried, {} disputed; {} plans held, {} identities \
         left to a person\n",
        report.claimed,
        report.done,
        report.failed,
        report.skipped,
        report.disputed,
        report.held.len(),
        report.parked
    )
}

/// Has what failed or was skipped looked at by the next plan.
pub(crate) async fn retry(
    host: &Host,
    target: Option<&str>,
    person: Option<&str>,
) -> Result<Answer, Failure> {
    let identity = match person {
        Some(person) => Some(host.engine.find(person).await?.id),
        None => None,
    };
    let filter = RetryFilter { target: target.map(TargetName::new), identity, ..RetryFilter::default() };
    let steps = host.engine.retry(&host.actor, &filter).await?;
    let whose = person.map(|person| format!(" of {}", escape(person))).unwrap_or_default();
    let text = format!("{steps} steps{whose} will be tried again: make a plan, or apply the one under way\n");
    let exit = if steps > 0 { Exit::Pending } else { Exit::Clean };
    Answer::new(text, json!({ "steps": steps }), exit)
}
