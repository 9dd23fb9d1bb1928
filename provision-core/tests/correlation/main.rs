//! Scoring: what the rules say of people, without a store.
#![cfg(test)]

mod law;
mod speed;
mod stored;
mod vector;
mod verdict;

use provision_core::correlate::{Correlation, Prepared, Score, Suspect, Verdict, Veto};
use provision_core::id::IdentityId;
use provision_core::value::Attributes;

pub(crate) fn prepared(rules: serde_json::Value) -> Prepared {
    let correlation: Correlation = serde_json::from_value(rules).unwrap();
    let errors: Vec<_> = correlation.check("here").into_iter().filter(|found| found.is_error()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    Prepared::new(&correlation)
}

pub(crate) fn person(values: &[(&str, &str)]) -> Attributes {
    values.iter().fold(Attributes::new(), |all, (name, value)| all.with(*name, *value))
}

pub(crate) fn id(n: usize) -> IdentityId {
    IdentityId::parse(&format!("00000000-0000-7000-8000-{n:012}")).unwrap()
}

/// Judges a record among people, each with vetoes.
pub(crate) fn judged(rules: &Prepared, record: &Attributes, people: &[(Attributes, Vec<Veto>)]) -> Verdict {
    let claims = rules.claims(record);
    let suspect = |(n, (person, vetoes)): (usize, &(Attributes, Vec<Veto>))| Suspect {
        identity: id(n),
        vetoes: vetoes.clone(),
        tally: rules.tally(&claims, person),
    };
    let suspects: Vec<Suspect> = people.iter().enumerate().map(suspect).collect();
    rules.judge(&suspects, Score::ZERO)
}

pub(crate) fn scores(rules: &Prepared, record: &Attributes, people: &[Attributes]) -> Vec<String> {
    let people: Vec<_> = people.iter().map(|person| (person.clone(), Vec::new())).collect();
    let verdict = judged(rules, record, &people);
    let mut scores: Vec<_> =
        verdict.candidates.iter().map(|one| (one.identity, one.score.to_string())).collect();
    scores.sort();
    scores.into_iter().map(|(_, score)| score).collect()
}
