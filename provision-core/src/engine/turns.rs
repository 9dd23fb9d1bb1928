//! Whose turn it is: realms with something due, one batch each in turn, over one set of workers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::id::RealmId;
use crate::value::Timestamp;

/// Turns that leavers get in a row while others wait.
const URGENT_MAX: u32 = 3;
/// How long a realm rests after its first error; each further one doubles it.
const REST: Duration = Duration::from_secs(1);
/// How long it rests at most.
const REST_MAX: Duration = Duration::from_secs(60);

/// The turn of a realm: a worker does one batch there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) realm: RealmId,
    /// For leavers alone.
    pub(super) urgent: bool,
    /// Nobody else in the realm has a first turn: this worker looks also for what waits for an instant or an approval.
    pub(super) first: bool,
}

/// Realms that wait, in order, each once.
#[derive(Debug, Default)]
struct Queue {
    order: VecDeque<RealmId>,
    known: BTreeSet<RealmId>,
}

impl Queue {
    fn push(&mut self, realm: &RealmId) {
        if self.known.insert(realm.clone()) {
            self.order.push_back(realm.clone());
        }
    }

    fn take(&mut self, may: impl Fn(&RealmId) -> bool) -> Option<RealmId> {
        let at = self.order.iter().position(may)?;
        let realm = self.order.remove(at)?;
        self.known.remove(&realm);
        Some(realm)
    }
}

/// A realm that failed, or in which there was nothing to do after all.
#[derive(Debug)]
struct Resting {
    until: Timestamp,
    /// Errors in a row.
    failures: u32,
}

/// The order of turns. Only realms that are due, worked in, or resting take space.
///
/// Each turn is one bounded batch, so that of `n` realms with work each gets every `n`th turn, however much it has. A
/// realm has more than one worker only while one is left for a realm that has none, and never more than its share.
#[derive(Debug)]
pub(super) struct Turns {
    workers: u32,
    leavers: Queue,
    others: Queue,
    working: BTreeMap<RealmId, u32>,
    /// Realms in which a first turn is under way.
    first: BTreeSet<RealmId>,
    resting: BTreeMap<RealmId, Resting>,
    /// Urgent turns given since the last other one.
    urgent: u32,
}

impl Turns {
    pub(super) fn new(workers: u32) -> Self {
        Self {
            workers: workers.max(1),
            leavers: Queue::default(),
            others: Queue::default(),
            working: BTreeMap::new(),
            first: BTreeSet::new(),
            resting: BTreeMap::new(),
            urgent: 0,
        }
    }

    /// Something is due in a realm. False while the realm rests: it does not wait for a turn.
    pub(super) fn wait(&mut self, realm: &RealmId, urgent: bool, now: Timestamp) -> bool {
        if self.resting.get(realm).is_some_and(|resting| resting.until > now) {
            return false;
        }
        if urgent {
            self.leavers.push(realm);
        } else {
            self.others.push(realm);
        }
        true
    }

    /// What failed in a realm may succeed now.
    pub(super) fn rouse(&mut self, realm: &RealmId) {
        self.resting.remove(realm);
    }

    /// Something became due in a realm in which there was nothing to do.
    pub(super) fn rouse_idle(&mut self, realm: &RealmId) {
        if self.resting.get(realm).is_some_and(|resting| resting.failures == 0) {
            self.resting.remove(realm);
        }
    }

    /// Realms in which there was nothing to do may be looked at again at once; false when there is none.
    pub(super) fn rouse_all_idle(&mut self) -> bool {
        let before = self.resting.len();
        self.resting.retain(|_, resting| resting.failures > 0);
        self.resting.len() < before
    }

    /// Nobody waits for a turn.
    pub(super) fn is_empty(&self) -> bool {
        self.leavers.order.is_empty() && self.others.order.is_empty()
    }

    /// Workers without a turn.
    pub(super) fn free(&self) -> u32 {
        self.workers.saturating_sub(self.working.values().sum())
    }

