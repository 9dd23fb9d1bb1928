//! Configured targets and sources as versioned rows: changed without restart.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::connector::Discovery;
use crate::id::{ClassName, FeedId};
use crate::plan::TargetSettings;
use crate::source::SourceSettings;
use crate::value::{AttrName, Timestamp};

/// A target we stopped writing to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub reason: String,
    /// The next probe.
    pub until: Timestamp,
}

/// A configured target and what the engine knows of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfiguredTarget {
    /// As configured.
    pub settings: TargetSettings,
    /// Schema and capabilities at the last discovery.
    pub discovery: Option<Discovery>,
    /// When onboarding ended; before that nothing is created.
    pub onboarded_at: Option<Timestamp>,
    /// The classes that were listed whole then; objects of others are not created.
    #[serde(default)]
    pub onboarded: BTreeSet<ClassName>,
    /// Objects we manage, counted at the last complete cycle: what percentages refer to.
    pub managed: u64,
    /// An operator stopped it.
    pub paused: bool,
    /// The engine stopped it.
    pub quarantine: Option<Quarantine>,
    /// Failures in a row; enough of them are a quarantine.
    pub failures: u32,
    /// The store's epoch at the last onboarding. Another one means the store was restored: the target is only observed
    /// until it has been onboarded again, because accounts created since the backup have no link.
    pub epoch: Option<String>,
}

impl ConfiguredTarget {
    /// Whether it was onboarded by a store that a backup was restored over: this one, whose epoch is given, may know
    /// less than is there.
    pub(crate) fn is_restored(&self, epoch: &str) -> bool {
        self.epoch.as_deref().is_some_and(|known| known != epoch)
    }

    /// A target just configured.
    pub fn new(settings: TargetSettings) -> Self {
        Self {
            settings,
            discovery: None,
            onboarded_at: None,
            onboarded: BTreeSet::new(),
            managed: 0,
            paused: false,
            quarantine: None,
            failures: 0,
            epoch: None,
        }
    }
}

/// A configured source and what the engine knows of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfiguredSource {
    /// As configured.
    pub settings: SourceSettings,
    /// The order of the last feed consumed.
    pub last_order: Option<String>,
    /// The last feed consumed.
    pub last_feed: Option<FeedId>,
    /// The next free number for a record.
    pub next_ordinal: u64,
    /// Records that are present.
    pub present: u64,
    /// How many present records have a value, by attribute, at the last full feed: mass clearing is measured by it.
    pub filled: BTreeMap<AttrName, u64>,
}

impl ConfiguredSource {
    /// A source just configured.
    pub fn new(settings: SourceSettings) -> Self {
        Self {
            settings,
            last_order: None,
            last_feed: None,
            next_ordinal: 0,
            present: 0,
            filled: BTreeMap::new(),
        }
    }
}
