//! Tiers, order, thresholds, vetoes.

use provision_core::correlate::{Outcome, Score, Suspect, Veto};
use provision_core::value::Value;
use serde_json::{Value as Json, json};

use crate::{id, judged, person, prepared, scores};

fn rule(name: &str, attribute: &str, weight: f64) -> Json {
    json!({ "name": name, "items": [{ "attribute": attribute }], "weight": weight })
}

fn with(mut rule: Json, more: Json) -> Json {
    rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    rule
}

#[test]
fn the_thresholds_hold_at_their_very_edge() {
    let record = person(&[("a", "1"), ("b", "1")]);
    let (both, one) = (person(&[("a", "1"), ("b", "1")]), person(&[("a", "1")]));
    for (definite, candidate, expected) in [
        (0.7, 0.4, Outcome::Match(id(0))),
        (0.700001, 0.4, Outcome::Dispute),
        (0.700001, 0.700001, Outcome::None),
    ] {
        let rules = prepared(json!({
            "rules": [rule("a", "a", 0.4), rule("b", "b", 0.3)], "definite": definite, "candidate": candidate,
        }));
        let verdict = judged(&rules, &record, &[(both.clone(), vec![]), (one.clone(), vec![])]);
        assert_eq!(verdict.outcome, expected, "{definite} {candidate}");
    }
    // A candidate threshold at the score itself shows it, one above does not.
    for (candidate, shown) in [(0.4, 2), (0.400001, 1)] {
        let rules = prepared(json!({
            "rules": [rule("a", "a", 0.4), rule("b", "b", 0.3)], "candidate": candidate,
        }));
        let verdict = judged(&rules, &record, &[(both.clone(), vec![]), (one.clone(), vec![])]);
        assert_eq!(verdict.candidates.len(), shown);
    }
    let rules = prepared(json!({ "rules": [rule("a", "a", 0.4)] }));
    assert_eq!(judged(&rules, &record, &[(person(&[("c", "1")]), vec![])]).candidates, []);
}

#[test]
fn confidences_of_items_multiply_and_points_add_up() {
    let like =
        |attribute: &str| json!({ "attribute": attribute, "similarity": "levenshtein", "minimum": 0.3 });
    let rules = prepared(json!({ "definite": 1, "scale": 0.8, "rules": [
        { "name": "names", "items": [{ "attribute": "born" }, like("given"), like("family")], "weight": 0.9 },
        rule("city", "city", 0.3),
    ] }));
    let record = person(&[("born", "1990"), ("given", "Jon"), ("family", "Smith"), ("city", "Ulm")]);
    // 1/2 and 1/3 is 1/6 of 0.9; the city adds 0.3; of all of it 0.8.
    let alike = person(&[("born", "1990"), ("given", "John"), ("family", "Smythe"), ("city", "ulm")]);
    let far = person(&[("born", "1990"), ("given", "Jonathan"), ("family", "Smith"), ("city", "Bonn")]);
    let later = person(&[("born", "1991"), ("given", "Jon"), ("family", "Smith"), ("city", "Ulm")]);
    assert_eq!(scores(&rules, &record, &[alike, far, later]), ["0.359999", "0.24"]);
}

#[test]
fn a_tier_that_leaves_exactly_one_ends_it() {
    let rules = prepared(json!({ "rules": [
        rule("last", "name", 1.0),
        with(rule("second", "mobile", 1.0), json!({ "tier": 2 })),
        with(rule("first", "number", 1.0), json!({ "tier": 1 })),
    ] }));
    let record = person(&[("number", "7"), ("mobile", "555"), ("name", "Jo")]);
    let number = (person(&[("number", "7")]), vec![]);
    let mobile = (person(&[("mobile", "555")]), vec![]);
    let name = (person(&[("name", "jo")]), vec![]);
    let verdict = judged(&rules, &record, &[number.clone(), mobile.clone(), name.clone()]);
    assert_eq!(
        (verdict.outcome, verdict.candidates.len()),
        (Outcome::Match(id(0)), 1),
        "nobody else is shown"
    );
    let verdict = judged(&rules, &record, &[mobile.clone(), name.clone()]);
    assert_eq!(verdict.outcome, Outcome::Match(id(0)));
    // Two in the first tier: the others cannot resolve it.
    let verdict = judged(&rules, &record, &[number.clone(), number.clone(), mobile]);
    assert_eq!((verdict.outcome, verdict.candidates.len()), (Outcome::Dispute, 3));
    // Points of an earlier tier stay.
    let rules = prepared(json!({ "rules": [
        with(rule("half", "number", 0.5), json!({ "tier": 1 })),
        rule("other half", "name", 0.5),
    ] }));
    let both = (person(&[("number", "7"), ("name", "Jo")]), vec![]);
    assert_eq!(judged(&rules, &record, &[name, both]).outcome, Outcome::Match(id(1)));
}

