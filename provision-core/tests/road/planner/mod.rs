//! The planner by itself: one identity in, steps out, nothing else around it.

mod accounts;
mod ending;
mod foreign;
mod naming;
mod sets;
mod shown;
mod values;
mod withdrawn;

use std::collections::{BTreeMap, BTreeSet};

use provision_core::connector::{ClassCapabilities, DeleteStyle, DisableMeaning, Discovery, ObjectKey};
use provision_core::delta::Change;
use provision_core::id::{ClassName, IdentityId, LinkId, RealmId, Tag, TargetName};
use provision_core::model::{Identity, Lifecycle, Link, LinkState, Membership, Subject};
use provision_core::plan::{
    Action, Draft, Drive, PlanInput, ReferenceKey, Resolved, Step, TargetFacts, TargetSettings, plan_identity,
};
use provision_core::policy::{
    DesiredAccount, DesiredGroup, DesiredSlot, DesiredValue, Evaluation, RefusalReason, Strength,
};
use provision_core::schema::{AttributeSchema, AttributeType, CaseRule, Mutability, ObjectClass};
use provision_core::value::{Attributes, Slot, Timestamp, Value, Zone};
use uuid::Uuid;

const TARGET: &str = "directory";

/// Everything the planner looks at for one person with one account, which is there and as it is wanted.
pub(super) struct Case {
    pub(super) identity: Identity,
    pub(super) lifecycle: Lifecycle,
    pub(super) wanted: DesiredAccount,
    pub(super) link: Option<Link>,
    pub(super) memberships: Vec<Membership>,
    pub(super) facts: TargetFacts,
    pub(super) references: BTreeMap<ReferenceKey, Resolved>,
    pub(super) disputed: bool,
    pub(super) open: bool,
    pub(super) peopled: BTreeSet<(TargetName, ClassName, Tag)>,
    pub(super) preview: bool,
}

fn schema() -> ObjectClass {
    let text = AttributeSchema::text;
    let attributes = [
        ("name", AttributeSchema { mutability: Mutability::Naming, required: true, ..text() }),
        ("title", text()),
        ("tags", AttributeSchema { multi: true, case: CaseRule::Ignore, ..text() }),
        ("lines", AttributeSchema { multi: true, ordered: true, ..text() }),
        ("badge", AttributeSchema { mutability: Mutability::CreateOnly, ..text() }),
        ("serial", AttributeSchema { mutability: Mutability::ReadOnly, ..text() }),
        ("level", AttributeSchema { kind: AttributeType::Int, ..text() }),
        ("boss", AttributeSchema { kind: AttributeType::Reference, ..text() }),
        ("bossId", text()),
    ];
    let attributes = attributes.into_iter().map(|(name, schema)| (name.into(), schema)).collect();
    ObjectClass { attributes, names: CaseRule::Ignore, naming: Some("name".into()) }
}

fn facts() -> TargetFacts {
    let mut discovery = Discovery::default();
    discovery.schema.classes.insert("user".into(), schema());
    let user = ClassCapabilities {
        create: true,
        update: true,
        rename: true,
        delete: DeleteStyle::Irreversible,
        disable: DisableMeaning::BlocksSignIn,
        ..ClassCapabilities::default()
    };
    let group = ClassCapabilities { members: true, ..ClassCapabilities::default() };
    discovery.capabilities.classes.extend([("user".into(), user), ("group".into(), group)]);
    let mut settings = TargetSettings::new(TARGET, "directory");
    settings.drive = Drive::Review;
    TargetFacts { settings, discovery, onboarded: BTreeSet::from(["user".into()]), stopped: None }
}

impl Case {
    /// Nobody knows of an account yet.
    pub(super) fn new() -> Self {
        let identity = Identity {
            id: IdentityId::from_uuid(Uuid::from_u128(1)),
            realm: RealmId::new("test"),
            attributes: Attributes::new(),
            provenance: BTreeMap::new(),
            employment: Default::default(),
            engagements: Vec::new(),
            zone: Zone::utc(),
            source: "hr".into(),
            key: "1".to_owned(),
            version: 7,
            next_change_at: None,
        };
        let wanted = DesiredAccount {
            target: TARGET.into(),
            class: "user".into(),
            tag: Tag::main(),
            exists: true,
            enabled: None,
            because: Vec::new(),
            values: Vec::new(),
            groups: Vec::new(),
            credential: None,
            refusals: Vec::new(),
            authority: Default::default(),
        };
        Self {
            identity,
            lifecycle: Lifecycle::Active,
            wanted,
            link: None,
            memberships: Vec::new(),
            facts: facts(),
            references: BTreeMap::new(),
            disputed: false,
            open: false,
            peopled: BTreeSet::new(),
            preview: false,
        }
        .wants("name", ["jane"])
    }

    /// The account is there, with the name that is wanted.
    pub(super) fn linked() -> Self {
        let mut case = Self::new();
        let subject = Subject::Identity(case.identity.id);
        let id = LinkId::from_uuid(Uuid::from_u128(2));
        let link =
            Link::new(id, case.identity.realm.clone(), TARGET.into(), "user".into(), Tag::main(), subject);
        let applied = Attributes::new().with("name", "jane");
        let key = Some(ObjectKey::id("object-1"));
        case.link = Some(Link { key, enabled: Some(true), revision: 4, applied, ..link });
        case
    }

