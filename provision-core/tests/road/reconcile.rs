//! A reconcile costs what has changed, and misses nothing that has.

use std::time::Duration;

use provision_core::connector::{
    Completeness, DeleteRequest, LifecycleFacet, LifecycleRequest, Object, UpdateRequest, Writer,
};
use provision_core::delta::{Change, Delta};
use provision_core::memory::{Fault, FaultRule, MemoryConnector, Operation};
use provision_core::model::{Link, NameState, Status};
use provision_core::plan::Scope;
use provision_core::store::{Record, Table};
use provision_core::value::{Attributes, Slot};

use crate::world::{DIRECTORY, Person, Setup, World, generous, person};

fn people(count: usize) -> Vec<Person> {
    (0..count).map(|n| person(&format!("{n:02}"), "Jo", &format!("Family{n:02}"), "Sales")).collect()
}

/// Twenty people with accounts, and their target read once.
async fn read_once() -> World {
    let world = Setup { settings: generous(), ..Setup::default() }.build().await;
    world.feed(&people(20)).await;
    world.onboard().await;
    world.converge(2).await;
    let report = world.reconcile().await;
    assert_eq!((report.objects, report.linked, report.drifted), (20, 20, 0));
    world
}

fn account(world: &World, number: &str) -> Object {
    let users = world.directory.dump("user").unwrap();
    users.into_iter().find(|user| user.attributes.text("employeeNumber") == Some(number)).unwrap()
}

/// A stranger sets a department.
async fn set_department(world: &World, number: &str, department: &str) {
    let mut delta = Delta::new();
    delta.changes.insert("department".into(), Change::Replace(vec![department.into()]));
    let request = UpdateRequest { class: "user".into(), key: account(world, number).key, delta };
    Writer::update(&world.directory, &MemoryConnector::context(), request).await.unwrap();
}

/// Keys of the links whose row has another version than before.
async fn rewritten(world: &World, versions: &mut Vec<(String, u64)>) -> Vec<String> {
    let keys: Vec<String> = world.all::<Link>().await.iter().map(Link::key).collect();
    let rows = world.store.get(world.engine.realm(), Table::Link, &keys).await.unwrap();
    let now: Vec<(String, u64)> = rows.into_iter().flatten().map(|row| (row.key, row.version)).collect();
    let other = now.iter().filter(|row| !versions.contains(row)).map(|(key, _)| key.clone()).collect();
    *versions = now;
    other
}

#[tokio::test]
async fn a_reconcile_writes_the_links_of_what_has_changed_and_no_others() {
    let world = read_once().await;
    let mut versions = Vec::new();
    assert_eq!(rewritten(&world, &mut versions).await.len(), 20);
    let report = world.reconcile().await;
    assert_eq!((report.objects, report.linked, report.drifted), (20, 20, 0));
    assert_eq!(rewritten(&world, &mut versions).await, [""; 0]);
    set_department(&world, "07", "Elsewhere").await;
    assert_eq!(world.reconcile().await.drifted, 1);
    assert_eq!(rewritten(&world, &mut versions).await.len(), 1);
    // Noted already, and nothing new.
    assert_eq!(world.reconcile().await.drifted, 0);
    assert_eq!(rewritten(&world, &mut versions).await, [""; 0]);
    // As it was when it was compared for the first time, but not as it was noted: the drift is over.
    set_department(&world, "07", "Sales").await;
    assert_eq!(world.reconcile().await.drifted, 1);
    let link = world.all::<Link>().await.into_iter().find(|link| !link.drift.is_empty());
    assert_eq!(link, None);
    assert!(world.plan(Scope::All).await.is_empty());
}

#[tokio::test]
async fn an_account_that_we_wrote_is_compared_again_even_when_a_stranger_took_the_change_back() {
    let world = read_once().await;
    let mut moved = people(20);
    moved[7].department = "Finance".to_owned();
    world.feed(&moved).await;
    assert_eq!(world.converge(2).await, 1);
    set_department(&world, "07", "Sales").await;
    // It shows what it showed when it was compared last. Since then we wrote something else.
    assert_eq!(world.reconcile().await.drifted, 1);
    let links = world.all::<Link>().await;
    let drift = links.iter().find(|link| !link.drift.is_empty()).unwrap();
    assert_eq!(drift.drift.get("department"), Some(&Slot::Values(vec!["Sales".into()])));
}

#[tokio::test]
async fn an_account_that_is_gone_is_noted_once_and_no_other() {
    let world = read_once().await;
    let request = DeleteRequest { class: "user".into(), key: account(&world, "07").key };
    Writer::delete(&world.directory, &MemoryConnector::context(), request).await.unwrap();
    let mut versions = Vec::new();
    rewritten(&world, &mut versions).await;
    let report = world.reconcile().await;
    assert_eq!((report.linked, report.missing, report.doubted), (19, 1, 0));
    assert_eq!(rewritten(&world, &mut versions).await.len(), 1);
    assert_eq!(world.reconcile().await.missing, 0, "known already");
    assert_eq!(rewritten(&world, &mut versions).await, [""; 0]);
    // Many at once are not believed, although each of them was there a minute ago.
    for n in 8..18 {
        let request = DeleteRequest { class: "user".into(), key: account(&world, &format!("{n:02}")).key };
        Writer::delete(&world.directory, &MemoryConnector::context(), request).await.unwrap();
    }
    world.later(Duration::from_secs(60));
    let report = world.reconcile().await;
    assert_eq!((report.missing, report.doubted), (0, 11));
}

/// Links of the directory as the status counts them: missing, drifted.
async fn counted(world: &World) -> (u64, u64) {
    let status = world.engine.status().await.unwrap();
    let links = status.targets[0].links_by_state.unwrap();
    (links.missing, links.drifted)
}

