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
