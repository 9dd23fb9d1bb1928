//! Planning while others write: no mark is lost, nobody is planned twice, nothing waits for ever.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use provision_core::diagnostic::Diagnostic;
use provision_core::engine::{ApplyOptions, PlanOptions};
use provision_core::id::TargetName;
use provision_core::memory::{Fault, FaultRule, Faults, Operation};
use provision_core::model::{ConfiguredTarget, Quarantine, Status};
use provision_core::plan::{OnDelete, PlanHeader, PlanState, Scope};
use provision_core::policy::{Evaluation, NameAllocator, Namespace, Policy, PolicyInput, PolicyVersion};
use provision_core::runtime::{Clock, Progress};
use provision_core::schema::Schema;
use provision_core::store::Changes;
use provision_core::{ErrorKind, Retry};

use crate::world::{DIRECTORY, Setup, TestPolicy, World, generous, person};

type Hook = Box<dyn FnOnce() + Send>;

/// A policy during whose evaluation of one person something happens, once.
struct Meddling {
    inner: TestPolicy,
    key: String,
    once: Arc<Mutex<Option<Hook>>>,
}

impl fmt::Debug for Meddling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meddling").finish_non_exhaustive()
    }
}

impl Policy for Meddling {
    fn version(&self) -> PolicyVersion {
        self.inner.version()
    }

    fn namespaces(&self) -> &[Namespace] {
        self.inner.namespaces()
    }

    fn check(&self, schemas: &BTreeMap<TargetName, Schema>) -> Vec<Diagnostic> {
        self.inner.check(schemas)
    }

    fn evaluate(&self, input: &PolicyInput<'_>, names: &mut dyn NameAllocator) -> Evaluation {
        if input.identity.key == self.key {
            let hook = self.once.lock().unwrap().take();
            if let Some(hook) = hook {
                hook();
            }
        }
        self.inner.evaluate(input, names)
    }
}