    /// The next turn; `None` when there is no worker or nobody who may have one.
    pub(super) fn next(&mut self) -> Option<Turn> {
        let free = self.free();
        if free == 0 {
            return None;
        }
        let share = self.share();
        let working = &self.working;
        let may = |realm: &RealmId| match working.get(realm) {
            None => true,
            Some(workers) => free > 1 && *workers < share,
        };
        let leavers_first = self.urgent < URGENT_MAX;
        let urgent = leavers_first.then(|| self.leavers.take(may)).flatten();
        let (realm, urgent) = match urgent {
            Some(realm) => (realm, true),
            None => match self.others.take(may) {
                Some(realm) => (realm, false),
                None => (self.leavers.take(may)?, true),
            },
        };
        self.urgent = if urgent { self.urgent.saturating_add(1) } else { 0 };
        let workers = self.working.entry(realm.clone()).or_default();
        *workers += 1;
        let first = self.first.insert(realm.clone());
        Some(Turn { realm, urgent, first })
    }

    /// How many workers each of the realms with work may have.
    fn share(&self) -> u32 {
        let realms: BTreeSet<&RealmId> =
            self.working.keys().chain(&self.leavers.known).chain(&self.others.known).collect();
        let realms = u32::try_from(realms.len()).unwrap_or(u32::MAX);
        self.workers.div_ceil(realms.max(1))
    }

    /// A turn is over: its worker is free.
    pub(super) fn over(&mut self, turn: &Turn) {
        let realm = &turn.realm;
        if turn.first {
            self.first.remove(realm);
        }
        if let Some(workers) = self.working.get_mut(realm) {
            *workers = workers.saturating_sub(1);
            if *workers == 0 {
                self.working.remove(realm);
            }
        }
    }

    /// Somebody has a turn there.
    pub(super) fn is_worked_in(&self, realm: &RealmId) -> bool {
        self.working.contains_key(realm)
    }

    /// A turn moved something.
    pub(super) fn moved(&mut self, realm: &RealmId) {
        self.resting.remove(realm);
    }

    /// A turn found nothing to do: another process was faster.
    pub(super) fn idle(&mut self, realm: &RealmId, until: Timestamp) {
        let resting = self.resting.entry(realm.clone()).or_insert(Resting { until, failures: 0 });
        resting.until = resting.until.max(until);
    }

    /// A turn failed: the realm rests, the longer the more often it failed.
    pub(super) fn failed(&mut self, realm: &RealmId, now: Timestamp) {
        let failures = self.resting.get(realm).map_or(0, |resting| resting.failures);
        let rest = REST.saturating_mul(1 << failures.min(6)).min(REST_MAX);
        let resting = Resting { until: now.plus(rest), failures: failures.saturating_add(1) };
        self.resting.insert(realm.clone(), resting);
        let is_other = |other: &RealmId| other == realm;
        self.leavers.take(is_other);
        self.others.take(is_other);
    }

