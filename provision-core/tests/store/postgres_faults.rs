//! Connections that break, servers that go, and clients that stand still.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use provision_core::id::RealmId;
use provision_core::runtime::{Clock, SystemClock};
use provision_core::store::{
    Append, Changes, Claim, Commit, Expect, PostgresOptions, PostgresStore, Put, Row, Select, Store, Stream,
    Table,
};
use provision_core::testkit::peer::{Postgres, PostgresSetup};
use provision_core::testkit::proxy::{Direction, TcpFault, TcpOptions, TcpProxy, TcpRule};
use provision_core::testkit::store::row;
use provision_core::value::Timestamp;
use provision_core::{Effect, Retry};

use crate::fixture::realm;
use crate::postgres_fixture::{fresh, open, options, server};

/// One connection at a time, and none that listens: every byte belongs to what is asked.
fn through(proxy: &TcpProxy, database: &str) -> PostgresOptions {
    let mut one = options(&format!("postgres://postgres@{}/{database}", proxy.address()));
    (one.connections, one.pooled) = (1, true);
    one
}

/// Touches a row of each kind: deleted, changed, made, appended; counted by the version of `k`.
fn step(version: u64) -> Changes {
    let put = vec![
        row(Table::Meta, "k", &[], "{}"),
        row(Table::Link, &format!("l{version}"), &[("object", &format!("o{version}"))], "{}"),
    ];
    let made = Expect::Absent { table: Table::Link, key: format!("l{version}") };
    let is = Expect::Version { table: Table::Meta, key: "k".into(), version };
    let delete = vec![(Table::Link, format!("l{}", version - 1))];
    let append = vec![Append { stream: Stream::Audit, columns: Vec::new(), body: version.to_string() }];
    Changes { put, delete, append, expect: vec![is, made], ..Changes::in_realm(&realm()) }
}

async fn begin(store: &dyn Store) {
    let put = vec![row(Table::Meta, "k", &[], "{}"), row(Table::Link, "l0", &[("object", "o0")], "{}")];
    store.commit(Changes { put, ..Changes::in_realm(&realm()) }).await.unwrap();
}

/// The version of `k`; the rest must be as that version says.
async fn whole(store: &dyn Store) -> u64 {
    let version = store.get(&realm(), Table::Meta, &["k".into()]).await.unwrap().remove(0).unwrap().version;
    let all = Select::KeyPrefix(String::new());
    assert_eq!(store.count(&realm(), Table::Link, &all).await.unwrap(), 1);
    let link = store.get(&realm(), Table::Link, &[format!("l{}", version - 1)]).await.unwrap().remove(0);
    assert!(link.is_some(), "the link of version {version}");
    let events = store.read_stream(&realm(), Stream::Audit, 0, 10_000).await.unwrap();
    assert_eq!(events.len() as u64, version - 1, "each step told once");
    version
}

/// Wherever a connection breaks, a commit is whole or not there, is made once, and says what it knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_cut_anywhere_is_whole_or_not_there() {
    let database = server().database().unwrap();
    let beside = format!("{}&application_name=beside", options(&server().url(&database)).url.expose());
    let direct = open(PostgresOptions::new(beside)).await.unwrap();
    begin(&direct).await;
    let proxy = TcpProxy::start(server().address(), TcpOptions::default()).await.unwrap();
    let passed = |connection: usize| {
        let seen = proxy.connections()[connection];
        (seen.to_server, seen.to_client)
    };
    // How many bytes it takes until the commit begins, until its expectations are checked, and in all.
    let store = open(through(&proxy, &database)).await.unwrap();
    let start = passed(0);
    assert!(matches!(store.commit(step(7)).await.unwrap(), Commit::Conflict(_)));
    let checked = passed(0);
    drop(store);
    let store = open(through(&proxy, &database)).await.unwrap();
    assert_eq!(store.commit(step(1)).await.unwrap(), Commit::Committed);
    let end = passed(1);
    drop(store);
    let (mut version, mut unknown, mut cuts) = (2, 0, 0);
    for direction in [Direction::ToServer, Direction::ToClient] {
        let of =
            |(to_server, to_client)| if direction == Direction::ToServer { to_server } else { to_client };
        let (first, last): (u64, u64) = (of(start), of(end));
        for place in 0..24 {
            let after = first + (last - first) * place / 24;
            let connection = proxy.connections().len() as u64 + 1;
            let reset = place % 2 == 0;
            proxy.set_rules([TcpRule::at([connection], TcpFault::Cut { direction, after, reset })]);
            let Ok(store) = open(through(&proxy, &database)).await else { continue };
            cuts += 1;
            let answer = store.commit(step(version)).await;
            drop(store);
            // A transaction whose client has gone may be under way still.
            let others = "select count(*) from pg_stat_activity where datname = current_database() \
                          and application_name = 'provision'";
            while server().sql(&database, others).unwrap() != "0" {}
            let is = whole(&direct).await;
            match answer {
                Ok(commit) => assert_eq!((commit, is), (Commit::Committed, version + 1)),
                Err(error) => {
                    assert_eq!(error.effect(), Effect::Unknown, "else it would have tried again: {error:?}");
                    assert_ne!(error.retry(), Retry::Never, "{error:?}");
                    let before = direction == Direction::ToServer && after + 64 < of(checked);
                    assert!(!before, "cut after {after}, before anything was written: {error:?}");
                    assert!(is == version || is == version + 1);
                    unknown += 1;
                }
            }
            version = is;
        }
    }
    assert!(cuts > 40 && unknown > 3 && unknown < cuts, "{unknown} unknown of {cuts}");
}

