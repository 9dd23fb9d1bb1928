//! Why an attribute is not written although the policy speaks of it.

use serde::{Deserialize, Serialize};

/// Why an attribute is left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LeftReason {
    /// The account as a whole is left alone; its refusals and skips say why.
    Account,
    /// The target's schema has no such attribute.
    NotInSchema,
    /// The target computes it.
    ReadOnly,
    /// It is written at create and never again, by the mapping or by the schema.
    CreateOnly,
    /// It waits for the account it refers to.
    Waiting,
    /// Nobody with that key has an account there.
    NoReference,
    /// A weak mapping, and the target has a value.
    Weak,
    /// A normal mapping, and none of its inputs changed since the last write.
    Unchanged,
    /// The target shows the value in a form of its own.
    Shown,
    /// The map's authority is `observe`.
    Observed,
    /// A mapping that is not authoritative takes nothing away.
    NotAuthoritative,
    /// No mapping counts any more, and the target requires a value (or it is part of the name).
    Required,
    /// No mapping counts any more, and its source says nothing: that clears nothing.
    Silent,
    /// No mapping counts any more, and what is there is not what a mapping wrote.
    NotOurs,
}

impl LeftReason {
    /// Every reason.
    pub const ALL: [Self; 14] = [
        Self::Account,
        Self::NotInSchema,
        Self::ReadOnly,
        Self::CreateOnly,
        Self::Waiting,
        Self::NoReference,
        Self::Weak,
        Self::Unchanged,
        Self::Shown,
        Self::Observed,
        Self::NotAuthoritative,
        Self::Required,
        Self::Silent,
        Self::NotOurs,
    ];

    /// The value does not matter: the attribute is never written there, or not yet.
    pub(crate) fn is_of_target(self) -> bool {
        matches!(self, Self::NotInSchema | Self::ReadOnly | Self::Waiting)
    }

    /// The word used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::NotInSchema => "not_in_schema",
            Self::ReadOnly => "read_only",
            Self::CreateOnly => "create_only",
            Self::Waiting => "waiting",
            Self::NoReference => "no_reference",
            Self::Weak => "weak",
            Self::Unchanged => "unchanged",
            Self::Shown => "shown",
            Self::Observed => "observed",
            Self::NotAuthoritative => "not_authoritative",
            Self::Required => "required",
            Self::Silent => "silent",
            Self::NotOurs => "not_ours",
        }
    }

    /// In words.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Account => "the account is left alone",
            Self::NotInSchema => "the target's schema has no such attribute",
            Self::ReadOnly => "the target computes it",
            Self::CreateOnly => "create_only: written at create and never again",
            Self::Waiting => "it waits for the account it refers to",
            Self::NoReference => "nobody with that key has an account there",
            Self::Weak => "weak: the target has a value",
            Self::Unchanged => "normal: none of its inputs changed since the last write",
            Self::Shown => "the target shows the value differently",
            Self::Observed => "authority `observe`: written at create and never on an account that is there",
            Self::NotAuthoritative => "a mapping that is not authoritative takes nothing away",
            Self::Required => "no mapping counts any more, and the target requires a value",
            Self::Silent => "no mapping counts any more, and no source says anything of what they read",
            Self::NotOurs => "no mapping counts any more, and what is there was not written by one",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::LeftReason;

    #[test]
    fn every_reason_has_a_word_that_is_stored_and_a_text() {
        let mut details = std::collections::BTreeSet::new();
        for reason in LeftReason::ALL {
            assert_eq!(serde_json::to_string(&reason).unwrap(), format!("\"{}\"", reason.as_str()));
            assert!(details.insert(reason.detail()), "{reason:?}");
        }
    }
}
