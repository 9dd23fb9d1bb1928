//! A proxy of bytes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;

use super::listening::{Listening, reset};
use super::pump::{Flow, Pump, PumpEnd, Rest};
use crate::error::Result;
use crate::memory::When;
use crate::runtime::{Clock, SystemClock};

/// A direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// What the client sends.
    ToServer,
    /// What the server answers.
    ToClient,
}

/// What goes wrong with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpFault {
    /// The connection is reset as soon as it is there; the server hears nothing of it.
    Refuse,
    /// So many bytes pass in a direction; when there is one more, the connection ends in both.
    Cut {
        /// Which bytes count.
        direction: Direction,
        /// How many pass.
        after: u64,
        /// Both sides read an error (a reset) instead of an end.
        reset: bool,
    },
    /// So many bytes pass in a direction; then nothing, and no end: a black hole.
    Stall {
        /// Which bytes count.
        direction: Direction,
        /// How many pass.
        after: u64,
    },
    /// So many bytes pass in a direction; the rest is dropped. The end comes when it comes.
    Truncate {
        /// Which bytes count.
        direction: Direction,
        /// How many pass.
        after: u64,
    },
    /// So many bytes pass in a direction; then its end is told, while the other direction goes on.
    HalfClose {
        /// Which bytes count.
        direction: Direction,
        /// How many pass.
        after: u64,
    },
    /// The first byte of a direction waits.
    Delay {
        /// Which bytes wait.
        direction: Direction,
        /// How long.
        by: Duration,
    },
    /// Bytes of a direction pass slowly.
    Throttle {
        /// Which bytes.
        direction: Direction,
        /// How many of them in a second.
        bytes_per_second: u64,
    },
}

impl TcpFault {
    /// The server gets the request and answers; the client's connection is reset at the first byte of the answer.
    pub fn lose_answer() -> Self {
        Self::Cut { direction: Direction::ToClient, after: 0, reset: true }
    }

    /// How it changes a direction.
    fn pump(self, of: Direction) -> Pump {
        let mut pump = Pump::default();
        let limit = |direction, after, rest| (direction == of).then_some((after, rest));
        match self {
            Self::Refuse => {}
            Self::Cut { direction, after, .. } => pump.limit = limit(direction, after, Rest::Cut),
            Self::Stall { direction, after } => pump.limit = limit(direction, after, Rest::Stall),
            Self::Truncate { direction, after } => pump.limit = limit(direction, after, Rest::Drop),
            Self::HalfClose { direction, after } => pump.limit = limit(direction, after, Rest::HalfClose),
            Self::Delay { direction, by } if direction == of => pump.delay = by,
            Self::Throttle { direction, bytes_per_second } if direction == of => {
                pump.rate = Some(bytes_per_second);
            }
            Self::Delay { .. } | Self::Throttle { .. } => {}
        }
        pump
    }
}

/// Which connections a fault befalls: by number or by chance, keys and values never. The first rule that is due acts
/// alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpRule {
    /// Which connections; the first is 1.
    pub when: When,
    /// What.
    pub fault: TcpFault,
}

impl TcpRule {
    /// Every connection.
    pub fn always(fault: TcpFault) -> Self {
        Self { when: When::Always, fault }
    }

    /// The connections with these numbers.
    pub fn at(connections: impl IntoIterator<Item = u64>, fault: TcpFault) -> Self {
        Self { when: When::Calls(connections.into_iter().collect()), fault }
    }
}

/// How a proxy works.
#[derive(Clone, Debug)]
pub struct TcpOptions {
    /// What goes wrong.
    pub rules: Vec<TcpRule>,
    /// Decides what [`When::PerMille`] hits.
    pub seed: u64,
    /// Connections at a time; one more is reset.
    pub connections_max: usize,
    /// How long a connection may last; then it is reset.
    pub lifetime: Duration,
    /// Connections that are remembered; older ones are forgotten.
    pub record_max: usize,
    /// What delays wait through.
    pub clock: Arc<dyn Clock>,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            seed: 0,
            connections_max: 64,
            lifetime: Duration::from_secs(60),
            record_max: 10_000,
            clock: Arc::new(SystemClock),
        }
    }
}

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its number; the first is 1.
    pub number: u64,
    /// The fault that was due.
    pub fault: Option<TcpFault>,
    /// It acted: there was something to spoil.
    pub acted: bool,
    /// Bytes that were passed on to the server.
    pub to_server: u64,
    /// Bytes that were passed on to the client.
    pub to_client: u64,
    /// It has ended.
    pub ended: bool,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    options: TcpOptions,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<TcpRule>,
    number: u64,
    /// By number.
    connections: BTreeMap<u64, Record>,
}

#[derive(Clone, Debug)]
struct Record {
    fault: Option<TcpFault>,
    refused: bool,
    to_server: Arc<Flow>,
    to_client: Arc<Flow>,
    ended: bool,
}

