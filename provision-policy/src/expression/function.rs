//! The functions of the expression language.

use super::shape::Kind;

/// A function of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    AccountOf,
    Ascii,
    Base64,
    Base64Utf16,
    BitAnd,
    Bool,
    Capture,
    Contains,
    Date,
    DateIn,
    Day,
    DaysBetween,
    Empty,
    EndOf,
    EndsWith,
    FileTime,
    FirstNonempty,
    Fold,
    FormatDate,
    FormatInstant,
    FromFileTime,
    Hex,
    IndexOf,
    Instant,
    Int,
    JoinNonempty,
    KindOf,
    LastIndexOf,
    Left,
    LeftBytes,
    Lookup,
    Lower,
    Matches,
    Mid,
    Month,
    MonthsBetween,
    Only,
    PadLeft,
    ParseDate,
    ParseInstant,
    PlusDays,
    PlusMonths,
    PlusSeconds,
    Rdn,
    Replace,
    ReplaceMatches,
    Right,
    SecondsBetween,
    Size,
    Split,
    StartOf,
    StartsWith,
    Text,
    TitleCase,
    Trim,
    Unique,
    Upper,
    Values,
    Weekday,
    WithoutMarks,
    Words,
    Year,
}

/// What a function makes of null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nulls {
    /// A null argument gives null; nothing else does.
    Pass,
    /// A null argument gives null, and so may others.
    Give,
    /// It has its own answer for a null argument.
    Handled,
}

/// A function's name, what it takes and what it gives.
#[derive(Debug)]
pub(crate) struct Signature {
    pub(crate) function: Function,
    pub(crate) name: &'static str,
    /// Kinds of the arguments; the last one repeats when `variadic`.
    pub(crate) takes: &'static [Kind],
    /// How many of them must be given.
    pub(crate) needs: usize,
    pub(crate) variadic: bool,
    pub(crate) gives: Kind,
    pub(crate) nulls: Nulls,
    /// It may look through a whole list.
    pub(crate) walks: bool,
}

const fn row(function: Function, name: &'static str, takes: &'static [Kind], gives: Kind) -> Signature {
    let needs = takes.len();
    Signature { function, name, takes, needs, variadic: false, gives, nulls: Nulls::Pass, walks: false }
}

impl Signature {
    /// So many of the last arguments may be left out.
    const fn optional(mut self, count: usize) -> Self {
        self.needs -= count;
        self
    }

    const fn nulls(mut self, nulls: Nulls) -> Self {
        self.nulls = nulls;
        self
    }

    const fn walks(mut self) -> Self {
        self.walks = true;
        self
    }

    /// True when it never gives a list.
    pub(super) fn gives_one(&self) -> bool {
        !matches!(self.gives, Kind::Any | Kind::List)
    }

    /// True when it can be called with so many arguments.
    pub(super) fn takes_count(&self, count: usize) -> bool {
        count >= self.needs && (self.variadic || count <= self.takes.len())
    }

    /// The number of arguments in words.
    pub(super) fn count(&self) -> String {
        let most = self.takes.len();
        match (self.needs, self.variadic) {
            (1, false) if most == 1 => "1 argument".to_owned(),
            (needs, true) => format!("{needs} or more arguments"),
            (needs, false) if needs == most => format!("{needs} arguments"),
            (needs, false) => format!("{needs} to {most} arguments"),
        }
    }
}

use Kind::{Any, Bool, Date, Int, List, Text, Time};
use Nulls::{Give, Handled};

