//! A reconcile costs what has changed, and misses nothing that has.

use std::time::Duration;

use provision_core::connector::{DeleteRequest, Object, UpdateRequest, Writer};
use provision_core::delta::{Change, Delta};
use provision_core::memory::MemoryConnector;
use provision_core::model::Link;
use provision_core::plan::Scope;
use provision_core::store::{Record, Table};
use provision_core::value::Slot;

use crate::world::{Person, Setup, World, generous, person};

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
