//! People with several engagements, down to the target.

use std::time::Duration;

use provision_core::plan::Scope;
use provision_core::value::Value;

use crate::crash::polled;
use crate::view::same;
use crate::world::{Person, Setup, World, at, group_name, person};

fn row(key: &str, number: &'static str, given: &str, department: &str) -> Person {
    Person { number: Some(number), ..person(key, given, "Smith", department) }
}

/// Jane sells until the end of the year and keeps the books; John sells.
fn company() -> Vec<Person> {
    let mut sells = row("10", "P1", "Jane", "Sales");
    sells.end = "2026-12-31".parse().ok();
    vec![sells, row("20", "P2", "John", "Sales"), row("30", "P1", "Jane", "Finance")]
}

async fn world() -> World {
    let world = Setup { engagements: true, ..Setup::default() }.build().await;
    world.onboard().await;
    world
}

/// (marker, enabled, groups) of every account.
fn accounts(world: &World) -> Vec<(String, bool, Vec<&'static str>)> {
    let objects = world.directory.dump("group").unwrap();
    let id_of = |name: &str| {
        let dn = group_name(name);
        objects.iter().find(|group| group.attributes.text("dn") == Some(&dn)).unwrap().key.id.clone()
    };
    let mut shown: Vec<_> = world
        .directory
        .dump("user")
        .unwrap()
        .iter()
        .map(|user| {
            let member = user.attributes.values("memberOf");
            let is_in = |name: &&str| member.iter().any(|group: &Value| group.to_plain() == id_of(name));
            let groups = ["Finance", "Research", "Sales"].into_iter().filter(is_in).collect();
            (user.attributes.text("employeeNumber").unwrap().to_owned(), user.enabled.unwrap(), groups)
        })
        .collect();
    shown.sort();
    shown
}

fn expected(all: &[(&str, bool, &[&'static str])]) -> Vec<(String, bool, Vec<&'static str>)> {
    all.iter().map(|(number, enabled, groups)| ((*number).to_owned(), *enabled, groups.to_vec())).collect()
}

#[tokio::test]
async fn two_rows_are_one_account_and_each_takes_its_own_access_with_it() {
    let world = world().await;
    world.feed(&company()).await;
    assert_eq!(world.converge(3).await, 1);
    let both = expected(&[("P1", true, &["Finance", "Sales"]), ("P2", true, &["Sales"])]);
    assert_eq!(accounts(&world), both);
    // The clock ends one of them.
    world.clock.set(at("2027-01-01T08:00:00Z"));
    let plan = world.plan(Scope::Changed).await;
    let words: Vec<&str> = world.steps(&plan).await.iter().map(|step| step.action.word()).collect();
    assert_eq!(words.iter().filter(|word| **word == "remove_member").count(), 1, "{words:?}");
    assert!(!words.contains(&"disable"), "{words:?}");
    world.apply(plan.id).await;
    assert_eq!(accounts(&world), expected(&[("P1", true, &["Finance"]), ("P2", true, &["Sales"])]));
    assert!(world.plan(Scope::All).await.is_empty());
    // The last row ends: she leaves.
    world.feed(&company()[1..2]).await;
    assert!(world.converge(3).await < 3);
    assert_eq!(accounts(&world), expected(&[("P1", false, &[]), ("P2", true, &["Sales"])]));
    // And comes back under a new row: the same account.
    world.feed(&[company().remove(1), row("99", "P1", "Jane", "Research")]).await;
    assert!(world.converge(3).await < 3);
    assert_eq!(accounts(&world), expected(&[("P1", true, &["Research"]), ("P2", true, &["Sales"])]));
}

#[tokio::test]
async fn a_manager_is_named_by_the_value_that_tells_people_also_one_who_is_not_known_yet() {
    let world = world().await;
    let mut report = row("20", "P2", "John", "Sales");
    // A row of somebody else has this key.
    report.manager = Some("P1".to_owned());
    world.feed(&[report.clone(), row("P1", "P3", "Zoe", "Sales")]).await;
    world.converge(3).await;
    let manager = |world: &World| {
        let users = world.directory.dump("user").unwrap();
        let john = users.iter().find(|user| user.attributes.text("employeeNumber") == Some("P2")).unwrap();
        let manager = john.attributes.first("manager").map(Value::to_plain);
        manager.map(|id| {
            let boss = users.iter().find(|user| user.key.id == id).unwrap();
            boss.attributes.text("employeeNumber").unwrap().to_owned()
        })
    };
    assert_eq!(manager(&world), None);
    let jane = company().into_iter().filter(|person| person.number == Some("P1"));
    let all: Vec<Person> = jane.chain([report, row("P1", "P3", "Zoe", "Sales")]).collect();
    world.feed(&all).await;
    for _ in 0..3 {
        let plan = world.plan(Scope::Changed).await;
        world.apply(plan.id).await;
    }
    assert_eq!(manager(&world).as_deref(), Some("P1"));
    assert!(world.plan(Scope::All).await.is_empty());
}

#[tokio::test]
async fn an_onboarding_finds_people_by_the_value_that_tells_them() {
    let first = world().await;
    first.feed(&company()).await;
    first.converge(3).await;
    let fresh = Setup { engagements: true, ..Setup::default() }.build_at(first.clock.clone()).await;
    for object in first.directory.dump("user").unwrap() {
        let mut attributes = object.attributes.clone();
        attributes.remove("memberOf");
        fresh.directory.seed("user", [(attributes, object.enabled)]).unwrap();
    }
    fresh.feed(&company()).await;
    fresh.onboard().await;
    let plan = fresh.plan(Scope::All).await;
    assert!(fresh.steps(&plan).await.iter().all(|step| step.action.word() != "create"));
    fresh.apply(plan.id).await;
    assert!(fresh.converge(3).await < 3);
    assert_eq!(accounts(&fresh), accounts(&first));
}

#[tokio::test]
async fn a_process_that_dies_while_one_engagement_ends_leaves_the_other_alone() {
    let day = |world: World| async move {
        world.feed(&company()).await;
        world.converge(3).await;
        world.feed(&company()[1..]).await;
        world
    };
    let calm = day(world().await).await;
    calm.converge(3).await;
    let end = (calm.picture(), calm.links().await);
    assert_eq!(accounts(&calm), expected(&[("P1", true, &["Finance"]), ("P2", true, &["Sales"])]));
    for polls in 1.. {
        let world = day(world().await).await;
        let plan = world.plan(Scope::Changed).await;
        world.pace.stepwise();
        let mut apply = Box::pin(world.apply_with(&world.engine, plan.id));
        let ended = polled(&mut apply, polls).await.is_some();
        drop(apply);
        world.pace.straight();
        world.later(Duration::from_secs(10));
        world.settle_down(6).await;
        same(&(world.picture(), world.links().await), &end, &format!("stopped after {polls} polls"));
        if ended {
            assert!(polls > 10);
            break;
        }
    }
}
