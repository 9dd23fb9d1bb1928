//! Operators and loops of the parser's tree as terms.

use cel::common::ast::{ComprehensionExpr, operators};
use cel::parser::Expression as Parsed;

use super::function::Kind;
use super::parse::Lowering;
use super::term::{Binary, Fold, Op, Term};

impl Lowering<'_> {
    /// Operators; `None` when the name is not one.
    pub(super) fn operator(
        &mut self,
        node: &Parsed,
        name: &str,
        args: &[&Parsed],
    ) -> Option<Option<(Term, Kind)>> {
        let binary = match name {
            operators::EQUALS => Binary::Equal,
            operators::NOT_EQUALS => Binary::NotEqual,
            operators::LESS => Binary::Less,
            operators::LESS_EQUALS => Binary::LessOrEqual,
            operators::GREATER => Binary::Greater,
            operators::GREATER_EQUALS => Binary::GreaterOrEqual,
            operators::ADD => Binary::Add,
            operators::SUBSTRACT => Binary::Subtract,
            operators::MULTIPLY => Binary::Multiply,
            operators::DIVIDE => Binary::Divide,
            operators::MODULO => Binary::Remainder,
            operators::IN => Binary::In,
            operators::INDEX => Binary::Index,
            operators::LOGICAL_AND
            | operators::LOGICAL_OR
            | operators::LOGICAL_NOT
            | operators::NEGATE
            | operators::CONDITIONAL
            | operators::NOT_STRICTLY_FALSE => {
                return Some(self.logic(node, name, args));
            }
            _ => return None,
        };
        let [a, b] = args else { return Some(self.unsupported(node, "operators of this form")) };
        let (left, right) = (self.lower(a), self.lower(b));
        let (Some((left, x)), Some((right, y))) = (left, right) else { return Some(None) };
        let mixed = !x.admits(y) && !y.admits(x);
        let kind = match binary {
            Binary::Equal | Binary::NotEqual | Binary::In => Kind::Bool,
            Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual => Kind::Bool,
            Binary::Index => Kind::Any,
            Binary::Add if x == Kind::Any => y,
            Binary::Add => x,
            _ => Kind::Int,
        };
        match binary {
            Binary::In => self.expect(b, Kind::List, y, "`in`"),
            Binary::Index => self.expect(a, Kind::List, x, "`[ ]`"),
            Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Remainder => {
                self.expect(a, Kind::Int, x, "the operator");
                self.expect(b, Kind::Int, y, "the operator");
            }
            Binary::Add if matches!(x, Kind::Bool | Kind::Date | Kind::Account) => {
                self.expect(a, Kind::Text, x, "`+`");
            }
            _ if mixed => {
                let summary = format!("{} and {} do not go together", x.name(), y.name());
                self.fault("P0026", node, summary, "convert one of them, as in `string(..)`");
            }
            _ => {}
        }
        Some(self.term(node, Op::Binary(binary, Box::new(left), Box::new(right)), kind))
    }

    fn logic(&mut self, node: &Parsed, name: &str, args: &[&Parsed]) -> Option<(Term, Kind)> {
        let lowered: Vec<_> = args.iter().map(|arg| self.lower(arg)).collect();
        let lowered = lowered.into_iter().collect::<Option<Vec<_>>>()?;
        let wanted = if name == operators::NEGATE { Kind::Int } else { Kind::Bool };
        let checked = if name == operators::CONDITIONAL { 1 } else { lowered.len() };
        for (arg, (_, kind)) in args.iter().zip(&lowered).take(checked) {
            self.expect(arg, wanted, *kind, "this place");
        }
        let mut terms = lowered.into_iter();
        let (first, kind) = terms.next()?;
        match (name, terms.next(), terms.next()) {
            (operators::LOGICAL_NOT, None, None) => self.term(node, Op::Not(Box::new(first)), Kind::Bool),
            (operators::NEGATE, None, None) => self.term(node, Op::Negate(Box::new(first)), Kind::Int),
            (operators::NOT_STRICTLY_FALSE, None, None) => Some((first, kind)),
            (operators::LOGICAL_AND, Some((b, _)), None) => {
                self.term(node, Op::And(Box::new(first), Box::new(b)), Kind::Bool)
            }
            (operators::LOGICAL_OR, Some((b, _)), None) => {
                self.term(node, Op::Or(Box::new(first), Box::new(b)), Kind::Bool)
            }
            (operators::CONDITIONAL, Some((b, x)), Some((c, y))) => {
                let kind = match (x, y) {
                    (Kind::Null, other) | (other, Kind::Null) => other,
                    (x, y) if x == y => x,
                    _ => Kind::Any,
                };
                self.term(node, Op::If(Box::new(first), Box::new(b), Box::new(c)), kind)
            }
            _ => self.unsupported(node, "operators of this form"),
        }
    }

    pub(super) fn fold(&mut self, node: &Parsed, fold: &ComprehensionExpr) -> Option<(Term, Kind)> {
        if !self.locals.is_empty() || fold.iter_var2.is_some() {
            return self.unsupported(node, "loops inside loops");
        }
        let (range, kind) = self.lower(&fold.iter_range)?;
        self.expect(&fold.iter_range, Kind::List, kind, "a loop");
        self.locals = vec![fold.iter_var.clone(), fold.accu_var.clone()];
        let parts = [&fold.accu_init, &fold.loop_cond, &fold.loop_step, &fold.result];
        let parts: Vec<_> = parts.into_iter().map(|part| self.lower(part)).collect();
        self.locals.clear();
        let mut parts = parts.into_iter().collect::<Option<Vec<_>>>()?.into_iter();
        let (start, kind) = parts.next()?;
        let (go_on, step, end) = (parts.next()?.0, parts.next()?.0, parts.next()?.0);
        let kind = if kind == Kind::Int { Kind::Bool } else { kind };
        let fold = Fold {
            range,
            item: fold.iter_var.clone(),
            result: fold.accu_var.clone(),
            start,
            go_on,
            step,
            end,
        };
        self.term(node, Op::Fold(Box::new(fold)), kind)
    }
}
