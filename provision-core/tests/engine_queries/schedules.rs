//! Schedules, and the sealing that a drive schedules itself: of all nodes one runs them.

use std::time::Duration;

use provision_core::ErrorKind;
use provision_core::audit;
use provision_core::engine::{Missed, RunOptions, RunUntil, Scheduled, Stop};
use provision_core::memory::Operation;
use provision_core::model::Actor;
use provision_core::runtime::Clock;

use crate::realm::Realm;
use crate::test_time::TestTime;

#[tokio::test(start_paused = true)]
async fn one_node_runs_what_is_due_and_another_one_when_it_is_gone() {
    let clock = TestTime::new(false);
    let realm = Realm::timed(clock.clone(), |_| {}).await;
    let reconcile = || Scheduled::Reconcile { target: "directory".into() };
    let hour = Duration::from_secs(3_600);
    let actor = Actor::engine();
    let set = |what, every| realm.engine.schedule(&realm.robot, "nightly", what, every, Missed::Once);
    assert_eq!(set(reconcile(), Duration::ZERO).await.unwrap_err().kind(), ErrorKind::ConfigInvalid);
    let unknown = Scheduled::Reconcile { target: "nowhere".into() };
    assert_eq!(set(unknown, hour).await.unwrap_err().kind(), ErrorKind::NotFound);
    set(reconcile(), hour).await.unwrap();
    let first = realm.engine.schedules().await.unwrap().remove(0);
    assert!(first.next_at > clock.now() && first.next_at.since(clock.now()) <= hour);
    let (one, _) = realm.another(clock.clone(), Some("a")).await;
    let (two, _) = realm.another(clock.clone(), Some("b")).await;
    let (stop, killed) = (Stop::new(), Stop::new());
    let drive =
        |stop: &Stop| RunOptions { until: RunUntil::Forever, stop: stop.clone(), ..RunOptions::default() };
    let (of_one, of_two) = (drive(&killed), drive(&stop));
    let listed = realm.directory.called(Operation::List);
    let listings = || realm.directory.called(Operation::List) - listed;
    let watch = async {
        clock.sleep(first.next_at.since(clock.now()) + Duration::from_secs(30)).await;
        let each = listings();
        assert!(each > 0, "it ran");
        let ran = realm.engine.schedules().await.unwrap().remove(0);
        assert_eq!((ran.next_at, ran.last_error.is_none()), (first.next_at.plus(hour), true));
        killed.stop();
        clock.sleep(hour).await;
        assert_eq!(listings(), each * 2, "once an hour, whichever node");
        let ran = realm.engine.schedules().await.unwrap().remove(0);
        assert_eq!(ran.next_at, first.next_at.plus(hour * 2));
        realm.engine.unschedule(&realm.robot, "nightly").await.unwrap();
        clock.sleep(hour * 2).await;
        assert_eq!(listings(), each * 2);
        stop.stop();
    };
    let runs = futures_util::future::join(one.run(&actor, &of_one), two.run(&actor, &of_two));
    let ((of_one, of_two), ()) = futures_util::future::join(runs, watch).await;
    assert!(of_one.is_ok() && of_two.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_drive_seals_what_came_in_a_while_together() {
    let clock = TestTime::new(false);
    let realm = Realm::timed(clock.clone(), |_| {}).await;
    let (one, _) = realm.another(clock.clone(), Some("a")).await;
    let (two, _) = realm.another(clock.clone(), Some("b")).await;
    let (stop, actor) = (Stop::new(), Actor::engine());
    let options =
        RunOptions { until: RunUntil::Forever, stop: stop.clone(), batch: 1, ..RunOptions::default() };
    let verdict = || async { audit::verify(realm.store.as_ref(), &realm.name()).await.unwrap() };
    audit::seal(realm.store.as_ref(), &realm.name()).await.unwrap();
    let before = verdict().await;
    let watch = async {
        for number in 1..=20 {
            realm.hire(number, &format!("{number:04}"), &format!("Person {number}"), "IT").await;
        }
        clock.sleep(Duration::from_secs(5)).await;
        let soon = verdict().await;
        assert!(soon.unsealed >= 20 && soon.seals == before.seals, "not with each batch: {soon:?}");
        clock.sleep(Duration::from_secs(20)).await;
        let later = verdict().await;
        assert!(later.is_whole() && later.unsealed == 0, "{later:?}");
        assert_eq!(later.seals, before.seals + 1, "all of them together, by one node");
        stop.stop();
    };
    let runs = futures_util::future::join(one.run(&actor, &options), two.run(&actor, &options));
    let ((of_one, of_two), ()) = futures_util::future::join(runs, watch).await;
    assert_eq!(of_one.unwrap().total.done + of_two.unwrap().total.done, 20);
}
