//! The mappings of one attribute, and what becomes of values that none of them gives.

use std::collections::BTreeMap;

use provision_core::id::PolicyRef;
use provision_core::policy::{LeftReason, Range, Strength};
use provision_core::value::AttrName;

use super::mapping::{self, Mapping, STRENGTHS, State, keeps_right, patterns};
use crate::document::{Data, Node, Place, Reader};
use crate::evaluation::Inputs;
use crate::expression::{Expression, Kind, Reads, Vocabulary};

/// How the values of one attribute come to be.
#[derive(Clone, Debug)]
pub(crate) struct AttributeMap {
    pub(crate) id: PolicyRef,
    pub(crate) attribute: AttrName,
    /// Active and proposed ones, in order.
    pub(crate) mappings: Vec<Mapping>,
    /// Checked and never evaluated.
    pub(crate) drafts: Vec<Mapping>,
    /// Every mapping that counts gives values; otherwise the first.
    pub(crate) each: bool,
    /// Foreign values that go.
    pub(crate) removes: Vec<Range>,
    /// Patterns of foreign values that stay all the same.
    pub(crate) keeps: Vec<String>,
    /// What becomes of its value when no mapping counts; `None`: one always does, or none is active.
    pub(crate) withdrawal: Option<Withdrawal>,
    /// An active mapping is not authoritative: what was written before stays.
    pub(crate) add_only: bool,
    /// A mapping counts from or until an instant.
    pub(crate) timed: bool,
    /// Two mappings or more are exclusive.
    pub(crate) exclusive: bool,
    /// Everything that the active mappings read.
    pub(crate) inputs: Inputs,
}

/// What becomes of a value when no mapping counts any more.
#[derive(Clone, Debug)]
pub(crate) struct Withdrawal {
    /// Why it stays, whoever it is.
    pub(crate) stays: Option<LeftReason>,
    /// Everything that the conditions read.
    pub(crate) inputs: Inputs,
}

impl AttributeMap {
    /// All of them, drafts as well.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Mapping> {
        self.mappings.iter().chain(&self.drafts)
    }

    fn active(&self) -> impl Iterator<Item = &Mapping> {
        self.mappings.iter().filter(|mapping| mapping.state == State::Active)
    }

    /// True when an active mapping gives it values.
    pub(crate) fn is_active(&self) -> bool {
        self.active().next().is_some()
    }

    /// True when it takes values out of a set that others put there.
    pub(crate) fn takes_away(&self) -> bool {
        !self.removes.is_empty() || self.all().any(|mapping| !mapping.range.is_empty())
    }

    /// Notes what the mappings read, and what follows from all of them.
    pub(super) fn complete(&mut self, shared: &[Expression], attributes: &[AttrName]) {
        for mapping in self.mappings.iter_mut().chain(&mut self.drafts) {
            mapping.complete(shared, attributes);
        }
        let mut reads = Reads::default();
        self.active().for_each(|mapping| reads.extend(&mapping.inputs.reads));
        self.inputs = Inputs::new(&self.id, &[], reads, attributes);
        let add_only = self.active().any(|mapping| !mapping.authoritative);
        self.add_only = add_only;
        self.timed = self.mappings.iter().any(|mapping| mapping.period.is_some());
        self.exclusive = self.mappings.iter().filter(|mapping| mapping.exclusive).count() > 1;
        self.withdrawal = self.withdrawal(shared, attributes);
    }

    fn withdrawal(&self, shared: &[Expression], attributes: &[AttrName]) -> Option<Withdrawal> {
        if !self.is_active() || !self.active().all(Mapping::is_conditional) {
            return None;
        }
        let mut reads = Reads::default();
        for mapping in self.active() {
            mapping.conditions(&mut |condition| reads.extend(&condition.reads_all(shared)));
        }
        // Which of them wrote the value is not known any more: one that takes nothing back speaks for all.
        let has = |strength: Strength| self.active().any(|mapping| mapping.strength == strength);
        let stays = if self.add_only {
            Some(LeftReason::NotAuthoritative)
        } else if has(Strength::CreateOnly) {
            Some(LeftReason::CreateOnly)
        } else {
            has(Strength::Weak).then_some(LeftReason::Weak)
        };
        Some(Withdrawal { stays, inputs: Inputs::new(&self.id, &[], reads, attributes) })
    }
}