#[tokio::test]
async fn a_drift_is_counted_while_it_is_there_and_no_longer() {
    let world = read_once().await;
    for number in ["06", "07", "08"] {
        set_department(&world, number, "Elsewhere").await;
    }
    world.reconcile().await;
    assert_eq!(counted(&world).await, (0, 3));
    // One is taken back by a stranger, one account is gone, and the third one's person leaves.
    set_department(&world, "06", "Sales").await;
    let request = DeleteRequest { class: "user".into(), key: account(&world, "07").key };
    Writer::delete(&world.directory, &MemoryConnector::context(), request).await.unwrap();
    world.reconcile().await;
    assert_eq!(counted(&world).await, (1, 1));
    let mut leaving = people(20);
    leaving[8].status = Status::Terminated;
    world.feed(&leaving).await;
    world.converge(3).await;
    world.reconcile().await;
    assert_eq!(counted(&world).await, (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_hangs_is_a_listing_that_is_not_whole() {
    let world = read_once().await;
    world.wire.layer().set_rules([FaultRule::always(Operation::List, Fault::Hang)]);
    let report = tokio::time::timeout(Duration::from_secs(3_600), world.reconcile()).await.unwrap();
    let Completeness::Partial { reason } = &report.completeness else { panic!("{report:?}") };
    assert!(reason.contains("within 5 seconds") && reason.contains("page"), "{reason}");
    assert_eq!((report.missing, report.doubted), (0, 0), "no absence counts");
    let name = DIRECTORY.into();
    let onboarded = world.engine.onboard(&world.actor, &name);
    let onboarded = tokio::time::timeout(Duration::from_secs(3_600), onboarded).await.unwrap().unwrap();
    assert!(!onboarded.completeness.is_complete());
    world.wire.layer().set_rules([]);
    assert!(world.reconcile().await.completeness.is_complete());
}

/// Who is dirty.
async fn marked(world: &World) -> Vec<String> {
    world.dirty().await.into_iter().map(|work| work.order).collect()
}

/// A stranger enables an account.
async fn enable(world: &World, number: &str) {
    let key = account(world, number).key;
    let request = LifecycleRequest { class: "user".into(), key, enabled: true };
    LifecycleFacet::set(&world.directory, &MemoryConnector::context(), request).await.unwrap();
}

#[tokio::test]
async fn a_leavers_account_that_is_enabled_again_is_told_once_and_left_alone() {
    let world = read_once().await;
    let mut left = people(20);
    left[8].status = Status::Terminated;
    world.feed(&left).await;
    world.converge(3).await;
    assert_eq!(world.reconcile().await.revived, 0);
    // What a leaver's account says besides is nobody's concern any more.
    set_department(&world, "08", "Elsewhere").await;
    assert_eq!(world.reconcile().await.revived, 0);
    enable(&world, "08").await;
    let report = world.reconcile().await;
    assert_eq!((report.revived, report.drifted), (1, 0));
    assert_eq!(world.reconcile().await.revived, 0, "told");
    let who = world.engine.find("08").await.unwrap().id;
    let history = world.engine.history(who).await.unwrap();
    assert_eq!(history.iter().filter(|entry| entry.event == "account.revived").count(), 1);
    assert!(marked(&world).await.is_empty() && world.plan(Scope::All).await.is_empty(), "law 8");
}

#[tokio::test]
async fn somebody_who_has_left_before_they_became_known_is_seen_off_too() {
    let world = Setup { settings: generous(), ..Setup::default() }.build().await;
    world.feed(&people(2)).await;
    // An account of a history that this store does not have.
    let known = |number: &str| {
        Attributes::new()
            .with("employeeNumber", number)
            .with("sAMAccountName", number)
            .with("cn", number)
            .with("dn", format!("CN={number},DC=test"))
    };
    world.directory.seed("user", [(known("02"), Some(true)), (known("03"), Some(true))]).unwrap();
    world.onboard().await;
    world.converge(2).await;
    let mut all = people(3);
    all[2].status = Status::Terminated;
    world.feed(&all).await;
    assert_eq!(world.converge(2).await, 0, "nobody knows of the account");
    let report = world.reconcile().await;
    assert_eq!((report.found, report.linked, report.objects), (1, 2, 4));
    assert_eq!(marked(&world).await, ["hr/02"]);
    world.converge(3).await;
    assert_eq!(account(&world, "02").enabled, Some(false));
    assert_eq!(account(&world, "03").enabled, Some(true), "it is still nobody's");
    assert_eq!(world.reconcile().await.found, 0);
}

#[tokio::test]
async fn somebody_who_became_known_late_keeps_the_name_that_their_account_has() {
    let mut settings = generous();
    // Plans are made and wait for a person: the reconcile comes first.
    settings.drive = provision_core::plan::Drive::Review;
    let world = Setup { settings, ..Setup::default() }.build().await;
    let account = Attributes::new()
        .with("employeeNumber", "02")
        .with("sAMAccountName", "familyj")
        .with("cn", "Jo Family (familyj)")
        .with("dn", "CN=02,DC=test");
    world.directory.seed("user", [(account, Some(true))]).unwrap();
    world.onboard().await;
    world.feed(&[person("02", "Jo", "Family", "Sales")]).await;
    let report = world.reconcile().await;
    assert_eq!(report.found, 1);
    let name = world.names().await.into_iter().find(|name| name.name == "familyj").unwrap();
    assert_eq!(name.state, NameState::Held);
    let plan = world.plan(Scope::All).await;
    world.apply(plan.id).await;
    assert_eq!(world.accounts()["02"].0, "familyj");
}
