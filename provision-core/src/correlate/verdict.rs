//! What correlation says: whose it is, who it may be, and what rules somebody out.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::prepared::{Prepared, Tally};
use super::score::Score;
use crate::id::IdentityId;
use crate::value::AttrName;

/// Candidates of one verdict.
const CANDIDATES_MAX: usize = 50;

/// What one rule says of an identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contribution {
    /// The rule.
    pub rule: String,
    /// The product of its items' confidences.
    pub confidence: Score,
    /// That times its weight.
    pub points: Score,
    /// It rests on an address that nobody has verified, and is no part of the score.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unverified: bool,
}

/// Why somebody is never matched by a score, however high.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "veto")]
pub enum Veto {
    /// Has another account there already.
    AlreadyLinked {
        /// Its id on the target.
        object: String,
    },
    /// Their account there was seen off; taking one again is for a person to say.
    SeenOff,
    /// The object carries the immutable id of somebody else.
    OtherId {
        /// The attribute that says so.
        attribute: AttrName,
    },
    /// The object is protected.
    Protected,
    /// The object has privileges: it is never the result of a guess.
    Privileged,
    /// Has left.
    Left,
    /// The source has a record of the identity under another key.
    AlreadyAttached {
        /// That key.
        key: String,
    },
    /// Both have the attribute, and it differs.
    Differs {
        /// The attribute.
        attribute: AttrName,
    },
}

impl Veto {
    /// Whether it proves that the identity is somebody else; the others leave the question to a person.
    pub fn is_proof(&self) -> bool {
        matches!(self, Self::OtherId { .. } | Self::Differs { .. })
    }
}

impl fmt::Display for Veto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escape = crate::text::escape;
        match self {
            Self::AlreadyLinked { object } => {
                write!(f, "has another account there already: {}", escape(object))
            }
            Self::SeenOff => {
                f.write_str("the account there was seen off; taking one again is for a person to say")
            }
            Self::OtherId { attribute } => write!(f, "`{attribute}` names somebody else"),
            Self::Protected => f.write_str("the object is protected"),
            Self::Privileged => f.write_str("the account is privileged"),
            Self::Left => f.write_str("has left"),
            Self::AlreadyAttached { key } => {
                write!(f, "the source has another record of them: {}", escape(key))
            }
            Self::Differs { attribute } => write!(f, "`{attribute}` differs"),
        }
    }
}

/// Somebody it may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Who.
    pub identity: IdentityId,
    /// How much they have in common, at most 1.
    pub score: Score,
    /// What gives the score.
    #[serde(default)]
    pub contributions: Vec<Contribution>,
    /// What rules them out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vetoes: Vec<Veto>,
}

impl Candidate {
    /// Whether it is proved that this is somebody else.
    pub fn is_ruled_out(&self) -> bool {
        self.vetoes.iter().any(Veto::is_proof)
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.score)?;
        for (n, contribution) in self.contributions.iter().enumerate() {
            let by = if n == 0 { " by" } else { "," };
            write!(f, "{by} {} {}", crate::text::escape(&contribution.rule), contribution.points)?;
            if contribution.unverified {
                f.write_str(" (address not verified: not counted)")?;
            }
        }
        self.vetoes.iter().try_for_each(|veto| write!(f, "; {veto}"))
    }
}

/// An identity to be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// Who.
    pub identity: IdentityId,
    /// What rules them out; looked at before any score.
    pub vetoes: Vec<Veto>,
    /// Their points.
    pub tally: Tally,
}

/// Whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Exactly this one's.
    Match(IdentityId),
    /// A person decides.
    Dispute,
    /// Nobody's.
    None,
}

/// What correlation says, and who was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whose it is.
    pub outcome: Outcome,
    /// Who it may be, and who looked like it and was ruled out: the highest score first, at most 50.
    pub candidates: Vec<Candidate>,
}

impl Verdict {
    /// A dispute about identities that were found without rules.
    pub fn of(identities: &[IdentityId]) -> Self {
        let candidate = |identity: &IdentityId| Candidate {
            identity: *identity,
            score: Score::ONE,
            contributions: Vec::new(),
            vetoes: Vec::new(),
        };
        Self { outcome: Outcome::Dispute, candidates: identities.iter().map(candidate).collect() }
    }

