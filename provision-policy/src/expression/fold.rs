//! Loops over lists.

use super::datum::{Datum, Failure};
use super::evaluate::{Facts, Traced, evaluate_in};
use super::term::Fold;

/// Longest list a loop goes over.
const ITEMS_MAX: usize = 1000;

/// The variables of the one loop an expression may be in.
#[derive(Debug)]
pub(super) struct Locals<'l, 'a> {
    pub(super) item: (&'l str, Datum<'a>),
    pub(super) result: (&'l str, Datum<'a>),
}

pub(super) fn fold<'a>(fold: &'a Fold, facts: &Facts<'a>, traced: &mut Traced) -> Result<Datum<'a>, Failure> {
    let items = match evaluate_in(&fold.range, facts, None, traced)? {
        Datum::Null => Vec::new(),
        Datum::List(items) if items.len() <= ITEMS_MAX => items,
        Datum::List(_) => return Err(Failure::failed(format!("a loop over more than {ITEMS_MAX} values"))),
        single => vec![single],
    };
    let start = evaluate_in(&fold.start, facts, None, traced)?;
    let mut locals = Locals { item: (&fold.item, Datum::Null), result: (&fold.result, start) };
    for item in items {
        locals.item.1 = item;
        if evaluate_in(&fold.go_on, facts, Some(&locals), traced)? == Datum::Bool(false) {
            break;
        }
        locals.result.1 = evaluate_in(&fold.step, facts, Some(&locals), traced)?;
    }
    evaluate_in(&fold.end, facts, Some(&locals), traced)
}
