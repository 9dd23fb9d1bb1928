//! Operators and loops of the parser's tree as terms.

use cel::common::ast::{ComprehensionExpr, operators};
use cel::parser::Expression as Parsed;

use super::function::Function;
use super::parse::{Lowered, Lowering, Variables};
use super::shape::{Kind, Shape};
use super::term::{Binary, Fold, Op};

impl Lowering<'_> {
    /// Operators; `None` when the name is not one.
    pub(super) fn operator(&mut self, node: &Parsed, name: &str, args: &[&Parsed]) -> Option<Lowered> {
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
        self.kinds(node, binary, (a, x.kind), (b, y.kind));
        let null = x.absent.or(y.absent);
        let shape = match binary {
            Binary::Equal | Binary::NotEqual | Binary::In => Shape::of(Kind::Bool),
            Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual => {
                Shape::of(Kind::Bool).unless(null)
            }
            Binary::Index => x.one().unless(self.reading(node)),
            Binary::Add => match (x.kind, y.kind) {
                (Kind::Any | Kind::Null, _) => y,
                (_, Kind::Any | Kind::Null) => x,
                _ => x.or(y),
            }
            .unless(null),
            _ => Shape::of(Kind::Int).unless(null),
        };
        Some(self.term(node, Op::Binary(binary, Box::new(left), Box::new(right)), shape))
    }

    /// Refuses kinds that an operator never works on.
    fn kinds(&mut self, node: &Parsed, binary: Binary, (a, x): (&Parsed, Kind), (b, y): (&Parsed, Kind)) {
        let mixed = !x.admits(y) && !y.admits(x);
        let ordered =
            matches!(binary, Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual);
        match binary {
            Binary::In => self.expect(b, Kind::List, y, "`in`"),
            Binary::Index => {
                self.expect(a, Kind::List, x, "`[ ]`");
                self.expect(b, Kind::Int, y, "`[ ]`");
            }
            Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Remainder => {
                self.expect(a, Kind::Int, x, "the operator");
                self.expect(b, Kind::Int, y, "the operator");
            }
            Binary::Add if matches!(x, Kind::Bool | Kind::Date | Kind::Time | Kind::Account) => {
                self.expect(a, Kind::Text, x, "`+`");
            }
            // A text is read as a date when it is compared with one.
            _ if ordered && matches!((x, y), (Kind::Date, Kind::Text) | (Kind::Text, Kind::Date)) => {}
            _ if mixed => {
                let summary = format!("{} and {} do not go together", x.name(), y.name());
                self.fault("P0026", node, summary, "convert one of them, as in `string(..)`");
            }
            _ if ordered && matches!(x, Kind::Bool | Kind::List | Kind::Account) => {
                let summary = format!("{} has no order", x.name());
                self.fault("P0026", node, summary, "compare with `==`");
            }
            _ => {}
        }
    }

    fn logic(&mut self, node: &Parsed, name: &str, args: &[&Parsed]) -> Lowered {
        let lowered: Vec<_> = args
            .iter()
            .enumerate()
            .map(|(index, arg)| match (name, args.first()) {
                (operators::LOGICAL_AND, Some(first)) if index == 1 => self.lower_under(first, true, arg),
                (operators::LOGICAL_OR, Some(first)) if index == 1 => self.lower_under(first, false, arg),
                (operators::CONDITIONAL, Some(first)) if index > 0 => {
                    self.lower_under(first, index == 1, arg)
                }
                _ => self.lower(arg),
            })
            .collect();
        let lowered = lowered.into_iter().collect::<Option<Vec<_>>>()?;
        let wanted = if name == operators::NEGATE { Kind::Int } else { Kind::Bool };
        let checked = if name == operators::CONDITIONAL { 1 } else { lowered.len() };
        for (arg, (_, shape)) in args.iter().zip(&lowered).take(checked) {
            self.expect(arg, wanted, shape.kind, "this place");
        }
        let null = lowered.iter().find_map(|(_, shape)| shape.absent);
        let truth = Shape::of(Kind::Bool).unless(null);
        let mut terms = lowered.into_iter();
        let (first, shape) = terms.next()?;
        match (name, terms.next(), terms.next()) {
            (operators::LOGICAL_NOT, None, None) => self.term(node, Op::Not(Box::new(first)), truth),
            (operators::NEGATE, None, None) => {
                self.term(node, Op::Negate(Box::new(first)), Shape::of(Kind::Int).unless(null))
            }
            (operators::NOT_STRICTLY_FALSE, None, None) => Some((first, shape)),
            (operators::LOGICAL_AND, Some((b, _)), None) => {
                self.term(node, Op::And(Box::new(first), Box::new(b)), truth)
            }
            (operators::LOGICAL_OR, Some((b, _)), None) => {
                self.term(node, Op::Or(Box::new(first), Box::new(b)), truth)
            }
            (operators::CONDITIONAL, Some((b, x)), Some((c, y))) => {
                self.decided(shape);
                self.term(node, Op::If(Box::new(first), Box::new(b), Box::new(c)), x.or(y))
            }
            _ => self.unsupported(node, "operators of this form"),
        }
    }

    pub(super) fn fold(&mut self, node: &Parsed, fold: &ComprehensionExpr) -> Lowered {
        if self.variables.is_some() || fold.iter_var2.is_some() {
            return self.unsupported(node, "loops inside loops");
        }
        if ["key", "lifecycle", "name", "roles", "source", "today", "user", "value"]
            .contains(&fold.iter_var.as_str())
        {
            let summary = format!("`{}` stands for something else already", fold.iter_var);
            self.fault("P0022", node, summary, "give the loop's variable another name");
            return None;
        }
        let (range, over) = self.lower(&fold.iter_range)?;
        self.expect(&fold.iter_range, Kind::List, over.kind, "a loop");
        let (start, result) = self.lower(&fold.accu_init)?;
        let item = (fold.iter_var.clone(), over.one());
        // Values of an attribute are never lists, nor are parts of a text.
        let plain = match &range.op {
            Op::Attribute { .. } | Op::Roles => true,
            Op::Call(function, _) => matches!(function, Function::Split | Function::Words),
            _ => false,
        };
        let lists = !plain && matches!(item.1.kind, Kind::Any | Kind::List);
        self.variables = Some(Variables { item, result: (fold.accu_var.clone(), result), lists });
        let go_on = self.lower(&fold.loop_cond);
        let step = self.lower(&fold.loop_step);
        if let (Some((_, step)), Some(variables)) = (&step, self.variables.as_mut()) {
            variables.result.1 = result.or(*step);
        }
        let end = self.lower(&fold.result);
        self.variables = None;
        let ((go_on, _), (step, _), (end, shape)) = (go_on?, step?, end?);
        let fold = Fold { range, start, go_on, step, end };
        self.term(node, Op::Fold(Box::new(fold)), shape)
    }
}
