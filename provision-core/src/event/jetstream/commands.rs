//! Commands from a stream.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::AckKind;
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::connection::{JetStream, refused};
use super::subject::check_name;
use crate::engine::{RunUntil, Stop};
use crate::error::{Effect, Error, ErrorKind, Result, Retry};
use crate::event::{CommandActor, CommandMessage, CommandOutcome};
use crate::id::RealmId;
use crate::runtime::Runtime;

/// Messages of one request.
const PULLED: usize = 256;
/// The first pause before a command is tried again; each further one doubles it.
const REST: Duration = Duration::from_millis(250);
/// The longest.
const REST_MAX: Duration = Duration::from_secs(30);
/// Bytes of all headers of a message that a rule is shown.
const HEADERS_MAX: usize = 16 * 1024;

/// Commands in a row: those of one identity of a realm; one that names none, by its number.
type Lane = (Option<(String, String)>, u64);

/// Where commands are read, and how.
#[derive(Clone, Debug)]
pub struct JetStreamCommandsOptions {
    /// The stream's name. It is the host's: it is not made.
    pub stream: String,
    /// The name of the durable consumer; made when it is not there.
    pub durable: String,
    /// Only subjects that match; empty: all of the stream.
    pub filter: String,
    /// How long the server waits for an acknowledgement before it delivers again. 30 seconds unless set.
    pub ack_wait: Duration,
    /// Identities worked on side by side. 16 unless set.
    pub side_by_side: usize,
    /// Ends it: commands that have begun are finished, the others are given back.
    pub stop: Stop,
    /// When it returns: when nothing is there to take, or when it is stopped.
    pub until: RunUntil,
    /// How long to wait for messages when there are none, and before the lease is asked for again when another process
    /// takes commands. 1 second unless set.
    pub poll: Duration,
    /// How long a process that takes commands has the right to, before another may. 30 seconds unless set.
    pub lease: Duration,
}

impl JetStreamCommandsOptions {
    /// A stream and a consumer, and the rest as it is unless set.
    pub fn new(stream: impl Into<String>, durable: impl Into<String>) -> Self {
        Self {
            stream: stream.into(),
            durable: durable.into(),
            filter: String::new(),
            ack_wait: Duration::from_secs(30),
            side_by_side: 16,
            stop: Stop::new(),
            until: RunUntil::Forever,
            poll: Duration::from_secs(1),
            lease: Duration::from_secs(30),
        }
    }
}

/// What became of commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandsReport {
    /// Accepted, those that had been before too.
    pub taken: u64,
    /// Set aside.
    pub set_aside: u64,
    /// Tries that failed and were made again, or given back.
    pub put_off: u64,
}

/// Takes commands from a stream of JetStream, through a durable consumer. A message is acknowledged when its change is
/// committed, or when it is set aside. Commands for one identity are taken one after the other, in the order of the
/// stream; of all processes on a store one at a time takes those of a consumer.
///
/// ```no_run
/// # use provision_core::runtime::Runtime;
/// use provision_core::event::jetstream::{
///     JetStream, JetStreamCommands, JetStreamCommandsOptions, JetStreamOptions,
/// };
/// use provision_core::model::Actor;
///
/// # async fn run(runtime: &Runtime) -> provision_core::Result<()> {
/// let bus = JetStream::new(JetStreamOptions::new(["tls://nats.example.org:4222"]));
/// let options = JetStreamCommandsOptions::new("HELPDESK", "provision");
/// // Only the help desk may publish there: whatever a message says, it acts for the help desk.
/// let rule = Actor::service("helpdesk");
/// JetStreamCommands::new(bus, options)?.run(runtime, &rule).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct JetStreamCommands {
    bus: JetStream,
    options: JetStreamCommandsOptions,
}

impl JetStreamCommands {
    /// No I/O.
    ///
    /// # Errors
    /// `ConfigInvalid` for a name that cannot be one.
    pub fn new(bus: JetStream, options: JetStreamCommandsOptions) -> Result<Self> {
        check_name(&options.stream)?;
        check_name(&options.durable)?;
        Ok(Self { bus, options })
    }

