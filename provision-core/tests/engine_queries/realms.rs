//! The drive of all realms of a store.

use std::sync::Arc;
use std::time::Duration;

use provision_core::engine::{RealmsReport, RunOptions, RunUntil, Stop};
use provision_core::execute::JournalEntry;
use provision_core::memory::{Fault, FaultRule, Faults, Operation};
use provision_core::model::{Actor, Work};
use provision_core::plan::{Budget, BudgetKind, Budgets, Drive, TargetSettings};
use provision_core::runtime::{Clock, FixedClock, Runtime};

use crate::realm::{Realm, at, id};
use crate::test_time::TestTime;

/// Nothing is found by looking again: what happens sooner was woken.
const NEVER: Duration = Duration::from_secs(365 * 86_400);

async fn still(names: &[&str]) -> (Runtime, Vec<Realm>) {
    let clock = Arc::new(FixedClock::at(at("2026-03-02T09:00:00Z")));
    Realm::several(names, clock.clone(), clock, Drive::Enforce, |_| {}).await
}

async fn timed(names: &[&str], change: impl Fn(&mut TargetSettings)) -> (Runtime, Vec<Realm>, Arc<TestTime>) {
    let clock = TestTime::new(false);
    let still = Arc::new(FixedClock::at(at("2026-03-02T09:00:00Z")));
    let (runtime, realms) = Realm::several(names, still, clock.clone(), Drive::Enforce, change).await;
    (runtime, realms, clock)
}

fn forever(stop: &Stop) -> RunOptions {
    RunOptions { until: RunUntil::Forever, stop: stop.clone(), poll: NEVER, ..RunOptions::default() }
}

/// Drives until what is waited for has happened.
async fn while_driven(
    runtime: &Runtime,
    options: RunOptions,
    done: impl Future<Output = ()>,
) -> RealmsReport {
    let ended = async {
        done.await;
        options.stop.stop();
    };
    let actor = Actor::engine();
    let (report, ()) = futures_util::future::join(runtime.run(&actor, &options), ended).await;
    report.unwrap()
}

