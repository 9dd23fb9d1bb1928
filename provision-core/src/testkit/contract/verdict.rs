//! What a check finds.

use std::fmt;

use crate::error::{Effect, Error, ErrorKind, Result};

/// Why a clause was not found kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The target cannot do what the clause is about, or cannot be provoked.
    NotApplicable(String),
    /// The clause is broken: what was seen.
    Broken(String),
}

/// The result of a check: kept, or a finding.
pub type Verdict<T = ()> = Result<T, Finding>;

impl From<Error> for Finding {
    fn from(error: Error) -> Self {
        Self::Broken(format!("unexpected error {:?}: {}", error.kind(), error.report()))
    }
}

/// A finding of a clause that does not apply.
pub(super) fn skip<T>(why: &str) -> Verdict<T> {
    Err(Finding::NotApplicable(why.to_owned()))
}

/// A finding of a broken clause.
pub(super) fn broken<T>(seen: impl Into<String>) -> Verdict<T> {
    Err(Finding::Broken(seen.into()))
}

/// Broken, unless `holds`.
pub(super) fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { broken(otherwise()) }
}

/// The call must have failed so; gives the error.
pub(super) fn fails<T: fmt::Debug>(
    what: &str,
    result: Result<T>,
    kind: ErrorKind,
    effect: Option<Effect>,
) -> Verdict<Error> {
    match result {
        Ok(value) => broken(format!("{what}: succeeded with {value:?}, {kind:?} expected")),
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
