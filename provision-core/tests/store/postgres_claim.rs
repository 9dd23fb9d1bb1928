//! Claims and notices between processes.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use provision_core::store::{Changes, Claim, Commit, Cursor, Put, Row, Select, Store, Table};
use provision_core::testkit::store::row;
use provision_core::{Error, ErrorKind, Result};

use crate::fixture::realm;
use crate::postgres_fixture::{fresh, open, options, server};

/// Rows due at most then; those of a page come after those of the page before.
fn due(pages: &[&'static str], limit: u32) -> Claim {
    let page = |(number, most): (usize, &&str)| {
        let before = number.checked_sub(1).and_then(|before| pages.get(before));
        let after = before.map(|before| Cursor { column: format!("{before}\u{10FFFF}"), key: String::new() });
        (Select::AtMost("due", (*most).to_owned()), after)
    };
    Claim { realm: realm(), table: Table::Work, pages: pages.iter().enumerate().map(page).collect(), limit }
}

/// Nobody takes it again: its column is beyond every page.
fn take(found: &Row) -> Result<Put> {
    Ok(row(Table::Work, &found.key, &[("due", "9")], "taken"))
}

fn keys(taken: &[Put]) -> Vec<&str> {
    taken.iter().map(|put| put.key.as_str()).collect()
}

async fn fill(store: &dyn Store, rows: impl IntoIterator<Item = (String, String)>) {
    let put = rows.into_iter().map(|(key, due)| row(Table::Work, &key, &[("due", &due)], "{}")).collect();
    let changes = Changes { put, ..Changes::in_realm(&realm()) };
    assert_eq!(store.commit(changes).await.unwrap(), Commit::Committed);
}

#[tokio::test]
async fn pages_are_taken_in_order_up_to_the_limit() {
    let (store, _) = fresh().await;
    let rows = [("a", "3"), ("b", "1"), ("c", "2"), ("d", "8"), ("e", "1")];
    fill(&store, rows.map(|(key, due)| (key.to_owned(), due.to_owned()))).await;
    let taken = store.claim(&due(&["1", "3"], 3), &take).await.unwrap().unwrap();
    assert_eq!(keys(&taken), ["b", "e", "c"]);
    let taken = store.claim(&due(&["1", "3"], 3), &take).await.unwrap().unwrap();
    assert_eq!(keys(&taken), ["a"]);
    let rows = store.get(&realm(), Table::Work, &["a".into(), "d".into()]).await.unwrap();
    let versions: Vec<u64> = rows.iter().flatten().map(|row| row.version).collect();
    assert_eq!(versions, [2, 1]);
    let refused = |_: &Row| Err(Error::new(ErrorKind::Unexpected, "no"));
    assert!(store.claim(&due(&["8"], 3), &refused).await.is_err());
    assert_eq!(store.claim(&due(&["8"], 3), &take).await.unwrap().unwrap().len(), 1, "nothing was taken");
    assert!(store.claim(&due(&["8"], 0), &take).await.unwrap().unwrap().is_empty());
}

/// Many take at once from several processes: everybody gets full batches, and each row goes to one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_row_goes_to_one_of_many() {
    const ROWS: usize = 400;
    let (store, database) = fresh().await;
    let other = open(options(&server().url(&database))).await.unwrap();
    fill(&store, (0..ROWS).map(|n| (format!("k{n:03}"), format!("{n:03}")))).await;
    let claimers = (0..8).map(|who| {
        let store = if who % 2 == 0 { &store } else { &other };
        async move {
            let mut mine = Vec::new();
            loop {
                let taken = store.claim(&due(&["8"], 7), &take).await.unwrap().unwrap();
                if taken.is_empty() {
                    return mine;
                }
                mine.extend(taken.into_iter().map(|put| put.key));
            }
        }
    });
    let taken: Vec<String> = join_all(claimers).await.into_iter().flatten().collect();
    assert_eq!(taken.len(), ROWS);
    assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), ROWS);
}

/// Rows that another transaction holds are passed over, without waiting for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_others_hold_are_passed_over() {
    let (store, database) = fresh().await;
    fill(&store, ["a", "b", "c"].map(|key| (key.to_owned(), "1".to_owned()))).await;
    let (held, free) = (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
    let (told, release) = (held.0, std::sync::Mutex::new(free.1));
    let other = open(options(&server().url(&database))).await.unwrap();
    // Its transaction is open as long as it computes.
    let slow = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Handle::current();
        runtime.block_on(async {
            let slow = |found: &Row| {
                told.send(()).unwrap();
                release.lock().unwrap().recv().unwrap();
                take(found)
            };
            other.claim(&due(&["1"], 1), &slow).await.unwrap().unwrap()
        })
    });
    held.1.recv().unwrap();
    let taken = store.claim(&due(&["1"], 5), &take).await.unwrap().unwrap();
    assert_eq!(keys(&taken), ["b", "c"]);
    free.0.send(()).unwrap();
    assert_eq!(keys(&slow.await.unwrap()), ["a"]);
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("in time")
}

fn now_due(key: &str) -> Changes {
    let put = vec![row(Table::Work, key, &[("due", "1|2000-01-01T00:00:00.000000Z")], "{}")];
    Changes { put, ..Changes::in_realm(&realm()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_process_makes_due_is_noticed() {
    let (store, database) = fresh().await;
    let other = open(options(&server().url(&database))).await.unwrap();
    // It listens now.
    let seen = in_time(store.noticed(0)).await;
    in_time(other.noticed(0)).await;
    assert_eq!(other.commit(now_due("k")).await.unwrap(), Commit::Committed);
    let seen = in_time(store.noticed(seen)).await;
    // What is due later, and one's own, is no news.
    let later = vec![row(Table::Work, "l", &[("due", "1|2999-01-01T00:00:00.000000Z")], "{}")];
    other.commit(Changes { put: later, ..Changes::in_realm(&realm()) }).await.unwrap();
    store.commit(now_due("m")).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(300), store.noticed(seen)).await.is_err());
    // The connection that listens breaks; it comes again, and says that something may have been missed.
    let end = "select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen%'";
    server().sql(&database, &format!("{end} and datname = current_database()")).unwrap();
    let seen = in_time(store.noticed(seen)).await;
    other.commit(now_due("n")).await.unwrap();
    in_time(store.noticed(seen)).await;
}
