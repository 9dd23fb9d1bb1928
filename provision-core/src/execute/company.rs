//! Company: edges of several plans that go to one group in one request.
//!
//! A worker's plan seldom has as many edges of a group as one request may carry. Those left over wait here for edges of
//! other workers' plans: until they fill a request, until nobody is left who may bring any, or until they have waited
//! long enough. Their intents are journalled before and each plan settles its own, so that a request that is lost with
//! its sender is found by every plan that had an edge in it, like any other call.

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, join_all, select};
use tokio::sync::{Notify, oneshot};

use super::lane::Lane;
use crate::connector::{Edge, ObjectKey};
use crate::error::{Effect, Error, ErrorKind, ErrorRecord, Result};
use crate::id::{ClassName, TargetName};
use crate::planted::{self, Defect};
use crate::value::Timestamp;

/// How long edges wait for company, at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// What goes into one request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group {
    pub(super) target: TargetName,
    /// Class of the group.
    pub(super) class: ClassName,
    /// Class of the members.
    pub(super) members: ClassName,
    pub(super) key: ObjectKey,
}

/// An edge to be sent.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) edge: Edge,
    /// Plan and step, for the target's log.
    pub(super) correlation: String,
    /// It is not sent after this instant of the store's clock: others may have taken its step over.
    pub(super) deadline: Timestamp,
}

/// An edge that waits, and whoever waits for its outcome.
#[derive(Debug)]
struct Waiting {
    asked: Asked,
    answer: oneshot::Sender<Result<(), ErrorRecord>>,
}

/// Workers whose edges may share requests.
#[derive(Debug, Default)]
pub(crate) struct Company {
    state: Mutex<State>,
    /// Rings when nobody is left who may bring edges. Whoever came first hears it first: a simulation replays.
    all_wait: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// How many may bring edges.
    bringing: usize,
    waiting: BTreeMap<Group, VecDeque<Waiting>>,
}

impl Company {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, more: bool) {
        let mut state = self.state();
        state.bringing =
            if more { state.bringing.saturating_add(1) } else { state.bringing.saturating_sub(1) };
        if state.bringing == 0 {
            self.all_wait.notify_waiters();
        }
    }

    /// Returns when nobody may bring edges.
    async fn nobody_brings(&self) {
        loop {
            let rung = self.all_wait.notified();
            let mut rung = pin!(rung);
            // It listens before it looks.
            rung.as_mut().enable();
            if self.state().bringing == 0 {
                return;
            }
            rung.await;
        }
    }

    /// Somebody may bring edges, until the answer is dropped.
    pub(crate) fn bring(&self) -> Bringing<'_> {
        self.count(true);
        Bringing(self)
    }

    /// Somebody who may bring edges brings none until the answer is dropped.
    pub(crate) fn rest(&self) -> Resting<'_> {
        self.count(false);
        Resting(self)
    }

    /// Changes edges of a group, in requests of `size` at most; how each of them ended, in their order.
    pub(super) async fn change(
        &self,
        lane: &Lane<'_>,
        group: &Group,
        edges: Vec<Asked>,
        size: usize,
        arrival: Arrival<'_, '_>,
    ) -> Vec<Result<()>> {
        let until = edges.iter().map(|edge| edge.deadline).min().unwrap_or(Timestamp::EPOCH);
        // Whoever makes a request full sends it: before ours came, less than one was waiting. What others fill
        // meanwhile they send themselves.
        let full = edges.len() / size.max(1) + 1;
        let answers = join_all(self.join(group, edges));
        drop(arrival);
        self.carry(lane, group, size, full, false).await;
        let alone = pin!(async {
            let nobody_comes = pin!(self.nobody_brings());
            // Half of the time that is left is for the call.
            let patience = PATIENCE.min(until.since(lane.engine.stored_at_most()) / 2);
            select(nobody_comes, lane.engine.inner.clock.deadline(patience)).await;
        });
        let answers = match select(answers, alone).await {
            Either::Left((answers, _)) => answers,
            Either::Right((_, answers)) => {
                // Those that wait now, ours among them: who comes later goes behind them, and looks after itself.
                let waiting = self.state().waiting.get(group).map_or(0, VecDeque::len);
                self.carry(lane, group, size, waiting.div_ceil(size.max(1)), true).await;
                answers.await
            }
        };
        answers
            .into_iter()
            .map(|answer| answer.unwrap_or_else(|_| Err(lost())).map_err(Error::from))
            .collect()
    }

    /// Sends so many requests at most: others may keep bringing edges, and ours are to be settled.
    async fn carry(&self, lane: &Lane<'_>, group: &Group, size: usize, requests: usize, any: bool) {
        for _ in 0..requests {
            let Some(request) = self.take(group, size, any) else { return };
            send(lane, group, request).await;
            self.answer_late(group);
        }
    }

    /// Planted: whoever came while a request was out is answered with it.
    fn answer_late(&self, group: &Group) {
        while planted::is(Defect::EdgeLostInGroup)
            && let Some(late) = self.take(group, usize::MAX, true)
        {
            late.into_iter().for_each(|waiting| drop(waiting.answer.send(Ok(()))));
        }
    }

    fn join(&self, group: &Group, edges: Vec<Asked>) -> Vec<oneshot::Receiver<Result<(), ErrorRecord>>> {
        let mut state = self.state();
        let waiting = state.waiting.entry(group.clone()).or_default();
        let join = |asked| {
            let (answer, outcome) = oneshot::channel();
            waiting.push_back(Waiting { asked, answer });
            outcome
        };
        edges.into_iter().map(join).collect()
    }

    /// Takes a request's edges out, those that came first; where they do not fill it, only if `any` will do.
    fn take(&self, group: &Group, size: usize, any: bool) -> Option<Vec<Waiting>> {
        let mut state = self.state();
        let waiting = state.waiting.get_mut(group)?;
        // Whoever stopped waiting has given its step up: it is looked at again, and not sent by us.
        waiting.retain(|waiting| !waiting.answer.is_closed());
        let size = size.max(1);
        let taken = (any || waiting.len() >= size).then(|| {
            let count = waiting.len().min(size);
            waiting.drain(..count).collect::<Vec<_>>()
        });
        if waiting.is_empty() {
            state.waiting.remove(group);
        }
        taken.filter(|taken| !taken.is_empty())
    }
}

