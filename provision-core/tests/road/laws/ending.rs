//! Law 8: silence after the end.

use provision_core::connector::{LifecycleFacet, LifecycleRequest, ObjectKey};
use provision_core::memory::{Fault, FaultRule, Faults, MemoryConnector, Operation};
use provision_core::model::{Link, LinkState, Status};
use provision_core::plan::Scope;

use crate::world::{World, group_name, person};

fn key_of(world: &World, number: &str) -> ObjectKey {
    let users = world.directory.dump("user").unwrap();
    users.into_iter().find(|user| user.attributes.text("employeeNumber") == Some(number)).unwrap().key
}

async fn state(world: &World) -> LinkState {
    world.all::<Link>().await[0].state
}

#[tokio::test]
async fn law_8_silence_after_the_end_until_a_rehire() {
    let world = World::new(1).await;
    let mut people = vec![person("1", "Jane", "Smith", "Sales")];
    world.feed(&people).await;
    world.onboard().await;
    world.converge(2).await;
    people[0].status = Status::Terminated;
    world.feed(&people).await;
    world.converge(2).await;
    assert_eq!(state(&world).await, LinkState::Inactive);
    world.wire.take();

    // The person changes, somebody enables the account by hand, the policy changes: not ours any more.
    people[0].department = "Research".to_owned();
    people[0].family = "Jones".to_owned();
    world.feed(&people).await;
    let request = LifecycleRequest { class: "user".into(), key: key_of(&world, "1"), enabled: true };
    LifecycleFacet::set(&world.directory, &MemoryConnector::context(), request).await.unwrap();
    world.reconcile().await;
    let mut policy = world.policy.clone();
    policy.label = "test-2".to_owned();
    world.engine.set_policy(&world.actor, std::sync::Arc::new(policy)).await.unwrap();
    for scope in [Scope::Changed, Scope::All] {
        let plan = world.plan(scope).await;
        assert!(plan.is_empty(), "{:?}", world.steps(&plan).await);
    }
    assert_eq!((world.wire.take(), state(&world).await), (Vec::new(), LinkState::Inactive));

    people[0].status = Status::Active;
    world.feed(&people).await;
    world.converge(3).await;
    assert_eq!(state(&world).await, LinkState::Active);
    let accounts = world.accounts();
    assert_eq!(accounts["1"], ("smithj".to_owned(), Some(true), "Research".to_owned(), 1));
    assert_eq!(world.directory.dump("user").unwrap().len(), 1);
}

#[tokio::test]
async fn law_8_silence_after_the_end_a_leaving_account_gets_offboarding_steps_only() {
    let world = World::new(1).await;
    let mut people = vec![person("1", "Jane", "Smith", "Sales")];
    world.feed(&people).await;
    world.onboard().await;
    world.converge(2).await;
    let rules = vec![FaultRule::always(Operation::Membership, Fault::Forbid)];
    world.directory.set_faults(Faults { seed: 0, rules });
    people[0].status = Status::Terminated;
    world.feed(&people).await;
    let plan = world.plan(Scope::Changed).await;
    let report = world.apply(plan.id).await;
    assert_eq!((report.failed, report.skipped), (1, 1), "the revoke failed, the release waits for it");
    assert_eq!(state(&world).await, LinkState::Leaving);

    people[0].department = "Research".to_owned();
    people[0].family = "Jones".to_owned();
    world.feed(&people).await;
    world.directory.set_faults(Faults::default());
    let plan = world.plan(Scope::All).await;
    let steps = world.steps(&plan).await;
    let words: Vec<&str> = steps.iter().map(|step| step.action.word()).collect();
    assert_eq!(words, ["remove_member", "release"]);
    assert!(steps.iter().all(|step| step.offboarding));
    assert!(world.apply(plan.id).await.is_clean());
    assert_eq!(state(&world).await, LinkState::Inactive);
    let group = world
        .directory
        .dump("group")
        .unwrap()
        .into_iter()
        .find(|group| group.attributes.text("dn") == Some(&group_name("Sales")))
        .unwrap();
    assert!(group.attributes.values("member").is_empty());
}