    /// Takes commands until it is stopped, or until there are none.
    ///
    /// # Errors
    /// Those that do not pass: no such stream, a consumer of that name with another purpose. What passes (no
    /// connection, a store that is busy) is waited out where it runs forever.
    pub async fn run(&self, runtime: &Runtime, rule: &dyn CommandActor) -> Result<CommandsReport> {
        let (options, clock) = (&self.options, runtime.clock());
        let engine = runtime.realm(RealmId::reserved());
        let name = format!("commands/{}/{}", options.stream, options.durable);
        let mut report = CommandsReport::default();
        let mut rest = REST;
        while !options.stop.is_stopped() {
            let report = &mut report;
            let taking = engine.under_lease(&name, options.lease, |_| self.take(runtime, rule, report));
            let pause = match taking.await.and_then(Option::transpose) {
                Ok(Some(())) if options.until == RunUntil::Idle => break,
                Ok(_) => {
                    // Stopped, or somebody else takes them.
                    rest = REST;
                    options.poll
                }
                Err(error) if options.until == RunUntil::Forever && error.retry() != Retry::Never => {
                    tracing::warn!(error = %error.report(), "commands cannot be taken");
                    rest = rest.saturating_mul(2).min(REST_MAX);
                    rest
                }
                Err(error) => return Err(error),
            };
            tokio::select! {
                biased;
                () = options.stop.stopped() => {}
                () = clock.sleep(pause) => {}
            }
        }
        Ok(report)
    }

    async fn take(
        &self,
        runtime: &Runtime,
        rule: &dyn CommandActor,
        report: &mut CommandsReport,
    ) -> Result<()> {
        let consumer = self.consumer().await?;
        while !self.options.stop.is_stopped() {
            let messages = self.pull(&consumer).await?;
            if messages.is_empty() {
                if self.options.until == RunUntil::Idle {
                    return Ok(());
                }
                // Where there is no connection the server is silent: say so.
                self.bus.context().await?;
                continue;
            }
            // Of one identity in their order, of several side by side; what names none is on its own.
            let mut lanes: BTreeMap<Lane, Vec<(Message, CommandMessage)>> = BTreeMap::new();
            for message in messages {
                let Ok(command) = self.read(&message) else { continue };
                let order = command.order();
                let alone = if order.is_some() { 0 } else { command.sequence };
                lanes.entry((order, alone)).or_default().push((message, command));
            }
            let lanes = lanes.into_values().map(|lane| self.lane(runtime, rule, lane));
            let mut lanes =
                futures_util::stream::iter(lanes).buffer_unordered(self.options.side_by_side.max(1));
            let mut put_off = 0;
            while let Some(done) = lanes.next().await {
                put_off += done.put_off;
                report.taken += done.taken;
                report.set_aside += done.set_aside;
                report.put_off += done.put_off;
            }
            if put_off > 0 && self.options.until == RunUntil::Idle {
                // Given back: they are there again at once.
                return Ok(());
            }
        }
        Ok(())
    }

