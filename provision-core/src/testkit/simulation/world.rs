//! A world: one store, realms with sources and targets, and processes that come and go.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::clock::{SimClock, Time};
use super::depot::{Counter, Depot, StoreKind};
use super::dice::Dice;
use super::executor::{Executor, Orders, ProcessId, WORLD};
use super::inspector::Inspector;
use super::lock;
use super::network::{Network, Site};
use super::profile::Profile;
use super::realm::Realm;
use super::trace::Trace;
use super::weather::Weather;
use crate::connector::{Connector, Context, Registry};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::model::Actor;
use crate::runtime::{AllowAll, Runtime, SeededRandom};
use crate::source::{Feed, FeedRecord, Source};
use crate::value::Timestamp;

/// Everything.
#[derive(Debug)]
pub(super) struct World {
    pub(super) profile: Profile,
    pub(super) dice: Dice,
    pub(super) time: Time,
    pub(super) trace: Arc<Trace>,
    pub(super) orders: OrdersOf,
    pub(super) weather: Arc<Weather>,
    pub(super) depot: Arc<Depot>,
    pub(super) inspector: Arc<Inspector>,
    pub(super) realms: Vec<Arc<Realm>>,
    /// The living processes by slot.
    pub(super) living: Mutex<BTreeMap<u64, ProcessId>>,
    pub(super) crashes: Arc<Mutex<u64>>,
    pub(super) fallen: Arc<Mutex<Vec<ProcessId>>>,
    /// Processes that did not live to the end.
    pub(super) dead: Mutex<Vec<ProcessId>>,
    next: AtomicU32,
    pub(super) over: AtomicBool,
    /// From each backup that was restored until its restore: what the store forgot.
    pub(super) forgotten: Mutex<Vec<(Timestamp, Timestamp)>>,
    /// What the main task could not do.
    pub(super) trouble: Mutex<Vec<String>>,
}

/// Orders, with a `Debug` that says nothing.
#[derive(Clone)]
pub(super) struct OrdersOf(pub(super) Orders);

impl std::fmt::Debug for OrdersOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Orders")
    }
}

/// A process of ours: the engines of all realms over one runtime.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) id: ProcessId,
    pub(super) slot: u64,
    pub(super) realms: Vec<(Arc<Realm>, Engine, Arc<AtomicU32>)>,
}

impl World {
    pub(super) fn new(
        profile: &Profile,
        seed: u64,
        kind: StoreKind,
        folder: &Path,
        executor: &Executor,
        (time, trace): (Time, Arc<Trace>),
    ) -> Result<Self> {
        let dice = Dice::new(seed, 1);
        let weather = Arc::new(Weather::new(time.clone(), Dice::new(seed, 2)));
        let depot = Arc::new(Depot::new(kind, folder, seed, Arc::clone(&weather), Arc::clone(&trace))?);
        let mut realms = Vec::new();
        for number in 0..dice.between(1, profile.realms.max(1)) {
            realms.push(Arc::new(Realm::new(number, profile, &dice, &time)?));
        }
        Ok(Self {
            profile: profile.clone(),
            dice,
            time,
            trace,
            orders: OrdersOf(executor.orders.clone()),
            weather,
            inspector: Arc::new(Inspector::new(Arc::clone(&depot))),
            depot,
            realms,
            living: Mutex::default(),
            crashes: Arc::clone(&executor.crashes),
            fallen: Arc::clone(&executor.fallen),
            dead: Mutex::default(),
            next: AtomicU32::new(WORLD + 1),
            over: AtomicBool::new(false),
            forgotten: Mutex::default(),
            trouble: Mutex::default(),
        })
    }

    /// Whether the store forgot what happened then.
    pub(super) fn is_forgotten(&self, at: Timestamp) -> bool {
        // What was under way at the backup ends after it, by a clock that may be off; and what was at the restore
        // reaches the target when its process is gone.
        let slack = Duration::from_secs(60 + 2 * self.profile.skew);
        let call = Duration::from_secs(super::realm::TIMEOUT.into());
        lock(&self.forgotten).iter().any(|(from, until)| at.plus(slack) >= *from && at <= until.plus(call))
    }

    pub(super) fn note(&self, line: std::fmt::Arguments<'_>) {
        self.trace.note(self.time.now(), line);
    }

