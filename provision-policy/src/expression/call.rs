//! Calls of functions, checked: names, argument counts, kinds, and what must be written out.

use cel::parser::Expression as Parsed;

use super::calendar;
use super::function::{self, Function, Nulls, Signature};
use super::letters::Letters;
use super::parse::{Lowered, Lowering};
use super::pattern::Match;
use super::shape::{Kind, Shape};
use super::table;
use super::term::{Op, Term};
use crate::document::suggestion;

/// What is wrong with an argument that must be written out: its number, code, summary and remedy.
pub(super) type WrittenFault = (usize, &'static str, String, String);

impl Lowering<'_> {
    pub(super) fn call(&mut self, node: &Parsed, name: &str, args: &[&Parsed]) -> Lowered {
        if let Some(found) = self.operator(node, name, args) {
            return found;
        }
        let lowered: Vec<_> = args.iter().map(|arg| self.lower(arg)).collect();
        let Some(signature) = function::find(name) else {
            let names = function::FUNCTIONS.iter().map(|signature| signature.name);
            let remedy = match suggestion(name, names) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "see the table of functions in docs/spec/bundle.md".to_owned(),
            };
            self.fault("P0023", node, format!("unknown function `{name}`"), remedy);
            return None;
        };
        if !signature.takes_count(args.len()) {
            let summary = format!("`{name}` takes {}, not {}", signature.count(), args.len());
            self.fault("P0024", node, summary, "see the table of functions");
            return None;
        }
        for (index, (arg, lowered)) in args.iter().zip(&lowered).enumerate() {
            let wanted = signature.takes.get(index).or(signature.takes.last()).copied().unwrap_or(Kind::Any);
            if let Some((_, found)) = lowered
                // Feeds write dates and instants as texts, which are read where these are wanted.
                && !matches!((wanted, found.kind), (Kind::Date | Kind::Time, Kind::Text))
            {
                self.expect(arg, wanted, found.kind, &format!("`{name}`"));
            }
        }
        let lowered = lowered.into_iter().collect::<Option<Vec<_>>>()?;
        let (terms, shapes): (Vec<Term>, Vec<Shape>) = lowered.into_iter().unzip();
        let shape = self.gives(node, signature, &terms, &shapes);
        let op = self.written_out(node, signature.function, terms, args)?;
        self.term(node, op, shape)
    }

    /// What a call gives.
    fn gives(&self, node: &Parsed, signature: &Signature, terms: &[Term], shapes: &[Shape]) -> Shape {
        let passed = shapes.iter().find_map(|shape| shape.absent);
        let first = shapes.first().copied().unwrap_or(Shape::of(Kind::Any));
        match signature.function {
            Function::FirstNonempty => {
                let some = terms.iter().zip(shapes).any(|(term, shape)| never_empty(term, shape));
                let kinds = shapes.iter().copied().reduce(Shape::or).unwrap_or(first);
                kinds.unless(if some { None } else { self.reading(node) })
            }
            Function::Values => match first.kind {
                Kind::List => first.unless(None),
                kind => Shape { kind: Kind::List, item: kind, ..first }.unless(None),
            },
            Function::Lookup if terms.len() > 2 => {
                let text = |index: usize| match terms.get(index).map(|term| &term.op) {
                    Some(Op::Text(text)) => Some(text.as_str()),
                    _ => None,
                };
                let key = shapes.get(1).and_then(|shape| shape.absent);
                table::gives(self.known, (text(0), text(2)), key, self.reading(node))
            }
            Function::Lookup => {
                let defaults = match terms.first().map(|term| &term.op) {
                    Some(Op::Text(name)) => self.known.lookups.get(name).copied().unwrap_or_default(),
                    _ => false,
                };
                let key = shapes.get(1).and_then(|shape| shape.absent);
                Shape::of(Kind::Text).unless(if defaults { None } else { key })
            }
            Function::Unique => Shape { kind: Kind::List, ..first }.unless(passed),
            Function::Split | Function::Words => Shape::list(Kind::Text).unless(passed),
            _ => Shape::of(signature.gives).unless(match signature.nulls {
                Nulls::Handled => None,
                Nulls::Pass => passed,
                Nulls::Give => self.reading(node),
            }),
        }
    }

    /// Checks the arguments that must be written out, and compiles patterns.
    fn written_out(
        &mut self,
        node: &Parsed,
        function: Function,
        mut terms: Vec<Term>,
        args: &[&Parsed],
    ) -> Option<Op> {
        let text = |index: usize| match terms.get(index).map(|term| &term.op) {
            Some(Op::Text(text)) => Some(text.as_str()),
            _ => None,
        };
        let fault = match function {
            Function::Lookup if terms.len() > 2 => table::fault(self.known, text(0), text(2)),
            Function::Lookup => {
                let lookups = &self.known.lookups;
                match text(0) {
                    Some(name) if lookups.contains_key(name) => None,
                    Some(name) if self.known.tables.contains_key(name) => {
                        let summary = format!("`{name}` is a table: which of its columns?");
                        Some((0, "P0024", summary, format!("write `lookup(\"{name}\", .., \"column\")`")))
                    }
                    Some(name) => {
                        let meant = suggestion(name, lookups.keys().map(String::as_str));
                        let meant = meant.map(|meant| format!("did you mean `{meant}`?"));
                        let remedy = meant.unwrap_or_else(|| "define it under `lookups`".to_owned());
                        Some((0, "P0011", format!("unknown lookup `{name}`"), remedy))
                    }
                    None => {
                        let summary = "the lookup must be named in quotes".to_owned();
                        Some((0, "P0011", summary, "write `\"name\"`".to_owned()))
                    }
                }
            }
            Function::Only => {
                let letters = text(1).and_then(Letters::parse);
                letters.is_none().then(|| {
                    let remedy = "write it in quotes, as in `\"a-z0-9.\"`".to_owned();
                    (1, "P0026", "`only` needs a fixed set of characters".to_owned(), remedy)
                })
            }
            Function::Capture | Function::Matches | Function::ReplaceMatches => {
                let third = args.get(2).map(|_| text(2));
                match (text(1), third) {
                    (Some(pattern), None | Some(Some(_))) => {
                        match Match::new(function, pattern, third.flatten()) {
                            Ok(found) => {
                                terms.truncate(1);
                                return Some(Op::Match(Box::new(found), terms));
                            }
                            Err((index, why)) => Some((index, "P0029", why, "correct it".to_owned())),
                        }
                    }
                    _ => {
                        let summary = "a pattern and what replaces it must be written in quotes".to_owned();
                        Some((1, "P0029", summary, "write `\"[0-9]+\"`".to_owned()))
                    }
                }
            }
            _ => calendar::written_out(function, text(1))
                .map(|(summary, remedy)| (1, "P0029", summary, remedy)),
        };
        match fault {
            None => Some(Op::Call(function, terms)),
            Some((index, code, summary, remedy)) => {
                self.fault(code, args.get(index).copied().unwrap_or(node), summary, remedy);
                None
            }
        }
    }

    pub(super) fn expect(&mut self, node: &Parsed, wanted: Kind, found: Kind, user: &str) {
        if !wanted.admits(found) {
            let summary = format!("{user} needs {}, this is {}", wanted.name(), found.name());
            let remedy = match (wanted, found) {
                (Kind::List, _) => "make a list of it: `values(..)`",
                (Kind::Text, Kind::List) => {
                    "choose one, as in `x[0]`, or join them: `join_nonempty(\" \", x)`"
                }
                (Kind::Text, _) => "convert it: `string(..)`",
                (Kind::Int, Kind::Text) => "convert it: `int(..)`",
                _ => "convert it, or use another part",
            };
            self.fault("P0026", node, summary, remedy);
        }
    }
}

/// True for what is a value for everybody, and none that counts as empty.
fn never_empty(term: &Term, shape: &Shape) -> bool {
    match &term.op {
        Op::Text(text) => !text.is_empty(),
        _ => shape.absent.is_none() && matches!(shape.kind, Kind::Bool | Kind::Int | Kind::Date | Kind::Time),
    }
}
