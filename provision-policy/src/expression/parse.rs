//! From text to terms: limits, syntax, names, argument counts and kinds, all faults in one pass.

use std::collections::{BTreeMap, BTreeSet};

use cel::common::ast::{Expr, LiteralValue, SourceInfo};
use cel::parser::Expression as Parsed;

use super::function::{self, Function, Kind};
use super::scan::scan;
use super::term::{Op, Term};
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

pub(super) struct Lowering<'a> {
    text: &'a str,
    source: SourceInfo,
    known: &'a Vocabulary,
    faults: Vec<Fault>,
    /// Variables of the loop around, if there is one.
    pub(super) locals: Vec<String>,
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

    pub(super) fn fault(
        &mut self,
        code: &'static str,
        node: &Parsed,
        summary: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let (at, length) = self.range(node);
        self.faults.push(Fault { code, at, length, summary: summary.into(), remedy: remedy.into() });
    }

    pub(super) fn term(&self, node: &Parsed, op: Op, kind: Kind) -> Option<(Term, Kind)> {
        let (at, _) = self.range(node);
        Some((Term { at, op }, kind))
    }

    pub(super) fn unsupported(&mut self, node: &Parsed, what: &str) -> Option<(Term, Kind)> {
        self.fault("P0025", node, format!("{what} are not part of this language"), "write it without them");
        None
    }

    pub(super) fn lower(&mut self, node: &Parsed) -> Option<(Term, Kind)> {
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
                for (element, (_, kind)) in list.elements.iter().zip(&items) {
                    if *kind == Kind::Account {
                        self.fault("P0026", element, "an account cannot stand in a list", "map it by itself");
                    }
                }
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

    pub(super) fn expect(&mut self, node: &Parsed, wanted: Kind, found: Kind, user: &str) {
        if !wanted.admits(found) {
            let summary = format!("{user} needs {}, this is {}", wanted.name(), found.name());
            self.fault("P0026", node, summary, "convert it, or use another part");
        }
    }
}
