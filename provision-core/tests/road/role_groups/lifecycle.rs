//! A group comes with its role, follows what is said of it, and goes with it.

use std::time::Duration;

use provision_core::engine::RunOptions;
use provision_core::memory::MemoryConfig;
use provision_core::model::Membership;
use provision_core::plan::{BudgetKind, Drive, OnDelete, Scope};
use provision_core::policy::RefusalReason;
use provision_core::value::Attributes;

use super::{done, groups, members, pairs, roles, set_roles, unread, world};

fn two() -> super::RoleGroups {
    roles([("buyers", "Finance"), ("sellers", "Sales")])
}

#[tokio::test]
async fn a_fresh_policy_makes_groups_and_memberships_in_one_plan() {
    let world = world(Drive::Review, OnDelete::Delete, two()).await;
    let plan = world.plan(Scope::All).await;
    assert_eq!(
        done(&world, &plan).await,
        [
            "add_member hr:1 role:sellers",
            "add_member hr:2 role:sellers",
            "add_member hr:3 role:buyers",
            "create hr:1",
            "create hr:2",
            "create hr:3",
            "create hr:4",
            "create role:buyers",
            "create role:sellers",
        ]
    );
    let report = world.apply(plan.id).await;
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(members(&world), pairs([("app-buyers", "3"), ("app-sellers", "1 2")]));
    assert!(world.plan(Scope::All).await.is_empty());
    // The row says which group it is by the key that does not change.
    let keys: Vec<String> = groups(&world).into_values().map(|(key, _)| key).collect();
    for edge in world.all::<Membership>().await {
        assert!(keys.contains(&edge.group), "{edge:?}");
    }
}

#[tokio::test]
async fn a_continuous_drive_makes_them_too() {
    for workers in [1, 4] {
        let world = world(Drive::Enforce, OnDelete::Delete, two()).await;
        let options = RunOptions { workers, batch: 1, ..RunOptions::default() };
        let report = world.engine.run(&world.actor, &options).await.unwrap();
        assert_eq!(report.failed, 0, "{report:?}");
        assert_eq!(members(&world), pairs([("app-buyers", "3"), ("app-sellers", "1 2")]));
        assert!(world.plan(Scope::All).await.is_empty());
        assert_eq!(world.dirty().await, []);
    }
}

#[tokio::test]
async fn nothing_is_made_before_the_class_has_been_read() {
    let mut settings = super::settings(Drive::Review, OnDelete::Delete);
    let group = settings.classes.remove(&"group".into()).unwrap();
    let world = unread(settings.clone(), two()).await;
    world.onboard().await;
    let plan = world.plan(Scope::All).await;
    world.apply(plan.id).await;
    assert_eq!(members(&world), []);
    let skips = world.skips(plan.id, plan.chunks).await;
    let said: Vec<_> = skips.iter().map(|skip| (skip.label.as_str(), skip.reason)).collect();
    let not = RefusalReason::NotOnboarded;
    assert_eq!(said, [("role:buyers", not), ("role:sellers", not)]);
    settings.classes.insert("group".into(), group);
    world.engine.put_target(&world.actor, settings).await.unwrap();
    world.onboard().await;
    assert!(world.converge(4).await < 4);
    assert_eq!(members(&world), pairs([("app-buyers", "3"), ("app-sellers", "1 2")]));
}

#[tokio::test]
async fn another_name_or_description_keeps_the_group_and_its_members() {
    let mut world = world(Drive::Review, OnDelete::Delete, two()).await;
    world.converge(3).await;
    let before = groups(&world);
    let mut said = two();
    said.prefix = "sec-".to_owned();
    set_roles(&mut world, "renamed", said.clone()).await;
    let plan = world.plan(Scope::Changed).await;
    assert_eq!(done(&world, &plan).await, ["rename role:buyers", "rename role:sellers"]);
    assert!(world.apply(plan.id).await.is_clean());
    assert_eq!(members(&world), pairs([("sec-buyers", "3"), ("sec-sellers", "1 2")]));
    said.roles.get_mut("buyers").unwrap().description = "who buys".to_owned();
    set_roles(&mut world, "described", said).await;
    let plan = world.plan(Scope::Changed).await;
    assert_eq!(done(&world, &plan).await, ["update role:buyers"]);
    assert!(world.apply(plan.id).await.is_clean());
    let keys = |groups: &std::collections::BTreeMap<_, (String, _)>| {
        groups.values().map(|(key, _)| key.clone()).collect::<Vec<_>>()
    };
    assert_eq!(keys(&groups(&world)), keys(&before));
    assert!(world.plan(Scope::All).await.is_empty());
}

