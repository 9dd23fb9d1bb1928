//! From text to terms: limits, syntax, names, argument counts and kinds, all faults in one pass.

use std::collections::{BTreeMap, BTreeSet};

use cel::common::ast::{ComprehensionExpr, Expr, LiteralValue, SourceInfo, operators};
use cel::parser::Expression as Parsed;

use super::function::{self, Function, Kind};
use super::scan::scan;
use super::term::{Binary, Fold, Op, Term};
use super::{Expression, Reads};
use crate::document::suggestion;

/// What an expression may name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vocabulary {
    /// Attributes of identities.
    pub(crate) attributes: BTreeSet<String>,
    /// Lookups.
    pub(crate) lookups: BTreeSet<String>,
    /// Shared values and their numbers.
    pub(crate) shared: BTreeMap<String, usize>,
    /// Generated names of the account; none outside of an account.
    pub(crate) names: BTreeSet<String>,
    /// `roles` is known already here.
    pub(crate) roles: bool,
}

/// A fault of an expression, at characters of its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: &'static str,
    pub(crate) at: usize,
    pub(crate) length: usize,
    pub(crate) summary: String,
    pub(crate) remedy: String,
}

/// Parses and checks. Must run on a thread with a large stack: the `cel` parser recurses.
pub(crate) fn parse(text: &str, known: &Vocabulary) -> Result<Expression, Vec<Fault>> {
    if let Err(excess) = scan(text) {
        let remedy = "split it with `values`, or move data into a lookup".to_owned();
        return Err(vec![Fault { code: "P0020", at: excess.at, length: 1, summary: excess.what, remedy }]);
    }
    let (parsed, source) = cel::parser::Parser::default()
        .parse_with_source_info(text)
        .map_err(|errors| vec![syntax(text, &errors)])?;
    let mut lowering = Lowering { text, source, known, faults: Vec::new(), locals: Vec::new() };
    match lowering.lower(&parsed) {
        Some((term, kind)) if lowering.faults.is_empty() => {
            let reads = Reads::of(&term);
            Ok(Expression { text: text.to_owned(), kind, reads, term })
        }
        _ => Err(lowering.faults),
    }
}

/// The first syntax error in our words.
fn syntax(text: &str, errors: &cel::ParseErrors) -> Fault {
    let first = errors.errors.first();
    let (line, column) = first.map_or((1, 1), |error| error.pos);
    let before: usize =
        text.lines().take(usize::try_from(line - 1).unwrap_or(0)).map(|line| line.chars().count() + 1).sum();
    let size = text.chars().count();
    let at = before + usize::try_from(column - 1).unwrap_or(0);
    let message = first.map(|error| error.msg.as_str()).unwrap_or_default();
    let found = message.split(" expecting ").next().unwrap_or_default();
    let found = found
        .split_once('\'')
        .map_or(found, |(_, rest)| rest.rsplit_once('\'').map_or(rest, |(text, _)| text));
    let summary = if found.contains("<EOF>") && at >= size {
        "the expression ends too early".to_owned()
    } else {
        format!("the expression is not understood here: unexpected `{}`", found.trim())
    };
    let remedy = match found.trim() {
        "=" => "compare with `==`",
        _ => "correct the expression (CEL syntax)",
    };
    let at = at.min(size.saturating_sub(1));
    Fault { code: "P0021", at, length: 1, summary, remedy: remedy.to_owned() }
}

struct Lowering<'a> {
    text: &'a str,
    source: SourceInfo,
    known: &'a Vocabulary,
    faults: Vec<Fault>,
    locals: Vec<String>,
}

