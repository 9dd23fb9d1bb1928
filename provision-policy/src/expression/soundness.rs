//! What the checker says is so: on random expressions and people, an expression that is never null never is, its
//! values have the kind that was promised, and it needs no more steps than were counted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    missing_docs,
    reason = "helpers of tests fail loudly"
)]

use std::cell::Cell;

use provision_core::policy::PolicyInput;

use super::cost::steps;
use super::{Datum, Kind, Shape, Traced, evaluate};

#[path = "../../tests/support/mod.rs"]
pub(super) mod support;

use support::grammar::{Dice, Grammar, anybody};

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

/// Counts a part that is evaluated.
pub(super) fn step() {
    STEPS.with(|steps| steps.set(steps.get() + 1));
}

/// False when the value is not what was promised.
fn keeps(shape: Shape, datum: &Datum<'_>) -> bool {
    let kind = match datum {
        Datum::Null => return shape.absent.is_some(),
        Datum::Bool(_) => Kind::Bool,
        Datum::Int(_) => Kind::Int,
        Datum::Text(_) => Kind::Text,
        Datum::Date(_) => Kind::Date,
        Datum::Time(_) => Kind::Time,
        Datum::List(_) => Kind::List,
        Datum::Whole(_) => Kind::Any,
        Datum::AccountOf(_) => Kind::Account,
    };
    let items = match datum {
        // Of a list of lists, no more is known.
        Datum::List(items) if shape.kind == Kind::List && shape.item != Kind::List => {
            items.iter().all(|item| keeps(shape.one(), item) || shape.item == Kind::Any)
        }
        _ => true,
    };
    items && (shape.kind == Kind::Any || shape.kind == kind)
}

#[test]
fn the_checker_promises_nothing_that_evaluation_does_not_keep() {
    let seed: u64 = std::env::var("SEED").map_or(20_261_121, |seed| seed.parse().unwrap());
    println!("seed {seed}");
    let mut grammar = Grammar { dice: Dice(seed), cel: false };
    let (mut evaluated, mut gave, mut never_null) = (0, 0, 0);
    for _ in 0..12 {
        let expressions: Vec<String> = std::iter::repeat_with(|| grammar.any(3))
            .filter(|expression| expression.len() < 600)
            .take(100)
            .collect();
        let (bundle, expressions) = support::attributes_of(&expressions);
        let map = bundle.0.accounts.values().next().unwrap();
        for _ in 0..30 {
            let who = anybody(&mut grammar.dice);
            let now = support::now();
            let (lifecycle, _) = who.lifecycle(now).unwrap();
            let input = PolicyInput { identity: &who, lifecycle, now, grants: &[], proposed: false };
            let facts = crate::evaluation::facts(&bundle.0, &input);
            for attribute in &map.attributes {
                let expression = &attribute.mappings[0].value;
                STEPS.with(|steps| steps.set(0));
                let found = evaluate(expression, &facts, &mut Traced::new());
                let needed = STEPS.with(Cell::get);
                let counted = steps(&expression.term);
                let text = &expression.text;
                assert!(needed <= counted, "{text} needed {needed} steps, {counted} were counted");
                evaluated += 1;
                never_null += usize::from(expression.shape.absent.is_none());
                if let Ok(found) = found {
                    gave += 1;
                    let shape = expression.shape;
                    assert!(
                        keeps(shape, &found),
                        "{text} gave {found:?}, promised was {shape:?} for {who:?}"
                    );
                }
            }
        }
        assert!(expressions.len() > 60);
    }
    println!("{evaluated} evaluations, {gave} gave a value, {never_null} of expressions that are never null");
    assert!(gave > evaluated / 4 && never_null > evaluated / 20);
}
