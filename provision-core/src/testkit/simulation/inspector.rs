//! Looks at every write when it is sent, and at the target before and after it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use super::depot::Depot;
use super::executor::ProcessId;
use super::ledger::{Ask, Entry};
use super::lock;
use super::network::Network;
use crate::connector::{Context, MembershipRequest, Object, ObjectKey};
use crate::execute::{JournalEntry, StepState};
use crate::id::{ClassName, PlanId, StepId};
use crate::model::{Lifecycle, Link, Subject};
use crate::plan::{Action, PlanChunk, Step};
use crate::store::{self, Select, Store};
use crate::value::Timestamp;

/// A write on its way.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) plan: Option<PlanId>,
    pub(super) step: StepId,
    class: ClassName,
    /// What is asked. Edges of one request may be of several plans.
    asks: Vec<Asked>,
}

/// One thing that is asked, of which object, and for which step of which plan.
#[derive(Clone, Debug)]
struct Asked {
    key: Option<ObjectKey>,
    ask: Ask,
    of: Option<(PlanId, StepId)>,
}

impl Sent {
    pub(super) fn new(cx: &Context, class: &ClassName, key: Option<&ObjectKey>, asks: Vec<Ask>) -> Self {
        let (plan, step) = cx.correlation.split_once('/').unwrap_or(("", cx.correlation.as_str()));
        let (plan, step) = (PlanId::parse(plan), StepId::new(step));
        let of = || plan.map(|plan| (plan, step.clone()));
        let asks = asks.into_iter().map(|ask| Asked { key: key.cloned(), ask, of: of() }).collect();
        Self { plan, step, class: class.clone(), asks }
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = self.plan.map(|plan| plan.to_string()).unwrap_or_default();
        write!(f, "{} of plan {}", self.step.as_str(), plan.get(19..).unwrap_or_default())?;
        match self.asks.as_slice() {
            [_] => Ok(()),
            asks => write!(f, " and {} more", asks.len().saturating_sub(1)),
        }
    }
}

/// Objects of a class by id.
pub(super) type Sight = BTreeMap<String, Object>;

/// When a process last read for a step.
type Reads = BTreeMap<(ProcessId, String), Timestamp>;

/// The inspector of a world.
#[derive(Debug)]
pub(super) struct Inspector {
    pub(super) depot: Arc<Depot>,
    reads: Mutex<Reads>,
}

/// One step that a write carries out.
struct Carried {
    step: Step,
}

impl Inspector {
    pub(super) fn new(depot: Arc<Depot>) -> Self {
        Self { depot, reads: Mutex::default() }
    }

    /// A process reads for a step.
    pub(super) fn reads(&self, network: &Network, cx: &Context) {
        let now = network.weather.time.now();
        lock(&self.reads).insert((network.process, cx.correlation.clone()), now);
    }

    /// A write leaves its process.
    pub(super) fn look(&self, network: &Network, sent: &Sent) {
        let Ok(inner) = self.depot.inner() else { return };
        for asked in &sent.asks {
            if let Err((law, what)) = self.check(network, inner.as_ref(), asked) {
                let (process, target) = (network.process, &network.site.name);
                let what = format!("process {process}, {target}, {sent}: {what}");
                network.site.ledger.violation(law, what);
            }
        }
    }

    fn check(&self, network: &Network, store: &dyn Store, asked: &Asked) -> Result<(), (u32, String)> {
        let ask = &asked.ask;
        let Some((plan, step)) = asked.of.clone() else {
            return Err((12, format!("{ask:?} is sent and no plan has an intent of it")));
        };
        let carried = self.carried(network, store, plan, &step)?;
        if !is_of(ask, &carried.step.action) {
            return Err((3, format!("{ask:?} is not what the step says: {:?}", carried.step.action)));
        }
        let realm = &network.site.realm;
        for need in &carried.step.needs {
            let row = JournalEntry::row_key(plan, need);
            let done = Depot::at_once(store::get::<JournalEntry>(store, realm, &row));
            if !matches!(done, Ok(Some(entry)) if entry.value.state == StepState::Done) {
                return Err((9, format!("it needs {} which is not done", need.as_str())));
            }
        }
        if *ask == Ask::Password {
            return Ok(());
        }
        self.timely(network, plan, &carried)?;
        self.looked_before(network, plan, &carried, ask)
    }

