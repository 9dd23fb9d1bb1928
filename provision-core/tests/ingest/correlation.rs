//! Weighted rules: who a new record is, who it may be, and what a person decides.

use provision_core::correlate::Veto;
use provision_core::model::{Dispute, Employment, Identity};
use provision_core::source::{FeedRecord, SourceSettings};
use provision_core::store::Table;
use provision_core::value::Attributes;
use serde_json::json;

use crate::fixture::{World, delta, ended, full, record, rules, settings};

fn person(key: &str, values: &[(&str, &str)]) -> FeedRecord {
    let attributes = values.iter().fold(Attributes::new(), |all, (name, value)| all.with(*name, *value));
    record(key, attributes, Employment::default())
}

fn source(name: &str, correlate: serde_json::Value) -> SourceSettings {
    SourceSettings { correlate: rules(correlate), ..settings(name) }
}

/// Certain by the national id; a name with a birthday, or one that is nearly the same, is a question.
fn weighted() -> serde_json::Value {
    let name = json!({ "attribute": "familyName", "normalise": "letters" });
    let born = json!({ "attribute": "dateOfBirth", "normalise": "exact" });
    let like = json!({ "attribute": "familyName", "similarity": "levenshtein", "minimum": 0.5 });
    json!({ "rules": [
        { "name": "id", "items": [{ "attribute": "nationalId", "with": "pid", "normalise": "digits" }], "tier": 1 },
        { "name": "name and birthday", "items": [name, born], "weight": 0.6 },
        { "name": "like it", "items": [like, born], "weight": 0.4, "unless_matched_by": ["name and birthday"] },
    ] })
}

fn smith(id: &str) -> FeedRecord {
    person(id, &[("familyName", "Smith"), ("dateOfBirth", "2004-02-06"), ("nationalId", "040206/1328")])
}

#[tokio::test]
async fn a_definite_score_attaches_and_a_lower_one_asks() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        world.with_source(source("badges", weighted())).await;
        let other = person("2", &[("familyName", "Smyth"), ("dateOfBirth", "2004-02-06")]);
        world.applied("hr", full("1", vec![smith("1"), other])).await;
        let by_id = person("a", &[("familyName", "Jones"), ("pid", "0402061328")]);
        let asked = person("b", &[("familyName", " SMITH "), ("dateOfBirth", "2004-02-06")]);
        let nobody = person("c", &[("familyName", "Smith"), ("dateOfBirth", "1990-01-01")]);
        world.applied("badges", full("1", vec![by_id, asked, nobody])).await;
        let smith = world.identity("hr", "1").await.id;
        assert_eq!(world.identity("badges", "a").await.id, smith);
        assert_eq!(world.all::<Identity>().await.len(), 3, "c is new");
        assert!(world.record("badges", "b").await.is_none());

        let dispute = world.get::<Dispute>("correlation/badges/b").await.unwrap().value;
        assert_eq!(dispute.detail, "nobody matches with certainty");
        let shown: Vec<String> = dispute.candidates.iter().map(ToString::to_string).collect();
        // Smith has a badge already.
        assert_eq!(
            shown,
            ["0.6 by name and birthday 0.6; the source has another record of them: a", "0.2 by like it 0.2"]
        );
        assert_eq!(dispute.candidates[0].vetoes, [Veto::AlreadyAttached { key: "a".to_owned() }]);
    }
}

#[tokio::test]
async fn who_is_proved_to_be_somebody_else_is_no_question() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        let name = json!({ "rules": [{ "name": "name", "items": [{ "attribute": "familyName" }] }] });
        world.with_source(source("badges", name)).await;
        let gone = ended("2", "Ann");
        let gone = FeedRecord { attributes: gone.attributes.clone().with("familyName", "Left"), ..gone };
        world.applied("hr", full("1", vec![smith("1"), gone])).await;
        let born_later = person("a", &[("familyName", "Smith"), ("dateOfBirth", "2005-02-06")]);
        let back = person("b", &[("familyName", "Left")]);
        world.applied("badges", full("1", vec![born_later, back])).await;
        assert_ne!(world.identity("badges", "a").await.id, world.identity("hr", "1").await.id);
        let dispute = world.get::<Dispute>("correlation/badges/b").await.unwrap().value;
        assert_eq!(dispute.candidates[0].vetoes, [Veto::Left]);
        assert_eq!(dispute.detail, "whoever matches is ruled out: has left");
    }
}

