//! Clause 7: memberships.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::bench::Bench;
use super::describe::NOBODY;
use super::verdict::{Finding, Verdict, broken, ensure, fails, skip};
use crate::connector::{Edge, EdgeOutcome, MembershipRequest, Object, ObjectKey};
use crate::error::{Effect, ErrorKind, Result};
use crate::id::ClassName;
use crate::schema::AttributeType;
use crate::value::Value;

/// A group that was made.
type Group = (ClassName, ObjectKey);

/// Requests of a walk.
const STEPS: usize = 12;

/// More edges than a request of the suite should hold.
const EDGES_MAX: u32 = 20_000;

impl Bench<'_> {
    /// A new group, where the target has groups and changes their members.
    pub(super) async fn can_group(&self, label: &str) -> Verdict<Option<Group>> {
        let able = self.connector.membership().is_some() && self.can().create;
        let class = self.profile.group(&self.suffix(label)).map(|(class, _)| class);
        let able = able && class.is_some_and(|class| self.discovery.capabilities.class(&class).members);
        if able { self.create_group(label).await.map(Some) } else { Ok(None) }
    }

    async fn needs_group(&self, label: &str) -> Verdict<Group> {
        self.membership()?;
        match self.can_group(label).await? {
            Some(group) => Ok(group),
            None => skip("the target has no groups whose members can be changed"),
        }
    }
}

/// Sends a membership request.
pub(super) async fn change(
    bench: &Bench<'_>,
    group: &Group,
    edges: &[(&ObjectKey, bool)],
) -> Verdict<Result<Vec<EdgeOutcome>>> {
    let request = MembershipRequest {
        class: group.0.clone(),
        group: group.1.clone(),
        member_class: bench.class.clone(),
        edges: edges.iter().map(|(member, add)| Edge { member: (*member).clone(), add: *add }).collect(),
    };
    Ok(bench.membership()?.change(&bench.cx, request).await)
}

fn references(object: &Object, class: &ClassName) -> Vec<String> {
    let values = object.attributes.iter().flat_map(|(_, slot)| slot.values());
    let mut keys = values
        .filter_map(|value| match value {
            Value::Reference(reference) if reference.class == *class => Some(reference.key.clone()),
            _ => None,
        })
        .collect::<Vec<_>>();
    keys.sort();
    keys
}

fn shows_references(bench: &Bench<'_>, class: &ClassName) -> Verdict<bool> {
    let attributes = bench.shape(class)?.attributes.values();
    Ok(attributes
        .into_iter()
        .any(|schema| schema.kind == AttributeType::Reference && schema.multi && schema.returned))
}

/// Ids of the members, as the group shows them, or else as these accounts show their groups; nothing where neither
/// does.
pub(super) async fn members(
    bench: &Bench<'_>,
    group: &Group,
    accounts: &[&ObjectKey],
) -> Verdict<Option<Vec<String>>> {
    if shows_references(bench, &group.0)? {
        let missing = || Finding::Broken("the group is not found".to_owned());
        let object = bench.find(&group.0, &group.1).await?.ok_or_else(missing)?;
        return Ok(Some(references(&object, &bench.class)));
    }
    if !shows_references(bench, &bench.class)? {
        return Ok(None);
    }
    let mut ids = Vec::new();
    for account in accounts {
        if references(&bench.read(account).await?, &group.0).contains(&group.1.id) {
            ids.push(account.id.clone());
        }
    }
    ids.sort();
    Ok(Some(ids))
}

/// The members must be these, by the group and by the accounts.
async fn holds(
    bench: &Bench<'_>,
    group: &Group,
    all: &[ObjectKey],
    wanted: &BTreeSet<&ObjectKey>,
) -> Verdict {
    bench.settle().await;
    let mut ids = wanted.iter().map(|key| key.id.clone()).collect::<Vec<_>>();
    ids.sort();
    let accounts = all.iter().collect::<Vec<_>>();
    if let Some(found) = members(bench, group, &accounts).await? {
        ensure(found == ids, || format!("the members are {found:?} instead of {ids:?}"))?;
    }
    if shows_references(bench, &bench.class)? && shows_references(bench, &group.0)? {
        for account in all {
            let shown = references(&bench.read(account).await?, &group.0).contains(&group.1.id);
            ensure(shown == wanted.contains(account), || {
                format!("the group and the account `{}` do not agree", account.id)
            })?;
        }
    }
    Ok(())
}

