//! Taking a staged delta over, batch by batch.

use super::batch::Batch;
use super::{Ingest, TRIES_MAX, conflict};
use crate::error::{Effect, Error, ErrorKind, Result, Retry};
use crate::id::FeedId;
use crate::model::{ConfiguredSource, FeedReport, FeedState, Hold, HoldState};
use crate::store::{Changes, Commit, Stored};

impl Ingest<'_> {
    /// Takes over a held feed whose hold is approved, or goes on with one that was interrupted.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when the feed is not in that state: not approved, approved and used already, superseded
    /// by a newer feed, or its staged changes are not those that were approved (effect `None`). A `Conflict` between
    /// batches (retryable) leaves the feed to be continued.
    pub async fn promote(&self, feed: FeedId) -> Result<FeedReport> {
        if let Some(report) = self.advance(feed).await? {
            return Ok(report);
        }
        self.run(feed).await
    }

    /// Takes over the next batch of a feed, so that a host may stop in between. `Some`: the feed is applied now.
    ///
    /// # Errors
    /// As [`Ingest::promote`].
    pub async fn advance(&self, feed: FeedId) -> Result<Option<FeedReport>> {
        let Some(report) = self.report(feed).await? else {
            return Err(Error::new(ErrorKind::NotFound, "there is no such feed").with_effect(Effect::None));
        };
        match report.value.state {
            FeedState::Promoting => self.step(feed).await,
            FeedState::Held => {
                self.begin_held(report).await?;
                Ok(None)
            }
            FeedState::Applied => Err(settled("the feed is applied already; an approval counts once")),
            FeedState::Refused => Err(settled("the feed was refused, rejected or superseded")),
            FeedState::Staging => Err(settled("the feed is being read")),
        }
    }

    async fn begin_held(&self, report: Stored<FeedReport>) -> Result<()> {
        let Some(hold) = self.hold_of(&report.value).await? else {
            return Err(settled("the feed's hold is gone"));
        };
        match hold.value.state {
            HoldState::Approved => {}
            HoldState::Open => return Err(settled("the feed waits for approval")),
            HoldState::Used => return Err(settled("the approval has been used")),
            HoldState::Rejected | HoldState::Superseded => {
                return Err(settled("what was held no longer stands"));
            }
        }
        if self.digest(report.value.id).await? != hold.value.digest {
            return Err(settled("the staged changes are not those that were held"));
        }
        let source = self.source(report.value.source.as_str()).await?;
        self.begin(report, source, Some(hold)).await
    }

    /// The commit after which the delta will be taken over, whatever happens. The approval is used up in it.
    pub(super) async fn begin(
        &self,
        mut report: Stored<FeedReport>,
        source: Stored<ConfiguredSource>,
        hold: Option<Stored<Hold>>,
    ) -> Result<()> {
        report.value.state = FeedState::Promoting;
        let mut changes = Changes::in_realm(self.realm);
        super::hold::write_report(&mut changes, Some(report.version), &report.value)?;
        // Writing the source's row shuts out everybody else who has read it: one delta at a time.
        changes.replace(source.version, &source.value)?;
        if let Some(mut hold) = hold {
            hold.value.state = HoldState::Used;
            changes.replace(hold.version, &hold.value)?;
        }
        let superseded = self.supersede(&mut changes, &report.value).await?;
        self.commit(changes, "another feed of this source was taken meanwhile").await?;
        for feed in superseded {
            self.delete_staged(feed).await?;
        }
        Ok(())
    }

    /// Takes over what is left.
    pub(super) async fn run(&self, feed: FeedId) -> Result<FeedReport> {
        loop {
            if let Some(report) = self.step(feed).await? {
                return Ok(report);
            }
        }
    }

    /// One batch. Somebody else's commit in between makes it start anew with fewer rows, boundedly.
    async fn step(&self, feed: FeedId) -> Result<Option<FeedReport>> {
        for tries in 0..TRIES_MAX {
            let Some(report) = self.report(feed).await? else {
                return Err(settled("the feed is gone"));
            };
            match report.value.state {
                FeedState::Promoting => {}
                FeedState::Applied => return Ok(Some(report.value)),
                _ => return Err(settled("the feed is not being taken over")),
            }
            let mut batch = Batch::load(self, report, (self.batch >> tries).max(1)).await?;
            batch.take_over().await?;
            let (changes, applied) = batch.finish()?;
            if self.store.commit(changes).await? == Commit::Committed {
                return Ok(applied);
            }
        }
        Err(conflict("other writers were faster each time"))
    }
}

fn settled(message: &str) -> Error {
    conflict(message).with_retry(Retry::Never)
}
