//! Scans: ordered pages without gap.

use super::{row, write};
use crate::error::Result;
use crate::id::RealmId;
use crate::store::{Cursor, Put, Scan, Select, Store, Table};

/// More pages than any case has rows: a store that goes round in circles is stopped.
const PAGES: u32 = 1000;

/// All keys of a select, read page by page.
async fn keys_of(
    store: &dyn Store,
    realm: &RealmId,
    table: Table,
    select: &Select,
    limit: u32,
) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    let mut after = None;
    for _ in 0..PAGES {
        let scan = Scan { realm: realm.clone(), table, select: select.clone(), after, limit };
        let page = store.scan(&scan).await?;
        assert!(page.rows.len() <= usize::try_from(limit).unwrap_or(usize::MAX));
        assert!(page.next.is_none() || !page.rows.is_empty(), "a page that goes on has rows");
        keys.extend(page.rows.into_iter().map(|row| row.key));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(after, None, "pages of {select:?} never end");
    Ok(keys)
}

/// Each select reads its rows and no other, in its order, whatever the page size; a full last page has no next.
pub async fn scan_selects_in_order(store: &dyn Store) -> Result<()> {
    let realm = RealmId::new("scan");
    let link = |key: &str, target: &str, object: &str| {
        row(Table::Link, key, &[("target", target), ("object", object)], "{}")
    };
    let rows = vec![
        link("d", "t1", "o4"),
        link("a/1", "t2", "o1"),
        link("a/2", "t1", "o3"),
        link("a", "t10", "p2"),
        link("b", "u", "p1"),
        row(Table::Link, "bare", &[], "{}"),
    ];
    write(store, &realm, rows).await?;
    let cases: [(Select, &[&str]); 12] = [
        (Select::KeyPrefix(String::new()), &["a", "a/1", "a/2", "b", "bare", "d"]),
        (Select::KeyPrefix("a/".into()), &["a/1", "a/2"]),
        (Select::KeyPrefix("zz".into()), &[]),
        (Select::Equal("target", "t1".into()), &["a/2", "d"]),
        (Select::Equal("object", "o4".into()), &["d"]),
        (Select::Equal("target", "T1".into()), &[]),
        (Select::AtMost("target", "t2".into()), &["a/2", "d", "a", "a/1"]),
        (Select::AtMost("target", "".into()), &[]),
        (Select::AtMost("object", "p1".into()), &["a/1", "a/2", "d", "b"]),
        (Select::ColumnPrefix("target", "t1".into()), &["a/2", "d", "a"]),
        (Select::ColumnPrefix("target", "".into()), &["a/2", "d", "a", "a/1", "b"]),
        (Select::ColumnPrefix("object", "p".into()), &["b", "a"]),
    ];
    for (select, expected) in cases {
        for limit in [1, 2, 3, 100, u32::MAX] {
            assert_eq!(keys_of(store, &realm, Table::Link, &select, limit).await?, expected, "{select:?}");
        }
    }
    let full = Scan {
        realm,
        table: Table::Link,
        select: Select::Equal("target", "t1".into()),
        after: None,
        limit: 2,
    };
    assert_eq!(store.scan(&full).await?.next, None);
    let other = Scan { select: Select::KeyPrefix("a/".into()), ..full.clone() };
    let pages = store.scan_all(&[full.clone(), other.clone()]).await?;
    assert_eq!(pages, [store.scan(&full).await?, store.scan(&other).await?]);
    assert!(store.scan_all(&[other, Scan { limit: 0, ..full.clone() }]).await.is_err());
    assert!(store.scan(&Scan { limit: 0, ..full }).await.is_err());
    Ok(())
}

