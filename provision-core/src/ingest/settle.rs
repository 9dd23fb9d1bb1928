//! Ending a dispute about a record.

use super::{Ingest, conflict};
use crate::audit::AuditEntry;
use crate::error::{Effect, Error, ErrorKind, Result, Retry};
use crate::id::IdentityId;
use crate::model::{Dispute, DisputeAbout, RecordState, SourceRecord};
use crate::store::{self, Changes};

/// The decision that a disputed record belongs to nobody known.
pub(crate) const NEW: &str = "new";

impl Ingest<'_> {
    /// Ends a dispute about a record, by its row's key ([`Dispute::row_key`]). The record's next delivery counts: a
    /// full feed brings it by itself, a delta source must send it again.
    ///
    /// `decision`: for a correlation, one of the candidates' ids or `new`; for rows that claim one key, free text.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it is decided already; `Unsupported` for disputes about objects of a target;
    /// `InvalidAttribute` for a decision that is none of the candidates. Effect `None` in each case.
    pub async fn settle(&self, dispute: &str, decision: &str) -> Result<Dispute> {
        let refused = |kind, message| Error::new(kind, message).with_effect(Effect::None);
        let stored = store::get::<Dispute>(self.store, self.realm, dispute).await?;
        let Some(mut stored) = stored else {
            return Err(refused(ErrorKind::NotFound, "there is no such dispute"));
        };
        if !stored.value.open {
            return Err(conflict("the dispute is decided already").with_retry(Retry::Never));
        }
        let mut changes = Changes::in_realm(self.realm);
        match &stored.value.about {
            DisputeAbout::Record { source, key } => {
                let row = SourceRecord::row_key(source, key);
                let record = store::get::<SourceRecord>(self.store, self.realm, &row).await?;
                if let Some(mut record) = record.filter(|record| record.value.state == RecordState::Disputed)
                {
                    record.value.state = RecordState::Present;
                    // No row has an empty fingerprint: the next one is looked at, whatever it says.
                    record.value.fingerprint.clear();
                    changes.replace(record.version, &record.value)?;
                }
            }
            DisputeAbout::Correlation { candidates, .. } => {
                let chosen = IdentityId::parse(decision);
                if decision != NEW && !chosen.is_some_and(|id| candidates.contains(&id)) {
                    let message = "the decision is neither a candidate nor `new`";
                    return Err(refused(ErrorKind::InvalidAttribute, message));
                }
            }
            DisputeAbout::Match { .. } => {
                return Err(refused(ErrorKind::Unsupported, "this dispute is about an object of a target"));
            }
        }
        stored.value.open = false;
        stored.value.decision = Some((self.actor.clone(), decision.to_owned()));
        changes.replace(stored.version, &stored.value)?;
        let mut entry = AuditEntry::new(self.realm, self.clock.now(), self.actor, "dispute.decided");
        entry.object = Some(dispute.to_owned());
        entry.note = decision.to_owned();
        changes.append.push(entry.append()?);
        self.commit(changes, "somebody else decided the dispute meanwhile").await?;
        Ok(stored.value)
    }
}
