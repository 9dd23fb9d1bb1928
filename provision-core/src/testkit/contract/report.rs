//! The report: which clauses are kept, which broken and how, which did not apply.

use std::fmt;
use std::time::Duration;

use super::bench::Leftover;
use super::verdict::{Finding, Verdict};

/// Leftovers that the text names one by one.
const LEFTOVERS_SHOWN: usize = 20;

/// One clause that was tried.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The clause (`C-4.1`).
    pub clause: &'static str,
    /// What was expected, in a line.
    pub promise: &'static str,
    /// What was found.
    pub verdict: Verdict,
    /// How long it took, cleaning up included.
    pub took: Duration,
}

/// The verdicts of the clauses that were tried. As text by `Display`, as JUnit's XML by [`Self::junit`].
#[derive(Clone, Debug)]
pub struct Report {
    /// What was tried.
    pub name: String,
    /// The seed of all that was drawn.
    pub seed: u64,
    /// By clause, in the order of the specification.
    pub trials: Vec<Trial>,
    /// What the suite made and could not remove.
    pub left: Vec<Leftover>,
}

impl Report {
    fn clauses(&self, wanted: impl Fn(&Verdict) -> bool) -> Vec<&'static str> {
        self.trials.iter().filter(|trial| wanted(&trial.verdict)).map(|trial| trial.clause).collect()
    }

    /// The clauses that are broken.
    pub fn broken(&self) -> Vec<&'static str> {
        self.clauses(|verdict| matches!(verdict, Err(Finding::Broken(_))))
    }

    /// The clauses that were tried and kept.
    pub fn kept(&self) -> Vec<&'static str> {
        self.clauses(Verdict::is_ok)
    }

    /// The clauses that could not be tried, because the target lacks the power or cannot be provoked.
    pub fn not_applicable(&self) -> Vec<&'static str> {
        self.clauses(|verdict| matches!(verdict, Err(Finding::NotApplicable(_))))
    }

    /// How to try one clause as it was tried here.
    pub(super) fn again(&self, clause: &str) -> String {
        let seed = self.seed;
        format!(
            "PROVISION_CONTRACT_SEED={seed} PROVISION_CONTRACT_ONLY={clause}, or .seed({seed}).only(\"{clause}\")"
        )
    }

    /// What is left, a line each.
    pub(super) fn leftovers(&self) -> Vec<String> {
        let line = |left: &Leftover| {
            let id = left.id.as_ref().map_or_else(|| "of unknown id".to_owned(), |id| format!("`{id}`"));
            format!("{} {id}: {}", left.class, left.why)
        };
        self.left.iter().map(line).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kept, idle, broken) = (self.kept(), self.not_applicable().len(), self.broken().len());
        writeln!(
            f,
            "contract of `{}`, seed {}: {} kept, {idle} not applicable, {broken} broken",
            self.name,
            self.seed,
            kept.len()
        )?;
        if !kept.is_empty() {
            writeln!(f, "kept: {}", kept.join(" "))?;
        }
        for trial in &self.trials {
            match &trial.verdict {
                Ok(()) => {}
                Err(Finding::NotApplicable(why)) => writeln!(f, "not applicable: {}, {why}", trial.clause)?,
                Err(Finding::Broken(seen)) => {
                    writeln!(f, "BROKEN: {}", trial.clause)?;
                    writeln!(f, "  expected: {}", trial.promise)?;
                    writeln!(f, "  seen: {seen}")?;
                    writeln!(f, "  again: {}", self.again(trial.clause))?;
                }
            }
        }
        if !self.left.is_empty() {
            writeln!(f, "left on the target: {} objects", self.left.len())?;
            for line in self.leftovers().iter().take(LEFTOVERS_SHOWN) {
                writeln!(f, "  {line}")?;
            }
        }
        Ok(())
    }
}
