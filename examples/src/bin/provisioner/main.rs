//! `provisioner`: a complete small host to start from. One YAML file names its store, sources, targets and bundle.

mod answer;
mod arguments;
mod bus;
mod clock;
mod commands;
mod config;
mod database;
mod disputes;
mod drive;
mod feeds;
mod holds;
mod host;
mod people;
mod plans;
mod policy;
mod secrets;
mod signals;
mod store;
mod targets;

use std::process::ExitCode;
use std::sync::Arc;

use answer::{Answer, Exit, Failure};
use arguments::{Arguments, Command};
use clap::Parser;
use host::Host;
use provision_core::engine::ExplainOptions;
use provision_core::id::TargetName;
use provision_examples::screen::{Screen, warn};
use secrets::Secrets;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are answers; anything else is wrong usage.
            let wrong = error.use_stderr();
            let _ = error.print();
            return if wrong { Exit::BadConfiguration.into() } else { ExitCode::SUCCESS };
        }
    };
    let secrets = Arc::new(Secrets::default());
    trace(&secrets);
    let json = arguments.json;
    match run(arguments, &secrets).await {
        Ok(answer) => {
            answer.print(json, &secrets);
            answer.exit.into()
        }
        Err(failure) => {
            failure.print(json, &secrets);
            if failure.exit == Exit::EndedAtOnce {
                // Not even what another thread is writing is waited for.
                std::process::exit(i32::from(failure.exit as u8));
            }
            failure.exit.into()
        }
    }
}

async fn run(arguments: Arguments, secrets: &Arc<Secrets>) -> Result<Answer, Failure> {
    let screen = if arguments.json { Screen::plain() } else { Screen::stdout() };
    // Some need no store, and none of them may change what is in it.
    match &arguments.command {
        Command::Check { bundle: Some(path) } => return policy::check(path, screen),
        Command::Test(options) => return policy::test(&arguments, options),
        Command::Impact(options) => return policy::impact(&arguments, options, secrets).await,
        Command::Eval(options) => return policy::eval(&arguments, options, secrets).await,
        Command::Schema => return policy::schema(),
        _ => {}
    }
    let host = Host::open(&arguments, screen, secrets).await?;
    match arguments.command {
        Command::Test(_) | Command::Impact(_) | Command::Eval(_) | Command::Schema => policy::schema(),
        Command::Check { .. } => targets::check(&host).await,
        Command::Onboard { target } => targets::onboard(&host, target.as_deref()).await,
        Command::Reconcile { target } => targets::reconcile(&host, target.as_deref()).await,
        Command::Pause { target } => targets::pause(&host, &target).await,
        Command::Resume { target } => targets::resume(&host, &target).await,
        Command::Ingest { source } => feeds::ingest(&host, source.as_deref(), feeds::Others::WaitOut).await,
        Command::Plan(options) => plans::plan(&host, &options).await,
        Command::Preview { person, as_of } => plans::preview(&host, &person, as_of).await,
        Command::Apply { plan, patience } => plans::apply(&host, plan.as_deref(), patience).await,
        Command::Run(options) => drive::run(&host, &options).await,
        Command::Retry { target, person } => drive::retry(&host, target.as_deref(), person.as_deref()).await,
        Command::Explain { person, as_of, target, attribute, group } => {
            let options = ExplainOptions {
                as_of,
                target: target.map(TargetName::new),
                attribute: attribute.map(Into::into),
                group,
                proposed: false,
            };
            people::explain(&host, &person, &options).await
        }
        Command::History { person } => people::history(&host, &person).await,
        Command::Disputes => disputes::list(&host).await,
        Command::Decide(decision) => disputes::decide(&host, &decision).await,
        Command::Holds => holds::list(&host).await,
        Command::Approve { hold, digest } => holds::approve(&host, &hold, &digest).await,
        Command::Reject { hold } => holds::reject(&host, &hold).await,
        Command::Commands(options) => commands::commands(&host, &options).await,
        Command::Status => store::status(&host).await,
        Command::Verify => store::verify(&host).await,
        Command::Backup { file } => store::backup(&host, &file).await,
    }
}

/// Logs go to standard error, without secrets; `RUST_LOG` says how much.
fn trace(secrets: &Arc<Secrets>) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("error"));
    let writer = secrets::Scrubbed(Arc::clone(secrets));
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .try_init();
    if let Err(error) = started {
        warn(format!("no logs: {error}"));
    }
}
