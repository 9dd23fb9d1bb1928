//! What holds of any rules and any people.

use std::collections::BTreeSet;

use proptest::prelude::*;
use provision_core::correlate::{
    Correlation, Item, Outcome, Prepared, Rule, Score, Similarity, Suspect, Veto,
};
use provision_core::value::Attributes;

use crate::id;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn attributes() -> impl Strategy<Value = Attributes> {
    prop::collection::vec(prop::option::of(0..3u8), NAMES.len()).prop_map(|values| {
        let values = NAMES.iter().zip(values);
        values
            .filter_map(|(name, value)| Some((name, value?)))
            .fold(Attributes::new(), |all, (name, value)| {
                all.with(*name, ["same", "sama", "other"][usize::from(value)])
            })
    })
}

fn rule(name: usize) -> impl Strategy<Value = Rule> {
    let items = prop::collection::btree_set(0..NAMES.len(), 1..3);
    (items, any::<bool>(), 1..10u64, prop::option::of(0..3u32)).prop_map(
        move |(items, like, weight, tier)| {
            let mut items: Vec<Item> = items.into_iter().map(|at| Item::new(NAMES[at])).collect();
            if like && items.len() > 1 {
                items[1].similarity = Similarity::Levenshtein;
                items[1].minimum = Some(Score::from_millionths(200_000));
            }
            let weight = Score::from_millionths(weight * 100_000);
            Rule { weight, tier, ..Rule::new(format!("r{name}"), items) }
        },
    )
}

fn correlation() -> impl Strategy<Value = Correlation> {
    let rules = (1..6usize).prop_flat_map(|count| (0..count).map(rule).collect::<Vec<_>>());
    (rules, 1..11u64).prop_map(|(rules, definite)| Correlation {
        definite: Score::from_millionths(definite * 100_000),
        ..Correlation::new(rules)
    })
}

fn vetoes() -> impl Strategy<Value = Vec<Veto>> {
    prop_oneof![
        3 => Just(Vec::new()),
        1 => Just(vec![Veto::Left]),
        1 => Just(vec![Veto::Differs { attribute: "x".into() }]),
    ]
}

fn suspects(rules: &Prepared, record: &Attributes, people: &[(Attributes, Vec<Veto>)]) -> Vec<Suspect> {
    let claims = rules.claims(record);
    let tally = |(n, (person, vetoes)): (usize, &(Attributes, Vec<Veto>))| {
        let tally = rules.tally(&claims, person);
        Suspect { identity: id(n), vetoes: vetoes.clone(), tally }
    };
    people.iter().enumerate().map(tally).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_verdict_knows_no_order(
        correlation in correlation(),
        record in attributes(),
        people in prop::collection::vec((attributes(), vetoes()), 0..6),
        turn in 0..6usize,
    ) {
        let rules = Prepared::new(&correlation);
        let mut suspects = suspects(&rules, &record, &people);
        let verdict = rules.judge(&suspects, Score::ZERO);
        suspects.reverse();
        prop_assert_eq!(&rules.judge(&suspects, Score::ZERO), &verdict);
        let mut turned = correlation.clone();
        let turn = turn % turned.rules.len();
        turned.rules.rotate_left(turn);
        let rules = Prepared::new(&turned);
        let suspects = self::suspects(&rules, &record, &people);
        prop_assert_eq!(&rules.judge(&suspects, Score::ZERO), &verdict);
    }

    #[test]
    fn whoever_is_under_a_veto_never_wins(
        correlation in correlation(),
        record in attributes(),
        people in prop::collection::vec((attributes(), vetoes()), 0..6),
    ) {
        let rules = Prepared::new(&correlation);
        let suspects = suspects(&rules, &record, &people);
        let verdict = rules.judge(&suspects, Score::ZERO);
        if let Outcome::Match(winner) = verdict.outcome {
            let found = suspects.iter().find(|suspect| suspect.identity == winner).unwrap();
            prop_assert!(found.vetoes.is_empty());
            let score = verdict.candidates.iter().find(|one| one.identity == winner).unwrap().score;
            prop_assert!(score >= correlation.definite);
        }
        prop_assert!(verdict.candidates.iter().all(|one| one.score <= Score::ONE));
    }

    #[test]
    fn one_more_rule_never_lowers_a_score(
        correlation in correlation(),
        more in rule(99),
        record in attributes(),
        person in attributes(),
    ) {
        // Without tiers, so that all of them are looked at.
        let mut correlation = correlation;
        correlation.rules.iter_mut().for_each(|rule| rule.tier = None);
        correlation.definite = Score::ONE;
        let people = [(person, Vec::new())];
        let score = |correlation: &Correlation| {
            let rules = Prepared::new(correlation);
            let verdict = rules.judge(&suspects(&rules, &record, &people), Score::ZERO);
            verdict.candidates.first().map_or(Score::ZERO, |one| one.score)
        };
        let before = score(&correlation);
        correlation.rules.push(Rule { tier: None, ..more });
        prop_assert!(score(&correlation) >= before);
    }

    #[test]
    fn whoever_a_rule_matches_has_one_of_its_keys(
        correlation in correlation(),
        record in attributes(),
        person in attributes(),
    ) {
        let rules = Prepared::new(&correlation);
        let claims = rules.claims(&record);
        let keys: BTreeSet<String> =
            rules.key_specs().iter().flat_map(|spec| spec.prefixes_of(&person)).collect();
        let hit = rules.prefixes(&claims).iter().any(|(_, prefix)| keys.contains(prefix));
        prop_assert!(hit || rules.tally(&claims, &person).is_empty());
    }
}
