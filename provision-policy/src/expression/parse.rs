//! From text to terms: limits, syntax, names, argument counts and kinds, all faults in one pass.

use std::collections::{BTreeMap, BTreeSet};

use cel::common::ast::{Expr, LiteralValue, SelectExpr, SourceInfo};
use cel::parser::Expression as Parsed;

use super::cost::{STEPS_MAX, dearest, steps};
use super::presence::{path, proves};
use super::scan::scan;
use super::shape::{Kind, Reading, Shape};
use super::table::Columns;
use super::term::{Op, Term};
use super::{Expression, Reads};
use crate::document::suggestion;

/// What an expression may name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vocabulary {
    /// Attributes of identities, and what is known of their values.
    pub(crate) attributes: BTreeMap<String, Shape>,
    /// Lookups, and whether they have a default.
    pub(crate) lookups: BTreeMap<String, bool>,
    /// Tables and their columns.
    pub(crate) tables: BTreeMap<String, Columns>,
    /// Shared values: their numbers and what they give.
    pub(crate) shared: BTreeMap<String, (usize, Shape)>,
    /// Generated names of the account; none outside of an account.
    pub(crate) names: BTreeSet<String>,
    /// `roles` is known already here.
    pub(crate) roles: bool,
    /// Whose attributes these are.
    pub(crate) subject: Subject,
}

/// Whose values an expression gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A person or service: `user.title`.
    #[default]
    Identity,
    /// A role: `role.name`.
    Role,
}

