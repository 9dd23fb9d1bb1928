//! Names: each given once, kept by who has it, never on a guess.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use provision_core::connector::FilterSupport;
use provision_core::diagnostic::Diagnostic;
use provision_core::engine::PlanOptions;
use provision_core::id::{PlanId, TargetName};
use provision_core::memory::MemoryConfig;
use provision_core::model::{Name, NameState, Status};
use provision_core::plan::{Action, OnDelete, PlanHeader, Scope};
use provision_core::policy::{
    Evaluation, NameAllocator, NameRequest, Namespace, Policy, PolicyInput, PolicyVersion,
};
use provision_core::runtime::Clock as _;
use provision_core::schema::Schema;
use provision_core::store::{Changes, Commit};
use provision_core::value::Attributes;

use crate::world::{Person, Setup, TestPolicy, World, person, settings};

fn smiths(many: usize) -> Vec<Person> {
    (0..many).map(|n| person(&format!("{n:02}"), "John", "Smith", "Sales")).collect()
}

/// `smithj`, `smithj2`, ... in the order of the people's keys.
fn expected(many: usize) -> Vec<String> {
    (1..=many).map(|n| if n == 1 { "smithj".to_owned() } else { format!("smithj{n}") }).collect()
}

fn logins(world: &World) -> Vec<String> {
    world.accounts().into_values().map(|account| account.0).collect()
}

#[tokio::test]
async fn fifty_john_smiths_in_one_plan_get_fifty_names_in_order() {
    let world = World::new(1).await;
    world.feed(&smiths(50)).await;
    world.onboard().await;
    let plan = world.plan(Scope::Changed).await;
    assert!(world.apply(plan.id).await.is_clean());
    assert_eq!(logins(&world), expected(50));
    assert!(world.names().await.iter().all(|name| name.state == NameState::Held));
}

#[tokio::test]
async fn two_engines_on_one_store_never_give_a_name_twice() {
    for seed in 0..12 {
        let world = Setup { seed, ..Setup::default() }.build().await;
        world.feed(&smiths(24)).await;
        world.onboard().await;
        let ids = world.identities().await;
        let half = |odd: bool| {
            let chosen = ids.iter().enumerate().filter(|(n, _)| (n % 2 == 1) == odd);
            Scope::Identities(chosen.map(|(_, (_, id))| *id).collect())
        };
        // Each for half of the people, or both for all of them.
        let (one, two) = if seed % 2 == 0 { (half(false), half(true)) } else { (Scope::All, Scope::Changed) };
        let (a, b) = (world.restarted().await, world.restarted().await);
        world.pace.shuffled();
        let (first, second) = futures_util::future::join(
            a.plan(&world.actor, one, PlanOptions::default()),
            b.plan(&world.actor, two, PlanOptions::default()),
        )
        .await;
        let (first, second) = (first.unwrap(), second.unwrap());
        let (x, y) =
            futures_util::future::join(world.apply_with(&a, first.id), world.apply_with(&b, second.id)).await;
        x.unwrap();
        y.unwrap();
        world.pace.straight();
        world.settle_down(4).await;
        let given: BTreeSet<String> = logins(&world).into_iter().collect();
        assert_eq!(given, expected(24).into_iter().collect(), "seed {seed}");
        assert_eq!(world.directory.dump("user").unwrap().len(), 24, "seed {seed}");
    }
}

/// The login that the plan gives to the only person it creates an account for.
async fn planned_login(world: &World, plan: &PlanHeader) -> String {
    let steps = world.steps(plan).await;
    let mut creates = steps.iter().filter_map(|step| match &step.action {
        Action::Create { attributes, .. } => attributes.text("sAMAccountName").map(str::to_owned),
        _ => None,
    });
    let login = creates.next().expect("a create");
    assert_eq!(creates.next(), None);
    login
}

fn foreign(login: &str) -> (Attributes, Option<bool>) {
    let dn = format!("CN={login},OU=Elsewhere,DC=test");
    let attributes = Attributes::new()
        .with("sAMAccountName", login)
        .with("cn", login)
        .with("dn", dn.as_str())
        .with("description", "not ours");
    (attributes, Some(true))
}

