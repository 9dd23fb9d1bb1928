//! Several sources: precedence, correlation, lifecycle authority.

use provision_core::model::{Dispute, DisputeAbout, Employment, Identity, Status};
use provision_core::source::{FeedRecord, SourceSettings};
use provision_core::value::Attributes;

use crate::fixture::{World, by_mail, delta, full, record, settings, tombstone};

fn hr() -> SourceSettings {
    SourceSettings { precedence: 1, ..settings("hr") }
}

/// Knows phones, finds people by mail, does not employ anybody.
fn phones() -> SourceSettings {
    SourceSettings {
        precedence: 2,
        asserts: Some(["mobile".into(), "title".into()].into()),
        asserts_lifecycle: false,
        correlate: by_mail(),
        ..settings("phones")
    }
}

fn person(key: &str, values: &[(&str, &str)]) -> FeedRecord {
    let attributes = values.iter().fold(Attributes::new(), |all, (name, value)| all.with(*name, *value));
    record(key, attributes, Employment::default())
}

#[tokio::test]
async fn each_attribute_comes_from_the_lowest_precedence_that_may_assert_it() {
    for world in World::each() {
        world.with_source(hr()).await;
        world.with_source(phones()).await;
        world.applied("hr", full("1", vec![person("1", &[("mail", "a@x"), ("title", "Dr")])])).await;
        let row = person("77", &[("mail", "A@X"), ("mobile", "555"), ("title", "Mr"), ("givenName", "No")]);
        world.applied("phones", full("1", vec![row])).await;
        assert_eq!(world.all::<Identity>().await.len(), 1);
        let one = world.identity("phones", "77").await;
        assert_eq!(one.id, world.identity("hr", "1").await.id);
        let expected = Attributes::new().with("mail", "a@x").with("title", "Dr").with("mobile", "555");
        assert_eq!(one.attributes, expected);
        let from: Vec<_> =
            one.provenance.iter().map(|(name, source)| (name.as_str(), source.as_str())).collect();
        assert_eq!(from, [("mail", "hr"), ("mobile", "phones"), ("title", "hr")]);

        // What the first no longer says, the second may.
        world.applied("hr", full("2", vec![person("1", &[("mail", "a@x")])])).await;
        let one = world.identity("hr", "1").await;
        assert_eq!(one.attributes.text("title"), Some("Mr"));

        // The source without lifecycle does not keep anybody employed.
        world.applied("hr", delta("3", vec![tombstone("1")])).await;
        assert_eq!(world.standing("hr", "1").await.as_str(), "terminated");
        assert_eq!(world.identity("hr", "1").await.attributes.text("mobile"), Some("555"));
    }
}

#[tokio::test]
async fn a_source_that_may_not_assert_lifecycle_ends_nobody() {
    for world in World::each() {
        world.with_source(hr()).await;
        world.with_source(phones()).await;
        world.applied("hr", full("1", vec![person("1", &[("mail", "a@x")])])).await;
        let mut row = person("77", &[("mail", "a@x"), ("mobile", "555")]);
        row.employment.status = Status::Terminated;
        world.applied("phones", full("1", vec![row])).await;
        assert_eq!(world.standing("hr", "1").await.as_str(), "active");
        world.applied("phones", delta("2", vec![tombstone("77")])).await;
        let one = world.identity("hr", "1").await;
        assert_eq!(
            (one.attributes.text("mobile"), world.standing("hr", "1").await.as_str()),
            (None, "active")
        );
    }
}

#[tokio::test]
async fn a_match_with_several_identities_is_a_dispute_until_somebody_decides() {
    for world in World::each() {
        world.with_source(hr()).await;
        world.with_source(phones()).await;
        let twins = vec![person("1", &[("mail", "a@x")]), person("2", &[("mail", "A@x")])];
        world.applied("hr", full("1", twins)).await;
        assert_eq!(world.all::<Identity>().await.len(), 2, "keys of one source tell its people apart");
        let rows = || vec![person("77", &[("mail", "a@x"), ("mobile", "555")])];
        world.applied("phones", full("1", rows())).await;
        assert!(world.record("phones", "77").await.is_none());
        let dispute = world.get::<Dispute>("correlation/phones/77").await.unwrap().value;
        let DisputeAbout::Correlation { candidates, .. } = &dispute.about else { panic!("{dispute:?}") };
        assert_eq!((dispute.open, candidates.len()), (true, 2));

        let second = world.identity("hr", "2").await.id;
        let stranger = "00000000-0000-7000-8000-000000000000";
        assert!(world.road().settle("correlation/phones/77", stranger).await.is_err());
        world.road().settle("correlation/phones/77", &second.to_string()).await.unwrap();
        world.applied("phones", delta("2", rows())).await;
        assert_eq!(world.identity("phones", "77").await.id, second);
    }
}

#[tokio::test]
async fn a_second_record_of_a_source_for_one_identity_is_a_dispute() {
    for world in World::each() {
        world.with_source(hr()).await;
        world.with_source(phones()).await;
        world.applied("hr", full("1", vec![person("1", &[("mail", "a@x")])])).await;
        let rows = vec![person("77", &[("mail", "a@x")]), person("78", &[("mail", "a@x")])];
        world.applied("phones", full("1", rows)).await;
        assert!(world.record("phones", "77").await.is_some());
        assert!(world.record("phones", "78").await.is_none());
        assert!(world.get::<Dispute>("correlation/phones/78").await.unwrap().value.open);
        assert_eq!(world.all::<Identity>().await.len(), 1);
    }
}

#[tokio::test]
async fn correlation_follows_changed_values_and_rules_configured_later() {
    for world in World::each() {
        world.with_source(hr()).await;
        world.applied("hr", full("1", vec![person("1", &[("mail", "old@x")])])).await;
        // The rule comes after the identity.
        world.with_source(phones()).await;
        world.applied("phones", delta("1", vec![person("70", &[("mail", "old@x")])])).await;
        assert_eq!(world.identity("phones", "70").await.id, world.identity("hr", "1").await.id);
        // The old value leads to nobody any more.
        world.applied("hr", full("2", vec![person("1", &[("mail", "new@x")])])).await;
        world.applied("phones", delta("2", vec![person("71", &[("mail", "old@x")])])).await;
        assert_ne!(world.identity("phones", "71").await.id, world.identity("hr", "1").await.id);
    }
}
