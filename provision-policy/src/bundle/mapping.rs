//! Mappings: the lines of a policy map.

use provision_core::id::PolicyRef;
use provision_core::policy::Strength;
use provision_core::value::AttrName;

use super::input::expression;
use super::period::{self, Period};
use crate::document::{Data, Fields, Node, Place, Reader};
use crate::evaluation::Inputs;
use crate::expression::{Expression, Kind, Reads, Vocabulary};

/// One line of a policy map.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    pub(crate) id: PolicyRef,
    pub(crate) state: State,
    pub(crate) strength: Strength,
    pub(crate) value: Expression,
    pub(crate) when: Option<Expression>,
    /// From when until when it counts.
    pub(crate) period: Option<Box<Period>>,
    pub(crate) when_null: WhenNull,
    /// It takes away what it gave, once it gives it no more.
    pub(crate) authoritative: bool,
    /// No other exclusive mapping may give a value besides.
    pub(crate) exclusive: bool,
    /// Values that it takes away whoever put them there: patterns.
    pub(crate) range: Vec<String>,
    pub(crate) inputs: Inputs,
}

/// Whether a mapping or a rule counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// It is checked and never evaluated.
    Draft,
    /// It counts in previews.
    Proposed,
    #[default]
    Active,
}

/// The words for states.
pub(super) const STATES: &[(&str, State)] =
    &[("draft", State::Draft), ("proposed", State::Proposed), ("active", State::Active)];

/// The words for strengths.
pub(super) const STRENGTHS: &[(&str, Strength)] = &[
    ("strong", Strength::Strong),
    ("normal", Strength::Normal),
    ("weak", Strength::Weak),
    ("create_only", Strength::CreateOnly),
];

/// What a mapping does when its value is null.
#[derive(Clone, Debug)]
pub(crate) enum WhenNull {
    /// Clears the attribute.
    Clear,
    /// Leaves it alone.
    Keep,
    /// Refuses the account.
    Refuse,
    /// Uses another value.
    Default(Box<Expression>),
}

/// The keys of a mapping in its long form.
const KEYS: [&str; 10] = [
    "value",
    "strength",
    "when",
    "from",
    "until",
    "when_null",
    "authoritative",
    "exclusive",
    "range",
    "state",
];
/// Longest pattern of a range, in bytes.
const PATTERN_MAX: usize = 256;
/// Most patterns of a list.
const PATTERNS_MAX: usize = 100;

impl Mapping {
    /// Every expression of it, in the order in which they are hashed.
    pub(super) fn each_expression<'m>(&'m self, visit: &mut dyn FnMut(&'m Expression)) {
        visit(&self.value);
        self.when.iter().for_each(&mut *visit);
        if let WhenNull::Default(default) = &self.when_null {
            visit(default);
        }
        self.period.iter().flat_map(|period| period.expressions()).for_each(visit);
    }

    /// The same as a list.
    pub(crate) fn expressions(&self) -> Vec<&Expression> {
        let mut all = Vec::new();
        self.each_expression(&mut |expression| all.push(expression));
        all
    }

    /// Notes what it reads, now that the shared values and the slots are known.
    pub(super) fn complete(&mut self, shared: &[Expression], attributes: &[AttrName]) {
        let own = self.expressions();
        let mut reads = Reads::default();
        own.iter().for_each(|expression| reads.extend(&expression.reads_all(shared)));
        let numbers: Vec<usize> = reads.shared.iter().copied().collect();
        let used = numbers.iter().filter_map(|index| shared.get(*index));
        let texts: Vec<&str> = own.iter().copied().chain(used).map(|used| used.text.as_str()).collect();
        self.inputs = Inputs::new(&self.id, &texts, reads, attributes);
    }

    /// What decides whether it counts.
    pub(super) fn conditions(&self, visit: &mut dyn FnMut(&Expression)) {
        self.when.iter().for_each(&mut *visit);
        self.period.iter().flat_map(|period| period.expressions()).for_each(visit);
    }

    /// It may count for some and not for others.
    pub(super) fn is_conditional(&self) -> bool {
        self.when.is_some() || self.period.is_some()
    }
}