impl Lowering<'_> {
    /// The characters a node stands at; for calls and selects, those of the name.
    fn range(&self, node: &Parsed) -> (usize, usize) {
        let (start, end) = self.source.offset_for(node.id).unwrap_or((0, 0));
        let (start, end) = (start as usize, end as usize + 1);
        let before = self.text.get(..start).unwrap_or_default();
        let word = |text: &str| text.chars().rev().take_while(|c| c.is_alphanumeric() || *c == '_').count();
        match &node.expr {
            Expr::Call(call) if self.text.get(start..end) == Some("(") => {
                let name = word(before).max(1).min(call.func_name.chars().count());
                (before.chars().count().saturating_sub(name), name)
            }
            Expr::Select(select) if self.text.get(start..end) == Some(".") => {
                let operand = word(before);
                (before.chars().count() - operand, operand + 1 + select.field.chars().count())
            }
            _ => {
                let length = self.text.get(start..end).map_or(1, |part| part.chars().count());
                (before.chars().count(), length)
            }
        }
    }

    fn fault(
        &mut self,
        code: &'static str,
        node: &Parsed,
        summary: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let (at, length) = self.range(node);
        self.faults.push(Fault { code, at, length, summary: summary.into(), remedy: remedy.into() });
    }

    fn term(&self, node: &Parsed, op: Op, kind: Kind) -> Option<(Term, Kind)> {
        let (at, _) = self.range(node);
        Some((Term { at, op }, kind))
    }

    fn unsupported(&mut self, node: &Parsed, what: &str) -> Option<(Term, Kind)> {
        self.fault("P0025", node, format!("{what} are not part of this language"), "write it without them");
        None
    }

    fn lower(&mut self, node: &Parsed) -> Option<(Term, Kind)> {
        match &node.expr {
            Expr::Literal(literal) => match literal {
                LiteralValue::Null => self.term(node, Op::Null, Kind::Null),
                LiteralValue::Boolean(value) => self.term(node, Op::Bool(*value.inner()), Kind::Bool),
                LiteralValue::Int(value) => self.term(node, Op::Int(*value.inner()), Kind::Int),
                LiteralValue::String(value) => {
                    self.term(node, Op::Text(value.inner().to_owned()), Kind::Text)
                }
                _ => self.unsupported(node, "fractions, unsigned numbers and bytes"),
            },
            Expr::Ident(name) => self.variable(node, name),
            Expr::Select(select) => {
                let Expr::Ident(root) = &select.operand.expr else {
                    let (operand, _) = self.lower(&select.operand)?;
                    let (part, kind) =
                        self.term(node, Op::Part(Box::new(operand), select.field.clone()), Kind::Any)?;
                    return self.presence(node, select.test, part, kind);
                };
                let (term, kind) = match self.locals.contains(root) {
                    true => {
                        let (operand, _) = self.lower(&select.operand)?;
                        self.term(node, Op::Part(Box::new(operand), select.field.clone()), Kind::Any)?
                    }
                    false => self.member(node, root, &select.field)?,
                };
                self.presence(node, select.test, term, kind)
            }
            Expr::List(list) => {
                let items: Vec<_> = list.elements.iter().map(|item| self.lower(item)).collect();
                let items = items.into_iter().collect::<Option<Vec<_>>>()?;
                self.term(node, Op::List(items.into_iter().map(|(term, _)| term).collect()), Kind::List)
            }
            Expr::Call(call) => match &call.target {
                Some(target) => {
                    let args: Vec<&Parsed> = std::iter::once(&**target).chain(&call.args).collect();
                    self.call(node, &call.func_name, &args)
                }
                None => self.call(node, &call.func_name, &call.args.iter().collect::<Vec<_>>()),
            },
            Expr::Comprehension(fold) => self.fold(node, fold),
            Expr::Map(_) => self.unsupported(node, "map literals"),
            Expr::Struct(_) => self.unsupported(node, "messages"),
            Expr::Unspecified => self.unsupported(node, "empty parts"),
        }
    }

    fn presence(&mut self, node: &Parsed, test: bool, term: Term, kind: Kind) -> Option<(Term, Kind)> {
        if test { self.term(node, Op::Present(Box::new(term)), Kind::Bool) } else { Some((term, kind)) }
    }

    fn variable(&mut self, node: &Parsed, name: &str) -> Option<(Term, Kind)> {
        let known = ["key", "lifecycle", "name", "roles", "source", "today", "user", "value"];
        let found = match name {
            _ if self.locals.iter().any(|local| local == name) => (Op::Local(name.to_owned()), Kind::Any),
            "lifecycle" => (Op::Lifecycle, Kind::Text),
            "today" => (Op::Today, Kind::Date),
            "key" => (Op::Key, Kind::Text),
            "source" => (Op::Source, Kind::Text),
            "roles" if self.known.roles => (Op::Roles, Kind::List),
            "roles" => {
                self.fault("P0022", node, "`roles` is not known here", "rules give roles; use an attribute");
                return None;
            }
            "user" | "value" | "name" => {
                let summary = format!("`{name}` is not a value by itself");
                self.fault("P0022", node, summary, format!("name a part of it, as in `{name}.title`"));
                return None;
            }
            _ => {
                let remedy = match suggestion(name, known) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None if self.known.attributes.contains(name) => format!("did you mean `user.{name}`?"),
                    None => format!("known are {}", known.join(", ")),
                };
                self.fault("P0022", node, format!("unknown variable `{name}`"), remedy);
                return None;
            }
        };
        self.term(node, found.0, found.1)
    }

    /// `user.title`, `name.mail`, `value.family`.
    fn member(&mut self, node: &Parsed, root: &str, field: &str) -> Option<(Term, Kind)> {
        let vocabulary = self.known;
        let (code, found, known): (_, _, Vec<&str>) = match root {
            "user" => {
                let found = vocabulary.attributes.contains(field).then(|| Op::Attribute(field.to_owned()));
                ("P0016", found, vocabulary.attributes.iter().map(String::as_str).collect())
            }
            "name" => {
                let found = vocabulary.names.contains(field).then(|| Op::Name(field.to_owned()));
                ("P0015", found, vocabulary.names.iter().map(String::as_str).collect())
            }
            "value" => {
                let found = vocabulary.shared.get(field).map(|index| Op::Shared(*index));
                ("P0015", found, vocabulary.shared.keys().map(String::as_str).collect())
            }
            _ => {
                let remedy = match suggestion(root, ["user", "name", "value"]) {
                    Some(meant) => format!("did you mean `{meant}.{field}`?"),
                    None => "parts are read from `user`, `name` and `value`".to_owned(),
                };
                self.fault("P0022", node, format!("unknown variable `{root}`"), remedy);
                return None;
            }
        };
        let Some(op) = found else {
            let remedy = match (suggestion(field, known), root) {
                (Some(meant), _) => format!("did you mean `{root}.{meant}`?"),
                (None, "user") => format!("correct it, or list `{field}` under `inputs`"),
                (None, "name") => "name an attribute that is generated before this one".to_owned(),
                (None, _) => "define it under `values`, before it is used".to_owned(),
            };
            let what = if root == "user" { "attribute" } else { root };
            self.fault(code, node, format!("unknown {what} `{root}.{field}`"), remedy);
            return None;
        };
        let kind = if root == "name" { Kind::Text } else { Kind::Any };
        self.term(node, op, kind)
    }

    fn call(&mut self, node: &Parsed, name: &str, args: &[&Parsed]) -> Option<(Term, Kind)> {
        if let Some(found) = self.operator(node, name, args) {
            return found;
        }
        let lowered: Vec<_> = args.iter().map(|arg| self.lower(arg)).collect();
        let Some(signature) = function::find(name) else {
            let names = function::FUNCTIONS.iter().map(|signature| signature.name);
            let remedy = match suggestion(name, names.clone()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("functions are {}", names.collect::<Vec<_>>().join(", ")),
            };
            self.fault("P0023", node, format!("unknown function `{name}`"), remedy);
            return None;
        };
        let wanted = signature.takes.len();
        if if signature.variadic { args.len() < wanted } else { args.len() != wanted } {
            let more = if signature.variadic { " or more" } else { "" };
            let noun = if wanted == 1 && !signature.variadic { "argument" } else { "arguments" };
            let summary = format!("`{name}` takes {wanted}{more} {noun}, not {}", args.len());
            self.fault("P0024", node, summary, "see the table of functions");
            return None;
        }
        for (index, (arg, lowered)) in args.iter().zip(&lowered).enumerate() {
            let wanted = signature.takes.get(index).or(signature.takes.last()).copied().unwrap_or(Kind::Any);
            if let Some((_, found)) = lowered {
                self.expect(arg, wanted, *found, &format!("`{name}`"));
            }
        }
        let terms = lowered.into_iter().collect::<Option<Vec<_>>>()?;
        let terms: Vec<Term> = terms.into_iter().map(|(term, _)| term).collect();
        self.constants(node, signature.function, &terms, args)?;
        self.term(node, Op::Call(signature.function, terms), signature.gives)
    }

    /// Checks of arguments that must be written out.
    fn constants(
        &mut self,
        node: &Parsed,
        function: Function,
        terms: &[Term],
        args: &[&Parsed],
    ) -> Option<()> {
        let text = |index: usize| match terms.get(index).map(|term| &term.op) {
            Some(Op::Text(text)) => Some(text.clone()),
            _ => None,
        };
        match function {
            Function::Lookup => {
                let known = self.known;
                let name = text(0);
                if name.as_ref().is_some_and(|name| known.lookups.contains(name)) {
                    return Some(());
                }
                let place = args.first().copied().unwrap_or(node);
                let (summary, remedy) = match name {
                    Some(name) => {
                        let meant = suggestion(&name, known.lookups.iter().map(String::as_str));
                        let remedy = meant.map(|meant| format!("did you mean `{meant}`?"));
                        (
                            format!("unknown lookup `{name}`"),
                            remedy.unwrap_or_else(|| "define it under `lookups`".to_owned()),
                        )
                    }
                    None => ("the lookup must be named in quotes".to_owned(), "write `\"name\"`".to_owned()),
                };
                self.fault("P0011", place, summary, remedy);
                None
            }
            Function::Only => {
                let letters = text(1).map(|text| super::letters::Letters::parse(&text));
                if matches!(letters, Some(Some(_))) {
                    return Some(());
                }
                let place = args.get(1).copied().unwrap_or(node);
                let remedy = "write it in quotes, as in `\"a-z0-9.\"`";
                self.fault("P0026", place, "`only` needs a fixed set of characters", remedy);
                None
            }
            _ => Some(()),
        }
    }

    fn expect(&mut self, node: &Parsed, wanted: Kind, found: Kind, user: &str) {
        if !wanted.admits(found) {
            let summary = format!("{user} needs {}, this is {}", wanted.name(), found.name());
            self.fault("P0026", node, summary, "convert it, or use another part");
        }
    }

    /// Operators; `None` when the name is not one.
    fn operator(&mut self, node: &Parsed, name: &str, args: &[&Parsed]) -> Option<Option<(Term, Kind)>> {
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

    fn fold(&mut self, node: &Parsed, fold: &ComprehensionExpr) -> Option<(Term, Kind)> {
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
