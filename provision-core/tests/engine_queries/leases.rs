//! Leases of a batch: renewed while it is worked on, lost when nobody renews them.

use std::sync::Arc;
use std::time::Duration;

use provision_core::engine::{RunOptions, RunUntil, Stop};
use provision_core::execute::JournalEntry;
use provision_core::memory::{Fault, FaultRule, Faults, Operation};
use provision_core::model::{Lease, Work};
use provision_core::runtime::Clock;

use crate::realm::Realm;
use crate::test_time::TestTime;

const LEASE: Duration = Duration::from_secs(60);

/// A realm with people to hire whose accounts take 25 seconds each, one after the other.
async fn slow(clock: Arc<TestTime>, people: u128) -> Realm {
    let realm = Realm::timed(clock, |settings| settings.concurrency = 1).await;
    for number in 1..=people {
        realm.hire(number, &format!("{number:04}"), &format!("Person {number}"), "Finance").await;
    }
    let delay = FaultRule::always(Operation::Create, Fault::Delay(25_000));
    realm.directory.set_faults(Faults { seed: 1, rules: vec![delay] });
    realm
}

fn options() -> RunOptions {
    RunOptions { lease: LEASE, ..RunOptions::default() }
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_three_leases_stays_with_its_worker() {
    let clock = TestTime::new(false);
    let realm = slow(clock.clone(), 9).await;
    let stop = Stop::new();
    let others = RunOptions { until: RunUntil::Forever, stop: stop.clone(), ..options() };
    let began = clock.now();
    let worker = async {
        let report = realm.engine.run(&realm.robot, &options()).await.unwrap();
        stop.stop();
        report
    };
    let another = async {
        // The first one has claimed them all.
        clock.sleep(Duration::from_secs(1)).await;
        realm.engine.run(&realm.robot, &others).await.unwrap()
    };
    let (report, another) = futures_util::future::join(worker, another).await;
    assert!(clock.now().since(began) > LEASE * 3, "it took longer than three leases");
    assert_eq!((report.claimed, report.done, report.lost), (9, 18, 0), "{report:?}");
    assert_eq!((another.claimed, another.done), (0, 0), "nothing was taken over: {another:?}");
    assert_eq!(realm.users().len(), 9);
    assert!(realm.all::<Work>().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_paused_worker_is_taken_over_and_refused() {
    let clock = TestTime::new(true);
    let realm = slow(clock.clone(), 4).await;
    let stop = Stop::new();
    let others = RunOptions { until: RunUntil::Forever, stop: stop.clone(), ..options() };
    let worker = async {
        let report = realm.engine.run(&realm.robot, &options()).await.unwrap();
        stop.stop();
        report
    };
    let another = async {
        clock.sleep(Duration::from_secs(1)).await;
        realm.engine.run(&realm.robot, &others).await.unwrap()
    };
    let (report, another) = futures_util::future::join(worker, another).await;
    assert_eq!(another.claimed, 4, "after the end of the lease: {another:?}");
    assert_eq!(report.lost, 4, "the late worker gives nothing back: {report:?}");
    assert_eq!(realm.users().len(), 4, "one account each");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_lost_its_claim_begins_nothing_more() {
    let clock = TestTime::new(false);
    let realm = slow(clock.clone(), 1).await;
    let options = options();
    let worker = realm.engine.run(&realm.robot, &options);
    let thief = async {
        clock.sleep(Duration::from_secs(1)).await;
        let work = realm.all::<Work>().await.remove(0).value;
        let fence = work.fence + 1;
        let lease = Some(Lease { owner: "thief".to_owned(), until: clock.now().plus(LEASE * 10), fence });
        realm.put(&Work { lease, fence, ..work }).await;
    };
    let (report, ()) = futures_util::future::join(worker, thief).await;
    let report = report.unwrap();
    assert_eq!((report.done, report.lost), (1, 1), "what was under way is finished: {report:?}");
    let steps: Vec<String> =
        realm.all::<JournalEntry>().await.iter().map(|entry| entry.value.step.as_str().to_owned()).collect();
    assert_eq!(steps.len(), 1, "no intent for the membership: {steps:?}");
    assert_eq!(realm.all::<Work>().await[0].value.lease.as_ref().unwrap().owner, "thief");
}