/// Reads a mapping: an expression, or a mapping with `value` and how it is used. `strength` is that of mappings that do
/// not say; `None`: stands beside `each`, and not in the mapping.
pub(super) fn read(
    reader: &mut Reader<'_>,
    node: &Node,
    id: &str,
    known: &Vocabulary,
    (strength, together): (Strength, bool),
) -> Option<Mapping> {
    let plain = |value| Mapping {
        id: PolicyRef::new(id),
        state: State::Active,
        strength,
        value,
        when: None,
        period: None,
        when_null: WhenNull::Clear,
        authoritative: true,
        exclusive: false,
        range: Vec::new(),
        inputs: Inputs::default(),
    };
    if !matches!(node.data, Data::Map(_)) {
        return expression(reader, node, id, known, Kind::Any).map(plain);
    }
    let fields = reader.fields(node, id, &KEYS);
    let value = reader
        .required(&fields, "value")
        .and_then(|node| expression(reader, node, &fields.path_of("value"), known, Kind::Any));
    let when = fields
        .get("when")
        .and_then(|node| expression(reader, node, &fields.path_of("when"), known, Kind::Bool));
    let period = period::read(reader, &fields, known);
    let stated = fields.get("strength").and_then(|node| reader.word(node, id, STRENGTHS));
    let when_null = fields.get("when_null").and_then(|node| when_null(reader, node, id, known));
    let state = fields.get("state").and_then(|node| reader.word(node, id, STATES));
    let mut flag = |key: &str| fields.get(key).and_then(|node| reader.boolean(node, &fields.path_of(key)));
    let (authoritative, exclusive) = (flag("authoritative"), flag("exclusive"));
    let range = fields.get("range").map(|node| range(reader, node, &fields.path_of("range")));
    let mut mapping = plain(value?);
    mapping.when = when;
    mapping.period = period;
    mapping.strength = stated.unwrap_or(strength);
    mapping.when_null = when_null.unwrap_or(WhenNull::Clear);
    mapping.authoritative = authoritative.unwrap_or(true);
    mapping.exclusive = exclusive.unwrap_or(false);
    mapping.range = range.unwrap_or_default();
    mapping.state = state.unwrap_or_default();
    fit_together(reader, &fields, &mapping, together);
    Some(mapping)
}

/// Reports keys that do not go together.
fn fit_together(reader: &mut Reader<'_>, fields: &Fields<'_>, mapping: &Mapping, together: bool) {
    let mut refuse = |key: &str, summary: &str, remedy: &str| {
        let place = fields.get(key).map_or(fields.place, |node| node.place);
        reader.error("P0050", place, &fields.path_of(key), summary, remedy);
    };
    if together && fields.get("strength").is_some() {
        let summary = "values that are given together have one strength";
        refuse("strength", summary, "write `strength` beside `each`");
    }
    if !mapping.range.is_empty() && !mapping.authoritative {
        let summary = "a mapping that is not authoritative takes nothing away, and has no range";
        refuse("range", summary, "remove `range` or `authoritative: false`");
    }
    if !mapping.range.is_empty() && !keeps_right(mapping.strength) {
        let summary = "a weak or create_only mapping takes nothing away, and has no range";
        refuse("range", summary, "remove `range`, or make it `normal` or `strong`");
    }
}

/// Whether a strength takes values away.
pub(super) fn keeps_right(strength: Strength) -> bool {
    matches!(strength, Strength::Normal | Strength::Strong)
}

fn when_null(reader: &mut Reader<'_>, node: &Node, path: &str, known: &Vocabulary) -> Option<WhenNull> {
    if let Data::Map(_) = &node.data {
        let fields = reader.fields(node, path, &["default"]);
        let default = reader.required(&fields, "default")?;
        return expression(reader, default, path, known, Kind::Any).map(Box::new).map(WhenNull::Default);
    }
    let word = reader.word(node, path, &[("clear", 0), ("keep", 1), ("refuse", 2)])?;
    Some(match word {
        0 => WhenNull::Clear,
        1 => WhenNull::Keep,
        _ => WhenNull::Refuse,
    })
}

/// Reads `produced`, `all` or a list of patterns; what was produced needs none.
fn range(reader: &mut Reader<'_>, node: &Node, path: &str) -> Vec<String> {
    if let Data::List(_) = node.data {
        return patterns(reader, node, path);
    }
    match reader.word(node, path, &[("produced", false), ("all", true)]) {
        Some(true) => vec!["*".to_owned()],
        _ => Vec::new(),
    }
}

/// Reads a list of patterns in which `*` stands for any characters.
pub(super) fn patterns(reader: &mut Reader<'_>, node: &Node, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    let refuse = |reader: &mut Reader<'_>, place: Place, summary: String| {
        reader.error("P0052", place, path, summary, "write patterns like `dept-*`");
    };
    let items = reader.list(node, path);
    if items.len() > PATTERNS_MAX {
        refuse(reader, node.place, format!("more than {PATTERNS_MAX} patterns"));
    }
    for item in items.iter().take(PATTERNS_MAX) {
        match reader.text(item, path) {
            Some("") => refuse(reader, item.place, "an empty pattern fits no value".to_owned()),
            Some(text) if text.len() > PATTERN_MAX => {
                refuse(reader, item.place, format!("a pattern of more than {PATTERN_MAX} bytes"));
            }
            Some(text) => found.push(text.to_owned()),
            None => {}
        }
    }
    found
}