/// A network that swallows the answer does not hold a commit for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_nobody_answers_ends() {
    let (direct, database) = fresh().await;
    begin(&direct).await;
    let proxy = TcpProxy::start(server().address(), TcpOptions::default()).await.unwrap();
    let open_through = || {
        let mut short = through(&proxy, &database);
        short.statement_timeout = Duration::from_millis(200);
        open(short)
    };
    let store = open_through().await.unwrap();
    store.commit(step(1)).await.unwrap();
    let after = proxy.connections()[0].to_client - 8;
    proxy.set_rules([TcpRule::at([2], TcpFault::Stall { direction: Direction::ToClient, after })]);
    let store = open_through().await.unwrap();
    let error = store.commit(step(2)).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown, "{error:?}");
    assert_eq!(whole(&direct).await, 3, "only the answer was swallowed");
    let is = 3;
    // The connection that hangs is not used again.
    assert_eq!(store.commit(step(is)).await.unwrap(), Commit::Committed);
}

/// A client that stands still in the middle loses its transaction, and hinders nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_that_stands_still_loses_its_transaction() {
    let (store, database) = fresh().await;
    let put = vec![row(Table::Work, "w", &[("due", "1")], "{}")];
    store.commit(Changes { put, ..Changes::in_realm(&realm()) }).await.unwrap();
    let mut short = options(&server().url(&database));
    short.statement_timeout = Duration::from_millis(200);
    let paused = open(short).await.unwrap();
    let claim = Claim {
        realm: realm(),
        table: Table::Work,
        pages: vec![(Select::AtMost("due", "1".into()), None)],
        limit: 1,
    };
    let taken = |found: &Row| Ok::<Put, _>(row(Table::Work, &found.key, &[("due", "9")], "{}"));
    let calls = AtomicUsize::new(0);
    let slow = |found: &Row| {
        if calls.fetch_add(1, Ordering::SeqCst) == 0 {
            std::thread::sleep(Duration::from_millis(800));
        }
        taken(found)
    };
    let over = AtomicBool::new(false);
    let standing = async {
        let late = paused.claim(&claim, &slow).await;
        over.store(true, Ordering::SeqCst);
        late
    };
    let (late, quick) = tokio::join!(standing, async {
        // Passed over while it is held, taken when the server has ended the other's transaction; unless the other has
        // started over and was first.
        loop {
            let ended = over.load(Ordering::SeqCst);
            let mine = store.claim(&claim, &taken).await.unwrap().unwrap();
            if !mine.is_empty() || ended {
                return mine;
            }
            tokio::task::yield_now().await;
        }
    });
    match late {
        Ok(taken) => {
            let late = taken.unwrap().len();
            assert_eq!(quick.len() + late, 1, "one of the two has it");
            assert!(late == 0 || calls.load(Ordering::SeqCst) > 1, "only by starting over");
        }
        Err(error) => {
            assert_eq!((error.effect(), error.retry() == Retry::Never), (Effect::None, false));
            assert_eq!(quick.len(), 1);
        }
    }
    let version = store.get(&realm(), Table::Work, &["w".into()]).await.unwrap().remove(0).unwrap().version;
    assert_eq!(version, 2, "taken once");
}

/// What a writer was told.
#[derive(Default)]
struct Told {
    committed: u64,
    unknown: u64,
    failed: u64,
}

