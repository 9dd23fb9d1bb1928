//! `submit` and `ensure`.

use std::time::Duration;

use provision_core::engine::{EnsureOutcome, SubmitRequest};
use provision_core::memory::{Fault, FaultRule, Faults, Operation};
use provision_core::model::{Actor, Grant, LinkState, Validity};
use provision_core::plan::Drive;
use provision_core::value::Timestamp;
use provision_core::{Effect, ErrorKind};

use crate::realm::{BY_SERVICE, Realm, app_account, at};

fn grant(identity: provision_core::id::IdentityId, until: Option<Timestamp>) -> SubmitRequest {
    let validity = Validity { from: None, until };
    SubmitRequest::Grant { identity, entitlement: app_account(), validity, reference: "REQ-7".into() }
}

#[tokio::test]
async fn a_grants_end_acts_without_any_event() {
    let realm = Realm::enforced().await;
    let jane = realm.hire(1, "1042", "Jane Doe", "IT").await;
    let desk = Actor::service("desk");
    realm.engine.submit(&desk, grant(jane, Some(at("2026-03-10T00:00:00Z"))), "k1").await.unwrap();
    realm.run().await;
    assert_eq!(realm.link(jane, "app").await.unwrap().state, LinkState::Active);
    let quiet = realm.run().await;
    assert_eq!((quiet.claimed, quiet.done), (0, 0));
    realm.clock.set(at("2026-03-10T00:00:00Z"));
    let report = realm.run().await;
    assert_eq!(report.claimed, 1);
    assert_eq!(realm.link(jane, "app").await.unwrap().state, LinkState::Inactive);
    assert_eq!(realm.app.dump("account").unwrap()[0].enabled, Some(false));
    assert_eq!(realm.link(jane, "directory").await.unwrap().state, LinkState::Active);
}

#[tokio::test]
async fn submit_counts_once_per_key() {
    let realm = Realm::enforced().await;
    let jane = realm.hire(1, "1042", "Jane Doe", "IT").await;
    let desk = Actor::service("desk");
    let first = realm.engine.submit(&desk, grant(jane, None), "k1").await.unwrap();
    realm.clock.set(at("2026-03-03T00:00:00Z"));
    let again = realm.engine.submit(&desk, grant(jane, None), "k1").await.unwrap();
    assert_eq!(first, again);
    let grants = realm.all::<Grant>().await;
    assert_eq!((grants.len(), grants[0].version, grants[0].value.origins[0].kind), (1, 1, BY_SERVICE));
    let history = realm.engine.history(jane).await.unwrap();
    assert_eq!(history.iter().filter(|entry| entry.event == "grant.given").count(), 1);
    let other = realm.engine.submit(&desk, SubmitRequest::Terminate { identity: jane }, "k1").await;
    let other = other.unwrap_err();
    assert_eq!((other.kind(), other.effect()), (ErrorKind::Conflict, Effect::None));
    let same = realm.engine.submit(&desk, grant(jane, None), "k2").await.unwrap();
    assert!(first.changed && !same.changed);
}

#[tokio::test]
async fn a_grant_is_extended_and_taken_back() {
    let realm = Realm::enforced().await;
    let jane = realm.hire(1, "1042", "Jane Doe", "IT").await;
    let desk = Actor::service("desk");
    let end = at("2026-03-10T00:00:00Z");
    realm.engine.submit(&desk, grant(jane, Some(end)), "k1").await.unwrap();
    realm.run().await;
    let extend = |reference: &str| SubmitRequest::Extend {
        identity: jane,
        entitlement: app_account(),
        reference: reference.into(),
        until: Some(at("2026-06-01T00:00:00Z")),
    };
    let unknown = realm.engine.submit(&desk, extend("REQ-8"), "k2").await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    assert!(realm.engine.submit(&desk, extend("REQ-7"), "k2").await.unwrap().changed);
    realm.clock.set(end);
    realm.run().await;
    assert_eq!(realm.link(jane, "app").await.unwrap().state, LinkState::Active);
    let revoke = SubmitRequest::Revoke { identity: jane, entitlement: app_account(), reference: None };
    assert!(realm.engine.submit(&desk, revoke, "k3").await.unwrap().changed);
    assert!(realm.all::<Grant>().await.is_empty());
    realm.run().await;
    assert_eq!(realm.link(jane, "app").await.unwrap().state, LinkState::Inactive);
}

#[tokio::test]
async fn emergency_termination_acts_at_once() {
    let realm = Realm::enforced().await;
    let jane = realm.hire(1, "1042", "Jane Doe", "Finance").await;
    realm.run().await;
    let terminate = SubmitRequest::Terminate { identity: jane };
    realm.engine.submit(&Actor::person("security"), terminate, "incident-1").await.unwrap();
    realm.run().await;
    let user = &realm.users()[0];
    assert_eq!(user.enabled, Some(false));
    assert_eq!(realm.link(jane, "directory").await.unwrap().state, LinkState::Inactive);
    assert!(user.attributes.values("memberOf").is_empty());
}

#[tokio::test]
async fn ensure_twice_makes_one_account() {
    let realm = Realm::with(Drive::Review, |_| {}).await;
    let jane = realm.hire(1, "1042", "Jane Doe", "Finance").await;
    let target = "directory".into();
    // The target takes its time: the second call comes while the first one is under way.
    realm
        .directory
        .set_faults(Faults { seed: 1, rules: vec![FaultRule::always(Operation::Create, Fault::Delay(50))] });
    let ensure = || realm.engine.ensure(&realm.robot, jane, &target, Duration::from_secs(5));
    let (first, second) = futures_util::future::join(ensure(), ensure()).await;
    let third = ensure().await.unwrap();
    let key = |outcome: EnsureOutcome| match outcome {
        EnsureOutcome::Ready { key, enabled, .. } => (key, enabled),
        other => panic!("{other:?}"),
    };
    let first = key(first.unwrap());
    assert_eq!((first.1, &first), (Some(true), &key(second.unwrap())));
    assert_eq!(first, key(third));
    assert_eq!((realm.users().len(), realm.directory.called(Operation::Create)), (1, 1));
    // What other targets need has not been looked at: the identity is dirty still.
    assert_eq!(realm.engine.status().await.unwrap().due, 1);
}

#[tokio::test]
async fn ensure_says_why_not() {
    let realm = Realm::with(Drive::Observe, |_| {}).await;
    let jane = realm.hire(1, "1042", "Jane Doe", "Finance").await;
    let why = |outcome: EnsureOutcome| match outcome {
        EnsureOutcome::NotReady { why, .. } => why.join("; "),
        other => panic!("{other:?}"),
    };
    let deadline = Duration::from_secs(5);
    let directory = "directory".into();
    let observed = realm.engine.ensure(&realm.robot, jane, &directory, deadline).await.unwrap();
    assert!(why(observed).contains("observe"));
    realm.engine.set_drive(&realm.robot, &"app".into(), Drive::Review).await.unwrap();
    let unwanted = realm.engine.ensure(&realm.robot, jane, &"app".into(), deadline).await.unwrap();
    assert_eq!(why(unwanted), "the policy gives no account there");
    assert!(realm.users().is_empty());
}