#[tokio::test]
async fn a_name_that_somebody_took_meanwhile_is_left_and_the_next_plan_takes_the_next() {
    for asks in [true, false] {
        // Without filters the target cannot be asked: its refusal is the answer.
        let filter = (!asks).then(FilterSupport::default);
        let config = MemoryConfig { filter, ..MemoryConfig::default() };
        let world = Setup { config, ..Setup::default() }.build().await;
        world.feed(&smiths(1)).await;
        world.onboard().await;
        let plan = world.plan(Scope::Changed).await;
        assert_eq!(planned_login(&world, &plan).await, "smithj");
        world.directory.seed("user", [foreign("SmithJ")]).unwrap();
        let report = world.apply(plan.id).await;
        assert_eq!((report.done, report.failed, report.skipped), (0, 1, 1), "{report:?}");
        let next = world.plan(Scope::Changed).await;
        assert_eq!(planned_login(&world, &next).await, "smithj2", "asks: {asks}");
        assert!(world.apply(next.id).await.is_clean());
        let theirs = world
            .directory
            .dump("user")
            .unwrap()
            .into_iter()
            .find(|user| user.attributes.text("sAMAccountName") == Some("SmithJ"));
        let theirs = theirs.unwrap().attributes;
        assert_eq!(theirs.text("dn"), Some("CN=SmithJ,OU=Elsewhere,DC=test"), "it is as it was");
        assert_eq!(theirs.len(), 4);
        assert!(world.plan(Scope::All).await.is_empty());
    }
}

#[tokio::test]
async fn a_name_on_the_target_is_seen_before_it_is_given() {
    let world = World::new(1).await;
    world.directory.seed("user", [foreign("smithj")]).unwrap();
    world.onboard().await;
    world.directory.seed("user", [foreign("SMITHJ2")]).unwrap();
    world.feed(&smiths(1)).await;
    let plan = world.plan(Scope::Changed).await;
    assert_eq!(planned_login(&world, &plan).await, "smithj3");
}

#[tokio::test]
async fn a_leavers_name_is_not_given_to_another_and_waits_for_a_rehire() {
    for on_delete in [OnDelete::Disable, OnDelete::Delete] {
        let mut settings = settings();
        settings.classes.get_mut(&"user".into()).unwrap().on_delete = on_delete.clone();
        let world = Setup { settings, ..Setup::default() }.build().await;
        let mut people = smiths(1);
        world.feed(&people).await;
        world.onboard().await;
        world.converge(2).await;
        people[0].status = Status::Terminated;
        world.feed(&people).await;
        world.converge(2).await;
        let deleted = on_delete == OnDelete::Delete;
        assert_eq!(world.accounts().len(), usize::from(!deleted));
        assert!(matches!(world.names().await[0].state, NameState::Tombstone { .. }));

        people.push(person("50", "James", "Smith", "Sales"));
        world.feed(&people).await;
        world.converge(2).await;
        assert_eq!(world.accounts()["50"].0, "smithj2");

        people[0].status = Status::Active;
        world.feed(&people).await;
        world.converge(3).await;
        assert_eq!(world.accounts()["00"].0, "smithj", "{on_delete:?}");
        assert_eq!(world.accounts().len(), 2);
        assert!(world.names().await.iter().all(|name| name.state == NameState::Held));
    }
}

#[tokio::test]
async fn the_reservation_of_a_stale_plan_passes_to_the_next() {
    let world = World::new(1).await;
    let mut people = smiths(1);
    world.feed(&people).await;
    world.onboard().await;
    let stale = world.plan(Scope::Changed).await;
    assert_eq!(planned_login(&world, &stale).await, "smithj");
    people[0].department = "Finance".to_owned();
    world.feed(&people).await;
    let report = world.apply(stale.id).await;
    assert_eq!((report.done, report.skipped), (0, 2), "the identity changed: {report:?}");
    let fresh = world.plan(Scope::Changed).await;
    assert_eq!(planned_login(&world, &fresh).await, "smithj");
    let state = world.names().await[0].state.clone();
    assert!(matches!(state, NameState::Reserved { plan, .. } if plan == fresh.id), "{state:?}");
    assert!(world.apply(fresh.id).await.is_clean());
    assert_eq!(logins(&world), ["smithj"]);
}

