//! What a condition that holds says about absence: after `has(user.x) && ..` the attribute is there.

use cel::common::ast::{Expr, LiteralValue, operators};
use cel::parser::Expression as Parsed;

use super::function::{self, Nulls};

/// `user.name.family` as a path, if the node is one.
pub(super) fn path(node: &Parsed) -> Option<String> {
    match &node.expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => Some(format!("{}.{}", path(&select.operand)?, select.field)),
        _ => None,
    }
}

/// The paths that are not null while the node is `truth`.
pub(super) fn proves(node: &Parsed, truth: bool, found: &mut Vec<String>) {
    match &node.expr {
        Expr::Select(select) if select.test => {
            if truth && let Some(operand) = path(&select.operand) {
                found.push(format!("{operand}.{}", select.field));
                needs(&select.operand, found);
            }
        }
        Expr::Call(call) => {
            let args: Vec<&Parsed> = call.target.as_deref().into_iter().chain(&call.args).collect();
            match (call.func_name.as_str(), args.as_slice()) {
                (operators::LOGICAL_NOT, [inner]) => proves(inner, !truth, found),
                (operators::LOGICAL_AND, [a, b]) if truth => {
                    proves(a, true, found);
                    proves(b, true, found);
                }
                (operators::LOGICAL_OR, [a, b]) if !truth => {
                    proves(a, false, found);
                    proves(b, false, found);
                }
                (operators::EQUALS | operators::NOT_EQUALS, [a, b]) => {
                    let equal = (call.func_name == operators::EQUALS) == truth;
                    for (one, other) in [(a, b), (b, a)] {
                        match &other.expr {
                            Expr::Literal(LiteralValue::Null) if !equal => needs(one, found),
                            Expr::Literal(LiteralValue::Null) => {}
                            _ if equal && written_out(other) => needs(one, found),
                            _ => {}
                        }
                    }
                }
                (operators::IN, [one, list]) if truth => {
                    if let Expr::List(list) = &list.expr
                        && list.elements.iter().all(written_out)
                    {
                        needs(one, found);
                    }
                }
                ("empty", [inner]) if !truth => needs(inner, found),
                _ => needs(node, found),
            }
        }
        _ => needs(node, found),
    }
}

/// True for a literal other than null.
fn written_out(node: &Parsed) -> bool {
    matches!(&node.expr, Expr::Literal(literal) if !matches!(literal, LiteralValue::Null))
}

/// The paths that are not null while the node is not null.
fn needs(node: &Parsed, found: &mut Vec<String>) {
    match &node.expr {
        Expr::Ident(name) => found.push(name.clone()),
        Expr::Select(select) if !select.test => {
            found.extend(path(node));
            needs(&select.operand, found);
        }
        Expr::Call(call) => {
            let passes = match call.func_name.as_str() {
                operators::LESS
                | operators::LESS_EQUALS
                | operators::GREATER
                | operators::GREATER_EQUALS
                | operators::ADD
                | operators::SUBSTRACT
                | operators::MULTIPLY
                | operators::DIVIDE
                | operators::MODULO
                | operators::INDEX
                | operators::NEGATE
                | operators::LOGICAL_NOT => true,
                name => function::find(name).is_some_and(|known| known.nulls != Nulls::Handled),
            };
            if passes {
                call.target.as_deref().into_iter().chain(&call.args).for_each(|arg| needs(arg, found));
            }
        }
        _ => {}
    }
}
