//! Events to a stream.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{Context, GetStreamErrorKind, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, StorageType};
use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::connection::{JetStream, refused};
use super::subject::{check_name, check_prefix, covers, subject_of};
use crate::error::{Effect, Error, ErrorKind, Result, Retry};
use crate::event::{EventMessage, EventSink, Sent};
use crate::id::IdentityId;

/// Which stream, and what is asked of it.
#[derive(Clone, Debug)]
pub struct JetStreamSinkOptions {
    /// The stream's name.
    pub stream: String,
    /// What subjects begin with: an event goes to `PREFIX.REALM.EVENT`, such as `provision.acme.account.created`.
    pub prefix: String,
    /// Make the stream if there is none. True unless set.
    pub create: bool,
    /// Copies of a stream that is made. 1 unless set.
    pub replicas: usize,
    /// How long a stream that is made keeps messages; zero: for ever. 30 days unless set.
    pub max_age: Duration,
    /// How long the stream must know ids again. It bounds how long a relay may be away between the moment an event
    /// arrived and the moment that is noted, without the event being seen twice by its id. 10 minutes unless set.
    pub duplicate_window: Duration,
    /// Events under way without an acknowledgement. 256 unless set.
    pub window: usize,
}

impl JetStreamSinkOptions {
    /// A stream and a prefix, and the rest as it is unless set.
    pub fn new(stream: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self {
            stream: stream.into(),
            prefix: prefix.into(),
            create: true,
            replicas: 1,
            max_age: Duration::from_secs(30 * 86_400),
            duplicate_window: Duration::from_secs(600),
            window: 256,
        }
    }
}

/// Sends events to a stream of JetStream: each with its id in `Nats-Msg-Id`, so that the stream drops what comes twice
/// within its duplicate window, and never two of one identity at a time, so that theirs arrive in order.
///
/// ```no_run
/// # use std::sync::Arc;
/// # use provision_core::connector::Registry;
/// # use provision_core::engine::RunUntil;
/// # use provision_core::runtime::{Runtime, SystemClock};
/// # use provision_core::store::MemoryStore;
/// use provision_core::event::RelayOptions;
/// use provision_core::event::jetstream::{JetStream, JetStreamOptions, JetStreamSink, JetStreamSinkOptions};
///
/// # async fn run() -> provision_core::Result<()> {
/// # let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
/// let bus = JetStream::new(JetStreamOptions::new(["tls://nats.example.org:4222"]));
/// let sink = JetStreamSink::new(bus, JetStreamSinkOptions::new("PROVISION", "provision"))?;
/// let runtime = Runtime::builder(store, Registry::new()).sink("bus", Arc::new(sink)).build();
/// runtime.relay(&RelayOptions { until: RunUntil::Forever, ..RelayOptions::default() }).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct JetStreamSink {
    bus: JetStream,
    options: JetStreamSinkOptions,
    /// The stream is there and fits.
    checked: AtomicBool,
}

impl JetStreamSink {
    /// No I/O: the stream is made or checked before the first event.
    ///
    /// # Errors
    /// `ConfigInvalid` for a name or prefix that cannot be one.
    pub fn new(bus: JetStream, options: JetStreamSinkOptions) -> Result<Self> {
        check_name(&options.stream)?;
        check_prefix(&options.prefix)?;
        Ok(Self { bus, options, checked: AtomicBool::new(false) })
    }

    /// The connection, with a stream behind it that fits.
    async fn ready(&self) -> Result<Context> {
        let context = self.bus.context().await?;
        if !self.checked.load(Ordering::Relaxed) {
            self.check_stream(&context).await?;
            self.checked.store(true, Ordering::Relaxed);
        }
        Ok(context)
    }

    async fn check_stream(&self, context: &Context) -> Result<()> {
        let options = &self.options;
        match context.get_stream(&options.stream).await {
            Ok(stream) => self.check_config(&stream.cached_info().config),
            Err(error) if is_missing(&error.kind()) && options.create => {
                let config = Config {
                    name: options.stream.clone(),
                    subjects: vec![format!("{}.>", options.prefix)],
                    max_age: options.max_age,
                    storage: StorageType::File,
                    num_replicas: options.replicas,
                    duplicate_window: options.duplicate_window,
                    ..Config::default()
                };
                // Another process may be faster: what counts is what is there.
                let made = context.get_or_create_stream(config).await;
                let stream = made.map_err(|error| refused("cannot make the stream", error))?;
                self.check_config(&stream.cached_info().config)
            }
            Err(error) if is_missing(&error.kind()) => {
                Err(self.unfit("there is no such stream, and it is not to be made"))
            }
            Err(error) => Err(refused("cannot look at the stream", error)),
        }
    }

