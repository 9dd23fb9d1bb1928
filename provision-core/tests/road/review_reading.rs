//! Reading a target: what is new during a reading, what a restored store does not know, and what a stop in between
//! leaves to the next process.

use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use provision_core::connector::{UpdateRequest, Writer};
use provision_core::delta::{Change, Delta};
use provision_core::engine::ApplyOptions;
use provision_core::memory::{Fault, FaultRule, Faults, MemoryConnector, Operation};
use provision_core::model::{Link, Status, Work};
use provision_core::onboard::Situation;
use provision_core::plan::{Scope, TargetSettings};
use provision_core::policy::RefusalReason;
use provision_core::runtime::{Clock, FixedClock, Progress};
use provision_core::store::{Changes, Record, SqliteOptions, SqliteStore, Store};
use provision_core::value::Attributes;

use crate::world::{DIRECTORY, Person, Setup, World, first_day, generous, person};

const HOUR: Duration = Duration::from_secs(3_600);

fn people(count: usize) -> Vec<Person> {
    (0..count).map(|n| person(&format!("{n:02}"), "Jo", &format!("Family{n:02}"), "Sales")).collect()
}

async fn world() -> World {
    Setup { settings: generous(), ..Setup::default() }.build().await
}

/// A store in a file, and a copy of it that it may be restored from.
struct StoreFile {
    folder: tempfile::TempDir,
    clock: Arc<FixedClock>,
}

impl StoreFile {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock: first_day() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self) -> Arc<dyn Store> {
        let store = SqliteStore::open(self.path("store.db"), SqliteOptions::inline(), self.clock.clone());
        Arc::new(store.unwrap())
    }

    async fn world(&self) -> World {
        let setup = Setup { store: Some(self.open()), settings: generous(), ..Setup::default() };
        setup.build_at(self.clock.clone()).await
    }

    async fn back_up(&self, world: &World) {
        world.engine.backup(&self.path("copy.db")).await.unwrap();
    }

    /// The world with the copy in the store's place.
    async fn restore(&self, world: World) -> World {
        let parts = world.parts();
        drop(world);
        std::fs::copy(self.path("copy.db"), self.path("store.db")).unwrap();
        parts.over(self.open()).await
    }
}

