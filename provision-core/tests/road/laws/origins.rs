//! Law 10: access lasts as long as one of its origins, and not a moment longer.

use std::sync::Arc;
use std::time::Duration;

use provision_core::engine::SubmitRequest;
use provision_core::id::{IdentityId, PolicyRef, Tag};
use provision_core::model::{Entitlement, Grant, Membership, Origin, OriginKind, Validity, Work};
use provision_core::plan::Scope;
use provision_core::store::{Changes, Commit};
use provision_core::value::Timestamp;

use crate::world::{DIRECTORY, World, at, group_name, person};

fn origin(kind: OriginKind, until: Option<Timestamp>) -> Origin {
    Origin { kind, reference: PolicyRef::new("somebody"), validity: Validity { from: None, until } }
}

async fn grant(world: &World, identity: IdentityId, department: &str, origins: Vec<Origin>) {
    let grant = Grant {
        realm: world.engine.realm().clone(),
        identity,
        entitlement: Entitlement::Group {
            target: DIRECTORY.into(),
            class: "user".into(),
            tag: Tag::main(),
            group: group_name(department),
        },
        origins,
    };
    let work = Work {
        realm: world.engine.realm().clone(),
        identity,
        order: "hr/1".to_owned(),
        generation: 1,
        urgent: false,
        due_at: world.store.now().await.unwrap(),
        lease: None,
        fence: 0,
    };
    let mut changes = Changes::in_realm(world.engine.realm());
    changes.put(&grant).unwrap();
    changes.put(&work).unwrap();
    assert_eq!(world.store.commit(changes).await.unwrap(), Commit::Committed);
}

async fn groups(world: &World) -> Vec<String> {
    let mut groups: Vec<String> =
        world.all::<Membership>().await.into_iter().filter(|m| m.applied).map(|m| m.group).collect();
    groups.sort();
    assert_eq!(world.accounts()["1"].3, groups.len(), "the rows say what the directory holds");
    groups
}

async fn work_off(world: &World) {
    let plan = world.plan(Scope::Changed).await;
    assert!(world.apply(plan.id).await.is_clean());
}

#[tokio::test]
async fn law_10_origins_access_stays_while_one_stands_and_goes_with_the_last() {
    let world = World::new(1).await;
    let mut people = vec![person("1", "Jane", "Smith", "Sales")];
    world.feed(&people).await;
    world.onboard().await;
    work_off(&world).await;
    let id = world.identities().await["1"];
    let (sales, finance, research) = (group_name("Sales"), group_name("Finance"), group_name("Research"));
    assert_eq!(groups(&world).await, std::slice::from_ref(&sales));

    // Research by two origins with different ends; Sales by the rule and, for longer, by hand.
    let (noon, night) = (at("2026-11-02T12:00:00Z"), at("2026-11-02T22:00:00Z"));
    let both = vec![origin(OriginKind::Request, Some(noon)), origin(OriginKind::Manual, Some(night))];
    grant(&world, id, "Research", both).await;
    work_off(&world).await;
    assert_eq!(groups(&world).await, [research.clone(), sales.clone()]);
    grant(&world, id, "Sales", vec![origin(OriginKind::Manual, None)]).await;
    work_off(&world).await;

    people[0].department = "Finance".to_owned();
    world.feed(&people).await;
    work_off(&world).await;
    let all = [finance.clone(), research.clone(), sales.clone()];
    assert_eq!(groups(&world).await, all, "the rule for Sales fell, the origin by hand stands");

    world.clock.set(noon.plus(Duration::from_secs(1)));
    work_off(&world).await;
    assert_eq!(groups(&world).await, all, "one of the two origins of Research stands");
    world.clock.set(night.plus(Duration::from_secs(1)));
    let plan = world.plan(Scope::Changed).await;
    assert_eq!(plan.identities, 1, "the clock alone made it due");
    world.apply(plan.id).await;
    assert_eq!(groups(&world).await, [finance.clone(), sales.clone()]);

    grant(&world, id, "Sales", Vec::new()).await;
    work_off(&world).await;
    assert_eq!(groups(&world).await, [finance], "the last origin fell");
    assert!(world.plan(Scope::All).await.is_empty());
}

#[tokio::test]
async fn law_10_origins_a_plan_of_everybody_does_not_forget_when_a_grant_ends() {
    let world = World::new(1).await;
    world.feed(&[person("1", "Jane", "Smith", "Sales")]).await;
    world.onboard().await;
    let id = world.identities().await["1"];
    let noon = at("2026-11-02T12:00:00Z");
    grant(&world, id, "Research", vec![origin(OriginKind::Request, Some(noon))]).await;
    world.converge(2).await;
    assert_eq!(groups(&world).await.len(), 2);
    world.clock.set(noon);
    work_off(&world).await;
    assert_eq!(groups(&world).await, [group_name("Sales")], "valid until before noon");
}

/// A plan that gives access, read and not applied; then what gives it ends; then the plan is applied after all.
async fn applied_late(
    until: Option<Timestamp>,
    end: impl AsyncFnOnce(&mut World, IdentityId),
) -> Vec<String> {
    let mut world = World::new(1).await;
    world.feed(&[person("1", "Jane", "Smith", "Sales")]).await;
    world.onboard().await;
    world.converge(2).await;
    let identity = world.identities().await["1"];
    let request = SubmitRequest::Grant {
        identity,
        entitlement: Entitlement::Group {
            target: DIRECTORY.into(),
            class: "user".into(),
            tag: Tag::main(),
            group: group_name("Research"),
        },
        validity: Validity { from: None, until },
        reference: PolicyRef::new("request-1"),
    };
    world.engine.submit(&world.actor, request, "request-1").await.unwrap();
    let late = world.plan(Scope::Changed).await;
    assert_eq!(late.steps, 1);
    end(&mut world, identity).await;
    let now = world.plan(Scope::Changed).await;
    assert!(now.is_empty(), "there is nothing to take away");
    world.apply(late.id).await;
    groups(&world).await
}

#[tokio::test]
async fn law_10_origins_a_plan_from_before_a_revocation_gives_nothing() {
    let seen = applied_late(None, async |world: &mut World, identity| {
        let request = SubmitRequest::Revoke {
            identity,
            entitlement: Entitlement::Group {
                target: DIRECTORY.into(),
                class: "user".into(),
                tag: Tag::main(),
                group: group_name("Research"),
            },
            reference: None,
        };
        world.engine.submit(&world.actor, request, "request-2").await.unwrap();
    });
    assert_eq!(seen.await, [group_name("Sales")]);
}

#[tokio::test]
async fn law_10_origins_a_plan_from_before_the_end_of_a_grant_gives_nothing() {
    let seen = applied_late(Some(at("2026-11-02T12:00:00Z")), async |world: &mut World, _| {
        world.later(Duration::from_secs(5 * 3_600));
    });
    assert_eq!(seen.await, [group_name("Sales")]);
}

#[tokio::test]
async fn law_10_origins_a_plan_of_a_policy_that_is_not_in_force_any_more_gives_nothing() {
    let seen = applied_late(None, async |world: &mut World, _| {
        world.policy.label = "test-2".to_owned();
        world.policy.grants = false;
        world.engine.set_policy(&world.actor, Arc::new(world.policy.clone())).await.unwrap();
    });
    assert_eq!(seen.await, [group_name("Sales")]);
}
