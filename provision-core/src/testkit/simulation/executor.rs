//! Runs the tasks of all processes on one thread, in an order that the seed chooses.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::clock::Time;
use super::dice::Dice;
use super::lock;
use super::trace::Trace;
use crate::value::Timestamp;

/// A process, each start of it anew.
pub(super) type ProcessId = u32;

/// What is not a process of ours: people, the network.
pub(super) const WORLD: ProcessId = 0;

type TaskId = u64;
type Body = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What tasks ask of the executor; done between two polls.
enum Order {
    Spawn(ProcessId, Body),
    Kill(ProcessId),
    Pause(ProcessId, Timestamp),
    Call(Box<dyn FnOnce() + Send>),
}

/// Gives orders to the executor.
#[derive(Clone, Default)]
pub(super) struct Orders(Arc<Mutex<Vec<Order>>>);

impl Orders {
    /// Begins a task of a process.
    pub(super) fn spawn(&self, process: ProcessId, body: impl Future<Output = ()> + Send + 'static) {
        lock(&self.0).push(Order::Spawn(process, Box::pin(body)));
    }

    /// Ends a process: its tasks are dropped where they are.
    pub(super) fn kill(&self, process: ProcessId) {
        lock(&self.0).push(Order::Kill(process));
    }

    /// Calls something when the orders before it are carried out.
    pub(super) fn call(&self, what: impl FnOnce() + Send + 'static) {
        lock(&self.0).push(Order::Call(Box::new(what)));
    }

    /// Stops a process until then.
    pub(super) fn pause(&self, process: ProcessId, until: Timestamp) {
        lock(&self.0).push(Order::Pause(process, until));
    }
}

struct Task {
    process: ProcessId,
    body: Body,
    waker: Waker,
}

/// Marks a task as ready to go on.
struct Mark {
    task: TaskId,
    ready: Arc<Mutex<BTreeSet<TaskId>>>,
}

impl Wake for Mark {
    fn wake(self: Arc<Self>) {
        lock(&self.ready).insert(self.task);
    }
}

/// How a run of the executor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The main task ended.
    Done,
    /// Nobody could go on and no timer was set.
    Stuck,
    /// More polls than allowed.
    Endless,
}

/// What the executor is told of its world.
pub(super) struct Executor {
    pub(super) orders: Orders,
    time: Time,
    dice: Dice,
    trace: Arc<Trace>,
    tasks: BTreeMap<TaskId, Task>,
    ready: Arc<Mutex<BTreeSet<TaskId>>>,
    paused: BTreeMap<ProcessId, Timestamp>,
    next: TaskId,
    /// Polls so far.
    pub(super) events: u64,
    /// How likely the process whose task was just polled dies there, in a million.
    pub(super) crashes: Arc<Mutex<u64>>,
    /// Told of every process that died by chance.
    pub(super) fallen: Arc<Mutex<Vec<ProcessId>>>,
}

impl Executor {
    pub(super) fn new(time: Time, dice: Dice, trace: Arc<Trace>) -> Self {
        Self {
            orders: Orders::default(),
            time,
            dice,
            trace,
            tasks: BTreeMap::new(),
            ready: Arc::default(),
            paused: BTreeMap::new(),
            next: 0,
            events: 0,
            crashes: Arc::default(),
            fallen: Arc::default(),
        }
    }

    fn spawn(&mut self, process: ProcessId, body: Body) -> TaskId {
        self.next += 1;
        let task = self.next;
        let waker = Waker::from(Arc::new(Mark { task, ready: Arc::clone(&self.ready) }));
        self.tasks.insert(task, Task { process, body, waker });
        lock(&self.ready).insert(task);
        task
    }

    fn kill(&mut self, process: ProcessId) {
        self.paused.remove(&process);
        let gone: Vec<TaskId> =
            self.tasks.iter().filter(|(_, task)| task.process == process).map(|(id, _)| *id).collect();
        for id in gone {
            // Dropped here, while nothing is locked: what it holds may give orders.
            let task = self.tasks.remove(&id);
            drop(task);
            lock(&self.ready).remove(&id);
        }
    }

    fn obey(&mut self) {
        loop {
            let orders = std::mem::take(&mut *lock(&self.orders.0));
            if orders.is_empty() {
                return;
            }
            for order in orders {
                match order {
                    Order::Spawn(process, body) => {
                        self.spawn(process, body);
                    }
                    Order::Kill(process) => self.kill(process),
                    Order::Call(what) => what(),
                    Order::Pause(process, until) => {
                        self.paused.insert(process, until);
                    }
                }
            }
        }
    }

    /// A task that is ready and may go on.
    fn choose(&mut self) -> Option<TaskId> {
        let now = self.time.now();
        self.paused.retain(|_, until| *until > now);
        let ready = lock(&self.ready);
        let free =
            |id: &&TaskId| self.tasks.get(id).is_some_and(|task| !self.paused.contains_key(&task.process));
        if self.paused.is_empty() {
            let at = usize::try_from(self.dice.below(ready.len() as u64)).unwrap_or(0);
            return ready.iter().nth(at).copied();
        }
        let free: Vec<TaskId> = ready.iter().filter(free).copied().collect();
        self.dice.pick(&free).copied()
    }

    /// Runs until `main` ends; at most so many polls.
    pub(super) fn run(&mut self, main: impl Future<Output = ()> + Send + 'static, most: u64) -> Ended {
        let main = self.spawn(WORLD, Box::pin(main));
        loop {
            self.obey();
            if !self.tasks.contains_key(&main) {
                return Ended::Done;
            }
            let Some(id) = self.choose() else {
                let next = self.time.next_timer().into_iter().chain(self.paused.values().copied()).min();
                let Some(next) = next else { return Ended::Stuck };
                self.time.advance(next);
                continue;
            };
            self.poll(id);
            if self.events >= most {
                return Ended::Endless;
            }
        }
    }

    fn poll(&mut self, id: TaskId) {
        self.events += 1;
        lock(&self.ready).remove(&id);
        let Some(task) = self.tasks.get_mut(&id) else { return };
        self.trace.count(id);
        let process = task.process;
        let waker = task.waker.clone();
        if task.body.as_mut().poll(&mut Context::from_waker(&waker)) == Poll::Ready(()) {
            let task = self.tasks.remove(&id);
            drop(task);
        }
        // A poll takes time, so that what happens later is later.
        self.time.advance(self.time.now().plus(Duration::from_micros(1 + self.dice.below(50))));
        let chance = *lock(&self.crashes);
        if process != WORLD && self.dice.per_million(chance) {
            self.trace.note(self.time.now(), format_args!("process {process} dies"));
            self.kill(process);
            lock(&self.fallen).push(process);
        }
    }

    /// Drops everything that still runs.
    pub(super) fn clear(&mut self) {
        self.obey();
        let tasks = std::mem::take(&mut self.tasks);
        drop(tasks);
        self.obey();
    }
}