    /// Those that a person may choose from.
    pub fn open(&self) -> impl Iterator<Item = &Candidate> {
        self.candidates.iter().filter(|candidate| !candidate.is_ruled_out())
    }
}

impl Prepared {
    /// Why a person has to decide, in words.
    pub fn why(&self, verdict: &Verdict) -> String {
        let free: Vec<&Candidate> = verdict.open().filter(|candidate| candidate.vetoes.is_empty()).collect();
        let certain = free.iter().filter(|candidate| candidate.score >= self.definite).count();
        let mut contributions = free.iter().flat_map(|candidate| &candidate.contributions);
        match (certain, verdict.open().next()) {
            (2.., _) => "several identities match".to_owned(),
            (1, _) | (_, None) => "a rule matches more identities than are looked at".to_owned(),
            (_, Some(held)) if free.is_empty() => held
                .vetoes
                .first()
                .map_or_else(String::new, |veto| format!("whoever matches is ruled out: {veto}")),
            _ if contributions.any(|contribution| contribution.unverified) => {
                "matches by an address that was not verified".to_owned()
            }
            _ => "nobody matches with certainty".to_owned(),
        }
    }

    /// Judges all who were found. `unseen`: the most that somebody may have who was not looked at.
    ///
    /// Tier after tier: exactly one definite identity without a veto ends it. A tier in which only somebody under a
    /// veto is definite ends it too: weaker rules do not give to others what is probably theirs.
    pub fn judge(&self, suspects: &[Suspect], unseen: Score) -> Verdict {
        let (mut outcome, mut last) = (None, None);
        for tier in &self.tiers {
            last = Some(*tier);
            let definite = |suspect: &&Suspect| suspect.score_at(*tier).0 >= self.definite;
            let mut free = suspects.iter().filter(|suspect| suspect.vetoes.is_empty()).filter(definite);
            let asks = |suspect: &&Suspect| !suspect.vetoes.iter().any(Veto::is_proof);
            let mut held = suspects.iter().filter(|suspect| !suspect.vetoes.is_empty()).filter(asks);
            match (free.next(), free.next()) {
                (Some(one), None) => {
                    let certain = unseen < self.definite;
                    outcome = Some(if certain { Outcome::Match(one.identity) } else { Outcome::Dispute });
                    break;
                }
                (None, _) if held.any(|suspect| definite(&suspect)) => {
                    outcome = Some(Outcome::Dispute);
                    break;
                }
                _ => {}
            }
        }
        let mut candidates: Vec<Candidate> =
            suspects.iter().filter_map(|suspect| self.candidate(suspect, last)).collect();
        candidates.sort_by(|a, b| b.score.cmp(&a.score).then(a.identity.cmp(&b.identity)));
        candidates.truncate(CANDIDATES_MAX);
        let verdict = Verdict { outcome: Outcome::None, candidates };
        let ambiguous = verdict.open().next().is_some() || unseen >= self.definite;
        let outcome = outcome.unwrap_or(if ambiguous { Outcome::Dispute } else { Outcome::None });
        Verdict { outcome, ..verdict }
    }

    /// Whoever is worth showing, as of the last tier that was looked at.
    fn candidate(&self, suspect: &Suspect, last: Option<u32>) -> Option<Candidate> {
        let (score, claimed) = suspect.score_at(last?);
        let shown = claimed > Score::ZERO && claimed >= self.candidate;
        let contributions = suspect.tally.contributions.iter().filter(|(tier, _)| Some(*tier) <= last);
        shown.then(|| Candidate {
            identity: suspect.identity,
            score,
            contributions: contributions.map(|(_, contribution)| contribution.clone()).collect(),
            vetoes: suspect.vetoes.clone(),
        })
    }
}

impl Suspect {
    /// The score up to a tier, and the one as if every address were verified.
    fn score_at(&self, tier: u32) -> (Score, Score) {
        self.tally.tiers.range(..=tier).next_back().map(|(_, score)| *score).unwrap_or_default()
    }
}
