//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use provision_core::value::Timestamp;

const EXIT_CODES: &str = "\
Exit codes:
  0  clean: nothing to do, or everything done
  1  error: nothing more was done than the message says
  2  changes pending: a plan has steps, an apply left steps waiting for their retry, another
     process reads a source, or another policy would change something (`impact`)
  3  held: something waits for approval (see `holds`)
  4  some steps failed, were skipped or are in dispute, a feed was refused, a policy test does not
     hold, or an expression fails on this person's data (`eval`)
  5  bad configuration, policy or usage
  6  ended at once by a second signal: what was under way is found out by whoever goes on

`run` without --once is a service: asked to end (SIGTERM, Ctrl-C) it answers 0 when everything it had is finished or
given back, whatever became of single steps; `status` tells about those.

Secrets stand in the configuration as ${env:NAME} and are never printed.";

/// Provisions accounts: takes HR feeds in, plans, applies.
#[derive(Debug, Parser)]
#[command(name = "provisioner", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    /// The configuration.
    #[arg(long, short, global = true, default_value = "provisioner.yaml", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Answer as JSON on standard output; messages go to standard error.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Who asks [default: $USER].
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) actor: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read configuration and policy, reach every target and try its credentials; changes nothing.
    Check {
        /// Only this bundle, a file or a folder: no configuration, store or target is needed.
        #[arg(long, value_name = "PATH")]
        bundle: Option<PathBuf>,
    },
    /// Run policy tests: given this person, expect this account. Needs no store.
    Test(TestArguments),
    /// Say what another policy would do to everybody in the store; writes nothing, asks no target.
    Impact(ImpactArguments),
    /// Evaluate an expression for one person; writes nothing.
    Eval(EvalArguments),
    /// Print the JSON Schema of a bundle's file, for editors.
    Schema,
    /// Read a target that already has accounts and report whose they are; writes nothing to it.
    Onboard {
        /// Only this target; all that are not onboarded otherwise.
        target: Option<String>,
    },
    /// Read a target again and note what others changed there; writes nothing to it.
    Reconcile {
        /// Only this target.
        target: Option<String>,
    },
    /// Take the feeds in that sources have ready.
    Ingest {
        /// Only this source.
        source: Option<String>,
    },
    /// Make a plan and show it; writes nothing to any target.
    Plan(PlanArguments),
    /// Show what a plan would do for one person.
    Preview {
        /// An id, `source:key`, a key, a name or a mail address.
        person: String,
        /// For this instant instead of now.
        #[arg(long, value_name = "TIME", value_parser = instant)]
        as_of: Option<Timestamp>,
    },
    /// Carry out a plan, exactly as it was shown; again to go on after a stop.
    Apply {
        /// The plan; otherwise the one under way, or the newest.
        plan: Option<String>,
        /// Seconds to wait, in all, for steps whose next attempt is due later.
        #[arg(long, default_value_t = 30, value_name = "SECONDS")]
        patience: u64,
    },
    /// Take feeds in, plan and apply, on targets whose drive is `enforce`; send events and take commands where there is
    /// a bus. Until stopped: then it claims no more and finishes what it has; a second signal ends it at once.
    Run(RunArguments),
    /// Try again what failed or was skipped.
    Retry {
        /// Only on this target.
        #[arg(long)]
        target: Option<String>,
        /// Only for this person.
        #[arg(long)]
        person: Option<String>,
    },
    /// Tell why a person has what they have.
    Explain {
        /// An id, `source:key`, a key, a name or a mail address.
        person: String,
        /// For this instant instead of now.
        #[arg(long, value_name = "TIME", value_parser = instant)]
        as_of: Option<Timestamp>,
        /// Only on this target.
        #[arg(long)]
        target: Option<String>,
        /// Only about this attribute.
        #[arg(long)]
        attribute: Option<String>,
        /// Only about this group.
        #[arg(long)]
        group: Option<String>,
    },
    /// Tell what was done for a person, oldest first.
    History {
        /// An id, `source:key`, a key, a name or a mail address.
        person: String,
    },
    /// Show matches that a person must decide.
    Disputes,
    /// Decide one of them.
    Decide(DecideArguments),
    /// Show what waits for approval.
    Holds,
    /// Approve exactly what a hold's digest names, once; not what you asked for yourself.
    Approve {
        /// The hold.
        hold: String,
        /// Its digest, as shown by `holds`.
        #[arg(long)]
        digest: String,
    },
    /// Reject what is held: a feed's changes are dropped, a plan is discarded.
    Reject {
        /// The hold.
        hold: String,
    },
    /// Show commands from the bus that can never be accepted, and why; with an option decide one of them.
    Commands(CommandsArguments),
    /// Show where everything stands.
    Status,
    /// Stop writing to a target.
    Pause {
        /// The target.
        target: String,
    },
    /// Write to a target again; ends a quarantine too.
    Resume {
        /// The target.
        target: String,
    },
    /// Verify the history.
    Verify,
    /// Write a consistent copy of the store.
    Backup {
        /// The new file.
        file: PathBuf,
    },
}

