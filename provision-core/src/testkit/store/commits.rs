//! Commits: atomic, fenced, unique.

use super::{one, row, write};
use crate::error::{Effect, ErrorKind, Result};
use crate::id::RealmId;
use crate::store::{Append, Changes, Commit, Conflict, Expect, Put, Row, Select, Store, Stream, Table};

/// Rows come back in the order of the keys asked for; each write adds one to the version.
pub async fn commit_writes_rows_and_counts_versions(store: &dyn Store) -> Result<()> {
    let realm = RealmId::new("commit-versions");
    let rows = vec![row(Table::Identity, "b", &[], "{\"n\":1}"), row(Table::Identity, "a", &[], "{}")];
    write(store, &realm, rows).await?;
    write(store, &realm, vec![row(Table::Identity, "b", &[], "{\"n\":2}")]).await?;
    let twice = vec![row(Table::Identity, "c", &[], "1"), row(Table::Identity, "c", &[], "2")];
    write(store, &realm, twice).await?;
    let keys = ["b", "none", "a", "b", "c"].map(str::to_owned);
    let found = store.get(&realm, Table::Identity, &keys).await?;
    let expected =
        |key: &str, version, body: &str| Some(Row { key: key.to_owned(), version, body: body.to_owned() });
    let b = expected("b", 2, "{\"n\":2}");
    assert_eq!(found, [b.clone(), None, expected("a", 1, "{}"), b, expected("c", 2, "2")]);
    assert!(store.get(&realm, Table::Identity, &[]).await?.is_empty());
    assert!(store.get(&realm, Table::Link, &keys).await?.iter().all(Option::is_none));

    let changes = Changes { delete: vec![(Table::Identity, "b".into())], ..Changes::in_realm(&realm) };
    assert_eq!(store.commit(changes.clone()).await?, Commit::Committed);
    assert_eq!(store.commit(changes).await?, Commit::Committed, "deleting what is not there is fine");
    write(store, &realm, vec![row(Table::Identity, "b", &[], "3")]).await?;
    assert_eq!(one(store, &realm, Table::Identity, "b").await?, expected("b", 1, "3"));
    Ok(())
}

/// For each kind of conflict: it is reported, and not one of the other changes is there.
pub async fn conflict_writes_nothing(store: &dyn Store) -> Result<()> {
    let realm = RealmId::new("conflict");
    let (identity, work) = (Table::Identity, Table::Work);
    let taken = row(identity, "there", &[("source_key", "k1")], "{}");
    write(store, &realm, vec![taken, row(work, "fenced", &[("fence", "7")], "{}")]).await?;
    let there = || "there".to_owned();
    let refused = [
        (Expect::Version { table: identity, key: there(), version: 2 }, identity, "there"),
        (Expect::Version { table: identity, key: "no".into(), version: 1 }, identity, "no"),
        (Expect::Version { table: identity, key: "no".into(), version: 0 }, identity, "no"),
        (Expect::Absent { table: identity, key: there() }, identity, "there"),
        (column(work, "fenced", "8"), work, "fenced"),
        (column(work, "no", "7"), work, "no"),
        (
            Expect::Column { table: work, key: "fenced".into(), column: "due", value: "".into() },
            work,
            "fenced",
        ),
    ];
    for (expect, table, key) in refused {
        let changes = Changes { expect: vec![expect.clone()], ..busy_changes(&realm) };
        let conflict = Conflict::Expectation { table, key: key.to_owned() };
        assert_eq!(store.commit(changes).await?, Commit::Conflict(conflict), "{expect:?}");
        assert_untouched(store, &realm).await?;
    }
    let mut changes = busy_changes(&realm);
    changes.put.push(row(identity, "other", &[("source_key", "k2")], "{}"));
    let conflict = Conflict::Unique { table: identity, column: "source_key", key: "other".into() };
    assert_eq!(store.commit(changes).await?, Commit::Conflict(conflict));
    assert_untouched(store, &realm).await?;

    let held = vec![
        Expect::Version { table: identity, key: there(), version: 1 },
        Expect::Absent { table: identity, key: "no".into() },
        column(work, "fenced", "7"),
    ];
    let only_checks = Changes { expect: held.clone(), ..Changes::in_realm(&realm) };
    assert_eq!(store.commit(only_checks).await?, Commit::Committed);
    assert_eq!(store.commit(Changes { expect: held, ..busy_changes(&realm) }).await?, Commit::Committed);
    assert_eq!(one(store, &realm, work, "fenced").await?, None);
    assert_eq!(store.read_stream(&realm, Stream::Audit, 0, 10).await?.len(), 1);
    Ok(())
}

