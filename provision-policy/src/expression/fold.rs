//! Loops over lists.

use super::datum::{Datum, Failure};
use super::evaluate::{Facts, TEXTS_MAX, Traced, evaluate_in, too_many};
use super::term::Fold;

/// Longest list a loop goes over.
pub(super) const ITEMS_MAX: usize = 1000;

/// The variables of the one loop an expression may be in.
#[derive(Debug)]
pub(super) struct Locals<'a> {
    pub(super) item: Datum<'a>,
    pub(super) result: Datum<'a>,
}

pub(super) fn fold<'a>(fold: &'a Fold, facts: &Facts<'a>, traced: &mut Traced) -> Result<Datum<'a>, Failure> {
    let items = match evaluate_in(&fold.range, facts, None, traced)? {
        Datum::Null => Vec::new(),
        Datum::List(items) if items.len() <= ITEMS_MAX => items,
        Datum::List(_) => return Err(Failure::failed(format!("a loop over more than {ITEMS_MAX} values"))),
        single => vec![single],
    };
    let start = evaluate_in(&fold.start, facts, None, traced)?;
    let mut locals = Locals { item: Datum::Null, result: start };
    let mut weight = 0_usize;
    for item in items {
        locals.item = item;
        if evaluate_in(&fold.go_on, facts, Some(&locals), traced)? == Datum::Bool(false) {
            break;
        }
        locals.result = evaluate_in(&fold.step, facts, Some(&locals), traced)?;
        if let Datum::List(found) = &locals.result {
            weight = weight.saturating_add(found.last().map_or(0, Datum::weight));
        }
        if weight > TEXTS_MAX {
            return Err(too_many());
        }
    }
    evaluate_in(&fold.end, facts, Some(&locals), traced)
}
