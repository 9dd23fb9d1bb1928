//! Events inside the process: told to those who listen, right after the commit.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream as Flow;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use super::Event;
use crate::store::{Changes, Stream};

/// Events that wait for a slow listener; the oldest go first.
const CAPACITY: usize = 1_024;

/// What a listener hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// An event was committed.
    Event(Arc<Event>),
    /// The listener was too slow for so many events. It goes on with those that are left.
    Missed(u64),
}

/// Events of commits of this process ([`crate::runtime::Runtime::events`]).
pub struct Events(Pin<Box<dyn Flow<Item = Heard> + Send>>);

impl Flow for Events {
    type Item = Heard;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Heard>> {
        self.0.as_mut().poll_next(context)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

/// Tells what commits of this process appended to the outbox.
#[derive(Debug)]
pub(crate) struct Announced {
    /// Counts commits with events: relays look at once.
    commits: watch::Sender<u64>,
    events: broadcast::Sender<Arc<Event>>,
}

impl Announced {
    pub(crate) fn new() -> Self {
        Self { commits: watch::Sender::new(0), events: broadcast::Sender::new(CAPACITY) }
    }

    /// The events of changes that are about to be committed; none when nobody listens.
    pub(crate) fn of(&self, changes: &Changes) -> Vec<Arc<Event>> {
        if self.events.receiver_count() == 0 {
            return Vec::new();
        }
        let outbox = changes.append.iter().filter(|append| append.stream == Stream::Outbox);
        outbox.filter_map(|append| serde_json::from_str(&append.body).ok().map(Arc::new)).collect()
    }

    /// A commit with events is done.
    pub(crate) fn tell(&self, events: Vec<Arc<Event>>) {
        self.commits.send_modify(|commits| *commits = commits.wrapping_add(1));
        for event in events {
            // Nobody listens any more: fine.
            let _ = self.events.send(event);
        }
    }

    /// Changes with every commit that has events.
    pub(crate) fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    /// What is committed from now on.
    pub(crate) fn listen(&self) -> Events {
        let receiver = self.events.subscribe();
        Events(Box::pin(futures_util::stream::unfold(receiver, |mut receiver| async {
            let heard = match receiver.recv().await {
                Ok(event) => Heard::Event(event),
                Err(RecvError::Lagged(missed)) => Heard::Missed(missed),
                Err(RecvError::Closed) => return None,
            };
            Some((heard, receiver))
        })))
    }
}
