//! Groups of other people with the name that a role's group is to have.

use provision_core::engine::Decision;
use provision_core::model::{DisputeAbout, Subject};
use provision_core::plan::{Drive, OnDelete, Scope};
use provision_core::policy::RefusalReason;
use provision_core::value::Attributes;

use super::{dn, done, groups, members, pairs, roles, settings, unread, world};
use crate::world::World;

fn one() -> super::RoleGroups {
    roles([("sellers", "Sales")])
}

fn seed(world: &World, name: &str) -> String {
    let attributes = Attributes::new().with("cn", name).with("dn", dn(name));
    let key = world.directory.seed("group", [(attributes, None)]).unwrap().remove(0);
    key.id
}

async fn role(world: &World) -> provision_core::id::IdentityId {
    world.engine.find("role:sellers").await.unwrap().id
}

#[tokio::test]
async fn a_group_that_is_there_already_is_a_dispute_and_then_the_roles() {
    let world = unread(settings(Drive::Review, OnDelete::Delete), one()).await;
    let key = seed(&world, "app-sellers");
    world.onboard().await;
    let disputes = world.open_disputes().await;
    assert_eq!(disputes.len(), 1);
    let DisputeAbout::Match { object, candidates, class, .. } = &disputes[0].about else { panic!() };
    assert_eq!((object, class.as_str()), (&key, "group"));
    assert_eq!(candidates, &[role(&world).await]);
    let plan = world.plan(Scope::All).await;
    world.apply(plan.id).await;
    let skips = world.skips(plan.id, plan.chunks).await;
    assert_eq!(skips.iter().map(|skip| skip.reason).collect::<Vec<_>>(), [RefusalReason::Disputed]);
    assert_eq!(members(&world), pairs([("app-sellers", "")]));
    let row = provision_core::model::Dispute::row_key(&disputes[0].about);
    let link = Decision::Link { identity: role(&world).await };
    world.engine.decide(&world.actor, &row, link).await.unwrap();
    let plan = world.plan(Scope::Changed).await;
    let edges = [format!("add_member hr:1 {key}"), format!("add_member hr:2 {key}")];
    let update = ["update role:sellers".to_owned()];
    assert_eq!(done(&world, &plan).await, edges.into_iter().chain(update).collect::<Vec<_>>());
    assert!(world.apply(plan.id).await.is_clean());
    assert_eq!(members(&world), pairs([("app-sellers", "1 2")]));
    assert!(world.plan(Scope::All).await.is_empty());
}

#[tokio::test]
async fn a_group_of_a_managed_domain_is_taken() {
    let mut settings = settings(Drive::Review, OnDelete::Delete);
    settings.domain_managed = true;
    let world = unread(settings, one()).await;
    let key = seed(&world, "APP-Sellers");
    world.onboard().await;
    assert!(world.converge(3).await < 3);
    assert_eq!(groups(&world).values().next().unwrap().0, key);
    assert_eq!(groups(&world).values().next().unwrap().1.len(), 2);
}

/// Nobody's name makes an administrators' group ours.
#[tokio::test]
async fn a_privileged_group_is_never_taken_by_its_name() {
    let mut settings = settings(Drive::Review, OnDelete::Delete);
    settings.domain_managed = true;
    settings.privileged_groups.insert(dn("APP-Sellers"));
    let world = unread(settings, one()).await;
    seed(&world, "app-sellers");
    world.onboard().await;
    assert_eq!(world.open_disputes().await.len(), 1);
    world.converge(3).await;
    assert_eq!(members(&world), pairs([("app-sellers", "")]));
}

/// The two populations stay apart, also by a slip of whoever decides.
#[tokio::test]
async fn a_group_of_a_role_is_not_linked_to_a_person() {
    let world = world(Drive::Review, OnDelete::Delete, one()).await;
    let key = seed(&world, "app-sellers");
    world.apply(world.plan(Scope::All).await.id).await;
    let disputes = world.open_disputes().await;
    let row = provision_core::model::Dispute::row_key(&disputes[0].about);
    let person = world.engine.find("1").await.unwrap();
    let link = Decision::LinkTo { identity: person.id, object: key };
    let error = world.engine.decide(&world.actor, &row, link).await.unwrap_err();
    assert!(error.to_string().contains("stands for a role"), "{error}");
    assert_eq!(world.open_disputes().await.len(), 1);
}

#[tokio::test]
async fn a_group_with_another_name_is_nobodys() {
    let world = unread(settings(Drive::Review, OnDelete::Delete), one()).await;
    seed(&world, "sellers");
    world.onboard().await;
    assert_eq!(world.open_disputes().await, []);
    assert!(world.converge(3).await < 3);
    assert_eq!(members(&world), pairs([("app-sellers", "1 2"), ("sellers", "")]));
}

/// The group comes after everything was read: its name is refused, and no other will do.
#[tokio::test]
async fn a_name_that_was_taken_meanwhile_is_for_a_person_to_decide() {
    let world = world(Drive::Review, OnDelete::Delete, one()).await;
    let key = seed(&world, "app-sellers");
    let plan = world.plan(Scope::All).await;
    let report = world.apply(plan.id).await;
    assert_eq!((report.disputed, report.failed), (1, 0), "{report:?}");
    let disputes = world.open_disputes().await;
    assert_eq!(disputes.len(), 1);
    assert!(disputes[0].detail.contains("of this name already"), "{}", disputes[0].detail);
    world.converge(3).await;
    assert_eq!(members(&world), pairs([("app-sellers", "")]), "nothing is created, nobody is put in");
    let row = provision_core::model::Dispute::row_key(&disputes[0].about);
    let link = Decision::LinkTo { identity: role(&world).await, object: key.clone() };
    world.engine.decide(&world.actor, &row, link).await.unwrap();
    assert!(world.converge(4).await < 4);
    assert_eq!(members(&world), pairs([("app-sellers", "1 2")]));
    assert_eq!(groups(&world)["app-sellers"].0, key);
}

/// People and roles are two populations: an object of one is never matched with the other.
#[tokio::test]
async fn nobody_is_found_for_a_role_and_no_role_for_somebody() {
    let mut settings = settings(Drive::Review, OnDelete::Delete);
    let user = settings.classes.get_mut(&"user".into()).unwrap();
    let pairs = [("cn".into(), "name".into()), ("mail".into(), "description".into())];
    user.correlate = provision_core::correlate::ClassCorrelation::Pairs(pairs.into());
    let world = unread(settings, one()).await;
    let user = Attributes::new()
        .with("cn", "sellers")
        .with("mail", "for sellers")
        .with("dn", "CN=sellers,OU=People,DC=test")
        .with("employeeNumber", "sellers")
        .with("sAMAccountName", "sellers");
    world.directory.seed("user", [(user, Some(true))]).unwrap();
    seed(&world, "1");
    world.onboard().await;
    assert_eq!(world.open_disputes().await, []);
    assert!(world.converge(3).await < 3);
    for wrong in ["sellers", "for sellers", ":roles:sellers", "role:nobody"] {
        assert!(world.engine.find(wrong).await.is_err(), "{wrong}");
    }
    assert_eq!(world.engine.find("role:sellers").await.unwrap().label(), "role:sellers");
    let links = world.all::<provision_core::model::Link>().await;
    let of_role = links.iter().filter(|link| link.class.as_str() == "group");
    let role = role(&world).await;
    assert!(of_role.clone().all(|link| link.subject == Subject::Identity(role)));
    assert_eq!(of_role.count(), 1);
}