/// Sets such a policy, of another version than the world's: everybody is dirty.
async fn meddle<F>(world: &Arc<World>, key: &str, what: impl FnOnce(Arc<World>) -> F + Send + 'static)
where
    F: Future<Output = ()> + 'static,
{
    let (handle, other) = (tokio::runtime::Handle::current(), world.clone());
    let hook: Hook = Box::new(move || {
        std::thread::spawn(move || handle.block_on(what(other))).join().unwrap();
    });
    let inner = TestPolicy { label: "test-2".to_owned(), ..world.policy.clone() };
    let once = Arc::new(Mutex::new(Some(hook)));
    let policy = Meddling { inner, key: key.to_owned(), once };
    world.engine.set_policy(&world.actor, Arc::new(policy)).await.unwrap();
}

async fn calm() -> World {
    let world = Setup { settings: generous(), ..Setup::default() }.build().await;
    world.onboard().await;
    world
}

async fn quarantine(world: &World, by: Duration) {
    let since = world.clock.now();
    let quarantine = Quarantine { since, reason: "it failed".into(), until: since.plus(by) };
    let target = world.engine.target(&DIRECTORY.into()).await.unwrap().value;
    let mut changes = Changes::in_realm(world.engine.realm());
    changes.put(&ConfiguredTarget { quarantine: Some(quarantine), ..target }).unwrap();
    world.store.commit(changes).await.unwrap();
}

#[tokio::test]
async fn an_identity_that_is_named_twice_is_planned_once() {
    let world = calm().await;
    world.feed(&[person("1", "Jane", "Smith", "Sales"), person("2", "Al", "Kim", "Sales")]).await;
    let who = world.identities().await;
    let plan = world.plan(Scope::Identities(vec![who["1"], who["2"], who["1"]])).await;
    assert_eq!((plan.identities, plan.steps), (2, 4));
    assert!(world.apply(plan.id).await.is_clean());
    assert_eq!(world.directory.dump("user").unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_while_the_plan_is_made_keeps_its_mark() {
    let world = Arc::new(calm().await);
    let mut jane = person("1", "Jane", "Smith", "Sales");
    world.feed(&[jane.clone()]).await;
    world.converge(4).await;
    jane.status = Status::Terminated;
    meddle(&world, "1", move |world| async move {
        world.feed(&[jane]).await;
    })
    .await;
    let plan = world.plan(Scope::Changed).await;
    let plan = if plan.is_empty() { world.plan(Scope::Changed).await } else { plan };
    assert!(world.apply(plan.id).await.is_clean());
    assert_eq!(world.accounts()["1"].1, Some(false), "the leaver is disabled");
}

#[tokio::test]
async fn work_left_undone_in_a_quarantine_comes_again_when_it_ends() {
    let world = calm().await;
    let mut jane = person("1", "Jane", "Smith", "Sales");
    world.feed(&[jane.clone()]).await;
    world.converge(4).await;
    quarantine(&world, Duration::from_secs(3_600)).await;
    jane.status = Status::Terminated;
    world.feed(&[jane]).await;
    let plan = world.plan(Scope::Changed).await;
    assert_eq!((plan.identities, plan.steps), (1, 0));
    let dirty = world.dirty().await;
    assert_eq!((dirty.len(), dirty[0].urgent), (1, true), "a leaver still");
    assert_eq!(world.plan(Scope::Changed).await.identities, 0, "not before it ends");
    world.later(Duration::from_secs(3_600));
    let plan = world.plan(Scope::Changed).await;
    assert!(plan.steps > 0 && world.apply(plan.id).await.is_clean());
    assert_eq!(world.accounts()["1"].1, Some(false));
    assert!(world.dirty().await.is_empty());
}

#[tokio::test]
async fn a_process_with_another_policy_than_the_realms_plans_nothing() {
    let world = calm().await;
    world.feed(&[person("1", "Jane", "Smith", "Sales")]).await;
    world.converge(4).await;
    let other = world.restarted().await;
    let policy =
        TestPolicy { label: "test-2".to_owned(), strength: world.policy.strength, ..world.policy.clone() };
    other.set_policy(&world.actor, Arc::new(policy)).await.unwrap();
    assert_eq!(world.dirty().await.len(), 1);
    let refused = world.engine.plan(&world.actor, Scope::Changed, PlanOptions::default()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert_ne!(refused.retry(), Retry::Never);
    assert_eq!(world.dirty().await.len(), 1, "the mark is for the new policy");
    let preview = PlanOptions { preview: true, ..PlanOptions::default() };
    world.engine.plan(&world.actor, Scope::All, preview).await.unwrap();
    assert_eq!(other.plan(&world.actor, Scope::Changed, PlanOptions::default()).await.unwrap().identities, 1);
    assert!(world.dirty().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_set_while_a_plan_is_made_stops_the_plan() {
    let world = Arc::new(calm().await);
    world.feed(&[person("1", "Jane", "Smith", "Sales")]).await;
    world.converge(4).await;
    meddle(&world, "1", |world| async move {
        let other = world.restarted().await;
        let policy = TestPolicy { label: "test-3".to_owned(), ..world.policy.clone() };
        other.set_policy(&world.actor, Arc::new(policy)).await.unwrap();
    })
    .await;
    let made = world.engine.plan(&world.actor, Scope::Changed, PlanOptions::default()).await;
    assert_eq!(made.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(world.dirty().await.len(), 1);
    let plans: Vec<PlanHeader> = world.all::<PlanHeader>().await;
    assert!(plans.iter().all(|plan| plan.policy.label != "test-2" || plan.state == PlanState::Draft));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_appears_while_its_reports_are_planned_wakes_them() {
    let world = Arc::new(calm().await);
    // The manager is in the second chunk of nobody's plan: another plan makes the account meanwhile.
    let mut people: Vec<_> = (0..257)
        .map(|n| {
            person(&format!("{n:04}"), "Jo", &format!("N{}x", char::from(b'a' + (n % 26) as u8)), "Sales")
        })
        .collect();
    people[0].manager = Some("9999".to_owned());
    people.push(person("9999", "Mary", "Boss", "Sales"));
    world.feed(&people).await;
    let who = world.identities().await;
    let boss = who["9999"];
    meddle(&world, "0256", move |world| async move {
        let plan = world.plan(Scope::Identities(vec![boss])).await;
        assert!(world.apply(plan.id).await.is_clean());
    })
    .await;
    let scope = who.values().copied().filter(|id| *id != boss).collect();
    let plan = world.plan(Scope::Identities(scope)).await;
    assert!(world.apply(plan.id).await.is_clean());
    let plan = world.plan(Scope::Changed).await;
    assert_eq!(plan.steps, 1, "the reference of the report");
    assert!(world.apply(plan.id).await.is_clean());
    assert!(world.plan(Scope::All).await.is_empty());
}

#[tokio::test]
async fn a_report_of_somebody_nobody_knows_yet_is_told_when_they_become_known() {
    let world = calm().await;
    let mut jane = person("1", "Jane", "Smith", "Sales");
    jane.manager = Some("2".to_owned());
    let al = person("3", "Al", "Kim", "Sales");
    world.feed(&[jane.clone(), al.clone()]).await;
    let plan = world.plan(Scope::Changed).await;
    assert!(world.apply(plan.id).await.is_clean());
    assert!(world.dirty().await.is_empty(), "nothing is left to do");
    let boss = person("2", "Mary", "Boss", "Sales");
    world.feed(&[jane, boss, al]).await;
    let dirty: Vec<String> = world.dirty().await.into_iter().map(|work| work.order).collect();
    assert_eq!(dirty, ["hr/1", "hr/2"], "and nobody else");
    for _ in 0..2 {
        let plan = world.plan(Scope::Changed).await;
        assert!(world.apply(plan.id).await.is_clean());
    }
    assert!(world.dirty().await.is_empty());
    assert!(world.plan(Scope::All).await.is_empty());
    let users = world.directory.dump("user").unwrap();
    let jane = users.iter().find(|user| user.attributes.text("employeeNumber") == Some("1")).unwrap();
    assert_eq!(jane.attributes.values("manager").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_told_also_when_its_manager_becomes_known_while_it_is_planned() {
    let world = Arc::new(calm().await);
    let mut jane = person("1", "Jane", "Smith", "Sales");
    jane.manager = Some("2".to_owned());
    let boss = person("2", "Mary", "Boss", "Sales");
    world.feed(&[jane.clone()]).await;
    meddle(&world, "1", move |world| async move {
        world.feed(&[jane, boss]).await;
    })
    .await;
    for _ in 0..3 {
        let plan = world.plan(Scope::Changed).await;
        world.apply(plan.id).await;
    }
    assert!(world.dirty().await.is_empty());
    assert!(world.plan(Scope::All).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_of_somebody_who_leaves_while_it_is_planned_is_not_written() {
    let world = Arc::new(calm().await);
    let mut jane = person("1", "Jane", "Smith", "Sales");
    world.feed(&[jane.clone()]).await;
    world.converge(2).await;
    let before = world.accounts();
    // The manager is new, too: her account is made by the same plan, and the reference at its end.
    let mut left = jane.clone();
    left.status = Status::Terminated;
    jane.manager = Some("2".to_owned());
    let boss = person("2", "Mary", "Boss", "Sales");
    world.feed(&[jane, boss.clone()]).await;
    meddle(&world, "2", move |world| async move {
        world.feed(&[left, boss]).await;
    })
    .await;
    let who = world.identities().await;
    let plan = world.plan(Scope::Identities(vec![who["1"], who["2"]])).await;
    let report = world.apply(plan.id).await;
    assert!(report.skipped > 0, "{report:?}");
    let users = world.directory.dump("user").unwrap();
    let jane = users.iter().find(|user| user.attributes.text("employeeNumber") == Some("1")).unwrap();
    assert!(jane.attributes.values("manager").is_empty());
    assert_eq!(world.accounts()["1"], before["1"]);
}

#[tokio::test]
async fn reports_of_somebody_who_left_rest_until_the_return() {
    let world = calm().await;
    let mut boss = person("2", "Mary", "Boss", "Sales");
    boss.status = Status::Terminated;
    let mut jane = person("1", "Jane", "Smith", "Sales");
    jane.manager = Some("2".to_owned());
    world.feed(&[jane.clone(), boss.clone()]).await;
    let plan = world.plan(Scope::Changed).await;
    assert!(world.apply(plan.id).await.is_clean());
    world.engine.resume(&world.actor, &DIRECTORY.into()).await.unwrap();
    let plan = world.plan(Scope::Changed).await;
    assert_eq!((plan.identities, plan.steps), (2, 0));
    assert!(world.dirty().await.is_empty(), "nothing is left to do");
    for status in [Status::Active, Status::Terminated, Status::Active] {
        boss.status = status;
        world.feed(&[jane.clone(), boss.clone()]).await;
        for _ in 0..3 {
            let plan = world.plan(Scope::Changed).await;
            assert!(world.apply(plan.id).await.is_clean());
        }
        assert!(world.dirty().await.is_empty());
        assert!(world.plan(Scope::All).await.is_empty(), "{status:?}");
    }
    let users = world.directory.dump("user").unwrap();
    let jane = users.iter().find(|user| user.attributes.text("employeeNumber") == Some("1")).unwrap();
    assert_eq!(jane.attributes.values("manager").len(), 1);
}

#[tokio::test]
async fn reports_of_somebody_who_is_back_before_the_account_was_taken_away_are_told() {
    let mut settings = generous();
    settings.classes.get_mut(&"user".into()).unwrap().on_delete = OnDelete::Delete;
    let world = Setup { settings, ..Setup::default() }.build().await;
    let mut boss = person("2", "Mary", "Boss", "Sales");
    world.feed(&[boss.clone()]).await;
    world.onboard().await;
    world.converge(5).await;
    // Nobody carries the offboarding out; the account will be deleted, so that a newcomer is not pointed at it.
    boss.status = Status::Terminated;
    let mut jane = person("1", "Jane", "Smith", "Sales");
    jane.manager = Some("2".to_owned());
    world.feed(&[jane.clone(), boss.clone()]).await;
    let scope = Scope::Identities(vec![world.engine.find("1").await.unwrap().id]);
    let plan = world.plan(scope).await;
    assert!(world.apply(plan.id).await.is_clean());
    boss.status = Status::Active;
    world.feed(&[jane, boss]).await;
    for _ in 0..2 {
        let plan = world.plan(Scope::Changed).await;
        assert!(world.apply(plan.id).await.is_clean());
    }
    assert!(world.plan(Scope::All).await.is_empty(), "the reference is written");
    let users = world.directory.dump("user").unwrap();
    let jane = users.iter().find(|user| user.attributes.text("employeeNumber") == Some("1")).unwrap();
    assert_eq!(jane.attributes.values("manager").len(), 1);
}

/// Rows that a plan reads when nobody is due and many have a date ahead of them.
async fn rows_read(many: usize) -> u64 {
    let world = calm().await;
    let people: Vec<_> = (0..many)
        .map(|n| {
            let mut one = person(&format!("{n:04}"), "Jo", &format!("N{n}"), "Sales");
            one.end = Some("2027-03-01".parse().unwrap());
            one
        })
        .collect();
    world.feed(&people).await;
    world.converge(3).await;
    assert_eq!(world.dirty().await.len(), many, "each waits for its date");
    let before = world.paced.counts().1;
    assert_eq!(world.plan(Scope::Changed).await.identities, 0);
    world.paced.counts().1 - before
}

#[tokio::test]
async fn who_is_not_due_is_not_read() {
    assert_eq!(rows_read(5).await, rows_read(40).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_needs_one_which_its_plan_has_not_ends_and_is_planned_again() {
    let world = Arc::new(calm().await);
    let mut boss = person("2", "Mary", "Boss", "Sales");
    let mut jane = person("1", "Jane", "Smith", "Sales");
    jane.manager = Some("2".to_owned());
    world.feed(&[jane.clone(), boss.clone()]).await;
    let who = world.identities().await;
    // The account of the manager is under way while the plan looks at her, and given up right afterwards.
    let refuse = FaultRule::always(Operation::Create, Fault::Refuse);
    world.directory.set_faults(Faults { seed: 0, rules: vec![refuse] });
    let first = world.plan(Scope::Identities(vec![who["2"]])).await;
    let open = ApplyOptions { patience: Duration::ZERO };
    let report = world.engine.apply(&world.actor, first.id, &open, &Progress::new()).await.unwrap();
    assert!(report.open > 0, "{report:?}");
    world.directory.set_faults(Faults::default());
    boss.department = "Finance".to_owned();
    let people = [jane, boss];
    meddle(&world, "1", move |world| async move {
        world.feed(&people).await;
        world.later(Duration::from_secs(600));
        assert_eq!(world.apply(first.id).await.open, 0, "the policy has changed: skipped");
    })
    .await;
    let plan = world.plan(Scope::Identities(vec![who["1"], who["2"]])).await;
    let needs = |steps: Vec<provision_core::plan::Step>| {
        let ids: Vec<_> = steps.iter().map(|step| step.id.clone()).collect();
        let needs: Vec<_> = steps.into_iter().flat_map(|step| step.needs).collect();
        needs.into_iter().filter(|need| !ids.contains(need)).count()
    };
    assert_eq!(needs(world.steps(&plan).await), 1, "a step that the plan has not");
    let report = world.apply(plan.id).await;
    assert_eq!((report.open, report.skipped), (0, 1), "{report:?}");
    assert_eq!(report.state, PlanState::Applied);
    world.converge(4).await;
    let users = world.directory.dump("user").unwrap();
    let jane = users.iter().find(|user| user.attributes.text("employeeNumber") == Some("1")).unwrap();
    assert_eq!((users.len(), jane.attributes.values("manager").len()), (2, 1));
}
