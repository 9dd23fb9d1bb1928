//! A small world: a store, a directory, an HR feed from vectors, and a policy in Rust.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use provision_core::connector::{Completeness, Registry};
use provision_core::correlate::ClassCorrelation;
use provision_core::diagnostic::Diagnostic;
use provision_core::engine::{ApplyOptions, ApplyReport, Engine, PlanOptions, ReconcileReport};
use provision_core::execute::CredentialDelivery;
use provision_core::id::{ClassName, PlanId, PolicyRef, RoleName, SourceName, Tag, TargetName};
use provision_core::ingest::FeedOutcome;
use provision_core::memory::{MemoryConfig, MemoryConnector};
use provision_core::model::{Actor, Employment, Entitlement, Status};
use provision_core::plan::{
    Budget, BudgetKind, ClassSettings, Drive, OnDelete, PlanHeader, RetrySchedule, Scope, Step,
    TargetSettings,
};
use provision_core::policy::{
    CredentialPolicy, Derivation, DesiredAccount, DesiredGroup, DesiredSlot, DesiredValue, Evaluation,
    InputRef, NameAllocator, NameRequest, NameResult, Namespace, NamespaceMember, Policy, PolicyInput,
    PolicyRole, PolicyVersion, Strength,
};
use provision_core::runtime::{AllowAll, FixedClock, Progress, Runtime, SeededRandom};
use provision_core::schema::{CaseRule, Schema};
use provision_core::source::{
    Absence, EngagementSettings, Feed, FeedEvent, FeedGuard, FeedMode, FeedRecord, FeedSequence,
    RecordAction, SourceSettings,
};
use provision_core::store::{MemoryStore, Store};
use provision_core::value::{AttrName, Attributes, Date, Slot, Timestamp, Value, Zone};

use crate::role_groups::RoleGroups;
use crate::wire::{Pace, PacedStore, Wire};

pub(crate) const DIRECTORY: &str = "directory";

/// A person of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) key: String,
    pub(crate) given: String,
    pub(crate) family: String,
    pub(crate) department: String,
    pub(crate) manager: Option<String>,
    pub(crate) mail: Option<String>,
    pub(crate) end: Option<Date>,
    pub(crate) status: Status,
    /// What tells the person where rows are engagements.
    pub(crate) number: Option<&'static str>,
}

pub(crate) fn person(key: &str, given: &str, family: &str, department: &str) -> Person {
    Person {
        key: key.to_owned(),
        given: given.to_owned(),
        family: family.to_owned(),
        department: department.to_owned(),
        manager: None,
        mail: None,
        end: None,
        status: Status::Active,
        number: None,
    }
}

impl Person {
    pub(crate) fn record(&self) -> FeedRecord {
        let mut attributes = Attributes::new()
            .with("givenName", self.given.as_str())
            .with("familyName", self.family.as_str())
            .with("department", self.department.as_str());
        match &self.manager {
            Some(manager) => attributes.set("manager", vec![Value::text(manager)]),
            None => attributes.insert("manager", Slot::Null),
        }
        if let Some(number) = self.number {
            attributes.set("number", vec![Value::text(number)]);
        }
        if let Some(mail) = &self.mail {
            attributes.set("mail", vec![Value::text(mail)]);
        }
        FeedRecord {
            key: self.key.clone(),
            position: 1,
            attributes,
            employment: Employment { start: None, end: self.end, status: self.status },
            zone: None,
            action: RecordAction::Upsert,
            fingerprint: format!("{self:?}"),
        }
    }
}

/// Accounts in the directory for everybody, in a group by department and in those that stored grants give.
#[derive(Clone, Debug)]
pub(crate) struct TestPolicy {
    pub(crate) namespaces: Vec<Namespace>,
    pub(crate) label: String,
    pub(crate) strength: Strength,
    pub(crate) group: bool,
    /// What stored grants give counts.
    pub(crate) grants: bool,
    /// New accounts get a password of this length.
    pub(crate) password: Option<u32>,
    /// Roles that groups of the directory stand for.
    pub(crate) roles: RoleGroups,
    /// People with this given name have a second account there, with the tag `admin`.
    pub(crate) admins: Option<&'static str>,
    /// What the second account's marker has behind the person's key.
    pub(crate) admin_marker: &'static str,
}

