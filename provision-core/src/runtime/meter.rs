//! Numbers of every lane, for the recorder that the host has installed (feature `metrics`); otherwise nothing. What
//! they mean is listed in `docs/guide/metrics.md`; a test compares that list with what a run gives.

use std::future::Future;
use std::time::Duration;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::id::TargetName;

/// What a number is.
#[cfg(feature = "metrics")]
#[derive(Clone, Copy, Debug)]
enum Kind {
    Counter,
    Gauge,
    Age,
    Seconds,
}

/// Every number, with what it tells.
#[cfg(feature = "metrics")]
const METERS: &[(&str, Kind, &str)] = &[
    ("provision_turns_total", Kind::Counter, "Turns that realms had in the drive."),
    ("provision_claimed_total", Kind::Counter, "Identities claimed."),
    ("provision_lost_total", Kind::Counter, "Claims lost because their lease had ended."),
    ("provision_steps_total", Kind::Counter, "Steps that ended at a target, by outcome."),
    ("provision_requests_total", Kind::Counter, "Calls to a target."),
    ("provision_request_failures_total", Kind::Counter, "Calls to a target that failed, by kind of error."),
    ("provision_request_seconds", Kind::Seconds, "How long calls to a target took."),
    ("provision_requests_in_flight", Kind::Gauge, "Calls to a target under way."),
    ("provision_requests_waiting", Kind::Gauge, "Requests that wait for their turn at a target."),
    ("provision_pace_wait_seconds", Kind::Seconds, "How long calls waited for the pace of a target."),
    ("provision_pauses_total", Kind::Counter, "Pauses that a target asked for."),
    ("provision_quarantines_total", Kind::Counter, "Times that a target was put into quarantine."),
    ("provision_commits_total", Kind::Counter, "Commits to the store, by outcome."),
    ("provision_feed_rows_total", Kind::Counter, "Rows of feeds read."),
    ("provision_outbox_unsent", Kind::Gauge, "Events that are committed and have not arrived at a sink."),
    ("provision_outbox_age_seconds", Kind::Age, "Age of the oldest event that has not arrived at a sink."),
];

/// Tells the recorder what the numbers mean.
pub(crate) fn describe() {
    #[cfg(feature = "metrics")]
    for (name, kind, about) in METERS.iter().copied() {
        match kind {
            Kind::Counter => metrics::describe_counter!(name, metrics::Unit::Count, about),
            Kind::Gauge => metrics::describe_gauge!(name, metrics::Unit::Count, about),
            Kind::Age => metrics::describe_gauge!(name, metrics::Unit::Seconds, about),
            Kind::Seconds => metrics::describe_histogram!(name, metrics::Unit::Seconds, about),
        }
    }
}

/// Counts something of the process.
fn count(name: &'static str, more: u64) {
    #[cfg(feature = "metrics")]
    metrics::counter!(name).increment(more);
    #[cfg(not(feature = "metrics"))]
    let _ = (name, more);
}

/// Counts something with a label of a few values.
fn count_as(name: &'static str, label: &'static str, value: &'static str, more: u64) {
    #[cfg(feature = "metrics")]
    metrics::counter!(name, label => value).increment(more);
    #[cfg(not(feature = "metrics"))]
    let _ = (name, label, value, more);
}

/// Counts something of a target.
fn count_at(name: &'static str, target: &TargetName) {
    #[cfg(feature = "metrics")]
    metrics::counter!(name, "target" => target.as_str().to_owned()).increment(1);
    #[cfg(not(feature = "metrics"))]
    let _ = (name, target);
}

fn seconds(name: &'static str, target: &TargetName, took: Duration) {
    #[cfg(feature = "metrics")]
    metrics::histogram!(name, "target" => target.as_str().to_owned()).record(took.as_secs_f64());
    #[cfg(not(feature = "metrics"))]
    let _ = (name, target, took);
}

/// One more of something, until this is dropped.
#[derive(Debug)]
pub(crate) struct One {
    #[cfg(feature = "metrics")]
    gauge: metrics::Gauge,
}

impl One {
    #[cfg(feature = "metrics")]
    fn of(name: &'static str, target: &TargetName) -> Self {
        let gauge = metrics::gauge!(name, "target" => target.as_str().to_owned());
        gauge.increment(1.0);
        Self { gauge }
    }

    #[cfg(not(feature = "metrics"))]
    fn of(_name: &'static str, _target: &TargetName) -> Self {
        Self {}
    }
}

impl Drop for One {
    fn drop(&mut self) {
        #[cfg(feature = "metrics")]
        self.gauge.decrement(1.0);
    }
}

/// A turn of a realm, with what it claimed.
pub(crate) fn turn(claimed: u64) {
    count("provision_turns_total", 1);
    count("provision_claimed_total", claimed);
}

/// Claims that were lost.
pub(crate) fn lost(claims: u64) {
    count("provision_lost_total", claims);
}

/// Steps that ended at a target.
pub(crate) fn steps(done: u64, failed: u64) {
    count_as("provision_steps_total", "outcome", "done", done);
    count_as("provision_steps_total", "outcome", "failed", failed);
}

/// A commit that was answered.
pub(crate) fn commit(committed: bool) {
    let outcome = if committed { "committed" } else { "conflict" };
    count_as("provision_commits_total", "outcome", outcome, 1);
}

/// Rows of a feed.
pub(crate) fn feed_rows(rows: u64) {
    count("provision_feed_rows_total", rows);
}

/// Whether somebody may hear numbers that have to be asked for first.
pub(crate) fn is_heard() -> bool {
    cfg!(feature = "metrics")
}

/// How far a sink is behind, in all realms together.
pub(crate) fn unsent(sink: &str, events: u64, age: Duration) {
    #[cfg(feature = "metrics")]
    {
        // Exact up to 10,000, where counting ends.
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        metrics::gauge!("provision_outbox_unsent", "sink" => sink.to_owned()).set(f64::from(events));
        metrics::gauge!("provision_outbox_age_seconds", "sink" => sink.to_owned()).set(age.as_secs_f64());
    }
    #[cfg(not(feature = "metrics"))]
    let _ = (sink, events, age);
}

/// A target was put into quarantine.
pub(crate) fn quarantined(target: &TargetName) {
    count_at("provision_quarantines_total", target);
}

/// A target asked for a pause.
pub(crate) fn told_to_pause(target: &TargetName) {
    count_at("provision_pauses_total", target);
}

/// A request waits for its turn, until the answer is dropped.
pub(crate) fn waiting(target: &TargetName) -> One {
    One::of("provision_requests_waiting", target)
}

/// A call waited for the pace of its target.
pub(crate) fn waited(target: &TargetName, took: Duration) {
    seconds("provision_pace_wait_seconds", target, took);
}

/// Makes a call to a target and measures it.
pub(crate) async fn request<T>(
    target: &TargetName,
    engine: &Engine,
    call: impl Future<Output = Result<T>>,
) -> Result<T> {
    let begun = engine.now();
    let in_flight = One::of("provision_requests_in_flight", target);
    let answer = call.await;
    drop(in_flight);
    count_at("provision_requests_total", target);
    if let Err(error) = &answer {
        failure(target, error);
    }
    seconds("provision_request_seconds", target, engine.now().since(begun));
    answer
}

fn failure(target: &TargetName, error: &Error) {
    #[cfg(feature = "metrics")]
    {
        let labels = [("target", target.as_str().to_owned()), ("kind", format!("{:?}", error.kind()))];
        metrics::counter!("provision_request_failures_total", &labels).increment(1);
    }
    #[cfg(not(feature = "metrics"))]
    let _ = (target, error);
}
