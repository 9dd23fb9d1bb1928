//! Steps that need a step which their plan has not: they would be open for ever.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::lane::Lane;
use super::order::{Order, Orders};
use crate::error::Result;
use crate::id::StepId;

impl Lane<'_> {
    /// Skips the steps of these chunks that need a step which the plan has not; true if there were any. Who plans a
    /// reference asks whether the plan makes the account that it points at, and an account whose earlier step ended at
    /// that moment is one that the plan would make now, and passed over when it came to it.
    ///
    /// These are the chunks that are open: of the others every step is in the journal.
    pub(super) async fn skip_stranded(&self, open: &[u32]) -> Result<bool> {
        let mut skipped = false;
        for number in open {
            let steps = self.orders(*number).await?;
            let entries = self.entries(&steps).await?;
            let begins = |step: &&Arc<Order>| !entries.contains_key(&step.id);
            let lacks = |id: &&StepId| !entries.contains_key(*id);
            let mut lacking: BTreeSet<StepId> =
                steps.iter().filter(begins).flat_map(|step| &step.needs).filter(lacks).cloned().collect();
            for other in open {
                if lacking.is_empty() {
                    break;
                }
                for step in self.orders(*other).await? {
                    lacking.remove(&step.id);
                }
            }
            let stranded: Vec<(Arc<Order>, String)> = steps
                .iter()
                .filter(begins)
                .filter(|step| step.needs.iter().any(|need| lacking.contains(need)))
                .map(|step| (step.clone(), "a step it needs is not part of the plan".to_owned()))
                .collect();
            if !stranded.is_empty() {
                self.skip(&stranded, &entries, true).await?;
                skipped = true;
            }
        }
        Ok(skipped)
    }

    /// The steps of a chunk that are for this target.
    async fn orders(&self, number: u32) -> Result<Vec<Arc<Order>>> {
        let chunk = self.engine.plan_chunk_part::<Orders>(self.header.id, number).await?;
        let steps = chunk.map(|chunk| chunk.steps).unwrap_or_default();
        let ours = steps.into_iter().filter(|step| step.target == self.target.settings.name);
        Ok(ours.map(Arc::new).collect())
    }
}