impl TestPolicy {
    pub(crate) fn new() -> Self {
        let member = NamespaceMember {
            target: TargetName::new(DIRECTORY),
            class: ClassName::new("user"),
            attribute: AttrName::new("sAMAccountName"),
        };
        let login = Namespace {
            name: "login".into(),
            case: CaseRule::Ignore,
            members: vec![member],
            scoped: false,
            reuse_after_days: None,
        };
        Self {
            namespaces: vec![login],
            label: "test-1".to_owned(),
            strength: Strength::Strong,
            group: true,
            grants: true,
            password: None,
            roles: RoleGroups::default(),
            admins: None,
            admin_marker: "#admin",
        }
    }
}

impl Policy for TestPolicy {
    fn version(&self) -> PolicyVersion {
        PolicyVersion { label: self.label.clone(), hash: self.label.clone() }
    }

    fn namespaces(&self) -> &[Namespace] {
        &self.namespaces
    }

    fn check(&self, _schemas: &BTreeMap<TargetName, Schema>) -> Vec<Diagnostic> {
        Vec::new()
    }

    fn evaluate(&self, input: &PolicyInput<'_>, names: &mut dyn NameAllocator) -> Evaluation {
        use provision_core::model::Lifecycle::{PreHire, Terminated};
        let identity = input.identity;
        let exists = !matches!(input.lifecycle, PreHire | Terminated);
        let text = |name: &str| identity.attributes.text(name).unwrap_or_default().to_owned();
        let (given, family, department) = (text("givenName"), text("familyName"), text("department"));
        let mut values = Vec::new();
        if exists {
            let stem =
                format!("{}{}", family.to_lowercase(), given.to_lowercase().chars().next().unwrap_or('x'));
            let request = NameRequest {
                namespace: "login".into(),
                scope: String::new(),
                purpose: format!("{DIRECTORY}/user/main/sAMAccountName"),
                stem: stem.clone(),
            };
            let mut candidates =
                |n: u32| Some(vec![if n == 1 { stem.clone() } else { format!("{stem}{n}") }]);
            let login = match names.allocate(&[request], &mut candidates) {
                NameResult::Held(names) | NameResult::Allocated(names, _) => names[0].clone(),
                NameResult::Pending | NameResult::Exhausted => stem.clone(),
            };
            let dn = format!("CN={given} {family} ({login}),OU={department},DC=test");
            for (attribute, value, from) in [
                ("sAMAccountName", login.clone(), "familyName"),
                ("cn", format!("{given} {family} ({login})"), "familyName"),
                ("dn", dn, "department"),
                ("givenName", given.clone(), "givenName"),
                ("sn", family.clone(), "familyName"),
                ("department", department.clone(), "department"),
                ("employeeNumber", identity.key.clone(), "key"),
                ("mail", format!("{login}@Test.Example"), "familyName"),
            ] {
                values.push(self.value(
                    identity,
                    attribute,
                    DesiredSlot::Known(Slot::Values(vec![value.into()])),
                    from,
                ));
            }
            if let Some(manager) = identity.attributes.text("manager") {
                let slot = DesiredSlot::AccountOf { key: manager.to_owned() };
                values.push(self.value(identity, "manager", slot, "manager"));
            }
        }
        let (mut groups, next_change_at) = self.groups(input, exists, &department);
        groups.extend(self.roles.given(&department).filter(|_| exists));
        let main = DesiredAccount {
            target: TargetName::new(DIRECTORY),
            class: "user".into(),
            tag: Tag::main(),
            exists,
            enabled: exists.then_some(input.lifecycle == provision_core::model::Lifecycle::Active),
            because: vec![Derivation {
                mapping: Some(PolicyRef::new("rules.everybody")),
                ..Default::default()
            }],
            values,
            groups,
            credential: self.password.map(|length| CredentialPolicy { length, must_change: true }),
            refusals: Vec::new(),
            authority: Default::default(),
        };
        let admin = self.admins.map(|admins| self.admin(&main, exists && given == admins, identity, names));
        let accounts = std::iter::once(main).chain(admin).collect();
        Evaluation { accounts, next_change_at, ..Evaluation::default() }
    }