impl Subject {
    /// The word that its attributes are read from.
    pub(crate) fn root(self) -> &'static str {
        match self {
            Self::Identity => "user",
            Self::Role => "role",
        }
    }
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
    let mut lowering =
        Lowering { text, source, known, faults: Vec::new(), variables: None, present: Vec::new() };
    match lowering.lower(&parsed) {
        Some((term, shape)) if lowering.faults.is_empty() => {
            let steps = steps(&term);
            if steps > STEPS_MAX {
                let summary = format!("the expression may need {steps} steps; {STEPS_MAX} are the most");
                let remedy = "loop over a list written out, use fewer parts inside the loop, or share what does \
                              not depend on its variable under `values`";
                // Only loops cost so much: the dearest is shown.
                let at = dearest(&term).map_or(0, |loops| loops.at);
                let word = |c: &char| c.is_alphanumeric() || *c == '_';
                let length = text.chars().skip(at).take_while(word).count().max(1);
                let remedy = remedy.to_owned();
                return Err(vec![Fault { code: "P0028", at, length, summary, remedy }]);
            }
            let reads = Reads::of(&term);
            Ok(Expression { text: text.to_owned(), kind: shape.kind, shape, reads, term })
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

/// The fault of a condition that is null where what is read there is absent.
pub(crate) fn undecided(text: &str, reading: Reading) -> Fault {
    let read: String = text.chars().skip(reading.at).take(reading.length).collect();
    let shown = provision_core::text::escape(super::letters::left(&read, 60));
    let remedy = match ["user.", "role.", "value."].iter().any(|root| read.starts_with(root)) {
        true => format!("ask first, as in `has({shown}) && ..`, or decide by `first_nonempty(.., false)`"),
        false => "decide what holds then, as in `first_nonempty(.., false)`".to_owned(),
    };
    let summary = format!("`{shown}` may be null, and the condition has no answer then");
    Fault { code: "P0027", at: reading.at, length: reading.length, summary, remedy }
}

pub(super) struct Lowering<'a> {
    text: &'a str,
    source: SourceInfo,
    pub(super) known: &'a Vocabulary,
    faults: Vec<Fault>,
    /// Variables of the loop around, if there is one.
    pub(super) variables: Option<Variables>,
    /// Paths that are not null in the part that is read now, by the conditions around it.
    pub(super) present: Vec<String>,
}

/// The variables of a loop: their names and what they are.
#[derive(Clone, Debug)]
pub(super) struct Variables {
    pub(super) item: (String, Shape),
    pub(super) result: (String, Shape),
    /// The loop goes over values that may be lists.
    pub(super) lists: bool,
}

/// A part that was read and what it is.
pub(super) type Lowered = Option<(Term, Shape)>;

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
            Expr::Comprehension(_) if self.text.get(start..end) == Some("(") => {
                let name = word(before).max(1);
                (before.chars().count().saturating_sub(name), name)
            }
            Expr::Select(select) if self.text.get(start..end) == Some(".") => {
                let part = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '.');
                let operand = before.chars().rev().take_while(part).count();
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

    pub(super) fn term(&self, node: &Parsed, op: Op, shape: Shape) -> Lowered {
        let (at, _) = self.range(node);
        Some((Term { at, op }, shape))
    }

    /// The place of a node that may be null.
    pub(super) fn reading(&self, node: &Parsed) -> Option<Reading> {
        let (at, length) = self.range(node);
        Some(Reading { at, length })
    }

    /// Where the node may be null, unless a condition around it says that it is not.
    fn absent(&self, node: &Parsed) -> Option<Reading> {
        let known = path(node).is_some_and(|path| self.present.contains(&path));
        if known { None } else { self.reading(node) }
    }

    /// Reads a part that is evaluated only while `condition` is `truth`.
    pub(super) fn lower_under(&mut self, condition: &Parsed, truth: bool, node: &Parsed) -> Lowered {
        let before = self.present.len();
        proves(condition, truth, &mut self.present);
        let lowered = self.lower(node);
        self.present.truncate(before);
        lowered
    }

    /// Refuses a condition that some people have no answer to.
    pub(super) fn decided(&mut self, shape: Shape) {
        if let Some(reading) = shape.absent {
            let fault = undecided(self.text, reading);
            if !self.faults.contains(&fault) {
                self.faults.push(fault);
            }
        }
    }

    pub(super) fn unsupported(&mut self, node: &Parsed, what: &str) -> Lowered {
        self.fault("P0025", node, format!("{what} are not part of this language"), "write it without them");
        None
    }

    pub(super) fn lower(&mut self, node: &Parsed) -> Lowered {
        match &node.expr {
            Expr::Literal(literal) => match literal {
                LiteralValue::Null => {
                    self.term(node, Op::Null, Shape::of(Kind::Null).unless(self.reading(node)))
                }
                LiteralValue::Boolean(value) => {
                    self.term(node, Op::Bool(*value.inner()), Shape::of(Kind::Bool))
                }
                LiteralValue::Int(value) => self.term(node, Op::Int(*value.inner()), Shape::of(Kind::Int)),
                LiteralValue::String(value) => {
                    self.term(node, Op::Text(value.inner().to_owned()), Shape::of(Kind::Text))
                }
                _ => self.unsupported(node, "fractions, unsigned numbers and bytes"),
            },
            Expr::Ident(name) => self.variable(node, name),
            Expr::Select(select) => self.select(node, select),
            Expr::List(list) => {
                let items: Vec<_> = list.elements.iter().map(|item| self.lower(item)).collect();
                let items = items.into_iter().collect::<Option<Vec<_>>>()?;
                let mut shape = Shape::list(Kind::Null);
                for (element, (_, one)) in list.elements.iter().zip(&items) {
                    if one.kind == Kind::Account {
                        self.fault("P0026", element, "an account cannot stand in a list", "map it by itself");
                    }
                    shape.item = shape.item.or(one.kind);
                    shape.item_absent = shape.item_absent.or(one.absent).or(one.item_absent);
                }
                self.term(node, Op::List(items.into_iter().map(|(term, _)| term).collect()), shape)
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

    fn select(&mut self, node: &Parsed, select: &SelectExpr) -> Lowered {
        let (term, shape) = match &select.operand.expr {
            Expr::Ident(root) if !self.is_variable(root) => self.member(node, root, &select.field)?,
            _ => {
                let (operand, whole) = self.lower(&select.operand)?;
                if !matches!(whole.kind, Kind::Any | Kind::Null | Kind::List) {
                    let summary = format!("{} has no part `{}`", whole.kind.name(), select.field);
                    self.fault("P0026", node, summary, "read it as it is");
                }
                let op = Op::Part(Box::new(operand), select.field.clone());
                self.term(node, op, Shape::of(Kind::Any).unless(self.absent(node)))?
            }
        };
        if !select.test {
            return Some((term, shape));
        }
        self.term(node, Op::Present(Box::new(term)), Shape::of(Kind::Bool))
    }

    fn is_variable(&self, name: &str) -> bool {
        self.variables.as_ref().is_some_and(|known| known.item.0 == name || known.result.0 == name)
    }

    fn variable(&mut self, node: &Parsed, name: &str) -> Lowered {
        let known = ["key", "lifecycle", "name", "roles", "source", "today", "user", "value"];
        let (op, shape) = match name {
            _ if self.is_variable(name) => {
                let variables = self.variables.clone()?;
                if variables.item.0 == name {
                    let absent = variables.item.1.absent.and_then(|_| self.absent(node));
                    (Op::Item { many: variables.lists }, variables.item.1.unless(absent))
                } else {
                    (Op::Result, variables.result.1)
                }
            }
            _ if self.known.subject == Subject::Role => return self.not_of_roles(node, name),
            "lifecycle" => (Op::Lifecycle, Shape::of(Kind::Text)),
            "today" => (Op::Today, Shape::of(Kind::Date)),
            "key" => (Op::Key, Shape::of(Kind::Text)),
            "source" => (Op::Source, Shape::of(Kind::Text)),
            "roles" if self.known.roles => (Op::Roles, Shape::list(Kind::Text)),
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
                    None if self.known.attributes.contains_key(name) => {
                        format!("did you mean `user.{name}`?")
                    }
                    None => format!("known are {}", known.join(", ")),
                };
                self.fault("P0022", node, format!("unknown variable `{name}`"), remedy);
                return None;
            }
        };
        self.term(node, op, shape)
    }

    /// Refuses a name that means nothing where a role is the subject.
    fn not_of_roles(&mut self, node: &Parsed, name: &str) -> Lowered {
        let remedy = match name {
            "role" => "name a part of it, as in `role.name`",
            _ => "the map is of roles: known are `role.name`, `role.description` and `role.labels`",
        };
        self.fault("P0022", node, format!("`{name}` is not known here"), remedy);
        None
    }

    /// `user.title`, `name.mail`, `value.family`.
    fn member(&mut self, node: &Parsed, root: &str, field: &str) -> Lowered {
        let vocabulary = self.known;
        let own = vocabulary.subject.root();
        let (code, found, known): (_, _, Vec<&str>) = match root {
            _ if vocabulary.subject == Subject::Role && root != own => return self.not_of_roles(node, root),
            _ if root == own => {
                let attributes = &vocabulary.attributes;
                let slot = attributes.keys().position(|name| name == field);
                let found = slot.zip(attributes.get(field)).map(|(slot, shape)| {
                    let list = shape.kind == Kind::List;
                    let many = list || shape.kind == Kind::Any;
                    let op = Op::Attribute { slot, name: field.to_owned(), many, list };
                    (op, shape.unless(self.absent(node)))
                });
                ("P0016", found, attributes.keys().map(String::as_str).collect())
            }
            "name" => {
                let found = vocabulary.names.contains(field);
                let found = found.then(|| (Op::Name(field.to_owned()), Shape::of(Kind::Text)));
                ("P0015", found, vocabulary.names.iter().map(String::as_str).collect())
            }
            "value" => {
                let found = vocabulary.shared.get(field).map(|(index, shape)| {
                    let absent = shape.absent.and_then(|_| self.absent(node));
                    let item_absent = shape.item_absent.and_then(|_| self.reading(node));
                    (Op::Shared(*index), Shape { absent, item_absent, ..*shape })
                });
                ("P0015", found, vocabulary.shared.keys().map(String::as_str).collect())
            }
            _ => {
                let remedy = match suggestion(root, ["user", "name", "value"]) {
                    _ if root == Subject::Role.root() => {
                        "attributes of roles are read in a policy map with `of: role`".to_owned()
                    }
                    Some(meant) => format!("did you mean `{meant}.{field}`?"),
                    None => "parts are read from `user`, `name` and `value`".to_owned(),
                };
                self.fault("P0022", node, format!("unknown variable `{root}`"), remedy);
                return None;
            }
        };
        let Some((op, shape)) = found else {
            let remedy = match (suggestion(field, known), root) {
                (Some(meant), _) => format!("did you mean `{root}.{meant}`?"),
                (None, "role") => "a role has `name`, `description` and `labels`".to_owned(),
                (None, "user") => format!("correct it, or list `{field}` under `inputs`"),
                (None, "name") => "name an attribute that is generated before this one".to_owned(),
                (None, _) => "define it under `values`, before it is used".to_owned(),
            };
            let what = if root == own { "attribute" } else { root };
            self.fault(code, node, format!("unknown {what} `{root}.{field}`"), remedy);
            return None;
        };
        self.term(node, op, shape)
    }
}
