//! Dirty marks: which identities must be looked at.

use super::Engine;
use crate::error::Result;
use crate::id::IdentityId;
use crate::model::{Identity, Work};
use crate::plan::Planned;
use crate::planted::{self, Defect};
use crate::store::{self, Changes, Commit, Cursor, Expect, Select, Stored, Table};
use crate::value::Timestamp;

/// Identities marked in one commit.
const BATCH: u32 = 500;
/// Tries against others who mark the same identities.
const TRIES_MAX: u32 = 20;

impl Engine {
    /// Marks identities dirty, due now.
    pub(crate) async fn mark_dirty(&self, identities: &[IdentityId]) -> Result<()> {
        let keys: Vec<String> = identities.iter().map(ToString::to_string).collect();
        for keys in keys.chunks(BATCH as usize) {
            let found = store::get_many::<Identity>(self.store(), &self.realm, keys).await?;
            let found: Vec<Identity> = found.into_iter().flatten().map(|stored| stored.value).collect();
            self.mark(&found, self.now()).await?;
        }
        Ok(())
    }

    /// Marks everybody dirty: the policy or a target changed.
    pub(crate) async fn mark_all_dirty(&self) -> Result<()> {
        let mut cursor: Option<Cursor> = None;
        loop {
            let select = Select::KeyPrefix(String::new());
            let (page, next) =
                store::list_by::<Identity>(self.store(), &self.realm, select, cursor, BATCH).await?;
            let page: Vec<Identity> = page.into_iter().map(|stored| stored.value).collect();
            self.mark(&page, self.now()).await?;
            match next {
                Some(next) => cursor = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn mark(&self, identities: &[Identity], due_at: Timestamp) -> Result<()> {
        for _ in 0..TRIES_MAX {
            if identities.is_empty() {
                return Ok(());
            }
            let mut changes = Changes::in_realm(&self.realm);
            let keys: Vec<String> = identities.iter().map(Identity::order).collect();
            let known = store::get_many::<Work>(self.store(), &self.realm, &keys).await?;
            for (identity, known) in identities.iter().zip(known) {
                let urgent = identity.has_left(self.now()).unwrap_or(false);
                Work::mark(&mut changes, known, identity, urgent, due_at)?;
            }
            if self.store().commit(changes).await? == Commit::Committed {
                return Ok(());
            }
        }
        Err(crate::Error::new(
            crate::ErrorKind::Conflict,
            "others keep marking the same identities; try again",
        )
        .with_effect(crate::Effect::None))
    }

    /// A page of the dirty identities that are due, claimed or parked ones too, and where to go on: the longest due
    /// first, and those due since the same instant by source and key. What is not due is not read.
    pub(crate) async fn due_work(
        &self,
        now: Timestamp,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<(Vec<Work>, Option<Cursor>)> {
        let select = Select::AtMost("ready", now.sortable());
        let (page, next) = store::list_by::<Work>(self.store(), &self.realm, select, after, limit).await?;
        Ok((page.into_iter().map(|stored| stored.value).collect(), next))
    }

    /// How many identities are dirty and due.
    pub(crate) async fn due_count(&self, now: Timestamp) -> Result<u64> {
        let urgent = Select::AtMost("due", Work::due_column(true, now));
        let all = Select::AtMost("due", Work::due_column(false, now));
        let urgent_all = Select::ColumnPrefix("due", "0|".to_owned());
        let count = |select| store::count_by::<Work>(self.store(), &self.realm, select);
        Ok(count(urgent).await? + count(all).await?.saturating_sub(count(urgent_all).await?))
    }

    /// The work is done as far as a plan saw it: the row goes, or waits for the next change by the clock, or for the
    /// end of what kept the plan from doing all of it. A newer mark stays.
    pub(crate) fn finish_work(
        changes: &mut Changes,
        known: Option<&Stored<Work>>,
        planned: &Planned,
        now: Timestamp,
    ) -> Result<()> {
        let Some(Stored { version, value }) = known else { return Ok(()) };
        // Planted: nobody asks for newer marks.
        let any = planted::is(Defect::DirtyClearedAfterNewerChange);
        let seen = planned.work.as_ref().is_some_and(|(_, seen)| any || *seen == value.generation);
        if !seen || planned.left.is_some_and(|at| at <= now) {
            return Ok(());
        }
        // Planted: the process remembers the date.
        let date = planned.next_change_at.filter(|_| !planted::is(Defect::EndDateForgotten));
        match Timestamp::earliest(date, planned.left) {
            Some(at) => {
                let urgent = value.urgent && planned.left.is_some();
                let waiting = Work { due_at: at, urgent, lease: None, ..value.clone() };
                changes.replace(*version, &waiting)
            }
            None => {
                let key = value.order.clone();
                changes.expect.push(Expect::Version {
                    table: Table::Work,
                    key: key.clone(),
                    version: *version,
                });
                changes.delete::<Work>(key);
                Ok(())
            }
        }
    }
}