    fn roles(&self) -> Vec<PolicyRole> {
        self.roles.all()
    }

    fn role_classes(&self) -> Vec<(TargetName, ClassName)> {
        self.roles.classes()
    }

    fn evaluate_role(&self, role: &RoleName, input: &PolicyInput<'_>) -> Evaluation {
        self.roles.evaluate(role, input)
    }
}

impl TestPolicy {
    /// The second account of an administrator: its own login, name and marker, no groups.
    fn admin(
        &self,
        main: &DesiredAccount,
        exists: bool,
        identity: &provision_core::model::Identity,
        names: &mut dyn NameAllocator,
    ) -> DesiredAccount {
        let mut admin = DesiredAccount { tag: Tag::new("admin"), exists, groups: Vec::new(), ..main.clone() };
        if !exists {
            admin.enabled = None;
            admin.values.clear();
            return admin;
        }
        let stem =
            format!("adm-{}", identity.attributes.text("familyName").unwrap_or_default().to_lowercase());
        let request = NameRequest {
            namespace: "login".into(),
            scope: String::new(),
            purpose: format!("{DIRECTORY}/user/admin/sAMAccountName"),
            stem: stem.clone(),
        };
        let mut candidates = |n: u32| Some(vec![if n == 1 { stem.clone() } else { format!("{stem}{n}") }]);
        let login = match names.allocate(&[request], &mut candidates) {
            NameResult::Held(names) | NameResult::Allocated(names, _) => names[0].clone(),
            NameResult::Pending | NameResult::Exhausted => stem.clone(),
        };
        for value in &mut admin.values {
            let own = match value.attribute.as_str() {
                "sAMAccountName" => login.clone(),
                "cn" => format!("Admin ({login})"),
                "dn" => format!("CN=Admin ({login}),OU=Admins,DC=test"),
                "employeeNumber" => format!("{}{}", identity.key, self.admin_marker),
                "mail" => format!("{login}@Test.Example"),
                _ => continue,
            };
            value.slot = DesiredSlot::Known(Slot::Values(vec![own.into()]));
            value.inputs = format!("{:?}", value.slot);
        }
        admin
    }
}

impl TestPolicy {
    /// The department's group and those of grants that stand, and when the next grant begins or ends.
    fn groups(
        &self,
        input: &PolicyInput<'_>,
        exists: bool,
        department: &str,
    ) -> (Vec<DesiredGroup>, Option<Timestamp>) {
        let mut groups = Vec::new();
        if exists && self.group {
            let several = input.identity.engagements_at(input.now).unwrap();
            let each = several.iter().filter_map(|(one, _)| one.attributes.text("department"));
            let departments: std::collections::BTreeSet<&str> = each.chain([department]).collect();
            let names = departments.into_iter().map(group_name);
            groups.extend(names.map(|name| desired_group(&name, "rules.by-department")));
        }
        let mut next_change_at = None;
        for grant in input.grants.iter().filter(|_| self.grants) {
            let (stands, next) = grant.at(input.now);
            next_change_at = next_change_at.into_iter().chain(next).min();
            if let (Entitlement::Group { group, .. }, true, true) = (&grant.entitlement, stands, exists) {
                groups.push(desired_group(group, "grants.stored"));
            }
        }
        (groups, next_change_at)
    }

    fn value(
        &self,
        identity: &provision_core::model::Identity,
        attribute: &str,
        slot: DesiredSlot,
        from: &str,
    ) -> DesiredValue {
        let source = identity.provenance.get(from).cloned();
        DesiredValue {
            attribute: attribute.into(),
            inputs: format!("{slot:?}"),
            slot,
            strength: self.strength,
            derivation: Derivation {
                mapping: Some(PolicyRef::new(format!("maps.{attribute}"))),
                strength: Some(self.strength),
                inputs: vec![InputRef { attribute: from.into(), source }],
                identity_version: identity.version,
                ..Default::default()
            },
            tolerance: None,
        }
    }
}

