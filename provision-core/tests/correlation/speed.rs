//! Scoring is cheap: it happens for every new record and every object.

use provision_core::runtime::{Clock, SystemClock};
use serde_json::json;

use crate::{judged, person, prepared};

#[test]
fn twenty_people_and_five_rules_take_no_time_to_speak_of() {
    let equal = |attribute: &str| json!({ "attribute": attribute, "normalise": "letters" });
    let like = json!({ "attribute": "familyName", "similarity": "trigram", "minimum": 0.3 });
    let rules = prepared(json!({ "rules": [
        { "name": "id", "items": [{ "attribute": "nationalId", "normalise": "digits" }] },
        { "name": "name", "items": [equal("givenName"), equal("familyName")], "weight": 0.3 },
        { "name": "like", "items": [equal("givenName"), like], "weight": 0.2 },
        { "name": "mobile", "items": [{ "attribute": "mobile", "normalise": "digits" }], "weight": 0.3 },
        { "name": "born", "items": [{ "attribute": "dateOfBirth" }, equal("givenName")], "weight": 0.4 },
    ] }));
    let somebody = |n: usize| {
        person(&[
            ("givenName", "Zoë"),
            ("familyName", &format!("Müller-Lüdenscheidt{n}")),
            ("nationalId", &format!("04/02/06/{n}")),
            ("mobile", &format!("+49 171 5550{n}")),
            ("dateOfBirth", "1990-01-01"),
        ])
    };
    let people: Vec<_> = (0..20).map(|n| (somebody(n), Vec::new())).collect();
    let record = somebody(7);
    let started = SystemClock.now();
    for _ in 0..200 {
        assert_eq!(judged(&rules, &record, &people).candidates.len(), 20);
    }
    let each = SystemClock.now().since(started) / 200;
    println!("scoring 20 people by 5 rules: {} microseconds", each.as_micros());
    // In a debug build, on a machine that others use: two orders above what it takes.
    assert!(each.as_millis() < 100, "{each:?}");
}
