//! The suite: runs every clause against a connector, or the ones that are asked for.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;

use super::bench::{Bench, Leftover};
use super::chance::Chance;
use super::patience::within;
use super::profile::{Profile, Trouble};
use super::report::{Report, Trial};
use super::verdict::{Finding, Verdict};
use super::{CLAUSES, Clause};
use crate::connector::{Connector, ConnectorFactory};
use crate::runtime::{Clock, Random, SystemClock, SystemRandom};

/// Sets the seed of [`Suite::assert_kept`].
const SEED: &str = "PROVISION_CONTRACT_SEED";
/// Names the clauses that [`Suite::assert_kept`] tries, with commas between.
const ONLY: &str = "PROVISION_CONTRACT_ONLY";
/// Names a folder for the JUnit file of [`Suite::assert_kept`].
const JUNIT: &str = "PROVISION_CONTRACT_JUNIT";

/// How long a clause may take, unless told otherwise.
const LIMIT: Duration = Duration::from_secs(120);

/// A factory, and configurations that it must refuse.
pub(super) struct Configured {
    pub(super) factory: ConnectorFactory,
    /// The field that is wrong, and the configuration.
    pub(super) wrong: Vec<(String, serde_json::Value)>,
}

impl std::fmt::Debug for Configured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Configured").field("wrong", &self.wrong.len()).finish()
    }
}

/// The contract of one connector, to be tried.
#[derive(Debug)]
#[must_use = "nothing is tried before `run` or `assert_kept`"]
pub struct Suite<'a> {
    connector: &'a dyn Connector,
    profile: &'a dyn Profile,
    configured: Option<Configured>,
    name: String,
    seed: Option<u64>,
    only: Vec<String>,
    limit: Duration,
    kept_min: usize,
}

/// Runs every clause with a seed of chance.
pub async fn hold(connector: &dyn Connector, profile: &dyn Profile) -> Report {
    Suite::new(connector, profile).run().await
}

impl<'a> Suite<'a> {
    /// The whole contract, with a seed of chance.
    pub fn new(connector: &'a dyn Connector, profile: &'a dyn Profile) -> Self {
        let name = connector.info().kind;
        Self {
            connector,
            profile,
            configured: None,
            name,
            seed: None,
            only: Vec::new(),
            limit: LIMIT,
            kept_min: 1,
        }
    }

    /// What the report calls the connector, instead of its kind: tells shapes of one connector apart.
    pub fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// The seed of all that is drawn. The same seed tries the same, on a target that holds the same.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }

    /// Only this clause (`C-4.1`), and others named so.
    pub fn only(mut self, clause: &str) -> Self {
        self.only.push(clause.to_owned());
        self
    }

    /// How long a clause may take, cleaning up aside; two minutes unless told. A clause that takes longer is broken.
    pub fn limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// How many clauses must be tried and kept for [`Self::assert_kept`]: whoever declares nothing breaks nothing.
    /// Not counted when only some clauses are tried.
    pub fn at_least(self, kept: usize) -> Self {
        Self { kept_min: kept, ..self }
    }

