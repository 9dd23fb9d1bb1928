//! The desk: the one place that reads and rewrites the file. Changes queue, and one rewrite serves all that wait.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use provision_core::connector::{Context, Outcome};
use provision_core::runtime::Clock;
use provision_core::value::Timestamp;
use provision_core::{Effect, Error, ErrorKind, Result};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::change::Change;
use super::error;
use super::file::{self, Stamp};
use super::schema::Shape;
use super::table::{Table, load};

/// Most changes that one rewrite serves.
const GROUP_MAX: usize = 4096;

#[derive(Debug)]
struct Job {
    change: Change,
    /// The file's lock may be another's for longer than this.
    deadline: Option<Timestamp>,
    answer: oneshot::Sender<Result<Outcome>>,
}

/// A change, and until when it may be made.
type Asked = (Change, Option<Timestamp>);

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    running: bool,
}

/// The table as last seen. The handle keeps the file's inode number from being used again.
#[derive(Debug)]
struct Seen {
    table: Arc<Table>,
    stamp: Option<Stamp>,
    _file: Option<File>,
}

/// The one place that reads and rewrites the file.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) shape: Shape,
    path: PathBuf,
    clock: Arc<dyn Clock>,
    seen: Mutex<Option<Seen>>,
    queue: Mutex<Queue>,
    rewrites: AtomicU64,
}

fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    pub(super) fn new(shape: Shape, path: PathBuf, clock: Arc<dyn Clock>) -> Self {
        Self {
            shape,
            path,
            clock,
            seen: Mutex::new(None),
            queue: Mutex::new(Queue::default()),
            rewrites: AtomicU64::new(0),
        }
    }

    /// How often the file was rewritten.
    pub(super) fn rewrites(&self) -> u64 {
        self.rewrites.load(Ordering::SeqCst)
    }

    /// Refuses a call whose deadline has passed (C-9.1).
    pub(super) fn in_time(&self, cx: &Context) -> Result<()> {
        self.before(cx.deadline)
    }

    fn before(&self, deadline: Option<Timestamp>) -> Result<()> {
        match deadline {
            Some(deadline) if self.clock.now() >= deadline => {
                let error = Error::new(ErrorKind::Unavailable, "the deadline has passed");
                Err(error.with_effect(Effect::None))
            }
            _ => Ok(()),
        }
    }

    /// The file as configured.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The table as it is now: read again only when the file changed. Blocks.
    pub(super) fn table(&self) -> Result<Arc<Table>> {
        let mut seen = unpoisoned(&self.seen);
        let now = Stamp::at(&self.path)
            .map_err(|error| error::io("read the file", &self.path, error).with_effect(Effect::None))?;
        if let Some(seen) = seen.as_ref().filter(|seen| seen.stamp == now) {
            return Ok(Arc::clone(&seen.table));
        }
        let fresh = match load(&self.shape, &self.path)? {
            Some((table, stamp, file)) => {
                Seen { table: Arc::new(table), stamp: Some(stamp), _file: Some(file) }
            }
            None => Seen { table: Arc::new(Table::empty(&self.shape)), stamp: None, _file: None },
        };
        let table = Arc::clone(&fresh.table);
        *seen = Some(fresh);
        Ok(table)
    }

    /// Queues a change and waits until it is durable. It is not made when the call's deadline passes before its turn.
    pub(super) async fn submit(self: &Arc<Self>, cx: &Context, change: Change) -> Result<Outcome> {
        let (answer, answered) = oneshot::channel();
        let idle = {
            let mut queue = unpoisoned(&self.queue);
            queue.jobs.push_back(Job { change, deadline: cx.deadline, answer });
            !std::mem::replace(&mut queue.running, true)
        };
        if idle {
            // On a thread of its own: a caller that goes away must not stop a rewrite that others wait for.
            let shift = Shift { desk: Arc::clone(self), over: false };
            drop(spawn_blocking(move || shift.work()));
        }
        answered.await.unwrap_or_else(|_| Err(error::stopped(Effect::Unknown)))
    }

    /// Takes what waits; nothing waits: the shift is over.
    fn take(&self) -> Vec<Job> {
        let mut queue = unpoisoned(&self.queue);
        let length = queue.jobs.len().min(GROUP_MAX);
        let jobs = queue.jobs.drain(..length).collect::<Vec<_>>();
        queue.running = !jobs.is_empty();
        jobs
    }

    /// Applies a group with one rewrite. Nobody is answered before the file is durable.
    fn serve(&self, jobs: Vec<Job>) {
        let mut answers = Vec::with_capacity(jobs.len());
        let mut results = Vec::with_capacity(jobs.len());
        let mut changes = Vec::with_capacity(jobs.len());
        for job in jobs {
            answers.push(job.answer);
            changes.push((job.change, job.deadline));
        }
        match self.rewrite(changes, &mut results) {
            Ok(()) => {
                for (answer, result) in answers.into_iter().zip(results) {
                    // A caller that went away does not want the answer.
                    let _ = answer.send(result);
                }
            }
            Err(error) => {
                let record = error.record();
                for answer in answers {
                    let _ = answer.send(Err(Error::from(record.clone())));
                }
            }
        }
    }

    /// # Errors
    /// Of the group as a whole, with its effect: no change of it counts.
    fn rewrite(&self, changes: Vec<Asked>, results: &mut Vec<Result<Outcome>>) -> Result<()> {
        let path = file::resolve(&self.path);
        let lock = file::lock(&path)?;
        let before = self.table()?;
        let mut table = Table::clone(&before);
        let mut changed = false;
        for (change, deadline) in changes {
            // With the lock in hand: whoever asked may have given up while another process had it.
            let applied = self.before(deadline).and_then(|()| self.shape.apply(&mut table, change));
            results.push(applied.map(|(outcome, wrote)| {
                changed |= wrote;
                outcome
            }));
        }
        if changed {
            let content = table.to_bytes(&self.shape);
            let file = file::replace(&path, &content)?;
            self.rewrites.fetch_add(1, Ordering::SeqCst);
            if let Ok(stamp) = Stamp::of(&file) {
                let seen = Seen { table: Arc::new(table), stamp: Some(stamp), _file: Some(file) };
                *unpoisoned(&self.seen) = Some(seen);
            }
        }
        drop(lock);
        Ok(())
    }
}

/// A thread that serves the queue until it is empty.
struct Shift {
    desk: Arc<Desk>,
    over: bool,
}

impl Shift {
    fn work(mut self) {
        loop {
            let jobs = self.desk.take();
            if jobs.is_empty() {
                self.over = true;
                return;
            }
            self.desk.serve(jobs);
        }
    }
}

impl Drop for Shift {
    /// A shift that never began or broke off leaves nobody waiting.
    fn drop(&mut self) {
        if !self.over {
            let mut queue = unpoisoned(&self.desk.queue);
            queue.running = false;
            queue.jobs.clear();
        }
    }
}