#[tokio::test]
async fn two_new_records_of_one_feed_that_are_alike_are_not_two_people() {
    for world in World::each() {
        world.with_source(source("hr", weighted_by_name())).await;
        // In one batch of seven, and in the next.
        let mut day: Vec<FeedRecord> =
            (0..12).map(|n| person(&format!("p{n:02}"), &[("familyName", &format!("Name{n}"))])).collect();
        day.insert(2, person("twin1", &[("familyName", "Doe")]));
        day.insert(4, person("twin2", &[("familyName", "DOE")]));
        day.push(person("twin3", &[("familyName", "doe")]));
        world.applied("hr", full("1", day.clone())).await;
        assert_eq!(world.all::<Identity>().await.len(), 13);
        let first = world.identity("hr", "twin1").await.id;
        for key in ["twin2", "twin3"] {
            let dispute = world.get::<Dispute>(&format!("correlation/hr/{key}")).await.unwrap().value;
            assert_eq!(dispute.about.candidates(), [first]);
            assert_eq!(dispute.candidates[0].vetoes, [Veto::AlreadyAttached { key: "twin1".to_owned() }]);
        }
        // The same again asks nothing new.
        world.applied("hr", full("2", day.clone())).await;
        let opened = world.events().await.into_iter().filter(|event| event == "dispute.opened").count();
        assert_eq!(opened, 2);
        // One is somebody else, the other the same person.
        world.road().settle("correlation/hr/twin2", "new").await.unwrap();
        world.road().settle("correlation/hr/twin3", &first.to_string()).await.unwrap();
        world.applied("hr", full("3", day)).await;
        assert_eq!(world.identity("hr", "twin3").await.id, first);
        assert_ne!(world.identity("hr", "twin2").await.id, first);
    }
}

fn weighted_by_name() -> serde_json::Value {
    json!({ "rules": [{ "name": "name", "items": [{ "attribute": "familyName" }] }] })
}

#[tokio::test]
async fn a_decision_holds_as_long_as_the_record_says_the_same() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        world.with_source(source("badges", weighted())).await;
        world.applied("hr", full("1", vec![smith("1")])).await;
        let asked = |name: &str, title: &str| {
            vec![person("b", &[("familyName", name), ("dateOfBirth", "2004-02-06"), ("title", title)])]
        };
        world.applied("badges", delta("1", asked("Smith", "Dr"))).await;
        world.road().settle("correlation/badges/b", "new").await.unwrap();
        // The name is another one now: the decision was about somebody else.
        world.applied("badges", delta("2", asked("Smyth", "Dr"))).await;
        assert!(world.record("badges", "b").await.is_none());
        assert!(world.get::<Dispute>("correlation/badges/b").await.unwrap().value.open);
        world.road().settle("correlation/badges/b", "new").await.unwrap();
        // What no rule looks at may change.
        world.applied("badges", delta("3", asked("Smyth", "Mr"))).await;
        assert_ne!(world.identity("badges", "b").await.id, world.identity("hr", "1").await.id);
    }
}

#[tokio::test]
async fn mail_counts_only_where_it_was_verified() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        let item = json!({ "attribute": "mail", "with": "email", "verified_by": "email_verified" });
        let by = |unverified: &str| json!({ "rules": [{ "name": "mail", "items": [item] }], "unverified": unverified });
        world.with_source(source("login", by("ask"))).await;
        world.with_source(source("shop", by("ignore"))).await;
        let emails = json!({ "attribute": "mail", "with": "emails.value", "verified_by": "emails.verified" });
        let each = json!({ "rules": [{ "name": "mail", "items": [emails] }] });
        world.with_source(source("peer", each)).await;
        world.with_source(source("old", json!([["mail"], ["userName"]]))).await;
        let staff = ["jane", "ann", "joe"].map(|name| {
            let mail = format!("{name}@corp.example");
            person(name, &[("mail", &mail), ("userName", &mail)])
        });
        world.applied("hr", full("1", staff.to_vec())).await;
        let jane = world.identity("hr", "jane").await.id;
        let claim = |key: &str, verified: &str| {
            person(key, &[("email", "JANE@corp.example"), ("email_verified", verified)])
        };
        world.applied("login", delta("1", vec![claim("no", "false"), claim("yes", "true")])).await;
        assert_eq!(world.identity("login", "yes").await.id, jane);
        let dispute = world.get::<Dispute>("correlation/login/no").await.unwrap().value;
        assert_eq!(dispute.detail, "matches by an address that was not verified");
        assert_eq!(dispute.candidates[0].to_string(), "0 by mail 1 (address not verified: not counted)");
        world.applied("shop", delta("1", vec![claim("no", "")])).await;
        assert_ne!(world.identity("shop", "no").await.id, jane);

        let address =
            |mail: &str, verified: bool| json!({ "record": { "value": mail, "verified": verified } });
        let emails = |a: serde_json::Value, b: serde_json::Value| -> Attributes {
            serde_json::from_value(json!({ "emails": [a, b] })).unwrap()
        };
        let both = emails(address("ann@corp.example", false), address("jane@corp.example", true));
        let none = emails(address("ann@corp.example", false), address("none@corp.example", true));
        let rows =
            vec![record("both", both, Employment::default()), record("none", none, Employment::default())];
        world.applied("peer", delta("1", rows)).await;
        assert_eq!(world.identity("peer", "both").await.id, jane);
        assert!(world.get::<Dispute>("correlation/peer/none").await.unwrap().value.open);

        // The short form asks, whatever the attribute is called.
        let by_mail = person("1", &[("mail", "joe@corp.example")]);
        let by_name = person("2", &[("userName", "JOE@corp.example")]);
        world.applied("old", delta("1", vec![by_mail, by_name])).await;
        for key in ["1", "2"] {
            let dispute = world.get::<Dispute>(&format!("correlation/old/{key}")).await.unwrap().value;
            assert_eq!((dispute.about.candidates().len(), dispute.candidates[0].score.millionths()), (1, 0));
        }
    }
}