/// Sends a request for all that have an edge in it.
async fn send(lane: &Lane<'_>, group: &Group, request: Vec<Waiting>) {
    let (request, late): (Vec<Waiting>, Vec<Waiting>) =
        request.into_iter().partition(|waiting| waiting.asked.deadline > lane.engine.stored_at_most());
    for waiting in late {
        // Who does not wait any more needs no answer.
        let _ = waiting.answer.send(Err(super::call::late().record()));
    }
    if request.is_empty() {
        return;
    }
    let (edges, answers): (Vec<Asked>, Vec<_>) =
        request.into_iter().map(|waiting| (waiting.asked, waiting.answer)).unzip();
    let outcomes = lane.request(group, edges).await;
    for (answer, outcome) in answers.into_iter().zip(outcomes) {
        let _ = answer.send(outcome.map_err(|error| error.record()));
    }
}

/// The worker that sent the edge is gone.
fn lost() -> ErrorRecord {
    Error::new(ErrorKind::Unavailable, "the request was given up before its answer came")
        .with_effect(Effect::Unknown)
        .record()
}

/// One that may bring edges.
#[derive(Debug)]
pub(crate) struct Bringing<'a>(&'a Company);

impl Drop for Bringing<'_> {
    fn drop(&mut self) {
        self.0.count(false);
    }
}

/// One that brings none for a while.
#[derive(Debug)]
pub(crate) struct Resting<'a>(&'a Company);

impl Drop for Resting<'_> {
    fn drop(&mut self) {
        self.0.count(true);
    }
}

/// The last requests of a lane: when all of their edges have joined the company, the lane rests.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    company: &'a Company,
    left: AtomicUsize,
    resting: Mutex<Option<Resting<'a>>>,
}

impl<'a> Stage<'a> {
    /// A stage of so many requests.
    pub(super) fn new(company: &'a Company, requests: usize) -> Self {
        Self { company, left: AtomicUsize::new(requests), resting: Mutex::new(None) }
    }

    /// One of the requests; it has joined, or never will, when this is dropped.
    pub(super) fn arrival(&self) -> Arrival<'_, 'a> {
        Arrival(self)
    }
}

