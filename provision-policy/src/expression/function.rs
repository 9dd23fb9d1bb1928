//! The functions of the expression language.

/// What a value is, as far as it is known without data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Any,
    Null,
    Bool,
    Int,
    Text,
    Date,
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
            Self::List => "a list",
            Self::Account => "a reference to an account",
        }
    }

    /// False when a value of kind `found` can never serve where `self` is wanted.
    pub(crate) fn admits(self, found: Self) -> bool {
        self == found || matches!(self, Self::Any) || matches!(found, Self::Any | Self::Null)
    }
}

/// A function of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    AccountOf,
    Ascii,
    Contains,
    Date,
    Empty,
    EndsWith,
    FirstNonempty,
    JoinNonempty,
    Left,
    Lookup,
    Lower,
    Only,
    PlusDays,
    Rdn,
    Replace,
    Right,
    Size,
    StartsWith,
    Text,
    Trim,
    Upper,
    Values,
}

/// A function's name, what it takes and what it gives.
#[derive(Debug)]
pub(crate) struct Signature {
    pub(crate) function: Function,
    pub(crate) name: &'static str,
    /// Kinds of the arguments; the last one repeats when `variadic`.
    pub(crate) takes: &'static [Kind],
    pub(crate) variadic: bool,
    pub(crate) gives: Kind,
}

const fn fixed(function: Function, name: &'static str, takes: &'static [Kind], gives: Kind) -> Signature {
    Signature { function, name, takes, variadic: false, gives }
}

use Kind::{Any, Bool, Int, List, Text};

/// Every function there is, by name.
pub(crate) const FUNCTIONS: &[Signature] = &[
    fixed(Function::AccountOf, "account_of", &[Text], Kind::Account),
    fixed(Function::Ascii, "ascii", &[Text], Text),
    fixed(Function::Contains, "contains", &[Any, Any], Bool),
    fixed(Function::Date, "date", &[Any], Kind::Date),
    fixed(Function::Empty, "empty", &[Any], Bool),
    fixed(Function::EndsWith, "endsWith", &[Text, Text], Bool),
    Signature {
        function: Function::FirstNonempty,
        name: "first_nonempty",
        takes: &[Any],
        variadic: true,
        gives: Any,
    },
    fixed(Function::JoinNonempty, "join_nonempty", &[Text, List], Text),
    fixed(Function::Left, "left", &[Text, Int], Text),
    fixed(Function::Lookup, "lookup", &[Text, Any], Text),
    fixed(Function::Lower, "lower", &[Text], Text),
    fixed(Function::Only, "only", &[Text, Text], Text),
    fixed(Function::PlusDays, "plus_days", &[Any, Int], Kind::Date),
    fixed(Function::Rdn, "rdn", &[Text], Text),
    fixed(Function::Replace, "replace", &[Text, Text, Text], Text),
    fixed(Function::Right, "right", &[Text, Int], Text),
    fixed(Function::Size, "size", &[Any], Int),
    fixed(Function::StartsWith, "startsWith", &[Text, Text], Bool),
    fixed(Function::Text, "string", &[Any], Text),
    fixed(Function::Trim, "trim", &[Text], Text),
    fixed(Function::Upper, "upper", &[Text], Text),
    fixed(Function::Values, "values", &[Any], List),
];

/// The function of that name.
pub(crate) fn find(name: &str) -> Option<&'static Signature> {
    FUNCTIONS.iter().find(|signature| signature.name == name)
}
