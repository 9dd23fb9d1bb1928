//! The layer: what happens to one call on its way to the connector and back.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::past::Past;
use super::record::{Injected, Passed, Record};
use super::request::{Answer, Request};
use crate::connector::{Connector, Context, Outcome};
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::memory::{Fault, FaultRule, FaultState, Faults, Operation};
use crate::runtime::Clock;
use crate::value::Timestamp;

/// Is told of everything that reaches the connector behind the layer, and may wait there.
#[async_trait]
pub trait Observer: fmt::Debug + Send + Sync {
    /// The request is about to be sent.
    async fn sending(&self, _cx: &Context, _request: &Request) {}

    /// The connector has answered; the caller does not have the answer yet, and may never get it.
    async fn answered(&self, _cx: &Context, _request: &Request, _answer: &Result<Answer>) {}
}

/// How a layer starts.
#[derive(Clone, Debug)]
pub struct LayerOptions {
    /// What goes wrong from the beginning.
    pub faults: Faults,
    /// Is told of the requests.
    pub observer: Option<Arc<dyn Observer>>,
    /// Entries that each record keeps (faults, requests); older ones are forgotten.
    pub record_max: usize,
}

impl Default for LayerOptions {
    fn default() -> Self {
        Self { faults: Faults::default(), observer: None, record_max: 100_000 }
    }
}

/// A connector in front of another one, with all its facets, schema and capabilities, that makes faults. Clones share
/// one state.
#[derive(Clone)]
pub struct FaultLayer {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) inner: Arc<dyn Connector>,
    pub(super) clock: Arc<dyn Clock>,
    observer: Option<Arc<dyn Observer>>,
    state: Mutex<State>,
}

pub(super) struct State {
    faults: FaultState,
    calls: BTreeMap<Operation, u64>,
    injected: Record<Injected>,
    passed: Record<Passed>,
    pub(super) past: Past,
    late: VecDeque<Late>,
}

/// A request on its way.
struct Late {
    at: Timestamp,
    cx: Context,
    request: Request,
}

/// What one call is, for the record, and the faults that are still to act on it.
#[derive(Debug)]
pub(super) struct Turn {
    entry: Injected,
    pub(super) faults: Vec<(usize, Fault)>,
}

impl Turn {
    pub(super) fn find(&self, is: impl Fn(&Fault) -> bool) -> Option<(usize, Fault)> {
        self.faults.iter().find(|(_, fault)| is(fault)).cloned()
    }
}

/// An error of a call that did nothing.
pub(super) fn refused(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, message).with_effect(Effect::None)
}

/// No answer: the caller of a write cannot tell what was done.
pub(super) fn lost(operation: Operation) -> Error {
    let effect = if operation.writes() { Effect::Unknown } else { Effect::None };
    Error::new(ErrorKind::Unavailable, "the answer was lost").with_effect(effect)
}

impl FaultLayer {
    /// A layer without faults. It waits through `clock`, which should be the one of the runtime.
    pub fn new(inner: Arc<dyn Connector>, clock: Arc<dyn Clock>) -> Self {
        Self::with(inner, clock, LayerOptions::default())
    }

    /// A layer with options.
    pub fn with(inner: Arc<dyn Connector>, clock: Arc<dyn Clock>, options: LayerOptions) -> Self {
        let state = State {
            past: Past::for_rules(&options.faults),
            faults: FaultState::of_layer(options.faults),
            calls: BTreeMap::new(),
            injected: Record::new(options.record_max),
            passed: Record::new(options.record_max),
            late: VecDeque::new(),
        };
        let shared = Shared { inner, clock, observer: options.observer, state: Mutex::new(state) };
        Self { shared: Arc::new(shared) }
    }

    /// The connector behind the layer.
    pub fn inner(&self) -> &Arc<dyn Connector> {
        &self.shared.inner
    }

    /// Replaces the faults and forgets how often their rules fired; call numbers of rules start again at 1. What was
    /// recorded stays, and so do requests that are on their way.
    pub fn set_faults(&self, faults: Faults) {
        let mut state = self.shared.state();
        state.past.keep_for(&faults);
        state.faults = FaultState::of_layer(faults);
    }

    /// The same with other rules under the same seed.
    pub fn set_rules(&self, rules: impl IntoIterator<Item = FaultRule>) {
        let seed = self.seed();
        self.set_faults(Faults { seed, rules: rules.into_iter().collect() });
    }

    /// No faults from now on.
    pub fn calm(&self) {
        self.set_rules([]);
    }