async fn sent(bench: &Bench<'_>, group: &Group, edges: &[(&ObjectKey, bool)]) -> Verdict {
    let outcomes = change(bench, group, edges).await??;
    ensure(outcomes.len() == edges.len(), || {
        format!("{} outcomes of {} edges", outcomes.len(), edges.len())
    })?;
    ensure(outcomes.iter().all(|outcome| outcome.error.is_none()), || format!("an edge failed: {outcomes:?}"))
}

/// C-7.1
pub(super) async fn edges_are_repeatable(bench: &Bench<'_>) -> Verdict {
    let group = bench.needs_group("71g").await?;
    let other = bench.create_group("71h").await?;
    let mut all = Vec::new();
    for label in ["71a", "71b", "71c", "71d"] {
        all.push(bench.create(label).await?);
    }
    let [a, b, c, _] = all.as_slice() else { return broken("four accounts were made") };
    sent(bench, &other, &[(a, true)]).await?;
    for (edges, wanted) in [
        (vec![(a, true), (b, true), (c, true)], vec![a, b, c]),
        (vec![(a, true)], vec![a, b, c]),
        (vec![(a, false)], vec![b, c]),
        (vec![(a, false)], vec![b, c]),
        (vec![(b, false), (a, true)], vec![a, c]),
        (vec![], vec![a, c]),
    ] {
        sent(bench, &group, &edges).await?;
        holds(bench, &group, &all, &wanted.into_iter().collect()).await?;
    }
    // At the same time, each request its own edge.
    let alone = all.iter().map(|account| [(account, true)]).collect::<Vec<_>>();
    for result in join_all(alone.iter().map(|edges| sent(bench, &group, edges))).await {
        result?;
    }
    holds(bench, &group, &all, &all.iter().collect()).await?;
    let mut model = all.iter().collect::<BTreeSet<_>>();
    for _ in 0..STEPS {
        let chosen =
            bench.chance.shuffled(all.iter().collect::<Vec<_>>()).into_iter().take(1 + bench.chance.below(3));
        let edges = chosen.map(|account| (account, bench.chance.below(2) == 0)).collect::<Vec<_>>();
        for (account, add) in &edges {
            if *add {
                model.insert(account)
            } else {
                model.remove(account)
            };
        }
        sent(bench, &group, &edges).await?;
        holds(bench, &group, &all, &model).await?;
    }
    match members(bench, &other, &[a, b, c]).await? {
        Some(found) => ensure(found == [a.id.clone()], || format!("another group has {found:?} now")),
        None => Ok(()),
    }
}

/// C-7.2
pub(super) async fn missing_ends_are_named(bench: &Bench<'_>) -> Verdict {
    let group = bench.needs_group("72g").await?;
    let a = bench.create("72a").await?;
    let nobody = ObjectKey::id(NOBODY);
    let outcomes = change(bench, &group, &[(&nobody, true), (&a, true), (&nobody, false)]).await??;
    let [missing, good, gone] = outcomes.as_slice() else {
        return broken("one outcome per edge is owed");
    };
    let told = missing.error.as_ref().map(|error| (error.kind, error.effect));
    ensure(told == Some((ErrorKind::NotFound, Effect::None)), || format!("a missing account: {missing:?}"))?;
    ensure(good.error.is_none() && gone.error.is_none(), || format!("other edges failed: {outcomes:?}"))?;
    bench.settle().await;
    if let Some(found) = members(bench, &group, &[&a]).await? {
        ensure(found == [a.id.clone()], || format!("the good edge is not there: {found:?}"))?;
    }
    let nowhere = (group.0.clone(), nobody);
    for add in [true, false] {
        let refused = change(bench, &nowhere, &[(&a, add)]).await?;
        fails("a missing group", refused, ErrorKind::NotFound, Some(Effect::None))?;
    }
    Ok(())
}

/// C-7.3
pub(super) async fn oversized_request_is_refused(bench: &Bench<'_>) -> Verdict {
    let group = bench.needs_group("73g").await?;
    let a = bench.create("73a").await?;
    let most = bench.discovery.capabilities.class(&group.0).members_per_request;
    ensure(most > 0, || "the capabilities allow no edge per request".to_owned())?;
    if most > EDGES_MAX {
        return skip("the target takes more edges than the suite sends");
    }
    let edges = vec![(&a, true); most as usize + 1];
    let refused = change(bench, &group, &edges).await?;
    fails("too many edges", refused, ErrorKind::Unsupported, Some(Effect::None))?;
    match members(bench, &group, &[&a]).await? {
        Some(found) => ensure(found.is_empty(), || "a refused request changed edges".to_owned()),
        None => Ok(()),
    }
}
