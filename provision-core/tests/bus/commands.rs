//! Commands from a real JetStream.

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::stream::Config;
use provision_core::engine::{RunUntil, SubmitRequest};
use provision_core::event::jetstream::{CommandsReport, JetStreamCommands, JetStreamCommandsOptions};
use provision_core::event::{Command, CommandActor, CommandMessage, CommandOutcome};
use provision_core::model::{Actor, Identity};
use provision_core::runtime::Runtime;
use provision_core::store::{self, Store};
use provision_core::{Effect, Error, ErrorKind, Result};

use crate::fixture::{builder, hire, id, memory};
use crate::stream::{bus, make, plain, server};

async fn stream(name: &str) -> String {
    let url = server().url();
    let config = Config {
        name: name.to_owned(),
        subjects: vec![format!("{}.>", name.to_lowercase())],
        ..Config::default()
    };
    make(&url, config).await;
    url
}

fn terminate(realm: &str, number: u128, more: &str) -> String {
    format!(r#"{{"realm":"{realm}",{more}"change":{{"request":"terminate","identity":"{}"}}}}"#, id(number))
}

async fn publish(url: &str, name: &str, id: Option<&str>, payload: &str) {
    let mut headers = HeaderMap::new();
    if let Some(id) = id {
        headers.insert("Nats-Msg-Id", id);
    }
    let subject = format!("{}.commands", name.to_lowercase());
    let context = plain(url).await;
    let sent = context.publish_with_headers(subject, headers, payload.to_owned().into()).await;
    sent.unwrap().await.unwrap();
}

async fn take(runtime: &Runtime, url: &str, name: &str, rule: &dyn CommandActor) -> CommandsReport {
    let mut options = JetStreamCommandsOptions::new(name, "provision");
    options.until = RunUntil::Idle;
    JetStreamCommands::new(bus(url), options).unwrap().run(runtime, rule).await.unwrap()
}

async fn unacknowledged(url: &str, name: &str) -> u64 {
    let consumer: async_nats::jetstream::consumer::PullConsumer =
        plain(url).await.get_consumer_from_stream("provision", name).await.unwrap();
    let info = consumer.get_info().await.unwrap();
    info.num_pending + u64::try_from(info.num_ack_pending).unwrap()
}

async fn version(runtime: &Runtime, realm: &str, number: u128) -> u64 {
    let (realm, key) = (realm.into(), id(number).to_string());
    let found = store::get::<Identity>(runtime.store().as_ref(), &realm, &key).await;
    found.unwrap().unwrap().value.version
}

#[tokio::test]
async fn commands_are_taken_once_and_acknowledged_after_the_commit() {
    let url = stream("DESK").await;
    let runtime = builder(&memory()).build();
    for number in 1..=3 {
        hire(&runtime, "acme", number).await;
    }
    let desk = Actor::service("desk");
    publish(&url, "DESK", None, &terminate("acme", 1, "")).await;
    publish(&url, "DESK", Some("m-2"), &terminate("acme", 2, "")).await;
    publish(&url, "DESK", Some("m-3"), &terminate("acme", 3, r#""idempotency_key":"k-3","#)).await;
    // The same command in another message: its key says so.
    publish(&url, "DESK", Some("m-4"), &terminate("acme", 3, r#""idempotency_key":"k-3","#)).await;
    let report = take(&runtime, &url, "DESK", &desk).await;
    assert_eq!(report, CommandsReport { taken: 4, set_aside: 0, put_off: 0 });
    assert_eq!(unacknowledged(&url, "DESK").await, 0);
    let history = runtime.realm("acme").history(id(3)).await.unwrap();
    let ends: Vec<&str> = history.iter().map(|entry| entry.actor.name.as_str()).collect();
    assert_eq!(ends, ["desk"], "once, and by whom the host said");
    // Another consumer gets everything again, as after a crash before the acknowledgement: nothing changes.
    let mut again = JetStreamCommandsOptions::new("DESK", "again");
    again.until = RunUntil::Idle;
    let again = JetStreamCommands::new(bus(&url), again).unwrap();
    assert_eq!(again.run(&runtime, &desk).await.unwrap().taken, 4);
    for number in 1..=3 {
        assert_eq!(version(&runtime, "acme", number).await, 2);
    }
}

#[tokio::test]
async fn what_can_never_be_accepted_is_set_aside_with_the_reason() {
    let url = stream("POISON").await;
    let runtime = builder(&memory()).build();
    hire(&runtime, "acme", 1).await;
    let large = terminate("acme", 1, &format!(r#""idempotency_key":"{}","#, "x".repeat(70_000)));
    let poison = [
        "not json".to_owned(),
        terminate("no such realm", 1, ""),
        r#"{"realm":"acme","change":{"request":"promote","identity":"x"}}"#.to_owned(),
        large,
        terminate("acme", 1, r#""actor":"root","#),
        terminate("acme", 2, r#""idempotency_key":"later","#),
    ];
    for payload in &poison {
        publish(&url, "POISON", None, payload).await;
    }
    publish(&url, "POISON", None, &terminate("acme", 1, r#""actor":"desk","#)).await;
    let report = take(&runtime, &url, "POISON", &Actor::service("desk")).await;
    assert_eq!((report.taken, report.set_aside), (1, 6), "what is behind poison is taken");
    assert_eq!(unacknowledged(&url, "POISON").await, 0);
    let aside = runtime.commands_set_aside(None, 100).await.unwrap();
    let kinds: Vec<ErrorKind> = aside.iter().map(|aside| aside.reason.kind).collect();
    let (invalid, absent) = (ErrorKind::DataInvalid, ErrorKind::NotFound);
    assert_eq!(kinds, [invalid, absent, invalid, invalid, ErrorKind::PermissionDenied, absent]);
    assert_eq!((aside[0].payload.as_str(), aside[0].sequence, &aside[0].realm), ("not json", 1, &None));
    assert_eq!((aside[3].payload.len(), runtime.count_set_aside().await.unwrap()), (64 * 1024, 6));
    assert!(!runtime.store().realms().await.unwrap().contains(&"no such realm".into()), "no realm is made");
    // An operator decides.
    let operator = Actor::person("operator");
    assert_eq!(runtime.commands_set_aside(Some(&aside[4].id), 9).await.unwrap().len(), 1);
    assert!(runtime.retry_command(&operator, &aside[5].id).await.is_err(), "there is nobody yet");
    hire(&runtime, "acme", 2).await;
    assert!(runtime.retry_command(&operator, &aside[5].id).await.unwrap().changed);
    assert_eq!(runtime.realm("acme").history(id(2)).await.unwrap()[0].actor, operator);
    runtime.drop_command(&operator, &aside[0].id).await.unwrap();
    assert_eq!(runtime.count_set_aside().await.unwrap(), 4);
    assert_eq!(runtime.drop_command(&operator, &aside[0].id).await.unwrap_err().kind(), ErrorKind::NotFound);
}

/// By subject: each sender has its own.
#[derive(Debug)]
struct BySubject;

impl CommandActor for BySubject {
    fn actor(&self, message: &CommandMessage, command: &Command) -> Result<Actor> {
        let refused = || Error::new(ErrorKind::PermissionDenied, "not there").with_effect(Effect::None);
        let sender = message.subject.rsplit('.').next().filter(|_| command.realm.as_str() == "acme");
        sender.map(Actor::service).ok_or_else(refused)
    }
}

#[tokio::test]
async fn a_host_decides_by_subject_who_acts() {
    let url = stream("SENDERS").await;
    let runtime = builder(&memory()).build();
    hire(&runtime, "acme", 1).await;
    hire(&runtime, "other", 1).await;
    publish(&url, "SENDERS", None, &terminate("acme", 1, "")).await;
    publish(&url, "SENDERS", None, &terminate("other", 1, "")).await;
    let report = take(&runtime, &url, "SENDERS", &BySubject).await;
    assert_eq!((report.taken, report.set_aside), (1, 1));
    assert_eq!(runtime.realm("acme").history(id(1)).await.unwrap()[0].actor, Actor::service("commands"));
    assert_eq!(version(&runtime, "other", 1).await, 1);
}

/// A store that cannot commit for a while.
#[tokio::test]
async fn what_passes_is_tried_again_in_order_and_not_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let options = provision_core::store::SqliteOptions {
        busy_timeout: Duration::from_millis(20),
        ..provision_core::store::SqliteOptions::default()
    };
    let clock = Arc::new(provision_core::runtime::SystemClock);
    let opened = provision_core::store::SqliteStore::open(&path, options, clock).unwrap();
    let store: Arc<dyn Store> = Arc::new(opened);
    let runtime = builder(&store).build();
    hire(&runtime, "acme", 1).await;
    let message = |sequence: u64, payload: String| CommandMessage {
        source: "S".into(),
        sequence,
        message_id: None,
        subject: "s".into(),
        headers: std::collections::BTreeMap::new(),
        payload: payload.into_bytes(),
    };
    let locked = rusqlite::Connection::open(&path).unwrap();
    locked.execute_batch("BEGIN IMMEDIATE").unwrap();
    let desk = Actor::service("desk");
    let command = message(1, terminate("acme", 1, ""));
    let busy = runtime.take_command(&command, &desk).await.unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::StoreUnusable);
    let poison = runtime.take_command(&message(2, "x".into()), &desk).await;
    assert!(poison.is_err(), "not acknowledged before the reason is durable");
    locked.execute_batch("COMMIT").unwrap();
    let taken = runtime.take_command(&command, &desk).await.unwrap();
    assert!(matches!(taken, CommandOutcome::Taken(outcome) if outcome.changed));
    assert_eq!(runtime.count_set_aside().await.unwrap(), 0);
}

#[tokio::test]
async fn commands_for_one_identity_are_taken_in_their_order() {
    let url = stream("ORDER").await;
    let runtime = builder(&memory()).build();
    for number in 1..=4 {
        hire(&runtime, "acme", number).await;
    }
    let rule = Recorded::default();
    let context = plain(&url).await;
    for number in 0..120u32 {
        let who = u128::from(number % 4) + 1;
        let payload = terminate("acme", who, &format!(r#""idempotency_key":"{number:04}","#));
        context.publish("order.x", payload.into()).await.unwrap().await.unwrap();
    }
    assert_eq!(take(&runtime, &url, "ORDER", &rule).await.taken, 120);
    let seen = rule.0.into_inner().unwrap();
    for who in 1..=4 {
        let keys: Vec<&String> =
            seen.iter().filter(|(identity, _)| *identity == id(who)).map(|(_, key)| key).collect();
        assert!(keys.len() == 30 && keys.is_sorted(), "{keys:?}");
    }
}

/// Notes what it is asked about.
#[derive(Debug, Default)]
struct Recorded(std::sync::Mutex<Vec<(provision_core::id::IdentityId, String)>>);

impl CommandActor for Recorded {
    fn actor(&self, _message: &CommandMessage, command: &Command) -> Result<Actor> {
        let SubmitRequest::Terminate { identity } = command.change else { panic!("{command:?}") };
        self.0.lock().unwrap().push((identity, command.idempotency_key.clone().unwrap()));
        Ok(Actor::service("desk"))
    }
}
