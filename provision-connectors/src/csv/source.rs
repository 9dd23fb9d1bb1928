//! The source: files of a folder as feeds.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream;
use provision_core::connector::{Completeness, Context};
use provision_core::source::{
    Feed, FeedEvent, FeedMode, FeedRecord, FeedSequence, FeedStream, RecordAction, Source,
};
use provision_core::text::escape;
use provision_core::{Effect, Error, ErrorKind, Result};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::config::SourceConfig;
use super::error;
use super::file::{self, Stamp};
use super::scan::scan;
use super::sequence;

/// Events read ahead of the one who takes them.
const AHEAD: usize = 2;

/// Most files of a folder that are looked at.
const FILES_MAX: usize = 100_000;

/// Delimited files as a source: every file is a feed. See [the module](super) for the configuration.
#[derive(Clone, Debug)]
pub struct CsvSource {
    config: Arc<SourceConfig>,
}

impl CsvSource {
    /// A source of this configuration. No I/O.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming the field.
    pub fn new(config: SourceConfig) -> Result<Self> {
        config.check()?;
        Ok(Self { config: Arc::new(config) })
    }

    /// Builds a source from the configuration's JSON form.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming the field.
    pub fn from_config(config: &serde_json::Value) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(Self::new(SourceConfig::from_value(config)?)?))
    }

    /// For [`Registry::with_source`](provision_core::connector::Registry::with_source).
    pub fn factory() -> impl Fn(&serde_json::Value) -> Result<Arc<dyn Source>> + Send + Sync + 'static {
        Self::from_config
    }

    /// JSON Schema (2020-12) of the configuration.
    pub fn config_schema() -> serde_json::Value {
        super::schema::source_config()
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&SourceConfig) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let config = Arc::clone(&self.config);
        spawn_blocking(move || work(&config)).await.map_err(|_| error::stopped(Effect::None))?
    }
}

#[async_trait]
impl Source for CsvSource {
    async fn feeds(&self, _cx: &Context) -> Result<Vec<Feed>> {
        let found = self
            .blocking(|config| {
                let files = files(config)?;
                files.into_iter().map(|path| Delivery::open(config, path)).collect::<Result<Vec<_>>>()
            })
            .await?;
        let feed = |delivery: Delivery| Feed {
            name: delivery.name,
            mode: self.config.mode,
            sequence: delivery.sequence,
            records: records(Arc::clone(&self.config), delivery.path, delivery.stamp),
        };
        Ok(found.into_iter().map(feed).collect())
    }

    async fn get(&self, _cx: &Context, key: &str) -> Result<Option<FeedRecord>> {
        let key = super::cell::clean(key).into_owned();
        self.blocking(move |config| find(config, &key)).await
    }
}

/// A file, hashed.
struct Delivery {
    name: String,
    path: PathBuf,
    sequence: FeedSequence,
    stamp: Stamp,
}

impl Delivery {
    fn open(config: &SourceConfig, path: PathBuf) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let order = match config.sequence.from_name {
            true => Some(order(&name)?),
            false => None,
        };
        let (content, stamp) = file::hash(&path)?;
        Ok(Self { name, path, sequence: FeedSequence { order, content }, stamp })
    }
}

fn order(name: &str) -> Result<String> {
    let shown = escape(name);
    match sequence::order_of(name) {
        Ok(Some(order)) => Ok(order),
        Ok(None) => Err(error::config(
            "sequence.from_name",
            format!("the file name `{shown}` has no date or number; name files like `hr-2026-11-20.csv`"),
        )),
        Err(sequence::AmbiguousDate) => Err(error::config(
            "sequence.from_name",
            format!("the date in `{shown}` starts with the day or the month; name files by year, month, day"),
        )),
    }
}

