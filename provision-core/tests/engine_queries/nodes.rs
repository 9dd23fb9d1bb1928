//! Processes that share a store: their rows, their names, and the groups that one of them writes at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use provision_core::engine::{RunOptions, RunUntil, Stop};
use provision_core::event::{CommandMessage, CommandOutcome};
use provision_core::execute::{JournalEntry, StepState};
use provision_core::id::{RealmId, SourceName};
use provision_core::model::{Actor, Lease, Node, NodeState};
use provision_core::runtime::Clock;
use provision_core::store::{Changes, Put, Record, Store, Table};
use provision_core::{Effect, ErrorKind};

use crate::realm::{Realm, at};
use crate::test_time::TestTime;

fn forever(stop: &Stop) -> RunOptions {
    RunOptions { until: RunUntil::Forever, stop: stop.clone(), workers: 3, ..RunOptions::default() }
}

async fn seconds(clock: &TestTime, seconds: u64) {
    clock.sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_is_seen_while_it_runs_and_its_name_is_its_own() {
    let clock = TestTime::new(false);
    let realm = Realm::timed(clock.clone(), |_| {}).await;
    realm.hire(1, "1042", "Jane Doe", "IT").await;
    let (one, _) = realm.another(clock.clone(), Some("a")).await;
    let (two, _) = realm.another(clock.clone(), Some("a")).await;
    let (stop, late) = (Stop::new(), Stop::new());
    let actor = Actor::engine();
    let begun = clock.now();
    let watch = async {
        seconds(&clock, 12).await;
        let seen = one.status().await.unwrap();
        let [node] = &seen.nodes[..] else { panic!("{seen:?}") };
        assert_eq!((node.late, node.node.name.as_str(), node.node.workers), (false, "a", 3));
        assert_eq!(
            (node.node.claimed, node.node.state, node.node.started_at),
            (1, NodeState::Running, begun)
        );
        assert!(node.node.heartbeat_at.since(begun) >= Duration::from_secs(10), "it beats");
        assert!(seen.render().contains("a running"), "{}", seen.render());
        let error = two.run(&actor, &forever(&late)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
        stop.stop();
    };
    let options = forever(&stop);
    let (report, ()) = futures_util::future::join(one.run(&actor, &options), watch).await;
    assert_eq!(report.unwrap().total.done, 1);
    assert_eq!(one.status().await.unwrap().nodes, [], "gone at the end");
    assert_eq!(one.store().realms().await.unwrap(), [realm.name()], "nodes are no realm");
}

#[tokio::test(start_paused = true)]
async fn the_realm_of_the_library_is_refused_to_hosts_under_both_its_names() {
    let clock = TestTime::new(false);
    let realm = Realm::timed(clock.clone(), |_| {}).await;
    let (runtime, own) = realm.another(clock.clone(), Some("a")).await;
    // A process of before, which had a realm of nodes alone, left its row behind.
    for name in [":provision", "$nodes"] {
        let mut left = Changes::in_realm(&RealmId::from(name));
        let body = "{}".to_owned();
        left.put.push(Put { table: Table::Meta, key: "x".to_owned(), columns: Vec::new(), body });
        realm.store.commit(left.clone()).await.unwrap();
        let refused = |error: provision_core::Error| {
            assert_eq!((error.kind(), error.effect()), (ErrorKind::ConfigInvalid, Effect::None), "{error}");
            assert!(error.report().contains(name), "{}", error.report());
        };
        refused(runtime.store().commit(left).await.unwrap_err());
        let engine = runtime.realm(name);
        refused(engine.set_policy(&realm.robot, own.policy().unwrap()).await.unwrap_err());
        refused(engine.run(&realm.robot, &RunOptions::default()).await.unwrap_err());
        let source = &SourceName::new("hr");
        refused(engine.ingest(&realm.robot, source).await.unwrap_err());
        let change = r#"{"request": "terminate", "identity": "0190a1b2-0000-7000-8000-000000000001"}"#;
        let message = CommandMessage {
            source: "bus".to_owned(),
            sequence: 1,
            message_id: None,
            subject: "changes".to_owned(),
            headers: BTreeMap::new(),
            payload: format!(r#"{{"realm": "{name}", "change": {change}}}"#).into_bytes(),
        };
        let outcome = runtime.take_command(&message, &Actor::service("bus")).await.unwrap();
        let CommandOutcome::SetAside(reason) = outcome else { panic!("{outcome:?}") };
        assert_eq!(reason.kind, ErrorKind::ConfigInvalid);
    }
    assert_eq!(runtime.store().realms().await.unwrap(), [realm.name()], "they are no realms");
    assert_eq!(
        runtime.count_set_aside().await.unwrap(),
        1,
        "the same message is kept once, in the realm of its own"
    );
    assert!(realm.store.realms().await.unwrap().contains(&RealmId::reserved()));
}

#[tokio::test(start_paused = true)]
async fn the_name_of_a_node_that_was_killed_is_taken_over_and_one_that_was_paused_ends() {
    let clock = TestTime::new(false);
    let realm = Realm::timed(clock.clone(), |_| {}).await;
    let (one, _) = realm.another(clock.clone(), Some("a")).await;
    let left = Node {
        name: "a".to_owned(),
        process: "1".to_owned(),
        run: "another".to_owned(),
        version: "0".to_owned(),
        started_at: clock.now(),
        heartbeat_at: clock.now(),
        workers: 1,
        claimed: 0,
        state: NodeState::Running,
    };
    let write = |node: Node| {
        let mut changes = Changes::in_realm(&RealmId::reserved());
        changes.put(&node).unwrap();
        changes
    };
    realm.store.commit(write(left.clone())).await.unwrap();
    let (stop, begun, actor) = (Stop::new(), clock.now(), Actor::engine());
    let options = forever(&stop);
    let watch = async {
        seconds(&clock, 10).await;
        assert_eq!(one.status().await.unwrap().nodes[0].node, left, "it may still be there");
        seconds(&clock, 12).await;
        let seen = one.status().await.unwrap().nodes.remove(0).node;
        assert!(seen.run != "another" && seen.started_at.since(begun) >= Duration::from_secs(20), "{seen:?}");
        // Somebody takes its name over in turn, as if it had been paused.
        realm.store.commit(write(Node { heartbeat_at: clock.now(), ..left.clone() })).await.unwrap();
    };
    let (ended, ()) = futures_util::future::join(one.run(&actor, &options), watch).await;
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert!(options.stop.is_stopped());
    assert_eq!(one.status().await.unwrap().nodes[0].node.run, "another", "whose row stays");
}

#[tokio::test(start_paused = true)]
async fn edges_wait_while_another_node_writes_their_group() {
    let clock = TestTime::new(false);
    let realm = Realm::timed(clock.clone(), |_| {}).await;
    realm.hire(1, "1042", "Jane Doe", "Finance").await;
    realm.hire(2, "1043", "John Roe", "IT").await;
    let (runtime, engine) = realm.another(clock.clone(), Some("a")).await;
    let until = clock.now().plus(Duration::from_secs(40));
    let name = format!("group/directory/group/{}", realm.finance);
    let lease = Lease { owner: "b/1".to_owned(), until, fence: 7 };
    let row = Put {
        table: Table::Lease,
        key: name.clone(),
        columns: vec![("fence", "7".to_owned())],
        body: serde_json::json!({ "name": name, "lease": lease }).to_string(),
    };
    let mut changes = Changes::in_realm(&realm.name());
    changes.put.push(row);
    realm.store.commit(changes).await.unwrap();
    let seen = runtime.status().await.unwrap().render();
    assert!(seen.contains(&format!("lease {name}: b/1 until")), "{seen}");
    let stop = Stop::new();
    let options = forever(&stop);
    let watch = async {
        seconds(&clock, 39).await;
        assert_eq!(realm.users().len(), 2, "nobody else waits for it");
        let waiting: Vec<_> =
            realm.all::<JournalEntry>().await.into_iter().map(|entry| entry.value).collect();
        let edge = waiting.iter().find(|entry| entry.state != StepState::Done).unwrap();
        assert!(edge.attempts <= 1, "it was not tried: {edge:?}");
        seconds(&clock, 100).await;
        stop.stop();
    };
    let (report, ()) = futures_util::future::join(engine.run(&realm.robot, &options), watch).await;
    let report = report.unwrap();
    assert_eq!((report.done, report.failed), (3, 0), "{report:?}");
    let leases = realm.store.get(&realm.name(), Table::Lease, &[name]).await.unwrap();
    let body: serde_json::Value = serde_json::from_str(&leases[0].as_ref().unwrap().body).unwrap();
    assert_eq!(body["lease"]["fence"], 8, "taken once, by a new fence");
    let released = body["lease"]["until"].as_str().unwrap();
    assert!(at(released) < clock.now(), "and given back: {released}");
}

#[test]
fn a_node_is_kept_under_its_name() {
    assert_eq!(Node::TABLE, Table::Node);
}
