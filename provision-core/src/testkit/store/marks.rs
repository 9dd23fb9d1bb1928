//! Marks: read by key without the row.

use super::{row, write};
use crate::error::Result;
use crate::id::RealmId;
use crate::store::{Changes, Commit, MARK, Store, Table};

/// Whatever the order of the keys, however far apart they are, one asked for twice or not there at all. A store may
/// know no mark, but never a wrong one.
pub async fn marks_are_read_by_key(store: &dyn Store) -> Result<()> {
    let (realm, other) = (RealmId::new("marks"), RealmId::new("marks-other"));
    let record = |n: u32, mark: &str| row(Table::SourceRecord, &format!("hr/{n:03}"), &[(MARK, mark)], "{}");
    write(store, &realm, (0..100).map(|n| record(n, &format!("m{n}"))).collect()).await?;
    write(store, &other, vec![record(7, "other"), record(200, "other")]).await?;
    write(store, &realm, vec![record(7, "new"), row(Table::SourceRecord, "hr/008", &[], "{}")]).await?;
    let gone =
        Changes { delete: vec![(Table::SourceRecord, "hr/009".to_owned())], ..Changes::in_realm(&realm) };
    assert_eq!(store.commit(gone).await?, Commit::Committed);
    let expected = |n: u32| match n {
        7 => Some("new".to_owned()),
        8 | 9 | 100.. => None,
        n => Some(format!("m{n}")),
    };
    let in_order: Vec<u32> = (0..120).collect();
    let backwards: Vec<u32> = in_order.iter().rev().copied().collect();
    let sparse = vec![99, 3, 3, 150, 9, 60, 7, 8, 0, 99, 200];
    for asked in [in_order, backwards, sparse, Vec::new(), vec![300]] {
        let keys = asked.iter().map(|n| format!("hr/{n:03}")).collect();
        let found = store.marks(&realm, Table::SourceRecord, keys).await?;
        assert_eq!(found.len(), asked.len());
        for (n, found) in asked.into_iter().zip(found) {
            assert!(found.is_none() || found == expected(n), "{n}: {found:?}");
        }
    }
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let page = store.scan_marks(&realm, Table::SourceRecord, "hr/0", after, 7).await?;
        let full = page.len() == 7;
        after = page.last().map(|(key, _)| key.clone());
        pages.extend(page);
        if !full {
            break;
        }
    }
    let all: Vec<u32> = (0..100).filter(|n| *n != 9).collect();
    assert_eq!(pages.len(), all.len());
    for (n, (key, mark)) in all.into_iter().zip(pages) {
        assert_eq!(key, format!("hr/{n:03}"));
        assert!(mark.is_none() || mark == expected(n), "{key}: {mark:?}");
    }
    assert!(store.scan_marks(&other, Table::SourceRecord, "hs/", None, 7).await?.is_empty());
    Ok(())
}
