//! Commits of several connections at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::{join_all, try_join_all};
use provision_core::id::RealmId;
use provision_core::store::{Append, Changes, Commit, Conflict, Expect, Put, Select, Store, Stream, Table};
use provision_core::testkit::store::row;

use crate::fixture::realm;
use crate::postgres_fixture::fresh;

fn absent(key: &str) -> Expect {
    Expect::Absent { table: Table::Meta, key: key.to_owned() }
}

fn meta(key: &str) -> Put {
    row(Table::Meta, key, &[], "{}")
}

fn event(body: &str) -> Append {
    Append { stream: Stream::Outbox, columns: Vec::new(), body: body.to_owned() }
}

async fn there(store: &dyn Store, key: &str) -> bool {
    store.get(&realm(), Table::Meta, &[key.to_owned()]).await.unwrap().remove(0).is_some()
}

/// Each of two writes its row only while the other's is not there: one of them wins, whatever the moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_that_exclude_each_other_one_is_there() {
    let (store, _) = fresh().await;
    let mut both_refused = 0;
    for round in 0..60 {
        let (left, right) = (format!("left-{round}"), format!("right-{round}"));
        let changes = |mine: &str, other: &str| Changes {
            expect: vec![absent(other), absent(mine)],
            put: vec![meta(mine)],
            ..Changes::in_realm(&realm())
        };
        let answers =
            join_all([changes(&left, &right), changes(&right, &left)].map(|c| store.commit(c))).await;
        let there = [there(&store, &left).await, there(&store, &right).await];
        assert!(there != [true, true], "round {round}: {answers:?}");
        both_refused += usize::from(there == [false, false]);
        for (answer, there) in answers.into_iter().zip(there) {
            assert_eq!(answer.unwrap() == Commit::Committed, there);
        }
    }
    assert!(both_refused < 30, "they do get on");
}

/// Many insert the same key; exactly one is told that it did.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_inserts_a_key() {
    let (store, _) = fresh().await;
    for round in 0..20 {
        let key = format!("k{round}");
        let changes =
            Changes { expect: vec![absent(&key)], put: vec![meta(&key)], ..Changes::in_realm(&realm()) };
        let answers = try_join_all((0..8).map(|_| store.commit(changes.clone()))).await.unwrap();
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|a| *a == Commit::Committed);
        assert_eq!(won.len(), 1);
        let conflict = Conflict::Expectation { table: Table::Meta, key };
        assert!(lost.iter().all(|answer| *answer == Commit::Conflict(conflict.clone())), "{lost:?}");
    }
}

/// Many want the same unique value for rows of their own, in batches; the conflict names the row.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_gets_a_unique_value() {
    let (store, _) = fresh().await;
    for round in 0..20 {
        let object = format!("o{round}");
        let changes = |who: u32| {
            let key = |of: u32| format!("{round}-{who}-{of}");
            let free = (0..5).map(|of| row(Table::Link, &key(of), &[("object", &key(of))], "{}"));
            let put = free.chain([row(Table::Link, &key(9), &[("object", &object)], "{}")]).collect();
            let expect = (0..5).map(|of| Expect::Absent { table: Table::Link, key: key(of) }).collect();
            Changes { put, expect, ..Changes::in_realm(&realm()) }
        };
        let answers = try_join_all((0..6).map(|who| store.commit(changes(who)))).await.unwrap();
        let mut won = 0;
        for (who, answer) in answers.into_iter().enumerate() {
            let key = format!("{round}-{who}-9");
            match answer {
                Commit::Committed => won += 1,
                Commit::Conflict(conflict) => {
                    assert_eq!(conflict, Conflict::Unique { table: Table::Link, column: "object", key });
                }
            }
        }
        assert_eq!(won, 1, "round {round}");
        let all = Select::KeyPrefix(format!("{round}-"));
        assert_eq!(store.count(&realm(), Table::Link, &all).await.unwrap(), 6);
    }
}