/// The name of a department's group.
pub(crate) fn group_name(department: &str) -> String {
    format!("CN={department},OU=Groups,DC=test")
}

fn desired_group(group: &str, because: &str) -> DesiredGroup {
    DesiredGroup {
        class: "group".into(),
        group: group.to_owned(),
        of: None,
        privileged: false,
        because: vec![PolicyRef::new(because)],
    }
}

/// Everything a test needs.
pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    /// The same store, with its counters.
    pub(crate) paced: Arc<PacedStore>,
    /// Paces the store and the target.
    pub(crate) pace: Arc<Pace>,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) directory: MemoryConnector,
    /// Everything that was written to the directory through the engine.
    pub(crate) wire: Arc<Wire>,
    pub(crate) engine: Engine,
    pub(crate) actor: Actor,
    pub(crate) policy: TestPolicy,
    delivery: Option<Arc<dyn CredentialDelivery>>,
    feeds: std::sync::atomic::AtomicU32,
    processes: std::sync::atomic::AtomicU32,
}

pub(crate) fn settings() -> TargetSettings {
    let mut settings = TargetSettings::new(DIRECTORY, "directory");
    settings.drive = Drive::Review;
    settings.timeout_seconds = 5;
    settings.retry = RetrySchedule { attempts_max: 6, first_seconds: 1, longest_seconds: 4 };
    settings.classes.insert(
        "user".into(),
        ClassSettings {
            on_delete: OnDelete::Disable,
            marker: Some("employeeNumber".into()),
            correlate: ClassCorrelation::Pairs(BTreeMap::from([("mail".into(), "mail".into())])),
        },
    );
    settings
}

/// Settings under which no plan of these tests is held.
pub(crate) fn generous() -> TargetSettings {
    let mut settings = settings();
    let much = Budget { always: 10_000, percent: 0 };
    settings.budgets.0.extend(BudgetKind::ALL.map(|kind| (kind, much)));
    settings
}

/// What a world is made of.
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) config: MemoryConfig,
    pub(crate) settings: TargetSettings,
    pub(crate) policy: TestPolicy,
    pub(crate) delivery: Option<Arc<dyn CredentialDelivery>>,
    pub(crate) store: Option<Arc<dyn Store>>,
    pub(crate) guard: FeedGuard,
    /// Rows of the feed are engagements.
    pub(crate) engagements: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            seed: 1,
            config: MemoryConfig::default(),
            settings: settings(),
            policy: TestPolicy::new(),
            delivery: None,
            store: None,
            // The feed's own guard has its own suite.
            guard: FeedGuard { removed_percent_max: 100, cleared_percent_max: 100, ..FeedGuard::default() },
            engagements: false,
        }
    }
}

/// The first day of every world.
pub(crate) fn first_day() -> Arc<FixedClock> {
    Arc::new(FixedClock::at("2026-11-02T08:00:00Z".parse().unwrap()))
}

/// A directory and a clock without the store that knew them.
pub(crate) struct Parts {
    directory: MemoryConnector,
    clock: Arc<FixedClock>,
    policy: TestPolicy,
    feeds: u32,
}

impl Parts {
    /// The world again, over another store that has been used before.
    pub(crate) async fn over(self, store: Arc<dyn Store>) -> World {
        let pace = Arc::new(Pace::new(77));
        let paced = Arc::new(PacedStore::new(store, pace.clone()));
        let store: Arc<dyn Store> = paced.clone();
        let wire = Arc::new(Wire::new(self.directory.clone(), self.clock.clone(), pace.clone()));
        let engine = runtime(store.clone(), &wire, self.clock.clone(), 77, None).realm("test");
        let actor = Actor::person("operator");
        engine.set_policy(&actor, Arc::new(self.policy.clone())).await.unwrap();
        World {
            store,
            paced,
            pace,
            clock: self.clock,
            directory: self.directory,
            wire,
            engine,
            actor,
            policy: self.policy,
            delivery: None,
            feeds: self.feeds.into(),
            processes: 500.into(),
        }
    }
}

