//! `find`, `explain`, `history`, `status`.

use provision_core::ErrorKind;
use provision_core::engine::{ExplainOptions, Explanation, SubmitRequest, Verdict, render_history};
use provision_core::memory::{Fault, FaultRule, Faults, Operation};
use provision_core::model::{Actor, Dispute, DisputeAbout, Validity};
use provision_core::plan::Drive;
use provision_core::value::{Attributes, Slot, Value};

use crate::realm::{Realm, app_account, at, id};

#[tokio::test]
async fn find_takes_ids_keys_and_names_and_lists_candidates() {
    let realm = Realm::enforced().await;
    let jane = realm.hire(1, "1042", "Jane Doe", "Finance").await;
    realm.hire(2, "1043", "Max Roe", "IT").await;
    realm.hire(3, "1044", "Max Roe", "IT").await;
    for who in [&jane.to_string(), "hr:1042", "1042", "jane doe", "1042@EXAMPLE.org"] {
        assert_eq!(realm.engine.find(who).await.unwrap().id, jane, "{who}");
    }
    let several = realm.engine.find("max roe").await.unwrap_err();
    assert_eq!(several.kind(), ErrorKind::Conflict);
    assert!(several.message().contains("hr:1043") && several.message().contains("hr:1044"), "{several}");
    let nobody = realm.engine.find("hr:9").await.unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn explain_reads_the_same_every_time() {
    let realm = Realm::enforced().await;
    let jane = realm.hire(1, "1042", "Jane \u{202E}Doe", "Finance").await;
    realm.run().await;
    // Somebody changed the account behind our back, and the person moved.
    let mut link = realm.link(jane, "directory").await.unwrap();
    link.drift = Attributes::new().with("displayName", "Eve").with("department", "Sales");
    realm.put(&link).await;
    let mut identity = realm.identity(jane).await;
    identity.attributes.set("title", vec![Value::text("Accountant")]);
    identity.version = 2;
    realm.put_identity(identity).await;
    let options = ExplainOptions::default();
    let explanation = realm.engine.explain(jane, &options).await.unwrap();
    insta::assert_snapshot!(explanation.render());
    assert_eq!(realm.engine.explain(jane, &options).await.unwrap(), explanation);
    let text = serde_json::to_string(&explanation).unwrap();
    assert_eq!(serde_json::from_str::<Explanation>(&text).unwrap(), explanation);
}

#[tokio::test]
async fn explain_tells_what_stands_in_the_way() {
    let realm = Realm::enforced().await;
    let jane = realm.hire(1, "1042", "Jane Doe", "Finance").await;
    let desk = Actor::service("desk");
    let validity = Validity { from: None, until: Some(at("2026-06-01T00:00:00Z")) };
    let request = SubmitRequest::Grant {
        identity: jane,
        entitlement: app_account(),
        validity,
        reference: "REQ-7".into(),
    };
    realm.engine.submit(&desk, request, "k1").await.unwrap();
    realm
        .app
        .set_faults(Faults { seed: 1, rules: vec![FaultRule::always(Operation::Create, Fault::Forbid)] });
    realm.run().await;
    let about = DisputeAbout::Match {
        target: "app".into(),
        class: "account".into(),
        object: "a-1".to_owned(),
        candidates: vec![jane],
    };
    let dispute = Dispute::new(realm.name(), about, "matched by mail only", at("2026-03-02T00:00:00Z"));
    realm.put(&dispute).await;
    // No name to show: the account is refused, and the membership it has stays.
    let mut identity = realm.identity(jane).await;
    identity.version = 2;
    identity.attributes.insert("displayName", Slot::Null);
    identity.attributes.set("department", vec![Value::text("IT")]);
    realm.put_identity(identity).await;
    realm.engine.pause(&realm.robot, &"app".into()).await.unwrap();
    let explanation = realm.engine.explain(jane, &ExplainOptions::default()).await.unwrap();
    assert_eq!((explanation.open.len(), explanation.disputes.len(), explanation.grants.len()), (1, 1, 1));
    let plan = explanation.open[0].plan.to_string();
    insta::assert_snapshot!(explanation.render().replace(&plan, "PLAN"));
}

#[tokio::test]
async fn explain_writes_nothing_and_answers_for_another_day() {
    let realm = Realm::with(Drive::Observe, |_| {}).await;
    let jane = realm.hire(1, "1042", "Jane Doe", "Finance").await;
    let mut identity = realm.identity(jane).await;
    identity.employment.end = Some("2026-03-31".parse().unwrap());
    realm.put_identity(identity).await;
    let today = realm.engine.explain(jane, &ExplainOptions::default()).await.unwrap();
    let account = &today.accounts[0];
    assert_eq!(
        account.steps.iter().map(|step| step.action.as_str()).collect::<Vec<_>>(),
        ["create", "add_member"]
    );
    assert_eq!(today.lifecycle_changes_at, Some(at("2026-04-01T00:00:00Z")));
    assert_eq!(today.absences[0].target.as_str(), "app");
    let options = ExplainOptions {
        as_of: Some(at("2026-04-01T00:00:00Z")),
        target: Some("directory".into()),
        ..ExplainOptions::default()
    };
    let later = realm.engine.explain(jane, &options).await.unwrap();
    assert!(later.accounts.is_empty());
    assert_eq!(later.absences[0].why, "the person is terminated");
    assert_eq!(later.absences[0].reason, provision_core::engine::AbsenceReason::Terminated);
    assert_eq!(today.absences[0].reason, provision_core::engine::AbsenceReason::NotGiven);
    assert!(realm.users().is_empty());
    assert!(realm.all::<provision_core::plan::PlanHeader>().await.is_empty());
}

#[tokio::test]
async fn explain_hides_what_the_schema_calls_sensitive() {
    let realm = Realm::enforced().await;
    let jane = realm.hire(1, "1042", "Jane Doe", "Finance").await;
    let mut target = realm.engine.target(&"directory".into()).await.unwrap().value;
    let schema = &mut target.discovery.as_mut().unwrap().schema;
    let class = schema.classes.get_mut(&"user".into()).unwrap();
    class.attributes.get_mut("department").unwrap().sensitive = true;
    realm.put(&target).await;
    let explanation = realm.engine.explain(jane, &ExplainOptions::default()).await.unwrap();
    let value = explanation.accounts[0].values.iter().find(|value| value.attribute.as_str() == "department");
    let value = value.unwrap();
    assert!(value.sensitive && value.desired.is_none());
    assert_eq!(value.verdict, Verdict::WouldChange);
    assert!(explanation.render().contains("department = (not shown)"));
    let shown = serde_json::to_string(&explanation.accounts).unwrap();
    assert!(!shown.contains("\"Finance\""), "{shown}");
    let other = explanation.accounts[0].values.iter().find(|value| value.attribute.as_str() == "displayName");
    assert_eq!(other.unwrap().desired, Some(Slot::Values(vec![Value::text("Jane Doe")])));
}

#[tokio::test]
async fn history_tells_who_did_what_and_no_values() {
    let realm = Realm::enforced().await;
    let jane = realm.hire(1, "1042", "Jane Doe", "Finance").await;
    realm.run().await;
    let history = realm.engine.history(jane).await.unwrap();
    let events: Vec<&str> = history.iter().map(|entry| entry.event.as_str()).collect();
    assert_eq!(events, ["step.create.done", "step.add_member.done"]);
    let text = render_history(&history);
    assert_eq!(text.lines().count(), 2);
    assert!(text.contains("engine:engine  step.create.done  directory/user"), "{text}");
    assert!(text.contains("sAMAccountName") && !text.contains("Jane Doe"), "{text}");
    assert!(text.contains(&format!("into {}", realm.finance)), "{text}");
    assert!(realm.engine.history(id(99)).await.unwrap().is_empty());
}

#[tokio::test]
async fn status_counts() {
    let realm = Realm::enforced().await;
    realm.hire(1, "1042", "Jane Doe", "Finance").await;
    let before = realm.engine.status().await.unwrap();
    assert_eq!((before.identities, before.due, before.targets.len()), (1, 1, 2));
    realm.run().await;
    let status = realm.engine.status().await.unwrap();
    assert_eq!((status.due, status.holds_open, status.disputes_open), (0, 0, 0));
    let directory = status.targets.iter().find(|target| target.name.as_str() == "directory").unwrap();
    assert_eq!((directory.links, directory.links_by_state.unwrap().active), (1, 1));
    let text = status.render();
    assert!(text.contains("1 identities, 0 due, 0 waiting in all"), "{text}");
    assert!(text.contains("target directory (directory), drive enforce"), "{text}");
}
