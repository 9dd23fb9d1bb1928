//! What the rules say of a stranger, and what is asked of a person.

use super::Engine;
use super::stranger::{Lookup, Told};
use crate::connector::Object;
use crate::correlate::{Outcome, Suspect, Tally, Verdict, Veto};
use crate::error::Result;
use crate::id::{IdentityId, RealmId, Tag};
use crate::ingest::look_up;
use crate::model::{Dispute, Identity, Link, LinkState, Subject};
use crate::onboard::Situation;
use crate::store::{self, Changes, Stored};

impl Engine {
    /// What the rules say of an object. They are not asked about one whose immutable id is enough.
    pub(super) async fn by_rules(
        &self,
        lookup: &Lookup<'_>,
        object: &Object,
        by_marker: &[IdentityId],
    ) -> Result<(Verdict, String)> {
        let nothing = (Verdict { outcome: Outcome::None, candidates: Vec::new() }, String::new());
        let Some(prepared) = lookup.rules else { return Ok(nothing) };
        if prepared.is_empty() || by_marker.len() == 1 && !lookup.is_privileged(object) {
            return Ok(nothing);
        }
        let claims = prepared.claims(&object.attributes);
        let found = look_up(self.store(), &self.realm, prepared, &claims).await?;
        let scored =
            found.identities.iter().map(|identity| (identity, prepared.tally(&claims, &identity.attributes)));
        let scored: Vec<(&Identity, Tally)> = scored.filter(|(_, tally)| !tally.is_empty()).collect();
        let subject = |identity: &Identity| Subject::Identity(identity.id);
        let row = |identity: &Identity| {
            Link::row_key(&lookup.settings.name, lookup.class, &Tag::main(), &subject(identity))
        };
        let rows: Vec<String> = scored.iter().map(|(identity, _)| row(identity)).collect();
        let links = store::get_many::<Link>(self.store(), &self.realm, &rows).await?;
        let mut suspects = Vec::new();
        for ((identity, tally), link) in scored.into_iter().zip(links) {
            let mut vetoes = Vec::new();
            if let Some(marker) = lookup.marker()
                && object.attributes.first(marker.as_str()).is_some()
                && !by_marker.contains(&identity.id)
            {
                vetoes.push(Veto::OtherId { attribute: marker });
            }
            if lookup.is_privileged(object) {
                vetoes.push(Veto::Privileged);
            }
            vetoes.extend(link.and_then(|link| veto_of(&link.value)));
            if !prepared.may_have_left && identity.has_left(lookup.at)? {
                vetoes.push(Veto::Left);
            }
            let differs = prepared.differs(&claims, &identity.attributes);
            vetoes.extend(differs.map(|attribute| Veto::Differs { attribute }));
            suspects.push(Suspect { identity: identity.id, vetoes, tally });
        }
        let verdict = prepared.judge(&suspects, prepared.reach(&found.cut));
        let why = prepared.why(&verdict);
        Ok((verdict, why))
    }
}

/// Asks a person about an object that may be somebody's. What was decided is not asked again, as long as the object
/// says what it said then and nobody else looks like it. A question that the object answers itself is closed.
pub(super) fn ask(
    changes: &mut Changes,
    lookup: &Lookup<'_>,
    object: &Object,
    told: Told,
    known: Option<Stored<Dispute>>,
    realm: &RealmId,
) -> Result<Told> {
    if told.situation != Situation::Disputed {
        if let Some(Stored { version, value }) = known.filter(|known| known.value.open) {
            changes.replace(version, &Dispute { open: false, ..value })?;
        }
        return Ok(told);
    }
    let about = lookup.about(object, &told.identities);
    let (candidates, evidence) = (told.candidates.clone(), lookup.evidence(object));
    let dispute = Dispute::new(realm.clone(), about, told.detail.clone(), lookup.at);
    let dispute = Dispute { candidates, evidence, ..dispute };
    match known {
        None => changes.insert(&dispute)?,
        Some(known) if stands(&known.value, &dispute) => {
            let detail = "a person has decided that it is nobody's";
            let nobody = Told::new(Situation::Unmatched, Vec::new(), detail);
            return Ok(Told { candidates: told.candidates, ..nobody });
        }
        Some(known) => {
            let since = if known.value.open { known.value.at } else { dispute.at };
            let dispute = Dispute { at: since, ..dispute };
            if known.value != dispute {
                changes.replace(known.version, &dispute)?;
            }
        }
    }
    Ok(told)
}

/// What an identity's link says against another object.
fn veto_of(link: &Link) -> Option<Veto> {
    match &link.key {
        _ if link.state == LinkState::Inactive => Some(Veto::SeenOff),
        Some(key) => Some(Veto::AlreadyLinked { object: key.id.clone() }),
        None => None,
    }
}

/// Whether a decision answers what would be asked now.
fn stands(known: &Dispute, now: &Dispute) -> bool {
    let asked = |id: &IdentityId| known.about.candidates().contains(id);
    let same = known.evidence.is_empty()
        || !known.evidence.contradicts(&now.evidence) && now.about.candidates().iter().all(asked);
    known.decision.is_some() && !known.open && same
}