/// How to run.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// End as soon as nothing is left to do.
    #[arg(long)]
    pub(crate) once: bool,
    /// The name of this process among those that share the store; each has its own.
    #[arg(long, value_name = "NAME", value_parser = node_name)]
    pub(crate) node: Option<String>,
    /// Identities worked on at once.
    #[arg(long, default_value_t = 4)]
    pub(crate) workers: u32,
    /// Seconds that what is under way may take when it is asked to end; then it is given back.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub(crate) drain: u64,
    /// Seconds that others wait before they take over what a process has that is gone; more than a target's
    /// `timeout_seconds`.
    #[arg(long, default_value_t = 120, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) lease: u64,
    /// Seconds between two looks at the sources.
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) sources_every: u64,
    /// For rehearsals: this process's clock is so many seconds off.
    #[arg(long, default_value_t = 0, hide = true, allow_hyphen_values = true)]
    pub(crate) clock_offset: i64,
}

/// How to plan.
#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    /// Look at everybody, not only at those who changed.
    #[arg(long, conflicts_with = "person")]
    pub(crate) all: bool,
    /// Look at this person only.
    #[arg(long)]
    pub(crate) person: Option<String>,
    /// For this instant instead of now: shows, and cannot be applied.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(crate) as_of: Option<Timestamp>,
    /// Steps to show; 0: all.
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: usize,
    /// Show the reason of every value.
    #[arg(long)]
    pub(crate) why: bool,
}

/// Which tests to run.
#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    /// Files of tests, or folders with `*.test.yaml`; otherwise those beside the bundle and in its folder `tests`.
    pub(crate) files: Vec<PathBuf>,
    /// The bundle, a file or a folder; otherwise that of the configuration.
    #[arg(long, value_name = "PATH")]
    pub(crate) bundle: Option<PathBuf>,
    /// Show rules, roles and mappings that no test has seen at work.
    #[arg(long)]
    pub(crate) coverage: bool,
    /// Write a report in JUnit's XML.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}

/// Which policies to compare.
#[derive(Debug, Args)]
pub(crate) struct ImpactArguments {
    /// The bundle as it is, a file or a folder.
    #[arg(long, value_name = "OLD")]
    pub(crate) from: PathBuf,
    /// The bundle as it is to be; otherwise that of the configuration.
    #[arg(long, value_name = "NEW")]
    pub(crate) to: Option<PathBuf>,
    /// For this instant instead of now.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(crate) as_of: Option<Timestamp>,
    /// People to list; 0: all. Counts are always of all.
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: usize,
}

/// What to evaluate, and for whom.
#[derive(Debug, Args)]
pub(crate) struct EvalArguments {
    /// The expression. It may read what expressions under `values` may, and these.
    pub(crate) expression: String,
    /// A person in the store: an id, `source:key`, a key, a name or a mail address.
    #[arg(long, value_name = "PERSON", conflicts_with = "given")]
    pub(crate) person: Option<String>,
    /// A person in a file, written as in policy tests: no store is needed.
    #[arg(long, value_name = "FILE")]
    pub(crate) given: Option<PathBuf>,
    /// The bundle, a file or a folder; otherwise that of the configuration.
    #[arg(long, value_name = "PATH")]
    pub(crate) bundle: Option<PathBuf>,
    /// For this instant instead of now.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(crate) as_of: Option<Timestamp>,
}

/// A dispute, and how it is decided.
#[derive(Debug, Args)]
pub(crate) struct DecideArguments {
    /// The dispute, as shown by `disputes`.
    pub(crate) dispute: String,
    /// How it is decided.
    #[command(flatten)]
    pub(crate) choice: Choice,
    /// With --link, for a create whose answer was lost: the object's id.
    #[arg(long, requires = "link", value_name = "ID")]
    pub(crate) object: Option<String>,
}

/// Exactly one of them.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Choice {
    /// The object is this person's account, the record this person's.
    #[arg(long, value_name = "PERSON")]
    pub(crate) link: Option<String>,
    /// The object belongs to none of the candidates; the record is a new person's.
    #[arg(long)]
    pub(crate) not_the_same: bool,
    /// A create whose answer was lost made nothing: the next plan creates the account.
    #[arg(long)]
    pub(crate) create_again: bool,
    /// The source's data has been put right.
    #[arg(long)]
    pub(crate) accept: bool,
}

/// Commands that were set aside.
#[derive(Debug, Args)]
pub(crate) struct CommandsArguments {
    /// Try this one again, for you: what the message said of its sender counts for nothing.
    #[arg(long, value_name = "ID", conflicts_with = "drop")]
    pub(crate) retry: Option<String>,
    /// Drop this one.
    #[arg(long, value_name = "ID")]
    pub(crate) drop: Option<String>,
    /// Commands to show.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) limit: u32,
}

/// The name of a node: a part of row keys and leases.
fn node_name(text: &str) -> Result<String, String> {
    let letters = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if letters && (1..=64).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err("a node's name has 1 to 64 letters, digits, `-`, `_` or `.`".to_owned())
}

/// An instant, or a date: 00:00 UTC of that day.
fn instant(text: &str) -> Result<Timestamp, String> {
    let date_only = text.len() == 10;
    let full = if date_only { format!("{text}T00:00:00Z") } else { text.to_owned() };
    full.parse().map_err(|_| "expected 2026-11-20T08:00:00Z or 2026-11-20".to_owned())
}
