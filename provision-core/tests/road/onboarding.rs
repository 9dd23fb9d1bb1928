//! Targets that already have accounts, and stores that come back from a backup.

use std::sync::Arc;

use provision_core::connector::{Edge, MembershipFacet, MembershipRequest, ObjectKey, UpdateRequest, Writer};
use provision_core::delta::{Change, Delta};
use provision_core::id::ClassName;
use provision_core::memory::{Fault, FaultRule, Faults, MemoryConnector, Operation};
use provision_core::model::{DisputeAbout, Link};
use provision_core::onboard::Situation;
use provision_core::plan::{Scope, TargetSettings};
use provision_core::policy::RefusalReason;
use provision_core::store::{SqliteOptions, SqliteStore, Store};
use provision_core::value::Attributes;

use crate::world::{DIRECTORY, Person, Setup, World, first_day, generous, group_name, person};

fn people() -> Vec<Person> {
    (0..30)
        .map(|n| {
            let mut person = person(&format!("{n:02}"), "Jo", &format!("Family{n:02}"), "Sales");
            person.mail = Some(format!("jo.{n:02}@test.example"));
            person
        })
        .collect()
}

fn existing(login: &str, number: Option<&str>, mail: Option<&str>) -> (Attributes, Option<bool>) {
    let dn = format!("CN={login},OU=Before,DC=test");
    let mut attributes = Attributes::new()
        .with("sAMAccountName", login)
        .with("cn", login)
        .with("dn", dn.as_str())
        .with("department", "Somewhere");
    if let Some(number) = number {
        attributes = attributes.with("employeeNumber", number);
    }
    if let Some(mail) = mail {
        attributes = attributes.with("mail", mail);
    }
    (attributes, Some(true))
}

fn brownfield() -> TargetSettings {
    let mut settings = generous();
    settings.protected =
        ["CN=breakglass0,OU=Before,DC=test", "cn=BREAKGLASS1,ou=before,dc=test"].map(str::to_owned).into();
    settings.privileged_groups = [group_name("Finance")].into();
    settings
}

fn with_rules(mut settings: TargetSettings, rules: serde_json::Value) -> TargetSettings {
    settings.classes.get_mut(&ClassName::from("user")).unwrap().correlate =
        serde_json::from_value(rules).unwrap();
    settings
}

/// Forty accounts: 20 with the numbers of our people; 5 with their mail only; 8 of nobody; 3 with numbers of nobody,
/// one of which has the mail of a person; 2 protected; 2 privileged, one by number and one by mail only.
async fn seed(world: &World) {
    let mut objects = Vec::new();
    objects.extend((0..20).map(|n| existing(&format!("old{n:02}"), Some(&format!("{n:02}")), None)));
    objects.extend(
        (20..25).map(|n| existing(&format!("old{n:02}"), None, Some(&format!("JO.{n:02}@Test.Example")))),
    );
    objects.extend((0..8).map(|n| existing(&format!("service{n}"), None, None)));
    objects.push(existing("gone0", Some("900"), Some("jo.25@test.example")));
    objects.extend((1..3).map(|n| existing(&format!("gone{n}"), Some(&format!("90{n}")), None)));
    objects.push(existing("breakglass0", None, None));
    objects.push(existing("breakglass1", Some("29"), None));
    world.directory.seed("user", objects).unwrap();
    let admins = world
        .directory
        .seed(
            "user",
            [existing("admin0", Some("26"), None), existing("admin1", None, Some("jo.27@test.example"))],
        )
        .unwrap();
    join(world, "Finance", &admins).await;
}

/// Makes objects members of a department's group, as somebody else would.
pub(crate) async fn join(world: &World, department: &str, members: &[ObjectKey]) {
    let groups = world.directory.dump("group").unwrap();
    let group = groups.into_iter().find(|group| group.attributes.text("cn") == Some(department)).unwrap();
    let request = MembershipRequest {
        class: "group".into(),
        group: group.key,
        member_class: "user".into(),
        edges: members.iter().map(|member| Edge { member: member.clone(), add: true }).collect(),
    };
    let facet: &dyn MembershipFacet = &world.directory;
    facet.change(&MemoryConnector::context(), request).await.unwrap();
}

/// Calls that changed something on the directory.
pub(crate) fn writes(world: &World) -> u64 {
    world.directory.calls().into_iter().filter(|(operation, _)| operation.writes()).map(|(_, n)| n).sum()
}

