//! Edges: steps about one group become requests, and their answers endings.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use super::Ended;
use super::call::{PAUSE_WHY, asked_for, key_of, late, unsent_for, unsupported};
use super::company::{Arrival, Asked, Group};
use super::group_lane::Entered;
use super::lane::Lane;
use super::order::Order;
use super::wave::Begun;
use crate::connector::{
    Connector, Context, Discovery, Edge, EdgeOutcome, GetRequest, ListRequest, MembershipFacet,
    MembershipRequest, ObjectKey, collect,
};
use crate::error::{Effect, Error, ErrorKind, Result, Retry};
use crate::filter::Filter;
use crate::id::{ClassName, Tag};
use crate::model::Link;
use crate::plan::{Action, Step};
use crate::planted::{self, Defect};
use crate::runtime::{meter, within};
use crate::store;
use crate::value::Timestamp;

/// Why edges are not sent while another node writes their group.
const ELSEWHERE_WHY: &str = "another node sends to this group";

impl Lane<'_> {
    /// Makes one attempt at edges of one group; with an `arrival`, they may wait for those of other plans.
    pub(super) async fn call_edges(
        &self,
        class: ClassName,
        group: String,
        steps: Vec<Begun>,
        arrival: Option<Arrival<'_, '_>>,
    ) -> Vec<(Begun, Ended)> {
        let mut edges = Vec::with_capacity(steps.len());
        let mut called: Vec<Begun> = Vec::with_capacity(steps.len());
        let mut ended: Vec<(Begun, Ended)> = Vec::new();
        for begun in steps {
            match key_of(&begun) {
                Ok(member) => {
                    let add = matches!(begun.step.action, Action::AddMember { .. });
                    edges.push(Asked {
                        edge: Edge { member, add },
                        correlation: self.correlation(&begun),
                        deadline: begun.entry.deadline,
                    });
                    called.push(begun);
                }
                Err(error) => ended.push(failed(begun, error)),
            }
        }
        let Some(first) = called.first() else { return ended };
        let key = match self.group(first, &class, &group).await {
            Ok(Some(key)) => key,
            Ok(None) => {
                ended.extend(called.into_iter().map(|begun| without_group(begun, &group)));
                return ended;
            }
            Err(error) => {
                let record = error.record();
                ended.extend(called.into_iter().map(|begun| failed(begun, Error::from(record.clone()))));
                return ended;
            }
        };
        let (target, members) = (self.target.settings.name.clone(), first.step.class.clone());
        let group = Group { target, class, members, key };
        let outcomes = match arrival {
            Some(arrival) => {
                let (company, size) = (arrival.company(), self.edges_max(&group.class));
                company.change(self, &group, edges, size, arrival).await
            }
            None => self.request(&group, edges).await,
        };
        // Adding and removing a single edge may be repeated: no read-back is needed before the next attempt.
        ended.extend(called.into_iter().zip(outcomes).map(|(begun, outcome)| match outcome {
            Ok(()) => (begun, Ended::done(None, None)),
            Err(error) => failed(begun, error),
        }));
        ended
    }

    /// Sends one request; how each of its edges ended, in their order.
    pub(super) async fn request(&self, group: &Group, edges: Vec<Asked>) -> Vec<Result<()>> {
        let count = edges.len();
        let until = edges.iter().map(|edge| edge.deadline).min().unwrap_or(Timestamp::EPOCH);
        let correlation = edges.first().map(|edge| edge.correlation.clone()).unwrap_or_default();
        let all = |error: Error| -> Vec<Result<()>> {
            let record = error.record();
            (0..count).map(|_| Err(Error::from(record.clone()))).collect()
        };
        let Some(facet) = self.connector.membership() else { return all(unsupported("memberships")) };
        let entered = match self.enter(group, until).await {
            Ok(Some(entered)) => entered,
            Ok(None) => return all(unsent_for(ELSEWHERE_WHY)),
            Err(error) => return all(error.with_effect(Effect::None)),
        };
        let (edges, places) = once(edges);
        let sent = edges.len();
        let outcome = self.request_in(group, edges, facet, (until, correlation), &entered).await;
        self.leave(entered).await;
        match outcome {
            Ok(outcomes) if outcomes.len() == sent => {
                let error = |place: usize| outcomes.get(place).and_then(|edge| edge.error.clone());
                places
                    .into_iter()
                    .map(|place| error(place).map_or(Ok(()), |error| Err(error.into())))
                    .collect()
            }
            Ok(outcomes) => {
                let message = format!("{sent} edges were sent and {} outcomes came back", outcomes.len());
                all(Error::new(ErrorKind::Unexpected, message))
            }
            // Planted: whoever changes the group at the same time is trusted to have taken our edges along.
            Err(error) if error.kind() == ErrorKind::Conflict && planted::is(Defect::EdgeLostInGroup) => {
                (0..count).map(|_| Ok(())).collect()
            }
            Err(error) => all(error),
        }
    }

    /// Sends one request in the lane of its group, when its turn has come.
    async fn request_in(
        &self,
        group: &Group,
        edges: Vec<Edge>,
        facet: &dyn MembershipFacet,
        (until, correlation): (Timestamp, String),
        entered: &Entered<'_>,
    ) -> Result<Vec<EdgeOutcome>> {
        let _turn = self.call_turn().await;
        if let Some(left) = self.pause() {
            let error = Error::new(ErrorKind::RateLimited, PAUSE_WHY).with_effect(Effect::None);
            return Err(error.with_retry(Retry::After(Some(left))));
        }
        self.turn(self.limit_until(until) / 2).await?;
        // Once the lane is lost, another node may write the group.
        let limit = self.limit_until(until).min(entered.left(self.engine.now()));
        if limit.is_zero() {
            return Err(late());
        }
        let mut cx = Context::new(self.engine.realm.clone(), correlation);
        cx.deadline = Some(self.engine.now().plus(limit));
        let request = MembershipRequest {
            class: group.class.clone(),
            group: group.key.clone(),
            member_class: group.members.clone(),
            edges,
        };
        let call = within(self.engine.inner.clock.as_ref(), limit, facet.change(&cx, request));
        let answer = meter::request(&self.target.settings.name, self.engine, call).await;
        let retries = match &answer {
            Err(error) => vec![(error.kind(), error.retry())],
            Ok(outcomes) => {
                let errors = outcomes.iter().filter_map(|edge| edge.error.clone()).map(Error::from);
                errors.map(|error| (error.kind(), error.retry())).collect()
            }
        };
        if let Some((_, retry)) = retries.into_iter().find(|(kind, _)| *kind == ErrorKind::RateLimited) {
            self.told_to_pause(asked_for(retry)).await;
        }
        answer
    }

    /// Gives edges to the groups of roles the keys that these have now: by their links, which earlier steps of the plan
    /// may have written. Those whose group is not there are taken out: they are stale, and wait in the next plan.
    pub(super) async fn know_groups(&self, ready: &mut Vec<Arc<Order>>) -> Result<Vec<(Arc<Order>, String)>> {
        let mut wanted: BTreeMap<String, ClassName> = BTreeMap::new();
        for step in ready.iter() {
            if let Some((class, row)) = group_of(step) {
                wanted.insert(row, class);
            }
        }
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<String> = wanted.keys().cloned().collect();
        let links = store::get_many::<Link>(self.engine.store(), &self.engine.realm, &rows).await?;
        let mut keys: BTreeMap<String, String> = BTreeMap::new();
        let mut known = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        for ((row, class), link) in wanted.into_iter().zip(links) {
            let Some(key) = link.filter(|link| link.value.is_referable()).and_then(|link| link.value.key)
            else {
                continue;
            };
            keys.insert(row, key.id.clone());
            // By this key and no other: a stranger's group may have it for a name.
            known.insert((class, key.id.clone()), key);
        }
        drop(known);
        let mut stale = Vec::new();
        ready.retain_mut(|step| {
            let Some((_, row)) = group_of(step) else { return true };
            match keys.get(&row) {
                Some(key) => *step = Arc::new(step.in_group(key)),
                None => stale.push((step.clone(), "the role has no group there any more".to_owned())),
            }
            keys.contains_key(&row)
        });
        Ok(stale)
    }

    /// The key of a group that the policy names as people do: by the class's naming attribute, or by its id.
    /// `None`: the target certainly has no such group.
    async fn group(&self, begun: &Begun, class: &ClassName, name: &str) -> Result<Option<ObjectKey>> {
        let known = (class.clone(), name.to_owned());
        if let Some(key) = self.groups.lock().unwrap_or_else(PoisonError::into_inner).get(&known) {
            return Ok(Some(key.clone()));
        }
        let cx = Context::new(self.engine.realm.clone(), format!("{}/groups", self.header.id));
        let key = self
            .within(begun, seek_group(self.connector.as_ref(), self.discovery(), &cx, class, name))
            .await
            .map_err(|error| error.with_effect(Effect::None))?;
        if let Some(key) = &key {
            self.groups.lock().unwrap_or_else(PoisonError::into_inner).insert(known, key.clone());
        }
        Ok(key)
    }
}