/// Every call takes a moment, so that others get on.
fn slowly(realm: &Realm, millis: u64) {
    let rules = vec![FaultRule::always(Operation::Create, Fault::Delay(millis))];
    realm.directory.set_faults(Faults { seed: 1, rules });
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

async fn seconds(clock: &TestTime, seconds: u64) {
    clock.sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test]
async fn a_busy_realm_delays_another_by_no_more_than_its_share() {
    let (runtime, realms) = still(&["busy", "small"]).await;
    let [busy, small] = &realms[..] else { panic!() };
    busy.hire_many(400).await;
    small.hire_many(10).await;
    slowly(busy, 1);
    slowly(small, 1);
    let options = RunOptions { batch: 20, ..forever(&Stop::new()) };
    let report = while_driven(&runtime, options, until(|| small.users().len() == 10)).await;
    assert!(busy.users().len() <= 40, "one batch before, one begun after: {}", busy.users().len());
    assert!(report.turns <= 3, "{report:?}");
    let idle = RunOptions { workers: 4, batch: 20, ..RunOptions::default() };
    let report = runtime.run(&Actor::engine(), &idle).await.unwrap();
    assert_eq!((report.total.failed, report.total.lost, report.problems.len()), (0, 0, 0));
    assert_eq!(busy.users().len(), 400);
    assert!(busy.all::<Work>().await.is_empty() && small.all::<Work>().await.is_empty());
    let again = runtime.run(&Actor::engine(), &idle).await.unwrap();
    assert_eq!((again.turns, again.total.claimed), (0, 0));
}

#[tokio::test]
async fn leavers_of_another_realm_go_first() {
    let (runtime, realms) = still(&["a-busy", "b"]).await;
    let [busy, other] = &realms[..] else { panic!() };
    let jane = other.hire(1, "1042", "Jane Doe", "IT").await;
    other.run().await;
    busy.hire_many(60).await;
    slowly(busy, 1);
    let mut identity = other.identity(jane).await;
    identity.version += 1;
    identity.employment.end = Some("2026-03-01".parse().unwrap());
    other.put_identity(identity).await;
    let options = RunOptions { batch: 10, ..forever(&Stop::new()) };
    while_driven(&runtime, options, until(|| other.users()[0].enabled == Some(false))).await;
    assert!(busy.users().len() <= 10, "at most the batch begun after it: {}", busy.users().len());
}

#[tokio::test]
async fn a_realm_that_fails_hurts_no_other() {
    let (runtime, realms) = still(&["broken", "good"]).await;
    let [broken, good] = &realms[..] else { panic!() };
    broken.hire_many(3).await;
    good.hire_many(30).await;
    let mut target = broken.engine.target(&"directory".into()).await.unwrap().value;
    target.settings.kind = "unknown".to_owned();
    broken.put(&target).await;
    // A realm of another process: it has no policy here.
    let elsewhere = Runtime::builder(runtime.store().clone(), Default::default()).build().realm("elsewhere");
    let mut stranger = good.person(77, "77", "Somebody", "IT");
    stranger.realm = "elsewhere".into();
    let mut changes = provision_core::store::Changes::in_realm(elsewhere.realm());
    changes.put(&stranger).unwrap();
    let work = Work::marked(None, &stranger, false, at("2026-03-02T08:00:00Z"));
    changes.put(&work).unwrap();
    runtime.store().commit(changes).await.unwrap();
    let report =
        runtime.run(&Actor::engine(), &RunOptions { batch: 4, ..RunOptions::default() }).await.unwrap();
    assert_eq!(good.users().len(), 30);
    let problems: Vec<&str> = report.problems.keys().map(|realm| realm.as_str()).collect();
    assert_eq!(problems, ["broken", "elsewhere"], "{report:?}");
    assert_eq!(report.turns, 8 + 2, "each of them was tried once");
    let left =
        runtime.store().get(elsewhere.realm(), provision_core::store::Table::Work, &[work.order]).await;
    assert_eq!(
        left.unwrap()[0].as_ref().unwrap().version,
        1,
        "nothing is claimed that cannot be planned here"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stuck_target_does_not_hold_all_workers() {
    let (runtime, realms, clock) = timed(&["a-stuck", "b"], |settings| settings.concurrency = 1).await;
    let [stuck, other] = &realms[..] else { panic!() };
    stuck.hire_many(100).await;
    slowly(stuck, 3_600_000);
    let stop = Stop::new();
    let options = RunOptions { workers: 4, batch: 5, ..forever(&stop) };
    let began = clock.now();
    let done = async {
        seconds(&clock, 1).await;
        other.hire_many(10).await;
        while other.users().len() < 10 {
            clock.sleep(Duration::from_millis(1)).await;
        }
        assert!(clock.now().since(began) < Duration::from_secs(2), "{:?}", clock.now().since(began));
    };
    while_driven(&runtime, options, done).await;
    assert_eq!(other.users().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn what_becomes_due_in_the_process_is_seen_at_once() {
    let (runtime, realms, clock) = timed(&["a", "b"], |_| {}).await;
    let options = forever(&Stop::new());
    let began = clock.now();
    let done = async {
        seconds(&clock, 100).await;
        realms[1].hire(1, "1042", "Jane Doe", "IT").await;
        seconds(&clock, 1).await;
        assert_eq!(realms[1].users().len(), 1);
    };
    let report = while_driven(&runtime, options, done).await;
    assert_eq!(report.total.done, 1);
    assert_eq!(clock.now().since(began), Duration::from_secs(101));
}

#[tokio::test(start_paused = true)]
async fn what_another_process_makes_due_is_found_by_looking() {
    let (runtime, realms, clock) = timed(&["a", "b"], |_| {}).await;
    let other = Runtime::builder(realms[1].store.clone(), Default::default()).clock(clock.clone()).build();
    let options = RunOptions { poll: Duration::from_secs(30), ..forever(&Stop::new()) };
    let done = async {
        seconds(&clock, 100).await;
        let person = realms[1].person(1, "1042", "Jane Doe", "IT");
        let mut changes = provision_core::store::Changes::in_realm(&realms[1].name());
        changes.put(&Work::marked(None, &person, false, clock.now())).unwrap();
        changes.put(&person).unwrap();
        other.store().commit(changes).await.unwrap();
        seconds(&clock, 1).await;
        assert_eq!(realms[1].users().len(), 0);
        seconds(&clock, 30).await;
        assert_eq!(realms[1].users().len(), 1);
    };
    while_driven(&runtime, options, done).await;
}

#[tokio::test(start_paused = true)]
async fn a_last_day_is_found_at_its_instant() {
    let (runtime, realms, clock) = timed(&["a", "b"], |_| {}).await;
    let realm = &realms[1];
    let jane = realm.hire(1, "1042", "Jane Doe", "IT").await;
    realm.run().await;
    let mut identity = realm.identity(jane).await;
    identity.version += 1;
    identity.employment.end = Some("2026-03-02".parse().unwrap());
    identity.next_change_at = Some(at("2026-03-03T00:00:00Z"));
    realm.put(&identity).await;
    let left = at("2026-03-03T00:00:00Z").since(clock.now()).as_secs();
    let done = async {
        seconds(&clock, left - 1).await;
        assert_eq!(realm.users()[0].enabled, Some(true));
        seconds(&clock, 2).await;
        assert_eq!(realm.users()[0].enabled, Some(false));
    };
    while_driven(&runtime, forever(&Stop::new()), done).await;
}

#[tokio::test(start_paused = true)]
async fn a_step_in_escrow_is_gone_on_with_when_it_is_due() {
    let (runtime, realms, clock) = timed(&["a"], |_| {}).await;
    let realm = &realms[0];
    realm.hire(1, "1042", "Jane Doe", "IT").await;
    let refuse = FaultRule::always(Operation::Create, Fault::Refuse);
    realm.directory.set_faults(Faults { seed: 1, rules: vec![refuse] });
    let done = async {
        seconds(&clock, 1).await;
        let waiting = realm.all::<JournalEntry>().await.remove(0).value;
        let provision_core::execute::StepState::Waiting { until } = waiting.state else {
            panic!("{waiting:?}")
        };
        realm.directory.set_faults(Faults::default());
        clock.sleep(until.since(clock.now())).await;
        clock.sleep(Duration::from_millis(5)).await;
        assert_eq!(realm.users().len(), 1, "due at {until}, now {}", clock.now());
    };
    while_driven(&runtime, forever(&Stop::new()), done).await;
}

#[tokio::test(start_paused = true)]
async fn an_approval_is_carried_out_at_once() {
    let (runtime, realms, clock) = timed(&["a", "b"], |settings| {
        settings.budgets = Budgets([(BudgetKind::Disable, Budget { always: 1, percent: 0 })].into());
    })
    .await;
    let realm = &realms[1];
    realm.hire_many(3).await;
    realm.run().await;
    for number in 1..=3 {
        let mut identity = realm.identity(id(number)).await;
        identity.version += 1;
        identity.employment.end = Some("2026-03-01".parse().unwrap());
        realm.put(&identity).await;
    }
    realm.touch().await;
    let done = async {
        seconds(&clock, 10).await;
        let hold = realm.engine.holds().await.unwrap().remove(0);
        assert!(realm.users().iter().all(|user| user.enabled == Some(true)));
        realm.engine.approve(&Actor::person("ann"), hold.id, &hold.digest).await.unwrap();
        seconds(&clock, 1).await;
        assert!(realm.users().iter().all(|user| user.enabled == Some(false)));
    };
    while_driven(&runtime, forever(&Stop::new()), done).await;
}

#[tokio::test]
async fn a_stopped_drive_finishes_what_it_claimed() {
    let (runtime, realms) = still(&["a", "b", "c"]).await;
    for realm in &realms {
        realm.hire_many(40).await;
        slowly(realm, 1);
    }
    let options = RunOptions { workers: 3, batch: 4, ..forever(&Stop::new()) };
    let some = || realms.iter().map(|realm| realm.users().len()).sum::<usize>() >= 20;
    let report = while_driven(&runtime, options, until(some)).await;
    assert!(report.total.claimed % 4 == 0 && report.total.claimed < 120, "{report:?}");
    for realm in &realms {
        assert!(realm.all::<Work>().await.iter().all(|work| work.value.lease.is_none()));
        let entries = realm.all::<JournalEntry>().await;
        assert!(entries.iter().all(|entry| entry.value.state.has_ended()));
    }
}