#[tokio::test]
async fn the_short_form_is_what_it_was() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        world.with_source(source("badges", json!([["nationalId"], ["givenName", "familyName"]]))).await;
        let jane = [("nationalId", "1"), ("givenName", "Jane"), ("familyName", "Doe")];
        let june = [("nationalId", "2"), ("givenName", "June"), ("familyName", "Doe")];
        let june_again = [("nationalId", "3"), ("givenName", "June"), ("familyName", "Doe")];
        world
            .applied("hr", full("1", vec![person("1", &jane), person("2", &june), person("3", &june_again)]))
            .await;
        let rows = vec![
            person("a", &[("nationalId", " 1 "), ("givenName", "June"), ("familyName", "Doe")]),
            person("b", &[("givenName", "JUNE"), ("familyName", "doe")]),
            person("c", &[("givenName", "June")]),
            // Whoever has a badge is not given another one, and nobody else gets it.
            person("d", &[("nationalId", "1"), ("givenName", "June"), ("familyName", "Doe")]),
            // Keys of one source tell its people apart.
            person("e", &[("nationalId", "9")]),
            person("f", &[("nationalId", "9")]),
        ];
        world.applied("badges", full("1", rows)).await;
        let of = async |source, key| world.identity(source, key).await.id;
        assert_eq!(of("badges", "a").await, of("hr", "1").await);
        let candidates = async |key: &str| {
            let dispute = world.get::<Dispute>(&format!("correlation/badges/{key}")).await.unwrap().value;
            dispute.about.candidates().to_vec()
        };
        let mut both = [of("hr", "2").await, of("hr", "3").await];
        both.sort();
        assert_eq!(candidates("b").await, both);
        assert_eq!(candidates("d").await, [of("hr", "1").await]);
        assert_ne!(of("badges", "e").await, of("badges", "f").await);
        assert_eq!(world.all::<Identity>().await.len(), 6);
        // The keys are those that were always there.
        let rows = world.rows(Table::IdentityKey).await;
        let id = of("hr", "1").await;
        assert!(rows.contains(&format!("nationalId=[\"1\"]|{id}")), "{rows:?}");
        let id = of("hr", "2").await;
        assert!(rows.contains(&format!("givenName,familyName=[\"june\",\"doe\"]|{id}")));
    }
}

#[tokio::test]
async fn changed_rules_find_whom_the_former_ones_did_not_and_leave_no_stale_index() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        world.with_source(source("badges", weighted_by_name())).await;
        world.applied("hr", full("1", vec![smith("1")])).await;
        world.configure(source("badges", json!([]))).await;
        // While nobody asks, nobody writes keys.
        world.applied("hr", full("2", vec![person("1", &[("familyName", "Miller")])])).await;
        world.configure(source("badges", weighted_by_name())).await;
        world.applied("badges", delta("1", vec![person("a", &[("familyName", "Miller")])])).await;
        assert_eq!(world.identity("badges", "a").await.id, world.identity("hr", "1").await.id);
        world.applied("badges", delta("2", vec![person("b", &[("familyName", "Smith")])])).await;
        assert_eq!(world.all::<Identity>().await.len(), 2, "a key that is no longer true leads to nobody");
    }
}

#[tokio::test]
async fn a_rule_that_matches_too_many_is_never_certain() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        world.with_source(source("badges", weighted_by_name())).await;
        // More than are looked at share the name, and all of those have left but one.
        let many = (0..40).map(|n| {
            let row = if n == 0 { person("p00", &[]) } else { ended(&format!("p{n:02}"), "Ann") };
            FeedRecord { attributes: row.attributes.clone().with("familyName", "Smith"), ..row }
        });
        world.applied("hr", full("1", many.collect())).await;
        world.applied("badges", delta("1", vec![person("a", &[("familyName", "Smith")])])).await;
        let dispute = world.get::<Dispute>("correlation/badges/a").await.unwrap().value;
        assert!(dispute.open && dispute.candidates.len() == 20, "{}", dispute.candidates.len());
    }
}

#[tokio::test]
async fn what_an_earlier_version_left_of_the_index_is_made_anew() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        world.with_source(source("badges", weighted_by_name())).await;
        world.applied("hr", full("1", vec![smith("1")])).await;
        assert!(!world.rows(Table::IdentityKey).await.is_empty());
        // It knows the keys of the short form only, and writes no others for whom it makes.
        world.forget_keys(r#"{"rules":["mail"]}"#).await;
        world.applied("badges", delta("1", vec![person("a", &[("familyName", "Smith")])])).await;
        assert_eq!(world.identity("badges", "a").await.id, world.identity("hr", "1").await.id);
    }
}