    async fn consumer(&self) -> Result<PullConsumer> {
        let options = &self.options;
        let context = self.bus.context().await?;
        let stream = context.get_stream(&options.stream).await.map_err(|error| {
            refused("cannot look at the stream of commands", error)
                .with_context("stream", options.stream.clone())
                .with_effect(Effect::None)
        })?;
        let config = Config {
            durable_name: Some(options.durable.clone()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: options.ack_wait,
            // What cannot be accepted is set aside by us, not given up by the server.
            max_deliver: -1,
            max_ack_pending: i64::try_from(PULLED).unwrap_or(i64::MAX),
            filter_subject: options.filter.clone(),
            ..Config::default()
        };
        let consumer = stream.get_or_create_consumer(&options.durable, config).await.map_err(|error| {
            refused("cannot make the consumer of commands", error)
                .with_context("durable", options.durable.clone())
        })?;
        let found = &consumer.cached_info().config;
        if found.ack_policy != AckPolicy::Explicit || found.filter_subject != options.filter {
            let message =
                "the consumer is there, and does not acknowledge each message or has another filter";
            return Err(Error::new(ErrorKind::ConfigInvalid, message)
                .with_context("durable", options.durable.clone())
                .with_effect(Effect::None));
        }
        Ok(consumer)
    }

    /// Messages that are there, or that come within a poll.
    async fn pull(&self, consumer: &PullConsumer) -> Result<Vec<Message>> {
        let failed = |error: async_nats::Error| {
            Error::new(ErrorKind::Unavailable, format!("cannot read commands: {error}"))
                .with_effect(Effect::None)
        };
        let asked = consumer.fetch().max_messages(PULLED).messages().await;
        let mut batch = asked.map_err(|error| refused("cannot ask for commands", error))?;
        let mut messages = Vec::new();
        while let Some(message) = self.next(&mut batch).await {
            messages.push(message.map_err(failed)?);
        }
        if !messages.is_empty() || self.options.until == RunUntil::Idle {
            return Ok(messages);
        }
        // Nothing is there: wait for the first.
        let asked = consumer.batch().max_messages(1).expires(self.options.poll).messages().await;
        let mut batch = asked.map_err(|error| refused("cannot ask for commands", error))?;
        tokio::select! {
            biased;
            () = self.options.stop.stopped() => Ok(messages),
            message = self.next(&mut batch) => {
                messages.extend(message.transpose().map_err(failed)?);
                Ok(messages)
            }
        }
    }

    /// The next message of a request; none when the server says no more for longer than it may.
    async fn next<S, T>(&self, batch: &mut S) -> Option<T>
    where
        S: futures_util::Stream<Item = T> + Unpin,
    {
        let limit = self.bus.timeout().saturating_add(self.options.poll);
        tokio::time::timeout(limit, batch.next()).await.ok().flatten()
    }

    fn read(&self, message: &Message) -> Result<CommandMessage> {
        let info = message.info().map_err(|error| {
            Error::new(ErrorKind::Unexpected, format!("a message without its number: {error}"))
        })?;
        let (mut headers, mut size) = (BTreeMap::new(), 0);
        for (name, values) in message.headers.iter().flat_map(async_nats::HeaderMap::iter) {
            let Some(value) = values.first() else { continue };
            let (name, value) = (name.to_string(), value.as_str().to_owned());
            size += name.len() + value.len();
            if size <= HEADERS_MAX {
                headers.insert(name, value);
            }
        }
        Ok(CommandMessage {
            source: self.options.stream.clone(),
            sequence: info.stream_sequence,
            message_id: headers.get(&async_nats::header::NATS_MESSAGE_ID.to_string()).cloned(),
            subject: message.subject.to_string(),
            headers,
            payload: message.payload.to_vec(),
        })
    }

    /// Takes the commands for one identity.
    async fn lane(
        &self,
        runtime: &Runtime,
        rule: &dyn CommandActor,
        lane: Vec<(Message, CommandMessage)>,
    ) -> CommandsReport {
        let mut report = CommandsReport::default();
        let mut lane = lane.into_iter();
        while let Some((message, command)) = lane.next() {
            let Some(outcome) = self.one(runtime, rule, &message, &command, &mut report).await else {
                // Stopped: this one and those behind it are for whoever comes next.
                give_back(&message).await;
                for (message, _) in lane.by_ref() {
                    give_back(&message).await;
                }
                break;
            };
            let ack = match outcome {
                CommandOutcome::Taken(_) => {
                    report.taken += 1;
                    AckKind::Ack
                }
                CommandOutcome::SetAside(_) => {
                    report.set_aside += 1;
                    AckKind::Term
                }
            };
            // An acknowledgement that is lost: the message comes again and changes nothing.
            if let Err(error) = message.ack_with(ack).await {
                tracing::debug!(%error, "a command is not acknowledged");
            }
        }
        report
    }

    /// Tries one command until it is taken or set aside; `None` when it is to stop before.
    async fn one(
        &self,
        runtime: &Runtime,
        rule: &dyn CommandActor,
        message: &Message,
        command: &CommandMessage,
        report: &mut CommandsReport,
    ) -> Option<CommandOutcome> {
        let mut rest = REST;
        while !self.options.stop.is_stopped() {
            match runtime.take_command(command, rule).await {
                Ok(outcome) => return Some(outcome),
                Err(error) => {
                    report.put_off += 1;
                    tracing::warn!(sequence = command.sequence, error = %error.report(), "a command waits");
                    if self.options.until == RunUntil::Idle {
                        return None;
                    }
                }
            }
            // It stays ours, and those for the same identity wait behind it: given back, they would overtake it.
            let _ = message.ack_with(AckKind::Progress).await;
            let pause = rest.min(self.options.ack_wait / 3);
            tokio::select! {
                biased;
                () = self.options.stop.stopped() => {}
                () = runtime.clock().sleep(pause) => {}
            }
            rest = rest.saturating_mul(2).min(REST_MAX);
        }
        None
    }
}

async fn give_back(message: &Message) {
    // Not heard, it is delivered again when the server has waited long enough.
    let _ = message.ack_with(AckKind::Nak(None)).await;
}