fn column(table: Table, key: &str, value: &str) -> Expect {
    Expect::Column { table, key: key.to_owned(), column: "fence", value: value.to_owned() }
}

/// Touches every kind of row.
fn busy_changes(realm: &RealmId) -> Changes {
    Changes {
        put: vec![
            row(Table::Identity, "there", &[("source_key", "k2")], "changed"),
            row(Table::Link, "new", &[("target", "t")], "{}"),
        ],
        delete: vec![(Table::Work, "fenced".into())],
        append: vec![Append { stream: Stream::Audit, columns: Vec::new(), body: "{}".into() }],
        ..Changes::in_realm(realm)
    }
}

async fn assert_untouched(store: &dyn Store, realm: &RealmId) -> Result<()> {
    let there = one(store, realm, Table::Identity, "there").await?;
    assert_eq!(there.map(|row| (row.version, row.body)), Some((1, "{}".to_owned())));
    let by_key = Select::Equal("source_key", "k1".into());
    assert_eq!(store.count(realm, Table::Identity, &by_key).await?, 1, "the index is as before");
    assert_eq!(store.count(realm, Table::Identity, &Select::KeyPrefix(String::new())).await?, 1);
    assert_eq!(one(store, realm, Table::Link, "new").await?, None);
    assert!(one(store, realm, Table::Work, "fenced").await?.is_some());
    assert!(store.read_stream(realm, Stream::Audit, 0, 10).await?.is_empty());
    Ok(())
}

/// A put replaces all columns: those it does not give have no value.
pub async fn columns_are_replaced(store: &dyn Store) -> Result<()> {
    let realm = RealmId::new("columns");
    let link = Table::Link;
    write(store, &realm, vec![row(link, "l", &[("identity", "i"), ("target", "t")], "1")]).await?;
    write(store, &realm, vec![row(link, "l", &[("target", "u")], "2")]).await?;
    for (column, value, count) in [("identity", "i", 0), ("target", "t", 0), ("target", "u", 1)] {
        let select = Select::Equal(column, value.to_owned());
        assert_eq!(store.count(&realm, link, &select).await?, count, "{column} = {value}");
    }
    // A row without a value is in no range of the column.
    assert_eq!(store.count(&realm, link, &Select::AtMost("identity", "\u{10FFFF}".into())).await?, 0);
    assert_eq!(store.count(&realm, link, &Select::ColumnPrefix("identity", String::new())).await?, 0);
    Ok(())
}

