//! Law 9: dependencies first; a failure stops only what depends on it.

use provision_core::execute::StepState;
use provision_core::memory::{Fault, FaultRule, Faults, Operation, When};
use provision_core::model::Status;
use provision_core::plan::{OnDelete, Scope};

use crate::laws::faults::two_days;
use crate::wire::Write;
use crate::world::{Setup, World, person, settings};

/// The words of the writes that concern an object, in the order in which they were sent.
fn words(writes: &[(String, Write)], key: &str) -> Vec<&'static str> {
    let of = writes.iter().filter(|(_, write)| write.key() == Some(key));
    of.map(|(_, write)| match write {
        Write::Create { .. } => "create",
        Write::Update { .. } => "update",
        Write::Rename { .. } => "rename",
        Write::Delete { .. } => "delete",
        Write::Set { enabled: true, .. } => "enable",
        Write::Set { enabled: false, .. } => "disable",
        Write::Edge { add: true, .. } => "add",
        Write::Edge { add: false, .. } => "remove",
        Write::Password { .. } => "password",
    })
    .collect()
}

fn key_of(world: &World, number: &str) -> String {
    let users = world.directory.dump("user").unwrap();
    users.into_iter().find(|user| user.attributes.text("employeeNumber") == Some(number)).unwrap().key.id
}

#[tokio::test]
async fn law_9_order_disable_before_revoke_before_delete() {
    for (on_delete, expected) in
        [(OnDelete::Disable, vec!["disable", "remove"]), (OnDelete::Delete, vec!["remove", "delete"])]
    {
        let mut settings = settings();
        settings.classes.get_mut(&"user".into()).unwrap().on_delete = on_delete;
        let world = Setup { settings, ..Setup::default() }.build().await;
        let mut people = vec![person("1", "Jane", "Smith", "Sales"), person("2", "Al", "Kim", "Finance")];
        world.feed(&people).await;
        world.onboard().await;
        world.converge(2).await;
        let key = key_of(&world, "1");
        people[0].status = Status::Terminated;
        people.push(person("0", "New", "Comer", "Sales"));
        world.feed(&people).await;
        world.wire.take();
        world.pace.shuffled();
        let plan = world.plan(Scope::Changed).await;
        assert!(world.apply(plan.id).await.is_clean());
        let writes = world.wire.take();
        assert_eq!(words(&writes, &key), expected);
        let create = writes.iter().position(|(_, write)| matches!(write, Write::Create { .. })).unwrap();
        let last = writes.iter().rposition(|(_, write)| write.key() == Some(&key)).unwrap();
        assert!(last < create, "leavers first: {writes:?}");
    }
}

#[tokio::test]
async fn law_9_order_the_account_before_its_memberships_and_what_refers_to_it() {
    let world = World::new(1).await;
    world.onboard().await;
    world.pace.shuffled();
    for people in &two_days() {
        world.feed(people).await;
        let plan = world.plan(Scope::Changed).await;
        let steps = world.steps(&plan).await;
        assert!(world.apply(plan.id).await.is_clean());
        let done = world.audit().await;
        let place = |id: &provision_core::id::StepId| {
            let found = done.iter().position(|entry| {
                entry.plan == Some(plan.id)
                    && entry.step.as_ref() == Some(id)
                    && entry.event.ends_with(".done")
            });
            found.unwrap_or_else(|| panic!("{id} has no entry"))
        };
        for step in &steps {
            for need in &step.needs {
                assert!(place(need) < place(&step.id), "{need} before {}", step.id);
            }
            if step.action.word() == "add_member" && step.key.is_none() {
                assert!(!step.needs.is_empty(), "{} needs the create", step.id);
            }
        }
    }
}

#[tokio::test]
async fn law_9_order_a_failed_create_stops_only_what_needs_it() {
    let world = World::new(1).await;
    let mut people = vec![
        person("1", "Jane", "Smith", "Sales"),
        person("2", "Al", "Kim", "Sales"),
        person("3", "Zoë", "Doe", "Sales"),
    ];
    people[1].manager = Some("1".to_owned());
    people[2].manager = Some("2".to_owned());
    world.feed(&people).await;
    world.onboard().await;
    let rule = FaultRule {
        when: When::Value("employeeNumber".into(), "1".into()),
        ..FaultRule::always(Operation::Create, Fault::Forbid)
    };
    world.directory.set_faults(Faults { seed: 0, rules: vec![rule] });
    let plan = world.plan(Scope::Changed).await;
    let report = world.apply(plan.id).await;
    assert_eq!((report.failed, report.skipped, report.open), (1, 2, 0), "{report:?}");
    let accounts = world.accounts();
    assert_eq!(accounts.keys().collect::<Vec<_>>(), ["2", "3"]);
    assert!(accounts.values().all(|account| account.3 == 1), "the others are in their group");
    let skipped: Vec<String> = world
        .journal()
        .await
        .into_iter()
        .filter(|entry| matches!(entry.state, StepState::Skipped { .. }))
        .map(|entry| entry.step.to_string())
        .collect();
    assert!(skipped.iter().any(|step| step.contains("add_member")), "{skipped:?}");
    assert!(skipped.iter().any(|step| step.ends_with("/manager")), "{skipped:?}");
    world.directory.set_faults(Faults::default());
    world.settle_down(4).await;
    let expected = World::new(1).await;
    expected.onboard().await;
    expected.feed(&people).await;
    expected.settle_down(2).await;
    let without_login = |picture: Vec<String>| picture;
    assert_eq!(without_login(world.picture()), without_login(expected.picture()));
}