    /// What decides the chances.
    pub fn seed(&self) -> u64 {
        self.shared.state().faults.faults().seed
    }

    /// The faults as they were set.
    pub fn faults(&self) -> Faults {
        self.shared.state().faults.faults().clone()
    }

    /// The faults that acted, oldest first.
    pub fn injected(&self) -> Vec<Injected> {
        self.shared.state().injected.all()
    }

    /// The same, and forgets them.
    pub fn take_injected(&self) -> Vec<Injected> {
        self.shared.state().injected.take()
    }

    /// How many faults acted since the layer was made, those included that are forgotten.
    pub fn injected_count(&self) -> u64 {
        self.shared.state().injected.count()
    }

    /// The requests that reached the connector, oldest first; one that was sent twice is here twice, a listing once.
    pub fn passed(&self) -> Vec<Passed> {
        self.shared.state().passed.all()
    }

    /// The same, and forgets them.
    pub fn take_passed(&self) -> Vec<Passed> {
        self.shared.state().passed.take()
    }

    /// Calls of the layer by operation, refused ones included. A listing counts when it is first polled.
    pub fn calls(&self) -> BTreeMap<Operation, u64> {
        self.shared.state().calls.clone()
    }

    /// How often one operation was called.
    pub fn called(&self, operation: Operation) -> u64 {
        self.shared.state().calls.get(&operation).copied().unwrap_or_default()
    }

    /// How many requests are on their way ([`Fault::Late`]).
    pub fn on_their_way(&self) -> usize {
        self.shared.state().late.len()
    }

    /// Lets the late requests whose time has come reach the connector; every call of the layer does so first. Returns
    /// how many.
    pub async fn deliver_due(&self) -> usize {
        self.shared.deliver(Some(self.shared.clock.now())).await
    }

    /// Lets all late requests reach the connector now.
    pub async fn deliver_all(&self) -> usize {
        self.shared.deliver(None).await
    }
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn deliver(&self, until: Option<Timestamp>) -> usize {
        let mut delivered = 0;
        loop {
            let due = {
                let mut state = self.state();
                let due = state.late.iter().position(|late| until.is_none_or(|until| late.at <= until));
                due.and_then(|index| state.late.remove(index))
            };
            let Some(Late { cx, request, .. }) = due else { return delivered };
            delivered += 1;
            // Nobody waits for this answer any more.
            let _ = self.pass(&cx, request).await;
        }
    }

    /// Counts the call and lets the faults act that stop it.
    pub(super) async fn begin(&self, cx: &Context, request: &Request) -> Result<Turn> {
        self.deliver(Some(self.clock.now())).await;
        let (mut turn, due) = {
            let mut state = self.state();
            let call = state.calls.entry(request.operation()).or_default();
            *call += 1;
            let entry = Injected {
                operation: request.operation(),
                call: *call,
                fault: Fault::Refuse,
                rule: 0,
                class: request.class().cloned(),
                key: request.key().cloned(),
                correlation: cx.correlation.clone(),
                at: Timestamp::EPOCH,
            };
            (Turn { entry, faults: Vec::new() }, state.faults.due(request.about()))
        };
        for (rule, fault) in due {
            if let Some(error) = fault.refusal() {
                self.note(&turn, rule, fault);
                return Err(error);
            }
            match fault {
                Fault::Delay(millis) => {
                    self.note(&turn, rule, fault);
                    self.wait(millis).await;
                    self.in_time(cx, || refused(ErrorKind::Unavailable, "the deadline has passed"))?;
                }
                Fault::LoseRequest => {
                    self.note(&turn, rule, fault);
                    return Err(lost(turn.entry.operation));
                }
                Fault::Late(millis) => {
                    self.note(&turn, rule, fault);
                    self.send_later(cx, request, millis);
                    return Err(lost(turn.entry.operation));
                }
                Fault::Hang => {
                    self.note(&turn, rule, fault);
                    return std::future::pending().await;
                }
                Fault::ExpireToken => {
                    self.note(&turn, rule, fault);
                    let message = "the token is too old: list everything again";
                    return Err(refused(ErrorKind::Conflict, message));
                }
                fault => turn.faults.push((rule, fault)),
            }
        }
        Ok(turn)
    }

    /// Records that a fault acts on the call.
    pub(super) fn note(&self, turn: &Turn, rule: usize, fault: Fault) {
        let entry = Injected { fault, rule, at: self.clock.now(), ..turn.entry.clone() };
        self.state().injected.push(entry);
    }

