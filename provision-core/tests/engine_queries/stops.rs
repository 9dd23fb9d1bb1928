//! The drive and reviewed plans around targets that are not written to for a while.

use std::time::Duration;

use provision_core::engine::{ApplyOptions, PlanOptions, SubmitRequest};
use provision_core::memory::{Fault, FaultRule, Faults, Operation};
use provision_core::model::{Actor, LinkState, Quarantine, Validity, Work};
use provision_core::plan::{Drive, Scope};
use provision_core::runtime::{Clock, Progress};

use crate::realm::{Realm, app_account, id};

async fn grant_app(realm: &Realm, who: provision_core::id::IdentityId) {
    let request = SubmitRequest::Grant {
        identity: who,
        entitlement: app_account(),
        validity: Validity { from: None, until: None },
        reference: "REQ-7".into(),
    };
    realm.engine.submit(&Actor::service("desk"), request, "k1").await.unwrap();
}

async fn quarantine(realm: &Realm, target: &str, by: Duration) {
    let mut known = realm.engine.target(&target.into()).await.unwrap().value;
    let since = realm.clock.now();
    known.quarantine = Some(Quarantine { since, reason: "it failed".into(), until: since.plus(by) });
    realm.put(&known).await;
}

#[tokio::test]
async fn the_drive_comes_back_when_a_quarantine_ends() {
    let realm = Realm::enforced().await;
    let jane = realm.hire(1, "1042", "Jane Doe", "IT").await;
    realm.run().await;
    let mut identity = realm.identity(jane).await;
    identity.version += 1;
    identity.attributes.set("displayName", vec!["Moved".into()]);
    realm.put_identity(identity).await;
    quarantine(&realm, "directory", Duration::from_secs(3_600)).await;
    assert_eq!(realm.run().await.done, 0);
    assert_eq!(realm.run().await.claimed, 0, "not before it ends");
    realm.clock.set(realm.clock.now().plus(Duration::from_secs(3_600)));
    assert_eq!(realm.run().await.done, 1);
    assert!(realm.all::<Work>().await.is_empty());
}

#[tokio::test]
async fn a_plan_that_did_a_part_leaves_the_rest_dirty() {
    let realm = Realm::with(Drive::Review, |_| {}).await;
    let jane = realm.hire(1, "1042", "Jane Doe", "IT").await;
    grant_app(&realm, jane).await;
    quarantine(&realm, "app", Duration::from_secs(3_600)).await;
    let plan = realm.engine.plan(&realm.robot, Scope::Changed, PlanOptions::default()).await.unwrap();
    assert_eq!(plan.steps, 1);
    let apply = ApplyOptions::default();
    let report = realm.engine.apply(&realm.robot, plan.id, &apply, &Progress::new()).await.unwrap();
    assert!(report.is_clean());
    assert_eq!(realm.all::<Work>().await.len(), 1, "the app is left");
    realm.clock.set(realm.clock.now().plus(Duration::from_secs(3_600)));
    let plan = realm.engine.plan(&realm.robot, Scope::Changed, PlanOptions::default()).await.unwrap();
    let report = realm.engine.apply(&realm.robot, plan.id, &apply, &Progress::new()).await.unwrap();
    assert!(report.done == 1 && report.is_clean());
    assert_eq!(realm.link(jane, "app").await.unwrap().state, LinkState::Active);
    assert!(realm.all::<Work>().await.is_empty());
}

#[tokio::test]
async fn a_stopped_target_keeps_no_escrow_of_another() {
    let realm = Realm::enforced().await;
    let jane = realm.hire(1, "1042", "Jane Doe", "IT").await;
    grant_app(&realm, jane).await;
    let refuse = || Faults { seed: 1, rules: vec![FaultRule::always(Operation::Create, Fault::Refuse)] };
    realm.directory.set_faults(refuse());
    realm.app.set_faults(refuse());
    realm.run().await;
    assert_eq!(realm.engine.status().await.unwrap().steps.waiting, 2);
    realm.directory.set_faults(Faults::default());
    realm.engine.pause(&realm.robot, &"app".into()).await.unwrap();
    realm.clock.set(realm.clock.now().plus(Duration::from_secs(600)));
    assert_eq!(realm.run().await.done, 1);
    assert_eq!(realm.users().len(), 1);
    assert_eq!(realm.link(id(1), "directory").await.unwrap().state, LinkState::Active);
}
