//! The journal: the intent before a call, the outcome after it. The only durable truth about a step.

use serde::{Deserialize, Serialize};

use crate::connector::ObjectKey;
use crate::error::ErrorRecord;
use crate::id::{ClassName, IdentityId, LinkId, PlanId, RealmId, StepId, Tag, TargetName};
use crate::value::Timestamp;

/// Where a step stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum StepState {
    /// Announced: the call may have been made. Found after a crash, it is resolved by reading back.
    Intent,
    /// Done.
    Done,
    /// In escrow: tried and waiting for its next attempt.
    Waiting {
        /// Not before.
        until: Timestamp,
    },
    /// The target works on it.
    Pending {
        /// What to ask with.
        ticket: String,
        /// Not before.
        until: Timestamp,
    },
    /// Ended without success.
    Failed,
    /// Not tried, because something it needs failed or its precondition no longer holds.
    Skipped {
        /// Why.
        why: String,
    },
    /// A person must look: the outcome of a create is not known and nothing identifies it.
    Disputed,
}

impl StepState {
    /// True when nothing more happens to the step in this plan.
    pub fn has_ended(&self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Skipped { .. } | Self::Disputed)
    }
}

/// One step of one plan in the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Row")]
pub struct JournalEntry {
    /// The tenant.
    pub realm: RealmId,
    /// The plan.
    pub plan: PlanId,
    /// The step.
    pub step: StepId,
    /// The chunk it is in.
    pub chunk: u32,
    /// The target.
    pub target: TargetName,
    /// For whom.
    pub identity: IdentityId,
    /// The link a create makes: the same for every attempt.
    pub link: Option<LinkId>,
    /// Where it stands.
    #[serde(flatten)]
    pub state: StepState,
    /// Attempts made, this one included.
    pub attempts: u32,
    /// When the last attempt began.
    pub started_at: Timestamp,
    /// The last attempt's deadline, by the store's clock: an open intent is taken over only after it.
    pub deadline: Timestamp,
    /// The object's key afterwards.
    pub key: Option<ObjectKey>,
    /// What failed last.
    pub error: Option<ErrorRecord>,
    /// It was resolved by reading back, not by the answer.
    #[serde(default)]
    pub read_back: bool,
    /// The hour since the Unix epoch in which the step's budgets were paid last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_hour: Option<i64>,
}

/// An entry as it is read: the fields of its state are among its own. Each is read into its place, where serde's way
/// of reading a flattened state keeps a copy of every field until it knows which are whose.
#[derive(Deserialize)]
struct Row {
    realm: RealmId,
    plan: PlanId,
    step: StepId,
    chunk: u32,
    target: TargetName,
    identity: IdentityId,
    link: Option<LinkId>,
    state: Word,
    until: Option<Timestamp>,
    ticket: Option<String>,
    why: Option<String>,
    attempts: u32,
    started_at: Timestamp,
    deadline: Timestamp,
    key: Option<ObjectKey>,
    error: Option<ErrorRecord>,
    #[serde(default)]
    read_back: bool,
    paid_hour: Option<i64>,
}

/// The name of a state.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Intent,
    Done,
    Waiting,
    Pending,
    Failed,
    Skipped,
    Disputed,
}

impl From<Row> for JournalEntry {
    fn from(row: Row) -> Self {
        // Both are written with their states; a row without them is due at once, and asks with nothing.
        let until = row.until.unwrap_or(Timestamp::EPOCH);
        let ticket = row.ticket.unwrap_or_default();
        let state = match row.state {
            Word::Intent => StepState::Intent,
            Word::Done => StepState::Done,
            Word::Waiting => StepState::Waiting { until },
            Word::Pending => StepState::Pending { ticket, until },
            Word::Failed => StepState::Failed,
            Word::Skipped => StepState::Skipped { why: row.why.unwrap_or_default() },
            Word::Disputed => StepState::Disputed,
        };
        Self {
            realm: row.realm,
            plan: row.plan,
            step: row.step,
            chunk: row.chunk,
            target: row.target,
            identity: row.identity,
            link: row.link,
            state,
            attempts: row.attempts,
            started_at: row.started_at,
            deadline: row.deadline,
            key: row.key,
            error: row.error,
            read_back: row.read_back,
            paid_hour: row.paid_hour,
        }
    }
}

impl JournalEntry {
    /// The account it is about: the first three parts of the step's id.
    pub(crate) fn account(&self) -> Option<(TargetName, ClassName, Tag)> {
        let mut parts = self.step.as_str().splitn(4, '/');
        Some((TargetName::new(parts.next()?), ClassName::new(parts.next()?), Tag::new(parts.next()?)))
    }

    /// In escrow, and no attempt had an effect: nothing of it is under way.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.state, StepState::Waiting { .. })
            && self.error.as_ref().is_some_and(|error| error.effect == crate::error::Effect::None)
    }

    /// The row's key.
    pub fn row_key(plan: PlanId, step: &StepId) -> String {
        let mut buffer = uuid::Uuid::encode_buffer();
        [plan.uuid().hyphenated().encode_lower(&mut buffer), "/", step.as_str()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::super::workbench::{Workbench, now};
    use super::*;
    use crate::error::{Effect, Error, ErrorKind};
    use crate::plan::Action;

    #[tokio::test]
    async fn nothing_of_an_attempt_is_under_way_that_waits_and_had_no_effect() {
        let bench = Workbench::new().await;
        let is_idle = |state: StepState, effect: Option<Effect>| {
            let error =
                effect.map(|effect| Error::new(ErrorKind::Unavailable, "x").with_effect(effect).record());
            JournalEntry { state, error, ..bench.begun(Action::Enable).entry }.is_idle()
        };
        let waiting = || StepState::Waiting { until: now() };
        assert!(is_idle(waiting(), Some(Effect::None)));
        assert!(!is_idle(waiting(), Some(Effect::Unknown)));
        assert!(!is_idle(waiting(), None));
        assert!(!is_idle(StepState::Intent, Some(Effect::None)));
    }

    #[tokio::test]
    async fn an_entry_is_about_the_account_that_its_step_names() {
        let entry = Workbench::new().await.begun(Action::Enable).entry;
        assert_eq!(entry.account(), Some(("directory".into(), "user".into(), Tag::main())));
        let nameless = JournalEntry { step: StepId::new("directory"), ..entry };
        assert_eq!(nameless.account(), None);
    }
}
