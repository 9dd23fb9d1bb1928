//! Clause 7: memberships.

use super::profile::{Bench, Profile};
use super::verdict::{Finding, Verdict, ensure, fails};
use crate::connector::{Connector, Edge, EdgeOutcome, MembershipRequest, ObjectKey};
use crate::error::{Effect, ErrorKind, Result};
use crate::id::ClassName;
use crate::value::Value;

async fn change(
    bench: &Bench<'_>,
    group: &(ClassName, ObjectKey),
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

/// Ids of the members, where the group shows them as references.
async fn members(bench: &Bench<'_>, group: &(ClassName, ObjectKey)) -> Verdict<Vec<String>> {
    let missing = || Finding::Broken("the group is not found".to_owned());
    let object = bench.find(&group.0, &group.1).await?.ok_or_else(missing)?;
    let values = object.attributes.iter().flat_map(|(_, slot)| slot.values());
    let mut ids = values
        .filter_map(|value| match value {
            Value::Reference(reference) if reference.class == bench.class => Some(reference.key.clone()),
            _ => None,
        })
        .collect::<Vec<_>>();
    ids.sort();
    Ok(ids)
}

async fn ends(
    bench: &Bench<'_>,
    group: &(ClassName, ObjectKey),
    edges: &[(&ObjectKey, bool)],
    wanted: &[&ObjectKey],
) -> Verdict {
    let outcomes = change(bench, group, edges).await??;
    ensure(outcomes.len() == edges.len(), || "one outcome per edge is owed".to_owned())?;
    ensure(outcomes.iter().all(|outcome| outcome.error.is_none()), || {
        format!("an edge failed: {outcomes:?}")
    })?;
    let found = members(bench, group).await?;
    let mut wanted = wanted.iter().map(|key| key.id.clone()).collect::<Vec<_>>();
    wanted.sort();
    ensure(found == wanted, || format!("the members are {found:?} instead of {wanted:?}"))
}

/// C-7.1
pub async fn edges_are_repeatable(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    bench.membership()?;
    let group = bench.create_group("71g").await?;
    let (a, b) = (bench.create("71a").await?, bench.create("71b").await?);
    ends(&bench, &group, &[(&a, true), (&b, true)], &[&a, &b]).await?;
    ends(&bench, &group, &[(&a, true)], &[&a, &b]).await?;
    ends(&bench, &group, &[(&a, false)], &[&b]).await?;
    ends(&bench, &group, &[(&a, false)], &[&b]).await?;
    ends(&bench, &group, &[(&b, false), (&a, true)], &[&a]).await?;
    ends(&bench, &group, &[], &[&a]).await
}

/// C-7.2
pub async fn missing_ends_are_named(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    bench.membership()?;
    let group = bench.create_group("72g").await?;
    let a = bench.create("72a").await?;
    let nobody = ObjectKey::id("no such object");
    let outcomes = change(&bench, &group, &[(&nobody, true), (&a, true), (&nobody, false)]).await??;
    let [missing, good, gone] = outcomes.as_slice() else {
        return Err(Finding::Broken("one outcome per edge is owed".to_owned()));
    };
    let told = missing.error.as_ref().map(|error| (error.kind, error.effect));
    ensure(told == Some((ErrorKind::NotFound, Effect::None)), || format!("a missing account: {missing:?}"))?;
    ensure(good.error.is_none() && gone.error.is_none(), || format!("other edges failed: {outcomes:?}"))?;
    ensure(members(&bench, &group).await? == [a.id.clone()], || "the good edge is not there".to_owned())?;
    let nowhere = (group.0.clone(), nobody);
    let refused = change(&bench, &nowhere, &[(&a, true)]).await?;
    fails("a missing group", refused, ErrorKind::NotFound, Some(Effect::None)).map(drop)
}

/// C-7.3
pub async fn oversized_request_is_refused(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    bench.membership()?;
    let group = bench.create_group("73g").await?;
    let a = bench.create("73a").await?;
    let most = bench.discovery.capabilities.class(&group.0).members_per_request;
    ensure(most > 0, || "the capabilities allow no edge per request".to_owned())?;
    let edges = vec![(&a, true); most as usize + 1];
    let refused = change(&bench, &group, &edges).await?;
    fails("too many edges", refused, ErrorKind::Unsupported, Some(Effect::None))?;
    ensure(members(&bench, &group).await?.is_empty(), || "a refused request changed edges".to_owned())
}
