//! What an expression costs at worst, in steps: one for each part that is evaluated, more for functions that look
//! through lists or run a pattern. A loop counts its body once for each value.

use super::fold::ITEMS_MAX;
use super::function::{self, Function};
use super::term::{Binary, Op, Term};

/// Most steps an expression may need.
pub(crate) const STEPS_MAX: u64 = 100_000;
/// Longest list an expression may build or look through.
pub(super) const LIST_MAX: usize = 10_000;
/// So many values are compared in a step.
const COMPARED: u64 = 128;

/// The steps a part needs at worst.
pub(super) fn steps(term: &Term) -> u64 {
    let below = |parts: &[&Term]| parts.iter().map(|part| steps(part)).sum::<u64>();
    1 + match &term.op {
        Op::Part(a, _) | Op::Present(a) | Op::Not(a) | Op::Negate(a) => steps(a),
        Op::And(a, b) | Op::Or(a, b) => below(&[a, b]),
        Op::Binary(operator, a, b) => {
            below(&[a, b])
                + match operator {
                    Binary::In => looked_through(b),
                    Binary::Index => looked_through(a),
                    _ => 0,
                }
        }
        // Only one of the two is evaluated.
        Op::If(a, b, c) => steps(a) + steps(b).max(steps(c)),
        Op::List(items) => items.iter().map(steps).sum(),
        Op::Call(function, args) => args.iter().map(steps).sum::<u64>() + weight(*function, args),
        Op::Match(_, args) => args.iter().map(steps).sum::<u64>() + 16,
        Op::Fold(fold) => {
            let times = length(&fold.range).min(ITEMS_MAX) as u64;
            below(&[&fold.range, &fold.start, &fold.end]) + times * (1 + below(&[&fold.go_on, &fold.step]))
        }
        _ => 0,
    }
}

/// The loop that costs most.
pub(super) fn dearest(term: &Term) -> Option<&Term> {
    let mut found: Option<(u64, &Term)> = None;
    term.walk(&mut |part| {
        if matches!(part.op, Op::Fold(_)) {
            let steps = steps(part);
            if found.is_none_or(|(most, _)| steps > most) {
                found = Some((steps, part));
            }
        }
    });
    found.map(|(_, part)| part)
}

fn looked_through(list: &Term) -> u64 {
    length(list) as u64 / COMPARED
}

fn weight(function: Function, args: &[Term]) -> u64 {
    let list = function::of(function).is_some_and(|known| known.walks);
    match args.iter().map(length).max() {
        Some(longest) if list => longest as u64 / COMPARED,
        _ => 1,
    }
}

/// Most values of a list.
fn length(term: &Term) -> usize {
    match &term.op {
        Op::List(items) => items.len(),
        Op::Binary(Binary::Add, a, b) => length(a).saturating_add(length(b)).min(LIST_MAX),
        Op::If(_, a, b) => length(a).max(length(b)),
        Op::Fold(fold) => length(&fold.range).min(ITEMS_MAX),
        Op::Call(Function::Values | Function::Unique, args) => args.first().map_or(LIST_MAX, length),
        // A cell of a table.
        Op::Call(Function::Lookup, args) if args.len() > 2 => ITEMS_MAX,
        Op::Call(function, _) if function::of(*function).is_none_or(|known| known.gives_one()) => 1,
        Op::Attribute { many: false, .. } | Op::Item { many: false } => 1,
        Op::Binary(Binary::Index, list, _) if matches!(list.op, Op::Attribute { .. } | Op::Roles) => 1,
        Op::Binary(Binary::Index, ..) | Op::Item { .. } => LIST_MAX,
        Op::Attribute { .. } | Op::Part(..) | Op::Shared(_) | Op::Roles | Op::Result | Op::Call(..) => {
            LIST_MAX
        }
        // Texts, numbers and conditions.
        _ => 1,
    }
}
