//! What a part of an expression is, as far as it is known without data.

/// The kinds of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Any,
    Null,
    Bool,
    Int,
    Text,
    Date,
    Time,
    List,
    Account,
}

impl Kind {
    /// How messages call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Any => "any value",
            Self::Null => "null",
            Self::Bool => "true or false",
            Self::Int => "a number",
            Self::Text => "text",
            Self::Date => "a date",
            Self::Time => "an instant",
            Self::List => "a list",
            Self::Account => "a reference to an account",
        }
    }

    /// False when a value of kind `found` can never serve where `self` is wanted.
    pub(crate) fn admits(self, found: Self) -> bool {
        self == found || matches!(self, Self::Any) || matches!(found, Self::Any | Self::Null)
    }

    /// The kind of a value that is one of the two.
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Null, kind) | (kind, Self::Null) => kind,
            (a, b) if a == b => a,
            _ => Self::Any,
        }
    }
}

/// Characters of the expression: where something is read that may be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) at: usize,
    pub(crate) length: usize,
}

/// The static type of a part: its kind, and whether it may be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) kind: Kind,
    /// Of a list: what its values are.
    pub(crate) item: Kind,
    /// What makes it null for some people; `None` when it is there for everybody.
    pub(crate) absent: Option<Reading>,
    /// Of a list: what makes one of its values null, however deep it stands.
    pub(super) item_absent: Option<Reading>,
}

impl Shape {
    /// A value of that kind that is always there.
    pub(crate) const fn of(kind: Kind) -> Self {
        Self { kind, item: Kind::Any, absent: None, item_absent: None }
    }

    /// A list of values of that kind.
    pub(crate) const fn list(item: Kind) -> Self {
        Self { kind: Kind::List, item, absent: None, item_absent: None }
    }

    /// How messages call it.
    pub(crate) fn describe(self) -> String {
        match (self.kind, self.item) {
            (Kind::List, Kind::Any | Kind::Null) | (Kind::List, Kind::List) => "a list".to_owned(),
            (Kind::List, item) => format!("a list whose values are {}", item.name()),
            (kind, _) => kind.name().to_owned(),
        }
    }

    pub(super) const fn unless(mut self, absent: Option<Reading>) -> Self {
        self.absent = absent;
        self
    }

    /// What one value of it is when a loop goes over it.
    pub(super) fn one(self) -> Self {
        let kind = if self.kind == Kind::List { self.item } else { Kind::Any };
        Self { kind, item: Kind::Any, absent: self.item_absent, item_absent: self.item_absent }
    }

    /// A value that is one of the two.
    pub(super) fn or(self, other: Self) -> Self {
        let kind = self.kind.or(other.kind);
        let item = match (self.kind, other.kind) {
            (Kind::List, Kind::List) => self.item.or(other.item),
            (Kind::List, _) => self.item,
            _ => other.item,
        };
        Self {
            kind,
            item,
            absent: self.absent.or(other.absent),
            item_absent: self.item_absent.or(other.item_absent),
        }
    }
}