/// The class of the group of a role that a step makes an account a member of, and the row of its link.
fn group_of(step: &Step) -> Option<(ClassName, String)> {
    match &step.action {
        Action::AddMember { group_class, of: Some(subject), .. } => {
            let row = Link::row_key(&step.target, group_class, &Tag::main(), subject);
            Some((group_class.clone(), row))
        }
        _ => None,
    }
}

/// Each edge once, and which of them each was: two plans may have begun the same, and a target refuses a request that
/// names a member twice.
fn once(asked: Vec<Asked>) -> (Vec<Edge>, Vec<usize>) {
    let (mut edges, mut known) = (Vec::with_capacity(asked.len()), BTreeMap::new());
    let place = |Asked { edge, .. }: Asked| {
        *known.entry((edge.member.id.clone(), edge.add)).or_insert_with(|| {
            edges.push(edge);
            edges.len() - 1
        })
    };
    let places = asked.into_iter().map(place).collect();
    (edges, places)
}

/// Finds a group by the class's naming attribute, else takes the name for its id.
///
/// # Errors
/// `NotFound` when the target has no such group.
pub(crate) async fn find_group(
    connector: &dyn Connector,
    discovery: &Discovery,
    cx: &Context,
    class: &ClassName,
    name: &str,
) -> Result<ObjectKey> {
    seek_group(connector, discovery, cx, class, name).await?.ok_or_else(|| no_group(name))
}

