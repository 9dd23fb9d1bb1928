//! What a check finds.

use std::fmt;

use crate::error::{Effect, Error, ErrorKind, Result};

/// Why a clause was not found kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The target cannot do what the clause is about, or cannot be provoked.
    NotApplicable(String),
    /// The clause is broken, and how.
    Broken(String),
}

/// The result of a check: kept, or a finding.
pub type Verdict<T = ()> = Result<T, Finding>;

impl From<Error> for Finding {
    fn from(error: Error) -> Self {
        Self::Broken(format!("unexpected error {:?}: {}", error.kind(), error.report()))
    }
}

/// The verdicts of all clauses.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// By clause, in the order of the specification.
    pub verdicts: Vec<(&'static str, Verdict)>,
}

impl Report {
    /// The clauses that are broken.
    pub fn broken(&self) -> Vec<&'static str> {
        let broken = |verdict: &Verdict| matches!(verdict, Err(Finding::Broken(_)));
        self.verdicts.iter().filter(|(_, verdict)| broken(verdict)).map(|(clause, _)| *clause).collect()
    }

    /// The clauses that were tried and kept.
    pub fn kept(&self) -> Vec<&'static str> {
        self.verdicts.iter().filter(|(_, verdict)| verdict.is_ok()).map(|(clause, _)| *clause).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (clause, verdict) in &self.verdicts {
            match verdict {
                Ok(()) => writeln!(f, "{clause}: kept")?,
                Err(Finding::NotApplicable(why)) => writeln!(f, "{clause}: not applicable, {why}")?,
                Err(Finding::Broken(how)) => writeln!(f, "{clause}: BROKEN, {how}")?,
            }
        }
        Ok(())
    }
}

/// A finding of a clause that does not apply.
pub(super) fn skip<T>(why: &str) -> Verdict<T> {
    Err(Finding::NotApplicable(why.to_owned()))
}

/// Broken, unless `holds`.
pub(super) fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(Finding::Broken(otherwise())) }
}

/// The call must have failed so; gives the error.
pub(super) fn fails<T: fmt::Debug>(
    what: &str,
    result: Result<T>,
    kind: ErrorKind,
    effect: Option<Effect>,
) -> Verdict<Error> {
    match result {
        Ok(value) => Err(Finding::Broken(format!("{what}: succeeded with {value:?}, {kind:?} expected"))),
        Err(error) => {
            ensure(error.kind() == kind, || {
                format!("{what}: {:?} instead of {kind:?}: {}", error.kind(), error.report())
            })?;
            ensure(effect.is_none() || error.effect_stated() == effect, || {
                format!("{what}: states effect {:?} instead of {effect:?}", error.effect_stated())
            })?;
            Ok(error)
        }
    }
}
