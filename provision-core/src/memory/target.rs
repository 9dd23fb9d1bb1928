//! The target behind the connector: content, journal, faults, call counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::content::{Content, Entry, Stored};
use super::fault::{About, Fault, FaultState};
use super::journal::Journal;
use super::late::Late;
use super::{MemoryConfig, Operation};
use crate::connector::{Context, Object, ObjectKey, Outcome, WriteDone};
use crate::delta::Delta;
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::id::ClassName;
use crate::runtime::Clock;
use crate::schema::{Mutability, ObjectClass, Schema};
use crate::value::{AttrName, Attributes, ObjectRef, Slot, Value};

pub(super) struct Target {
    pub(super) config: MemoryConfig,
    pub(super) schema: Schema,
    clock: Arc<dyn Clock>,
    content: Mutex<Content>,
    journal: Option<Arc<Journal>>,
    faults: Mutex<FaultState>,
    calls: Mutex<BTreeMap<Operation, u64>>,
    pub(super) late: Late,
    /// How often a manner changed what was written, shown or told.
    altered: AtomicU64,
}

/// What the faults of one call ask for, after those that stop it.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) faults: Vec<Fault>,
}

/// An error of a call that did nothing.
pub(super) fn refuse(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, message).with_effect(Effect::None)
}

