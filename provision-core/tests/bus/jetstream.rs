//! Events to a real JetStream.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream::Config;
use provision_core::ErrorKind;
use provision_core::engine::{RunUntil, Stop};
use provision_core::event::jetstream::{JetStreamSink, JetStreamSinkOptions};
use provision_core::event::{EventMessage, EventSink, RelayOptions};
use provision_core::runtime::Runtime;
use provision_core::testkit::peer::Nats;
use provision_core::testkit::proxy::{Direction, TcpFault, TcpOptions, TcpProxy, TcpRule};

use crate::fixture::{builder, commit, commit_many, memory, options};
use crate::stream::{bus, make, plain, read, server};

fn sink(url: &str, stream: &str) -> Arc<JetStreamSink> {
    Arc::new(JetStreamSink::new(bus(url), JetStreamSinkOptions::new(stream, stream.to_lowercase())).unwrap())
}

/// Every event once by id, and those of an identity in the order of their numbers.
pub(crate) fn assert_once_and_in_order(read: &[(String, String, EventMessage)]) {
    let mut ids = BTreeMap::new();
    let mut last = BTreeMap::new();
    for (_, id, message) in read {
        assert_eq!(*id, message.id);
        assert!(ids.insert(id.clone(), ()).is_none(), "{id} is there twice");
        let order = (message.event.realm.clone(), message.event.identity);
        let before = last.insert(order, message.number);
        assert!(before < Some(message.number), "{id} came after {before:?}");
    }
}

#[tokio::test]
async fn events_arrive_with_their_ids_under_subjects_nobody_can_break_out_of() {
    let url = server().url();
    let runtime = builder(&memory()).sink("bus", sink(&url, "OUT")).build();
    commit_many(&runtime, "acme", 400).await;
    commit(&runtime, "*.> x\r\n", Some(1), "account.created").await;
    let report = runtime.relay(&options()).await.unwrap();
    assert_eq!((report.sent["bus"], &report.problems), (401, &BTreeMap::new()));
    let messages = read(&url, "OUT").await;
    assert_eq!(messages.len(), 401);
    assert_once_and_in_order(&messages);
    let subjects: Vec<&str> = messages.iter().map(|(subject, ..)| subject.as_str()).collect();
    assert!(subjects.contains(&"out.acme.test.n17"));
    assert!(subjects.contains(&"out.=2A=2E=3E=20x=0D=0A.account.created"), "{subjects:?}");
    let made = plain(&url).await.get_stream("OUT").await.unwrap();
    assert_eq!(made.cached_info().config.duplicate_window, Duration::from_secs(600));
}

#[tokio::test]
async fn a_stream_that_does_not_fit_is_refused_with_the_reason() {
    let url = server().url();
    let config = |name: &str, subject: &str, window: u64| Config {
        name: name.to_owned(),
        subjects: vec![subject.to_owned()],
        duplicate_window: Duration::from_secs(window),
        ..Config::default()
    };
    make(&url, config("SHORT", "short.>", 60)).await;
    make(&url, config("NARROW", "narrow.*", 600)).await;
    make(&url, Config { no_ack: true, ..config("MUTE", "mute.>", 600) }).await;
    for (name, why) in [("SHORT", "duplicate window"), ("NARROW", "our subjects"), ("MUTE", "no_ack")] {
        let runtime = builder(&memory()).sink("bus", sink(&url, name)).build();
        commit(&runtime, "acme", None, "x").await;
        let report = runtime.relay(&options()).await.unwrap();
        let problem = report.problems["bus"].values().next().unwrap().clone();
        assert_eq!(problem.kind, ErrorKind::ConfigInvalid);
        assert!(problem.message.contains(why) && problem.message.contains(name), "{}", problem.message);
        assert_eq!(report.sent["bus"], 0);
    }
    let absent = JetStreamSinkOptions { create: false, ..JetStreamSinkOptions::new("ABSENT", "absent") };
    let absent = JetStreamSink::new(bus(&url), absent).unwrap();
    let error = absent.send(&[message("acme", None, 1)]).await.error.unwrap();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(JetStreamSink::new(bus(&url), JetStreamSinkOptions::new("A.B", "a")).is_err());
    assert!(JetStreamSink::new(bus(&url), JetStreamSinkOptions::new("A", "a.>")).is_err());
}

fn message(realm: &str, about: Option<u128>, number: u64) -> EventMessage {
    let event = crate::fixture::event(realm, about, "x", crate::fixture::at("2026-03-02T09:00:00Z"));
    EventMessage { id: format!("{realm}/e/{number}"), number, epoch: "e".into(), event }
}

#[tokio::test]
async fn what_comes_twice_within_the_window_is_seen_once() {
    let url = server().url();
    let sink = sink(&url, "TWICE");
    let events: Vec<EventMessage> = (1..=20).map(|n| message("acme", Some(u128::from(n % 3)), n)).collect();
    for _ in 0..3 {
        let sent = sink.send(&events).await;
        assert_eq!((sent.count, sent.error.is_none()), (20, true));
    }
    let messages = read(&url, "TWICE").await;
    assert_eq!(messages.len(), 20);
    assert_once_and_in_order(&messages);
}

