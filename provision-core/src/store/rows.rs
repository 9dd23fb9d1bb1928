//! How each record is keyed and indexed.

use super::{Changes, MARK, Record, Stored, Table};
use crate::audit::Seal;
use crate::error::Result;
use crate::execute::{JournalEntry, StepState};
use crate::model::{
    ConfiguredSource, ConfiguredTarget, Dispute, FeedChange, FeedReport, Grant, Hold, Identity, Link,
    Membership, Name, NameState, SourceRecord, Subject, Work,
};
use crate::onboard::OnboardingReport;
use crate::plan::{PlanChunk, PlanHeader, Spending};
use crate::value::Timestamp;

type Columns = Vec<(&'static str, String)>;

impl Record for ConfiguredTarget {
    const TABLE: Table = Table::Target;

    fn key(&self) -> String {
        self.settings.name.as_str().to_owned()
    }

    fn columns(&self) -> Columns {
        Vec::new()
    }
}

impl Record for ConfiguredSource {
    const TABLE: Table = Table::Source;

    fn key(&self) -> String {
        self.settings.name.as_str().to_owned()
    }

    fn columns(&self) -> Columns {
        Vec::new()
    }
}

impl Record for OnboardingReport {
    const TABLE: Table = Table::Onboarding;

    fn key(&self) -> String {
        self.target.as_str().to_owned()
    }

    fn columns(&self) -> Columns {
        Vec::new()
    }
}

impl Record for FeedReport {
    const TABLE: Table = Table::Feed;

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn columns(&self) -> Columns {
        let content = format!("{}/{}", self.source.as_str(), self.sequence.content);
        vec![("source", self.source.as_str().to_owned()), ("content", content)]
    }
}

impl Record for FeedChange {
    const TABLE: Table = Table::FeedChange;

    fn key(&self) -> String {
        format!("{}/{:012}", self.feed, self.number)
    }

    fn columns(&self) -> Columns {
        vec![("feed", self.feed.to_string())]
    }
}

impl SourceRecord {
    /// The row's key: also the order in which names are allotted.
    pub fn row_key(source: &crate::id::SourceName, key: &str) -> String {
        [source.as_str(), "/", key].concat()
    }
}

impl Record for SourceRecord {
    const TABLE: Table = Table::SourceRecord;

    fn key(&self) -> String {
        Self::row_key(&self.source, &self.key)
    }

    fn columns(&self) -> Columns {
        vec![
            ("identity", self.identity.to_string()),
            ("source", self.source.as_str().to_owned()),
            ("ordinal", format!("{}/{:012}", self.source.as_str(), self.ordinal)),
            (MARK, self.mark().to_string()),
        ]
    }
}

impl Record for Identity {
    const TABLE: Table = Table::Identity;

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn columns(&self) -> Columns {
        let mut columns = vec![("source_key", SourceRecord::row_key(&self.source, &self.key))];
        if let Some(at) = self.next_change_at {
            columns.push(("next_change_at", at.sortable()));
        }
        columns
    }
}

impl Record for Grant {
    const TABLE: Table = Table::Grant;

    fn key(&self) -> String {
        format!("{}/{}", self.identity, self.entitlement.key())
    }

    fn columns(&self) -> Columns {
        vec![
            ("identity", self.identity.to_string()),
            ("target", self.entitlement.target().as_str().to_owned()),
        ]
    }
}

impl Record for Link {
    const TABLE: Table = Table::Link;

    fn key(&self) -> String {
        Self::row_key(&self.target, &self.class, &self.tag, &self.subject)
    }

    fn columns(&self) -> Columns {
        let mut columns = vec![("target", format!("{}/{}", self.target.as_str(), self.class.as_str()))];
        if let Subject::Identity(id) = &self.subject {
            columns.push(("identity", id.to_string()));
        }
        if let Some(key) = &self.key {
            columns.push(("object", format!("{}/{}/{}", self.target.as_str(), self.class.as_str(), key.id)));
        }
        columns
    }
}

impl Membership {
    /// The row's key.
    pub fn row_key(link: crate::id::LinkId, class: &crate::id::ClassName, group: &str) -> String {
        format!("{link}/{}/{group}", class.as_str())
    }
}

impl Record for Membership {
    const TABLE: Table = Table::Membership;

    fn key(&self) -> String {
        Self::row_key(self.link, &self.group_class, &self.group)
    }

    fn columns(&self) -> Columns {
        vec![
            ("link", self.link.to_string()),
            ("edge_group", format!("{}/{}", self.target.as_str(), self.group)),
        ]
    }
}

impl Record for Name {
    const TABLE: Table = Table::Name;

    fn key(&self) -> String {
        Self::row_key(&self.namespace, &self.scope, &self.folded)
    }

    fn columns(&self) -> Columns {
        let mut columns = Vec::new();
        if let Some(owner) = self.owner {
            columns.push(("owner", owner.to_string()));
        }
        if let NameState::Reserved { plan, .. } = &self.state {
            columns.push(("plan", plan.to_string()));
        }
        columns
    }
}

impl Work {
    /// Adds the dirty mark of an identity to a commit, over the mark it has.
    pub(crate) fn mark(
        changes: &mut Changes,
        known: Option<Stored<Self>>,
        identity: &Identity,
        urgent: bool,
        due_at: Timestamp,
    ) -> Result<()> {
        match known {
            Some(Stored { version, value }) => {
                changes.replace(version, &Self::marked(Some(value), identity, urgent, due_at))
            }
            None => changes.insert(&Self::marked(None, identity, urgent, due_at)),
        }
    }
}

impl Record for Work {
    const TABLE: Table = Table::Work;

    fn key(&self) -> String {
        self.order.clone()
    }

    fn columns(&self) -> Columns {
        let mut columns = vec![
            ("due", Self::due_column(self.urgent, self.claimable_at())),
            ("ready", self.due_at.sortable()),
            ("identity", self.identity.to_string()),
        ];
        if let Some(lease) = &self.lease {
            columns.push(("fence", lease.fence.to_string()));
        }
        columns
    }
}

impl Record for PlanHeader {
    const TABLE: Table = Table::Plan;

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn columns(&self) -> Columns {
        vec![("state", self.state.as_str().to_owned())]
    }
}

impl Record for PlanChunk {
    const TABLE: Table = Table::PlanChunk;

    fn key(&self) -> String {
        Self::row_key(self.plan, self.number)
    }

    fn columns(&self) -> Columns {
        vec![("plan", self.plan.to_string())]
    }
}

impl Record for JournalEntry {
    const TABLE: Table = Table::Journal;

    fn key(&self) -> String {
        Self::row_key(self.plan, &self.step)
    }

    fn columns(&self) -> Columns {
        let mut columns = vec![("plan", self.plan.to_string())];
        if !matches!(self.state, StepState::Done | StepState::Skipped { .. } | StepState::Failed) {
            columns.push(("identity", self.identity.to_string()));
        }
        match &self.state {
            StepState::Intent => columns.push(("open", format!("intent/{}", self.plan))),
            StepState::Waiting { .. } | StepState::Pending { .. } => {
                columns.push(("open", format!("waiting/{}", self.plan)));
            }
            StepState::Failed => columns.push(("open", format!("failed/{}", self.target.as_str()))),
            StepState::Disputed => columns.push(("open", format!("disputed/{}", self.target.as_str()))),
            StepState::Done | StepState::Skipped { .. } => {}
        }
        columns
    }
}

impl Record for Hold {
    const TABLE: Table = Table::Hold;

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn columns(&self) -> Columns {
        vec![("state", self.state.as_str().to_owned())]
    }
}

impl Record for Dispute {
    const TABLE: Table = Table::Dispute;

    fn key(&self) -> String {
        Self::row_key(&self.about)
    }

    fn columns(&self) -> Columns {
        let mut columns = vec![("state", if self.open { "open" } else { "decided" }.to_owned())];
        if let crate::model::DisputeAbout::Match { target, .. } = &self.about {
            columns.push(("target", target.as_str().to_owned()));
        }
        columns
    }
}

impl Record for Spending {
    const TABLE: Table = Table::Spending;

    fn key(&self) -> String {
        Self::row_key(&self.target, self.kind, self.hour)
    }

    fn columns(&self) -> Columns {
        vec![("target", self.target.as_str().to_owned())]
    }
}

impl Record for Seal {
    const TABLE: Table = Table::Seal;

    fn key(&self) -> String {
        Self::row_key(self.number)
    }

    fn columns(&self) -> Columns {
        Vec::new()
    }
}
