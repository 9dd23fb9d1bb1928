//! Writes: changes are queued, and one rewrite of the file serves all that wait.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use provision_core::connector::{
    Context, CreateRequest, DeleteRequest, LifecycleFacet, LifecycleRequest, ObjectKey, Outcome,
    RenameRequest, UpdateRequest, WriteDone, Writer,
};
use provision_core::delta::Delta;
use provision_core::id::ClassName;
use provision_core::value::{AttrName, Attributes, Slot};
use provision_core::{Effect, Error, ErrorKind, Result};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::connector::CsvConnector;
use super::error;
use super::file::{self, Stamp};
use super::schema::Shape;
use super::table::{Row, Table, load};

/// Most changes that one rewrite serves.
const GROUP_MAX: usize = 4096;

/// A change of the table.
#[derive(Debug)]
enum Change {
    Create { key: String, attributes: Attributes, enabled: bool },
    Update { key: ObjectKey, delta: Delta },
    Rename { key: ObjectKey, naming: Attributes },
    Delete { key: ObjectKey },
    Enable { key: ObjectKey, enabled: bool },
}

#[derive(Debug)]
struct Job {
    change: Change,
    answer: oneshot::Sender<Result<Outcome>>,
}

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
    seen: Mutex<Option<Seen>>,
    queue: Mutex<Queue>,
    rewrites: AtomicU64,
}

fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    pub(super) fn new(shape: Shape, path: PathBuf) -> Self {
        Self {
            shape,
            path,
            seen: Mutex::new(None),
            queue: Mutex::new(Queue::default()),
            rewrites: AtomicU64::new(0),
        }
    }

    /// How often the file was rewritten.
    pub(super) fn rewrites(&self) -> u64 {
        self.rewrites.load(Ordering::SeqCst)
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

    /// Queues a change and waits until it is durable.
    async fn submit(self: &Arc<Self>, change: Change) -> Result<Outcome> {
        let (answer, answered) = oneshot::channel();
        let idle = {
            let mut queue = unpoisoned(&self.queue);
            queue.jobs.push_back(Job { change, answer });
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
            changes.push(job.change);
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
    fn rewrite(&self, changes: Vec<Change>, results: &mut Vec<Result<Outcome>>) -> Result<()> {
        let path = file::resolve(&self.path);
        let lock = file::lock(&path)?;
        let before = self.table()?;
        let mut table = Table::clone(&before);
        let mut changed = false;
        for change in changes {
            results.push(self.shape.apply(&mut table, change).map(|(outcome, wrote)| {
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

impl Shape {
    /// Applies one change to the table. Tells the outcome, and whether the file must be written for it.
    fn apply(&self, table: &mut Table, change: Change) -> Result<(Outcome, bool)> {
        match change {
            Change::Create { key, attributes, enabled } => self.create(table, key, &attributes, enabled),
            Change::Update { key, delta } => self.update(table, &key, &delta),
            Change::Rename { key, naming } => {
                let changes = naming.iter().map(|(name, slot)| (name.clone(), replace_with(slot))).collect();
                self.edit(table, &key, &Delta { changes }, true)
            }
            Change::Delete { key } => {
                let Some((position, _)) = table.find_key(self, &key.id) else {
                    return Ok((Outcome::done(key), false));
                };
                table.remove(self, position);
                Ok((Outcome::done(key), true))
            }
            Change::Enable { key, enabled } => self.enable(table, &key, enabled),
        }
    }

    fn create(
        &self,
        table: &mut Table,
        link: String,
        attributes: &Attributes,
        enabled: bool,
    ) -> Result<(Outcome, bool)> {
        let parsed = self.parse(attributes)?;
        self.check_required(&parsed)?;
        if self.key_attribute.is_none()
            && let Some((_, row)) = table.find_key(self, &link)
        {
            // The link's row is there: this is the create of before, sent again.
            return Ok((self.done(row)?, false));
        }
        let mut cells = vec![String::new(); self.header.len()];
        self.fill(&mut cells, &parsed);
        if self.key_attribute.is_none() {
            set(&mut cells, Some(self.key), super::cell::mark(link, self.formulas));
        }
        set(&mut cells, self.enabled, enabled.to_string());
        let row: Row = cells.into();
        table.insert(self, Arc::clone(&row)).map_err(|taken| self.taken(taken.column))?;
        Ok((self.done(&row)?, true))
    }

    fn update(&self, table: &mut Table, key: &ObjectKey, delta: &Delta) -> Result<(Outcome, bool)> {
        self.edit(table, key, delta, false)
    }

    /// Changes attributes of a row; naming ones only in a rename.
    fn edit(
        &self,
        table: &mut Table,
        key: &ObjectKey,
        delta: &Delta,
        rename: bool,
    ) -> Result<(Outcome, bool)> {
        if let Some(unknown) = delta.changes.keys().find(|name| !self.class.attributes.contains_key(*name)) {
            return Err(error::invalid_attribute(
                unknown.as_str(),
                "the table has no column for this attribute",
            ));
        }
        let (position, row) = table.find_key(self, &key.id).ok_or_else(|| not_found(key))?;
        let before = self.attributes_of(row)?;
        let after = self.parse(&delta.apply(&self.class, &before))?;
        let fixed = |name: &AttrName| {
            Some(name) == self.key_attribute.as_ref() || (!rename && Some(name) == self.class.naming.as_ref())
        };
        let differs = |name: &&AttrName| before.get(name.as_str()) != after.get(name.as_str());
        if let Some(name) = delta.changes.keys().filter(|name| fixed(name)).find(differs) {
            let why = if Some(name) == self.key_attribute.as_ref() {
                "the key of a row never changes"
            } else {
                "a naming attribute changes by rename only"
            };
            return Err(error::invalid_attribute(name.as_str(), why));
        }
        self.check_required(&after)?;
        let mut cells = row.to_vec();
        self.fill(&mut cells, &after);
        if cells.as_slice() == &**row {
            return Ok((self.done(row)?, false));
        }
        let row: Row = cells.into();
        table.put(self, position, Arc::clone(&row)).map_err(|taken| self.taken(taken.column))?;
        Ok((self.done(&row)?, true))
    }

    fn enable(&self, table: &mut Table, key: &ObjectKey, enabled: bool) -> Result<(Outcome, bool)> {
        let (position, row) = table.find_key(self, &key.id).ok_or_else(|| not_found(key))?;
        let mut cells = row.to_vec();
        set(&mut cells, self.enabled, enabled.to_string());
        if cells.as_slice() == &**row {
            return Ok((self.done(row)?, false));
        }
        let row: Row = cells.into();
        table.put(self, position, Arc::clone(&row)).map_err(|taken| self.taken(taken.column))?;
        Ok((self.done(&row)?, true))
    }

    fn parse(&self, attributes: &Attributes) -> Result<Attributes> {
        let (parsed, problems) = self.class.parse(attributes);
        match problems.into_iter().next() {
            None => Ok(parsed),
            Some(problem) => {
                let name = problem.path.clone().unwrap_or_default();
                Err(error::invalid_attribute(&name, problem.summary))
            }
        }
    }

    fn check_required(&self, attributes: &Attributes) -> Result<()> {
        let required = self.class.attributes.iter().filter(|(_, schema)| schema.required);
        for (name, _) in required {
            let is_key = Some(name) == self.key_attribute.as_ref();
            let blank_key = is_key && attributes.text(name.as_str()) == Some("");
            if attributes.values(name.as_str()).is_empty() || blank_key {
                return Err(error::invalid_attribute(name.as_str(), "a required attribute has no value"));
            }
        }
        Ok(())
    }

    fn fill(&self, cells: &mut [String], attributes: &Attributes) {
        for column in &self.attributes {
            let cell = self.to_cell(column, attributes.get(column.name.as_str()));
            set(cells, Some(column.index), cell);
        }
    }

    fn done(&self, row: &Row) -> Result<Outcome> {
        Ok(Outcome::Done(WriteDone {
            key: self.key_of(row),
            observed: Some(self.attributes_of(row)?),
            side_effects: Delta::new(),
        }))
    }

    fn taken(&self, column: usize) -> Error {
        let name = self.header.get(column).map(String::as_str).unwrap_or_default();
        Error::new(ErrorKind::AlreadyExists, "another row has this value of a unique column")
            .with_context("column", name)
            .with_effect(Effect::None)
    }

    fn check_class(&self, class: &ClassName) -> Result<()> {
        if *class == self.class_name {
            return Ok(());
        }
        Err(unsupported(format!("the table holds rows of class `{}`, not `{class}`", self.class_name)))
    }
}

fn set(cells: &mut [String], index: Option<usize>, cell: String) {
    if let Some(place) = index.and_then(|index| cells.get_mut(index)) {
        *place = cell;
    }
}

fn replace_with(slot: &Slot) -> provision_core::delta::Change {
    match slot {
        Slot::Null => provision_core::delta::Change::Clear,
        Slot::Values(values) => provision_core::delta::Change::Replace(values.clone()),
    }
}

fn not_found(key: &ObjectKey) -> Error {
    Error::new(ErrorKind::NotFound, "no row has this key")
        .with_context("key", key.id.clone())
        .with_effect(Effect::None)
}

pub(super) fn unsupported(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unsupported, message).with_effect(Effect::None)
}

#[async_trait]
impl Writer for CsvConnector {
    async fn create(&self, _cx: &Context, request: CreateRequest) -> Result<Outcome> {
        self.desk.shape.check_class(&request.class)?;
        if request.password.is_some() {
            return Err(unsupported("a password is never written to a file"));
        }
        if self.desk.shape.enabled.is_none() && request.enabled == Some(false) {
            return Err(unsupported("the table has no `enabled_column`"));
        }
        let change = Change::Create {
            key: request.idempotency.to_string(),
            attributes: request.attributes,
            enabled: request.enabled.unwrap_or(true),
        };
        self.desk.submit(change).await
    }

    async fn update(&self, _cx: &Context, request: UpdateRequest) -> Result<Outcome> {
        self.desk.shape.check_class(&request.class)?;
        self.desk.submit(Change::Update { key: request.key, delta: request.delta }).await
    }

    async fn rename(&self, _cx: &Context, request: RenameRequest) -> Result<Outcome> {
        self.desk.shape.check_class(&request.class)?;
        let Some(naming) = &self.desk.shape.class.naming else {
            return Err(unsupported("the table has no naming attribute"));
        };
        if let Some((other, _)) = request.naming.iter().find(|(name, _)| *name != naming) {
            return Err(error::invalid_attribute(
                other.as_str(),
                "a rename changes the naming attribute alone",
            ));
        }
        self.desk.submit(Change::Rename { key: request.key, naming: request.naming }).await
    }

    async fn delete(&self, _cx: &Context, request: DeleteRequest) -> Result<Outcome> {
        self.desk.shape.check_class(&request.class)?;
        self.desk.submit(Change::Delete { key: request.key }).await
    }
}

#[async_trait]
impl LifecycleFacet for CsvConnector {
    async fn set(&self, _cx: &Context, request: LifecycleRequest) -> Result<Outcome> {
        self.desk.shape.check_class(&request.class)?;
        if self.desk.shape.enabled.is_none() {
            return Err(unsupported("the table has no `enabled_column`"));
        }
        self.desk.submit(Change::Enable { key: request.key, enabled: request.enabled }).await
    }
}