#[tokio::test]
async fn a_directory_with_forty_accounts_is_read_linked_and_told_without_a_write() {
    let world = Setup { settings: brownfield(), ..Setup::default() }.build().await;
    seed(&world).await;
    world.feed(&people()).await;
    let early = world.plan(Scope::All).await;
    assert!(early.is_empty());
    let skips = world.skips(early.id, early.chunks).await;
    assert_eq!(skips.len(), 30);
    assert!(skips.iter().all(|skip| skip.reason == RefusalReason::NotOnboarded));

    let (before, picture) = (writes(&world), world.picture());
    let report = world.engine.onboard(&world.actor, &DIRECTORY.into()).await.unwrap();
    assert_eq!((writes(&world), world.picture()), (before, picture), "nothing is written");
    let count = |situation| report.count(situation);
    assert_eq!(count(Situation::Linked), 21, "{:?}", report.counts);
    assert_eq!(count(Situation::Disputed), 6);
    assert_eq!(count(Situation::Unmatched), 11);
    assert_eq!(count(Situation::Protected), 2);
    assert_eq!(count(Situation::Known), 0);
    assert_eq!(report.rows.len(), 19, "what is simply linked has no row");
    assert_eq!(world.all::<Link>().await.len(), 21);
    let matches = world.open_disputes().await.into_iter().filter(
        |dispute| matches!(&dispute.about, DisputeAbout::Match { candidates, .. } if candidates.len() == 1),
    );
    assert_eq!(matches.count(), 6);

    let plan = world.plan(Scope::All).await;
    let steps = world.steps(&plan).await;
    let mut created: Vec<String> =
        steps.iter().filter(|step| step.action.word() == "create").map(|step| step.label.clone()).collect();
    created.sort();
    let of = |n: &str| created.iter().any(|label| label.contains(&format!("hr:{n} ")));
    // 25: the account with the mail has another's number. 29: the account with the number is protected.
    assert!(of("25") && of("28"), "{created:?}");
    let skips = world.skips(plan.id, plan.chunks).await;
    let disputed = skips.iter().filter(|skip| skip.reason == RefusalReason::Disputed).count();
    assert_eq!(disputed, 6, "{skips:?}");
    world.apply(plan.id).await;
    world.converge(3).await;
    let accounts = world.accounts();
    for n in (0..20).chain([25, 26, 28]) {
        assert_eq!(accounts[&format!("{n:02}")].2, "Sales", "{n}");
    }
    assert!(!accounts.contains_key("20") && !accounts.contains_key("27"), "a person decides first");
    let users = world.directory.dump("user").unwrap();
    assert_eq!(users.len(), 42, "two are new");
    let untouched = users.iter().filter(|user| user.attributes.text("department") == Some("Somewhere"));
    assert_eq!(untouched.count(), 6 + 11 + 2);

    let again = world.engine.onboard(&world.actor, &DIRECTORY.into()).await.unwrap();
    assert_eq!((again.count(Situation::Known), again.count(Situation::Linked)), (23, 0));
    assert!(world.plan(Scope::All).await.is_empty());
}

#[tokio::test]
async fn a_managed_domain_links_single_matches_by_mail_but_never_the_privileged() {
    let settings = TargetSettings { domain_managed: true, ..brownfield() };
    // The short form says nothing of who verified the addresses: it asks, here too.
    let world = Setup { settings: settings.clone(), ..Setup::default() }.build().await;
    seed(&world).await;
    world.feed(&people()).await;
    let report = world.engine.onboard(&world.actor, &DIRECTORY.into()).await.unwrap();
    assert_eq!((report.count(Situation::Linked), report.count(Situation::Disputed)), (21, 6));
    let settings = with_rules(
        settings,
        serde_json::json!({
            "rules": [{ "name": "mail", "items": [{ "attribute": "mail" }] }],
            "verifies_mail": true,
        }),
    );
    let world = Setup { settings, ..Setup::default() }.build().await;
    seed(&world).await;
    world.feed(&people()).await;
    let report = world.engine.onboard(&world.actor, &DIRECTORY.into()).await.unwrap();
    assert_eq!(report.count(Situation::Linked), 26, "{:?}", report.counts);
    assert_eq!(report.count(Situation::Disputed), 1);
    world.converge(3).await;
    assert_eq!(world.accounts()["20"].2, "Sales");
    assert_eq!(world.directory.dump("user").unwrap().len(), 42);
}

