//! Where everything stands, counted.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::Engine;
use super::configure::Meta;
use crate::error::Result;
use crate::event::{SinkStatus, sinks_of};
use crate::execute::JournalEntry;
use crate::id::{FeedId, RealmId, SourceName, TargetName};
use crate::model::{
    ConfiguredSource, ConfiguredTarget, Dispute, FeedCounts, FeedReport, FeedState, Hold, HoldOf, HoldState,
    Identity, Link, LinkState, Quarantine, SourceRecord, Work,
};
use crate::plan::Drive;
use crate::policy::PolicyVersion;
use crate::store::{self, Cursor, Select};
use crate::text::escape;
use crate::value::Timestamp;

/// Links of one target that are read to count them by state.
const LINKS_MAX: u64 = 50_000;

/// Where a realm stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The realm.
    pub realm: RealmId,
    /// When.
    pub at: Timestamp,
    /// The policy in force.
    pub policy: Option<PolicyVersion>,
    /// Identities: people and services.
    pub identities: u64,
    /// Roles that objects of targets stand for, or stood for.
    #[serde(default)]
    pub roles: u64,
    /// Identities and roles that are dirty, due and free to be claimed.
    pub due: u64,
    /// Identities that wait: due ones, those somebody works on, and those that wait for an instant or a person.
    pub waiting: u64,
    /// Targets by name.
    pub targets: Vec<TargetStatus>,
    /// Sources by name.
    pub sources: Vec<SourceStatus>,
    /// Steps that need something.
    pub steps: StepCounts,
    /// Holds that wait for a decision.
    pub holds_open: u64,
    /// Holds approved and not yet carried out.
    pub holds_approved: u64,
    /// Disputes that wait for a decision.
    pub disputes_open: u64,
    /// Where events go, by name: how far each sink is in this realm.
    pub sinks: Vec<SinkStatus>,
}

/// Steps that have not simply been done, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepCounts {
    /// Announced, outcome not journalled: under way, or left by a crash.
    pub under_way: u64,
    /// Waiting for the next attempt, or for the target.
    pub waiting: u64,
    /// Ended without success, and not taken up again by `retry`.
    pub failed: u64,
    /// Waiting for a person.
    pub disputed: u64,
}

/// Where a target stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetStatus {
    /// Its name.
    pub name: TargetName,
    /// The kind of connector.
    pub kind: String,
    /// How far the engine may go.
    pub drive: Drive,
    /// When its onboarding ended.
    pub onboarded_at: Option<Timestamp>,
    /// An operator stopped it.
    pub paused: bool,
    /// The engine stopped it.
    pub quarantine: Option<Quarantine>,
    /// The store was restored: it is only observed until it has been onboarded again.
    pub restored: bool,
    /// Objects managed at the last complete read: what budgets refer to.
    pub managed: u64,
    /// Links, whatever their state.
    pub links: u64,
    /// Links by state; `None` where there are too many to count in passing (over 50,000).
    pub links_by_state: Option<LinkCounts>,
    /// Steps that ended without success there.
    pub failed: u64,
}

/// Links of a target by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkCounts {
    /// Kept right.
    pub active: u64,
    /// Being offboarded.
    pub leaving: u64,
    /// Over.
    pub inactive: u64,
    /// Of all these: the object is gone from the target and we did not delete it.
    pub missing: u64,
    /// Active and leaving ones whose object is there and, when it was last read, differed from what we wrote.
    pub drifted: u64,
}

/// Where a source stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// Its name.
    pub name: SourceName,
    /// The kind of source.
    pub kind: String,
    /// Records present.
    pub present: u64,
    /// The newest feed.
    pub last: Option<FeedStatus>,
    /// Feeds held, waiting for a decision or to be promoted.
    pub held: Vec<FeedId>,
}

/// Where a feed stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedStatus {
    /// The feed.
    pub id: FeedId,
    /// Its name.
    pub name: String,
    /// How far it has come.
    pub state: FeedState,
    /// When it was read.
    pub at: Timestamp,
    /// What it holds.
    pub counts: FeedCounts,
}