impl Setup {
    pub(crate) async fn build(self) -> World {
        self.build_at(first_day()).await
    }

    pub(crate) async fn build_at(self, clock: Arc<FixedClock>) -> World {
        let inner = self.store.unwrap_or_else(|| Arc::new(MemoryStore::new(clock.clone())));
        let pace = Arc::new(Pace::new(self.seed));
        let paced = Arc::new(PacedStore::new(inner, pace.clone()));
        let store: Arc<dyn Store> = paced.clone();
        let directory = MemoryConnector::new(self.config, clock.clone()).unwrap();
        let groups = ["Sales", "Finance", "Research"].map(|name| {
            let dn = group_name(name);
            (Attributes::new().with("cn", name).with("dn", dn.as_str()), None)
        });
        directory.seed("group", groups).unwrap();
        let wire = Arc::new(Wire::new(directory.clone(), clock.clone(), pace.clone()));
        let runtime = runtime(store.clone(), &wire, clock.clone(), self.seed, self.delivery.clone());
        let engine = runtime.realm("test");
        let actor = Actor::person("operator");
        engine.put_target(&actor, self.settings).await.unwrap();
        let engagements =
            self.engagements.then(|| EngagementSettings { person: "number".into(), primary: None });
        let source = SourceSettings { guard: self.guard, engagements, ..source_settings() };
        engine.put_source(&actor, source).await.unwrap();
        engine.set_policy(&actor, Arc::new(self.policy.clone())).await.unwrap();
        World {
            store,
            paced,
            pace,
            clock,
            directory,
            wire,
            engine,
            actor,
            policy: self.policy,
            delivery: self.delivery,
            feeds: 0.into(),
            processes: 0.into(),
        }
    }
}

impl World {
    pub(crate) async fn new(seed: u64) -> Self {
        Setup { seed, ..Setup::default() }.build().await
    }

