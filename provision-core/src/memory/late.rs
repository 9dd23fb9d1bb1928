//! Answers that come later: a write is done, and the target says so only when asked again.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::target::{lock, refuse};
use crate::connector::Outcome;
use crate::error::{Error, ErrorKind, Result};

/// What a ticket starts with, so that a foreign one is recognised.
const MARK: &str = "memory:";

/// Tickets whose polls are counted; of older ones the count starts again.
const TICKETS_MAX: usize = 10_000;

/// The ticket itself: it holds the answer, so that it outlives the process.
#[derive(Serialize, Deserialize)]
struct Ticket {
    number: u64,
    outcome: Outcome,
}

/// How often each ticket was polled.
#[derive(Debug, Default)]
pub(super) struct Late {
    next: AtomicU64,
    polled: Mutex<BTreeMap<u64, u32>>,
}

impl Late {
    /// The answer to a write that the target says it is working on.
    pub(super) fn ticket(&self, outcome: &Outcome) -> Result<Outcome> {
        let ticket = Ticket { number: self.next.fetch_add(1, Ordering::Relaxed), outcome: outcome.clone() };
        let text = serde_json::to_string(&ticket).map_err(|error| {
            Error::new(ErrorKind::Unexpected, "the ticket cannot be written").with_source(error)
        })?;
        Ok(Outcome::Pending { ticket: format!("{MARK}{text}") })
    }

    /// `Pending` for the first `patience` polls, then the outcome, however often it is asked for.
    pub(super) fn poll(&self, ticket: &str, patience: u32) -> Result<Outcome> {
        let known = ticket.strip_prefix(MARK).and_then(|text| serde_json::from_str::<Ticket>(text).ok());
        let Some(known) = known else {
            return Err(refuse(ErrorKind::NotFound, "there is no such ticket"));
        };
        let mut polled = lock(&self.polled);
        while polled.len() >= TICKETS_MAX && !polled.contains_key(&known.number) {
            polled.pop_first();
        }
        let times = polled.entry(known.number).or_default();
        if *times < patience {
            *times += 1;
            return Ok(Outcome::Pending { ticket: ticket.to_owned() });
        }
        Ok(known.outcome)
    }
}