async fn keep_writing(store: &PostgresStore, key: &str, until: &AtomicUsize) -> Told {
    let mut told = Told::default();
    while until.load(Ordering::SeqCst) == 0 || told.committed == 0 {
        let changes = Changes { put: vec![row(Table::Meta, key, &[], "{}")], ..Changes::in_realm(&realm()) };
        match store.commit(changes).await {
            Ok(commit) => {
                assert_eq!(commit, Commit::Committed);
                told.committed += 1;
            }
            Err(error) => {
                assert_ne!(error.retry(), Retry::Never, "it comes back: {error:?}");
                told.unknown += u64::from(error.effect() == Effect::Unknown);
                told.failed += 1;
                SystemClock.sleep(Duration::from_millis(5)).await;
            }
        }
    }
    told
}

/// The database is ended and started while many write: nobody has to do anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_outlives_its_database() {
    let server = Postgres::start(PostgresSetup::default()).unwrap();
    let store = open(options(&server.url("postgres"))).await.unwrap();
    let ended = AtomicUsize::new(0);
    let restarts = async {
        for _ in 0..2 {
            tokio::task::block_in_place(|| server.crash());
            SystemClock.sleep(Duration::from_millis(100)).await;
            tokio::task::block_in_place(|| server.restart()).unwrap();
            SystemClock.sleep(Duration::from_millis(200)).await;
        }
        ended.store(1, Ordering::SeqCst);
    };
    let keys = ["a", "b", "c", "d"];
    let writers = futures_util::future::join_all(keys.map(|key| keep_writing(&store, key, &ended)));
    let (told, ()) = tokio::join!(writers, restarts);
    let rows = store.get(&realm(), Table::Meta, &keys.map(str::to_owned)).await.unwrap();
    for (row, told) in rows.into_iter().flatten().zip(&told) {
        let most = told.committed + told.unknown;
        assert!(
            told.committed <= row.version && row.version <= most,
            "{} in {}..{most}",
            row.version,
            told.committed
        );
    }
    assert!(told.iter().any(|told| told.failed > 0), "it was noticed");
}

/// A replica that did not hear the last second takes over: the same store finds it, and knows that it is another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_that_lost_commits_is_another_epoch() {
    let primary = Postgres::start(PostgresSetup::default()).unwrap();
    let replica = primary.replica().unwrap();
    let (first, second) = (primary.address(), replica.address());
    let url = format!("postgres://postgres@{first},{second}/postgres");
    let store = open(options(&url)).await.unwrap();
    let put =
        |key: &str| Changes { put: vec![row(Table::Meta, key, &[], "{}")], ..Changes::in_realm(&realm()) };
    store.commit(put("kept")).await.unwrap();
    let kept = "select count(*) from provision.meta where key = 'kept'";
    assert!(
        (0..500).any(|_| replica.sql("postgres", kept).is_ok_and(|rows| rows == "1")),
        "the replica follows"
    );
    let epoch = store.epoch().await.unwrap();
    replica.stop();
    store.commit(put("lost")).await.unwrap();
    assert_eq!(store.epoch().await.unwrap(), epoch);
    primary.crash();
    replica.restart().unwrap();
    replica.promote().unwrap();
    let there = store.get(&realm(), Table::Meta, &["kept".into(), "lost".into()]).await.unwrap();
    assert_eq!(there.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false]);
    assert_ne!(store.epoch().await.unwrap(), epoch);
    assert_eq!(store.commit(put("on")).await.unwrap(), Commit::Committed);
}

/// A lock that somebody holds for long ends the commit, not the store; nothing was written.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_commit_waits_for_a_lock_only_so_long() {
    let (store, database) = fresh().await;
    let put = |body: &str| Changes {
        put: vec![row(Table::Work, "w", &[("due", "1")], body)],
        ..Changes::in_realm(&realm())
    };
    store.commit(put("1")).await.unwrap();
    let mut short = options(&server().url(&database));
    short.lock_timeout = Duration::from_millis(150);
    let waits = open(short).await.unwrap();
    let claim = Claim {
        realm: realm(),
        table: Table::Work,
        pages: vec![(Select::AtMost("due", "1".into()), None)],
        limit: 1,
    };
    let (locked, unlock) = (Arc::new(tokio::sync::Semaphore::new(0)), Arc::new(std::sync::Barrier::new(2)));
    let (tells, waits_for) = (Arc::clone(&locked), Arc::clone(&unlock));
    let holder = tokio::spawn(async move {
        let holds = |found: &Row| {
            tells.add_permits(1);
            tokio::task::block_in_place(|| waits_for.wait());
            Ok::<Put, _>(row(Table::Work, &found.key, &[("due", "9")], "2"))
        };
        store.claim(&claim, &holds).await
    });
    let _held = locked.acquire().await.unwrap();
    let error = waits.commit(put("3")).await.unwrap_err();
    tokio::task::block_in_place(|| unlock.wait());
    assert_eq!(holder.await.unwrap().unwrap().unwrap().len(), 1);
    assert!(error.to_string().contains("lock timeout"), "{error:?}");
    assert_eq!((error.effect(), error.retry() == Retry::Never), (Effect::None, false));
    assert_eq!(waits.commit(put("4")).await.unwrap(), Commit::Committed);
}