/// The files that are there, oldest name first.
fn files(config: &SourceConfig) -> Result<Vec<PathBuf>> {
    let metadata = std::fs::metadata(&config.path)
        .map_err(|error| error::io("find the source's path", &config.path, error))?;
    if !metadata.is_dir() {
        return Ok(vec![config.path.clone()]);
    }
    let Some(pattern) = &config.pattern else {
        return Err(error::config("pattern", "is needed where `path` is a folder, e.g. `hr-*.csv`"));
    };
    let list = || -> std::io::Result<Vec<(Option<String>, String)>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&config.path)?.take(FILES_MAX) {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if sequence::fits(pattern, &name) && std::fs::metadata(entry.path())?.is_file() {
                let order =
                    if config.sequence.from_name { sequence::order_of(&name).ok().flatten() } else { None };
                names.push((order, name));
            }
        }
        Ok(names)
    };
    let mut names = list().map_err(|error| error::io("list the source's folder", &config.path, error))?;
    // By declared order where there is one, so that `delta-9` comes before `delta-10`.
    names.sort();
    Ok(names.into_iter().map(|(_, name)| config.path.join(name)).collect())
}

enum Reading {
    NotBegun(Arc<SourceConfig>, PathBuf, Stamp),
    Under(mpsc::Receiver<Result<FeedEvent>>),
    Over,
}

/// The records of a file. Nothing is read before the first poll; dropping the stream ends the reading thread.
fn records(config: Arc<SourceConfig>, path: PathBuf, stamp: Stamp) -> FeedStream {
    Box::pin(stream::unfold(Reading::NotBegun(config, path, stamp), |reading| async move {
        let mut events = match reading {
            Reading::NotBegun(config, path, stamp) => begin(config, path, stamp),
            Reading::Under(events) => events,
            Reading::Over => return None,
        };
        match events.recv().await? {
            Ok(FeedEvent::End(end)) => Some((Ok(FeedEvent::End(end)), Reading::Over)),
            Ok(event) => Some((Ok(event), Reading::Under(events))),
            Err(error) => Some((Err(error), Reading::Over)),
        }
    }))
}

fn begin(config: Arc<SourceConfig>, path: PathBuf, stamp: Stamp) -> mpsc::Receiver<Result<FeedEvent>> {
    let (send, events) = mpsc::channel(AHEAD);
    drop(spawn_blocking(move || {
        let mut sink = |event| send.blocking_send(Ok(event)).is_ok();
        if let Err(error) = scan(&config, &path, stamp, &mut sink) {
            // Nobody listens any more: nothing to tell.
            let _ = send.blocking_send(Err(error));
        }
    }));
    events
}

/// Reads one key: in full mode from the newest file alone, in delta mode from the newest file that has it.
fn find(config: &SourceConfig, key: &str) -> Result<Option<FeedRecord>> {
    let mut files = files(config)?;
    files.reverse();
    let newest = if config.mode == FeedMode::Full { 1 } else { files.len() };
    for path in files.iter().take(newest) {
        let looked = look(config, path, key)?;
        if let Some(found) = looked.found {
            return Ok((found.action == RecordAction::Upsert).then_some(found));
        }
        if let Some(Completeness::Partial { reason }) = looked.end {
            return Err(Error::new(
                ErrorKind::DataInvalid,
                format!("the key was not found, and the file is not whole: {}", escape(&reason)),
            )
            .with_context("file", path.display().to_string()));
        }
    }
    Ok(None)
}

#[derive(Default)]
struct Looked {
    found: Option<FeedRecord>,
    end: Option<Completeness>,
}

/// The last row of a file with this key.
fn look(config: &SourceConfig, path: &Path, key: &str) -> Result<Looked> {
    let stamp = Stamp::open(path).map_err(|error| error::io("read the file", path, error))?;
    let mut looked = Looked::default();
    scan(config, path, stamp, &mut |event| {
        match event {
            FeedEvent::Records(records) => {
                if let Some(found) = records.into_iter().rev().find(|record| record.key == key) {
                    looked.found = Some(found);
                }
            }
            FeedEvent::Problem(_) => {}
            FeedEvent::End(end) => looked.end = Some(end),
        }
        true
    })?;
    Ok(looked)
}