/// A message is too large for the server: those before it have arrived, and of its identity none behind it.
#[tokio::test]
async fn a_message_that_is_refused_stops_its_identity_and_is_named() {
    let url = server().url();
    let sink = sink(&url, "LARGE");
    let mut events: Vec<EventMessage> =
        (1..=9).map(|n| message("acme", Some(u128::from(n % 2)), n)).collect();
    events[4].event.event = "x".repeat(2 * 1024 * 1024);
    let sent = sink.send(&events).await;
    assert_eq!((sent.count, sent.error.unwrap().kind()), (4, ErrorKind::DataInvalid));
    let numbers: Vec<u64> = read(&url, "LARGE").await.iter().map(|(.., message)| message.number).collect();
    assert!(numbers.starts_with(&[1, 2, 3, 4]) || numbers.len() >= 4);
    assert!(!numbers.contains(&5) && !numbers.contains(&7) && !numbers.contains(&9), "{numbers:?}");
}

/// A relay that ended with an error is not waited for.
async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(90), work).await.unwrap()
}

async fn until_sent(runtime: &Runtime, realm: &str) {
    let all = async {
        while runtime.realm(realm).status().await.unwrap().sinks.iter().any(|sink| sink.unsent > 0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_and_comes_back_loses_nothing() {
    let nats = Nats::start().unwrap();
    let url = nats.url();
    let runtime = builder(&memory()).sink("bus", sink(&url, "AWAY")).build();
    let stop = Stop::new();
    let poll = Duration::from_millis(100);
    let forever = RelayOptions { until: RunUntil::Forever, stop: stop.clone(), poll, ..options() };
    let host = async {
        commit_many(&runtime, "acme", 50).await;
        until_sent(&runtime, "acme").await;
        nats.kill();
        commit_many(&runtime, "acme", 50).await;
        let failing = async {
            while runtime.realm("acme").status().await.unwrap().sinks[0].error.is_none() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), failing).await.unwrap();
        nats.restart().unwrap();
        commit_many(&runtime, "acme", 50).await;
        until_sent(&runtime, "acme").await;
        stop.stop();
    };
    let (report, ()) = in_time(futures_util::future::join(runtime.relay(&forever), host)).await;
    assert_eq!(report.unwrap().sent["bus"], 150);
    let messages = read(&url, "AWAY").await;
    assert_eq!(messages.len(), 150);
    assert_once_and_in_order(&messages);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_acknowledgements_and_cut_connections_double_nothing() {
    let nats = server();
    let proxy = TcpProxy::start(nats.address(), TcpOptions::default()).await.unwrap();
    // Connections that end after so many bytes of answers: acknowledgements are lost with them.
    let cuts = [600u64, 1_500, 2_500, 4_000, 5_500];
    proxy.set_rules(cuts.iter().enumerate().map(|(at, after)| {
        let fault = TcpFault::Cut { direction: Direction::ToClient, after: *after, reset: true };
        TcpRule::at([u64::try_from(at).unwrap() + 1], fault)
    }));
    let url = format!("nats://{}", proxy.address());
    let store = memory();
    let stop = Stop::new();
    let runtime = builder(&store).sink("bus", sink(&url, "CUT")).build();
    commit_many(&runtime, "acme", 300).await;
    let poll = Duration::from_millis(50);
    let forever = RelayOptions { until: RunUntil::Forever, stop: stop.clone(), poll, batch: 40, ..options() };
    let host = async {
        while runtime.realm("acme").status().await.unwrap().sinks.is_empty() {
            tokio::task::yield_now().await;
        }
        until_sent(&runtime, "acme").await;
        stop.stop();
    };
    let (report, ()) = in_time(futures_util::future::join(runtime.relay(&forever), host)).await;
    report.unwrap();
    assert!(proxy.connections().iter().filter(|connection| connection.acted).count() >= 2);
    let messages = read(&nats.url(), "CUT").await;
    assert_eq!(messages.len(), 300);
    assert_once_and_in_order(&messages);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_relays_at_once_and_a_stop_in_the_middle_double_nothing() {
    let url = server().url();
    let store = memory();
    let stop = Stop::new();
    let relay = |stop: Stop| {
        let runtime = builder(&store).sink("bus", sink(&url, "PAIR")).build();
        let poll = Duration::from_millis(5);
        let options = RelayOptions { until: RunUntil::Forever, stop, poll, batch: 10, ..options() };
        async move { runtime.relay(&options).await.unwrap().sent["bus"] }
    };
    let host = builder(&store).build();
    let commits = async {
        for _ in 0..4 {
            for realm in ["a", "b", "c"] {
                commit_many(&host, realm, 25).await;
            }
        }
        stop.stop();
    };
    let never = Stop::new();
    let (one, two) = (tokio::spawn(relay(stop.clone())), tokio::spawn(relay(never.clone())));
    commits.await;
    let one = one.await.unwrap();
    for realm in ["a", "b", "c"] {
        until_sent(&host, realm).await;
    }
    never.stop();
    assert_eq!(one + two.await.unwrap(), 300, "nothing was sent by both");
    let messages = read(&url, "PAIR").await;
    assert_eq!(messages.len(), 300);
    assert_once_and_in_order(&messages);
}

/// Nobody listens there.
#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_in_time() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let sink = sink(&format!("nats://{address}"), "NOBODY");
    let events = [message("acme", None, 1)];
    let sent = tokio::time::timeout(Duration::from_secs(20), sink.send(&events)).await.unwrap();
    assert_eq!((sent.count, sent.error.unwrap().kind()), (0, ErrorKind::Unavailable));
}
