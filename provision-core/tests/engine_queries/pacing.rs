//! How fast targets are called, and who hears that they want to be left alone.

use std::time::Duration;

use provision_core::engine::{RunOptions, RunUntil, Stop};
use provision_core::execute::JournalEntry;
use provision_core::memory::{Fault, FaultRule, Faults, Operation};
use provision_core::plan::{PaceSettings, TargetSettings};
use provision_core::runtime::Clock;
use provision_core::store::{Select, Store, Table};

use crate::realm::Realm;
use crate::test_time::TestTime;

fn pace(requests: u32) -> impl Fn(&mut TargetSettings) {
    move |settings| {
        settings.concurrency = 16;
        let credential = Some("shared".to_owned());
        settings.pace = Some(PaceSettings { requests, seconds: 1, burst: 1, credential });
    }
}

#[tokio::test(start_paused = true)]
async fn several_processes_together_keep_to_the_pace() {
    let clock = TestTime::new(false);
    let realm = Realm::timed(clock.clone(), pace(20)).await;
    for number in 1..=60 {
        realm.hire(number, &format!("{number:04}"), &format!("Person {number}"), "IT").await;
    }
    let mut engines = vec![realm.engine.clone()];
    for name in ["a", "b", "c"] {
        engines.push(realm.another(clock.clone(), Some(name)).await.1);
    }
    let before: u64 = realm.directory.calls().values().sum();
    let begun = clock.now();
    let options = RunOptions { workers: 2, batch: 8, ..RunOptions::default() };
    let calls = async {
        let mut seen = Vec::new();
        loop {
            clock.sleep(Duration::from_millis(100)).await;
            seen.push(realm.directory.calls().values().sum::<u64>() - before);
            let (made, took) = (*seen.last().unwrap() as f64, clock.now().since(begun).as_secs_f64());
            // Four processes have an allotment of 10 each at most beside the rate.
            assert!(made <= 20.0 * took + 40.0, "{made} calls after {took} seconds");
        }
    };
    let runs = engines.iter().map(|engine| engine.run(&realm.robot, &options));
    let runs = futures_util::future::join_all(runs);
    let reports = tokio::select! { reports = runs => reports, () = calls => Vec::new() };
    let (mut done, mut failed) = (0, 0);
    for report in reports {
        let report = report.unwrap();
        (done, failed) = (done + report.done, failed + report.failed);
    }
    assert_eq!((done, failed, realm.users().len()), (60, 0, 60));
    let made = (realm.directory.calls().values().sum::<u64>() - before) as f64;
    let took = clock.now().since(begun).as_secs_f64();
    assert!(took >= (made - 40.0) / 20.0, "{made} calls in {took} seconds");
    assert!(took <= made / 20.0 * 4.0 + 10.0, "and they get on: {made} calls in {took} seconds");
    let every = Select::KeyPrefix(String::new());
    assert_eq!(
        realm.store.count(&realm.name(), Table::Pace, &every).await.unwrap(),
        1,
        "one for the credential"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_heard_by_all_nodes_and_no_row_is_written_without_one() {
    let clock = TestTime::new(false);
    let realm = Realm::timed(clock.clone(), |_| {}).await;
    realm.hire(1, "1042", "Jane Doe", "IT").await;
    let (runtime, one) = realm.another(clock.clone(), Some("a")).await;
    let (_, two) = realm.another(clock.clone(), Some("b")).await;
    one.run(&realm.robot, &RunOptions::default()).await.unwrap();
    let every = Select::KeyPrefix(String::new());
    assert_eq!(realm.store.count(&realm.name(), Table::Pace, &every).await.unwrap(), 0);
    let limit = FaultRule::always(Operation::Create, Fault::RateLimit(Some(60_000))).at_most(1);
    realm.directory.set_faults(Faults { seed: 1, rules: vec![limit] });
    realm.hire(2, "1043", "John Roe", "IT").await;
    one.run(&realm.robot, &RunOptions::default()).await.unwrap();
    let told = clock.now();
    let seen = runtime.status().await.unwrap();
    let until = seen.realms[0].pauses["target/directory"];
    assert_eq!(until.since(told).as_secs(), 60, "{seen:?}");
    // Another node, with somebody else to hire.
    realm.hire(3, "1044", "Max Low", "IT").await;
    let stop = Stop::new();
    let options = RunOptions { until: RunUntil::Forever, stop: stop.clone(), ..RunOptions::default() };
    let calls = realm.directory.called(Operation::Create);
    let watch = async {
        clock.sleep(Duration::from_secs(58)).await;
        assert_eq!(realm.directory.called(Operation::Create), calls, "the other node waits, too");
        clock.sleep(Duration::from_secs(120)).await;
        stop.stop();
    };
    futures_util::future::join(two.run(&realm.robot, &options), watch).await.0.unwrap();
    assert_eq!(realm.users().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_lane_under_way_hears_that_its_target_was_stopped() {
    let clock = TestTime::new(false);
    let realm = Realm::timed(clock.clone(), |settings| settings.concurrency = 1).await;
    for number in 1..=3 {
        realm.hire(number, &format!("{number:04}"), &format!("Person {number}"), "Finance").await;
    }
    let delay = FaultRule::always(Operation::Create, Fault::Delay(20_000));
    realm.directory.set_faults(Faults { seed: 1, rules: vec![delay] });
    let (_, other) = realm.another(clock.clone(), None).await;
    let watch = async {
        clock.sleep(Duration::from_secs(5)).await;
        other.pause(&realm.robot, &"directory".into()).await.unwrap();
    };
    let options = RunOptions::default();
    let (report, ()) = futures_util::future::join(realm.engine.run(&realm.robot, &options), watch).await;
    assert_eq!(report.unwrap().done, 3, "what was begun is finished");
    let begun = realm.all::<JournalEntry>().await.len();
    assert_eq!(begun, 3, "no wave begins after that: the memberships are left");
    realm.directory.set_faults(Faults::default());
    other.resume(&realm.robot, &"directory".into()).await.unwrap();
    realm.run().await;
    assert_eq!(realm.all::<JournalEntry>().await.len(), 6);
}
