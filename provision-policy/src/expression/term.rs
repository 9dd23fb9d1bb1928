//! Expressions as we evaluate them: the parser's tree with every name resolved.

use super::function::Function;
use super::pattern::Match;

/// A part of an expression and the character it was written at.
#[derive(Clone, Debug)]
pub(crate) struct Term {
    pub(crate) at: usize,
    pub(crate) op: Op,
}

/// What a part does.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    /// `user.title`, by the number of its slot.
    Attribute {
        slot: usize,
        name: String,
        /// It may have several values.
        many: bool,
        /// It is declared as a list, and is one also with a single value.
        list: bool,
    },
    /// `user.name.givenName`: a part of a structured value.
    Part(Box<Term>, String),
    /// `has(..)`
    Present(Box<Term>),
    /// `name.sAMAccountName`
    Name(String),
    /// `value.family`, by number.
    Shared(usize),
    Lifecycle,
    Today,
    Key,
    Source,
    Roles,
    /// The value a loop is at.
    Item {
        /// It may be a list itself.
        many: bool,
    },
    /// What a loop has come to.
    Result,
    List(Vec<Term>),
    Not(Box<Term>),
    Negate(Box<Term>),
    And(Box<Term>, Box<Term>),
    Or(Box<Term>, Box<Term>),
    If(Box<Term>, Box<Term>, Box<Term>),
    Binary(Binary, Box<Term>, Box<Term>),
    Call(Function, Vec<Term>),
    /// A function with a regular expression, which stands here and not among the arguments.
    Match(Box<Match>, Vec<Term>),
    /// `exists`, `all`, `filter`, `map`, `exists_one`.
    Fold(Box<Fold>),
}

/// Operators on two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    In,
    Index,
}

/// A loop over a list.
#[derive(Clone, Debug)]
pub(crate) struct Fold {
    pub(crate) range: Term,
    pub(crate) start: Term,
    pub(crate) go_on: Term,
    pub(crate) step: Term,
    pub(crate) end: Term,
}

impl Term {
    /// Calls `visit` for this part and every part below.
    pub(crate) fn walk<'t>(&'t self, visit: &mut dyn FnMut(&'t Term)) {
        visit(self);
        match &self.op {
            Op::Part(a, _) | Op::Present(a) | Op::Not(a) | Op::Negate(a) => a.walk(visit),
            Op::And(a, b) | Op::Or(a, b) | Op::Binary(_, a, b) => {
                a.walk(visit);
                b.walk(visit);
            }
            Op::If(a, b, c) => {
                a.walk(visit);
                b.walk(visit);
                c.walk(visit);
            }
            Op::List(items) | Op::Call(_, items) | Op::Match(_, items) => {
                items.iter().for_each(|item| item.walk(visit));
            }
            Op::Fold(fold) => {
                for part in [&fold.range, &fold.start, &fold.go_on, &fold.step, &fold.end] {
                    part.walk(visit);
                }
            }
            _ => {}
        }
    }
}