    pub(super) fn link(&mut self) -> &mut Link {
        self.link.as_mut().unwrap()
    }

    pub(super) fn user(&mut self) -> &mut ClassCapabilities {
        self.facts.discovery.capabilities.classes.get_mut(&ClassName::new("user")).unwrap()
    }

    /// The policy gives an attribute these values, with strength `strong`.
    pub(super) fn wants<const N: usize>(self, attribute: &str, values: [&str; N]) -> Self {
        self.wants_as(Strength::Strong, attribute, values)
    }

    pub(super) fn wants_as<const N: usize>(
        self,
        strength: Strength,
        attribute: &str,
        values: [&str; N],
    ) -> Self {
        self.wants_slot(strength, attribute, DesiredSlot::Known(slot(values)))
    }

    pub(super) fn wants_slot(mut self, strength: Strength, attribute: &str, slot: DesiredSlot) -> Self {
        let inputs = format!("inputs of {attribute}");
        let attribute = attribute.into();
        self.wanted.values.push(DesiredValue {
            attribute,
            slot,
            strength,
            inputs,
            derivation: Default::default(),
            tolerance: None,
        });
        self
    }

    /// We wrote these values.
    pub(super) fn wrote<const N: usize>(mut self, attribute: &str, values: [&str; N]) -> Self {
        self.link().applied.insert(attribute, slot(values));
        self
    }

    /// The target showed these after our last write.
    pub(super) fn saw<const N: usize>(mut self, attribute: &str, values: [&str; N]) -> Self {
        self.link().observed.insert(attribute, slot(values));
        self
    }

    /// Somebody else has put these there since.
    pub(super) fn drifted<const N: usize>(mut self, attribute: &str, values: [&str; N]) -> Self {
        self.link().drift.insert(attribute, slot(values));
        self
    }

    /// An edge that we wrote to a group.
    pub(super) fn member_of(mut self, group: &str) -> Self {
        let (realm, link) = (self.identity.realm.clone(), self.link().id);
        self.memberships.push(Membership {
            realm,
            target: TARGET.into(),
            link,
            group_class: "group".into(),
            group: group.to_owned(),
            desired: true,
            applied: true,
            generation: 1,
        });
        self
    }

    pub(super) fn wants_group(mut self, group: &str) -> Self {
        self.wanted.groups.push(DesiredGroup {
            class: "group".into(),
            group: group.to_owned(),
            of: None,
            privileged: false,
            because: Vec::new(),
        });
        self
    }

    pub(super) fn plan(&self) -> Draft {
        self.plan_with(vec![self.wanted.clone()])
    }

    pub(super) fn plan_with(&self, accounts: Vec<DesiredAccount>) -> Draft {
        let at = (TargetName::new(TARGET), ClassName::new("user"));
        let open = (at.0.clone(), at.1.clone(), Tag::main());
        plan_identity(&PlanInput {
            now: Timestamp::EPOCH,
            identity: &self.identity,
            lifecycle: self.lifecycle,
            evaluation: &Evaluation { accounts, ..Evaluation::default() },
            links: self.link.as_slice(),
            memberships: &self.memberships,
            targets: &BTreeMap::from([(TARGET.into(), self.facts.clone())]),
            references: &self.references,
            disputed: &self.disputed.then_some(at).into_iter().collect(),
            open: &self.open.then_some(open).into_iter().collect(),
            peopled: &self.peopled,
            preview: self.preview,
        })
    }

    /// The words of the steps, in order.
    pub(super) fn words(&self) -> Vec<&'static str> {
        self.plan().steps.iter().map(|step| step.action.word()).collect()
    }

    /// Why things are left alone.
    pub(super) fn reasons(&self) -> Vec<RefusalReason> {
        self.plan().skips.iter().map(|skip| skip.reason).collect()
    }

    /// The change of one attribute that is planned, if it is.
    pub(super) fn change(&self, attribute: &str) -> Option<Change> {
        self.plan().steps.into_iter().find_map(|step| match step.action {
            Action::Update { mut delta, .. } => delta.changes.remove(attribute),
            _ => None,
        })
    }

    /// The only step.
    pub(super) fn step(&self) -> Step {
        let mut steps = self.plan().steps;
        assert_eq!(steps.len(), 1, "{steps:?}");
        steps.remove(0)
    }

    /// What the planned create carries.
    pub(super) fn created(&self) -> Attributes {
        let create = self.plan().steps.into_iter().find_map(|step| match step.action {
            Action::Create { attributes, .. } => Some(attributes),
            _ => None,
        });
        create.expect("a create")
    }

    pub(super) fn leaves(mut self) -> Self {
        self.wanted.exists = false;
        self.wanted.values.clear();
        self.wanted.groups.clear();
        self.lifecycle = Lifecycle::Terminated;
        self
    }

    pub(super) fn in_state(mut self, state: LinkState) -> Self {
        self.link().state = state;
        self
    }
}

pub(super) fn texts<const N: usize>(values: [&str; N]) -> Vec<Value> {
    values.into_iter().map(Value::text).collect()
}

fn slot<const N: usize>(values: [&str; N]) -> Slot {
    Slot::from_values(texts(values))
}
