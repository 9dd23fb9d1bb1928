//! Processes whose clocks are a minute off: who takes over goes by the store's clock.

use std::sync::Arc;
use std::time::Duration;

use provision_core::engine::{ApplyOptions, PlanOptions, RunOptions, RunUntil, Stop};
use provision_core::execute::JournalEntry;
use provision_core::memory::{Fault, FaultRule, Faults, Operation};
use provision_core::plan::{Scope, TargetSettings};
use provision_core::runtime::{Clock, Progress};

use crate::realm::Realm;
use crate::test_time::{Skewed, TestTime};

/// The targets of these tests have a clock of their own, by which a call of a process that is behind has less time.
fn slow_to_end(settings: &mut TargetSettings) {
    settings.timeout_seconds = 100;
}

#[tokio::test(start_paused = true)]
async fn a_process_whose_clock_is_ahead_takes_no_step_over_early() {
    let clock = TestTime::new(false);
    let realm = Realm::timed(clock.clone(), slow_to_end).await;
    realm.hire(1, "1042", "Jane Doe", "IT").await;
    let delay = FaultRule::always(Operation::Create, Fault::Delay(25_000));
    realm.directory.set_faults(Faults { seed: 1, rules: vec![delay] });
    let (_, behind) = realm.another(Arc::new(Skewed(clock.clone(), -60)), None).await;
    let (_, ahead) = realm.another(Arc::new(Skewed(clock.clone(), 60)), None).await;
    let plan = behind.plan(&realm.robot, Scope::All, PlanOptions::default()).await.unwrap();
    let options = ApplyOptions { patience: Duration::ZERO };
    let progress = Progress::new();
    let first = behind.apply(&realm.robot, plan.id, &options, &progress);
    let second = async {
        for _ in 0..20 {
            clock.sleep(Duration::from_secs(1)).await;
            ahead.apply(&realm.robot, plan.id, &options, &Progress::new()).await.unwrap();
        }
    };
    let (report, ()) = futures_util::future::join(first, second).await;
    assert!(report.unwrap().is_clean());
    assert_eq!(realm.directory.called(Operation::Create), 1, "nobody sent it a second time");
    assert_eq!(realm.all::<JournalEntry>().await[0].value.attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_process_whose_clock_is_behind_does_not_spin_on_what_is_not_due() {
    let clock = TestTime::new(false);
    let realm = Realm::timed(clock.clone(), slow_to_end).await;
    realm.hire(1, "1042", "Jane Doe", "IT").await;
    let refuse = FaultRule::always(Operation::Create, Fault::Refuse);
    realm.directory.set_faults(Faults { seed: 1, rules: vec![refuse] });
    let (_, ahead) = realm.another(Arc::new(Skewed(clock.clone(), 60)), None).await;
    ahead.run(&realm.robot, &RunOptions::default()).await.unwrap();
    realm.directory.set_faults(Faults::default());
    let (_, behind) = realm.another(Arc::new(Skewed(clock.clone(), -60)), None).await;
    let stop = Stop::new();
    let options = RunOptions { until: RunUntil::Forever, stop: stop.clone(), ..RunOptions::default() };
    let stopping = async {
        clock.sleep(Duration::from_secs(300)).await;
        stop.stop();
    };
    let (report, ()) = futures_util::future::join(behind.run(&realm.robot, &options), stopping).await;
    let report = report.unwrap();
    let left = realm.all::<JournalEntry>().await;
    assert_eq!(realm.users().len(), 1, "two minutes late at most: {report:?} {left:?}");
    assert!(report.claimed <= 8, "{report:?}");
}