    /// The step was still wanted when its intent was written.
    fn timely(&self, network: &Network, plan: PlanId, carried: &Carried) -> Result<(), (u32, String)> {
        let row = JournalEntry::row_key(plan, &carried.step.id);
        let Some(intent) = self.depot.record.intent(&network.site.realm, &row) else { return Ok(()) };
        if intent.version != carried.step.precondition.identity_version {
            let (made, is) = (carried.step.precondition.identity_version, intent.version);
            return Err((3, format!("it was planned for version {made} of the identity, begun at {is}")));
        }
        if let Some(stale) = intent.stale {
            return Err((3, stale));
        }
        let ended = intent.lifecycle == Some(Lifecycle::Terminated);
        if ended && !carried.step.offboarding {
            return Err((8, "the person has left and this is no offboarding".to_owned()));
        }
        if !ended && carried.step.offboarding && intent.lifecycle == Some(Lifecycle::Active) {
            return Err((6, "the person is active and this is an offboarding".to_owned()));
        }
        Ok(())
    }

    /// After an attempt that nobody knows the end of, the target was asked before the next.
    fn looked_before(
        &self,
        network: &Network,
        plan: PlanId,
        carried: &Carried,
        ask: &Ask,
    ) -> Result<(), (u32, String)> {
        let repeats = match &carried.step.action {
            Action::Update { outputs, .. } => !outputs.is_empty(),
            Action::Create { lookup, .. } => lookup.is_none(),
            _ => matches!(ask, Ask::Edge { .. }),
        };
        let Some(open) = network.site.ledger.unknown_since(plan, &carried.step.id).filter(|_| !repeats)
        else {
            return Ok(());
        };
        // A restored store does not know of it.
        if self.depot.is_restored_since(open) {
            return Ok(());
        }
        let correlation = format!("{plan}/{}", carried.step.id.as_str());
        let read =
            lock(&self.reads).iter().filter(|((_, known), _)| *known == correlation).map(|(_, at)| *at).max();
        match read {
            Some(at) if at >= open => Ok(()),
            _ => Err((4, format!("an attempt ended unknown at {open} and nobody looked before this one"))),
        }
    }

    fn carried(
        &self,
        network: &Network,
        store: &dyn Store,
        plan: PlanId,
        step: &StepId,
    ) -> Result<Carried, (u32, String)> {
        let realm = &network.site.realm;
        let row = JournalEntry::row_key(plan, step);
        let entry = Depot::at_once(store::get::<JournalEntry>(store, realm, &row)).ok().flatten();
        let Some(entry) = entry.map(|entry| entry.value) else {
            return Err((12, "it is sent without an intent in the journal".to_owned()));
        };
        if entry.state != StepState::Intent {
            return Err((12, format!("it is sent and the journal says {:?}", entry.state)));
        }
        let chunk = PlanChunk::row_key(plan, entry.chunk);
        let chunk = Depot::at_once(store::get::<PlanChunk>(store, realm, &chunk)).ok().flatten();
        let known = chunk.into_iter().flat_map(|chunk| chunk.value.steps).find(|known| known.id == *step);
        match known {
            Some(step) => Ok(Carried { step }),
            None => Err((3, "it is no step of its plan".to_owned())),
        }
    }

    /// A membership request: each edge with the step whose intent it has, whoever sends it. The first one is the one
    /// that its correlation names: two plans may have begun the same edge at once.
    pub(super) fn edges(&self, network: &Network, cx: &Context, request: &MembershipRequest) -> Sent {
        let group = request.group.name.clone().unwrap_or_else(|| request.group.id.clone());
        let mut sent = Sent::new(cx, &request.class, None, Vec::new());
        for edge in &request.edges {
            let first = sent.plan.filter(|_| sent.asks.is_empty()).map(|plan| (plan, sent.step.clone()));
            let named = first.filter(|(_, step)| is_named(step, &group, edge.add));
            let found = || self.intent_of(network, &request.member_class, &edge.member, (&group, edge.add));
            let of = named.or_else(found);
            let ask = Ask::Edge { group: group.clone(), add: edge.add };
            sent.asks.push(Asked { key: Some(edge.member.clone()), ask, of });
        }
        sent
    }

    /// The step that announced an edge.
    fn intent_of(
        &self,
        network: &Network,
        class: &ClassName,
        member: &ObjectKey,
        (group, add): (&str, bool),
    ) -> Option<(PlanId, StepId)> {
        let (store, realm) = (self.depot.inner().ok()?, &network.site.realm);
        let object = format!("{}/{}/{}", network.site.name.as_str(), class.as_str(), member.id);
        let select = Select::Equal("object", object);
        let links = Depot::at_once(store::list_by::<Link>(store.as_ref(), realm, select, None, 1)).ok()?.0;
        let Subject::Identity(identity) = links.into_iter().next()?.value.subject else { return None };
        let select = Select::Equal("identity", identity.to_string());
        let open = store::list_by::<JournalEntry>(store.as_ref(), realm, select, None, 1_000);
        let open = Depot::at_once(open).ok()?.0.into_iter().map(|entry| entry.value);
        let is_it = |entry: &JournalEntry| {
            let carried = self.carried(network, store.as_ref(), entry.plan, &entry.step);
            carried.is_ok_and(|carried| match &carried.step.action {
                Action::AddMember { group: known, .. } => add && known == group,
                Action::RemoveMember { group: known, .. } => !add && known == group,
                _ => false,
            })
        };
        let mut open = open.filter(|entry| entry.target == network.site.name);
        open.find(is_it).map(|entry| (entry.plan, entry.step))
    }

