//! Edges of one plan that are ready, gathered over its chunks so that they fill requests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::JournalEntry;
use super::lane::{Entries, Lane, Ready, WAVE};
use crate::error::Result;
use crate::id::ClassName;
use crate::plan::Action;
use crate::store::Stored;

/// Edges gathered at most: then they go as they are.
const GATHERED_MAX: usize = 2_048;

/// What goes into one request: class of the group, class of the members, the group.
type Request = (ClassName, ClassName, String);

/// An edge that is ready, with its entry from an attempt before. Nothing of it is in the journal yet: one that is lost
/// here is found again by whoever looks at its chunk.
type Edge = (Ready, Option<Stored<JournalEntry>>);

/// Edges that wait until they fill a request, or until their plan has no more of them.
#[derive(Default)]
pub(super) struct Gathered(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: BTreeMap<Request, Vec<Edge>>,
    count: usize,
    moved: bool,
    /// Edges that have ended, by their chunk.
    ended: BTreeMap<u32, u64>,
}

impl Gathered {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds edges, with their entries.
    pub(super) fn add(&self, edges: Vec<Ready>, entries: &mut Entries) {
        let mut state = self.state();
        state.count += edges.len();
        for ready in edges {
            let entry = entries.remove(&ready.step.id);
            if let Some(request) = request(&ready) {
                state.waiting.entry(request).or_default().push((ready, entry));
            }
        }
    }

    /// Takes out what fills requests; all, where they have become many or `all` of them are wanted. Each of what it
    /// gives is for one wave, and no request is split between two.
    fn take(&self, size: impl Fn(&ClassName) -> usize, all: bool) -> Vec<Vec<Edge>> {
        let mut state = self.state();
        let all = all || state.count > GATHERED_MAX;
        let mut requests: Vec<Vec<Edge>> = Vec::new();
        for (request, waiting) in &mut state.waiting {
            let size = size(&request.0).clamp(1, WAVE);
            let whole = if all { waiting.len() } else { waiting.len() - waiting.len() % size };
            let mut taken = waiting.drain(..whole).peekable();
            while taken.peek().is_some() {
                requests.push(taken.by_ref().take(size).collect());
            }
        }
        state.waiting.retain(|_, waiting| !waiting.is_empty());
        state.count -= requests.iter().map(Vec::len).sum::<usize>();
        drop(state);
        // Full ones first: what is left for the last wave is what may find company.
        requests.sort_by_key(|request| std::cmp::Reverse(request.len()));
        let mut waves: Vec<Vec<Edge>> = Vec::new();
        for request in requests {
            match waves.last_mut().filter(|wave| wave.len() + request.len() <= WAVE) {
                Some(wave) => wave.extend(request),
                None => waves.push(request),
            }
        }
        waves
    }

    /// Whether anything was tried, and how many edges of each chunk have ended.
    pub(super) fn ended(self) -> (bool, BTreeMap<u32, u64>) {
        let state = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        (state.moved, state.ended)
    }
}

