//! Joiners, movers, leavers, rehires; plans read first and then applied.

use provision_core::model::Status;
use provision_core::plan::{PlanState, Scope};

use crate::world::{World, person};

#[tokio::test]
async fn joiners_get_accounts_groups_and_managers_in_one_plan() {
    let world = World::new(1).await;
    let mut people = vec![
        person("1", "Jane", "Smith", "Sales"),
        person("2", "John", "Smith", "Sales"),
        person("3", "Jack", "Smith", "Finance"),
    ];
    people[0].manager = Some("3".to_owned());
    world.feed(&people).await;

    let early = world.plan(Scope::Changed).await;
    assert!(early.is_empty(), "nothing is created before onboarding");
    world.onboard().await;

    let plan = world.plan(Scope::Changed).await;
    assert_eq!(plan.state, PlanState::Ready);
    let report = world.apply(plan.id).await;
    assert!(report.is_clean(), "{report:?}");
    let accounts = world.accounts();
    assert_eq!(accounts["1"], ("smithj".to_owned(), Some(true), "Sales".to_owned(), 1));
    assert_eq!(accounts["2"].0, "smithj2");
    assert_eq!(accounts["3"].0, "smithj3");
    let jane = world
        .directory
        .dump("user")
        .unwrap()
        .into_iter()
        .find(|o| o.attributes.text("employeeNumber") == Some("1"));
    assert!(jane.unwrap().attributes.first("manager").is_some(), "the manager is set although both are new");

    let managed = world.engine.target(&"directory".into()).await.unwrap().value.managed;
    assert_eq!(managed, 3, "a plan done whole is a complete cycle: budgets refer to what is there now");

    let again = world.plan(Scope::All).await;
    assert!(again.is_empty(), "{:?}", world.steps(&again).await);
    let changed = world.plan(Scope::Changed).await;
    assert_eq!(changed.identities, 0, "nobody is dirty");
}

#[tokio::test]
async fn movers_change_and_leavers_lose_access_first() {
    let world = World::new(2).await;
    let mut people = vec![
        person("1", "Jane", "Smith", "Sales"),
        person("2", "John", "Doe", "Sales"),
        person("3", "Al", "Kim", "Finance"),
    ];
    world.feed(&people).await;
    world.onboard().await;
    world.converge(3).await;

    people[0].department = "Finance".to_owned();
    people[1].status = Status::Terminated;
    world.feed(&people).await;
    let plan = world.plan(Scope::Changed).await;
    let steps = world.steps(&plan).await;
    assert_eq!(plan.identities, 2, "work follows change");
    assert!(steps.iter().any(|step| step.action.word() == "rename"));
    let report = world.apply(plan.id).await;
    assert!(report.is_clean(), "{report:?}");
    let accounts = world.accounts();
    assert_eq!(accounts["1"].2, "Finance");
    assert_eq!(accounts["1"].3, 1);
    assert_eq!((accounts["2"].1, accounts["2"].3), (Some(false), 0));

    // Silence after the end: nothing more, whatever changes.
    people[1].department = "Research".to_owned();
    world.feed(&people).await;
    assert!(world.plan(Scope::All).await.is_empty());

    // A rehire gets the same account back.
    people[1].status = Status::Active;
    world.feed(&people).await;
    assert!(world.converge(3).await < 3);
    let accounts = world.accounts();
    assert_eq!(accounts["2"], ("doej".to_owned(), Some(true), "Research".to_owned(), 1));
    assert_eq!(accounts.len(), 3);
}