/// A TCP proxy in front of one server.
#[derive(Debug)]
pub struct TcpProxy {
    shared: Arc<Shared>,
    listening: Listening,
}

impl TcpProxy {
    /// Listens on a free loopback port.
    ///
    /// # Errors
    /// `Unavailable` when no port can be had.
    pub async fn start(upstream: SocketAddr, options: TcpOptions) -> Result<Self> {
        let state = State { rules: options.rules.clone(), ..State::default() };
        let most = options.connections_max;
        let shared = Arc::new(Shared { upstream, options, state: Mutex::new(state) });
        let serving = Arc::clone(&shared);
        let listening = Listening::start(most, move |client| {
            let shared = Arc::clone(&serving);
            async move { shared.serve(client).await }
        })
        .await?;
        Ok(Self { shared, listening })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listening.address()
    }

    /// Replaces the rules, for the connections to come. Their numbers go on.
    pub fn set_rules(&self, rules: impl IntoIterator<Item = TcpRule>) {
        self.shared.state().rules = rules.into_iter().collect();
    }

    /// The connections, in order of their numbers.
    pub fn connections(&self) -> Vec<Connection> {
        let state = self.shared.state();
        let seen = state.connections.iter().map(|(number, record)| record.seen(*number));
        seen.collect()
    }

    /// How many connections were reset because there were too many.
    pub fn turned_away(&self) -> u64 {
        self.listening.turned_away()
    }

    /// Ends all connections and waits until they have ended. A drop ends them too, a little later.
    pub async fn stop(self) {
        self.listening.stop().await;
    }
}

impl Record {
    fn seen(&self, number: u64) -> Connection {
        let count = |number: &std::sync::atomic::AtomicU64| number.load(std::sync::atomic::Ordering::SeqCst);
        Connection {
            number,
            fault: self.fault,
            acted: self.refused || count(&self.to_server.acted) + count(&self.to_client.acted) > 0,
            to_server: count(&self.to_server.passed),
            to_client: count(&self.to_client.passed),
            ended: self.ended,
        }
    }
}

/// Marks a connection as ended, however that came.
struct Ending<'a>(&'a Shared, u64);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if let Some(record) = self.0.state().connections.get_mut(&self.1) {
            record.ended = true;
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> (u64, Record) {
        let mut state = self.state();
        state.number += 1;
        let number = state.number;
        let mut due = state.rules.iter().enumerate();
        let due = due.find(|(index, rule)| rule.when.falls_on(number, self.options.seed, *index));
        let fault = due.map(|(_, rule)| rule.fault);
        let record = Record {
            fault,
            refused: fault == Some(TcpFault::Refuse),
            to_server: Arc::default(),
            to_client: Arc::default(),
            ended: false,
        };
        state.connections.insert(number, record.clone());
        while state.connections.len() > self.options.record_max {
            state.connections.pop_first();
        }
        (number, record)
    }

    async fn serve(&self, mut client: TcpStream) {
        let (number, record) = self.begin();
        let _ending = Ending(self, number);
        if record.refused {
            return reset(client);
        }
        let Ok(mut server) = TcpStream::connect(self.upstream).await else { return reset(client) };
        let with_reset = {
            let flow = self.flow(&mut client, &mut server, &record);
            let time = self.options.clock.sleep(self.options.lifetime);
            tokio::select! {
                ended = flow => match (ended, record.fault) {
                    (Ok(PumpEnd::Cut), Some(TcpFault::Cut { reset, .. })) => reset,
                    (Ok(_), _) => false,
                    (Err(_), _) => true,
                },
                () = time => true,
            }
        };
        if with_reset {
            reset(client);
            reset(server);
        }
    }

    /// Both directions until both have ended, or one is cut.
    async fn flow(
        &self,
        client: &mut TcpStream,
        server: &mut TcpStream,
        record: &Record,
    ) -> std::io::Result<PumpEnd> {
        let pump = |of| record.fault.map(|fault| fault.pump(of)).unwrap_or_default();
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let clock = &self.options.clock;
        let up = pump(Direction::ToServer).run(from_client, to_server, &record.to_server, clock);
        let down = pump(Direction::ToClient).run(from_server, to_client, &record.to_client, clock);
        tokio::pin!(up, down);
        let (mut up_ended, mut down_ended) = (false, false);
        while !(up_ended && down_ended) {
            let ended = tokio::select! {
                ended = &mut up, if !up_ended => {
                    up_ended = true;
                    ended?
                }
                ended = &mut down, if !down_ended => {
                    down_ended = true;
                    ended?
                }
            };
            if ended == PumpEnd::Cut {
                return Ok(ended);
            }
        }
        Ok(PumpEnd::Done)
    }
}