/// A unique value belongs to one row of a realm, and moves when its row gives it up.
pub async fn unique_columns_hold_one_row(store: &dyn Store) -> Result<()> {
    let realm = RealmId::new("unique");
    let put = |key: &str, object: &[(&'static str, &str)]| row(Table::Link, key, object, "{}");
    write(store, &realm, vec![put("a", &[("object", "o")]), put("n1", &[]), put("n2", &[])]).await?;
    write(store, &realm, vec![put("a", &[("object", "o")])]).await?;
    write(store, &RealmId::new("unique-elsewhere"), vec![put("b", &[("object", "o")])]).await?;
    let twice = Changes {
        put: vec![put("c", &[("object", "p")]), put("d", &[("object", "p")])],
        ..Changes::in_realm(&realm)
    };
    let conflict = |key: &str| {
        Commit::Conflict(Conflict::Unique { table: Table::Link, column: "object", key: key.into() })
    };
    assert_eq!(store.commit(twice).await?, conflict("d"));
    let steal = Changes { put: vec![put("n1", &[("object", "o")])], ..Changes::in_realm(&realm) };
    assert_eq!(store.commit(steal).await?, conflict("n1"), "an existing row cannot take it either");
    write(store, &realm, vec![put("a", &[]), put("n1", &[("object", "o")])]).await?;
    let holder = Select::Equal("object", "o".into());
    assert_eq!(store.count(&realm, Table::Link, &holder).await?, 1);
    assert_eq!(store.count(&realm, Table::Link, &Select::KeyPrefix(String::new())).await?, 3);
    Ok(())
}

/// Deletes happen before puts: a unique value is free, and a key begins anew.
pub async fn deletes_come_first(store: &dyn Store) -> Result<()> {
    let realm = RealmId::new("deletes");
    let put = |key: &str| row(Table::Link, key, &[("object", "o")], key);
    write(store, &realm, vec![put("a")]).await?;
    let replace = Changes {
        expect: vec![Expect::Version { table: Table::Link, key: "a".into(), version: 1 }],
        put: vec![put("b")],
        delete: vec![(Table::Link, "a".into())],
        ..Changes::in_realm(&realm)
    };
    assert_eq!(store.commit(replace).await?, Commit::Committed);
    let again = Changes {
        put: vec![put("b"), put("b")],
        delete: vec![(Table::Link, "b".into())],
        ..Changes::in_realm(&realm)
    };
    assert_eq!(store.commit(again).await?, Commit::Committed);
    assert_eq!(one(store, &realm, Table::Link, "a").await?, None);
    assert_eq!(one(store, &realm, Table::Link, "b").await?.map(|row| row.version), Some(2));
    Ok(())
}

/// Wrong columns and a missing realm are errors with effect `None`; nothing at all is fine.
pub async fn changes_that_make_no_sense_are_refused(store: &dyn Store) -> Result<()> {
    let realm = RealmId::new("nonsense");
    assert_eq!(store.commit(Changes::default()).await?, Commit::Committed);
    let wrong = [
        Changes { put: vec![row(Table::Meta, "k", &[], "{}")], ..Changes::default() },
        Changes { put: vec![row(Table::Meta, "k", &[("identity", "i")], "{}")], ..Changes::in_realm(&realm) },
        Changes {
            put: vec![row(Table::Link, "k", &[("target", "t"), ("target", "u")], "{}")],
            ..Changes::in_realm(&realm)
        },
        Changes { expect: vec![column(Table::Meta, "k", "1")], ..Changes::in_realm(&realm) },
    ];
    for changes in wrong {
        match store.commit(changes.clone()).await {
            Err(error) => assert_eq!((error.kind(), error.effect()), (ErrorKind::Unexpected, Effect::None)),
            Ok(commit) => assert_eq!(format!("{commit:?}"), "an error", "{changes:?}"),
        }
    }
    assert!(store.count(&realm, Table::Link, &Select::Equal("no", String::new())).await.is_err());
    assert!(!store.realms().await?.contains(&realm));
    Ok(())
}

/// Keys, columns, bodies and realms may be any text.
pub async fn hostile_text_comes_back(store: &dyn Store) -> Result<()> {
    let long = "x".repeat(4096);
    let texts = [
        "",
        "\0",
        "a\0b",
        "a",
        "line\nfeed\r",
        "'; DROP TABLE link; --",
        "\"quoted\"",
        "%_*?[a]",
        "🦀👩‍👩‍👧",
        "\u{202E}rtl",
        "\u{FFFF}\u{10FFFF}",
        "é",
        "e\u{301}",
        long.as_str(),
    ];
    for realm in ["hostile", "hostile\0", "hostile' \" 🦀\n"].map(RealmId::new) {
        let rows: Vec<Put> = texts
            .iter()
            .map(|text| row(Table::Link, text, &[("object", text), ("target", text)], text))
            .collect();
        write(store, &realm, rows).await?;
        let keys = texts.map(str::to_owned);
        let found = store.get(&realm, Table::Link, &keys).await?;
        for (text, row) in texts.iter().zip(found) {
            let row = row.map(|row| (row.key, row.body));
            assert_eq!(row, Some(((*text).to_owned(), (*text).to_owned())), "{text:?}");
            for select in [Select::Equal("target", (*text).into()), Select::Equal("object", (*text).into())] {
                assert_eq!(store.count(&realm, Table::Link, &select).await?, 1, "{select:?}");
            }
            let with_prefix = texts.iter().filter(|other| other.starts_with(text)).count();
            for select in [Select::KeyPrefix((*text).into()), Select::ColumnPrefix("object", (*text).into())]
            {
                let count = store.count(&realm, Table::Link, &select).await?;
                assert_eq!(usize::try_from(count).ok(), Some(with_prefix), "{select:?}");
            }
        }
        assert!(store.realms().await?.contains(&realm));
    }
    Ok(())
}

/// No operation of one realm sees or touches another's rows.
pub async fn realms_are_apart(store: &dyn Store) -> Result<()> {
    let (left, right) = (RealmId::new("apart-left"), RealmId::new("apart-right"));
    write(store, &left, vec![row(Table::Link, "k", &[("target", "t")], "left")]).await?;
    write(store, &right, vec![row(Table::Link, "k", &[("target", "t")], "right")]).await?;
    let append =
        Append { stream: Stream::Outbox, columns: vec![("identity", "i".into())], body: "left".into() };
    store.commit(Changes { append: vec![append], ..Changes::in_realm(&left) }).await?;
    assert_eq!(store.count(&left, Table::Link, &Select::Equal("target", "t".into())).await?, 1);
    assert!(store.read_stream(&right, Stream::Outbox, 0, 10).await?.is_empty());
    assert!(store.read_stream_by(&right, Stream::Outbox, "identity", "i", 0, 10).await?.is_empty());
    let delete = Changes { delete: vec![(Table::Link, "k".into())], ..Changes::in_realm(&right) };
    store.commit(delete).await?;
    assert_eq!(one(store, &left, Table::Link, "k").await?.map(|row| row.body), Some("left".to_owned()));
    let realms = store.realms().await?;
    assert!(realms.contains(&left) && !realms.contains(&right), "a realm without rows is gone: {realms:?}");
    Ok(())
}

/// Many writers that read, add one and write with the version they read: the sum is exact.
pub async fn counters_lose_no_increment(store: &dyn Store) -> Result<()> {
    let realm = RealmId::new("counter");
    let writers = (0..16).map(|_| increment(store, &realm, "n", 10));
    futures_util::future::try_join_all(writers).await?;
    let total = one(store, &realm, Table::Meta, "n").await?;
    assert_eq!(total.map(|row| (row.version, row.body)), Some((160, "160".to_owned())));
    Ok(())
}

/// Adds one to a counter, `times` times, starting over whenever somebody else was faster.
pub async fn increment(store: &dyn Store, realm: &RealmId, key: &str, times: u32) -> Result<()> {
    for _ in 0..times {
        loop {
            let found = one(store, realm, Table::Meta, key).await?;
            let count: u64 = found.as_ref().and_then(|row| row.body.parse().ok()).unwrap_or(0);
            let expect = match &found {
                Some(row) => Expect::Version { table: Table::Meta, key: key.into(), version: row.version },
                None => Expect::Absent { table: Table::Meta, key: key.into() },
            };
            let put = vec![row(Table::Meta, key, &[], &(count + 1).to_string())];
            let changes = Changes { expect: vec![expect], put, ..Changes::in_realm(realm) };
            if store.commit(changes).await? == Commit::Committed {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// A commit of many rows is there as a whole, and a conflict in its last row takes back all.
pub async fn large_commit_is_whole(store: &dyn Store) -> Result<()> {
    let realm = RealmId::new("large");
    let put = |n: u32| row(Table::Link, &format!("k{n:05}"), &[("object", &format!("o{n}"))], "{}");
    let mut changes = Changes { put: (0..3000).map(put).collect(), ..Changes::in_realm(&realm) };
    changes.put.push(row(Table::Link, "last", &[("object", "o7")], "{}"));
    assert!(matches!(store.commit(changes.clone()).await?, Commit::Conflict(_)));
    let all = Select::KeyPrefix(String::new());
    assert_eq!(store.count(&realm, Table::Link, &all).await?, 0);
    changes.put.pop();
    assert_eq!(store.commit(changes).await?, Commit::Committed);
    assert_eq!(store.count(&realm, Table::Link, &all).await?, 3000);
    let keys: Vec<String> = (0..3001).map(|n| format!("k{n:05}")).collect();
    let found = store.get(&realm, Table::Link, &keys).await?;
    assert_eq!(found.iter().filter(|row| row.is_some()).count(), 3000);
    Ok(())
}