/// Every function there is, by name.
pub(crate) const FUNCTIONS: &[Signature] = &[
    row(Function::AccountOf, "account_of", &[Text], Kind::Account).nulls(Give),
    row(Function::Ascii, "ascii", &[Text, Text], Text).optional(1),
    row(Function::Base64, "base64", &[Text], Text),
    row(Function::Base64Utf16, "base64_utf16", &[Text], Text),
    row(Function::BitAnd, "bit_and", &[Int, Int], Int),
    row(Function::Bool, "bool", &[Any], Bool),
    row(Function::Capture, "capture", &[Text, Text, Text], Text).optional(1).nulls(Give),
    row(Function::Contains, "contains", &[Any, Any], Bool).walks(),
    row(Function::Date, "date", &[Any], Date),
    row(Function::DateIn, "date_in", &[Time, Text], Date),
    row(Function::Day, "day", &[Date], Int),
    row(Function::DaysBetween, "days_between", &[Date, Date], Int),
    row(Function::Empty, "empty", &[Any], Bool).nulls(Handled),
    row(Function::EndOf, "end_of", &[Date], Time),
    row(Function::EndsWith, "endsWith", &[Text, Text], Bool),
    row(Function::FileTime, "filetime", &[Time], Int),
    Signature {
        variadic: true,
        ..row(Function::FirstNonempty, "first_nonempty", &[Any], Any).nulls(Handled)
    },
    row(Function::Fold, "fold", &[Text], Text),
    row(Function::FormatDate, "format_date", &[Date, Text], Text),
    row(Function::FormatInstant, "format_instant", &[Time, Text], Text),
    row(Function::FromFileTime, "from_filetime", &[Int], Time).nulls(Give),
    row(Function::Hex, "hex", &[Text], Text),
    row(Function::IndexOf, "index_of", &[Text, Text], Int).nulls(Give),
    row(Function::Instant, "instant", &[Any], Time),
    row(Function::Int, "int", &[Any], Int),
    row(Function::JoinNonempty, "join_nonempty", &[Text, List], Text).walks(),
    row(Function::KindOf, "kind", &[Any], Text).nulls(Handled),
    row(Function::LastIndexOf, "last_index_of", &[Text, Text], Int).nulls(Give),
    row(Function::Left, "left", &[Text, Int], Text),
    row(Function::LeftBytes, "left_bytes", &[Text, Int], Text),
    row(Function::Lookup, "lookup", &[Text, Any, Text], Text).optional(1).nulls(Handled),
    row(Function::Lower, "lower", &[Text, Text], Text).optional(1),
    row(Function::Matches, "matches", &[Text, Text], Bool),
    row(Function::Mid, "mid", &[Text, Int, Int], Text),
    row(Function::Month, "month", &[Date], Int),
    row(Function::MonthsBetween, "months_between", &[Date, Date], Int),
    row(Function::Only, "only", &[Text, Text], Text),
    row(Function::PadLeft, "pad_left", &[Text, Int, Text], Text),
    row(Function::ParseDate, "parse_date", &[Text, Text], Date),
    row(Function::ParseInstant, "parse_instant", &[Text, Text], Time),
    row(Function::PlusDays, "plus_days", &[Date, Int], Date),
    row(Function::PlusMonths, "plus_months", &[Date, Int], Date),
    row(Function::PlusSeconds, "plus_seconds", &[Time, Int], Time),
    row(Function::Rdn, "rdn", &[Text], Text),
    row(Function::Replace, "replace", &[Text, Text, Text], Text),
    row(Function::ReplaceMatches, "replace_matches", &[Text, Text, Text], Text),
    row(Function::Right, "right", &[Text, Int], Text),
    row(Function::SecondsBetween, "seconds_between", &[Time, Time], Int),
    row(Function::Size, "size", &[Any], Int),
    row(Function::Split, "split", &[Text, Text], List),
    row(Function::StartOf, "start_of", &[Date], Time),
    row(Function::StartsWith, "startsWith", &[Text, Text], Bool),
    row(Function::Text, "string", &[Any], Text),
    row(Function::TitleCase, "title_case", &[Text, Text], Text).optional(1),
    row(Function::Trim, "trim", &[Text], Text),
    row(Function::Unique, "unique", &[List], List).walks(),
    row(Function::Upper, "upper", &[Text, Text], Text).optional(1),
    row(Function::Values, "values", &[Any], List).nulls(Handled),
    row(Function::Weekday, "weekday", &[Date], Int),
    row(Function::WithoutMarks, "without_marks", &[Text], Text),
    row(Function::Words, "words", &[Text, Text], List).optional(1),
    row(Function::Year, "year", &[Date], Int),
];

/// The function of that name.
pub(crate) fn find(name: &str) -> Option<&'static Signature> {
    FUNCTIONS.iter().find(|signature| signature.name == name)
}

/// What is known of a function.
pub(super) fn of(function: Function) -> Option<&'static Signature> {
    FUNCTIONS.iter().find(|signature| signature.function == function)
}
