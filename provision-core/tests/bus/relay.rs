//! The relay, with sinks of the test.

use std::sync::Arc;
use std::time::Duration;

use provision_core::engine::{RunUntil, Stop};
use provision_core::event::RelayOptions;
use provision_core::id::RealmId;
use provision_core::model::Actor;
use provision_core::runtime::{Clock, SystemClock};
use provision_core::store::{Due, MemoryStore, Store, Stream, Table};

use crate::fixture::{Answer, Kept, at, builder, commit, commit_many, memory, options, still};

/// Realms that relays would look at.
async fn due(store: &Arc<dyn Store>) -> usize {
    let text = "outbox|unsent".to_owned();
    let due =
        Due { table: Table::Meta, column: "due", prefix: text.clone(), at_most: text, after: None, limit: 9 };
    store.due_realms(&[due]).await.unwrap().remove(0).realms.len()
}

#[tokio::test]
async fn events_of_all_realms_arrive_in_order_and_once() {
    let (store, sink) = (memory(), Kept::new(&[]));
    let runtime = builder(&store).sink("kept", sink.clone()).build();
    commit_many(&runtime, "acme", 30).await;
    commit_many(&runtime, "b.v.", 5).await;
    let batches = RelayOptions { batch: 8, ..options() };
    let report = runtime.relay(&batches).await.unwrap();
    assert_eq!((report.sent["kept"], report.problems.len()), (35, 0));
    let of = |realm: &str| -> Vec<String> {
        let got = sink.got.lock().unwrap();
        got.iter().filter(|m| m.event.realm.as_str() == realm).map(|m| m.event.event.clone()).collect()
    };
    assert_eq!(of("acme"), (0..30).map(|n| format!("test.n{n}")).collect::<Vec<_>>());
    assert_eq!(of("b.v."), (0..5).map(|n| format!("test.n{n}")).collect::<Vec<_>>());
    let epoch = store.epoch().await.unwrap();
    let last = sink.ids().into_iter().find(|id| id.starts_with("b=2Ev=2E/")).unwrap();
    assert!(last.starts_with(&format!("b=2Ev=2E/{epoch}/")), "{last}");
    assert_eq!(due(&store).await, 0, "nothing is looked at again");
    assert_eq!(runtime.relay(&batches).await.unwrap().sent["kept"], 0);
    commit(&runtime, "acme", None, "later").await;
    assert_eq!(runtime.relay(&batches).await.unwrap().sent["kept"], 1);
    assert_eq!(sink.names().last().unwrap(), "later");
}

#[tokio::test]
async fn what_is_not_confirmed_comes_again_with_the_same_id() {
    let (clock, store) = still();
    let sink = Kept::new(&[Answer::Until(2), Answer::Lose]);
    let runtime = builder(&store).clock(clock.clone()).sink("kept", sink.clone()).build();
    commit_many(&runtime, "acme", 5).await;
    let report = runtime.relay(&options()).await.unwrap();
    assert_eq!((report.sent["kept"], report.problems["kept"].len()), (2, 1));
    let status = runtime.realm("acme").status().await.unwrap();
    let of = &status.sinks[0];
    assert_eq!((of.sink.as_str(), of.unsent, of.failures), ("kept", 3, 1));
    assert_eq!(of.error.as_ref().unwrap().message, "no answer");
    assert_eq!(of.unsent_since, Some(clock.now()));
    assert_eq!(runtime.relay(&options()).await.unwrap().sent["kept"], 0, "it rests");
    clock.set(clock.now().plus(Duration::from_secs(1)));
    runtime.relay(&options()).await.unwrap();
    assert_eq!(*sink.calls.lock().unwrap(), 2, "the acknowledgement of the second call is lost");
    clock.set(clock.now().plus(Duration::from_secs(60)));
    assert_eq!(runtime.relay(&options()).await.unwrap().sent["kept"], 3);
    let ids = sink.ids();
    assert_eq!(ids.len(), 8);
    assert_eq!(ids[2..5], ids[5..8]);
    let status = runtime.realm("acme").status().await.unwrap();
    assert_eq!((status.sinks[0].unsent, status.sinks[0].failures, &status.sinks[0].error), (0, 0, &None));
}

