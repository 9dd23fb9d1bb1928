//! A drive that is stopped ends within a bound, and leaves nothing that others would wait for.

use std::sync::Arc;
use std::time::Duration;

use provision_core::engine::{RunOptions, RunUntil, Stop};
use provision_core::memory::{Fault, FaultRule, Faults, Operation};
use provision_core::model::Work;
use provision_core::runtime::Clock;

use crate::realm::Realm;
use crate::test_time::TestTime;

/// Accounts take 25 seconds each, one after the other.
fn slow(realm: &Realm) {
    let delay = FaultRule::always(Operation::Create, Fault::Delay(25_000));
    realm.directory.set_faults(Faults { seed: 1, rules: vec![delay] });
}

async fn stopped_after_a_second(realm: &Realm, clock: &Arc<TestTime>, batch: u32) -> Duration {
    let stop = Stop::new();
    let options = RunOptions {
        until: RunUntil::Forever,
        stop: stop.clone(),
        drain: Duration::from_secs(30),
        batch,
        ..RunOptions::default()
    };
    let began = clock.now();
    let stopping = async {
        clock.sleep(Duration::from_secs(1)).await;
        stop.stop();
    };
    futures_util::future::join(realm.engine.run(&realm.robot, &options), stopping).await.0.unwrap();
    clock.now().since(began)
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_in_time_is_given_back_for_others() {
    let clock = TestTime::new(false);
    let realm = Realm::timed(clock.clone(), |settings| settings.concurrency = 1).await;
    for number in 1..=9 {
        realm.hire(number, &format!("{number:04}"), &format!("Person {number}"), "Finance").await;
    }
    slow(&realm);
    let took = stopped_after_a_second(&realm, &clock, 3).await;
    assert!(
        took >= Duration::from_secs(50),
        "the call that was out at the end of the time is waited for: {took:?}"
    );
    assert!(took <= Duration::from_secs(55), "and nothing after it: {took:?}");
    assert_eq!(realm.users().len(), 2);
    let left = realm.all::<Work>().await;
    assert_eq!(left.len(), 9, "two have no membership yet, the others nothing");
    let now = clock.now();
    for work in left {
        assert!(work.value.lease.is_none() && work.value.due_at <= now, "others have it at once: {work:?}");
    }
    realm.directory.set_faults(Faults::default());
    realm.run().await;
    assert_eq!(realm.users().len(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_is_gone_on_with_hears_the_stop() {
    let clock = TestTime::new(false);
    let realm = Realm::timed(clock.clone(), |settings| settings.concurrency = 1).await;
    for number in 1..=3 {
        realm.hire(number, &format!("{number:04}"), &format!("Person {number}"), "Finance").await;
    }
    let refuse = FaultRule::always(Operation::Create, Fault::Refuse);
    realm.directory.set_faults(Faults { seed: 1, rules: vec![refuse] });
    realm.run().await;
    assert_eq!(realm.engine.status().await.unwrap().steps.waiting, 3, "one plan, in escrow");
    clock.sleep(Duration::from_secs(10)).await;
    slow(&realm);
    let took = stopped_after_a_second(&realm, &clock, 64).await;
    assert!(took <= Duration::from_secs(55), "{took:?}");
    let edges = realm.all::<provision_core::execute::JournalEntry>().await.len();
    assert_eq!(edges, 3, "the memberships were not begun");
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_cannot_be_gone_on_with_here_keeps_no_other_waiting() {
    let clock = TestTime::new(false);
    let realm = Realm::timed(clock.clone(), |_| {}).await;
    let refuse = || Faults { seed: 1, rules: vec![FaultRule::always(Operation::Create, Fault::Refuse)] };
    realm.directory.set_faults(refuse());
    realm.app.set_faults(refuse());
    let jane = realm.hire(1, "1042", "Jane Doe", "IT").await;
    realm.run().await;
    let request = provision_core::engine::SubmitRequest::Grant {
        identity: jane,
        entitlement: crate::realm::app_account(),
        validity: provision_core::model::Validity { from: None, until: None },
        reference: "REQ-7".into(),
    };
    realm.engine.submit(&realm.robot, request, "k1").await.unwrap();
    clock.sleep(Duration::from_secs(1)).await;
    realm.run().await;
    assert_eq!(realm.engine.status().await.unwrap().steps.waiting, 2, "two plans, in escrow");
    // The first of them is one of a target that this process has no connector for.
    let mut directory = realm.engine.target(&"directory".into()).await.unwrap().value;
    let kind = std::mem::replace(&mut directory.settings.kind, "unknown".to_owned());
    realm.put(&directory).await;
    realm.app.set_faults(Faults::default());
    realm.directory.set_faults(Faults::default());
    clock.sleep(Duration::from_secs(60)).await;
    let ended = realm.engine.run(&realm.robot, &RunOptions::default()).await;
    assert_eq!(realm.app.dump("account").unwrap().len(), 1, "the plan of the app went on: {ended:?}");
    directory.settings.kind = kind;
    realm.put(&directory).await;
    clock.sleep(Duration::from_secs(600)).await;
    realm.run().await;
    assert_eq!(realm.users().len(), 1);
}
