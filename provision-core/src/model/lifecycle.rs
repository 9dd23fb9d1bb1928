//! Where a person stands, computed from dates and a status.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::value::{Date, Timestamp, Zone};

/// Where an identity stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifecycle {
    /// Hired, not yet started.
    PreHire,
    /// Working.
    Active,
    /// Away for long, coming back.
    OnLeave,
    /// Barred, may come back.
    Suspended,
    /// Gone.
    Terminated,
}

impl Lifecycle {
    /// The word used in policy and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreHire => "pre_hire",
            Self::Active => "active",
            Self::OnLeave => "on_leave",
            Self::Suspended => "suspended",
            Self::Terminated => "terminated",
        }
    }
}

/// What a source says of a person's standing, dates aside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing special.
    #[default]
    Active,
    /// On leave.
    OnLeave,
    /// Suspended.
    Suspended,
    /// Terminated, whatever the dates say.
    Terminated,
}

/// A person's employment as a source states it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Employment {
    /// First day, from its start in the person's zone.
    pub start: Option<Date>,
    /// Last day, to its end in the person's zone.
    pub end: Option<Date>,
    /// Status.
    #[serde(default)]
    pub status: Status,
}

impl Employment {
    /// Where the person stands at `now`, and when that changes by itself.
    ///
    /// Before the start of `start`: pre-hire. After the end of `end`, or by status: terminated.
    pub fn at(&self, now: Timestamp, zone: &Zone) -> Result<(Lifecycle, Option<Timestamp>)> {
        if self.status == Status::Terminated {
            return Ok((Lifecycle::Terminated, None));
        }
        let start = self.start.map(|date| date.start_in(zone)).transpose()?;
        let end = self.end.map(|date| date.end_in(zone)).transpose()?;
        if let Some(end) = end.filter(|end| *end <= now) {
            // A start after the end is a rehire announced in the same row.
            return match start {
                Some(start) if start >= end && start > now => Ok((Lifecycle::PreHire, Some(start))),
                Some(start) if start >= end => Ok((self.working(), None)),
                _ => Ok((Lifecycle::Terminated, None)),
            };
        }
        if let Some(start) = start.filter(|start| *start > now) {
            return Ok((Lifecycle::PreHire, Some(end.map_or(start, |end| end.min(start)))));
        }
        Ok((self.working(), end))
    }

    fn working(&self) -> Lifecycle {
        match self.status {
            Status::Active => Lifecycle::Active,
            Status::OnLeave => Lifecycle::OnLeave,
            Status::Suspended => Lifecycle::Suspended,
            Status::Terminated => Lifecycle::Terminated,
        }
    }
}