impl Lane<'_> {
    /// Sends what fills requests.
    pub(super) async fn send_full(&self, gathered: &Gathered) -> Result<()> {
        for wave in gathered.take(|class| self.edges_max(class), false) {
            self.send_edges(wave, gathered, false).await?;
        }
        Ok(())
    }

    /// Sends what is left when all chunks were looked at. The last wave may wait for edges of other plans.
    pub(super) async fn drain(&self, gathered: &Gathered) -> Result<()> {
        let mut waves = gathered.take(|class| self.edges_max(class), true).into_iter().peekable();
        while let Some(wave) = waves.next() {
            let last = waves.peek().is_none();
            self.send_edges(wave, gathered, last).await?;
        }
        Ok(())
    }

    async fn send_edges(&self, wave: Vec<Edge>, gathered: &Gathered, last: bool) -> Result<()> {
        if self.stopped() || self.ends() {
            return Ok(());
        }
        let (mut steps, mut entries) = (Vec::with_capacity(wave.len()), Entries::new());
        for (ready, entry) in wave {
            entries.extend(entry.map(|entry| (ready.step.id.clone(), entry)));
            steps.push(ready);
        }
        let settled = self.wave(&steps, &entries, self.company.filter(|_| last)).await?;
        let mut state = gathered.state();
        state.moved = true;
        for ready in steps {
            // Of the others somebody knows more: their chunk is looked at again.
            if settled.get(&ready.step.id).is_some_and(|entry| entry.value.state.has_ended()) {
                *state.ended.entry(ready.chunk).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Edges that one request to a group of this class may have.
    pub(super) fn edges_max(&self, class: &ClassName) -> usize {
        self.discovery().capabilities.class(class).members_per_request.max(1) as usize
    }
}

fn request(ready: &Ready) -> Option<Request> {
    match &ready.step.action {
        Action::AddMember { group_class, group, .. } | Action::RemoveMember { group_class, group } => {
            Some((group_class.clone(), ready.step.class.clone(), group.clone()))
        }
        _ => None,
    }
}

/// Whether a step is an edge.
pub(super) fn is_edge(action: &Action) -> bool {
    matches!(action, Action::AddMember { .. } | Action::RemoveMember { .. })
}

#[cfg(test)]
mod tests {
    use super::super::workbench::{Workbench, add_member, step};
    use super::*;

    fn edges(group: &str, many: usize) -> Vec<Ready> {
        let ready = || Ready { chunk: 1, stale_at: None, step: step(add_member(group)) };
        (0..many).map(|_| ready()).collect()
    }

    fn with(groups: &[(&str, usize)]) -> Gathered {
        let gathered = Gathered::default();
        for (group, many) in groups {
            gathered.add(edges(group, *many), &mut Entries::new());
        }
        gathered
    }

    /// The groups of the edges of each wave that is taken, counted.
    fn taken(gathered: &Gathered, size: usize, all: bool) -> Vec<BTreeMap<String, usize>> {
        let count = |wave: Vec<Edge>| {
            let mut counts = BTreeMap::new();
            for (ready, _) in wave {
                *counts.entry(request(&ready).unwrap().2).or_default() += 1;
            }
            counts
        };
        gathered.take(|_| size, all).into_iter().map(count).collect()
    }

    fn wave<const N: usize>(groups: [(&str, usize); N]) -> BTreeMap<String, usize> {
        groups.into_iter().map(|(group, many)| (group.to_owned(), many)).collect()
    }

    #[test]
    fn only_full_requests_go_and_the_rest_waits() {
        let gathered = with(&[("a", 25), ("b", 9), ("c", 10)]);
        assert_eq!(taken(&gathered, 10, false), [wave([("a", 20), ("c", 10)])]);
        assert_eq!(taken(&gathered, 10, false), []);
        assert_eq!(gathered.state().count, 14);
        assert_eq!(taken(&gathered, 10, true), [wave([("a", 5), ("b", 9)])]);
        assert_eq!(gathered.state().count, 0);
        assert_eq!(taken(&gathered, 10, true), []);
    }

    #[test]
    fn too_many_that_wait_go_as_they_are() {
        let groups: Vec<String> = (0..=GATHERED_MAX).map(|number| format!("group {number}")).collect();
        let all: Vec<(&str, usize)> = groups.iter().map(|group| (group.as_str(), 1)).collect();
        assert_eq!(taken(&with(&all[..GATHERED_MAX]), 10, false), []);
        let waves = taken(&with(&all), 10, false);
        assert_eq!(waves.iter().map(BTreeMap::len).sum::<usize>(), GATHERED_MAX + 1);
    }

    #[test]
    fn no_request_is_split_between_two_waves_and_what_is_left_comes_last() {
        let gathered = with(&[("a", 30), ("b", WAVE - 10), ("c", 10)]);
        let waves = taken(&gathered, WAVE, true);
        assert_eq!(waves, [wave([("b", WAVE - 10)]), wave([("a", 30), ("c", 10)])]);
        let exactly = with(&[("a", 10), ("b", WAVE - 10)]);
        assert_eq!(taken(&exactly, WAVE, true), [wave([("a", 10), ("b", WAVE - 10)])], "a wave may be full");
        assert_eq!(
            taken(&with(&[("a", 2)]), 0, false),
            [wave([("a", 2)])],
            "one at least goes into a request"
        );
    }

    #[tokio::test]
    async fn an_edge_is_gathered_with_what_is_known_of_it() {
        let bench = Workbench::new().await;
        let begun = bench.begun(add_member("a"));
        let entry = Stored { version: 3, value: begun.entry };
        let mut entries = Entries::from([(begun.step.id.clone(), entry.clone())]);
        let gathered = Gathered::default();
        gathered.add(vec![Ready { chunk: 1, stale_at: None, step: begun.step }], &mut entries);
        let waves = gathered.take(|_| 1, false);
        assert_eq!(waves[0][0].1.as_ref(), Some(&entry));
        assert_eq!(gathered.ended(), (false, BTreeMap::new()));
    }

    #[tokio::test]
    async fn a_request_carries_what_the_target_takes() {
        let mut bench = Workbench::new().await;
        let mut of = |members: u32| {
            let classes = &mut bench.target.discovery.as_mut().unwrap().capabilities.classes;
            classes.get_mut(&ClassName::new("group")).unwrap().members_per_request = members;
            bench.lane().edges_max(&"group".into())
        };
        assert_eq!(of(100), 100);
        assert_eq!(of(0), 1);
    }
}