    /// When the first realm that still rests may be looked at again.
    pub(super) fn rested_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.resting.values().map(|resting| resting.until).filter(|until| *until > now).min()
    }

    /// Forgets rests that are long over: such a realm has not failed since.
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.resting.retain(|_, resting| {
            let kept = if resting.failures == 0 { Duration::ZERO } else { REST_MAX.saturating_mul(2) };
            resting.until.plus(kept) > now
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::EPOCH;

    fn waiting(workers: u32, realms: &[(&str, bool)]) -> Turns {
        let mut turns = Turns::new(workers);
        for (realm, urgent) in realms {
            assert!(turns.wait(&RealmId::new(realm), *urgent, NOW));
        }
        turns
    }

    /// Turns of one worker, while every realm has more to do.
    fn order(turns: &mut Turns, count: usize) -> Vec<String> {
        let mut order = Vec::new();
        for _ in 0..count {
            let turn = turns.next().unwrap();
            turns.wait(&turn.realm, turn.urgent, NOW);
            turns.over(&turn);
            order.push(format!("{}{}", turn.realm.as_str(), if turn.urgent { "!" } else { "" }));
        }
        order
    }

    #[test]
    fn each_realm_has_every_nth_turn() {
        let mut turns = waiting(1, &[("a", false), ("b", false), ("c", false)]);
        assert_eq!(order(&mut turns, 7), ["a", "b", "c", "a", "b", "c", "a"]);
    }

    #[test]
    fn leavers_go_first_and_starve_nobody() {
        let mut turns = waiting(1, &[("a", false), ("b", true), ("c", true)]);
        assert_eq!(order(&mut turns, 9), ["b!", "c!", "b!", "a", "c!", "b!", "c!", "a", "b!"]);
        let mut turns = waiting(1, &[("a", true)]);
        assert_eq!(order(&mut turns, 5), ["a!"; 5], "alone they need not wait");
    }

    #[test]
    fn a_realm_never_has_the_last_worker_beside_its_own() {
        let mut turns = waiting(8, &[("a", false)]);
        let (mut given, mut of_a) = (0, Vec::new());
        while let Some(turn) = turns.next() {
            assert_eq!(turn.first, given == 0);
            given += 1;
            turns.wait(&turn.realm, false, NOW);
            of_a.push(turn);
        }
        assert_eq!((given, turns.free()), (7, 1));
        assert!(turns.wait(&RealmId::new("b"), false, NOW));
        assert_eq!(turns.next().unwrap().realm.as_str(), "b", "at once, though all of a's are stuck");
        assert_eq!(turns.next(), None);
        turns.over(&of_a[1]);
        turns.wait(&RealmId::new("b"), false, NOW);
        assert_eq!(turns.next(), None, "the one that is free is kept");
        turns.over(&of_a[2]);
        assert_eq!(turns.next().unwrap().realm.as_str(), "b", "a is over its share");
    }

    #[test]
    fn the_first_turn_of_a_realm_is_followed_by_another_first_while_others_go_on() {
        let mut turns = waiting(4, &[("a", false)]);
        let next = |turns: &mut Turns| {
            let turn = turns.next().unwrap();
            turns.wait(&turn.realm, false, NOW);
            turn
        };
        let (one, two) = (next(&mut turns), next(&mut turns));
        assert!(one.first && !two.first);
        turns.over(&one);
        let three = next(&mut turns);
        assert!(three.first, "dates and approvals do not wait until nobody works in the realm");
        turns.over(&two);
        assert!(!next(&mut turns).first);
    }

    #[test]
    fn a_rest_that_is_over_is_not_waited_for() {
        let mut turns = waiting(1, &[("a", false)]);
        let a = turns.next().unwrap();
        turns.over(&a);
        let until = NOW.plus(Duration::from_secs(1));
        turns.idle(&a.realm, until);
        assert_eq!(turns.rested_at(NOW), Some(until));
        assert_eq!(turns.rested_at(until), None, "or the drive would look without a pause");
        turns.idle(&a.realm, until.plus(Duration::from_secs(1)));
        assert_eq!(turns.rested_at(until), Some(until.plus(Duration::from_secs(1))));
    }

    #[test]
    fn workers_are_shared_out() {
        let mut turns = waiting(8, &[("a", false), ("b", false), ("c", false)]);
        while let Some(turn) = turns.next() {
            turns.wait(&turn.realm, false, NOW);
        }
        let working: Vec<u32> = turns.working.values().copied().collect();
        assert_eq!(working, [3, 2, 2]);
    }

    #[test]
    fn a_realm_that_fails_rests_longer_each_time_and_no_other_does() {
        let mut turns = waiting(1, &[("a", false), ("b", false)]);
        let a = RealmId::new("a");
        let mut now = NOW;
        for rest in [1, 2, 4, 8, 16, 32, 60, 60] {
            let turn = turns.next().unwrap();
            assert_eq!(turn.realm, a);
            turns.over(&turn);
            turns.failed(&a, now);
            let until = now.plus(Duration::from_secs(rest));
            assert_eq!(turns.rested_at(now), Some(until));
            assert!(!turns.wait(&a, true, until.minus(Duration::from_micros(1))));
            let turn = turns.next().unwrap();
            assert_eq!(turn.realm.as_str(), "b");
            turns.over(&turn);
            assert!(turns.wait(&a, false, until));
            turns.wait(&RealmId::new("b"), false, until);
            now = until;
        }
        turns.failed(&a, now);
        turns.rouse_idle(&a);
        assert!(!turns.wait(&a, false, now));
        turns.rouse(&a);
        assert!(turns.wait(&a, false, now));
        turns.failed(&a, now);
        turns.forget(now.plus(REST_MAX * 2));
        assert_eq!(turns.resting.len(), 1, "it counts for a while");
        turns.forget(now.plus(REST_MAX * 3));
        assert!(turns.resting.is_empty());
    }
}
