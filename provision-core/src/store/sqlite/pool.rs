//! The threads that read.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::failure::unusable;
use crate::error::{Error, Result};

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// Threads with a connection each; they take jobs from one queue.
///
/// Of those that have nothing to do, the one that worked last is woken: what it read is in its page cache. Calls that
/// come one after the other need one thread, and the memory of one.
///
/// Nobody waits to be let in: a job waits in the queue from the first poll of its caller on, one for each caller. Where
/// places were given out in turn, a caller that is not polled for a while (a chunk read ahead, while its plan works on
/// the chunk before it) would keep its place unused, and many of them all places, from callers that they wait for.
#[derive(Debug)]
pub(super) struct Readers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// One per thread.
    bells: Vec<Condvar>,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Threads that wait for their bell; the last one worked last.
    idle: Vec<usize>,
    closed: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("jobs", &self.jobs.len())
            .field("idle", &self.idle)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(&self, job: Job) {
        let mut state = self.state();
        state.jobs.push_back(job);
        if let Some(bell) = state.idle.pop().and_then(|thread| self.bells.get(thread)) {
            bell.notify_one();
        }
    }

    /// The next job for a thread; `None`: the store was closed, and every job is done.
    fn next(&self, thread: usize) -> Option<Job> {
        let mut state = self.state();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state.idle.push(thread);
            state = self.bells.get(thread)?.wait(state).unwrap_or_else(PoisonError::into_inner);
            // Nobody rang where it woke by itself.
            state.idle.retain(|one| *one != thread);
        }
    }
}

impl Readers {
    /// Starts a thread per connection.
    pub(super) fn start(connections: Vec<Connection>) -> Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::default()),
            bells: connections.iter().map(|_| Condvar::new()).collect(),
        });
        let mut readers = Self { shared, threads: Vec::new() };
        for (thread, connection) in connections.into_iter().enumerate() {
            let shared = Arc::clone(&readers.shared);
            let started = std::thread::Builder::new().name("provision-read".to_owned()).spawn(move || {
                while let Some(job) = shared.next(thread) {
                    job(&connection);
                }
            });
            let started =
                started.map_err(|error| unusable("cannot start a thread for reads").with_source(error))?;
            readers.threads.push(started);
        }
        Ok(readers)
    }

    /// Runs a query on one of the threads.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.shared.give(Box::new(move |connection| {
            // A caller that stopped waiting needs no answer.
            if !reply.is_closed() {
                let _ = reply.send(query(connection));
            }
        }));
        answer.await.map_err(|_| stopped())?
    }
}

fn stopped() -> Error {
    unusable("the threads that read the store have stopped: open the store again")
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        for bell in &self.shared.bells {
            bell.notify_all();
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::ThreadId;

    fn readers(count: usize) -> Readers {
        Readers::start((0..count).map(|_| Connection::open_in_memory().unwrap()).collect()).unwrap()
    }

    async fn who(readers: &Readers) -> ThreadId {
        readers.run(|_| Ok(std::thread::current().id())).await.unwrap()
    }

    #[tokio::test]
    async fn jobs_one_after_the_other_stay_on_one_thread() {
        let readers = readers(4);
        let mut seen = std::collections::HashMap::<ThreadId, u32>::new();
        for _ in 0..400 {
            // A thread answers before it is idle again.
            while readers.shared.state().idle.len() < 4 {
                std::thread::yield_now();
            }
            *seen.entry(who(&readers).await).or_default() += 1;
        }
        assert_eq!(seen.into_values().collect::<Vec<_>>(), [400]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn jobs_at_once_run_at_once_and_all_are_done() {
        let readers = Arc::new(readers(3));
        let together = Arc::new(std::sync::Barrier::new(3));
        let calls = (0..3).map(|_| {
            let (readers, together) = (Arc::clone(&readers), Arc::clone(&together));
            tokio::spawn(async move { readers.run(move |_| Ok(together.wait().is_leader())).await.unwrap() })
        });
        let mut leaders = 0;
        for call in calls.collect::<Vec<_>>() {
            leaders += u32::from(call.await.unwrap());
        }
        assert_eq!(leaders, 1, "three jobs met: each had a thread");
        let many = (0..1_000).map(|n| {
            let readers = Arc::clone(&readers);
            tokio::spawn(async move { readers.run(move |_| Ok(n)).await.unwrap() })
        });
        let mut sum = 0;
        for call in many.collect::<Vec<_>>() {
            sum += call.await.unwrap();
        }
        assert_eq!(sum, 499_500);
    }

    /// Chunks that are read ahead are not polled while their plan works on the chunk before them.
    #[tokio::test]
    async fn callers_that_nobody_polls_keep_nobody_waiting() {
        let readers = readers(1);
        let (open, gate) = std::sync::mpsc::channel::<()>();
        let first = readers.run(move |_| Ok(gate.recv().is_ok()));
        let mut first = Box::pin(first);
        assert!(futures_util::poll!(&mut first).is_pending());
        let mut idle = Vec::new();
        for _ in 0..500 {
            let mut call = Box::pin(readers.run(|_| Ok(())));
            assert!(futures_util::poll!(&mut call).is_pending());
            idle.push(call);
        }
        open.send(()).unwrap();
        let asked = readers.run(|_| Ok(7));
        let answer = tokio::time::timeout(std::time::Duration::from_secs(20), asked).await;
        assert_eq!(answer.expect("the others keep the places that they do not use").unwrap(), 7);
        assert!(first.await.unwrap());
    }
}