/// Another name for what one name is for, of a plan that was made beside the one that was applied.
async fn leave_over(world: &World, text: &str, beside: Name) -> Name {
    let until = world.clock.now().plus(Duration::from_secs(3_600));
    let state = NameState::Reserved { plan: PlanId::from_uuid(uuid::Uuid::from_u128(7)), until };
    let name = Name { name: text.to_owned(), folded: text.to_owned(), state, ..beside };
    let mut changes = Changes::in_realm(world.engine.realm());
    changes.insert(&name).unwrap();
    assert_eq!(world.store.commit(changes).await.unwrap(), Commit::Committed);
    name
}

#[tokio::test]
async fn a_name_that_a_plan_left_over_never_takes_the_place_of_the_one_in_use() {
    // Before and after it in the order of the index.
    for left_over in ["aaa", "zzz"] {
        let world = World::new(1).await;
        let mut people = smiths(1);
        world.feed(&people).await;
        world.onboard().await;
        world.converge(2).await;
        let held = world.names().await.remove(0);
        let other = leave_over(&world, left_over, held).await;
        people[0].department = "Finance".to_owned();
        people[0].family = "Smythe".to_owned();
        world.feed(&people).await;
        assert_eq!(world.converge(3).await, 1, "one round, and no other follows");
        assert_eq!(logins(&world), ["smithj"]);
        let states: BTreeMap<String, NameState> =
            world.names().await.into_iter().map(|name| (name.name, name.state)).collect();
        assert_eq!(states["smithj"], NameState::Held);
        assert_eq!(states[left_over], other.state, "it expires by itself");
    }
}

#[tokio::test]
async fn whoever_comes_back_has_the_old_name_and_not_one_that_a_plan_left_over() {
    let mut settings = settings();
    settings.classes.get_mut(&"user".into()).unwrap().on_delete = OnDelete::Delete;
    let world = Setup { settings, ..Setup::default() }.build().await;
    let mut people = smiths(1);
    world.feed(&people).await;
    world.onboard().await;
    world.converge(2).await;
    people[0].status = Status::Terminated;
    world.feed(&people).await;
    world.converge(2).await;
    assert_eq!(logins(&world), [""; 0]);
    let given_up = world.names().await.remove(0);
    leave_over(&world, "aaa", given_up).await;
    people[0].status = Status::Active;
    world.feed(&people).await;
    assert_eq!(world.converge(3).await, 1);
    assert_eq!(logins(&world), ["smithj"]);
    let names = world.names().await;
    let smithj = names.iter().find(|name| name.name == "smithj").unwrap();
    assert_eq!(smithj.state, NameState::Held);
}

#[tokio::test]
async fn an_expired_reservation_is_free_and_a_standing_one_is_not() {
    let world = World::new(1).await;
    let mut people = smiths(1);
    world.feed(&people).await;
    world.onboard().await;
    let options = PlanOptions { valid_for: Some(Duration::from_secs(3_600)), ..PlanOptions::default() };
    let first = world.engine.plan(&world.actor, Scope::Changed, options).await.unwrap();
    assert_eq!(planned_login(&world, &first).await, "smithj");
    // The person does not come after all; another John Smith does.
    people[0].status = Status::Terminated;
    people.push(person("50", "John", "Smith", "Sales"));
    world.feed(&people).await;
    let early = PlanOptions { preview: true, ..PlanOptions::default() };
    let early = world.engine.plan(&world.actor, Scope::Changed, early).await.unwrap();
    assert_eq!(planned_login(&world, &early).await, "smithj2", "reserved for an hour");
    world.later(Duration::from_secs(3_601));
    let late = world.plan(Scope::Changed).await;
    assert_eq!(planned_login(&world, &late).await, "smithj");
    assert!(world.apply(late.id).await.is_clean());
    assert!(world.apply_with(&world.engine, first.id).await.is_err(), "the first plan has expired");
    assert_eq!(world.accounts()["50"].0, "smithj");
}

