//! What is kept of roles, whatever happens to those who write it.

use provision_core::model::{Identity, SourceRecord, Status};
use provision_core::plan::{Action, Drive, OnDelete, PlanChunk, Scope};
use provision_core::policy::DesiredGroup;
use provision_core::source::SourceSettings;

use super::{RoleGroups, groups, members, pairs, roles, set_roles, unread, world};
use crate::crash::polled;
use crate::world::World;

/// What is known of roles: name, whether it is there, what it is for.
async fn known(world: &World) -> Vec<(String, bool, String)> {
    let mut known: Vec<_> = world
        .all::<Identity>()
        .await
        .into_iter()
        .filter(|identity| identity.role().is_some())
        .map(|identity| {
            let text = identity.attributes.text("description").unwrap_or_default().to_owned();
            (identity.key, identity.employment.status == Status::Active, text)
        })
        .collect();
    known.sort();
    known
}

fn many(count: usize) -> RoleGroups {
    let mut roles = roles([("sellers", "Sales")]);
    let role = roles.roles["sellers"].clone();
    roles.roles.extend((1..count).map(|number| (format!("role-{number:03}"), role.clone())));
    roles
}

#[tokio::test]
async fn a_process_that_dies_while_it_sets_a_policy_leaves_what_the_next_one_finishes() {
    let mut before = many(150);
    before.roles.insert("old".to_owned(), before.roles["sellers"].clone());
    let mut after = many(120);
    after.roles.get_mut("sellers").unwrap().description = "all of them".to_owned();
    let mut vendors = after.roles["sellers"].clone();
    vendors.formerly = vec!["old".to_owned()];
    after.roles.insert("vendors".to_owned(), vendors);
    let mut stopped = 0;
    let mut expected = None;
    for polls in (1..).step_by(3).map(Some).take(200).chain([None]) {
        let mut world = unread(super::settings(Drive::Review, OnDelete::Delete), before.clone()).await;
        assert_eq!(known(&world).await.len(), 151);
        let old = world.engine.find("role:old").await.unwrap().id;
        world.policy.roles = after.clone();
        world.policy.label = "after".to_owned();
        let policy = std::sync::Arc::new(world.policy.clone());
        if let Some(polls) = polls {
            world.pace.stepwise();
            let engine = world.engine.clone();
            let mut setting = Box::pin(engine.set_policy(&world.actor, policy));
            let ended = polled(&mut setting, polls).await.is_some();
            drop(setting);
            world.pace.straight();
            if ended {
                break;
            }
            stopped += 1;
        } else {
            world.engine.set_policy(&world.actor, policy).await.unwrap();
        }
        // Another process: it is given the policy, and plans.
        world.engine = world.restarted().await;
        world.onboard().await;
        let plan = world.plan(Scope::Changed).await;
        let seen = known(&world).await;
        assert_eq!(world.engine.find("role:vendors").await.unwrap().id, old);
        assert!(world.engine.find("role:old").await.is_err());
        assert_eq!(seen.iter().filter(|(_, active, _)| *active).count(), 121);
        assert_eq!(expected.get_or_insert_with(|| seen.clone()), &seen, "stopped after {polls:?} polls");
        let creates = world.steps(&plan).await.into_iter();
        let creates = creates.filter(|step| matches!(step.action, Action::Create { .. })).count();
        assert_eq!(creates, 121 + 4, "stopped after {polls:?} polls");
    }
    assert!(stopped > 3, "{stopped}");
}

#[tokio::test]
async fn two_processes_that_set_one_policy_make_one_record_of_a_role() {
    let mut world = world(Drive::Review, OnDelete::Delete, RoleGroups::default()).await;
    world.policy.roles = many(120);
    world.policy.label = "new".to_owned();
    world.pace.shuffled();
    let (a, b) = tokio::join!(world.restarted(), world.restarted());
    world.pace.straight();
    assert_eq!(known(&world).await.len(), 120);
    for role in world.all::<Identity>().await.into_iter().filter(|identity| identity.role().is_some()) {
        let rows: Vec<_> = world.all::<SourceRecord>().await;
        let row = rows.iter().find(|row| row.source == role.source && row.key == role.key).unwrap();
        assert_eq!(row.identity, role.id);
    }
    drop((a, b));
}