/// A request on its way into the company.
#[derive(Debug)]
pub(super) struct Arrival<'s, 'a>(&'s Stage<'a>);

impl<'a> Arrival<'_, 'a> {
    /// Where it goes.
    pub(super) fn company(&self) -> &'a Company {
        self.0.company
    }
}

impl Drop for Arrival<'_, '_> {
    fn drop(&mut self) {
        if self.0.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            let resting = self.0.company.rest();
            *self.0.resting.lock().unwrap_or_else(PoisonError::into_inner) = Some(resting);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn group(name: &str) -> Group {
        Group {
            target: "directory".into(),
            class: "group".into(),
            members: "user".into(),
            key: ObjectKey::id(name),
        }
    }

    fn asked(many: usize) -> Vec<Asked> {
        let asked = |number: usize| Asked {
            edge: Edge { member: ObjectKey::id(number.to_string()), add: true },
            correlation: String::new(),
            deadline: Timestamp::EPOCH,
        };
        (0..many).map(asked).collect()
    }

    fn members(taken: Option<Vec<Waiting>>) -> Option<Vec<String>> {
        taken.map(|taken| taken.into_iter().map(|waiting| waiting.asked.edge.member.id).collect())
    }

    #[test]
    fn those_that_came_first_go_first_once_they_fill_a_request() {
        let (company, staff) = (Company::default(), group("staff"));
        let answers = company.join(&staff, asked(3));
        assert_eq!(answers.len(), 3);
        let more = company.join(&staff, asked(2));
        let take = |size: usize, any: bool| members(company.take(&staff, size, any));
        assert_eq!(take(6, false), None, "they do not fill it");
        assert_eq!(take(4, false), Some(["0", "1", "2", "0"].map(str::to_owned).to_vec()));
        assert_eq!(take(4, false), None);
        assert_eq!(take(4, true), Some(vec!["1".to_owned()]));
        assert_eq!(take(4, true), None, "nobody is left");
        assert!(company.state().waiting.is_empty());
        drop((answers, more));
    }

    #[test]
    fn each_group_has_its_own_requests() {
        let company = Company::default();
        let (a, b) = (company.join(&group("a"), asked(2)), company.join(&group("b"), asked(1)));
        assert_eq!(members(company.take(&group("a"), 3, false)), None);
        assert_eq!(members(company.take(&group("b"), 1, false)).map(|members| members.len()), Some(1));
        assert_eq!(members(company.take(&group("a"), 2, false)).map(|members| members.len()), Some(2));
        drop((a, b));
    }

    #[test]
    fn whoever_stopped_waiting_is_not_sent() {
        let (company, staff) = (Company::default(), group("staff"));
        let mut answers = company.join(&staff, asked(3));
        drop(answers.remove(1));
        assert_eq!(members(company.take(&staff, 3, false)), None);
        assert_eq!(members(company.take(&staff, 0, false)), Some(vec!["0".to_owned()]), "one at least");
        assert_eq!(members(company.take(&staff, 3, true)), Some(vec!["2".to_owned()]));
    }

    #[test]
    fn it_is_known_when_nobody_may_bring_edges_any_more() {
        let company = Company::default();
        let all_wait = || company.nobody_brings().now_or_never().is_some();
        let (one, other) = (company.bring(), company.bring());
        assert!(!all_wait());
        let rest = company.rest();
        drop(one);
        assert!(all_wait(), "one is gone, the other one rests");
        drop(rest);
        assert!(!all_wait());
        let mut waits = Box::pin(company.nobody_brings());
        assert!(waits.as_mut().now_or_never().is_none());
        drop(other);
        assert!(waits.now_or_never().is_some(), "whoever waits is told");
    }

    #[test]
    fn a_lane_rests_when_the_last_of_its_requests_has_joined() {
        let company = Company::default();
        let all_wait = || company.nobody_brings().now_or_never().is_some();
        let lane = company.bring();
        let stage = Stage::new(&company, 2);
        drop(stage.arrival());
        assert!(!all_wait(), "another request is to come");
        drop(stage.arrival());
        assert!(all_wait());
        drop(stage);
        assert!(!all_wait(), "it goes on");
        drop(lane);
    }
}
