//! The process-wide runtime: store, connector kinds, clock, randomness, authorizer.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::skew::Skew;
use super::wake::{Wake, Wakes, WakingStore};
use super::{Authorizer, CautiousAuthorizer, Clock, Random, SystemClock, SystemRandom, mint};
use crate::connector::{Connector, Registry};
use crate::engine::{Engine, Readings};
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::event::{Announced, EventSink, Events};
use crate::execute::{CredentialDelivery, GroupLanes, Pacers};
use crate::id::{RealmId, TargetName};
use crate::plan::TargetSettings;
use crate::policy::Policy;
use crate::store::Store;
use crate::value::Timestamp;

/// One per process. Cheap to clone; [`Runtime::realm`] gives an [`Engine`].
#[derive(Clone)]
pub struct Runtime(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    /// The store of the host: for what belongs to no realm of it.
    pub(crate) bare: Arc<dyn Store>,
    pub(crate) registry: Registry,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) settle: Duration,
    /// When the process began.
    pub(crate) started_at: Timestamp,
    pub(crate) delivery: Option<Arc<dyn CredentialDelivery>>,
    pub(crate) wakes: Arc<Wakes>,
    pub(crate) skew: Arc<Skew>,
    pub(crate) announced: Arc<Announced>,
    pub(crate) sinks: BTreeMap<String, Arc<dyn EventSink>>,
    pub(crate) lanes: GroupLanes,
    pub(crate) pacers: Pacers,
    /// The name of this process among those that share the store.
    pub(crate) node: Option<String>,
    pub(crate) readings: Readings,
    policies: Mutex<BTreeMap<RealmId, Arc<dyn Policy>>>,
    connectors: Mutex<BTreeMap<(RealmId, TargetName), Built>>,
}

/// A connector with the configuration it was built from: another configuration builds another one.
struct Built {
    kind: String,
    config: serde_json::Value,
    connector: Arc<dyn Connector>,
    used_at: Timestamp,
}

impl Runtime {
    /// A runtime on a store, with the kinds of connectors and sources it may use.
    pub fn builder(store: Arc<dyn Store>, registry: Registry) -> RuntimeBuilder {
        RuntimeBuilder {
            store,
            registry,
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            authorizer: Arc::new(CautiousAuthorizer),
            settle: Duration::from_secs(1),
            delivery: None,
            sinks: BTreeMap::new(),
            node: None,
        }
    }

    /// What commits of this process append to the outbox, from now on. Best effort, for a host that wants to look at
    /// once: a listener that is too slow misses events and is told how many, commits that end at the same time may be
    /// told in another order, and other processes' commits are not heard here. The outbox is the truth: a sink misses
    /// nothing.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use provision_core::connector::Registry;
    /// # use provision_core::runtime::{Runtime, SystemClock};
    /// # use provision_core::store::MemoryStore;
    /// use futures_util::StreamExt;
    /// use provision_core::event::Heard;
    ///
    /// # async fn run() {
    /// # let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    /// let runtime = Runtime::builder(store, Registry::new()).build();
    /// let mut events = runtime.events();
    /// while let Some(heard) = events.next().await {
    ///     match heard {
    ///         Heard::Event(event) => println!("look at {:?}: {}", event.identity, event.event),
    ///         Heard::Missed(count) => println!("{count} events went by: look at everything"),
    ///     }
    /// }
    /// # }
    /// ```
    pub fn events(&self) -> Events {
        self.0.announced.listen()
    }

    /// The engine of a realm. Cheap: ask for it whenever one is needed.
    pub fn realm(&self, realm: impl Into<RealmId>) -> Engine {
        Engine::new(Arc::clone(&self.0), realm.into())
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }
}

impl Inner {
    pub(crate) fn mint(&self) -> Result<Uuid> {
        mint(self.clock.as_ref(), self.random.as_ref())
    }

    /// Who has a lease: this process, and no other claim of it.
    pub(crate) fn owner(&self) -> Result<String> {
        let node = self.node.as_deref().unwrap_or("process");
        Ok(format!("{node}/{}", self.mint()?))
    }

    pub(crate) fn set_policy(&self, realm: &RealmId, policy: Arc<dyn Policy>) {
        let mut policies = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
        policies.insert(realm.clone(), policy);
        drop(policies);
        self.wakes.wake(realm, Wake { configured: true, due: true, ..Wake::default() });
    }

    pub(crate) fn policy(&self, realm: &RealmId) -> Result<Arc<dyn Policy>> {
        let policies = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
        policies.get(realm).cloned().ok_or_else(|| {
            Error::new(ErrorKind::ConfigInvalid, "the realm has no policy: call `set_policy` first")
                .with_context("realm", realm.as_str())
                .with_effect(Effect::None)
        })
    }

