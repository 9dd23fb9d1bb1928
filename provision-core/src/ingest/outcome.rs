//! How a feed ended.

use serde::{Deserialize, Serialize};

use crate::model::{FeedReport, Hold};
use crate::value::Timestamp;

/// How a feed ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
#[non_exhaustive]
pub enum FeedOutcome {
    /// Its delta is in force.
    Applied(Box<FeedReport>),
    /// Its whole delta waits for approval; nothing of it is in force.
    Held {
        /// The feed.
        report: Box<FeedReport>,
        /// What it waits in, with the reasons.
        hold: Box<Hold>,
    },
    /// The same content was consumed before; it was not read again.
    AlreadyConsumed {
        /// The earlier delivery.
        earlier: Box<FeedReport>,
    },
    /// Its order is not above that of the last feed consumed; it was not read.
    Older {
        /// The order of the last feed consumed.
        last_order: String,
    },
    /// It broke off while it was read; nothing of it is in force. It may be delivered again.
    Refused {
        /// The feed, as far as it was read.
        report: Box<FeedReport>,
        /// Why.
        reason: String,
    },
    /// Somebody else reads a feed of the source; this one was not read.
    BeingRead {
        /// Who: the node, and the run of its process.
        by: String,
        /// Until when, by the store's clock, unless it goes on: then the source is free.
        until: Timestamp,
    },
}

impl FeedOutcome {
    /// The report of the feed, where it was read (now or before).
    pub fn report(&self) -> Option<&FeedReport> {
        match self {
            Self::Applied(report) | Self::Held { report, .. } | Self::Refused { report, .. } => Some(report),
            Self::AlreadyConsumed { earlier } => Some(earlier),
            Self::Older { .. } | Self::BeingRead { .. } => None,
        }
    }
}