/// Scans asked together are answered as if each had been asked alone, whatever they have in common.
pub async fn scans_asked_together_are_those_asked_alone(store: &dyn Store) -> Result<()> {
    let realms = ["scan-together", "scan-together-2"].map(RealmId::new);
    for realm in &realms {
        let put = |n: u32| {
            let target = format!("t{}", n % 5);
            let columns = [("target", target.as_str()), ("identity", "i")];
            row(Table::Link, &format!("k{:02}", 29 - n), &columns, &format!("{{\"n\":{n}}}"))
        };
        write(store, realm, (0..30).map(put).collect::<Vec<Put>>()).await?;
    }
    let mut scans = Vec::new();
    for value in ["t3", "t0", "t3", "nobody", "", "t1\0", "t4"] {
        for (realm, limit) in [(&realms[0], 2), (&realms[1], 2), (&realms[0], 6), (&realms[0], 100)] {
            let select = Select::Equal("target", value.to_owned());
            let first = Scan { realm: realm.clone(), table: Table::Link, select, after: None, limit };
            let after = Some(Cursor { column: String::new(), key: "k12".to_owned() });
            let select = Select::Equal("identity", "i".to_owned());
            scans.push(Scan { select, ..first.clone() });
            scans.push(Scan { after, ..first.clone() });
            scans.push(first);
        }
    }
    let together = store.scan_all(&scans).await?;
    assert_eq!(together.len(), scans.len());
    for (scan, page) in scans.iter().zip(together) {
        assert_eq!(page, store.scan(scan).await?, "{scan:?}");
    }
    assert_eq!(store.scan_all(&[]).await?, []);
    Ok(())
}

/// While rows are written before, at and after the cursor, a reader skips and repeats none of the rows that stay.
pub async fn scan_pages_without_gap_under_inserts(store: &dyn Store) -> Result<()> {
    let realm = RealmId::new("scan-inserts");
    let due = |n: u32| format!("{:03}", n / 3);
    let stays = |n: u32| row(Table::Work, &format!("k{n:03}"), &[("due", &due(n)), ("identity", "i")], "{}");
    write(store, &realm, (0..60).map(stays).collect::<Vec<Put>>()).await?;
    let selects = [
        Select::KeyPrefix("k".into()),
        Select::Equal("identity", "i".into()),
        Select::AtMost("due", "999".into()),
        Select::ColumnPrefix("due", "0".into()),
    ];
    for (pass, select) in selects.into_iter().enumerate() {
        let mut seen = Vec::new();
        let mut after: Option<Cursor> = None;
        for _ in 0..PAGES {
            let scan =
                Scan { realm: realm.clone(), table: Table::Work, select: select.clone(), after, limit: 7 };
            let page = store.scan(&scan).await?;
            seen.extend(page.rows.into_iter().map(|row| row.key));
            after = page.next;
            let Some(cursor) = &after else { break };
            // Around the cursor: one before it, one after it, and the row of the cursor itself again.
            let extra = [format!("{}-{pass}", cursor.key), format!("a-{pass}-{}", cursor.key)];
            let mut rows: Vec<Put> = extra
                .iter()
                .map(|key| row(Table::Work, key, &[("due", "00"), ("identity", "i")], "{}"))
                .collect();
            rows.extend(cursor.key.get(1..4).and_then(|n| n.parse().ok()).filter(|n| *n < 60).map(stays));
            write(store, &realm, rows).await?;
        }
        assert_eq!(after, None, "pages of {select:?} never end");
        let stayed: Vec<_> = seen.iter().filter(|key| key.len() == 4).cloned().collect();
        let expected: Vec<_> = (0..60).map(|n| format!("k{n:03}")).collect();
        assert_eq!(stayed, expected, "{select:?}");
        let mut distinct = seen.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), seen.len(), "{select:?} repeats a row");
    }
    Ok(())
}

/// The count of a select is the number of rows a scan of it reads.
pub async fn scan_counts_what_it_reads(store: &dyn Store) -> Result<()> {
    let realm = RealmId::new("scan-count");
    let put = |n: u32| {
        let target = (n % 4).to_string();
        row(Table::Link, &format!("{}/{n}", n % 7), &[("target", &target), ("object", &n.to_string())], "{}")
    };
    write(store, &realm, (0..200).map(put).collect::<Vec<Put>>()).await?;
    for select in [
        Select::KeyPrefix(String::new()),
        Select::KeyPrefix("3/".into()),
        Select::Equal("target", "1".into()),
        Select::Equal("target", "9".into()),
        Select::AtMost("target", "2".into()),
        Select::AtMost("object", "15".into()),
        Select::ColumnPrefix("object", "1".into()),
    ] {
        let read = keys_of(store, &realm, Table::Link, &select, 9).await?.len();
        let count = store.count(&realm, Table::Link, &select).await?;
        assert_eq!(usize::try_from(count).ok(), Some(read), "{select:?}");
    }
    Ok(())
}