impl Engine {
    /// Where everything stands. The cost grows with the number of targets and of open things, and with the links of a
    /// target up to 50,000.
    pub async fn status(&self) -> Result<Status> {
        let now = self.now();
        let policy = store::get::<Meta<PolicyVersion>>(self.store(), &self.realm, "policy").await?;
        let every = Select::KeyPrefix(String::new());
        let held = self.held_feeds().await?;
        let epoch = self.store().epoch().await?;
        let mut targets = Vec::new();
        for target in self.targets().await? {
            targets.push(self.target_status(target, &epoch).await?);
        }
        let mut sources = Vec::new();
        for source in self.sources().await? {
            let held = held.get(&source.settings.name).cloned().unwrap_or_default();
            sources.push(self.source_status(source, held).await?);
        }
        let steps = StepCounts {
            under_way: self.count_steps("intent/").await?,
            waiting: self.count_steps("waiting/").await?,
            failed: self.count_steps("failed/").await?,
            disputed: self.count_steps("disputed/").await?,
        };
        let state = |state: HoldState| Select::Equal("state", state.as_str().to_owned());
        let open = Select::Equal("state", "open".to_owned());
        let of_roles = SourceRecord::row_key(&SourceName::roles(), "");
        let of_roles = Select::ColumnPrefix("source_key", of_roles);
        let roles = store::count_by::<Identity>(self.store(), &self.realm, of_roles).await?;
        Ok(Status {
            realm: self.realm.clone(),
            at: now,
            policy: policy.map(|stored| stored.value.value),
            identities: store::count_by::<Identity>(self.store(), &self.realm, every.clone())
                .await?
                .saturating_sub(roles),
            roles,
            due: self.due_count(now).await?,
            waiting: store::count_by::<Work>(self.store(), &self.realm, every).await?,
            targets,
            sources,
            steps,
            holds_open: store::count_by::<Hold>(self.store(), &self.realm, state(HoldState::Open)).await?,
            holds_approved: store::count_by::<Hold>(self.store(), &self.realm, state(HoldState::Approved))
                .await?,
            disputes_open: store::count_by::<Dispute>(self.store(), &self.realm, open).await?,
            sinks: sinks_of(&self.inner, &self.realm).await?,
        })
    }

    async fn count_steps(&self, prefix: &str) -> Result<u64> {
        let select = Select::ColumnPrefix("open", prefix.to_owned());
        store::count_by::<JournalEntry>(self.store(), &self.realm, select).await
    }

    async fn target_status(&self, target: ConfiguredTarget, epoch: &str) -> Result<TargetStatus> {
        let name = target.settings.name.clone();
        let of_target = Select::ColumnPrefix("target", format!("{}/", name.as_str()));
        let links = store::count_by::<Link>(self.store(), &self.realm, of_target.clone()).await?;
        let links_by_state =
            if links > LINKS_MAX { None } else { Some(self.links_by_state(of_target).await?) };
        let failed = Select::Equal("open", format!("failed/{}", name.as_str()));
        Ok(TargetStatus {
            failed: store::count_by::<JournalEntry>(self.store(), &self.realm, failed).await?,
            name,
            kind: target.settings.kind,
            drive: target.settings.drive,
            onboarded_at: target.onboarded_at,
            paused: target.paused,
            quarantine: target.quarantine,
            restored: target.epoch.is_some_and(|known| known != epoch),
            managed: target.managed,
            links,
            links_by_state,
        })
    }

    async fn links_by_state(&self, select: Select) -> Result<LinkCounts> {
        let mut counts = LinkCounts::default();
        let mut cursor = None;
        loop {
            let (page, next) =
                store::list_by::<Link>(self.store(), &self.realm, select.clone(), cursor, 1_000).await?;
            for link in page.into_iter().map(|stored| stored.value) {
                match link.state {
                    _ if link.is_only_begun() => continue,
                    LinkState::Active => counts.active += 1,
                    LinkState::Leaving => counts.leaving += 1,
                    LinkState::Inactive => counts.inactive += 1,
                }
                counts.missing += u64::from(link.missing);
                // What is over is nobody's to mend.
                let kept = link.key.is_some() && !link.missing && link.state != LinkState::Inactive;
                counts.drifted += u64::from(kept && !link.drift.is_empty());
            }
            cursor = next;
            if cursor.is_none() {
                return Ok(counts);
            }
        }
    }

