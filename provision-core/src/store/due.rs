//! Realms in which something is due, found without visiting each realm.

use super::{Cursor, Scan, Select, Store, Table};
use crate::error::Result;
use crate::id::RealmId;

/// Asks in which realms a row is due: its column starts with the prefix and is at most this value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The table.
    pub table: Table,
    /// The column; one by which realms are found ([`super::IndexSpec::across`]).
    pub column: &'static str,
    /// How its values start.
    pub prefix: String,
    /// The last value that is due; it starts with the prefix.
    pub at_most: String,
    /// Realms after this one; `None`: from the first.
    pub after: Option<RealmId>,
    /// At most this many realms.
    pub limit: u32,
}

/// Realms in which something is due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DueRealms {
    /// In order, each once.
    pub realms: Vec<RealmId>,
    /// After which realm to go on; `None`: those were all.
    pub next: Option<RealmId>,
    /// The least value of any realm that starts with the prefix and is not due yet. `None` where there is none, or
    /// where the store does not tell: look again from time to time.
    pub later: Option<String>,
}

impl DueRealms {
    /// A page of realms that are in order, of which one more than asked for may be there.
    pub(super) fn page(mut realms: Vec<RealmId>, limit: u32, later: Option<String>) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = realms.len() > limit;
        realms.truncate(limit);
        let next = realms.last().filter(|_| more).cloned();
        Self { realms, next, later }
    }
}

/// What [`Store::due_realms`] answers where a store has no index for it: every realm is visited.
pub(super) async fn visit(store: &(impl Store + ?Sized), due: &Due) -> Result<DueRealms> {
    let mut found = Vec::new();
    for realm in store.realms().await? {
        if due.after.as_ref().is_some_and(|after| realm <= *after) {
            continue;
        }
        let scan = Scan {
            realm: realm.clone(),
            table: due.table,
            select: Select::AtMost(due.column, due.at_most.clone()),
            after: Some(Cursor { column: due.prefix.clone(), key: String::new() }),
            limit: 1,
        };
        if !store.scan(&scan).await?.rows.is_empty() {
            found.push(realm);
        }
        if found.len() > usize::try_from(due.limit).unwrap_or(usize::MAX) {
            break;
        }
    }
    Ok(DueRealms::page(found, due.limit, None))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::runtime::SystemClock;
    use crate::store::{Changes, MemoryStore, Put};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Visiting every realm finds those that the index finds.
        #[test]
        fn visits_find_what_an_index_finds(
            rows in prop::collection::vec((0u8..6, 0u8..8, 0u8..5), 0..30),
            (prefix, most, after, limit) in ("[01]?", 0u8..5, prop::option::of(0u8..6), 1u32..5),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let store = MemoryStore::new(Arc::new(SystemClock));
                for (realm, key, value) in rows {
                    let columns = vec![("due", format!("{}{value}", key % 2))];
                    let put =
                        Put { table: Table::Work, key: key.to_string(), columns, body: "{}".to_owned() };
                    let mut changes = Changes::in_realm(&RealmId::new(realm.to_string()));
                    changes.put.push(put);
                    store.commit(changes).await.unwrap();
                }
                let due = Due {
                    table: Table::Work,
                    column: "due",
                    at_most: format!("{prefix}{most}"),
                    prefix,
                    after: after.map(|after| RealmId::new(after.to_string())),
                    limit,
                };
                let visited = visit(&store, &due).await.unwrap();
                let found = store.due_realms(std::slice::from_ref(&due)).await.unwrap().remove(0);
                prop_assert_eq!((visited.realms, visited.next), (found.realms, found.next));
                Ok(())
            })?;
        }
    }
}
