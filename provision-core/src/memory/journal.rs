//! The state file: a snapshot (JSON, replaced atomically), and beside it a log of the entries since, which makes a
//! write cost what it writes. A lock file keeps a second process out.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::content::{Binned, Changed, Content, Entry, Stored};
use super::target::{lock, refuse};
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::id::ClassName;

/// The log is folded into the snapshot when it is larger than this and than the snapshot.
const LOG_BYTES: u64 = 16 * 1024 * 1024;

/// The form of the snapshot.
const FORMAT: u32 = 1;

#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    pending: Mutex<Pending>,
    file: Mutex<Option<OpenLog>>,
    /// Who may write the pending lines; the others' lines go with the same write.
    turn: tokio::sync::Mutex<()>,
    /// Entries known to be on disk.
    durable: AtomicU64,
}

#[derive(Debug, Default)]
struct Pending {
    lines: Vec<u8>,
    /// Entries appended since the journal was opened.
    appended: u64,
    /// Why nothing can be written any more.
    broken: Option<String>,
}

#[derive(Debug)]
struct OpenLog {
    log: File,
    /// Bytes of entries in the log.
    log_bytes: u64,
    snapshot_bytes: u64,
    generation: u64,
    _lock: File,
}

#[derive(Serialize)]
struct Snapshot<'a> {
    format: u32,
    generation: u64,
    next: u64,
    sequence: u64,
    objects: Vec<(&'a ClassName, &'a Stored)>,
    members: std::collections::BTreeMap<u64, &'a std::collections::BTreeSet<u64>>,
    changes: &'a std::collections::VecDeque<Changed>,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    bin: &'a std::collections::BTreeMap<u64, Binned>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    format: u32,
    generation: u64,
    next: u64,
    sequence: u64,
    objects: Vec<(ClassName, Stored)>,
    members: std::collections::BTreeMap<u64, std::collections::BTreeSet<u64>>,
    changes: std::collections::VecDeque<Changed>,
    #[serde(default)]
    bin: std::collections::BTreeMap<u64, Binned>,
}

