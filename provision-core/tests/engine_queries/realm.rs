//! A realm with a small policy in Rust, two in-memory targets and a clock that stands still.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use provision_core::connector::{Connector, Registry};
use provision_core::diagnostic::Diagnostic;
use provision_core::engine::{Engine, RunOptions, RunReport};
use provision_core::id::{IdentityId, RealmId, RoleName, SourceName, Tag, TargetName};
use provision_core::memory::{MemoryConfig, MemoryConnector, Personality};
use provision_core::model::{
    Actor, ConfiguredTarget, Employment, Entitlement, Identity, Lifecycle, Link, OriginKind,
};
use provision_core::plan::{ClassSettings, Drive, TargetSettings};
use provision_core::policy::{
    Derivation, DesiredAccount, DesiredGroup, DesiredSlot, DesiredValue, Evaluation, InputRef, NameAllocator,
    Namespace, Policy, PolicyInput, PolicyVersion, Refusal, RefusalReason, RoleDecision, Strength,
};
use provision_core::runtime::{AllowAll, Clock, FixedClock, Runtime, SeededRandom};
use provision_core::schema::Schema;
use provision_core::store::{self, Changes, Commit, MemoryStore, Record, Select, Store, Stored};
use provision_core::value::{AttrName, Attributes, Slot, Timestamp, Value, Zone};
use uuid::Uuid;

/// Everybody who works has a directory account; finance people are in a group; the app is by grant alone.
#[derive(Debug)]
pub(crate) struct StaffPolicy {
    finance: String,
}

impl StaffPolicy {
    fn directory(&self, input: &PolicyInput<'_>, works: bool) -> DesiredAccount {
        let identity = input.identity;
        let text = |name: &str| identity.attributes.text(name).unwrap_or_default().to_owned();
        let finance = text("department") == "Finance";
        let values = vec![
            value(input, "cn", &text("displayName"), Strength::CreateOnly, "displayName"),
            value(input, "dn", &format!("CN={},DC=example", identity.key), Strength::CreateOnly, "key"),
            value(input, "sAMAccountName", &identity.key, Strength::CreateOnly, "key"),
            value(input, "employeeNumber", &identity.key, Strength::CreateOnly, "key"),
            value(input, "displayName", &text("displayName"), Strength::Strong, "displayName"),
            value(input, "department", &text("department"), Strength::Normal, "department"),
            value(input, "title", &text("title"), Strength::Weak, "title"),
        ];
        DesiredAccount {
            target: "directory".into(),
            class: "user".into(),
            tag: Tag::main(),
            exists: works,
            enabled: Some(true),
            because: vec![Derivation {
                mapping: Some("staff".into()),
                note: (!works).then(|| format!("the person is {}", input.lifecycle.as_str())),
                ..Derivation::default()
            }],
            values,
            groups: if finance {
                let because = vec!["role:finance".into()];
                let group = self.finance.clone();
                vec![DesiredGroup { class: "group".into(), group, of: None, privileged: false, because }]
            } else {
                Vec::new()
            },
            credential: None,
            authority: Default::default(),
            refusals: refusals(&text("displayName"), works),
        }
    }

    fn app(&self, input: &PolicyInput<'_>) -> (DesiredAccount, Option<Timestamp>) {
        let wanted = app_account();
        let grant = input.grants.iter().find(|grant| grant.entitlement == wanted);
        let (stands, next) = grant.map_or((false, None), |grant| grant.at(input.now));
        let account = DesiredAccount {
            target: "app".into(),
            class: "account".into(),
            tag: Tag::main(),
            exists: stands && input.lifecycle == Lifecycle::Active,
            enabled: Some(true),
            because: vec![Derivation { mapping: Some("app".into()), ..Derivation::default() }],
            values: vec![value(input, "userName", &input.identity.key, Strength::Strong, "key")],
            groups: Vec::new(),
            credential: None,
            refusals: Vec::new(),
            authority: Default::default(),
        };
        (account, next)
    }
}

fn refusals(name: &str, works: bool) -> Vec<Refusal> {
    if !works || !name.is_empty() {
        return Vec::new();
    }
    vec![Refusal {
        reason: RefusalReason::MissingInput,
        attribute: Some("displayName".into()),
        mapping: Some("directory.displayName".into()),
        detail: "`displayName` is missing; correct the record in its source".to_owned(),
    }]
}

fn value(input: &PolicyInput<'_>, name: &str, text: &str, strength: Strength, from: &str) -> DesiredValue {
    let source = input.identity.provenance.get(from).cloned();
    let values = if text.is_empty() { Vec::new() } else { vec![Value::text(text)] };
    DesiredValue {
        attribute: name.into(),
        slot: DesiredSlot::Known(Slot::from_values(values)),
        strength,
        inputs: format!("{name}:{text}"),
        derivation: Derivation {
            mapping: Some(format!("directory.{name}").into()),
            strength: Some(strength),
            inputs: vec![InputRef { attribute: from.into(), source }],
            identity_version: input.identity.version,
            overridden: if name == "title" { vec!["directory.title.default".into()] } else { Vec::new() },
            ..Derivation::default()
        },
        tolerance: None,
    }
}