#[test]
fn rules_are_silenced_by_those_before_them_whatever_they_are_called() {
    let id = json!({ "name": "z", "items": [{ "attribute": "a" }, { "attribute": "b" }] });
    let silenced = |weight: f64| with(rule("a", "a", weight), json!({ "unless_matched_by": ["z"] }));
    let third = with(rule("m", "b", 0.1), json!({ "unless_matched_by": ["a"] }));
    let rules = prepared(
        json!({ "definite": 0.9, "rules": [third, silenced(0.4), with(id, json!({ "weight": 0.5 }))] }),
    );
    let record = person(&[("a", "1"), ("b", "1")]);
    let people = [person(&[("a", "1"), ("b", "1")]), person(&[("a", "1")]), person(&[("b", "1")])];
    // Who matches z is not counted by a again. That a would have matched silences m all the same.
    assert_eq!(scores(&rules, &record, &people), ["0.5", "0.4", "0.1"]);
}

#[test]
fn a_veto_is_looked_at_before_any_score() {
    let rules = prepared(json!({ "rules": [
        with(rule("number", "number", 1.0), json!({ "tier": 1 })),
        rule("name", "name", 1.0),
    ] }));
    let record = person(&[("number", "7"), ("name", "Jo")]);
    let number = || person(&[("number", "7")]);
    let name = || person(&[("name", "Jo")]);
    let differs = || vec![Veto::Differs { attribute: "birthDate".into() }];
    let cases = [
        // Under a veto of the same tier.
        (vec![(number(), vec![Veto::Left]), (number(), vec![])], Outcome::Match(id(1))),
        // What is probably his is not given to somebody else by a weaker rule.
        (vec![(number(), vec![Veto::Privileged]), (name(), vec![])], Outcome::Dispute),
        (vec![(number(), vec![Veto::AlreadyLinked { object: "o".to_owned() }])], Outcome::Dispute),
        // Unless it is proved not to be his.
        (vec![(number(), differs()), (name(), vec![])], Outcome::Match(id(1))),
        (vec![(number(), differs())], Outcome::None),
        (vec![(number(), vec![Veto::OtherId { attribute: "n".into() }, Veto::Left])], Outcome::None),
    ];
    for (people, expected) in cases {
        let verdict = judged(&rules, &record, &people);
        assert_eq!(verdict.outcome, expected, "{people:?}");
        let shown = verdict.candidates.iter().flat_map(|candidate| &candidate.vetoes).count();
        assert_eq!(shown, people.iter().flat_map(|(_, vetoes)| vetoes).count(), "each is told: {verdict:?}");
    }
}

#[test]
fn what_was_not_looked_at_is_not_overlooked() {
    let rules = prepared(json!({ "rules": [rule("number", "number", 1.0), rule("name", "name", 0.4)] }));
    let claims = rules.claims(&person(&[("number", "7"), ("name", "Jo")]));
    let tally = rules.tally(&claims, &person(&[("number", "7")]));
    let one = Suspect { identity: id(0), vetoes: vec![], tally };
    let cut = |name: &str| {
        let places = (0..2).filter(|at| rules.names(&[*at].into()) == [name]).collect();
        rules.reach(&places)
    };
    assert_eq!((cut("number"), cut("name").to_string().as_str()), (Score::ONE, "0.4"));
    assert_eq!(rules.judge(std::slice::from_ref(&one), cut("name")).outcome, Outcome::Match(id(0)));
    assert_eq!(rules.judge(&[one], cut("number")).outcome, Outcome::Dispute);
    assert_eq!(rules.judge(&[], cut("number")).outcome, Outcome::Dispute);
    assert_eq!(rules.judge(&[], cut("name")).outcome, Outcome::None);
}

#[test]
fn any_of_several_values_counts_unless_only_the_first_does() {
    let mut record = person(&[]);
    record.set("phone", vec![Value::text("1"), Value::text("2")]);
    let mut other = person(&[]);
    other.set("phone", vec![Value::text("3"), Value::text("2")]);
    for (values, matches) in [("any", 1), ("first", 0)] {
        let item = json!({ "attribute": "phone", "normalise": "digits", "values": values });
        let rules = prepared(json!({ "rules": [{ "name": "phone", "items": [item] }] }));
        assert_eq!(scores(&rules, &record, std::slice::from_ref(&other)).len(), matches);
        let keys = rules.key_specs().iter().flat_map(|spec| spec.prefixes_of(&other)).count();
        assert_eq!(keys, matches + 1);
    }
}
