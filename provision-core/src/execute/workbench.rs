//! A lane without a plan, for tests of what it does with single steps.

use std::sync::Arc;

use super::lane::Lane;
use super::order::Order;
use super::settle::Batch;
use super::wave::{Begun, link_key};
use super::{JournalEntry, StepState};
use crate::connector::{Connector, ObjectKey, Registry};
use crate::engine::Engine;
use crate::id::{IdentityId, LinkId, PlanId, StepId, Tag};
use crate::memory::{MemoryConfig, MemoryConnector};
use crate::model::{Actor, ConfiguredTarget, Link, Subject};
use crate::plan::{Action, PlanHeader, PlanState, Precondition, Scope, Step, TargetSettings};
use crate::runtime::{FixedClock, Progress, Runtime, SeededRandom};
use crate::store::{Changes, MemoryStore};
use crate::value::{Attributes, Timestamp};

pub(super) struct Workbench {
    pub(super) clock: Arc<FixedClock>,
    pub(super) engine: Engine,
    pub(super) actor: Actor,
    pub(super) header: PlanHeader,
    pub(super) target: ConfiguredTarget,
    pub(super) connector: Arc<MemoryConnector>,
    pub(super) progress: Progress,
}

pub(super) fn now() -> Timestamp {
    "2026-11-02T08:00:00Z".parse().unwrap()
}

pub(super) fn jane() -> IdentityId {
    IdentityId::from_uuid(uuid::Uuid::from_u128(1))
}

impl Workbench {
    pub(super) async fn new() -> Self {
        let clock = Arc::new(FixedClock::at(now()));
        let connector = Arc::new(MemoryConnector::new(MemoryConfig::default(), clock.clone()).unwrap());
        let store = Arc::new(MemoryStore::new(clock.clone()));
        let runtime = Runtime::builder(store, Registry::new())
            .clock(clock.clone())
            .random(Arc::new(SeededRandom::new(1)))
            .build();
        let engine = runtime.realm("test");
        let actor = Actor::person("operator");
        let header = PlanHeader {
            id: PlanId::from_uuid(uuid::Uuid::from_u128(100)),
            realm: engine.realm().clone(),
            state: PlanState::Applying,
            scope: Scope::All,
            now: now(),
            made_at: now(),
            expires_at: now(),
            policy: Default::default(),
            author: actor.clone(),
            identities: 1,
            targets: Default::default(),
            steps: 1,
            chunks: 1,
            digest: String::new(),
            hold: None,
            over: Vec::new(),
        };
        let mut target = ConfiguredTarget::new(TargetSettings::new("directory", "directory"));
        target.discovery = Some(connector.discover(&MemoryConnector::context()).await.unwrap());
        Self { clock, engine, actor, header, target, connector, progress: Progress::new() }
    }

    pub(super) fn lane(&self) -> Lane<'_> {
        let connector: Arc<dyn Connector> = self.connector.clone();
        Lane::new(&self.engine, &self.actor, &self.header, self.target.clone(), connector, &self.progress)
    }

    /// A link of Jane's account, which is there.
    pub(super) fn link(&self) -> Link {
        let id = LinkId::from_uuid(uuid::Uuid::from_u128(2));
        let (target, class) = (self.target.settings.name.clone(), "user".into());
        let subject = Subject::Identity(jane());
        let link = Link::new(id, self.engine.realm().clone(), target, class, Tag::main(), subject);
        Link { key: Some(ObjectKey::id("object-1")), revision: 4, ..link }
    }

    /// A first attempt at a step about Jane's account.
    pub(super) fn begun(&self, action: Action) -> Begun {
        let link = Some(self.link()).filter(|_| !matches!(action, Action::Create { .. }));
        let step = step(action);
        let entry = JournalEntry {
            realm: self.engine.realm().clone(),
            plan: self.header.id,
            step: step.id.clone(),
            chunk: 0,
            target: step.target.clone(),
            identity: step.identity,
            link: Some(self.link().id),
            state: StepState::Intent,
            attempts: 1,
            started_at: now(),
            deadline: now().plus(std::time::Duration::from_secs(30)),
            key: None,
            error: None,
            read_back: false,
            paid_hour: None,
        };
        let link_version = link.as_ref().map(|_| 1);
        Begun {
            step,
            entry,
            version: 1,
            link,
            link_version,
            after_unknown: false,
            shown_at: None,
            ticket: None,
            resolve_only: None,
        }
    }

    /// What endings are collected in, with the link of an attempt.
    pub(super) fn batch(&self, begun: &Begun) -> Batch {
        let links = begun.link.iter().map(|link| (link_key(&begun.step), (Some(1), link.clone())));
        Batch {
            now: now(),
            links: links.collect(),
            names: Default::default(),
            waiting: Default::default(),
            touched: Default::default(),
            refunds: Default::default(),
            dirty: Vec::new(),
            changes: Changes::in_realm(self.engine.realm()),
            ended: 0,
            failed: 0,
        }
    }
}

/// A step about Jane's account.
pub(super) fn step(action: Action) -> Arc<Order> {
    let step = Step {
        id: StepId::new(format!("directory/user/main/hr:1/{}", action.word())),
        identity: jane(),
        label: "Jane".to_owned(),
        target: "directory".into(),
        class: "user".into(),
        tag: Tag::main(),
        key: None,
        action,
        budgets: Vec::new(),
        offboarding: false,
        needs: Vec::new(),
        inputs: Default::default(),
        withdraws: Default::default(),
        precondition: Precondition::default(),
        reasons: Vec::new(),
    };
    order(&step)
}

/// A step as the executor reads it.
pub(super) fn order(step: &Step) -> Arc<Order> {
    Arc::new(serde_json::from_str(&serde_json::to_string(step).unwrap()).unwrap())
}

pub(super) fn create(attributes: Attributes) -> Action {
    Action::Create { attributes, enabled: Some(true), lookup: None, credential: None }
}

pub(super) fn add_member(group: &str) -> Action {
    Action::AddMember { group_class: "group".into(), group: group.to_owned(), privileged: false, of: None }
}