pub(super) fn not_found(class: &ClassName, key: &ObjectKey) -> Error {
    refuse(ErrorKind::NotFound, format!("there is no such {class}")).with_context("key", key.id.clone())
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Target {
    pub(super) fn new(config: MemoryConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        let classes = config.classes()?;
        let schema = Schema {
            classes: classes.iter().map(|(name, class)| (name.clone(), class.object_class())).collect(),
        };
        let kept = usize::try_from(config.changes_kept).unwrap_or(usize::MAX);
        let journal = config.state_file.as_ref().map(|path| Arc::new(Journal::new(path.clone())));
        Ok(Self {
            schema,
            clock,
            content: Mutex::new(Content::new(classes, kept)),
            journal,
            faults: Mutex::new(FaultState::new(config.faults.clone())),
            calls: Mutex::default(),
            late: Late::default(),
            altered: AtomicU64::new(0),
            config,
        })
    }

    /// The content; opens the state file at the first call.
    pub(super) fn content(&self) -> Result<MutexGuard<'_, Content>> {
        let mut content = lock(&self.content);
        if let Some(journal) = &self.journal {
            journal.open(&mut content)?;
        }
        Ok(content)
    }

    /// Counts the call and lets the faults that stop it act.
    pub(super) async fn begin(&self, cx: &Context, about: About<'_>) -> Result<Turn> {
        *lock(&self.calls).entry(about.operation).or_default() += 1;
        self.in_time(cx)?;
        let due = lock(&self.faults).due(about);
        let mut turn = Turn::default();
        for (_, fault) in due {
            if let Some(error) = fault.refusal() {
                return Err(error);
            }
            match fault {
                Fault::Delay(millis) => self.clock.sleep(std::time::Duration::from_millis(millis)).await,
                Fault::LoseResponse if !about.operation.writes() => {
                    return Err(refuse(ErrorKind::Unavailable, "the answer was lost"));
                }
                fault => turn.faults.push(fault),
            }
        }
        self.in_time(cx)?;
        Ok(turn)
    }

    /// The clock's present instant.
    pub(super) fn now(&self) -> crate::value::Timestamp {
        self.clock.now()
    }

    pub(super) fn in_time(&self, cx: &Context) -> Result<()> {
        match cx.deadline {
            Some(deadline) if self.clock.now() >= deadline => {
                Err(refuse(ErrorKind::Unavailable, "the deadline has passed"))
            }
            _ => Ok(()),
        }
    }

    /// Makes a change, for the log first. The caller waits with [`Self::settle`].
    pub(super) fn write(&self, content: &mut Content, entry: &Entry) -> Result<()> {
        if let Some(journal) = &self.journal {
            journal.append(entry)?;
        }
        content.apply(entry);
        Ok(())
    }

    /// Waits until all changes made so far are durable.
    pub(super) async fn durable(&self) -> Result<()> {
        let Some(journal) = &self.journal else { return Ok(()) };
        journal.durable().await?;
        // What is written is durable: folding may fail, and will be tried again.
        if journal.is_long() {
            let _ = self.compact();
        }
        Ok(())
    }

    /// Ends a write: waits until it is durable, then answers, or loses the answer.
    pub(super) async fn settle<T>(&self, turn: &Turn, answer: T) -> Result<T> {
        self.durable().await?;
        if turn.faults.contains(&Fault::LoseResponse) {
            return Err(
                Error::new(ErrorKind::Unavailable, "the answer was lost").with_effect(Effect::Unknown)
            );
        }
        Ok(answer)
    }

    /// Makes all changes durable, at once. For callers that are not asynchronous.
    pub(super) fn flush(&self) -> Result<()> {
        self.journal.as_ref().map_or(Ok(()), |journal| journal.flush())
    }

    /// Folds the log into the state file.
    pub(super) fn compact(&self) -> Result<()> {
        let content = self.content()?;
        self.journal.as_ref().map_or(Ok(()), |journal| journal.compact(&content))
    }

    /// The filters the target evaluates on objects of a class.
    pub(super) fn filters(&self, class: &ClassName) -> crate::connector::FilterSupport {
        let content = lock(&self.content);
        let class = content.classes.get(class);
        class.map(|class| super::connector::filters(&self.config, class)).unwrap_or_default()
    }

    /// Answers a write that is done, or says that the target works on it.
    pub(super) fn answer(&self, outcome: Outcome) -> Result<Outcome> {
        match self.config.pending_polls {
            0 => Ok(outcome),
            _ => self.late.ticket(&outcome),
        }
    }

    pub(super) fn class(&self, name: &ClassName) -> Result<&ObjectClass> {
        self.schema.class(name).ok_or_else(|| {
            refuse(ErrorKind::Unsupported, format!("the target has no class `{name}`"))
                .with_context("class", name.as_str())
        })
    }

    /// The object as a read shows it.
    pub(super) fn view(
        &self,
        content: &Content,
        class: &ClassName,
        stored: &Stored,
        members: bool,
    ) -> Object {
        let key = content.key(class, stored.number);
        let reference = |number: u64| {
            let class = content.class_of(number)?.clone();
            Some(Value::Reference(ObjectRef { class, key: super::content::id(number) }))
        };
        let mut attributes = Attributes::new();
        let Some(shape) = self.schema.class(class) else {
            return Object { class: class.clone(), key, attributes, enabled: stored.enabled };
        };
        for (name, slot) in stored.attributes.iter() {
            let shown = shape
                .attributes
                .get(name)
                .is_none_or(|schema| schema.returned && schema.mutability != Mutability::WriteOnly);
            // A reference to an object that is gone is no value any more.
            let values = slot.values().iter().filter(|value| match value {
                Value::Reference(object) => content.find(&object.class, &object.key).is_some(),
                _ => true,
            });
            let values = values.cloned().collect::<Vec<_>>();
            if shown && !values.is_empty() {
                attributes.insert(name.clone(), Slot::Values(values));
            }
        }
        let computed = if content.classes.get(class).is_some_and(|class| class.members) {
            let members = members.then(|| content.members(stored.number).filter_map(reference).collect());
            members.map(|values: Vec<_>| ("member", values))
        } else {
            Some(("memberOf", content.groups_of(stored.number).filter_map(reference).collect()))
        };
        if let Some((name, values)) = computed.filter(|(_, values)| !values.is_empty()) {
            attributes.set(name, values);
        }
        if let Some(shown) = self.config.manners.show(shape, &attributes) {
            self.alter();
            attributes = shown;
        }
        Object { class: class.clone(), key, attributes, enabled: stored.enabled }
    }

    /// The outcome of a write that left the object so; `asked` is what it would hold by the request alone.
    pub(super) fn outcome(
        &self,
        content: &Content,
        class: &ClassName,
        number: u64,
        turn: &Turn,
        asked: Option<&Attributes>,
    ) -> Outcome {
        let key = content.key(class, number);
        let stored = content.find(class, &key.id);
        let tells = !self.config.manners.no_observed && !turn.faults.contains(&Fault::DropObserved);
        if self.config.manners.no_observed {
            self.alter();
        }
        let observed =
            stored.filter(|_| tells).map(|stored| self.view(content, class, stored, false).attributes);
        let side_effects = match (asked, stored, self.schema.class(class)) {
            (Some(asked), Some(stored), Some(shape)) if tells => {
                let mut kept = stored.attributes.clone();
                for (name, _) in
                    asked.iter().filter(|(name, _)| stored.attributes.get(name.as_str()).is_none())
                {
                    kept.insert(name.clone(), Slot::Null);
                }
                Delta::diff(shape, asked, &kept)
            }
            _ => Delta::new(),
        };
        Outcome::Done(WriteDone { key, observed, side_effects })
    }

    /// The attributes as the target keeps them.
    pub(super) fn keep(&self, attributes: &Attributes) -> Attributes {
        let kept = self.config.manners.keep(attributes);
        let same = |(name, slot): (&AttrName, &Slot)| kept.values(name.as_str()) == slot.values();
        if !attributes.iter().all(same) {
            self.alter();
        }
        kept
    }

    fn alter(&self) {
        self.altered.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn altered(&self) -> u64 {
        self.altered.load(Ordering::Relaxed)
    }

    /// How often each operation was called, the calls that failed included.
    pub(super) fn calls(&self) -> BTreeMap<Operation, u64> {
        lock(&self.calls).clone()
    }

    pub(super) fn fired(&self) -> Vec<u64> {
        lock(&self.faults).fired()
    }

    pub(super) fn set_faults(&self, faults: super::Faults) {
        *lock(&self.faults) = FaultState::new(faults);
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither the content nor its passwords' digests.
        let classes = self.schema.classes.keys().collect::<Vec<_>>();
        f.debug_struct("Target")
            .field("classes", &classes)
            .field("state_file", &self.config.state_file)
            .finish()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Only tidies: what the log holds is durable already.
        if let Some(journal) = &self.journal {
            let content = lock(&self.content);
            let _ = journal.compact(&content);
        }
    }
}

/// The names of `wanted` in the class's spelling; an unknown name is refused.
pub(super) fn spelled(
    class: &ObjectClass,
    wanted: &std::collections::BTreeSet<AttrName>,
) -> Result<std::collections::BTreeSet<AttrName>> {
    wanted
        .iter()
        .map(|name| match class.attribute(name.as_str()) {
            Some((known, _)) => Ok(known.clone()),
            None => Err(refuse(ErrorKind::InvalidAttribute, format!("unknown attribute `{name}`"))
                .with_context("attribute", name.as_str())),
        })
        .collect()
}