    /// The connector's factory and configurations that it must refuse, each with the field that is wrong (C-1.1).
    pub fn configured_by(
        mut self,
        factory: ConnectorFactory,
        wrong: impl IntoIterator<Item = (&'static str, serde_json::Value)>,
    ) -> Self {
        let wrong = wrong.into_iter().map(|(field, config)| (field.to_owned(), config)).collect();
        self.configured = Some(Configured { factory, wrong });
        self
    }

    /// Tries the clauses, one after another, and removes what it made after each.
    pub async fn run(self) -> Report {
        let clock = SystemClock;
        let seed = self.seed.unwrap_or_else(|| {
            let mut bytes = [0; 4];
            // Without the system's chance, the time is chance enough for a test.
            let filled = SystemRandom.fill(&mut bytes);
            if filled.is_err() { clock.now().as_millis() } else { u64::from(u32::from_le_bytes(bytes)) }
        });
        let mut report = Report { name: self.name.clone(), seed, trials: Vec::new(), left: Vec::new() };
        let asked = |clause: &&Clause| self.only.is_empty() || self.only.iter().any(|only| only == clause.id);
        for clause in CLAUSES.iter().filter(asked) {
            let began = clock.now();
            let (verdict, left) = self.try_clause(clause, seed).await;
            let (id, promise, took) = (clause.id, clause.promise, clock.now().since(began));
            report.trials.push(Trial { clause: id, promise, verdict, took });
            report.left.extend(left);
        }
        report
    }

    async fn try_clause(&self, clause: &Clause, seed: u64) -> (Verdict, Vec<Leftover>) {
        let slow = || Err(Finding::Broken(format!("no end within {:?}", self.limit)));
        let chance = Chance::of(seed, clause.id);
        let bench = Bench::new(self.connector, self.profile, self.configured.as_ref(), chance);
        let bench = match within(self.limit, bench).await {
            None => return (slow(), Vec::new()),
            Some(Err(finding)) => return (Err(finding), Vec::new()),
            Some(Ok(bench)) => bench,
        };
        let tried = AssertUnwindSafe((clause.check)(&bench)).catch_unwind();
        let verdict = match within(self.limit, tried).await {
            None => slow(),
            Some(Err(panic)) => Err(Finding::Broken(format!("it panicked: {}", told(panic.as_ref())))),
            Some(Ok(verdict)) => verdict,
        };
        self.profile.provoke(Trouble::None);
        let cleared = within(self.limit, AssertUnwindSafe(bench.clear()).catch_unwind()).await;
        let left = cleared.and_then(Result::ok).unwrap_or_else(|| {
            let why = format!("{}: cleaning up hung or panicked", clause.id);
            vec![Leftover { class: bench.class.clone(), id: None, why }]
        });
        (verdict, left)
    }

    /// Tries the clauses, prints the report, and panics with it when one is broken, when fewer are kept than
    /// [`Self::at_least`] says, or when a clause that was asked for does not exist.
    ///
    /// The environment is asked first: `PROVISION_CONTRACT_SEED` and `PROVISION_CONTRACT_ONLY` (`C-4.1,C-4.3`) replay,
    /// `PROVISION_CONTRACT_JUNIT` names a folder for `contract-NAME.xml`.
    ///
    /// # Panics
    /// As said; this is an assertion.
    pub async fn assert_kept(mut self) -> Report {
        if let Ok(text) = std::env::var(SEED) {
            match text.parse() {
                Ok(seed) => self.seed = Some(seed),
                Err(_) => fail(&format!("{SEED} is not a number: {text}")),
            }
        }
        if let Ok(clauses) = std::env::var(ONLY) {
            self.only = clauses.split(',').map(|clause| clause.trim().to_owned()).collect();
        }
        if let Some(unknown) = self.only.iter().find(|only| !CLAUSES.iter().any(|clause| clause.id == **only))
        {
            fail(&format!("the contract has no clause `{unknown}`"));
        }
        let least = if self.only.is_empty() { self.kept_min } else { 0 };
        let report = self.run().await;
        if let Some(folder) = std::env::var_os(JUNIT) {
            let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
            let name = report.name.chars().map(plain).collect::<String>();
            let file = std::path::Path::new(&folder).join(format!("contract-{name}.xml"));
            if let Err(error) = std::fs::write(&file, report.junit()) {
                fail(&format!("{} cannot be written: {error}", file.display()));
            }
        }
        if !report.broken().is_empty() {
            fail(&format!("the contract is broken\n\n{report}"));
        }
        let kept = report.kept().len();
        if kept < least {
            fail(&format!("{kept} clauses were tried and kept, {least} are asked for\n\n{report}"));
        }
        println!("{report}");
        report
    }
}

fn told(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

#[allow(clippy::panic, reason = "an assertion for tests panics")]
fn fail(why: &str) -> ! {
    panic!("{why}")
}
