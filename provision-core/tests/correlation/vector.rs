//! The worked example that others publish: name, birthday and id in three rules.

use provision_core::correlate::{Correlation, Outcome, Prepared, Score};
use serde_json::{Value, json};

use crate::{id, judged, person, prepared};

fn rules(silent: bool) -> Value {
    let name = json!({ "attribute": "familyName" });
    let born = json!({ "attribute": "dateOfBirth" });
    let number = json!({ "attribute": "nationalId" });
    let unless: Vec<&str> = if silent { vec!["name, birthday and id"] } else { Vec::new() };
    let given = json!({ "attribute": "givenName" });
    json!({ "rules": [
        { "name": "name, birthday and id", "items": [name, born, number], "weight": 1.0 },
        { "name": "names and birthday", "items": [given, name, born], "weight": 0.4, "unless_matched_by": unless },
        { "name": "id", "items": [number], "weight": 0.4, "unless_matched_by": unless },
    ] })
}

#[test]
fn ian_smith_is_john_smith_by_one_rule_and_a_half() {
    let ian = person(&[
        ("givenName", "Ian"),
        ("familyName", "Smith"),
        ("dateOfBirth", "2004-02-06"),
        ("nationalId", "040206/1328"),
    ]);
    let john = person(&[
        ("givenName", "John"),
        ("familyName", "Smith"),
        ("dateOfBirth", "2004-02-06"),
        ("nationalId", "040206/1328"),
    ]);
    for (silent, shown, sum) in [
        (false, "1 by id 0.4, name, birthday and id 1", 1_400_000),
        (true, "1 by name, birthday and id 1", 1_000_000),
    ] {
        let rules = rules(silent);
        let verdict = judged(&prepared(rules.clone()), &ian, &[(john.clone(), Vec::new())]);
        assert_eq!(verdict.outcome, Outcome::Match(id(0)));
        let candidate = &verdict.candidates[0];
        assert_eq!((candidate.to_string().as_str(), candidate.score), (shown, Score::ONE));
        let points = candidate.contributions.iter().fold(Score::ZERO, |sum, one| sum.plus(one.points));
        assert_eq!(points.millionths(), sum, "before it is cut to 1");

        // Half of it: 0.7 where the id counts twice, 0.5 where it does not.
        let mut scaled: Correlation = serde_json::from_value(rules).unwrap();
        scaled.scale = Score::from_millionths(500_000);
        let verdict = judged(&Prepared::new(&scaled), &ian, &[(john.clone(), Vec::new())]);
        assert_eq!(verdict.outcome, Outcome::Dispute);
        assert_eq!(verdict.candidates[0].score.millionths(), sum / 2);
    }
}