/// A clock that is wrong by a minute.
#[derive(Debug)]
struct Wrong(i64);

#[async_trait::async_trait]
impl Clock for Wrong {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(SystemClock.now().as_micros() + self.0 * 1_000_000)
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration).await;
    }
}

#[tokio::test]
async fn the_time_is_the_databases() {
    let database = server().database().unwrap();
    for seconds in [-60, 60] {
        let options = options(&server().url(&database));
        let store = PostgresStore::open(options, Arc::new(Wrong(seconds))).await.unwrap();
        let asked = "select (extract(epoch from clock_timestamp()) * 1000000)::bigint";
        let mut last = Timestamp::EPOCH;
        for _ in 0..3 {
            let before: i64 = server().sql(&database, asked).unwrap().parse().unwrap();
            let now = store.now().await.unwrap();
            let after: i64 = server().sql(&database, asked).unwrap().parse().unwrap();
            assert!(
                before - 50_000 <= now.as_micros() && now.as_micros() <= after,
                "{before} {now:?} {after}"
            );
            assert!(now >= last);
            last = now;
        }
    }
}

/// A commit that has written everything, and whose end stays on the way to the server, until the proxy stops.
async fn unfinished(database: &str, rehearsal: Changes, changes: Changes) -> TcpProxy {
    let proxy = TcpProxy::start(server().address(), TcpOptions::default()).await.unwrap();
    open(through(&proxy, database)).await.unwrap().commit(rehearsal).await.unwrap();
    // The message that ends the transaction.
    let after = proxy.connections()[0].to_server - 12;
    proxy.set_rules([TcpRule::at([2], TcpFault::Stall { direction: Direction::ToServer, after })]);
    let slow = open(through(&proxy, database)).await.unwrap();
    tokio::spawn(async move { slow.commit(changes).await });
    let waits = "select count(*) from pg_stat_activity where datname = current_database() \
                 and state = 'idle in transaction' and query ~ '^(insert|delete)'";
    assert!((0..500).any(|_| server().sql(database, waits).unwrap() == "1"), "it has written");
    proxy
}

/// The commit waits as long as the other is unfinished, and is made then.
async fn waits_for(store: &PostgresStore, unfinished: TcpProxy, changes: Changes) {
    let mut next = Box::pin(store.commit(changes));
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut next).await.is_err(), "it did not wait");
    unfinished.stop().await;
    assert_eq!(next.await.unwrap(), Commit::Committed);
}

/// Whoever appends to a stream of a realm waits for whoever has appended and not yet committed: else a reader would see
/// the higher number first, and pass over the lower one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn numbers_of_a_realm_are_given_in_the_order_of_commits() {
    let (store, database) = fresh().await;
    let append = |of: &str| {
        let append = vec![Append { stream: Stream::Outbox, columns: Vec::new(), body: "e".into() }];
        Changes { append, ..Changes::in_realm(&RealmId::new(of)) }
    };
    let unfinished = unfinished(&database, append("r"), append("r")).await;
    store.commit(append("other")).await.unwrap();
    waits_for(&store, unfinished, append("r")).await;
    assert_eq!(store.read_stream(&RealmId::new("r"), Stream::Outbox, 0, 10).await.unwrap().len(), 2);
}

/// Whoever inserts a row waits for whoever relies on its absence, and has not yet committed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_row_that_must_be_absent_is_not_inserted_meanwhile() {
    let (store, database) = fresh().await;
    let changes = |absent: &str, put: &str| Changes {
        expect: vec![Expect::Absent { table: Table::Meta, key: absent.to_owned() }],
        put: vec![row(Table::Meta, put, &[], "{}")],
        ..Changes::in_realm(&realm())
    };
    let unfinished = unfinished(&database, changes("a1", "b1"), changes("a2", "b2")).await;
    let insert = Changes { put: vec![row(Table::Meta, "a2", &[], "{}")], ..Changes::in_realm(&realm()) };
    waits_for(&store, unfinished, insert).await;
}
