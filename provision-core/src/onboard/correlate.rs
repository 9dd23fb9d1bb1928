//! Which identity an object on a target belongs to. Pure: candidates in, verdict out.

use crate::id::IdentityId;

/// What correlation says of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// Belongs to this identity.
    Definite(IdentityId),
    /// May belong to these: a person decides.
    Disputed(Vec<IdentityId>, String),
    /// Belongs to nobody we know.
    None,
}

/// Decides from the identities found by the immutable id and those found by anything weaker.
///
/// Adoption needs the immutable id. A weaker match is a dispute unless the target declares that its whole domain is
/// managed, and then only a single one on an object without privileges. An object whose immutable id names somebody
/// else is never matched by name: that is the recycled-address trap.
pub fn correlate(
    by_marker: &[IdentityId],
    has_marker: bool,
    by_name: &[IdentityId],
    domain_managed: bool,
    privileged: bool,
) -> Match {
    match (by_marker, by_name) {
        ([one], _) if !privileged || by_name.is_empty() || by_name.contains(one) => Match::Definite(*one),
        ([one], _) => {
            Match::Disputed(vec![*one], "privileged, and its name belongs to somebody else".to_owned())
        }
        ([], _) if has_marker => Match::None,
        ([], []) => Match::None,
        ([], [one]) if domain_managed && !privileged => Match::Definite(*one),
        ([], several) => {
            let why = if privileged {
                "matched by name or mail only, and the account is privileged"
            } else if several.len() > 1 {
                "matched by name or mail only, and several identities match"
            } else {
                "matched by name or mail only, not by an immutable id"
            };
            Match::Disputed(several.to_vec(), why.to_owned())
        }
        (several, _) => {
            Match::Disputed(several.to_vec(), "several identities have this immutable id".to_owned())
        }
    }
}