fn no_group(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, "the target has no such group: create it, or correct the policy")
        .with_context("group", name)
        .with_effect(Effect::None)
}

/// An attempt that failed. What an earlier one did is still not known, whatever kept this one from being sent.
fn failed(begun: Begun, error: Error) -> (Begun, Ended) {
    let error = if begun.is_open() { error.with_effect(Effect::Unknown) } else { error };
    (begun, Ended::Failed(error))
}

/// An edge of a group that is gone: there is nothing to be taken out of, and nothing to be put in.
fn without_group(begun: Begun, group: &str) -> (Begun, Ended) {
    let ended = match &begun.step.action {
        Action::RemoveMember { .. } => Ended::done(None, None),
        _ => Ended::Failed(no_group(group)),
    };
    (begun, ended)
}

/// Finds a group; `None` when complete reads did not hold it.
async fn seek_group(
    connector: &dyn Connector,
    discovery: &Discovery,
    cx: &Context,
    class: &ClassName,
    name: &str,
) -> Result<Option<ObjectKey>> {
    let shape = discovery.schema.class(class).cloned().unwrap_or_default();
    let filter = shape.naming.clone().map(|naming| Filter::equal(naming, name));
    let pushes = |filter: &Filter| discovery.capabilities.class(class).filter.pushes(filter);
    let (pushed, own) = match filter {
        Some(filter) if pushes(&filter) => (Some(filter), None),
        own => (None, own),
    };
    let incomplete = || {
        Error::new(ErrorKind::Unavailable, "the lookup of a group did not read everything")
            .with_context("group", name)
            .with_effect(Effect::None)
    };
    let several = || {
        Error::new(ErrorKind::Conflict, "several groups have this name: name the group by its id")
            .with_context("group", name)
            .with_effect(Effect::None)
    };
    let mut ambiguous = false;
    if let Some(filter) = pushed {
        let listing = connector.list(cx, ListRequest::matching(class.clone(), filter))?;
        let (mut found, completeness) = collect(listing, 10).await?;
        match (found.pop(), found.is_empty()) {
            (Some(group), true) => return Ok(Some(group.key)),
            (None, _) if !completeness.is_complete() => return Err(incomplete()),
            (Some(_), false) => ambiguous = true,
            (None, _) => {}
        }
    }
    let request = GetRequest { class: class.clone(), key: ObjectKey::id(name) };
    if let Some(group) = connector.get(cx, request).await? {
        return Ok(Some(group.key));
    }
    // The target cannot be asked by name: its groups are read, boundedly, and compared here.
    if let Some(filter) = own {
        let (found, completeness) =
            collect(connector.list(cx, ListRequest::all(class.clone()))?, GROUPS_MAX).await?;
        let mut found = found.into_iter().filter(|group| filter.matches(&shape, &group.attributes));
        match (found.next(), found.next()) {
            (Some(group), None) => return Ok(Some(group.key)),
            (None, _) if !completeness.is_complete() => return Err(incomplete()),
            (Some(_), Some(_)) => ambiguous = true,
            (None, _) => {}
        }
    }
    if ambiguous { Err(several()) } else { Ok(None) }
}

