//! Where events go.

use std::fmt::Debug;

use async_trait::async_trait;

use super::EventMessage;
use crate::error::Error;

/// Takes events out of the process: a bus, a queue, another database.
///
/// # The contract
/// - A call brings events of one realm in the order of their numbers. The sink answers how many *from the front* have
///   arrived for good: acknowledged by the other side, not only written to a socket. What it does not confirm comes
///   again, with the same ids.
/// - **At least once.** A process that dies after the other side took an event and before that is noted sends it again.
///   The id of the message is there to drop the second one, by the other side or by those who read there.
/// - **In order per identity.** The sink may have several events under way, but of one [`EventMessage::order`] never a
///   later one while an earlier one is unconfirmed.
/// - It is called for one realm by one process at a time (by lease), for different realms side by side.
/// - It bounds its waiting. A call that takes longer than half the lease is dropped, and counts as unconfirmed.
///
/// ```
/// use std::sync::Mutex;
///
/// use provision_core::event::{EventMessage, EventSink, Sent};
///
/// /// Keeps the ids it got; one it has already counts as arrived.
/// #[derive(Debug, Default)]
/// struct Ids(Mutex<Vec<String>>);
///
/// #[async_trait::async_trait]
/// impl EventSink for Ids {
///     async fn send(&self, events: &[EventMessage]) -> Sent {
///         let mut ids = self.0.lock().unwrap();
///         for event in events {
///             if !ids.contains(&event.id) {
///                 ids.push(event.id.clone());
///             }
///         }
///         Sent::all(events)
///     }
/// }
/// ```
#[async_trait]
pub trait EventSink: Debug + Send + Sync {
    /// Sends events of one realm; says how many from the front have arrived.
    async fn send(&self, events: &[EventMessage]) -> Sent;
}

/// How far a sink came.
#[derive(Debug)]
pub struct Sent {
    /// How many events from the front have arrived.
    pub count: usize,
    /// Why the next one has not.
    pub error: Option<Error>,
}

impl Sent {
    /// All have arrived.
    pub fn all(events: &[EventMessage]) -> Self {
        Self { count: events.len(), error: None }
    }

    /// So many from the front have arrived; the next one has not.
    pub fn until(count: usize, error: Error) -> Self {
        Self { count, error: Some(error) }
    }
}