    async fn wait(&self, millis: u64) {
        self.clock.sleep(Duration::from_millis(millis)).await;
    }

    fn in_time(&self, cx: &Context, error: impl Fn() -> Error) -> Result<()> {
        match cx.deadline {
            Some(deadline) if self.clock.now() >= deadline => Err(error()),
            _ => Ok(()),
        }
    }

    fn send_later(&self, cx: &Context, request: &Request, millis: u64) {
        let at = self.clock.now().plus(Duration::from_millis(millis));
        // The deadline is the caller's: what is on its way does not know it.
        let cx = Context { deadline: None, ..cx.clone() };
        self.state().late.push_back(Late { at, cx, request: request.clone() });
    }

    /// Tells the record and the observer that a request reaches the connector.
    pub(super) async fn sending(&self, cx: &Context, request: &Request) {
        if let Some(observer) = &self.observer {
            observer.sending(cx, request).await;
        }
        let correlation = cx.correlation.clone();
        let passed = Passed { request: request.clone(), correlation, at: self.clock.now() };
        self.state().passed.push(passed);
    }

    pub(super) async fn answered(&self, cx: &Context, request: &Request, answer: &Result<Answer>) {
        if let Some(observer) = &self.observer {
            observer.answered(cx, request, answer).await;
        }
    }

    /// Lets a request reach the connector.
    async fn pass(&self, cx: &Context, request: Request) -> Result<Answer> {
        self.sending(cx, &request).await;
        let before = self.before(cx, &request).await;
        let answer = request.clone().send(self.inner.as_ref(), cx).await;
        self.remember(&request, before, &answer);
        self.answered(cx, &request, &answer).await;
        answer
    }

    /// One call, with everything that goes wrong with it.
    pub(super) async fn call(&self, cx: &Context, request: Request) -> Result<Answer> {
        let turn = self.begin(cx, &request).await?;
        if let Some(stale) = self.stale(&turn, &request) {
            return self.way_back(cx, &turn, Ok(stale)).await;
        }
        let again = turn.find(|fault| *fault == Fault::Duplicate).map(|found| (found, request.clone()));
        let answer = self.pass(cx, request).await;
        if let Some(((rule, fault), request)) = again {
            self.note(&turn, rule, fault);
            let _ = self.pass(cx, request).await;
        }
        self.way_back(cx, &turn, answer).await
    }

    /// Lets the faults act that spoil an answer.
    pub(super) async fn way_back(
        &self,
        cx: &Context,
        turn: &Turn,
        mut answer: Result<Answer>,
    ) -> Result<Answer> {
        for (rule, fault) in &turn.faults {
            match fault {
                Fault::LoseResponse => {
                    self.note(turn, *rule, fault.clone());
                    return Err(lost(turn.entry.operation));
                }
                Fault::HangResponse => {
                    self.note(turn, *rule, fault.clone());
                    return std::future::pending().await;
                }
                Fault::DelayResponse(millis) => {
                    self.note(turn, *rule, fault.clone());
                    self.wait(*millis).await;
                    self.in_time(cx, || lost(turn.entry.operation))?;
                }
                Fault::DropObserved if drop_observed(&mut answer) => {
                    self.note(turn, *rule, fault.clone());
                }
                _ => {}
            }
        }
        answer
    }
}

/// True when there was something to drop.
fn drop_observed(answer: &mut Result<Answer>) -> bool {
    let Ok(Answer::Outcome(Outcome::Done(done))) = answer else { return false };
    let told = done.observed.is_some() || !done.side_effects.is_empty();
    done.observed = None;
    done.side_effects = crate::delta::Delta::new();
    told
}

impl fmt::Debug for FaultLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("FaultLayer");
        shown.field("inner", &self.shared.inner);
        let state = self.shared.state();
        shown.field("seed", &state.faults.faults().seed).field("rules", &state.faults.faults().rules.len());
        shown.field("injected", &state.injected.count()).field("passed", &state.passed.count());
        shown.finish_non_exhaustive()
    }
}

impl fmt::Display for FaultLayer {
    /// The seed and the last faults, for the message of a failed test.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 50;
        let (seed, count, injected) = (self.seed(), self.injected_count(), self.injected());
        write!(f, "seed {seed}, {count} faults")?;
        let last = injected.get(injected.len().saturating_sub(SHOWN)..).unwrap_or_default();
        for entry in last {
            write!(f, "\n  {entry}")?;
        }
        Ok(())
    }
}
