//! Decisions on disputes.

use provision_core::ErrorKind;
use provision_core::engine::Decision;
use provision_core::id::IdentityId;
use provision_core::memory::{Fault, FaultRule, Faults, Operation};
use provision_core::model::{Actor, Dispute, DisputeAbout, LinkState};
use provision_core::value::Attributes;

use crate::realm::{Realm, id};

async fn disputed(realm: &Realm, candidate: IdentityId) -> (String, String) {
    let user = Attributes::new()
        .with("cn", "Jane Doe")
        .with("dn", "CN=Old Jane,DC=example")
        .with("sAMAccountName", "jdoe")
        .with("department", "Sales");
    let object = realm.directory.seed("user", [(user, Some(true))]).unwrap().remove(0).id;
    let about = DisputeAbout::Match {
        target: "directory".into(),
        class: "user".into(),
        object: object.clone(),
        candidates: vec![candidate],
    };
    let key = Dispute::row_key(&about);
    let at = "2026-03-01T00:00:00Z".parse().unwrap();
    realm.put(&Dispute::new(realm.name(), about, "matched by name only", at)).await;
    (key, object)
}

#[tokio::test]
async fn a_linked_object_is_kept_right_from_then_on() {
    let realm = Realm::enforced().await;
    let jane = realm.hire(1, "1042", "Jane Doe", "Finance").await;
    let (key, object) = disputed(&realm, jane).await;
    assert_eq!(realm.run().await.done, 0, "nothing is created while the dispute is open");
    let ann = Actor::person("ann");
    let decision = Decision::Link { identity: jane };
    let dispute = realm.engine.decide(&ann, &key, decision.clone()).await.unwrap();
    assert!(!dispute.open && realm.engine.disputes().await.unwrap().is_empty());
    assert_eq!(realm.engine.decide(&ann, &key, decision).await.unwrap_err().kind(), ErrorKind::Conflict);
    realm.run().await;
    let link = realm.link(jane, "directory").await.unwrap();
    assert_eq!((link.state, link.key.unwrap().id), (LinkState::Active, object));
    let users = realm.users();
    assert_eq!((users.len(), users[0].attributes.text("department")), (1, Some("Finance")));
    let events: Vec<String> =
        realm.engine.history(jane).await.unwrap().into_iter().map(|entry| entry.event).collect();
    assert!(events.contains(&"dispute.decided".to_owned()), "{events:?}");
}

#[tokio::test]
async fn an_object_that_is_somebody_elses_leaves_room_for_an_account() {
    let realm = Realm::enforced().await;
    let jane = realm.hire(1, "1042", "Jane Doe", "IT").await;
    let (key, object) = disputed(&realm, jane).await;
    let ann = Actor::person("ann");
    let unfit = realm.engine.decide(&ann, &key, Decision::CreateAgain).await.unwrap_err();
    assert_eq!(unfit.kind(), ErrorKind::Unsupported);
    let nobody = realm.engine.decide(&ann, &key, Decision::Link { identity: id(9) }).await.unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::NotFound);
    realm.engine.decide(&ann, &key, Decision::NotTheSame).await.unwrap();
    realm.run().await;
    let link = realm.link(jane, "directory").await.unwrap();
    assert_ne!(link.key.unwrap().id, object);
    assert_eq!(realm.users().len(), 2);
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_waits_for_a_person() {
    // No marker: nothing identifies the object of a lost create.
    let realm = Realm::with(provision_core::plan::Drive::Enforce, |settings| {
        settings.classes.values_mut().for_each(|class| class.marker = None);
    })
    .await;
    let jane = realm.hire(1, "1042", "Jane Doe", "IT").await;
    realm.directory.set_faults(Faults {
        seed: 1,
        rules: vec![FaultRule::at(Operation::Create, [1], Fault::LoseResponse)],
    });
    assert_eq!(realm.run().await.disputed, 1);
    realm.touch().await;
    assert_eq!(realm.run().await.done, 0, "nothing is sent while nobody has decided");
    let dispute = realm.engine.disputes().await.unwrap().remove(0);
    let key = Dispute::row_key(&dispute.about);
    let object = realm.users()[0].key.id.clone();
    let decision = Decision::LinkTo { identity: jane, object: object.clone() };
    realm.engine.decide(&Actor::person("ann"), &key, decision).await.unwrap();
    realm.run().await;
    assert_eq!(realm.link(jane, "directory").await.unwrap().key.unwrap().id, object);
    assert_eq!((realm.users().len(), realm.directory.called(Operation::Create)), (1, 1));
}

#[tokio::test]
async fn a_record_is_given_to_anybody_or_made_a_new_identity() {
    let realm = Realm::enforced().await;
    let jane = realm.hire(1, "1042", "Jane Doe", "IT").await;
    let ann = Actor::person("ann");
    for (key, decision, kept) in [
        // Not among the candidates: a person may know better.
        ("a", Decision::Link { identity: jane }, jane.to_string()),
        ("b", Decision::NotTheSame, "new".to_owned()),
        ("c", Decision::Accept, "accepted".to_owned()),
    ] {
        let about = DisputeAbout::Correlation {
            source: "badges".into(),
            key: key.to_owned(),
            candidates: Vec::new(),
        };
        let row = Dispute::row_key(&about);
        let at = "2026-03-01T00:00:00Z".parse().unwrap();
        realm.put(&Dispute::new(realm.name(), about, "several identities match", at)).await;
        for (wrong, kind) in [
            (Decision::Link { identity: id(9) }, ErrorKind::NotFound),
            (Decision::CreateAgain, ErrorKind::Unsupported),
        ] {
            assert_eq!(realm.engine.decide(&ann, &row, wrong).await.unwrap_err().kind(), kind);
        }
        let decided = realm.engine.decide(&ann, &row, decision).await.unwrap();
        assert_eq!((decided.open, decided.decision), (false, Some((ann.clone(), kept))));
    }
}
