//! Streams: appended in commit order, numbered.

use crate::error::Result;
use crate::id::RealmId;
use crate::store::{Append, Changes, Commit, Expect, Row, Store, Stream, Table};

fn append(stream: Stream, identity: Option<&str>, body: &str) -> Append {
    let columns = identity.map(|identity| ("identity", identity.to_owned())).into_iter().collect();
    Append { stream, columns, body: body.to_owned() }
}

fn bodies(rows: &[(u64, Row)]) -> Vec<&str> {
    rows.iter().map(|(_, row)| row.body.as_str()).collect()
}

/// Numbers grow in commit order; pages after a number go on where the last ended; refused commits leave nothing.
pub async fn stream_keeps_order(store: &dyn Store) -> Result<()> {
    let realm = RealmId::new("stream");
    for batch in [["1", "2"], ["3", "4"], ["5", "6"]] {
        let append = batch.map(|body| append(Stream::Audit, None, body)).to_vec();
        assert_eq!(store.commit(Changes { append, ..Changes::in_realm(&realm) }).await?, Commit::Committed);
        let refused = Changes {
            expect: vec![Expect::Version { table: Table::Meta, key: "no".into(), version: 1 }],
            append: vec![self::append(Stream::Audit, None, "refused")],
            ..Changes::in_realm(&realm)
        };
        assert!(matches!(store.commit(refused).await?, Commit::Conflict(_)));
    }
    let all = store.read_stream(&realm, Stream::Audit, 0, 100).await?;
    assert_eq!(bodies(&all), ["1", "2", "3", "4", "5", "6"]);
    assert!(all.is_sorted_by(|one, next| one.0 < next.0), "numbers grow: {all:?}");
    assert!(all.iter().all(|(number, row)| *number > 0 && row.key == number.to_string() && row.version == 1));
    let mut paged = Vec::new();
    let mut after = 0;
    loop {
        let page = store.read_stream(&realm, Stream::Audit, after, 4).await?;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        paged.extend(page);
    }
    assert_eq!(paged, all);
    assert!(store.read_stream(&realm, Stream::Audit, u64::MAX, 10).await?.is_empty());
    assert!(store.read_stream(&realm, Stream::Audit, 0, 0).await?.is_empty());
    assert!(store.read_stream(&realm, Stream::Outbox, 0, 10).await?.is_empty());
    Ok(())
}

/// A stream is trimmed up to a number, in its realm only and with the rest of the commit or not at all; numbers are
/// never given again. The audit is not trimmed.
pub async fn outbox_is_trimmed_and_counts_on(store: &dyn Store) -> Result<()> {
    let (realm, other) = (RealmId::new("stream-trim"), RealmId::new("stream-trim-other"));
    for of in [&realm, &other] {
        let append = ["1", "2", "3", "4"].map(|body| append(Stream::Outbox, Some("a"), body)).to_vec();
        assert_eq!(store.commit(Changes { append, ..Changes::in_realm(of) }).await?, Commit::Committed);
    }
    let all = store.read_stream(&realm, Stream::Outbox, 0, 9).await?;
    let numbers: Vec<u64> = all.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers.len(), 4, "rows of another realm, or none: {numbers:?}");
    let (second, last) = (numbers.get(1).copied().unwrap_or_default(), numbers.last().copied());
    let last = last.unwrap_or_default();
    let trim = |number: u64| Changes { trim: vec![(Stream::Outbox, number)], ..Changes::in_realm(&realm) };
    assert!(!trim(second).is_empty());
    let refused = vec![Expect::Version { table: Table::Meta, key: "no".into(), version: 1 }];
    let refused = Changes { expect: refused, ..trim(last) };
    assert!(matches!(store.commit(refused).await?, Commit::Conflict(_)));
    assert_eq!(store.read_stream(&realm, Stream::Outbox, 0, 9).await?, all, "nothing of a refused commit");
    assert_eq!(store.commit(trim(second)).await?, Commit::Committed);
    assert_eq!(bodies(&store.read_stream(&realm, Stream::Outbox, 0, 9).await?), ["3", "4"]);
    assert_eq!(
        bodies(&store.read_stream_by(&realm, Stream::Outbox, "identity", "a", 0, 9).await?),
        ["3", "4"]
    );
    let append = vec![append(Stream::Outbox, None, "5")];
    assert_eq!(store.commit(Changes { append, ..trim(last) }).await?, Commit::Committed);
    let left = store.read_stream(&realm, Stream::Outbox, 0, 9).await?;
    assert_eq!(bodies(&left), ["5"], "what the same commit appends stays");
    assert!(left.iter().all(|(number, _)| *number > last));
    assert_eq!(store.commit(trim(u64::MAX)).await?, Commit::Committed);
    let append = vec![self::append(Stream::Outbox, None, "6")];
    assert_eq!(store.commit(Changes { append, ..Changes::in_realm(&realm) }).await?, Commit::Committed);
    let next = store.read_stream(&realm, Stream::Outbox, 0, 9).await?;
    assert!(next.first().map(|(number, _)| *number) > left.first().map(|(number, _)| *number), "{next:?}");
    assert_eq!(store.read_stream(&other, Stream::Outbox, 0, 9).await?.len(), 4, "another realm's stay");
    let audit = Changes { trim: vec![(Stream::Audit, 1)], ..Changes::in_realm(&realm) };
    assert!(store.commit(audit).await.is_err(), "the audit is kept");
    Ok(())
}

/// Rows of a column's value, in order, in pages.
pub async fn stream_by_column_reads_its_rows(store: &dyn Store) -> Result<()> {
    let realm = RealmId::new("stream-by");
    let of = |identity, body| append(Stream::Outbox, identity, body);
    let rows =
        vec![of(Some("a"), "1"), of(Some("b"), "2"), of(None, "3"), of(Some("a"), "4"), of(Some("a"), "5")];
    store.commit(Changes { append: rows, ..Changes::in_realm(&realm) }).await?;
    let first = store.read_stream_by(&realm, Stream::Outbox, "identity", "a", 0, 2).await?;
    assert_eq!(bodies(&first), ["1", "4"]);
    let after = first.last().map_or(0, |(number, _)| *number);
    let rest = store.read_stream_by(&realm, Stream::Outbox, "identity", "a", after, 2).await?;
    assert_eq!(bodies(&rest), ["5"]);
    assert!(store.read_stream_by(&realm, Stream::Outbox, "identity", "", 0, 9).await?.is_empty());
    assert!(store.read_stream_by(&realm, Stream::Outbox, "no", "a", 0, 9).await.is_err());
    Ok(())
}