    /// The objects of the class now.
    pub(super) fn sight(&self, network: &Network, sent: &Sent) -> Sight {
        let objects = network.site.target.dump(sent.class.clone()).unwrap_or_default();
        objects.into_iter().map(|object| (object.key.id.clone(), object)).collect()
    }

    /// A write was done, or refused by the target.
    pub(super) fn arrived(&self, network: &Network, sent: &Sent, before: Sight, done: bool, failed: bool) {
        let after = self.sight(network, sent);
        for asked in &sent.asks {
            let (key, ask) = (&asked.key, &asked.ask);
            let object = match (ask, key) {
                (Ask::Create { .. }, _) => after.keys().find(|id| !before.contains_key(*id)).cloned(),
                (_, key) => key.as_ref().map(|key| key.id.clone()),
            };
            let changed = match ask {
                Ask::Password => done,
                Ask::Edge { group, .. } => {
                    edges(&before, group, object.as_deref()) != edges(&after, group, object.as_deref())
                }
                _ => object.as_ref().is_some_and(|id| before.get(id) != after.get(id)),
            };
            let told_failed = failed;
            self.enter(network, asked, object, Arrival { done, changed, told_failed, known: true });
        }
    }

    /// A write never arrived.
    pub(super) fn lost(&self, network: &Network, sent: &Sent, known: bool) {
        for asked in &sent.asks {
            let object = asked.key.as_ref().map(|key| key.id.clone());
            let arrival = Arrival { done: false, changed: false, told_failed: true, known };
            self.enter(network, asked, object, arrival);
        }
    }

    fn enter(&self, network: &Network, asked: &Asked, object: Option<String>, arrival: Arrival) {
        let Some((plan, step)) = asked.of.clone() else { return };
        network.site.ledger.add(Entry {
            at: network.weather.time.now(),
            process: network.process,
            plan,
            step,
            object,
            ask: asked.ask.clone(),
            done: arrival.done,
            changed: arrival.changed,
            told_failed: arrival.told_failed,
            known: arrival.known,
        });
    }
}

struct Arrival {
    done: bool,
    changed: bool,
    told_failed: bool,
    known: bool,
}

/// Whether a step is about this edge of a group.
fn is_named(step: &StepId, group: &str, add: bool) -> bool {
    let what = if add { "/add_member/" } else { "/remove_member/" };
    step.as_str().contains(what) && step.as_str().ends_with(&format!("/{group}"))
}

/// Whether an account is in a group.
fn edges(sight: &Sight, group: &str, member: Option<&str>) -> bool {
    let named = |object: &&Object| object.key.name.as_deref() == Some(group) || object.key.id == group;
    let group = sight.values().find(named);
    group.is_some_and(|group| {
        group.attributes.values("member").iter().any(|value| match value {
            crate::value::Value::Reference(object) => Some(object.key.as_str()) == member,
            _ => false,
        })
    })
}

/// Whether a request is what the step says: the executor fills in keys and passwords and nothing else.
fn is_of(ask: &Ask, action: &Action) -> bool {
    match (ask, action) {
        (
            Ask::Create { attributes, enabled },
            Action::Create { attributes: planned, enabled: wanted, .. },
        ) => attributes == planned && enabled == wanted,
        (Ask::Update { delta }, Action::Update { delta: planned, outputs }) => {
            let filled = |name: &&crate::value::AttrName| outputs.keys().any(|known| known == *name);
            planned.changes.iter().all(|(name, change)| delta.changes.get(name) == Some(change))
                && delta
                    .changes
                    .keys()
                    .filter(|name| !planned.changes.contains_key(*name))
                    .all(|n| filled(&n))
        }
        (Ask::Rename { naming }, Action::Rename { naming: planned }) => naming == planned,
        (Ask::Delete, Action::Delete) => true,
        (Ask::Set { enabled }, Action::Enable) => *enabled,
        (Ask::Set { enabled }, Action::Disable) => !*enabled,
        (Ask::Edge { add, .. }, Action::AddMember { .. }) => *add,
        (Ask::Edge { add, .. }, Action::RemoveMember { .. }) => !*add,
        (Ask::Password, Action::Create { credential, .. }) => credential.is_some(),
        _ => false,
    }
}