    async fn source_status(&self, source: ConfiguredSource, held: Vec<FeedId>) -> Result<SourceStatus> {
        let name = source.settings.name.clone();
        let mut last = match source.last_feed {
            Some(id) => store::get::<FeedReport>(self.store(), &self.realm, &id.to_string()).await?,
            None => None,
        };
        // Ids grow with time: what was read after the last feed consumed comes after it.
        let mut cursor = source.last_feed.map(|id| Cursor { column: String::new(), key: id.to_string() });
        loop {
            let select = Select::Equal("source", name.as_str().to_owned());
            let (page, next) =
                store::list_by::<FeedReport>(self.store(), &self.realm, select, cursor, 100).await?;
            last = page.into_iter().next_back().or(last);
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        let last = last.map(|stored| stored.value).map(|feed| FeedStatus {
            id: feed.id,
            name: feed.name,
            state: feed.state,
            at: feed.at,
            counts: feed.counts,
        });
        Ok(SourceStatus { name, kind: source.settings.kind, present: source.present, last, held })
    }

    async fn held_feeds(&self) -> Result<BTreeMap<SourceName, Vec<FeedId>>> {
        let mut held: BTreeMap<SourceName, Vec<FeedId>> = BTreeMap::new();
        for state in [HoldState::Open, HoldState::Approved] {
            let select = Select::Equal("state", state.as_str().to_owned());
            let (holds, _) = store::list_by::<Hold>(self.store(), &self.realm, select, None, 10_000).await?;
            for hold in holds {
                if let HoldOf::Feed { feed, source } = hold.value.of {
                    held.entry(source).or_default().push(feed);
                }
            }
        }
        Ok(held)
    }
}

impl Status {
    /// The status as text.
    pub fn render(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "realm {} at {}", self.realm, self.at);
        match &self.policy {
            Some(policy) => {
                let hash: String = policy.hash.chars().take(12).collect();
                let _ = writeln!(out, "  policy {} ({})", escape(&policy.label), escape(&hash));
            }
            None => out.push_str("  no policy is set\n"),
        }
        let roles = if self.roles > 0 { format!(", {} roles", self.roles) } else { String::new() };
        let _ = writeln!(
            out,
            "  {} identities{roles}, {} due, {} waiting in all",
            self.identities, self.due, self.waiting
        );
        let steps = self.steps;
        let _ = writeln!(
            out,
            "  steps: {} under way, {} waiting, {} failed, {} disputed",
            steps.under_way, steps.waiting, steps.failed, steps.disputed
        );
        let _ = writeln!(
            out,
            "  {} holds open, {} approved; {} disputes open",
            self.holds_open, self.holds_approved, self.disputes_open
        );
        for target in &self.targets {
            target.render(&mut out);
        }
        for source in &self.sources {
            source.render(&mut out);
        }
        out
    }
}

impl TargetStatus {
    fn render(&self, out: &mut String) {
        let drive = match self.drive {
            Drive::Observe => "observe",
            Drive::Review => "review",
            Drive::Enforce => "enforce",
        };
        let _ = writeln!(out, "target {} ({}), drive {drive}", self.name, escape(&self.kind));
        match self.onboarded_at {
            Some(at) => {
                let _ = writeln!(out, "  onboarded {at}, {} objects managed", self.managed);
            }
            None => out.push_str("  not onboarded: nothing is created there\n"),
        }
        if self.paused {
            out.push_str("  paused\n");
        }
        if let Some(quarantine) = &self.quarantine {
            let _ = writeln!(
                out,
                "  in quarantine since {}, looked at again {}: {}",
                quarantine.since,
                quarantine.until,
                escape(&quarantine.reason)
            );
        }
        if self.restored {
            out.push_str("  the store was restored: onboard again before anything is written\n");
        }
        match self.links_by_state {
            Some(links) => {
                let _ = writeln!(
                    out,
                    "  {} links: {} active, {} leaving, {} inactive; {} missing, {} drifted",
                    self.links, links.active, links.leaving, links.inactive, links.missing, links.drifted
                );
            }
            None => {
                let _ = writeln!(out, "  {} links", self.links);
            }
        }
        if self.failed > 0 {
            let _ = writeln!(out, "  {} steps failed", self.failed);
        }
    }
}

impl SourceStatus {
    fn render(&self, out: &mut String) {
        let _ =
            writeln!(out, "source {} ({}), {} records present", self.name, escape(&self.kind), self.present);
        if let Some(last) = &self.last {
            let state = match last.state {
                FeedState::Staging => "staging",
                FeedState::Held => "held",
                FeedState::Promoting => "promoting",
                FeedState::Applied => "applied",
                FeedState::Refused => "refused",
            };
            let _ = writeln!(
                out,
                "  last feed {}: {state}, read {}, {} rows, {} problems",
                escape(&last.name),
                last.at,
                last.counts.rows,
                last.counts.problems
            );
        }
        if !self.held.is_empty() {
            let _ = writeln!(out, "  {} feeds held", self.held.len());
        }
    }
}
