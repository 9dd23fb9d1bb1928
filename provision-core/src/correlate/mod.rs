//! Whose is this: the rules that say how much a record or an object has in common with an identity. Pure.
//!
//! A [`Correlation`] has rules; each gives the product of its items' confidences times its weight, the sum times the
//! scale and at most 1 is the identity's [`Score`]. Exactly one identity with the definite score is the match; several,
//! or only less certain ones, are for a person to decide. What rules somebody out is looked at before any rule: a
//! [`Veto`].

mod check;
mod evidence;
mod mail;
mod prepared;
mod rule;
mod score;
mod settings;
mod similarity;
mod verdict;

pub use evidence::Evidence;
pub use prepared::{Claims, KeySpec, Prepared, Tally};
pub use rule::{Correlation, Item, Normalise, Rule, Similarity, Unverified, Values};
pub use score::Score;
pub use settings::{ClassCorrelation, CorrelationRule, SourceCorrelation};
pub use similarity::{levenshtein, normalise, trigram};
pub use verdict::{Candidate, Contribution, Outcome, Suspect, Verdict, Veto};

pub(crate) use check::refusal;