#[tokio::test]
async fn a_role_that_is_gone_takes_its_members_out_and_then_its_group() {
    let mut world = world(Drive::Review, OnDelete::Delete, two()).await;
    world.converge(3).await;
    let key = groups(&world)["app-sellers"].0.clone();
    set_roles(&mut world, "fewer", roles([("buyers", "Finance")])).await;
    let plan = world.plan(Scope::Changed).await;
    let out = [format!("remove_member hr:1 {key}"), format!("remove_member hr:2 {key}")];
    assert_eq!(done(&world, &plan).await, out);
    let skips = world.skips(plan.id, plan.chunks).await;
    assert_eq!(skips.iter().map(|skip| skip.reason).collect::<Vec<_>>(), [RefusalReason::HasMembers]);
    assert!(world.apply(plan.id).await.is_clean());
    assert_eq!(members(&world), pairs([("app-buyers", "3"), ("app-sellers", "")]));
    world.later(Duration::from_secs(60));
    let plan = world.plan(Scope::Changed).await;
    assert_eq!(done(&world, &plan).await, ["delete role:sellers", "release role:sellers"]);
    let spends = &plan.targets.values().next().unwrap().spends;
    assert_eq!(spends.get(&BudgetKind::Delete), Some(&1));
    assert!(world.apply(plan.id).await.is_clean());
    assert_eq!(members(&world), pairs([("app-buyers", "3")]));
    assert!(world.plan(Scope::All).await.is_empty());
    // It is said again: another group, and the members with it.
    set_roles(&mut world, "again", two()).await;
    assert!(world.converge(3).await < 3);
    assert_eq!(members(&world), pairs([("app-buyers", "3"), ("app-sellers", "1 2")]));
    assert_ne!(groups(&world)["app-sellers"].0, key);
}

#[tokio::test]
async fn a_drive_takes_members_out_and_deletes_the_group_after_them() {
    let mut world = world(Drive::Enforce, OnDelete::Delete, two()).await;
    let options = RunOptions { workers: 2, batch: 2, ..RunOptions::default() };
    world.engine.run(&world.actor, &options).await.unwrap();
    set_roles(&mut world, "none", roles([])).await;
    world.engine.run(&world.actor, &options).await.unwrap();
    world.later(Duration::from_secs(120));
    world.engine.run(&world.actor, &options).await.unwrap();
    assert_eq!(members(&world), []);
    assert_eq!(world.all::<Membership>().await, []);
    assert!(world.plan(Scope::All).await.is_empty());
}

#[tokio::test]
async fn a_group_is_never_deleted_unless_the_settings_say_so() {
    let mut world = world(Drive::Review, OnDelete::default(), two()).await;
    world.converge(3).await;
    set_roles(&mut world, "fewer", roles([("buyers", "Finance")])).await;
    let plan = world.plan(Scope::Changed).await;
    world.apply(plan.id).await;
    let skips = world.skips(plan.id, plan.chunks).await;
    assert_eq!(skips.len(), 1);
    assert_eq!((skips[0].label.as_str(), skips[0].reason), ("role:sellers", RefusalReason::Unsupported));
    assert!(skips[0].detail.contains("`on_delete`"), "{}", skips[0].detail);
    assert_eq!(members(&world), pairs([("app-buyers", "3"), ("app-sellers", "")]));
    assert!(world.plan(Scope::All).await.is_empty());
    // The role is back, and so is the group as it was.
    set_roles(&mut world, "again", two()).await;
    assert!(world.converge(3).await < 3);
    assert_eq!(members(&world), pairs([("app-buyers", "3"), ("app-sellers", "1 2")]));
}