#[tokio::test]
async fn a_process_that_dies_in_apply_makes_no_group_twice_and_leaves_nobody_out() {
    // What identifies a group is its role's name: without it, a lost create ends with a person.
    let mut said = roles([("buyers", "Finance"), ("sellers", "Sales")]);
    said.roles.iter_mut().for_each(|(name, role)| name.clone_into(&mut role.description));
    let mut settings = super::settings(Drive::Review, OnDelete::Delete);
    settings.classes.get_mut(&"group".into()).unwrap().marker = Some("description".into());
    for polls in (1..).step_by(2) {
        let world = unread(settings.clone(), said.clone()).await;
        world.onboard().await;
        let plan = world.plan(Scope::All).await;
        world.pace.stepwise();
        let mut apply = Box::pin(world.apply_with(&world.engine, plan.id));
        let ended = polled(&mut apply, polls).await.is_some();
        drop(apply);
        world.pace.straight();
        if ended {
            assert!(polls > 30);
            break;
        }
        world.later(std::time::Duration::from_secs(10));
        world.settle_down(6).await;
        assert_eq!(world.open_disputes().await, [], "stopped after {polls} polls");
        let expected = pairs([("app-buyers", "3"), ("app-sellers", "1 2")]);
        assert_eq!(members(&world), expected, "stopped after {polls} polls");
        assert!(world.plan(Scope::All).await.is_empty());
    }
}

#[tokio::test]
async fn a_policy_without_such_roles_sees_off_those_there_were() {
    let mut world = world(Drive::Review, OnDelete::Delete, roles([("sellers", "Sales")])).await;
    world.converge(3).await;
    let mut none = roles([]);
    none.prefix = String::new();
    set_roles(&mut world, "unmapped", none).await;
    let plan = world.plan(Scope::Changed).await;
    world.apply(plan.id).await;
    // The class is not mapped any more: as with accounts, what is there is left as it is, and said.
    assert_eq!(groups(&world).len(), 1);
    let skips = world.skips(plan.id, plan.chunks).await;
    assert!(skips.iter().any(|skip| skip.label == "role:sellers" && skip.detail.contains("no longer maps")));
    assert_eq!(known(&world).await, [("sellers".to_owned(), false, "for sellers".to_owned())]);
}

#[tokio::test]
async fn a_source_cannot_be_called_as_the_records_of_roles_are() {
    let world = world(Drive::Review, OnDelete::Delete, RoleGroups::default()).await;
    let sources = world.engine.sources().await.unwrap();
    for name in [":roles", ":other"] {
        let settings = SourceSettings { name: name.into(), ..sources[0].settings.clone() };
        let refused = world.engine.put_source(&world.actor, settings).await.unwrap_err();
        assert_eq!(refused.kind(), provision_core::ErrorKind::ConfigInvalid);
    }
}

#[test]
fn rows_from_before_there_were_such_groups_still_read() {
    let group = r#"{"class":"group","group":"staff","privileged":false,"because":[]}"#;
    let read: DesiredGroup = serde_json::from_str(group).unwrap();
    assert_eq!((read.of.as_ref(), serde_json::to_string(&read).unwrap().as_str()), (None, group));
    let action = r#"{"do":"add_member","group_class":"group","group":"staff","privileged":true}"#;
    let read: Action = serde_json::from_str(action).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), action);
    let chunk = r#"{"plan":"00000000-0000-0000-0000-000000000001","number":0,"planned":[],"steps":[],"skips":[],
        "waiting":[["00000000-0000-0000-0000-000000000002",{"target":"app","class":"user","tag":"main",
        "attribute":"manager","to":"00000000-0000-0000-0000-000000000003","identity_version":1,"derivation":
        {"mapping":null,"strength":null}}]],"offboarding":false}"#;
    let read: PlanChunk = serde_json::from_str(chunk).unwrap();
    assert_eq!(read.waiting[0].1.member, None);
    let written = serde_json::to_string(&read.waiting[0].1).unwrap();
    assert!(!written.contains("member"), "{written}");
}