impl Policy for StaffPolicy {
    fn version(&self) -> PolicyVersion {
        PolicyVersion { label: "staff 1".to_owned(), hash: "0123456789abcdef".to_owned() }
    }

    fn namespaces(&self) -> &[Namespace] {
        &[]
    }

    fn check(&self, _schemas: &BTreeMap<TargetName, Schema>) -> Vec<Diagnostic> {
        Vec::new()
    }

    fn evaluate(&self, input: &PolicyInput<'_>, _names: &mut dyn NameAllocator) -> Evaluation {
        let works = matches!(input.lifecycle, Lifecycle::Active | Lifecycle::OnLeave);
        let role = |role: &str, because: &str| RoleDecision {
            role: RoleName::new(role),
            because: vec![because.into()],
        };
        let mut roles = Vec::new();
        if works {
            roles.push(role("staff", "rule:works"));
        }
        if works && input.identity.attributes.text("department") == Some("Finance") {
            roles.push(role("finance", "rule:finance"));
        }
        let (app, next_change_at) = self.app(input);
        Evaluation {
            roles,
            accounts: vec![self.directory(input, works), app],
            next_change_at,
            ..Evaluation::default()
        }
    }
}

pub(crate) fn app_account() -> Entitlement {
    Entitlement::Account { target: "app".into(), class: "account".into(), tag: Tag::main() }
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn id(number: u128) -> IdentityId {
    IdentityId::from_uuid(Uuid::from_u128(number))
}

/// Each process has random numbers of its own.
static PROCESSES: AtomicU64 = AtomicU64::new(100);

/// A realm with its targets.
pub(crate) struct Realm {
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) directory: MemoryConnector,
    pub(crate) app: MemoryConnector,
    pub(crate) finance: String,
    pub(crate) robot: Actor,
}

impl Realm {
    /// Both targets onboarded, with this drive and with the budgets a caller sets.
    pub(crate) async fn with(drive: Drive, change: impl Fn(&mut TargetSettings)) -> Self {
        let clock = Arc::new(FixedClock::at(at("2026-03-02T09:00:00Z")));
        Self::on(clock.clone(), clock, drive, change).await
    }

    /// The same by a clock that goes by itself; the one that stands still is not used.
    pub(crate) async fn timed(clock: Arc<dyn Clock>, change: impl Fn(&mut TargetSettings)) -> Self {
        let still = Arc::new(FixedClock::at(at("2026-03-02T09:00:00Z")));
        Self::on(still, clock, Drive::Enforce, change).await
    }

    async fn on(
        still: Arc<FixedClock>,
        clock: Arc<dyn Clock>,
        drive: Drive,
        change: impl Fn(&mut TargetSettings),
    ) -> Self {
        let (_, mut realms) = Self::several(&["main"], still, clock, drive, change).await;
        realms.remove(0)
    }

    /// Realms of one store and one runtime, each with targets of its own.
    pub(crate) async fn several(
        names: &[&str],
        still: Arc<FixedClock>,
        clock: Arc<dyn Clock>,
        drive: Drive,
        change: impl Fn(&mut TargetSettings),
    ) -> (Runtime, Vec<Self>) {
        let connector = |personality| {
            MemoryConnector::new(MemoryConfig::personality(personality), clock.clone()).unwrap()
        };
        let kind = |target: &str, name: &str| match name {
            "main" => target.to_owned(),
            _ => format!("{target}-{name}"),
        };
        let mut registry = Registry::new();
        let mut targets = Vec::new();
        for name in names {
            let (directory, app) = (connector(Personality::Directory), connector(Personality::Plain));
            registry = registry
                .with_connector(&kind("directory", name), shared(&directory))
                .with_connector(&kind("app", name), shared(&app));
            targets.push((directory, app));
        }
        let store = Arc::new(MemoryStore::new(clock.clone()));
        let runtime = Runtime::builder(store.clone(), registry)
            .clock(clock.clone())
            .random(Arc::new(SeededRandom::new(7)))
            .authorizer(Arc::new(AllowAll))
            .build();
        let robot = Actor::engine();
        let mut realms = Vec::new();
        for (realm, (directory, app)) in names.iter().zip(targets) {
            let engine = runtime.realm(*realm);
            for (name, class) in [("directory", "user"), ("app", "account")] {
                let mut settings = TargetSettings::new(name, kind(name, realm));
                settings.drive = drive;
                let marker = (name == "directory").then(|| AttrName::new("employeeNumber"));
                settings.classes =
                    BTreeMap::from([(class.into(), ClassSettings { marker, ..ClassSettings::default() })]);
                change(&mut settings);
                engine.put_target(&robot, settings).await.unwrap();
            }
            let group = Attributes::new().with("cn", "Finance").with("dn", "CN=Finance,DC=example");
            let finance = directory.seed("group", [(group, None)]).unwrap().remove(0).id;
            let (clock, store, robot) = (still.clone(), store.clone(), robot.clone());
            let realm = Self { engine, clock, store, directory, app, finance: finance.clone(), robot };
            for (name, connector) in [("directory", &realm.directory), ("app", &realm.app)] {
                let discovery = connector.discover(&MemoryConnector::context()).await.unwrap();
                let known = realm.engine.target(&name.into()).await.unwrap();
                let onboarded = ConfiguredTarget {
                    discovery: Some(discovery),
                    onboarded_at: Some(at("2026-03-01T00:00:00Z")),
                    onboarded: known.value.settings.classes.keys().cloned().collect(),
                    ..known.value
                };
                realm.put(&onboarded).await;
            }
            realm.engine.set_policy(&realm.robot, Arc::new(StaffPolicy { finance })).await.unwrap();
            realms.push(realm);
        }
        (runtime, realms)
    }

