//! The continuous drive, and trying again.

use std::time::Duration;

use provision_core::engine::{RealmsReport, RetryFilter, RunOptions, RunReport, RunUntil, Stop};
use provision_core::event::jetstream::CommandsReport;
use provision_core::event::{RelayOptions, RelayReport};
use provision_core::id::TargetName;
use provision_core::text::escape;
use provision_core::{Error, Result as CoreResult};
use provision_examples::screen::warn;
use serde_json::{Value, json};

use crate::answer::{Answer, Exit, Failure};
use crate::arguments::RunArguments;
use crate::feeds;
use crate::host::Host;
use crate::signals::Signals;

/// How long events of the last steps may take to be sent when the drive has ended.
const LAST_EVENTS: Duration = Duration::from_secs(5);
/// Before commands are asked for again where that cannot succeed as things are.
const COMMANDS_REST: Duration = Duration::from_secs(60);

/// Takes feeds in and brings accounts right, until stopped; with `once` until nothing is left to do.
pub(crate) async fn run(host: &Host, arguments: &RunArguments) -> Result<Answer, Failure> {
    let (stop, mut signals) = (Stop::new(), Signals::listen()?);
    let options = RunOptions {
        workers: arguments.workers,
        until: if arguments.once { RunUntil::Idle } else { RunUntil::Forever },
        stop: stop.clone(),
        lease: Duration::from_secs(arguments.lease),
        drain: Duration::from_secs(arguments.drain),
        ..RunOptions::default()
    };
    let work = async {
        if arguments.once {
            return once(host, &options).await;
        }
        forever(host, &options, Duration::from_secs(arguments.sources_every)).await
    };
    tokio::pin!(work);
    loop {
        tokio::select! {
            answer = &mut work => return answer,
            () = signals.heard() => {
                if stop.is_stopped() {
                    let message = "ended at once: what was under way is found out by whoever goes on";
                    return Err(Failure::new(Exit::EndedAtOnce, message));
                }
                warn(format!(
                    "stopping: nothing more is claimed; what is under way is finished first, for {} seconds at most",
                    arguments.drain
                ));
                stop.stop();
            }
        }
    }
}

/// The sources once, then the drive until it is idle, then what it told.
async fn once(host: &Host, options: &RunOptions) -> Result<Answer, Failure> {
    let taken = feeds::ingest(host, None, feeds::Others::WaitOut).await?;
    warn(taken.text.trim_end());
    let driven = host.runtime.run(&host.actor, options).await?;
    if let Some(problem) = driven.problems.get(host.engine.realm()) {
        return Err(Error::from(problem.clone()).into());
    }
    let relayed =
        host.runtime.relay(&RelayOptions { stop: options.stop.clone(), ..RelayOptions::default() }).await?;
    let exit = exit_of(&driven.total, taken.exit);
    answer(host, &Done { sources: taken.json, driven, relayed, commands: CommandsReport::default() }, exit)
}

/// What a run did.
struct Done {
    sources: Value,
    driven: RealmsReport,
    relayed: RelayReport,
    commands: CommandsReport,
}

/// Sources, drive, events and commands side by side, until stopped. Where one of them cannot go on, all end.
async fn forever(host: &Host, options: &RunOptions, every: Duration) -> Result<Answer, Failure> {
    let (stop, last) = (&options.stop, Stop::new());
    let drive = async {
        let ended = host.runtime.run(&host.actor, options).await;
        stop.stop();
        // What the last steps told is sent, too.
        last.stop();
        ended
    };
    let relay = async {
        let ended = relay(host, &last).await;
        stop.stop();
        ended
    };
    let (driven, relayed, sources, commands) =
        tokio::join!(drive, relay, look(host, stop, every), commands(host, stop));
    let done = Done { sources, driven: driven?, relayed: relayed?, commands };
    warn("stopped: what this process had is finished or given back");
    answer(host, &done, Exit::Clean)
}

/// Looks at the sources from time to time; the last answer.
async fn look(host: &Host, stop: &Stop, every: Duration) -> Value {
    let mut last = Value::Null;
    while !stop.is_stopped() {
        // One that is dropped in the middle is taken up by the next, as after a crash.
        let taken = tokio::select! {
            biased;
            () = stop.stopped() => return last,
            taken = feeds::ingest(host, None, feeds::Others::Leave) => taken,
        };
        // A source that fails must not end the drive: the accounts of everybody else go on.
        match taken {
            Ok(taken) => {
                if taken.exit != Exit::Clean || last.is_null() {
                    warn(taken.text.trim_end());
                }
                last = taken.json;
            }
            Err(failure) => warn(format!("a source: {failure}")),
        }
        pause(host, stop, every).await;
    }
    last
}

/// Sends events until stopped, then those that are left.
async fn relay(host: &Host, last: &Stop) -> CoreResult<RelayReport> {
    let options = RelayOptions { until: RunUntil::Forever, stop: last.clone(), ..RelayOptions::default() };
    let mut report = host.runtime.relay(&options).await?;
    let rest = RelayOptions::default();
    // What is not sent in that time is sent by another process, or by the next.
    if let Ok(rest) = tokio::time::timeout(LAST_EVENTS, host.runtime.relay(&rest)).await {
        let rest = rest?;
        for (sink, count) in rest.sent {
            *report.sent.entry(sink).or_default() += count;
        }
        report.trimmed += rest.trimmed;
        report.problems = rest.problems;
    }
    Ok(report)
}

/// Takes commands until stopped. A bus that is set up wrongly is told, and does not end the drive.
async fn commands(host: &Host, stop: &Stop) -> CommandsReport {
    let mut sum = CommandsReport::default();
    let Some(bus) = &host.bus else { return sum };
    while !stop.is_stopped() {
        let taken = match bus.commands(stop) {
            Ok(Some((commands, actor))) => commands.run(&host.runtime, &actor).await,
            Ok(None) => return sum,
            Err(error) => Err(error),
        };
        match taken {
            Ok(taken) => {
                sum.taken += taken.taken;
                sum.set_aside += taken.set_aside;
                sum.put_off += taken.put_off;
            }
            Err(error) => {
                warn(format!("commands: {}", error.report()));
                pause(host, stop, COMMANDS_REST).await;
            }
        }
    }
    sum
}

async fn pause(host: &Host, stop: &Stop, time: Duration) {
    tokio::select! {
        biased;
        () = stop.stopped() => {}
        () = host.runtime.clock().sleep(time) => {}
    }
}

fn answer(host: &Host, done: &Done, exit: Exit) -> Result<Answer, Failure> {
    let mut text = shown(&done.driven.total);
    for (sink, sent) in &done.relayed.sent {
        text.push_str(&format!("{sent} events sent to {sink}\n"));
    }
    if done.commands != CommandsReport::default() {
        let CommandsReport { taken, set_aside, .. } = done.commands;
        text.push_str(&format!("{taken} commands taken, {set_aside} set aside\n"));
    }
    let problem = done.driven.problems.get(host.engine.realm());
    if let Some(problem) = problem {
        text.push_str(&format!("the last batch failed: {}\n", escape(&problem.message)));
    }
    let json = json!({
        "sources": done.sources, "report": done.driven.total, "problem": problem,
        "events": done.relayed, "commands": done.commands,
    });
    Answer::new(text, json, exit)
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
