//! What a delta would do, measured while it is staged, and the guards that look at it before anything is taken over.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    ConfiguredSource, Employment, FeedChangeKind, FeedCounts, Lifecycle, RecordState, SourceRecord,
};
use crate::source::{FeedRecord, RecordAction, SourceSettings};
use crate::value::{AttrName, Attributes, Timestamp, Zone};

/// What one staged change does.
#[derive(Debug, Default)]
pub(super) struct Effect {
    added: bool,
    changed: bool,
    removed: bool,
    terminated: bool,
    /// A record that stands now would be gone: what the guard counts.
    ends: bool,
    cleared: Vec<AttrName>,
}

impl Effect {
    pub(super) fn of(
        kind: FeedChangeKind,
        old: Option<&SourceRecord>,
        new: Option<&FeedRecord>,
        settings: &SourceSettings,
        now: Timestamp,
    ) -> Self {
        let stood = old.is_some_and(|old| {
            old.state != RecordState::Removed
                && !is_over(&old.employment, old.zone.as_ref().unwrap_or(&settings.zone), now)
        });
        match (kind, new) {
            // Without lifecycle a removal ends nobody's employment, and yet takes away all that the record said: it
            // counts as a removal, and its values are not counted once more.
            (FeedChangeKind::Remove, _) => Self { removed: true, ends: stood, ..Self::default() },
            (FeedChangeKind::Upsert, Some(new)) => {
                let over = is_over(&new.employment, new.zone.as_ref().unwrap_or(&settings.zone), now);
                let terminated = stood && over && settings.asserts_lifecycle;
                Self {
                    added: old.is_none(),
                    changed: old.is_some(),
                    terminated,
                    ends: terminated,
                    cleared: old
                        .filter(|old| old.state != RecordState::Removed)
                        .map(|old| cleared(&old.attributes, &new.attributes).cloned().collect())
                        .unwrap_or_default(),
                    ..Self::default()
                }
            }
            _ => Self::default(),
        }
    }
}

/// Attributes that have a value before and none after.
fn cleared<'a>(before: &'a Attributes, after: &'a Attributes) -> impl Iterator<Item = &'a AttrName> {
    before
        .iter()
        .filter(|(name, slot)| !slot.values().is_empty() && after.values(name.as_str()).is_empty())
        .map(|(name, _)| name)
}

fn is_over(employment: &Employment, zone: &Zone, now: Timestamp) -> bool {
    employment.at(now, zone).is_ok_and(|(lifecycle, _)| lifecycle == Lifecycle::Terminated)
}

/// The sum over a delta.
#[derive(Debug, Default)]
pub(super) struct Measure {
    ends: u64,
    cleared: BTreeMap<AttrName, u64>,
    canaries_standing: BTreeSet<String>,
    canaries_ended: BTreeSet<String>,
}

impl Measure {
    pub(super) fn add(&mut self, effect: &Effect, counts: &mut FeedCounts) {
        self.apply(effect, counts, u64::saturating_add);
    }

    /// Takes back what a change added that another one replaces.
    pub(super) fn take_back(&mut self, effect: &Effect, counts: &mut FeedCounts) {
        self.apply(effect, counts, u64::saturating_sub);
    }

    fn apply(&mut self, effect: &Effect, counts: &mut FeedCounts, count: fn(u64, u64) -> u64) {
        for (sum, happens) in [
            (&mut counts.added, effect.added),
            (&mut counts.changed, effect.changed),
            (&mut counts.removed, effect.removed),
            (&mut counts.terminated, effect.terminated),
            (&mut self.ends, effect.ends),
        ] {
            *sum = count(*sum, u64::from(happens));
        }
        for name in &effect.cleared {
            let sum = self.cleared.entry(name.clone()).or_default();
            *sum = count(*sum, 1);
        }
    }

    pub(super) fn look_for_canary(&mut self, row: &FeedRecord, settings: &SourceSettings, now: Timestamp) {
        if settings.guard.canaries.is_empty() || !settings.guard.canaries.contains(&row.key) {
            return;
        }
        let zone = row.zone.as_ref().unwrap_or(&settings.zone);
        if row.action == RecordAction::Remove || is_over(&row.employment, zone, now) {
            self.canaries_ended.insert(row.key.clone());
        } else {
            self.canaries_standing.insert(row.key.clone());
        }
    }

    /// Why the delta must wait for a person; empty: it need not. `whole`: a complete full feed, where absence counts.
    pub(super) fn reasons(&self, source: &ConfiguredSource, counts: &FeedCounts, whole: bool) -> Vec<String> {
        let guard = &source.settings.guard;
        let mut reasons = Vec::new();
        if whole && counts.rows == 0 && source.present > 0 {
            reasons.push(format!("the feed holds no record; {} are known", source.present));
        }
        if self.ends > u64::from(guard.removed_always)
            && exceeds(self.ends, source.present, guard.removed_percent_max)
        {
            reasons.push(format!(
                "{} of {} records ({} %) would be removed or terminated; the limit is {} %",
                self.ends,
                source.present,
                percent(self.ends, source.present),
                guard.removed_percent_max
            ));
        }
        for key in &guard.canaries {
            let shown = crate::text::escape(key);
            if self.canaries_ended.contains(key) {
                reasons.push(format!("the canary record `{shown}` is removed or terminated"));
            } else if whole && !self.canaries_standing.contains(key) {
                reasons.push(format!("the canary record `{shown}` is missing"));
            }
        }
        for (name, cleared) in &self.cleared {
            let filled = source.filled.get(name).copied().unwrap_or_default();
            if *cleared > u64::from(guard.removed_always)
                && exceeds(*cleared, filled, guard.cleared_percent_max)
            {
                reasons.push(format!(
                    "{cleared} of {filled} values of `{name}` ({} %) would be cleared; the limit is {} %",
                    percent(*cleared, filled),
                    guard.cleared_percent_max
                ));
            }
        }
        reasons
    }
}

fn exceeds(part: u64, whole: u64, percent: u32) -> bool {
    u128::from(part) * 100 > u128::from(whole) * u128::from(percent)
}

fn percent(part: u64, whole: u64) -> u128 {
    u128::from(part) * 100 / u128::from(whole.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_exceeded_above_not_at_the_percentage() {
        assert!(!exceeds(10, 100, 10));
        assert!(exceeds(11, 100, 10));
        assert!(exceeds(1, 0, 10));
        assert!(!exceeds(0, 0, 10));
    }
}
