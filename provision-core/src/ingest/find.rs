//! The identity of a record that is not known yet.

use std::collections::BTreeMap;

use super::batch::{Batch, correlation_key};
use super::correlate::look_up;
use super::settle;
use crate::correlate::{Claims, Outcome, Suspect, Verdict, Veto};
use crate::error::Result;
use crate::id::IdentityId;
use crate::model::{Identity, RecordState, SourceRecord};
use crate::source::FeedRecord;

/// What correlation says of a new record.
pub(super) enum Found {
    Identity(IdentityId),
    New,
    /// A person decides, for the reason given.
    Disputed(Verdict, String),
}

/// The identities that a batch makes, found by their keys like those of the store: two new records of one feed may be
/// one person.
#[derive(Debug, Default)]
pub(super) struct Made {
    by_key: BTreeMap<String, Vec<IdentityId>>,
    identities: BTreeMap<IdentityId, Identity>,
}

impl Batch<'_> {
    pub(super) async fn find(&self, record: &FeedRecord) -> Result<Found> {
        if self.prepared.is_empty() {
            return Ok(Found::New);
        }
        let claims = self.prepared.claims(&record.attributes);
        let found = look_up(self.road.store, self.road.realm, &self.prepared, &claims).await?;
        let own = &self.report.value.source;
        let leaves_out_own = self.source.value.settings.correlate.leaves_out_own();
        let mut suspects = Vec::new();
        for identity in found.identities.iter().chain(self.made_like(&claims)) {
            if leaves_out_own && identity.source == *own {
                continue;
            }
            let tally = self.prepared.tally(&claims, &identity.attributes);
            if tally.is_empty() {
                continue;
            }
            let vetoes = self.vetoes(identity, &claims).await?;
            suspects.push(Suspect { identity: identity.id, vetoes, tally });
        }
        let verdict = self.prepared.judge(&suspects, self.prepared.reach(&found.cut));
        Ok(match verdict.outcome {
            Outcome::Match(identity) => Found::Identity(identity),
            Outcome::None => Found::New,
            Outcome::Dispute => {
                let why = self.prepared.why(&verdict);
                Found::Disputed(verdict, why)
            }
        })
    }

    /// What a person has decided, as long as the record says what it said then.
    pub(super) fn decided(&self, record: &FeedRecord) -> Option<Found> {
        let dispute = &self.disputes.get(&correlation_key(&self.report.value, &record.key))?.value;
        let (_, decision) = dispute.decision.as_ref()?;
        if dispute.evidence.contradicts(&self.prepared.evidence(&record.attributes)) {
            return None;
        }
        if decision == settle::NEW {
            return Some(Found::New);
        }
        IdentityId::parse(decision).map(Found::Identity)
    }

    /// What rules an identity out, whatever it has in common with the record.
    async fn vetoes(&self, identity: &Identity, claims: &Claims) -> Result<Vec<Veto>> {
        let mut vetoes = Vec::new();
        vetoes.extend(self.already_attached(identity.id).await?);
        if !self.prepared.may_have_left && identity.has_left(self.now)? {
            vetoes.push(Veto::Left);
        }
        let differs = self.prepared.differs(claims, &identity.attributes);
        vetoes.extend(differs.map(|attribute| Veto::Differs { attribute }));
        Ok(vetoes)
    }

    /// Keys of one source tell its people apart: whoever has a record of it already is not given another one.
    async fn already_attached(&self, identity: IdentityId) -> Result<Option<Veto>> {
        let source = &self.report.value.source;
        let records = self.records_of(identity, true).await?;
        let standing =
            |record: &SourceRecord| record.source == *source && record.state != RecordState::Removed;
        Ok(records.into_iter().find(standing).map(|record| Veto::AlreadyAttached { key: record.key }))
    }

    /// Those that the batch makes and that a rule may match.
    fn made_like(&self, claims: &Claims) -> impl Iterator<Item = &Identity> {
        let prefixes = self.prepared.prefixes(claims);
        let ids = prefixes.iter().filter_map(|(_, prefix)| self.made.by_key.get(prefix)).flatten();
        let ids: std::collections::BTreeSet<IdentityId> = ids.copied().collect();
        ids.into_iter().filter_map(|id| self.made.identities.get(&id))
    }

    /// Remembers an identity that the batch makes of a record.
    pub(super) fn remember(&mut self, identity: IdentityId, record: &SourceRecord) -> Result<()> {
        if self.prepared.is_empty() || self.source.value.settings.correlate.leaves_out_own() {
            return Ok(());
        }
        let Some(made) = self.computed(identity, None, std::slice::from_ref(record))? else { return Ok(()) };
        for prefix in self.prepared.key_specs().iter().flat_map(|spec| spec.prefixes_of(&made.attributes)) {
            self.made.by_key.entry(prefix).or_default().push(identity);
        }
        self.made.identities.insert(identity, made);
        Ok(())
    }
}