/// Runs a future for so many polls; `None` when it has not ended by then.
async fn polled<F: Future>(future: &mut Pin<Box<F>>, polls: u32) -> Option<F::Output> {
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

/// As a worker does that has looked at everything.
async fn work_off(world: &World) {
    let mut changes = Changes::in_realm(world.engine.realm());
    for work in world.all::<Work>().await {
        changes.delete::<Work>(work.key());
    }
    world.store.commit(changes).await.unwrap();
}

async fn set_department(world: &World, number: &str, department: &str) {
    let users = world.directory.dump("user").unwrap();
    let user = users.into_iter().find(|user| user.attributes.text("employeeNumber") == Some(number)).unwrap();
    let mut delta = Delta::new();
    delta.changes.insert("department".into(), Change::Replace(vec![department.into()]));
    let request = UpdateRequest { class: "user".into(), key: user.key, delta };
    Writer::update(&world.directory, &MemoryConnector::context(), request).await.unwrap();
}

#[tokio::test]
async fn an_account_written_while_a_listing_runs_is_neither_missing_nor_drifted() {
    let world = world().await;
    world.feed(&people(10)).await;
    world.onboard().await;
    world.converge(2).await;
    let begun = world.clock.now();
    world.later(HOUR);
    world.feed(&people(12)).await;
    world.converge(2).await;
    // The reading began an hour before those two were made, and does not hold them.
    world.clock.set(begun);
    let rule =
        FaultRule { class: Some("user".into()), ..FaultRule::always(Operation::List, Fault::HideAfter(10)) };
    world.directory.set_faults(Faults { seed: 0, rules: vec![rule] });
    let report = world.engine.reconcile(&world.actor, &DIRECTORY.into()).await.unwrap();
    assert!(report.completeness.is_complete());
    assert_eq!((report.missing, report.doubted), (0, 0));
    world.directory.set_faults(Faults::default());
    // What a page of that reading shows of them is older than what we know.
    set_department(&world, "11", "Elsewhere").await;
    let before = world.all::<Link>().await;
    let report = world.engine.reconcile(&world.actor, &DIRECTORY.into()).await.unwrap();
    assert_eq!(report.drifted, 0);
    let untouched = world.all::<Link>().await.into_iter().filter(|link| before.contains(link)).count();
    assert!(untouched >= 2, "{untouched}");
    // A later reading sees both.
    world.later(HOUR * 2);
    assert_eq!(world.reconcile().await.drifted, 1);
}

#[tokio::test]
async fn a_restored_store_links_what_was_created_since_before_it_creates() {
    let file = StoreFile::new();
    let world = file.world().await;
    world.feed(&people(4)).await;
    world.onboard().await;
    world.converge(2).await;
    file.back_up(&world).await;
    let mut later = people(6);
    later[0].department = "Finance".to_owned();
    world.feed(&later).await;
    world.converge(3).await;
    let expected = world.picture();
    let world = file.restore(world).await;
    world.feed(&people(6)).await;
    let report = world.reconcile().await;
    assert!(report.completeness.is_complete());
    assert_eq!((report.objects, report.linked), (6, 4), "it says what it saw");
    assert!(!world.engine.is_onboarded(&DIRECTORY.into()).await.unwrap());
    let plan = world.plan(Scope::All).await;
    assert!(plan.is_empty(), "{:?}", world.steps(&plan).await);
    let skips = world.skips(plan.id, plan.chunks).await;
    let stopped = skips.iter().filter(|skip| skip.reason == RefusalReason::Observed);
    assert!(stopped.clone().count() > 0, "{skips:?}");
    assert!(stopped.clone().all(|skip| skip.detail.contains("onboard the target again")), "{skips:?}");

    let report = world.engine.onboard(&world.actor, &DIRECTORY.into()).await.unwrap();
    assert_eq!((report.count(Situation::Linked), report.count(Situation::Known)), (2, 4));
    assert_eq!(world.all::<Link>().await.len(), 6);
    assert!(world.engine.is_onboarded(&DIRECTORY.into()).await.unwrap());
    let plan = world.plan(Scope::Changed).await;
    let steps = world.steps(&plan).await;
    assert!(steps.iter().all(|step| step.action.word() != "create"), "{steps:?}");
    world.apply(plan.id).await;
    // The move was lost with the store, and the feed does not say it: the account is brought back.
    assert_eq!(world.accounts()["00"].2, "Sales");
    let member = |world: &World, group: &str| {
        let groups = world.directory.dump("group").unwrap();
        let group = groups.into_iter().find(|known| known.attributes.text("cn") == Some(group)).unwrap();
        let account = world.directory.dump("user").unwrap();
        let account =
            account.iter().find(|user| user.attributes.text("employeeNumber") == Some("00")).unwrap();
        group.attributes.values("member").iter().any(|value| match value {
            provision_core::value::Value::Reference(object) => object.key == account.key.id,
            _ => false,
        })
    };
    assert!(member(&world, "Sales"), "the edge was taken away after the backup, and the copy does not know");
    world.feed(&later).await;
    world.settle_down(4).await;
    assert_eq!(world.picture(), expected);
}

#[tokio::test]
async fn a_class_that_was_never_listed_gets_no_account() {
    let none = TargetSettings { classes: Default::default(), ..generous() };
    let world = Setup { settings: none.clone(), ..Setup::default() }.build().await;
    let attributes = Attributes::new()
        .with("sAMAccountName", "before")
        .with("cn", "before")
        .with("dn", "CN=before,OU=Before,DC=test")
        .with("employeeNumber", "00");
    world.directory.seed("user", [(attributes, Some(true))]).unwrap();
    world.feed(&people(2)).await;
    world.onboard().await;
    assert!(world.engine.is_onboarded(&DIRECTORY.into()).await.unwrap());
    world.engine.put_target(&world.actor, generous()).await.unwrap();
    assert!(!world.engine.is_onboarded(&DIRECTORY.into()).await.unwrap());
    let refused = || async {
        let plan = world.plan(Scope::All).await;
        assert!(plan.is_empty(), "{:?}", world.steps(&plan).await);
        let skips = world.skips(plan.id, plan.chunks).await;
        assert!(skips.iter().all(|skip| skip.reason == RefusalReason::NotOnboarded), "{skips:?}");
        assert_eq!(skips.len(), 2);
    };
    refused().await;
    world.onboard().await;
    world.converge(3).await;
    assert_eq!(world.directory.dump("user").unwrap().len(), 2);
    // Taken out and put back: what happened there in between is not known.
    world.engine.put_target(&world.actor, none).await.unwrap();
    world.engine.put_target(&world.actor, generous()).await.unwrap();
    world.feed(&people(4)).await;
    refused().await;
}

#[tokio::test]
async fn an_account_that_was_seen_off_is_not_taken_up_by_an_onboarding() {
    let world = world().await;
    let mut people = people(3);
    world.feed(&people).await;
    world.onboard().await;
    world.converge(2).await;
    let gone = people.remove(2);
    world.feed(&people).await;
    world.converge(2).await;
    world.feed(&[people[0].clone(), people[1].clone(), gone]).await;
    let report = world.engine.onboard(&world.actor, &DIRECTORY.into()).await.unwrap();
    assert_eq!((report.count(Situation::Known), report.count(Situation::Linked)), (3, 0));
}

#[tokio::test]
async fn another_kind_of_target_is_another_target() {
    let world = world().await;
    world.feed(&people(2)).await;
    world.onboard().await;
    let other = TargetSettings { kind: "other".into(), ..generous() };
    world.engine.put_target(&world.actor, other).await.unwrap();
    let target = world.engine.target(&DIRECTORY.into()).await.unwrap().value;
    assert!(target.onboarded_at.is_none() && target.discovery.is_none());
    let plan = world.plan(Scope::All).await;
    assert!(plan.is_empty());
}

#[tokio::test]
async fn drift_seen_by_a_process_that_ended_is_not_forgotten() {
    for polls in (1..).step_by(3) {
        let world = world().await;
        world.feed(&people(3)).await;
        world.onboard().await;
        world.converge(2).await;
        set_department(&world, "01", "Elsewhere").await;
        world.later(HOUR);
        world.pace.stepwise();
        let (actor, target) = (world.actor.clone(), DIRECTORY.into());
        let mut reading = Box::pin(world.engine.reconcile(&actor, &target));
        let ended = polled(&mut reading, polls).await.is_some();
        drop(reading);
        world.pace.straight();
        world.reconcile().await;
        let plan = world.plan(Scope::Changed).await;
        assert_eq!(plan.steps, 1, "stopped after {polls}");
        if ended {
            break;
        }
    }
}

#[tokio::test]
async fn a_changed_target_is_looked_at_also_when_the_process_ended() {
    for polls in (1..).step_by(2) {
        let world = world().await;
        world.engine.pause(&world.actor, &DIRECTORY.into()).await.unwrap();
        world.onboard().await;
        world.feed(&people(3)).await;
        // Everybody was looked at while the target was paused.
        assert!(world.plan(Scope::All).await.is_empty());
        work_off(&world).await;
        world.pace.stepwise();
        let (actor, target) = (world.actor.clone(), DIRECTORY.into());
        let mut resuming = Box::pin(world.engine.resume(&actor, &target));
        let ended = polled(&mut resuming, polls).await.is_some();
        drop(resuming);
        world.pace.straight();
        let resumed = !world.engine.target(&target).await.unwrap().value.paused;
        assert!(resumed || !ended);
        let plan = world.plan(Scope::Changed).await;
        let creates = world.steps(&plan).await.iter().filter(|step| step.action.word() == "create").count();
        assert_eq!(creates, if resumed { 3 } else { 0 }, "stopped after {polls}");
        if ended {
            break;
        }
    }
}

#[tokio::test]
async fn two_onboardings_at_once_both_see_every_object() {
    for seed in 1..8 {
        let world = Setup { seed, settings: generous(), ..Setup::default() }.build().await;
        let objects = people(12).into_iter().map(|person| {
            let login = person.family.to_lowercase();
            let dn = format!("CN={login},OU=Before,DC=test");
            let attributes = Attributes::new()
                .with("sAMAccountName", login.as_str())
                .with("cn", login.as_str())
                .with("dn", dn.as_str())
                .with("employeeNumber", person.key.as_str());
            (attributes, Some(true))
        });
        world.directory.seed("user", objects).unwrap();
        world.feed(&people(12)).await;
        world.pace.shuffled();
        let target = DIRECTORY.into();
        let (one, two) = tokio::join!(
            world.engine.onboard(&world.actor, &target),
            world.engine.onboard(&world.actor, &target)
        );
        world.pace.straight();
        for report in [one.unwrap(), two.unwrap()] {
            assert!(report.completeness.is_complete());
            let taken = report.count(Situation::Linked) + report.count(Situation::Known);
            assert_eq!(taken, 12, "{seed}: {:?}", report.counts);
        }
        assert_eq!(world.engine.target(&target).await.unwrap().value.managed, 12, "{seed}");
    }
}

#[tokio::test]
async fn a_create_that_a_restored_store_believes_under_way_has_made_an_account_that_a_leaver_loses() {
    let file = StoreFile::new();
    let world = file.world().await;
    world.feed(&people(2)).await;
    world.onboard().await;
    // The first attempt is refused, as far as the copy knows; the next one makes the accounts.
    let refuse = FaultRule::always(Operation::Create, Fault::Refuse);
    world.directory.set_faults(Faults { seed: 0, rules: vec![refuse] });
    let plan = world.plan(Scope::Changed).await;
    let hasty = ApplyOptions { patience: Duration::ZERO };
    let report = world.engine.apply(&world.actor, plan.id, &hasty, &Progress::new()).await.unwrap();
    assert!(report.open > 0, "{report:?}");
    file.back_up(&world).await;
    world.directory.set_faults(Faults::default());
    assert!(world.apply(plan.id).await.is_clean());
    assert_eq!(world.accounts().len(), 2);
    let world = file.restore(world).await;
    let mut left = people(2);
    left[0].status = Status::Terminated;
    world.feed(&left).await;
    world.onboard().await;
    world.apply(plan.id).await;
    world.converge(4).await;
    let enabled: Vec<_> = world.accounts().into_values().map(|account| account.1).collect();
    assert_eq!(enabled, [Some(false), Some(true)]);
    assert_eq!(world.directory.dump("user").unwrap().len(), 2, "and nobody has two");
}

#[tokio::test]
async fn a_leaver_of_a_restored_store_who_came_back_and_left_again_is_seen_off_again() {
    let file = StoreFile::new();
    let world = file.world().await;
    let (mut there, mut left) = (people(2), people(2));
    left[0].status = Status::Terminated;
    world.feed(&there).await;
    world.onboard().await;
    world.converge(2).await;
    world.feed(&left).await;
    world.converge(2).await;
    file.back_up(&world).await;
    there[0].department = "Finance".to_owned();
    world.feed(&there).await;
    world.converge(2).await;
    assert_eq!(world.accounts()["00"].1, Some(true));
    let world = file.restore(world).await;
    world.feed(&left).await;
    // A reconcile may come first, and is not what forgets it.
    world.reconcile().await;
    world.onboard().await;
    world.converge(3).await;
    assert_eq!(world.accounts()["00"].1, Some(false));
    assert!(world.plan(Scope::All).await.is_empty());
}