    fn check_config(&self, config: &Config) -> Result<()> {
        let options = &self.options;
        let covered = config.subjects.iter().any(|pattern| covers(pattern, &options.prefix));
        if !covered {
            let wanted = format!("{}.>", options.prefix);
            return Err(self.unfit("the stream does not take our subjects").with_context("wanted", wanted));
        }
        if config.duplicate_window < options.duplicate_window {
            let (wanted, found) = (options.duplicate_window.as_secs(), config.duplicate_window.as_secs());
            return Err(self
                .unfit("the stream's duplicate window is too short: events could be seen twice")
                .with_context("wanted_seconds", wanted.to_string())
                .with_context("found_seconds", found.to_string()));
        }
        if config.no_ack {
            return Err(
                self.unfit("the stream acknowledges nothing (`no_ack`): nothing would ever be sent for good")
            );
        }
        if config.sealed || config.mirror.is_some() {
            return Err(self.unfit("the stream is sealed or a mirror: nothing can be published to it"));
        }
        Ok(())
    }

    fn unfit(&self, message: &str) -> Error {
        Error::new(ErrorKind::ConfigInvalid, message)
            .with_context("stream", self.options.stream.clone())
            .with_effect(Effect::None)
    }

    /// Publishes one event and waits for its acknowledgement.
    async fn publish(&self, context: &Context, event: &EventMessage) -> Result<()> {
        let message = PublishMessage::build().payload(event.to_json()?.into()).message_id(&event.id);
        let subject = subject_of(&self.options.prefix, event);
        let sent = context.send_publish(subject, message).await.map_err(|error| self.failed(error))?;
        let ack = sent.await.map_err(|error| self.failed(error))?;
        if ack.stream == self.options.stream {
            return Ok(());
        }
        Err(self.unfit("another stream takes our subjects").with_context("found", ack.stream))
    }

    fn failed(&self, error: PublishError) -> Error {
        let kind = match error.kind() {
            PublishErrorKind::StreamNotFound => {
                // It is made or looked at again before the next event.
                self.checked.store(false, Ordering::Relaxed);
                ErrorKind::Unavailable
            }
            PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe | PublishErrorKind::MaxAckPending => {
                ErrorKind::Unavailable
            }
            PublishErrorKind::MaxPayloadExceeded => ErrorKind::DataInvalid,
            _ => ErrorKind::Unexpected,
        };
        Error::new(kind, "JetStream did not take an event")
            .with_retry(Retry::After(None))
            .with_effect(Effect::Unknown)
            .with_source(error)
    }
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// Which events may go next: of each identity the first that has not arrived.
struct Queue {
    ready: VecDeque<usize>,
    /// By identity, those behind the one that may go.
    behind: BTreeMap<Option<IdentityId>, VecDeque<usize>>,
}

impl Queue {
    fn new(events: &[EventMessage]) -> Self {
        let mut queue = Self { ready: VecDeque::new(), behind: BTreeMap::new() };
        for (at, event) in events.iter().enumerate() {
            let mut is_first = false;
            let behind = queue.behind.entry(event.event.identity).or_insert_with(|| {
                is_first = true;
                VecDeque::new()
            });
            if is_first {
                queue.ready.push_back(at);
            } else {
                behind.push_back(at);
            }
        }
        queue
    }

    /// One of an identity has arrived.
    fn arrived(&mut self, identity: Option<IdentityId>) {
        let next = self.behind.get_mut(&identity).and_then(VecDeque::pop_front);
        self.ready.extend(next);
    }
}

#[async_trait]
impl EventSink for JetStreamSink {
    async fn send(&self, events: &[EventMessage]) -> Sent {
        let context = match self.ready().await {
            Ok(context) => context,
            Err(error) => return Sent::until(0, error),
        };
        let mut queue = Queue::new(events);
        let mut missing: std::collections::BTreeSet<usize> = (0..events.len()).collect();
        let mut under_way = FuturesUnordered::new();
        let mut failed: Option<(usize, Error)> = None;
        loop {
            while failed.is_none() && under_way.len() < self.options.window.max(1) {
                let Some(at) = queue.ready.pop_front() else { break };
                let Some(event) = events.get(at) else { break };
                let context = &context;
                under_way.push(async move { (at, event, self.publish(context, event).await) });
            }
            // After a failure those under way are waited for: they may have arrived.
            let Some((at, event, published)) = under_way.next().await else { break };
            match published {
                Ok(()) => {
                    missing.remove(&at);
                    queue.arrived(event.event.identity);
                }
                Err(error) => {
                    if failed.as_ref().is_none_or(|(first, _)| at < *first) {
                        failed = Some((at, error));
                    }
                }
            }
        }
        match (missing.first(), failed) {
            (None, _) => Sent::all(events),
            (Some(count), Some((_, error))) => Sent::until(*count, error),
            (Some(count), None) => Sent { count: *count, error: None },
        }
    }
}
