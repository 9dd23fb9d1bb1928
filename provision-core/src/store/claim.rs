//! Claims: rows that one of many takes.

use super::{Changes, Commit, Cursor, Expect, Put, Row, Scan, Select, Store, Table};
use crate::error::Result;
use crate::id::RealmId;

/// Which rows are to be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The realm.
    pub realm: RealmId,
    /// The table.
    pub table: Table,
    /// Rows after a cursor; those of the first select go before those of the second. No row is of two of them.
    pub pages: Vec<(Select, Option<Cursor>)>,
    /// At most so many rows in all.
    pub limit: u32,
}

/// What becomes of a row that is taken: the same key, written whole. Called while others wait: it only computes.
pub type Take<'a> = &'a (dyn Fn(&Row) -> Result<Put> + Send + Sync);

/// What [`Store::claim`] does where a store has no locks of rows: it reads, and writes what nobody has changed since.
pub(super) async fn optimistic(
    store: &(impl Store + ?Sized),
    claim: &Claim,
    take: Take<'_>,
) -> Result<Option<Vec<Put>>> {
    let mut changes = Changes::in_realm(&claim.realm);
    for (select, after) in &claim.pages {
        let taken = u32::try_from(changes.put.len()).unwrap_or(u32::MAX);
        let limit = claim.limit.saturating_sub(taken);
        if limit == 0 {
            break;
        }
        let (realm, table) = (claim.realm.clone(), claim.table);
        let page = Scan { realm, table, select: select.clone(), after: after.clone(), limit };
        for row in store.scan(&page).await?.rows {
            changes.put.push(take(&row)?);
            changes.expect.push(Expect::Version { table, key: row.key, version: row.version });
        }
    }
    let taken = changes.put.clone();
    if taken.is_empty() {
        return Ok(Some(taken));
    }
    Ok((store.commit(changes).await? == Commit::Committed).then_some(taken))
}