    pub(super) fn trouble(&self, what: String) {
        self.note(format_args!("{what}"));
        lock(&self.trouble).push(what);
    }

    /// Waits a while: so many seconds, at least and at most.
    pub(super) async fn wait(&self, least: u64, most: u64) {
        let millis = self.dice.between(least.saturating_mul(1_000), most.saturating_mul(1_000));
        self.time.sleep(Duration::from_millis(millis)).await;
    }

    /// The engines of a new process.
    pub(super) fn process(&self, slot: u64) -> Process {
        let id = self.next.fetch_add(1, Ordering::SeqCst);
        let most = i64::try_from(self.profile.skew).unwrap_or(0).saturating_mul(1_000_000);
        let span = u64::try_from(most.saturating_mul(2)).unwrap_or(0);
        let skew = i64::try_from(self.dice.between(0, span)).unwrap_or(0).saturating_sub(most);
        let clock = SimClock::ahead(&self.time, skew);
        let store = Arc::new(Counter { process: id, depot: Arc::clone(&self.depot) });
        let sites: BTreeMap<(String, String), Arc<Site>> = self
            .realms
            .iter()
            .flat_map(|realm| realm.sites.values())
            .map(|site| ((site.realm.as_str().to_owned(), site.name.as_str().to_owned()), Arc::clone(site)))
            .collect();
        let network = {
            let (clock, weather) = (clock.clone(), Arc::clone(&self.weather));
            let (orders, trace) = (self.orders.0.clone(), Arc::clone(&self.trace));
            let inspector = Arc::clone(&self.inspector);
            move |site: Arc<Site>| Network {
                process: id,
                clock: clock.clone(),
                site,
                weather: Arc::clone(&weather),
                orders: orders.clone(),
                trace: Arc::clone(&trace),
                inspector: Arc::clone(&inspector),
            }
        };
        let registry = Registry::new()
            .with_connector("simulated", move |config| {
                let text = |name: &str| {
                    config.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
                };
                let site = sites.get(&(text("realm"), text("target"))).cloned();
                let site = site.ok_or_else(|| Error::new(ErrorKind::ConfigInvalid, "no such target"))?;
                Ok(Arc::new(network(site)) as Arc<dyn Connector>)
            })
            .with_source("simulated", |_| Ok(Arc::new(NoFeeds)));
        let runtime = Runtime::builder(store, registry)
            .clock(Arc::new(clock))
            .random(Arc::new(SeededRandom::new(self.dice.seed())))
            .authorizer(Arc::new(AllowAll))
            // Clocks differ by more than that: who takes over goes by the store's.
            .settle(Duration::from_secs(1))
            .node(format!("p{id}"))
            .build();
        let realms = self
            .realms
            .iter()
            .map(|realm| (Arc::clone(realm), runtime.realm(realm.id.clone()), Arc::new(AtomicU32::new(0))))
            .collect();
        Process { id, slot, realms }
    }

    /// Has a process know the newest policy of a realm. False when that failed.
    pub(super) async fn equip(&self, realm: &Realm, engine: &Engine, known: &AtomicU32) -> bool {
        let version = realm.version.load(Ordering::SeqCst);
        if known.load(Ordering::SeqCst) == version {
            return true;
        }
        match engine.set_policy(&operator(), Arc::new(realm.policy(version))).await {
            Ok(()) => {
                known.store(version, Ordering::SeqCst);
                true
            }
            Err(error) => {
                self.note(format_args!("set_policy: {error}"));
                false
            }
        }
    }
}

/// Who runs the engine.
pub(super) fn operator() -> Actor {
    Actor::service("operator")
}

/// Who approves.
pub(super) fn boss(slot: u64) -> Actor {
    Actor::person(format!("boss{slot}"))
}

/// A source that has nothing ready: deliveries are handed over.
#[derive(Debug)]
struct NoFeeds;

#[async_trait]
impl Source for NoFeeds {
    async fn feeds(&self, _cx: &Context) -> Result<Vec<Feed>> {
        Ok(Vec::new())
    }

    async fn get(&self, _cx: &Context, _key: &str) -> Result<Option<FeedRecord>> {
        Ok(None)
    }
}
