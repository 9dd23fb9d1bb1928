//! Which identity an object on a target belongs to. Pure: candidates in, verdict out.

use crate::correlate::{Outcome, Verdict};
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

/// Decides from the identities found by the immutable id and from what the rules say of the others. `why`: what is to
/// be said where the rules leave it to a person.
///
/// Adoption needs the immutable id. A definite score is a dispute that proposes its identity, unless the target
/// declares that its whole domain is managed, and never on an object with privileges. An object whose immutable id
/// names somebody else is never matched by anything weaker: that is the recycled-address trap.
pub fn correlate(
    by_marker: &[IdentityId],
    has_marker: bool,
    verdict: &Verdict,
    why: &str,
    domain_managed: bool,
    privileged: bool,
) -> Match {
    let open = || verdict.open().map(|candidate| candidate.identity).collect::<Vec<_>>();
    let alike = |id: &IdentityId| verdict.candidates.iter().any(|candidate| candidate.identity == *id);
    match (by_marker, &verdict.outcome) {
        ([one], _) if !privileged || verdict.candidates.is_empty() || alike(one) => Match::Definite(*one),
        ([one], _) => {
            Match::Disputed(vec![*one], "privileged, and its name belongs to somebody else".to_owned())
        }
        ([], _) if has_marker => Match::None,
        ([], Outcome::None) => Match::None,
        ([], Outcome::Match(one)) if domain_managed && !privileged => Match::Definite(*one),
        ([], Outcome::Match(one)) => {
            // Whoever is proposed is named first.
            let mut all = vec![*one];
            all.extend(open().into_iter().filter(|other| other != one));
            Match::Disputed(all, "matched by rules only, not by an immutable id".to_owned())
        }
        ([], Outcome::Dispute) => Match::Disputed(open(), why.to_owned()),
        (several, _) => {
            Match::Disputed(several.to_vec(), "several identities have this immutable id".to_owned())
        }
    }
}
