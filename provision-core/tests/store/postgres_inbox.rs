//! Commands that the host hands over in a transaction of its own.

use std::sync::Arc;
use std::time::Duration;

use provision_core::ErrorKind;
use provision_core::connector::Registry;
use provision_core::engine::{RunOptions, RunUntil, Stop};
use provision_core::id::{IdentityId, RealmId};
use provision_core::model::{Actor, Employment, Identity, Status};
use provision_core::runtime::Runtime;
use provision_core::store::{Changes, PostgresStore, Store, Table};
use provision_core::value::Zone;

use crate::postgres_fixture::{fresh, server};

const ADA: &str = "0190a1b2-0000-7000-8000-000000000001";
const NOBODY: &str = "0190a1b2-0000-7000-8000-000000000009";

async fn world() -> (Runtime, Arc<PostgresStore>, String) {
    let (store, database) = fresh().await;
    let store = Arc::new(store);
    let realm = RealmId::new("acme");
    let id: IdentityId = serde_json::from_value(ADA.into()).unwrap();
    let identity = Identity {
        id,
        realm: realm.clone(),
        attributes: Default::default(),
        provenance: Default::default(),
        employment: Employment { status: Status::Active, ..Employment::default() },
        engagements: Vec::new(),
        zone: Zone::utc(),
        source: "hr".into(),
        key: "1".into(),
        version: 1,
        next_change_at: None,
    };
    let mut changes = Changes::in_realm(&realm);
    changes.put(&identity).unwrap();
    store.commit(changes).await.unwrap();
    (Runtime::builder(store.clone(), Registry::new()).build(), store, database)
}

fn terminate(key: &str, who: &str) -> String {
    format!(r#"select provision.enqueue('acme', '{key}', '{{"request": "terminate", "identity": "{who}"}}')"#)
}

async fn version(store: &PostgresStore) -> u64 {
    store.get(&RealmId::new("acme"), Table::Identity, &[ADA.to_owned()]).await.unwrap()[0]
        .as_ref()
        .unwrap()
        .version
}

#[tokio::test]
async fn a_command_counts_once_and_only_with_the_hosts_transaction() {
    let (runtime, store, database) = world().await;
    let sql = |text: &str| server().sql(&database, text);
    let host = "create table person (name text); ";
    sql(host).unwrap();
    let both = format!("insert into person values ('ada'); {}; rollback", terminate("one", ADA));
    sql(&format!("begin; {both}")).unwrap();
    assert_eq!(runtime.take_inbox().await.unwrap().taken, 0, "the host changed its mind");
    let number = sql(&terminate("one", ADA)).unwrap();
    assert_eq!(sql(&terminate("one", ADA)).unwrap(), number, "handed over already");
    let report = runtime.take_inbox().await.unwrap();
    assert_eq!((report.taken, report.set_aside), (1, 0), "{report:?}");
    assert_eq!(version(&store).await, 2);
    assert!(store.inbox(0, 10).await.unwrap().is_empty());
    sql(&terminate("one", ADA)).unwrap();
    assert_eq!(runtime.take_inbox().await.unwrap().taken, 1, "the first answer again");
    assert_eq!(version(&store).await, 2, "nothing is done twice");
}

#[tokio::test]
async fn what_can_never_be_is_set_aside_and_holds_nobody_up() {
    let (runtime, store, database) = world().await;
    let sql = |text: &str| server().sql(&database, text);
    sql(&format!("{}; {}", terminate("nobody", NOBODY), terminate("ada", ADA))).unwrap();
    let report = runtime.take_inbox().await.unwrap();
    assert_eq!((report.taken, report.set_aside), (1, 1), "{report:?}");
    let aside = runtime.commands_set_aside(None, 10).await.unwrap();
    assert_eq!((aside.len(), aside[0].reason.kind), (1, ErrorKind::NotFound), "{aside:?}");
    assert_eq!((aside[0].source.as_str(), aside[0].message_id.as_deref()), ("inbox", Some("nobody")));
    assert_eq!(version(&store).await, 2);
}

#[tokio::test]
async fn what_is_no_change_is_refused_at_once() {
    let (_, store, database) = world().await;
    let ada = format!(r#""identity": "{ADA}""#);
    for (key, change, reason) in [
        ("k", "no json".to_owned(), "json"),
        ("k", "[1]".to_owned(), "JSON object"),
        ("k", format!(r#"{{"request": "promote", {ada}}}"#), "terminate"),
        ("k", r#"{"request": "terminate", "identity": "ada"}"#.to_owned(), "identity"),
        ("", format!(r#"{{"request": "terminate", {ada}}}"#), "idempotency key"),
    ] {
        let error =
            server().sql(&database, &format!("select provision.enqueue('acme', '{key}', '{change}')"));
        assert!(error.as_ref().is_err_and(|error| error.report().contains(reason)), "{change}: {error:?}");
    }
    server().sql(&database, &terminate("k", ADA)).unwrap();
    let other = server().sql(&database, &terminate("k", NOBODY)).unwrap_err();
    assert!(other.report().contains("another change"), "{other:?}");
    assert_eq!(store.inbox(0, 10).await.unwrap().len(), 1);
}

/// A role of the host that may hand over, and see nothing else.
#[tokio::test]
async fn the_hosts_role_needs_little() {
    let (runtime, _, database) = world().await;
    let sql = |text: &str| server().sql(&database, text);
    sql("create role host_of_enqueue").unwrap();
    assert!(sql(&format!("set role host_of_enqueue; {}", terminate("k", ADA))).is_err());
    sql(&PostgresStore::enqueue_grants("provision", "host_of_enqueue").unwrap()).unwrap();
    sql(&format!("set role host_of_enqueue; {}", terminate("k", ADA))).unwrap();
    assert!(sql("set role host_of_enqueue; select * from provision.link").is_err());
    assert_eq!(runtime.take_inbox().await.unwrap().taken, 1);
}

/// The drive hears of it at once, however seldom it looks by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drive_that_sleeps_hears_of_a_command() {
    let (runtime, store, database) = world().await;
    store.noticed(0).await;
    let stop = Stop::new();
    let options = RunOptions {
        until: RunUntil::Forever,
        poll: Duration::from_secs(3600),
        stop: stop.clone(),
        ..RunOptions::default()
    };
    let drive = tokio::spawn(async move { runtime.run(&Actor::engine(), &options).await });
    // By then it has looked, and sleeps.
    while version(&store).await == 1 {
        server().sql(&database, &terminate("k", ADA)).unwrap();
        tokio::time::timeout(Duration::from_secs(10), store.noticed(1)).await.expect("told");
        tokio::task::yield_now().await;
    }
    stop.stop();
    drive.await.unwrap().unwrap();
}