/// Commits that touch the same rows in any order wait for each other instead of giving up.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_in_any_order_are_no_deadlock() {
    let (store, database) = fresh().await;
    let keys: Vec<String> = (0..20).map(|n| format!("k{n:02}")).collect();
    let writer = |who: usize| {
        let (store, keys) = (&store, &keys);
        async move {
            for turn in 0..10 {
                let mut put: Vec<Put> = keys.iter().map(|key| meta(key)).collect();
                let tables = [Table::Plan, Table::Hold, Table::Lease];
                put.extend(tables.iter().map(|table| row(*table, "one", &[], "{}")));
                let length = put.len();
                put.rotate_left((who * 7 + turn) % length);
                if who % 2 == 1 {
                    put.reverse();
                }
                let changes = Changes { put, append: vec![event("e")], ..Changes::in_realm(&realm()) };
                assert_eq!(store.commit(changes).await.unwrap(), Commit::Committed);
            }
        }
    };
    join_all((0..6).map(writer)).await;
    let rows = store.get(&realm(), Table::Meta, &keys).await.unwrap();
    assert!(rows.iter().flatten().all(|row| row.version == 60), "{rows:?}");
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    // Whoever inserts the rows first may meet somebody who does so too; after that there is one order.
    let seen: u32 = crate::postgres_fixture::server().sql(&database, deadlocks).unwrap().parse().unwrap();
    assert!(seen <= 6, "{seen} deadlocks");
}

/// A reader that follows the stream of a realm by number misses none of what many append.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_follows_a_stream_misses_nothing() {
    const WRITERS: usize = 6;
    const TURNS: usize = 40;
    let (store, database) = fresh().await;
    let store = Arc::new(store);
    let url = crate::postgres_fixture::server().url(&database);
    let other = crate::postgres_fixture::open(crate::postgres_fixture::options(&url)).await.unwrap();
    let other = Arc::new(other);
    let writers: Vec<_> = (0..WRITERS)
        .map(|who| {
            let store = if who % 2 == 0 { Arc::clone(&store) } else { Arc::clone(&other) };
            tokio::spawn(async move {
                let of = RealmId::new(format!("realm-{}", who % 2));
                for turn in 0..TURNS {
                    let append = vec![event(&format!("{who}-{turn}")), event(&format!("{who}-{turn}-b"))];
                    let changes =
                        Changes { append, put: vec![meta(&format!("{who}"))], ..Changes::in_realm(&of) };
                    store.commit(changes).await.unwrap();
                }
            })
        })
        .collect();
    let mut after = [0u64; 2];
    let mut read = BTreeSet::new();
    while read.len() < WRITERS * TURNS * 2 {
        for (number, after) in after.iter_mut().enumerate() {
            let of = RealmId::new(format!("realm-{number}"));
            for (number, row) in store.read_stream(&of, Stream::Outbox, *after, 7).await.unwrap() {
                assert!(number > *after);
                *after = number;
                assert!(read.insert(row.body.clone()), "{} came twice", row.body);
            }
        }
        let done = writers.iter().all(|writer| writer.is_finished());
        let all: usize = match done {
            false => 0,
            true => {
                let mut left = 0;
                for (number, after) in after.iter().enumerate() {
                    let of = RealmId::new(format!("realm-{number}"));
                    left += store.read_stream(&of, Stream::Outbox, *after, 1).await.unwrap().len();
                }
                left
            }
        };
        assert!(!done || all > 0 || read.len() == WRITERS * TURNS * 2, "missed: {}", read.len());
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

/// A commit that nobody waits for any more leaves no transaction behind, wherever it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_commit_given_up_leaves_no_transaction_open() {
    let database = crate::postgres_fixture::server().database().unwrap();
    let mut options = crate::postgres_fixture::options(&crate::postgres_fixture::server().url(&database));
    options.connections = 2;
    let store = crate::postgres_fixture::open(options).await.unwrap();
    store.commit(Changes { put: vec![meta("k")], ..Changes::in_realm(&realm()) }).await.unwrap();
    for polls in 0..40 {
        let changes =
            Changes { put: vec![meta("k")], append: vec![event("e")], ..Changes::in_realm(&realm()) };
        let mut commit = Box::pin(store.commit(changes));
        for _ in 0..polls {
            if futures_util::poll!(&mut commit).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(commit);
    }
    let open = "select count(*) from pg_stat_activity where datname = current_database() \
                and state like 'idle in transaction%'";
    let closed = (0..100).any(|_| crate::postgres_fixture::server().sql(&database, open).unwrap() == "0");
    assert!(closed, "a transaction stayed open");
    // Nobody holds the row: this would run into the lock timeout.
    store.commit(Changes { put: vec![meta("k")], ..Changes::in_realm(&realm()) }).await.unwrap();
    let row = store.get(&realm(), Table::Meta, &["k".into()]).await.unwrap().remove(0).unwrap();
    let events = store.read_stream(&realm(), Stream::Outbox, 0, 100).await.unwrap().len() as u64;
    assert_eq!(row.version, events + 2, "whole or not at all");
}
