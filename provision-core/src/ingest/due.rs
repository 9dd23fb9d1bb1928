//! Changes that come by the clock alone: first days, last days.

use std::borrow::Cow;

use super::{Ingest, TRIES_MAX, conflict};
use crate::audit::AuditEntry;
use crate::error::Result;
use crate::model::{Identity, Lifecycle, Work};
use crate::planted::{self, Defect};
use crate::store::{self, Changes, Commit, Select};

impl Ingest<'_> {
    /// Marks dirty the identities whose next change by the clock has come, at most `limit`; returns how many.
    ///
    /// # Errors
    /// `Conflict` (retryable) when other writers were faster too often; what was marked before stays marked.
    pub async fn due_by_time(&self, limit: u64) -> Result<u64> {
        let (mut marked, mut tries) = (0u64, 0u32);
        while marked < limit {
            let page = u64::from((self.batch >> tries).max(1)).min(limit - marked);
            match self.due_page(u32::try_from(page).unwrap_or(u32::MAX)).await? {
                Some(0) => break,
                Some(count) => (marked, tries) = (marked + count, 0),
                None if tries < TRIES_MAX => tries += 1,
                None => return Err(conflict("other writers were faster each time")),
            }
        }
        Ok(marked)
    }

    /// One page; `None`: somebody else was faster.
    async fn due_page(&self, limit: u32) -> Result<Option<u64>> {
        let now = self.clock.now();
        let select = Select::AtMost("next_change_at", now.sortable());
        let (mut identities, _) =
            store::list_by::<Identity>(self.store, self.realm, select, None, limit).await?;
        // Planted: dates that came before this process are past.
        if planted::is(Defect::EndDateForgotten) {
            identities.retain(|identity| identity.value.next_change_at >= self.awake_since);
        }
        if identities.is_empty() {
            return Ok(Some(0));
        }
        let orders: Vec<String> = identities.iter().map(|identity| identity.value.order()).collect();
        let works = store::get_many::<Work>(self.store, self.realm, &orders).await?;
        let mut changes = Changes::in_realm(self.realm);
        let count = identities.len() as u64;
        for (mut identity, work) in identities.into_iter().zip(works) {
            let (lifecycle, next) = identity.value.lifecycle(now)?;
            // Which of several engagements leads may have changed.
            if let Cow::Owned(seen) = identity.value.as_of(now)? {
                identity.value = seen;
            }
            identity.value.next_change_at = next;
            // A plan made before that day is stale for this person.
            identity.value.version += 1;
            changes.replace(identity.version, &identity.value)?;
            Work::mark(&mut changes, work, &identity.value, lifecycle == Lifecycle::Terminated, now)?;
            let event = match lifecycle {
                Lifecycle::Terminated => "identity.terminated",
                _ => "identity.changed",
            };
            let mut entry = AuditEntry::new(self.realm, now, self.actor, event);
            entry.identity = Some(identity.value.id);
            entry.note = format!("{} by date", lifecycle.as_str());
            changes.append.push(entry.append()?);
        }
        Ok((self.store.commit(changes).await? == Commit::Committed).then_some(count))
    }
}