    /// The same store and target, a new process.
    pub(crate) async fn restarted(&self) -> Engine {
        let seed = 1_000 + u64::from(self.processes.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        let runtime =
            runtime(self.store.clone(), &self.wire, self.clock.clone(), seed, self.delivery.clone());
        let engine = runtime.realm("test");
        engine.set_policy(&self.actor, Arc::new(self.policy.clone())).await.unwrap();
        engine
    }

    /// What outlives a store: the directory and the clock.
    pub(crate) fn parts(&self) -> Parts {
        Parts {
            directory: self.directory.clone(),
            clock: self.clock.clone(),
            policy: self.policy.clone(),
            feeds: self.feeds.load(std::sync::atomic::Ordering::SeqCst),
        }
    }

    pub(crate) fn later(&self, by: Duration) {
        use provision_core::runtime::Clock;
        self.clock.set(self.clock.now().plus(by));
    }

    pub(crate) async fn onboard(&self) {
        let report = self.engine.onboard(&self.actor, &DIRECTORY.into()).await.unwrap();
        assert!(report.completeness.is_complete());
    }

    /// Reads the directory whole, a minute later.
    pub(crate) async fn reconcile(&self) -> ReconcileReport {
        self.later(Duration::from_secs(60));
        self.engine.reconcile(&self.actor, &DIRECTORY.into()).await.unwrap()
    }

    pub(crate) async fn feed(&self, people: &[Person]) -> FeedOutcome {
        self.feed_events(vec![
            Ok(FeedEvent::Records(people.iter().map(Person::record).collect())),
            Ok(FeedEvent::End(Completeness::Complete { proof: "end of file".to_owned() })),
        ])
        .await
    }

    pub(crate) async fn feed_events(&self, events: Vec<provision_core::Result<FeedEvent>>) -> FeedOutcome {
        let number = self.feeds.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let feed = Feed {
            name: format!("feed-{number}"),
            mode: FeedMode::Full,
            sequence: FeedSequence {
                order: Some(format!("{number:06}")),
                content: format!("content-{number}"),
            },
            records: Box::pin(futures_util::stream::iter(events)),
        };
        self.engine.ingest_feed(&self.actor, &SourceName::new("hr"), feed, &mut |_| {}).await.unwrap()
    }

    pub(crate) async fn plan(&self, scope: Scope) -> PlanHeader {
        self.engine.plan(&self.actor, scope, PlanOptions::default()).await.unwrap()
    }

    /// A plan that may fail: where the target must say which names are taken and cannot.
    pub(crate) async fn try_plan(&self, scope: Scope) -> Option<PlanHeader> {
        self.engine.plan(&self.actor, scope, PlanOptions::default()).await.ok()
    }

    pub(crate) async fn apply(&self, plan: PlanId) -> ApplyReport {
        let options = ApplyOptions { patience: Duration::from_secs(120) };
        self.engine.apply(&self.actor, plan, &options, &Progress::new()).await.unwrap()
    }

    /// Plans and applies until a plan is empty; at most `rounds`.
    pub(crate) async fn converge(&self, rounds: usize) -> usize {
        for round in 0..rounds {
            let plan = self.plan(Scope::All).await;
            assert!(plan.hold.is_none(), "held: {:?}", plan.over);
            if plan.is_empty() {
                return round;
            }
            self.apply(plan.id).await;
        }
        rounds
    }

    pub(crate) async fn steps(&self, plan: &PlanHeader) -> Vec<Step> {
        let mut steps = Vec::new();
        for number in 0..plan.chunks {
            steps.extend(self.engine.plan_steps(plan.id, number).await.unwrap().unwrap().steps);
        }
        steps
    }

    /// The directory's accounts by employee number: (login, enabled, department, groups).
    pub(crate) fn accounts(&self) -> BTreeMap<String, (String, Option<bool>, String, usize)> {
        let objects = self.directory.dump("user").unwrap();
        let text = |attributes: &Attributes, name: &str| attributes.text(name).unwrap_or_default().to_owned();
        objects
            .iter()
            .map(|object| {
                let attributes = &object.attributes;
                let groups = attributes.values("memberOf").len();
                let account = (
                    text(attributes, "sAMAccountName"),
                    object.enabled,
                    text(attributes, "department"),
                    groups,
                );
                (text(attributes, "employeeNumber"), account)
            })
            .collect()
    }
}

fn runtime(
    store: Arc<dyn Store>,
    wire: &Arc<Wire>,
    clock: Arc<FixedClock>,
    seed: u64,
    delivery: Option<Arc<dyn CredentialDelivery>>,
) -> Runtime {
    let shared = wire.connector();
    let other = Arc::clone(&shared);
    let registry = Registry::new()
        .with_connector("directory", move |_| Ok(Arc::clone(&shared)))
        .with_connector("other", move |_| Ok(Arc::clone(&other)))
        .with_source("vector", |_| Ok(Arc::new(NoFeeds)));
    let mut builder = Runtime::builder(store, registry)
        .clock(clock)
        .random(Arc::new(SeededRandom::new(seed)))
        .authorizer(Arc::new(AllowAll))
        .settle(Duration::from_millis(10));
    if let Some(delivery) = delivery {
        builder = builder.delivery(delivery);
    }
    builder.build()
}

/// A source that has nothing ready: the tests hand feeds over.
#[derive(Debug)]
struct NoFeeds;

#[async_trait::async_trait]
impl provision_core::source::Source for NoFeeds {
    async fn feeds(&self, _cx: &provision_core::connector::Context) -> provision_core::Result<Vec<Feed>> {
        Ok(Vec::new())
    }

    async fn get(
        &self,
        _cx: &provision_core::connector::Context,
        _key: &str,
    ) -> provision_core::Result<Option<FeedRecord>> {
        Ok(None)
    }
}

fn source_settings() -> SourceSettings {
    SourceSettings {
        name: "hr".into(),
        kind: "vector".to_owned(),
        config: serde_json::Value::Null,
        precedence: 0,
        precedence_of: Default::default(),
        null_yields: Default::default(),
        engagements: None,
        asserts: None,
        asserts_lifecycle: true,
        absence: Absence::RemoveAfter(1),
        guard: FeedGuard::default(),
        correlate: Default::default(),
        zone: Zone::utc(),
    }
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}