impl Journal {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            pending: Mutex::default(),
            file: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            durable: AtomicU64::new(0),
        }
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(suffix);
        PathBuf::from(name)
    }

    fn unusable(&self, what: &str, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
        refuse(ErrorKind::Unavailable, format!("the state file cannot be {what}"))
            .with_context("file", self.path.display().to_string())
            .with_source(cause)
    }

    fn corrupt(&self, file: &Path, problem: impl std::fmt::Display) -> Error {
        refuse(ErrorKind::StoreUnusable, format!("the state file is damaged: {problem}"))
            .with_context("file", file.display().to_string())
    }

    /// Takes the lock and reads snapshot and log into `content`. Once.
    pub(super) fn open(&self, content: &mut Content) -> Result<()> {
        if lock(&self.pending).broken.is_some() {
            // What is in memory may not be on disk.
            return self.whole().map_err(|error| error.with_effect(Effect::None));
        }
        let mut file = lock(&self.file);
        if file.is_some() {
            return Ok(());
        }
        let held =
            private(&self.beside(".lock"), OpenOptions::new().create(true).truncate(false).write(true))
                .map_err(|error| self.unusable("locked", error))?;
        match held.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(refuse(ErrorKind::Unavailable, "another process uses the state file")
                    .with_context("file", self.path.display().to_string()));
            }
            Err(TryLockError::Error(error)) => return Err(self.unusable("locked", error)),
        }
        let mut fresh = Content::new(content.classes.clone(), content.changes_kept);
        let generation = self.read_snapshot(&mut fresh)?;
        self.read_log(&mut fresh, generation)?;
        let opened = self.replace(&fresh, generation + 1, held)?;
        *content = fresh;
        *file = Some(opened);
        Ok(())
    }

    /// Reads the snapshot; its generation, 0 without a file.
    fn read_snapshot(&self, content: &mut Content) -> Result<u64> {
        let text = match std::fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(self.unusable("read", error)),
        };
        let kept: Kept = serde_json::from_slice(&text)
            .map_err(|error| self.corrupt(&self.path, &error).with_source(error))?;
        if kept.format != FORMAT {
            return Err(self.corrupt(&self.path, format!("format {} is not {FORMAT}", kept.format)));
        }
        for (class, object) in kept.objects {
            if !content.classes.contains_key(&class) {
                return Err(refuse(
                    ErrorKind::ConfigInvalid,
                    format!("the state file holds objects of class `{class}`, which the configuration lacks"),
                ));
            }
            content.place(&class, object);
        }
        for (group, members) in kept.members {
            for member in members {
                content.edge(group, member, true);
            }
        }
        content.next = content.next.max(kept.next);
        content.sequence = kept.sequence;
        content.changes = kept.changes;
        content.bin = kept.bin;
        Ok(kept.generation)
    }

    /// Replays the log, if it belongs to this generation. A last line that was torn by a stop is dropped.
    fn read_log(&self, content: &mut Content, generation: u64) -> Result<()> {
        let path = self.beside(".log");
        let mut text = Vec::new();
        match File::open(&path).and_then(|mut log| log.read_to_end(&mut text)) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(self.unusable("read", error)),
        }
        let mut lines = text.split_inclusive(|byte| *byte == b'\n').enumerate().peekable();
        while let Some((number, line)) = lines.next() {
            let Some(body) = checked(line) else {
                if lines.peek().is_none() {
                    return Ok(());
                }
                return Err(self.corrupt(&path, format!("line {} of the log is not whole", number + 1)));
            };
            let bad = |error: serde_json::Error| self.corrupt(&path, &error).with_source(error);
            if number == 0 {
                // An older log was folded into the snapshot before the stop.
                if serde_json::from_slice::<u64>(body).map_err(bad)? != generation {
                    return Ok(());
                }
                continue;
            }
            content.apply(&serde_json::from_slice::<Entry>(body).map_err(bad)?);
        }
        Ok(())
    }

    /// Writes the snapshot of this generation, then starts its log.
    fn replace(&self, content: &Content, generation: u64, held: File) -> Result<OpenLog> {
        let snapshot = Snapshot {
            format: FORMAT,
            generation,
            next: content.next,
            sequence: content.sequence,
            objects: content
                .shelves
                .iter()
                .flat_map(|(class, shelf)| shelf.objects.values().map(move |object| (class, object)))
                .collect(),
            members: content.groups().filter(|(_, members)| !members.is_empty()).collect(),
            changes: &content.changes,
            bin: &content.bin,
        };
        let text = serde_json::to_vec(&snapshot).map_err(|error| self.unusable("written", error))?;
        let header = line(&generation).map_err(|error| self.unusable("written", error))?;
        let replaced = replace_file(&self.path, &self.beside(".tmp"), &text)
            .and_then(|()| replace_file(&self.beside(".log"), &self.beside(".log.tmp"), &header))
            .and_then(|()| private(&self.beside(".log"), OpenOptions::new().append(true)));
        let log = replaced.map_err(|error| self.unusable("written", error))?;
        Ok(OpenLog { log, log_bytes: 0, snapshot_bytes: text.len() as u64, generation, _lock: held })
    }

    /// Queues an entry. It is on disk after [`Self::durable`].
    pub(super) fn append(&self, entry: &Entry) -> Result<()> {
        let text = line(entry).map_err(|error| self.unusable("written", error))?;
        let mut pending = lock(&self.pending);
        if let Some(reason) = &pending.broken {
            let message = format!("the state file could not be written: {reason}");
            return Err(refuse(ErrorKind::Unavailable, message));
        }
        pending.lines.extend_from_slice(&text);
        pending.appended += 1;
        Ok(())
    }

    /// Returns when every entry appended before the call is on disk. Calls at the same time share one write.
    pub(super) async fn durable(self: &std::sync::Arc<Self>) -> Result<()> {
        let wanted = lock(&self.pending).appended;
        if self.durable.load(Ordering::Acquire) >= wanted {
            return Ok(());
        }
        let _turn = self.turn.lock().await;
        if self.durable.load(Ordering::Acquire) >= wanted {
            return Ok(());
        }
        let journal = std::sync::Arc::clone(self);
        let flushed = tokio::task::spawn_blocking(move || journal.flush()).await;
        flushed.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Unexpected, "the writer of the state file stopped")
                .with_effect(Effect::Unknown)
                .with_source(error))
        })
    }

    /// Writes what is pending. A failed write stops all later ones: what is on disk is not known any more.
    pub(super) fn flush(&self) -> Result<()> {
        let mut file = lock(&self.file);
        let (lines, appended) = {
            let mut pending = lock(&self.pending);
            (std::mem::take(&mut pending.lines), pending.appended)
        };
        let Some(open) = file.as_mut() else { return Ok(()) };
        if lines.is_empty() {
            return self.whole();
        }
        match open.log.write_all(&lines).and_then(|()| open.log.sync_data()) {
            Ok(()) => {
                open.log_bytes += lines.len() as u64;
                self.durable.fetch_max(appended, Ordering::AcqRel);
                Ok(())
            }
            Err(error) => {
                lock(&self.pending).broken = Some(error.to_string());
                Err(self.unusable("written", error).with_effect(Effect::Unknown))
            }
        }
    }

    fn whole(&self) -> Result<()> {
        match &lock(&self.pending).broken {
            None => Ok(()),
            Some(reason) => Err(Error::new(
                ErrorKind::Unavailable,
                format!("the state file could not be written: {reason}"),
            )
            .with_effect(Effect::Unknown)),
        }
    }

    /// Whether the log is worth folding.
    pub(super) fn is_long(&self) -> bool {
        let file = lock(&self.file);
        file.as_ref().is_some_and(|open| open.log_bytes > LOG_BYTES.max(2 * open.snapshot_bytes))
    }

    /// Folds the log into the snapshot. Nothing to do before the file was opened.
    pub(super) fn compact(&self, content: &Content) -> Result<()> {
        self.flush()?;
        let mut file = lock(&self.file);
        let Some(open) = file.as_mut().filter(|open| open.log_bytes > 0) else { return Ok(()) };
        let held = open._lock.try_clone().map_err(|error| self.unusable("locked", error))?;
        match self.replace(content, open.generation + 1, held) {
            Ok(replaced) => *open = replaced,
            Err(error) => {
                // The snapshot may be the new one and the log an old one, whose further entries would be ignored.
                lock(&self.pending).broken = Some(error.report());
                return Err(error);
            }
        }
        Ok(())
    }
}

/// A line: checksum, body, newline.
fn line(body: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let body = serde_json::to_vec(body)?;
    let mut line = Vec::with_capacity(body.len() + 18);
    line.extend_from_slice(sum(&body).as_bytes());
    line.push(b' ');
    line.extend_from_slice(&body);
    line.push(b'\n');
    Ok(line)
}

fn sum(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body).get(..8).unwrap_or_default())
}

/// The body of a line that is whole.
fn checked(line: &[u8]) -> Option<&[u8]> {
    let (head, body) = line.strip_suffix(b"\n")?.split_at_checked(17)?;
    (head.strip_suffix(b" ")? == sum(body).as_bytes()).then_some(body)
}

/// Opens a file that only its owner reads.
fn private(path: &Path, options: &mut OpenOptions) -> std::io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.open(path)
}

/// Replaces a file so that a stop leaves the one before or the one after.
fn replace_file(path: &Path, temporary: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut file = private(temporary, OpenOptions::new().create(true).truncate(true).write(true))?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(temporary, path)?;
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}