/// Reads what one attribute is mapped to: a mapping, a list of which the first counts, or several together.
pub(super) fn read(
    reader: &mut Reader<'_>,
    node: &Node,
    (name, id): (&str, &str),
    known: &Vocabulary,
    strength: Strength,
    places: &mut BTreeMap<String, Place>,
) -> AttributeMap {
    let mut map = AttributeMap {
        id: PolicyRef::new(id),
        attribute: AttrName::new(name),
        mappings: Vec::new(),
        drafts: Vec::new(),
        each: false,
        removes: Vec::new(),
        keeps: Vec::new(),
        withdrawal: None,
        add_only: false,
        timed: false,
        exclusive: false,
        inputs: Inputs::default(),
    };
    let mut found = Vec::new();
    let is_each = |entry: &(Node, Node)| entry.0.text() == Some("each");
    match &node.data {
        Data::List(items) => {
            for (index, item) in items.iter().enumerate() {
                let id = format!("{id}[{index}]");
                places.insert(id.clone(), item.place);
                found.extend(mapping::read(reader, item, &id, known, (strength, false)));
            }
        }
        Data::Map(entries) if entries.iter().any(is_each) => {
            found = together(reader, node, &mut map, known, strength, places);
        }
        _ => found.extend(mapping::read(reader, node, id, known, (strength, false))),
    }
    for mapping in found {
        match mapping.state {
            State::Draft => map.drafts.push(mapping),
            State::Proposed | State::Active => map.mappings.push(mapping),
        }
    }
    map
}

/// Reads `each` and what stands beside it.
fn together(
    reader: &mut Reader<'_>,
    node: &Node,
    map: &mut AttributeMap,
    known: &Vocabulary,
    strength: Strength,
    places: &mut BTreeMap<String, Place>,
) -> Vec<Mapping> {
    map.each = true;
    let id = map.id.as_str().to_owned();
    let fields = reader.fields(node, &id, &["each", "strength", "foreign", "keep", "remove"]);
    let strength =
        fields.get("strength").and_then(|node| reader.word(node, &id, STRENGTHS)).unwrap_or(strength);
    let foreign = fields
        .get("foreign")
        .and_then(|node| reader.word(node, &fields.path_of("foreign"), &[("keep", false), ("remove", true)]));
    let mut list = |key: &str| {
        fields.get(key).map(|node| patterns(reader, node, &fields.path_of(key))).unwrap_or_default()
    };
    (map.keeps, map.removes) =
        (list("keep"), list("remove").into_iter().map(|pattern| map.range(pattern)).collect());
    if foreign == Some(true) {
        map.removes.push(map.range("*".to_owned()));
    }
    if !map.removes.is_empty() && !keeps_right(strength) {
        let key = if foreign == Some(true) { "foreign" } else { "remove" };
        let place = fields.get(key).map_or(fields.place, |node| node.place);
        let summary = "weak and create_only mappings take nothing away";
        let remedy = "remove it, or make the attribute `normal` or `strong`";
        reader.error("P0050", place, &fields.path_of(key), summary, remedy);
    }
    let mut found = Vec::new();
    let Some(node) = fields.get("each") else { return found };
    let items = reader.list(node, &fields.path_of("each"));
    for (index, item) in items.iter().enumerate() {
        let id = format!("{id}[{index}]");
        places.insert(id.clone(), item.place);
        let mapping = mapping::read(reader, item, &id, known, (strength, true));
        if mapping.as_ref().is_some_and(|mapping| mapping.value.kind == Kind::Account) {
            let summary = "a reference to an account is not one of several values";
            reader.error("P0050", item.place, &id, summary, "map the attribute without `each`");
        }
        found.extend(mapping);
    }
    if items.is_empty() {
        reader.error("P0005", node.place, &id, "`each` holds no mapping", "add one");
    }
    found
}

impl AttributeMap {
    fn range(&self, pattern: String) -> Range {
        Range { pattern, by: self.id.clone() }
    }
}