#[tokio::test]
async fn a_name_that_somebody_else_took_meanwhile_does_not_keep_a_returning_person_out() {
    let mut settings = settings();
    settings.classes.get_mut(&"user".into()).unwrap().on_delete = OnDelete::Delete;
    let world = Setup { settings, ..Setup::default() }.build().await;
    let mut people = smiths(2);
    world.feed(&people).await;
    world.onboard().await;
    world.converge(2).await;
    people[1].status = Status::Terminated;
    world.feed(&people).await;
    world.converge(2).await;
    let stranger = Attributes::new()
        .with("sAMAccountName", "smithj2")
        .with("cn", "John Smith (smithj2)")
        .with("dn", "CN=stranger,DC=test");
    world.directory.seed("user", [(stranger, Some(true))]).unwrap();
    people[1].status = Status::Active;
    world.feed(&people).await;
    assert!(world.converge(4).await < 4, "it comes to an end");
    assert_eq!(world.accounts()["01"].0, "smithj3");
}

#[tokio::test]
async fn a_name_that_was_given_up_long_enough_ago_is_given_again() {
    let mut settings = settings();
    settings.classes.get_mut(&"user".into()).unwrap().on_delete = OnDelete::Delete;
    let mut policy = TestPolicy::new();
    policy.namespaces[0].reuse_after_days = Some(30);
    let world = Setup { settings, policy, ..Setup::default() }.build().await;
    let mut people = smiths(1);
    world.feed(&people).await;
    world.onboard().await;
    world.converge(2).await;
    people[0].status = Status::Terminated;
    world.feed(&people).await;
    world.converge(2).await;
    people.push(person("50", "James", "Smith", "Sales"));
    world.feed(&people).await;
    world.converge(2).await;
    assert_eq!(world.accounts()["50"].0, "smithj2", "not yet");
    world.later(Duration::from_secs(31 * 86_400));
    people.push(person("51", "Jack", "Smith", "Sales"));
    world.feed(&people).await;
    world.converge(2).await;
    assert_eq!(world.accounts()["51"].0, "smithj");
    let owner = world.names().await.into_iter().find(|name| name.name == "smithj").unwrap().owner;
    assert_eq!(owner, Some(world.identities().await["51"]));
}

/// Gives everybody an alias beside the login: the same name for something else.
#[derive(Debug)]
struct WithAlias(TestPolicy);

impl Policy for WithAlias {
    fn version(&self) -> PolicyVersion {
        PolicyVersion { label: "alias".to_owned(), hash: "alias".to_owned() }
    }

    fn namespaces(&self) -> &[Namespace] {
        self.0.namespaces()
    }

    fn check(&self, schemas: &BTreeMap<TargetName, Schema>) -> Vec<Diagnostic> {
        self.0.check(schemas)
    }

    fn evaluate(&self, input: &PolicyInput<'_>, names: &mut dyn NameAllocator) -> Evaluation {
        let evaluation = self.0.evaluate(input, names);
        let alias = NameRequest {
            namespace: "login".into(),
            scope: String::new(),
            purpose: "directory/user/main/alias".to_owned(),
            stem: "smithj".to_owned(),
        };
        names.allocate(&[alias], &mut |n| {
            Some(vec![if n == 1 { "smithj".into() } else { format!("smithj{n}") }])
        });
        evaluation
    }
}

#[tokio::test]
async fn a_name_that_somebody_has_is_not_taken_from_them_for_something_else_of_theirs() {
    let world = World::new(1).await;
    let mut people = smiths(1);
    world.feed(&people).await;
    world.onboard().await;
    world.converge(2).await;
    world.engine.set_policy(&world.actor, Arc::new(WithAlias(TestPolicy::new()))).await.unwrap();
    people[0].department = "Finance".to_owned();
    world.feed(&people).await;
    world.converge(2).await;
    let names = world.names().await;
    let [name] = &names[..] else { panic!("{names:?}") };
    assert_eq!(
        (name.purpose.as_str(), &name.state),
        ("directory/user/main/sAMAccountName", &NameState::Held)
    );
}
