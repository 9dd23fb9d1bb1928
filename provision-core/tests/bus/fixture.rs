//! Stores with events in them, and a sink of the test.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use provision_core::connector::Registry;
use provision_core::event::{Event, EventMessage, EventSink, RelayOptions, Sent};
use provision_core::id::{IdentityId, RealmId};
use provision_core::model::{Employment, Identity};
use provision_core::runtime::{AllowAll, FixedClock, Runtime, RuntimeBuilder, SystemClock};
use provision_core::store::{Changes, Commit, MemoryStore, Store};
use provision_core::value::{Attributes, Timestamp, Zone};
use provision_core::{Error, ErrorKind};
use uuid::Uuid;

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn id(number: u128) -> IdentityId {
    IdentityId::from_uuid(Uuid::from_u128(number))
}

pub(crate) fn event(realm: &str, about: Option<u128>, what: &str, at: Timestamp) -> Event {
    Event {
        realm: realm.into(),
        at,
        event: what.to_owned(),
        identity: about.map(id),
        target: None,
        plan: None,
    }
}

/// Commits one event the way an engine does: through the runtime's store.
pub(crate) async fn commit(runtime: &Runtime, realm: &str, about: Option<u128>, what: &str) {
    let event = event(realm, about, what, runtime.clock().now());
    let mut changes = Changes::in_realm(&RealmId::new(realm));
    changes.append.push(event.append().unwrap());
    assert_eq!(runtime.store().commit(changes).await.unwrap(), Commit::Committed);
}

/// So many events about a few identities.
pub(crate) async fn commit_many(runtime: &Runtime, realm: &str, count: u32) {
    for number in 0..count {
        commit(runtime, realm, Some(u128::from(number % 7)), &format!("test.n{number}")).await;
    }
}

pub(crate) fn builder(store: &Arc<dyn Store>) -> RuntimeBuilder {
    Runtime::builder(Arc::clone(store), Registry::new()).authorizer(Arc::new(AllowAll))
}

pub(crate) fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new(Arc::new(SystemClock)))
}

/// A store and a clock that stand still.
pub(crate) fn still() -> (Arc<FixedClock>, Arc<dyn Store>) {
    let clock = Arc::new(FixedClock::at(at("2026-03-02T09:00:00Z")));
    (Arc::clone(&clock), Arc::new(MemoryStore::new(clock)))
}

pub(crate) fn options() -> RelayOptions {
    RelayOptions::default()
}

/// Puts an identity into the store.
pub(crate) async fn hire(runtime: &Runtime, realm: &str, number: u128) {
    let identity = Identity {
        id: id(number),
        realm: realm.into(),
        attributes: Attributes::new(),
        provenance: std::collections::BTreeMap::new(),
        employment: Employment::default(),
        engagements: Vec::new(),
        zone: Zone::utc(),
        source: "hr".into(),
        key: number.to_string(),
        version: 1,
        next_change_at: None,
    };
    let mut changes = Changes::in_realm(&RealmId::new(realm));
    changes.insert(&identity).unwrap();
    assert_eq!(runtime.store().commit(changes).await.unwrap(), Commit::Committed);
}

/// What a sink does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Take,
    /// Takes so many, then fails.
    Until(usize),
    /// Takes all and says nothing of it: the acknowledgement is lost.
    Lose,
    /// Never answers.
    Hang,
}

/// Keeps what it gets; answers as told, and takes everything when nothing more is told.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) got: Mutex<Vec<EventMessage>>,
    answers: Mutex<Vec<Answer>>,
    pub(crate) calls: Mutex<u32>,
}

impl Kept {
    pub(crate) fn new(answers: &[Answer]) -> Arc<Self> {
        let answers = answers.iter().rev().copied().collect();
        Arc::new(Self { answers: Mutex::new(answers), ..Self::default() })
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.got.lock().unwrap().iter().map(|message| message.id.clone()).collect()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.got.lock().unwrap().iter().map(|message| message.event.event.clone()).collect()
    }
}

#[async_trait]
impl EventSink for Kept {
    async fn send(&self, events: &[EventMessage]) -> Sent {
        *self.calls.lock().unwrap() += 1;
        let answer = self.answers.lock().unwrap().pop().unwrap_or(Answer::Take);
        let lost = || Error::new(ErrorKind::Unavailable, "no answer");
        let (taken, sent) = match answer {
            Answer::Take => (events.len(), Sent::all(events)),
            Answer::Until(count) => (count, Sent::until(count, lost())),
            Answer::Lose => (events.len(), Sent::until(0, lost())),
            Answer::Hang => std::future::pending().await,
        };
        self.got.lock().unwrap().extend(events.iter().take(taken).cloned());
        sent
    }
}
