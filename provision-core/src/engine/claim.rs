//! Claims: who works on which dirty identity, for how long. Leases go by the store's clock; fences refuse the late.

use std::time::Duration;

use super::Engine;
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::id::IdentityId;
use crate::model::{Lease, Work};
use crate::plan::order_of;
use crate::store::{self, Changes, Commit, Cursor, Expect, Select, Stored, Table};
use crate::value::Timestamp;

/// Tries against others who claim or mark the same rows.
const TRIES_MAX: u32 = 20;

/// What becomes of a claimed identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing is left to do until then; `None`: until something changes.
    Done(Option<Timestamp>),
    /// Look again then.
    Later(Timestamp),
    /// A person decides first; look again then at the latest.
    Parked(Timestamp),
}

impl Engine {
    /// Claims dirty identities that are due: leavers first, then the longest due.
    pub(super) async fn claim_due(&self, owner: &str, lease: Duration, limit: u32) -> Result<Vec<Work>> {
        let now = self.store().now().await?;
        let mut found = Vec::new();
        for urgent in [true, false] {
            let left = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
            if left == 0 {
                break;
            }
            let select = Select::AtMost("due", Work::due_column(urgent, now));
            // Urgent rows sort before the others, due or not: passed over in the second round.
            let after = (!urgent).then(|| Cursor { column: "0|\u{10FFFF}".to_owned(), key: String::new() });
            let (page, _) = store::list_by::<Work>(self.store(), &self.realm, select, after, left).await?;
            found.extend(page);
        }
        let claimed = self.claim(&found, owner, now.plus(lease)).await?;
        if claimed.is_some() || found.len() < 2 {
            return Ok(claimed.unwrap_or_default());
        }
        // Somebody else was faster with one of them: take those that are left.
        let mut claimed = Vec::new();
        for work in found {
            claimed.extend(self.claim(&[work], owner, now.plus(lease)).await?.unwrap_or_default());
        }
        Ok(claimed)
    }

    /// Claims one identity, dirty, parked or neither; `None` while somebody else has it.
    pub(super) async fn claim_one(
        &self,
        who: IdentityId,
        owner: &str,
        lease: Duration,
    ) -> Result<Option<Work>> {
        let Some(identity) = self.identity(who).await? else {
            return Err(super::find::nobody(&who.to_string()));
        };
        for _ in 0..TRIES_MAX {
            let now = self.store().now().await?;
            let Some(known) = store::get::<Work>(self.store(), &self.realm, &order_of(&identity)).await?
            else {
                self.mark_dirty(&[who]).await?;
                continue;
            };
            let leased = known.value.lease.as_ref().is_some_and(|lease| lease.until > now);
            if leased && !known.value.is_parked() {
                return Ok(None);
            }
            if let Some(mut claimed) = self.claim(&[known], owner, now.plus(lease)).await? {
                return Ok(claimed.pop());
            }
        }
        Err(busy())
    }

    /// Takes the rows as they were read; `None` when somebody else changed one of them.
    async fn claim(
        &self,
        found: &[Stored<Work>],
        owner: &str,
        until: Timestamp,
    ) -> Result<Option<Vec<Work>>> {
        if found.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let mut changes = Changes::in_realm(&self.realm);
        let mut claimed = Vec::with_capacity(found.len());
        for Stored { version, value } in found {
            let fence = value.fence + 1;
            let lease = Some(Lease { owner: owner.to_owned(), until, fence });
            let work = Work { lease, fence, ..value.clone() };
            changes.replace(*version, &work)?;
            claimed.push(work);
        }
        let committed = self.store().commit(changes).await? == Commit::Committed;
        Ok(committed.then_some(claimed))
    }

    /// Gives a claim back. A newer mark stays. False when the claim was lost: the lease ended and somebody else took
    /// the identity over, so that nothing is written.
    pub(super) async fn give_back(&self, claimed: &Work, rest: Rest) -> Result<bool> {
        let Some(lease) = &claimed.lease else { return Ok(false) };
        for _ in 0..TRIES_MAX {
            let known = store::get::<Work>(self.store(), &self.realm, &claimed.order).await?;
            let Some(Stored { version, value }) = known else { return Ok(false) };
            if value.lease.as_ref() != Some(lease) {
                return Ok(false);
            }
            let mut changes = Changes::in_realm(&self.realm);
            changes.expect.push(Expect::Column {
                table: Table::Work,
                key: claimed.order.clone(),
                column: "fence",
                value: lease.fence.to_string(),
            });
            let free = Work { lease: None, ..value };
            match rest {
                _ if free.generation != claimed.generation => changes.replace(version, &free)?,
                Rest::Done(None) => {
                    let key = claimed.order.clone();
                    changes.expect.push(Expect::Version { table: Table::Work, key: key.clone(), version });
                    changes.delete::<Work>(key);
                }
                Rest::Done(Some(at)) => {
                    changes.replace(version, &Work { due_at: at, urgent: false, ..free })?;
                }
                Rest::Later(at) => changes.replace(version, &Work { due_at: at, ..free })?,
                Rest::Parked(until) => changes.replace(version, &free.parked(until))?,
            }
            if self.store().commit(changes).await? == Commit::Committed {
                return Ok(true);
            }
        }
        Err(busy())
    }
}

fn busy() -> Error {
    Error::new(ErrorKind::Conflict, "others keep writing the same work row; try again")
        .with_effect(Effect::None)
}