    /// Another process on the same store and the same targets, by its own clock and under its own name.
    pub(crate) async fn another(&self, clock: Arc<dyn Clock>, node: Option<&str>) -> (Runtime, Engine) {
        let registry = Registry::new()
            .with_connector("directory", shared(&self.directory))
            .with_connector("app", shared(&self.app))
            .with_source("none", |_| Ok(Arc::new(crate::metrics::NoFeeds)))
            .with_source("ready", |_| Ok(Arc::new(crate::reading::Ready)));
        let store: Arc<dyn Store> = self.store.clone();
        let mut builder = Runtime::builder(store, registry)
            .clock(clock)
            .random(Arc::new(SeededRandom::new(PROCESSES.fetch_add(1, Ordering::SeqCst))))
            .authorizer(Arc::new(AllowAll));
        if let Some(node) = node {
            builder = builder.node(node);
        }
        let runtime = builder.build();
        let engine = runtime.realm(self.name());
        engine
            .set_policy(&self.robot, Arc::new(StaffPolicy { finance: self.finance.clone() }))
            .await
            .unwrap();
        (runtime, engine)
    }

    pub(crate) async fn enforced() -> Self {
        Self::with(Drive::Enforce, |_| {}).await
    }

    pub(crate) fn name(&self) -> RealmId {
        self.engine.realm().clone()
    }

    pub(crate) async fn put<R: Record>(&self, record: &R) {
        let mut changes = Changes::in_realm(&self.name());
        changes.put(record).unwrap();
        assert_eq!(self.store.commit(changes).await.unwrap(), Commit::Committed);
    }

    pub(crate) async fn all<R: Record>(&self) -> Vec<Stored<R>> {
        let every = Select::KeyPrefix(String::new());
        store::list_by::<R>(self.store.as_ref(), &self.name(), every, None, 10_000).await.unwrap().0
    }

    /// Puts a person into the store, dirty.
    pub(crate) async fn hire(&self, number: u128, key: &str, name: &str, department: &str) -> IdentityId {
        self.put_identity(self.person(number, key, name, department)).await;
        id(number)
    }

    /// Puts so many people into the store, all dirty.
    pub(crate) async fn hire_many(&self, people: u128) {
        for number in 1..=people {
            self.put(&self.person(number, &format!("{number:04}"), &format!("Person {number}"), "IT")).await;
        }
        self.touch().await;
    }

    pub(crate) fn person(&self, number: u128, key: &str, name: &str, department: &str) -> Identity {
        let attributes = Attributes::new()
            .with("displayName", name)
            .with("department", department)
            .with("mail", format!("{key}@example.org"));
        let provenance = attributes.iter().map(|(name, _)| (name.clone(), SourceName::new("hr"))).collect();
        Identity {
            id: id(number),
            realm: self.name(),
            attributes,
            provenance,
            employment: Employment::default(),
            engagements: Vec::new(),
            zone: Zone::utc(),
            source: "hr".into(),
            key: key.to_owned(),
            version: 1,
            next_change_at: None,
        }
    }

    /// Writes an identity and makes everybody dirty, as a new policy would.
    pub(crate) async fn put_identity(&self, identity: Identity) {
        self.put(&identity).await;
        self.touch().await;
    }

    /// Makes everybody dirty.
    pub(crate) async fn touch(&self) {
        self.engine.resume(&self.robot, &"directory".into()).await.unwrap();
    }

    pub(crate) async fn identity(&self, who: IdentityId) -> Identity {
        self.engine.find(&who.to_string()).await.unwrap()
    }

    pub(crate) async fn link(&self, who: IdentityId, target: &str) -> Option<Link> {
        let links = self.all::<Link>().await.into_iter().map(|link| link.value);
        links.into_iter().find(|link| link.subject.identity() == Some(who) && link.target.as_str() == target)
    }

    pub(crate) async fn run(&self) -> RunReport {
        self.engine.run(&self.robot, &RunOptions::default()).await.unwrap()
    }

    pub(crate) fn users(&self) -> Vec<provision_core::connector::Object> {
        self.directory.dump("user").unwrap()
    }
}

fn shared(
    connector: &MemoryConnector,
) -> impl Fn(&serde_json::Value) -> provision_core::Result<Arc<dyn Connector>> + Send + Sync + 'static {
    let connector = connector.clone();
    move |_| Ok(Arc::new(connector.clone()))
}

/// The kind of a stored origin, for assertions.
pub(crate) const BY_SERVICE: OriginKind = OriginKind::Request;