    /// The connector of a target, built once per configuration.
    pub(crate) fn connector(&self, realm: &RealmId, settings: &TargetSettings) -> Result<Arc<dyn Connector>> {
        let mut connectors = self.connectors.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (realm.clone(), settings.name.clone());
        let same = |built: &Built| built.kind == settings.kind && built.config == settings.config;
        let used_at = self.clock.now();
        if let Some(built) = connectors.get_mut(&key).filter(|built| same(built)) {
            built.used_at = used_at;
            return Ok(Arc::clone(&built.connector));
        }
        let connector = self.registry.connector(&settings.kind, &settings.config).map_err(|error| {
            let kind = error.kind();
            Error::new(kind, "cannot build the target's connector")
                .with_context("target", settings.name.as_str())
                .with_effect(Effect::None)
                .with_source(error)
        })?;
        let built = Built {
            kind: settings.kind.clone(),
            config: settings.config.clone(),
            connector: Arc::clone(&connector),
            used_at,
        };
        connectors.insert(key, built);
        Ok(connector)
    }

    /// Gives up connectors that nobody asked for since an instant; they are built again when somebody does.
    pub(crate) fn give_up_connectors(&self, since: Timestamp) {
        let mut connectors = self.connectors.lock().unwrap_or_else(PoisonError::into_inner);
        let before = connectors.len();
        self.pacers.forget();
        connectors.retain(|_, built| built.used_at >= since);
        tracing::debug!(count = before.saturating_sub(connectors.len()), "idle connectors given up");
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("store", &self.store)
            .field("registry", &self.registry)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Builds a [`Runtime`].
#[derive(Debug)]
pub struct RuntimeBuilder {
    store: Arc<dyn Store>,
    registry: Registry,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    authorizer: Arc<dyn Authorizer>,
    settle: Duration,
    delivery: Option<Arc<dyn CredentialDelivery>>,
    node: Option<String>,
    sinks: BTreeMap<String, Arc<dyn EventSink>>,
}

impl RuntimeBuilder {
    /// Where events go ([`Runtime::relay`]). The store keeps under this name how far the sink is: all processes that
    /// send to the same place give it the same name. Another sink of the same name takes its place.
    #[must_use]
    pub fn sink(mut self, name: impl Into<String>, sink: Arc<dyn EventSink>) -> Self {
        self.sinks.insert(name.into(), sink);
        self
    }

    /// Names this process among those that share the store: a *node*. Give every process a name of its own when there
    /// are several; without one they work together safely, but are not seen in the status, and each writes to a group
    /// without regard to the others.
    #[must_use]
    pub fn node(mut self, name: impl Into<String>) -> Self {
        self.node = Some(name.into());
        self
    }

    /// Where initial passwords go. Without one they are dropped as soon as they are set: people use the target's
    /// reset.
    #[must_use]
    pub fn delivery(mut self, delivery: Arc<dyn CredentialDelivery>) -> Self {
        self.delivery = Some(delivery);
        self
    }

    /// Another clock than the machine's: `--as-of`, tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Another generator than the system's: tests.
    #[must_use]
    pub fn random(mut self, random: Arc<dyn Random>) -> Self {
        self.random = random;
        self
    }

    /// The host's decision on what an actor may do. Without one, approving and relinking are denied.
    #[must_use]
    pub fn authorizer(mut self, authorizer: Arc<dyn Authorizer>) -> Self {
        self.authorizer = authorizer;
        self
    }

    /// How long after a request's deadline its open intent may be taken over: a target may still carry out what it
    /// was sent in time. 1 second unless set. Clocks that differ need not be allowed for: deadlines and takeovers go
    /// by the store's.
    #[must_use]
    pub fn settle(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }

    /// The runtime. No I/O.
    pub fn build(self) -> Runtime {
        let wakes = Arc::new(Wakes::default());
        super::meter::describe();
        let skew = Arc::new(Skew::default());
        let announced = Arc::new(Announced::new());
        let (store, clock) = (self.store, Arc::clone(&self.clock));
        Runtime(Arc::new(Inner {
            started_at: self.clock.now(),
            bare: Arc::clone(&store),
            store: Arc::new(WakingStore {
                store,
                clock,
                wakes: Arc::clone(&wakes),
                skew: Arc::clone(&skew),
                announced: Arc::clone(&announced),
            }),
            wakes,
            skew,
            announced,
            sinks: self.sinks,
            lanes: GroupLanes::default(),
            pacers: Pacers::default(),
            registry: self.registry,
            clock: self.clock,
            random: self.random,
            authorizer: self.authorizer,
            settle: self.settle,
            delivery: self.delivery,
            node: self.node,
            readings: Readings::default(),
            policies: Mutex::new(BTreeMap::new()),
            connectors: Mutex::new(BTreeMap::new()),
        }))
    }
}
