//! Sets: what we wrote and is not wanted any more goes, what is missing comes, what others put there stays unless the
//! policy says otherwise.

use std::collections::BTreeMap;

use crate::delta::Change;
use crate::model::Link;
use crate::plan::Reason;
use crate::policy::{Derivation, DesiredValue, Range, Strength, Tolerance};
use crate::schema::AttributeSchema;
use crate::value::{AttrName, Slot, Value};

/// Whether the values of an attribute are a set.
pub(super) fn is_set(schema: &AttributeSchema) -> bool {
    schema.multi && !schema.ordered
}

/// A set of an account as we know it.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) link: &'a Link,
    pub(super) name: &'a AttrName,
    pub(super) schema: &'a AttributeSchema,
}

/// Foreign values that go, each with the range that takes it away.
pub(super) type Foreign<'a> = Vec<(&'a Value, &'a Range)>;

impl<'a> Known<'a> {
    /// What we wrote.
    pub(super) fn written(&self) -> &'a [Value] {
        self.link.applied.values(self.name.as_str())
    }

    fn drift(&self) -> Option<&'a Slot> {
        self.link.drift.get(self.name.as_str())
    }

    /// What the target shows, as far as that is known.
    pub(super) fn seen(&self) -> Option<&'a [Value]> {
        self.drift().or_else(|| self.link.observed.get(self.name.as_str())).map(Slot::values)
    }

    pub(super) fn has(&self, values: &[Value], value: &Value) -> bool {
        values.iter().any(|known| self.schema.same(known, value))
    }

    /// Whether the target shows what we write as we write it: only then are values that we did not write foreign, and
    /// not a form of ours.
    fn shows_ours(&self) -> bool {
        let shown = self.link.observed.values(self.name.as_str());
        self.written().iter().all(|value| self.has(shown, value))
    }

    /// The values of ours that go, and how the target shows them where it keeps case or space in its own way.
    pub(super) fn with_shown_forms(&self, gone: Vec<Value>, wanted: &[Value]) -> Vec<Value> {
        let mut all = gone;
        for shown in self.seen().unwrap_or_default() {
            let form = all.iter().any(|value| !self.schema.same(value, shown) && alike(value, shown));
            if form && !self.has(self.written(), shown) && !wanted.iter().any(|value| alike(value, shown)) {
                all.push(shown.clone());
            }
        }
        all
    }

    /// Values that neither we wrote nor a mapping gives, and that a range takes away.
    pub(super) fn foreign(&self, value: &'a DesiredValue, wanted: &Slot) -> Foreign<'a> {
        let Some(tolerance) = value.tolerance.as_deref() else { return Vec::new() };
        let kept_right = matches!(value.strength, Strength::Strong | Strength::Normal);
        if !kept_right || !is_set(self.schema) || tolerance.removes.is_empty() || !self.shows_ours() {
            return Vec::new();
        }
        let insisted = self.link.insisted.values(self.name.as_str());
        let ours = |seen: &Value| {
            self.has(self.written(), seen)
                || self.has(wanted.values(), seen)
                || self.written().iter().any(|value| alike(value, seen))
        };
        let seen = self.seen().unwrap_or_default().iter();
        let foreign = seen.filter(|seen| !ours(seen) && !self.has(insisted, seen));
        foreign.filter_map(|seen| Some((seen, tolerance.removes(self.schema, seen)?))).collect()
    }

    /// The change of the set. Not `kept_right`: only foreign values go.
    pub(super) fn change(
        &self,
        tolerance: Option<&Tolerance>,
        wanted: &Slot,
        kept_right: bool,
        foreign: &Foreign<'_>,
    ) -> Option<Change> {
        let (written, seen) = (self.written(), self.seen());
        let there = |value: &Value| match (seen, self.drift()) {
            (Some(seen), Some(_)) => self.has(seen, value),
            (seen, _) => self.has(written, value) || seen.is_some_and(|seen| self.has(seen, value)),
        };
        // What is only added stays, but for the ranges of others.
        let may_go = |value: &Value| match tolerance {
            Some(tolerance) if tolerance.add_only => tolerance.removes(self.schema, value).is_some(),
            _ => true,
        };
        let missing = wanted.values().iter().filter(|value| kept_right && !there(value));
        let add: Vec<Value> = missing.cloned().collect();
        let gone =
            written.iter().filter(|value| kept_right && !self.has(wanted.values(), value) && may_go(value));
        let mut remove = self.with_shown_forms(gone.cloned().collect(), wanted.values());
        remove.extend(foreign.iter().map(|(value, _)| (*value).clone()));
        let left = |value: &Value| !self.has(&remove, value);
        let stays = seen.unwrap_or_default().iter().any(left) || written.iter().any(left);
        match (add.is_empty() && remove.is_empty(), wanted.values().is_empty() && !stays) {
            (true, _) => None,
            (false, true) => Some(Change::Clear),
            (false, false) => Some(Change::Edit { add, remove }),
        }
    }
}

/// Why foreign values go: a reason for each range that takes some away.
pub(super) fn reasons(name: &AttrName, foreign: &Foreign<'_>, identity_version: u64) -> Vec<Reason> {
    let mut ranges: BTreeMap<(&str, &str), (&Range, usize)> = BTreeMap::new();
    for (_, range) in foreign {
        ranges.entry((range.by.as_str(), range.pattern.as_str())).or_insert((range, 0)).1 += 1;
    }
    let reason = |(range, count): &(&Range, usize)| Reason {
        attribute: Some(name.clone()),
        derivation: Derivation {
            mapping: Some(range.by.clone()),
            identity_version,
            note: Some(format!("values that no mapping gives go, in the range `{}`: {count}", range.pattern)),
            ..Derivation::default()
        },
        because: Vec::new(),
    };
    ranges.values().map(reason).collect()
}

/// Whether two texts differ in case and in space around them at most: as targets keep them in their own way.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => {
            let (a, b) = (a.trim(), b.trim());
            a == b || a.to_lowercase() == b.to_lowercase()
        }
        (a, b) => a == b,
    }
}
