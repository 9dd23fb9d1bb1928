//! Feeds: taken from configured sources or handed over by the host.

use super::Engine;
use super::reading::busy;
use crate::audit;
use crate::connector::Context;
use crate::error::Result;
use crate::id::SourceName;
use crate::ingest::{FeedOutcome, Ingest};
use crate::model::Actor;
use crate::runtime::{Operation, meter};
use crate::source::Feed;

impl Engine {
    /// Takes every feed that a configured source has ready, oldest first. Stops after one that is held or refused:
    /// later ones would be compared with records that are not in force. While a held feed waits, a delta is refused.
    ///
    /// One process at a time reads a source: the others leave it to it ([`FeedOutcome::BeingRead`]) and look again
    /// later. When it is gone they may go on after 30 seconds; the same process goes on at once.
    ///
    /// # Errors
    /// `NotFound` for an unknown source; `DataInvalid` for a feed that cannot be read at all: nothing of it is used.
    pub async fn ingest(&self, actor: &Actor, source: &SourceName) -> Result<Vec<FeedOutcome>> {
        self.authorize(actor, Operation::Ingest)?;
        let configured = self.sources().await?.into_iter().find(|known| known.settings.name == *source);
        let settings =
            configured.ok_or_else(|| super::configure::missing("source", source.as_str()))?.settings;
        let connector = self.inner.registry.source(&settings.kind, &settings.config)?;
        let cx = Context::new(self.realm.clone(), format!("ingest/{}", source.as_str()));
        let mut outcomes = Vec::new();
        for feed in connector.feeds(&cx).await? {
            let outcome = self.take_feed(actor, source, feed, &mut |_| {}).await?;
            let stop = matches!(
                outcome,
                FeedOutcome::Held { .. } | FeedOutcome::Refused { .. } | FeedOutcome::BeingRead { .. }
            );
            outcomes.push(outcome);
            if stop {
                break;
            }
        }
        Ok(outcomes)
    }

    /// Takes one feed. `progress` is told the rows read so far.
    ///
    /// # Errors
    /// As [`Ingest::feed`]. `Conflict` (retryable, effect `None`) also while another feed of the source is being read,
    /// in this process or in another one: nothing of this one was read.
    pub async fn ingest_feed(
        &self,
        actor: &Actor,
        source: &SourceName,
        feed: Feed,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<FeedOutcome> {
        self.authorize(actor, Operation::Ingest)?;
        match self.take_feed(actor, source, feed, progress).await? {
            FeedOutcome::BeingRead { by, until } => Err(busy(source, &by, &until)),
            outcome => Ok(outcome),
        }
    }

    async fn take_feed(
        &self,
        actor: &Actor,
        source: &SourceName,
        feed: Feed,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<FeedOutcome> {
        let road = self.road(actor);
        // Most looks find nothing new: they cost no lease.
        if let Some(outcome) = road.seen_before(source, &feed.sequence).await? {
            return Ok(outcome);
        }
        let read = async {
            road.discard_unread(source).await?;
            road.feed(source.as_str(), feed, progress).await
        };
        let outcome = self.read_alone(source, read).await?;
        if let FeedOutcome::Applied(report) | FeedOutcome::Refused { report, .. } = &outcome {
            meter::feed_rows(report.counts.rows);
        }
        audit::seal(self.store(), &self.realm).await?;
        Ok(outcome)
    }

    /// The ingest road on behalf of an actor.
    pub(crate) fn road<'a>(&'a self, actor: &'a Actor) -> Ingest<'a> {
        let (clock, random) = (self.inner.clock.as_ref(), self.inner.random.as_ref());
        Ingest::new(self.store(), clock, random, &self.realm, actor).awake_since(self.inner.started_at)
    }
}
