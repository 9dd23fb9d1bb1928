//! Doubt: what is kept of a step whose effect nobody knows, so that the next plan makes it certain.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::lane::Lane;
use super::order::Order;
use super::{JournalEntry, StepState};
use crate::error::{Effect, Result};
use crate::model::{Link, LinkState, Membership};
use crate::plan::{Action, Step};
use crate::store::{self, Changes, Stored};

impl Lane<'_> {
    /// The edge that an attempt may have written or taken away: kept as one that may be there and is not relied on,
    /// so that the next plan adds or removes it, whichever is wanted then.
    pub(super) fn uncertain_edge(&self, step: &Step, entry: &JournalEntry) -> Option<Membership> {
        let (Action::AddMember { group_class, group, .. } | Action::RemoveMember { group_class, group }) =
            &step.action
        else {
            return None;
        };
        let sent = entry.state == StepState::Intent
            || entry.error.as_ref().is_some_and(|error| error.effect != Effect::None);
        sent.then(|| self.edge(step, entry.link, group_class, group, false)).flatten()
    }

    /// An edge that may be there keeps an account from counting as seen off.
    pub(super) async fn doubt_links(
        &self,
        changes: &mut Changes,
        doubted: &BTreeMap<String, Arc<Order>>,
    ) -> Result<()> {
        let keys: Vec<String> = doubted.keys().cloned().collect();
        let links = store::get_many::<Link>(self.engine.store(), &self.engine.realm, &keys).await?;
        for (step, link) in doubted.values().zip(links) {
            let Some(Stored { version, value: mut link }) = link else { continue };
            if is_doubtful(step, &link) {
                doubt(step, &mut link);
                link.revision += 1;
                changes.replace(version, &link)?;
            }
        }
        Ok(())
    }
}

/// Whether a step whose effect is not known leaves its link saying what may not be so: that the account is disabled,
/// or that it was seen off and nothing was given back.
pub(super) fn is_doubtful(step: &Step, link: &Link) -> bool {
    step.action == Action::Enable || !step.offboarding && link.state == LinkState::Inactive
}

/// Makes the link say what is known: should the person leave again before a step of the return succeeds, what it may
/// have given is taken away.
pub(super) fn doubt(step: &Step, link: &mut Link) {
    if step.action == Action::Enable {
        link.enabled = None;
    }
    if link.state == LinkState::Inactive {
        link.state = LinkState::Leaving;
    }
}

#[cfg(test)]
mod tests {
    use super::super::workbench::{Workbench, add_member, now, step};
    use super::*;
    use crate::error::{Error, ErrorKind};

    #[tokio::test]
    async fn an_edge_is_uncertain_when_an_attempt_at_it_may_have_had_an_effect() {
        let bench = Workbench::new().await;
        let uncertain = |state: StepState, effect: Option<Effect>| {
            let mut entry = bench.begun(add_member("staff")).entry;
            entry.error =
                effect.map(|effect| Error::new(ErrorKind::Unavailable, "x").with_effect(effect).record());
            entry.state = state;
            bench.lane().uncertain_edge(&step(add_member("staff")), &entry)
        };
        let waiting = || StepState::Waiting { until: now() };
        let edge = uncertain(StepState::Intent, None).unwrap();
        assert_eq!((edge.group.as_str(), edge.desired, edge.applied), ("staff", false, true));
        assert!(uncertain(waiting(), Some(Effect::Unknown)).is_some());
        assert!(uncertain(waiting(), Some(Effect::None)).is_none());
        assert!(uncertain(waiting(), None).is_none());
        let entry = bench.begun(Action::Enable).entry;
        assert!(bench.lane().uncertain_edge(&step(Action::Enable), &entry).is_none());
    }
}