#[tokio::test]
async fn a_sink_that_is_away_holds_up_no_other() {
    let store = memory();
    let (away, kept) = (Kept::new(&[Answer::Lose; 50]), Kept::new(&[]));
    let runtime = builder(&store).sink("away", away.clone()).sink("kept", kept.clone()).build();
    for realm in ["a", "b", "c"] {
        commit_many(&runtime, realm, 3).await;
    }
    let report = runtime.relay(&options()).await.unwrap();
    assert_eq!((report.sent["away"], report.sent["kept"]), (0, 9));
    assert!(*away.calls.lock().unwrap() <= 4, "those side by side, not every realm for itself");
    assert_eq!(due(&store).await, 3, "kept for the one that is away");
    assert!(runtime.forget_sink(&Actor::person("operator"), "away").await.unwrap());
    let alone = builder(&store).sink("kept", kept.clone()).build();
    commit(&alone, "a", None, "later").await;
    alone.relay(&options()).await.unwrap();
    let status = alone.realm("a").status().await.unwrap();
    assert_eq!(status.sinks.iter().map(|sink| sink.sink.as_str()).collect::<Vec<_>>(), ["kept"]);
    assert_eq!(due(&store).await, 0, "forgotten, it is not waited for");
}

#[tokio::test]
async fn a_sink_that_comes_later_gets_what_is_kept() {
    let store = memory();
    let (first, second) = (Kept::new(&[]), Kept::new(&[]));
    let runtime = builder(&store).sink("first", first.clone()).build();
    commit_many(&runtime, "acme", 4).await;
    runtime.relay(&options()).await.unwrap();
    let both = builder(&store).sink("first", first.clone()).sink("second", second.clone()).build();
    let report = both.relay(&options()).await.unwrap();
    assert_eq!((report.sent["first"], report.sent["second"]), (0, 4));
    assert_eq!(first.ids(), second.ids(), "an id is of the event, not of the sink");
}

#[tokio::test]
async fn of_two_relays_one_sends_and_the_other_takes_over_when_the_lease_ends() {
    let (clock, store) = still();
    let (dying, heir) = (Kept::new(&[Answer::Take, Answer::Hang]), Kept::new(&[]));
    let own =
        |sink: &Arc<Kept>| builder(&store).clock(Arc::new(SystemClock)).sink("kept", sink.clone()).build();
    let (one, two) = (own(&dying), own(&heir));
    commit_many(&one, "acme", 4).await;
    let halves = RelayOptions { batch: 2, ..options() };
    // Killed in its second call: its lease stands.
    let killed = tokio::time::timeout(Duration::from_millis(300), one.relay(&halves)).await;
    assert!(killed.is_err());
    assert_eq!(two.relay(&halves).await.unwrap().sent["kept"], 0, "somebody is at it");
    clock.set(clock.now().plus(Duration::from_secs(31)));
    assert_eq!(two.relay(&halves).await.unwrap().sent["kept"], 2);
    assert_eq!(
        (dying.names(), heir.names()),
        (vec!["test.n0".to_owned(), "test.n1".to_owned()], vec!["test.n2".to_owned(), "test.n3".to_owned()],)
    );
}

/// A relay that wakes up after its lease moves nothing back and says so to nobody but itself.
#[tokio::test]
async fn a_late_relay_moves_nothing() {
    let (clock, store) = still();
    let gate = Arc::new(Gate::default());
    let late = builder(&store).clock(Arc::new(SystemClock)).sink("kept", gate.clone()).build();
    let heir = Kept::new(&[]);
    let other = builder(&store).clock(Arc::new(SystemClock)).sink("kept", heir.clone()).build();
    commit_many(&late, "acme", 3).await;
    let opts = RelayOptions { batch: 1, ..options() };
    let sending = late.relay(&opts);
    let meanwhile = async {
        gate.entered.notified().await;
        clock.set(clock.now().plus(Duration::from_secs(31)));
        assert_eq!(other.relay(&opts).await.unwrap().sent["kept"], 3);
        gate.open.notify_one();
    };
    let both = futures_util::future::join(sending, meanwhile);
    let (report, ()) = tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
    assert_eq!(report.unwrap().problems.len(), 0);
    let status = other.realm("acme").status().await.unwrap();
    assert_eq!((status.sinks[0].unsent, heir.names().len()), (0, 3));
}

/// Lets its first call wait.
#[derive(Debug, Default)]
struct Gate {
    entered: tokio::sync::Notify,
    open: tokio::sync::Notify,
}

#[async_trait::async_trait]
impl provision_core::event::EventSink for Gate {
    async fn send(&self, events: &[provision_core::event::EventMessage]) -> provision_core::event::Sent {
        self.entered.notify_one();
        self.open.notified().await;
        provision_core::event::Sent::all(events)
    }
}

