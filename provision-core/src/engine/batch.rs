//! The identities of a plan, a chunk at a time, and what is known of them: read ahead of the planner.

use futures_util::stream::{self, BoxStream, TryStreamExt};

use super::Engine;
use super::planning::{CHUNK, Run};
use super::snapshot::{Known, Matches};
use crate::error::Result;
use crate::id::PlanId;
use crate::model::{Identity, Work};
use crate::plan::Scope;
use crate::store::{self, Cursor, Select, Stored};
use crate::value::Timestamp;

/// Chunks read at the same time, at most.
const WORKERS_MAX: u32 = 64;

/// The identities of a chunk.
pub(super) struct Batch {
    pub(super) identities: Vec<Identity>,
    /// As they were read; a second try reads them again.
    pub(super) facts: Option<BatchFacts>,
}

/// What is known of the identities of a chunk.
pub(super) struct BatchFacts {
    pub(super) work: Vec<Option<Stored<Work>>>,
    pub(super) known: Vec<Known>,
}

impl Engine {
    /// The chunks of a plan in their order. Reading ahead changes nothing: what changes after a work row was read has
    /// a newer mark than the plan saw, and names are looked up when it is the chunk's turn.
    pub(super) fn batches<'a>(
        &'a self,
        scope: &'a Scope,
        run: &Run,
        workers: u32,
    ) -> BoxStream<'a, Result<Batch>> {
        let (now, plan, matches) = (run.now, run.id, run.matches.clone());
        let batches = stream::try_unfold(Some(None), move |state: Option<Option<Cursor>>| async move {
            let Some(after) = state else { return Ok(None) };
            let batch = self.next_batch(scope, now, after).await?;
            Ok(batch.map(|(identities, next)| (identities, next.map(Some))))
        });
        let batches = batches
            .map_ok(move |identities| {
                let matches = matches.clone();
                async move {
                    let facts = Some(self.batch_facts(&identities, now, plan, &matches).await?);
                    Ok(Batch { identities, facts })
                }
            })
            .try_buffered(workers.clamp(1, WORKERS_MAX) as usize);
        Box::pin(batches)
    }

    /// What is known of identities now.
    pub(super) async fn batch_facts(
        &self,
        identities: &[Identity],
        now: Timestamp,
        plan: PlanId,
        matches: &Matches,
    ) -> Result<BatchFacts> {
        let (identities, work) = self.work_of(identities).await?;
        let known = self.snapshot(identities, now, Some(plan), matches).await?;
        Ok(BatchFacts { work, known })
    }

    /// The next identities, and where to go on. Names are allotted in this order: by source and key, in a plan of
    /// what changed by source and key within a chunk, and the longest due chunk first.
    async fn next_batch(
        &self,
        scope: &Scope,
        now: Timestamp,
        after: Option<Cursor>,
    ) -> Result<Option<(Vec<Identity>, Option<Cursor>)>> {
        let (mut identities, next): (Vec<Identity>, Option<Cursor>) = match scope {
            Scope::Changed => {
                let (work, next) = self.due_work(now, after, CHUNK as u32).await?;
                let keys: Vec<String> = work.iter().map(|work| work.identity.to_string()).collect();
                let found = store::get_many::<Identity>(self.store(), &self.realm, &keys).await?;
                (found.into_iter().flatten().map(|stored| stored.value).collect(), next)
            }
            Scope::All => {
                let select = Select::ColumnPrefix("source_key", String::new());
                let (page, next) =
                    store::list_by::<Identity>(self.store(), &self.realm, select, after, CHUNK as u32)
                        .await?;
                (page.into_iter().map(|stored| stored.value).collect(), next)
            }
            Scope::Identities(ids) => {
                let keys: Vec<String> = ids.iter().map(ToString::to_string).collect();
                let found = store::get_many::<Identity>(self.store(), &self.realm, &keys).await?;
                let mut found: Vec<Identity> =
                    found.into_iter().flatten().map(|stored| stored.value).collect();
                found.sort_by_key(Identity::order);
                // Whoever is named twice is planned once.
                found.dedup_by_key(|identity| identity.id);
                found.retain(|identity| after.as_ref().is_none_or(|after| identity.order() > after.key));
                let last = |found: &[Identity]| found.get(CHUNK - 1).map(Identity::order);
                let next = (found.len() > CHUNK).then(|| last(&found)).flatten();
                let next = next.map(|key| Cursor { column: String::new(), key });
                found.truncate(CHUNK);
                (found, next)
            }
        };
        identities.sort_by_key(Identity::order);
        identities.dedup_by_key(|identity| identity.id);
        Ok(if identities.is_empty() && next.is_none() { None } else { Some((identities, next)) })
    }

    /// The work rows of identities, and then the identities as they are now: a change after the rows were read has a
    /// newer mark than the plan saw. Those that are gone are left out.
    async fn work_of(&self, known: &[Identity]) -> Result<(Vec<Identity>, Vec<Option<Stored<Work>>>)> {
        let orders: Vec<String> = known.iter().map(Identity::order).collect();
        let ids: Vec<String> = known.iter().map(|identity| identity.id.to_string()).collect();
        let work = store::get_many::<Work>(self.store(), &self.realm, &orders).await?;
        let found = store::get_many::<Identity>(self.store(), &self.realm, &ids).await?;
        let (mut identities, mut kept) = (Vec::with_capacity(known.len()), Vec::with_capacity(known.len()));
        for (identity, work) in found.into_iter().zip(work) {
            if let Some(identity) = identity {
                identities.push(identity.value);
                kept.push(work);
            }
        }
        Ok((identities, kept))
    }
}