#[tokio::test]
async fn an_onboarding_that_broke_off_does_not_count() {
    let world = Setup { settings: brownfield(), ..Setup::default() }.build().await;
    seed(&world).await;
    world.feed(&people()).await;
    let rule =
        FaultRule { class: Some("user".into()), ..FaultRule::always(Operation::List, Fault::Break(30)) };
    world.directory.set_faults(Faults { seed: 0, rules: vec![rule] });
    let report = world.engine.onboard(&world.actor, &DIRECTORY.into()).await.unwrap();
    assert!(!report.completeness.is_complete());
    world.directory.set_faults(Faults::default());
    assert!(world.engine.target(&DIRECTORY.into()).await.unwrap().value.onboarded_at.is_none());
    let plan = world.plan(Scope::All).await;
    assert!(world.steps(&plan).await.iter().all(|step| step.action.word() != "create"));
    let skips = world.skips(plan.id, plan.chunks).await;
    assert!(skips.iter().any(|skip| skip.reason == RefusalReason::NotOnboarded));
}

#[tokio::test]
async fn a_restored_store_only_observes_until_it_has_been_onboarded_again() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("store.db"), folder.path().join("copy.db"));
    let clock = first_day();
    let open = || {
        let store = SqliteStore::open(&path, SqliteOptions::inline(), clock.clone()).unwrap();
        Arc::new(store) as Arc<dyn Store>
    };
    let setup = Setup { store: Some(open()), ..Setup::default() };
    let world = setup.build_at(clock.clone()).await;
    let mut people = people();
    people.truncate(6);
    world.feed(&people[..4]).await;
    world.onboard().await;
    world.converge(2).await;
    world.engine.backup(&copy).await.unwrap();
    // After the backup: two more people, a move.
    people[0].department = "Finance".to_owned();
    world.feed(&people).await;
    world.converge(3).await;
    let expected = world.picture();
    let parts = world.parts();
    drop(world);
    std::fs::copy(&copy, &path).unwrap();

    let world = parts.over(open()).await;
    world.feed(&people).await;
    let before = writes(&world);
    for scope in [Scope::Changed, Scope::All, Scope::All] {
        let plan = world.plan(scope).await;
        assert!(plan.is_empty(), "{:?}", world.steps(&plan).await);
        let skips = world.skips(plan.id, plan.chunks).await;
        assert!(skips.iter().any(|skip| skip.reason == RefusalReason::Observed), "{skips:?}");
        // It tells what is there, and knows nothing of the two that it has no links for.
        let report = world.reconcile().await;
        assert!(report.completeness.is_complete());
        assert_eq!((report.objects, report.linked), (6, 4));
    }
    assert_eq!(writes(&world), before);
    let report = world.engine.onboard(&world.actor, &DIRECTORY.into()).await.unwrap();
    assert_eq!((report.count(Situation::Linked), report.count(Situation::Known)), (2, 4));
    assert_eq!(writes(&world), before);
    world.settle_down(5).await;
    assert_eq!(world.picture(), expected, "nobody has a second account");
    assert_eq!(world.all::<Link>().await.len(), 6);
    // Written once more where the store had lost what it wrote.
    assert!(writes(&world) > before);
}

#[tokio::test]
async fn what_an_adopted_account_already_had_right_is_kept_right() {
    for (department, writes) in [(Some("Elsewhere"), 1), (None, 1), (Some("SALES"), 0)] {
        let world = World::new(1).await;
        let (mut attributes, enabled) = existing("smithj", Some("1"), None);
        attributes.set("department", vec!["Sales".into()]);
        let key = world.directory.seed("user", [(attributes, enabled)]).unwrap().remove(0);
        world.feed(&[person("1", "Jane", "Smith", "Sales")]).await;
        world.onboard().await;
        world.converge(3).await;
        let change = match department {
            Some(department) => Change::Replace(vec![department.into()]),
            None => Change::Clear,
        };
        let mut delta = Delta::new();
        delta.changes.insert("department".into(), change);
        let request = UpdateRequest { class: "user".into(), key, delta };
        Writer::update(&world.directory, &MemoryConnector::context(), request).await.unwrap();
        let report = world.reconcile().await;
        assert_eq!(report.drifted, writes, "{department:?}");
        let plan = world.plan(Scope::Changed).await;
        assert_eq!(plan.steps, writes, "{department:?}");
        world.apply(plan.id).await;
        assert_eq!(world.accounts()["1"].2.to_lowercase(), "sales");
        assert_eq!(world.reconcile().await.drifted, 0);
        assert!(world.plan(Scope::All).await.is_empty());
    }
}