#[tokio::test]
async fn a_relay_that_runs_sees_a_commit_at_once_and_stops_cleanly() {
    let (store, sink) = (memory(), Kept::new(&[]));
    let runtime = builder(&store).sink("kept", sink.clone()).build();
    let stop = Stop::new();
    let hour = Duration::from_secs(3_600);
    let forever = RelayOptions { until: RunUntil::Forever, stop: stop.clone(), poll: hour, ..options() };
    let host = async {
        for number in 1..=3 {
            commit(&runtime, "acme", None, "now").await;
            while sink.ids().len() < number {
                tokio::task::yield_now().await;
            }
        }
        stop.stop();
    };
    let both = futures_util::future::join(runtime.relay(&forever), host);
    let (report, ()) = tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
    assert_eq!(report.unwrap().sent["kept"], 3);
}

#[tokio::test]
async fn sent_events_are_deleted_when_they_are_old_and_no_others() {
    let (clock, store) = still();
    let (kept, away) = (Kept::new(&[]), Kept::new(&[Answer::Lose; 2]));
    let runtime =
        builder(&store).clock(clock.clone()).sink("kept", kept.clone()).sink("away", away.clone()).build();
    let rows = async || store.read_stream(&RealmId::new("acme"), Stream::Outbox, 0, 100).await.unwrap().len();
    commit_many(&runtime, "acme", 3).await;
    runtime.relay(&options()).await.unwrap();
    clock.set(at("2026-03-09T09:00:01Z"));
    assert_eq!(runtime.relay(&options()).await.unwrap().trimmed, 0, "one sink has not got them");
    assert_eq!(rows().await, 3);
    clock.set(at("2026-03-09T09:01:01Z"));
    commit(&runtime, "acme", None, "young").await;
    let trimmed = runtime.relay(&options()).await.unwrap().trimmed;
    assert_eq!(trimmed + runtime.relay(&options()).await.unwrap().trimmed, 3);
    assert_eq!((rows().await, kept.ids().len(), away.ids().len()), (1, 4, 10));
    clock.set(at("2026-03-16T09:01:02Z"));
    assert_eq!(runtime.relay(&options()).await.unwrap().trimmed, 1);
    let mark = store.get(&RealmId::new("acme"), Table::Meta, &["outbox".to_owned()]).await.unwrap();
    assert_eq!((rows().await, mark), (0, vec![None]), "nothing is left to look at");
    commit(&runtime, "acme", None, "next").await;
    assert_eq!(runtime.relay(&options()).await.unwrap().sent["kept"], 1);
}

#[tokio::test]
async fn without_sinks_events_are_kept_for_their_time_and_no_longer() {
    let (clock, store) = still();
    let runtime = builder(&store).clock(clock.clone()).build();
    commit_many(&runtime, "acme", 3).await;
    assert_eq!(runtime.relay(&options()).await.unwrap().trimmed, 0);
    assert_eq!(due(&store).await, 0);
    clock.set(at("2026-03-09T09:00:01Z"));
    assert_eq!(runtime.relay(&options()).await.unwrap().trimmed, 3);
}

/// A restored store gives numbers again that were given before: ids tell them apart.
#[tokio::test]
async fn events_after_a_restore_have_ids_of_their_own() {
    let clock = Arc::new(SystemClock);
    let first = Arc::new(MemoryStore::new(clock));
    let store: Arc<dyn Store> = first.clone();
    let sink = Kept::new(&[]);
    let runtime = builder(&store).sink("kept", sink.clone()).build();
    commit_many(&runtime, "acme", 2).await;
    runtime.relay(&options()).await.unwrap();
    let backup: Arc<dyn Store> = Arc::new(first.copy("restored"));
    commit(&runtime, "acme", None, "lost with the first store").await;
    runtime.relay(&options()).await.unwrap();
    let restored = builder(&backup).sink("kept", sink.clone()).build();
    commit(&restored, "acme", None, "another").await;
    restored.relay(&options()).await.unwrap();
    let got = sink.got.lock().unwrap().clone();
    assert_eq!(got.len(), 4, "what was sent before the backup is not sent again");
    assert_eq!(got[2].number, got[3].number);
    assert_ne!(got[2].id, got[3].id);
    assert_eq!(got[3].epoch, "restored");
}

/// How far the outbox is changes nothing of a realm: its drive is not woken by the relay.
#[tokio::test]
async fn a_mark_of_the_outbox_makes_nothing_due_for_the_drive() {
    let store = memory();
    let runtime = builder(&store).sink("kept", Kept::new(&[])).build();
    commit_many(&runtime, "acme", 3).await;
    let drive = async || {
        let options = provision_core::engine::RunOptions::default();
        runtime.run(&Actor::engine(), &options).await.unwrap().turns
    };
    assert_eq!(drive().await, 0);
    runtime.relay(&options()).await.unwrap();
    assert_eq!(drive().await, 0);
}