#[tokio::test]
async fn a_role_that_no_other_takes_along_is_seen_off_by_what_on_delete_writes() {
    let retired = Attributes::new().with("description", "retired");
    let mut world = world(Drive::Review, OnDelete::Update(retired), two()).await;
    world.converge(3).await;
    set_roles(&mut world, "fewer", roles([("buyers", "Finance")])).await;
    assert!(world.converge(3).await < 3);
    let text = |world: &super::World| {
        let groups = world.directory.dump("group").unwrap();
        let group = groups.into_iter().find(|group| group.attributes.text("cn") == Some("app-sellers"));
        group.unwrap().attributes.text("description").unwrap().to_owned()
    };
    assert_eq!(text(&world), "retired");
    set_roles(&mut world, "again", two()).await;
    assert!(world.converge(3).await < 3);
    assert_eq!(text(&world), "for sellers");
    assert_eq!(members(&world), pairs([("app-buyers", "3"), ("app-sellers", "1 2")]));
}

#[tokio::test]
async fn a_role_with_another_name_keeps_its_group_and_its_members() {
    let mut world = world(Drive::Review, OnDelete::Delete, two()).await;
    world.converge(3).await;
    let key = groups(&world)["app-sellers"].0.clone();
    for (name, former) in [("vendors", "sellers"), ("sellers", "vendors"), ("vendors", "sellers")] {
        let mut said = roles([("buyers", "Finance"), (name, "Sales")]);
        said.roles.get_mut(name).unwrap().formerly = vec![former.to_owned()];
        set_roles(&mut world, &format!("{former} to {name}"), said).await;
        let plan = world.plan(Scope::Changed).await;
        let role = format!("role:{name}");
        assert_eq!(done(&world, &plan).await, [format!("rename {role}"), format!("update {role}")]);
        assert!(world.apply(plan.id).await.is_clean());
        let group = format!("app-{name}");
        assert_eq!(members(&world), pairs([("app-buyers", "3"), (&group, "1 2")]));
        assert_eq!(groups(&world)[&group].0, key);
        assert!(world.plan(Scope::All).await.is_empty());
        assert_eq!(world.dirty().await, []);
    }
}

#[tokio::test]
async fn a_role_that_was_seen_off_gives_its_name_to_the_one_that_is_called_so_now() {
    let mut world = world(Drive::Review, OnDelete::Delete, two()).await;
    world.converge(3).await;
    set_roles(&mut world, "fewer", roles([("sellers", "Sales")])).await;
    world.converge(4).await;
    let key = groups(&world)["app-sellers"].0.clone();
    let mut said = roles([("buyers", "Sales")]);
    said.roles.get_mut("buyers").unwrap().formerly = vec!["sellers".to_owned()];
    set_roles(&mut world, "moved", said).await;
    assert!(world.converge(3).await < 3);
    assert_eq!(members(&world), pairs([("app-buyers", "1 2")]));
    assert_eq!(groups(&world)["app-buyers"].0, key);
    let status = world.engine.status().await.unwrap();
    assert_eq!((status.identities, status.roles), (4, 2));
}

#[tokio::test]
async fn a_target_with_a_request_for_each_member_makes_them_too() {
    let config = MemoryConfig { members_per_request: 1, ..MemoryConfig::default() };
    let settings = super::settings(Drive::Review, OnDelete::Delete);
    let policy = crate::world::TestPolicy { group: false, roles: two(), ..crate::world::TestPolicy::new() };
    let world = crate::world::Setup { settings, config, policy, ..Default::default() }.build().await;
    world.feed(&super::people()).await;
    world.onboard().await;
    assert_eq!(world.converge(3).await, 1);
    assert_eq!(members(&world), pairs([("app-buyers", "3"), ("app-sellers", "1 2")]));
}