/// Groups read to find one by name on a target that cannot be asked.
const GROUPS_MAX: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::super::workbench::{Workbench, add_member};
    use super::*;
    use crate::memory::{Fault, FaultRule, Faults, Operation};

    #[tokio::test]
    async fn what_an_earlier_attempt_at_an_edge_did_stays_unknown() {
        let bench = Workbench::new().await;
        let group = crate::value::Attributes::new().with("cn", "Staff").with("dn", "CN=Staff,DC=test");
        bench.connector.seed("group", [(group, None)]).unwrap();
        let cases = [(false, Effect::None), (true, Effect::Unknown)];
        // The request is refused, or the group cannot be looked up before it.
        let refused =
            [Operation::Membership, Operation::List].map(|operation| cases.map(|case| (operation, case)));
        for (operation, (after_unknown, effect)) in refused.into_iter().flatten() {
            let refuse = FaultRule::always(operation, Fault::Refuse);
            bench.connector.set_faults(Faults { seed: 0, rules: vec![refuse] });
            let mut begun = bench.begun(add_member("CN=Staff,DC=test"));
            begun.after_unknown = after_unknown;
            let group = "CN=Staff,DC=test".to_owned();
            let ended = bench.lane().call_edges("group".into(), group, vec![begun], None).await.remove(0).1;
            let Ended::Failed(error) = ended else { panic!("{ended:?}") };
            assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, effect));
        }
    }

    #[tokio::test]
    async fn an_edge_that_two_plans_began_is_named_once_and_ends_for_both() {
        let bench = Workbench::new().await;
        let person = crate::value::Attributes::new()
            .with("cn", "Jane")
            .with("dn", "CN=Jane,DC=test")
            .with("sAMAccountName", "jane");
        let group = crate::value::Attributes::new().with("cn", "Staff").with("dn", "CN=Staff,DC=test");
        bench.connector.seed("group", [(group, None)]).unwrap();
        let jane = bench.connector.seed("user", [(person, Some(true))]).unwrap().remove(0);
        let key = bench.connector.dump("group").unwrap().remove(0).key;
        let nobody = ObjectKey::id("nobody");
        let asked = |member: &ObjectKey| Asked {
            edge: Edge { member: member.clone(), add: true },
            correlation: String::new(),
            deadline: bench.engine.now().plus(std::time::Duration::from_secs(60)),
        };
        let members: Vec<&ObjectKey> = vec![&jane, &nobody, &jane, &nobody, &jane];
        let (edges, places) = once(members.iter().map(|member| asked(member)).collect());
        assert_eq!((edges.len(), places), (2, vec![0, 1, 0, 1, 0]));
        let target = bench.lane().target.settings.name.clone();
        let group = Group { target, class: "group".into(), members: "user".into(), key };
        let outcomes = bench.lane().request(&group, members.into_iter().map(asked).collect()).await;
        let done: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
        assert_eq!(done, [true, false, true, false, true]);
    }
}
