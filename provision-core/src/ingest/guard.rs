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
        if !settings.guard.canaries.contains(&row.key) {
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
    use crate::id::{FeedId, IdentityId, RealmId};
    use crate::model::Status;
    use crate::source::{Absence, FeedGuard};
    use crate::value::Date;

    /// Twelve hours before it is over everywhere: a zone decides whether 1 November has ended.
    fn now() -> Timestamp {
        "2026-11-02T00:30:00Z".parse().unwrap()
    }

    fn settings(guard: FeedGuard) -> SourceSettings {
        SourceSettings {
            name: "hr".into(),
            kind: "vector".to_owned(),
            config: serde_json::Value::Null,
            precedence: 0,
            precedence_of: Default::default(),
            null_yields: Default::default(),
            engagements: None,
            asserts: None,
            asserts_lifecycle: true,
            absence: Absence::RemoveAfter(1),
            guard,
            correlate: Default::default(),
            zone: Zone::utc(),
        }
    }

    fn known(state: RecordState, employment: Employment, attributes: Attributes) -> SourceRecord {
        SourceRecord {
            realm: RealmId::new("test"),
            source: "hr".into(),
            key: "1".to_owned(),
            identity: IdentityId::from_uuid(uuid::Uuid::from_u128(1)),
            attributes,
            employment,
            zone: None,
            fingerprint: String::new(),
            ordinal: 0,
            state,
            feed: FeedId::from_uuid(uuid::Uuid::from_u128(2)),
        }
    }

    fn row(key: &str, employment: Employment, attributes: Attributes) -> FeedRecord {
        FeedRecord {
            key: key.to_owned(),
            position: 1,
            attributes,
            employment,
            zone: None,
            action: RecordAction::Upsert,
            fingerprint: String::new(),
        }
    }

    fn works() -> Employment {
        Employment::default()
    }

    fn left() -> Employment {
        Employment { status: Status::Terminated, ..works() }
    }

    fn until_yesterday() -> Employment {
        Employment { end: Date::new(2026, 11, 1), ..works() }
    }

    /// What a change adds to the counts, and whether it ends a record.
    fn counted(effect: &Effect) -> (u64, u64, u64, u64, bool) {
        let mut counts = FeedCounts::default();
        Measure::default().add(effect, &mut counts);
        (counts.added, counts.changed, counts.removed, counts.terminated, effect.ends)
    }

    fn upserted(old: Option<&SourceRecord>, new: &FeedRecord, settings: &SourceSettings) -> Effect {
        Effect::of(FeedChangeKind::Upsert, old, Some(new), settings, now())
    }

    #[test]
    fn a_record_ends_when_it_stood_and_does_not_stand_any_more() {
        let hr = settings(FeedGuard::default());
        let ends = |state, before, after| {
            let old = known(state, before, Attributes::new());
            counted(&upserted(Some(&old), &row("1", after, Attributes::new()), &hr))
        };
        assert_eq!(ends(RecordState::Present, works(), left()), (0, 1, 0, 1, true));
        assert_eq!(ends(RecordState::Present, works(), until_yesterday()), (0, 1, 0, 1, true));
        assert_eq!(ends(RecordState::Present, works(), works()), (0, 1, 0, 0, false));
        assert_eq!(ends(RecordState::Present, left(), left()), (0, 1, 0, 0, false));
        assert_eq!(ends(RecordState::Absent(1), works(), left()), (0, 1, 0, 1, true));
        assert_eq!(ends(RecordState::Removed, works(), left()), (0, 1, 0, 0, false));
        let joins = upserted(None, &row("1", works(), Attributes::new()), &hr);
        assert_eq!(counted(&joins), (1, 0, 0, 0, false));
        assert_eq!(counted(&upserted(None, &row("1", left(), Attributes::new()), &hr)), (1, 0, 0, 0, false));
    }

    #[test]
    fn a_source_without_lifecycle_ends_nobody_by_what_it_says() {
        let app = SourceSettings { asserts_lifecycle: false, ..settings(FeedGuard::default()) };
        let old = known(RecordState::Present, works(), Attributes::new());
        let effect = upserted(Some(&old), &row("1", left(), Attributes::new()), &app);
        assert_eq!(counted(&effect), (0, 1, 0, 0, false));
        let removed = Effect::of(FeedChangeKind::Remove, Some(&old), None, &app, now());
        assert_eq!(counted(&removed), (0, 0, 1, 0, true), "a removal takes away all that the record said");
    }

    #[test]
    fn a_removal_ends_a_record_that_stood() {
        let hr = settings(FeedGuard::default());
        let removed = |state, employment| {
            let old = known(state, employment, Attributes::new());
            counted(&Effect::of(FeedChangeKind::Remove, Some(&old), None, &hr, now()))
        };
        assert_eq!(removed(RecordState::Present, works()), (0, 0, 1, 0, true));
        assert_eq!(removed(RecordState::Present, left()), (0, 0, 1, 0, false));
        assert_eq!(removed(RecordState::Removed, works()), (0, 0, 1, 0, false));
        let frozen = Effect::of(FeedChangeKind::Dispute, None, None, &hr, now());
        assert_eq!(counted(&frozen), (0, 0, 0, 0, false));
    }

    #[test]
    fn the_last_day_is_over_where_the_record_is() {
        let new_york = Zone::new("America/New_York").unwrap();
        let hr = SourceSettings { zone: new_york.clone(), ..settings(FeedGuard::default()) };
        let old = known(RecordState::Present, works(), Attributes::new());
        let there = row("1", until_yesterday(), Attributes::new());
        assert!(!upserted(Some(&old), &there, &hr).ends, "it is still 1 November in New York");
        let here = FeedRecord { zone: Some(Zone::utc()), ..there.clone() };
        assert!(upserted(Some(&old), &here, &hr).ends);
        let stood = known(RecordState::Present, until_yesterday(), Attributes::new());
        assert!(Effect::of(FeedChangeKind::Remove, Some(&stood), None, &hr, now()).ends);
        let gone = SourceRecord { zone: Some(Zone::utc()), ..stood };
        assert!(!Effect::of(FeedChangeKind::Remove, Some(&gone), None, &hr, now()).ends);
    }

    #[test]
    fn a_value_is_cleared_when_there_was_one_and_is_none() {
        let hr = settings(FeedGuard::default());
        let before =
            Attributes::new().with("mail", "a@b").with("phone", "1").with_null("room").with("site", "x");
        let after = Attributes::new().with("phone", "2").with_null("mail").with_null("room");
        let cleared = |state| {
            let old = known(state, works(), before.clone());
            upserted(Some(&old), &row("1", works(), after.clone()), &hr).cleared
        };
        assert_eq!(cleared(RecordState::Present), ["mail", "site"].map(AttrName::from));
        assert_eq!(cleared(RecordState::Removed), []);
    }

    fn source(guard: FeedGuard, present: u64) -> ConfiguredSource {
        let filled = BTreeMap::from([(AttrName::from("mail"), present)]);
        ConfiguredSource { present, filled, ..ConfiguredSource::new(settings(guard)) }
    }

    fn ending(many: usize) -> Measure {
        let effect = Effect { ends: true, cleared: vec!["mail".into()], ..Effect::default() };
        let mut measure = Measure::default();
        (0..many).for_each(|_| measure.add(&effect, &mut FeedCounts::default()));
        measure
    }

    fn rows(rows: u64) -> FeedCounts {
        FeedCounts { rows, ..FeedCounts::default() }
    }

    #[test]
    fn more_ends_than_a_share_and_a_few_hold_the_feed() {
        let guard = || FeedGuard { cleared_percent_max: 100, ..FeedGuard::default() };
        let reasons = |ends, present| ending(ends).reasons(&source(guard(), present), &rows(9), true);
        assert_eq!(reasons(5, 6), [""; 0], "a few are always allowed");
        assert_eq!(reasons(10, 100), [""; 0], "ten percent are");
        let held = reasons(11, 100);
        let said = "11 of 100 records (11 %) would be removed or terminated; the limit is 10 %";
        assert_eq!(held, [said]);
        assert_eq!(
            reasons(6, 12),
            ["6 of 12 records (50 %) would be removed or terminated; the limit is 10 %"]
        );
    }

    #[test]
    fn more_cleared_values_than_a_share_and_a_few_hold_the_feed() {
        let guard = || FeedGuard { removed_percent_max: 100, ..FeedGuard::default() };
        let reasons = |cleared, present| ending(cleared).reasons(&source(guard(), present), &rows(9), true);
        assert_eq!(reasons(5, 6), [""; 0]);
        assert_eq!(reasons(20, 100), [""; 0]);
        let said = "21 of 100 values of `mail` (21 %) would be cleared; the limit is 20 %";
        assert_eq!(reasons(21, 100), [said]);
        assert_eq!(reasons(6, 12), ["6 of 12 values of `mail` (50 %) would be cleared; the limit is 20 %"]);
    }

    #[test]
    fn what_another_change_replaces_is_taken_back() {
        let effect = Effect { ends: true, changed: true, cleared: vec!["mail".into()], ..Effect::default() };
        let (mut measure, mut counts) = (ending(6), FeedCounts { changed: 1, ..rows(9) });
        assert_eq!(measure.reasons(&source(FeedGuard::default(), 12), &counts, true).len(), 2);
        measure.take_back(&effect, &mut counts);
        assert_eq!(measure.reasons(&source(FeedGuard::default(), 12), &counts, true), [""; 0]);
        assert_eq!(counts.changed, 0);
    }

    #[test]
    fn an_empty_feed_holds_where_something_is_known() {
        let reasons = |present, read, whole| {
            Measure::default().reasons(&source(FeedGuard::default(), present), &rows(read), whole)
        };
        assert_eq!(reasons(3, 0, true), ["the feed holds no record; 3 are known"]);
        assert_eq!(reasons(3, 1, true), [""; 0]);
        assert_eq!(reasons(0, 0, true), [""; 0]);
        assert_eq!(reasons(3, 0, false), [""; 0], "changes may well be none");
    }

    #[test]
    fn a_canary_that_is_missing_or_ended_holds_the_feed() {
        let guard = || FeedGuard { canaries: ["canary".to_owned()].into(), ..FeedGuard::default() };
        let reasons = |row: Option<FeedRecord>, whole| {
            let mut measure = Measure::default();
            let settings = settings(guard());
            row.iter().for_each(|row| measure.look_for_canary(row, &settings, now()));
            measure.reasons(&source(guard(), 10), &rows(9), whole)
        };
        let canary = |employment| row("canary", employment, Attributes::new());
        let ended = ["the canary record `canary` is removed or terminated"];
        let missing = ["the canary record `canary` is missing"];
        assert_eq!(reasons(Some(canary(works())), true), [""; 0]);
        assert_eq!(reasons(Some(canary(left())), false), ended);
        assert_eq!(reasons(Some(canary(until_yesterday())), true), ended);
        let removed = FeedRecord { action: RecordAction::Remove, ..canary(works()) };
        assert_eq!(reasons(Some(removed), false), ended);
        assert_eq!(reasons(None, true), missing);
        assert_eq!(reasons(None, false), [""; 0], "a feed of changes need not name it");
        assert_eq!(reasons(Some(row("other", left(), Attributes::new())), true), missing);
        let mut measure = Measure::default();
        measure.look_for_canary(&canary(left()), &settings(FeedGuard::default()), now());
        assert_eq!(measure.reasons(&source(FeedGuard::default(), 10), &rows(9), true), [""; 0]);
    }

    #[test]
    fn limits_are_exceeded_above_not_at_the_percentage() {
        assert!(!exceeds(10, 100, 10));
        assert!(exceeds(11, 100, 10));
        assert!(exceeds(1, 0, 10));
        assert!(!exceeds(0, 0, 10));
    }
}
