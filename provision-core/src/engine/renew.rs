//! Renewal of leases: a batch that takes long stays with its worker, and a worker that lost it stops.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};

use super::Engine;
use super::claim::{TRIES_MAX, busy};
use crate::error::Result;
use crate::model::{Lease, Work};
use crate::runtime::Progress;
use crate::store::{self, Changes, Commit, Stored};
use crate::value::Timestamp;

/// A lease is renewed so many times before it would end: one renewal may fail without harm.
const RENEWALS: u32 = 3;

impl Engine {
    /// Works on claimed identities and renews their leases meanwhile, at every third of a lease. When one of them is
    /// lost, or the store cannot be asked until the leases may have ended, `progress` is stopped: what is under way is
    /// finished, nothing more is begun.
    pub(super) async fn while_held<T>(
        &self,
        claimed: &[Work],
        lease: Duration,
        progress: &Progress,
        work: impl Future<Output = T>,
    ) -> T {
        let work = pin!(work);
        let keep = pin!(self.keep(claimed, lease, progress));
        match select(work, keep).await {
            Either::Left((done, _)) => done,
            Either::Right(((), work)) => work.await,
        }
    }

    /// Renews until a claim is lost.
    async fn keep(&self, claimed: &[Work], lease: Duration, progress: &Progress) {
        let mut failed = 0;
        let first = claimed.iter().filter_map(|work| work.lease.as_ref()).map(|lease| lease.until);
        let mut until = first.min().unwrap_or(Timestamp::EPOCH);
        loop {
            self.inner.clock.deadline(lease / RENEWALS).await;
            match self.renew(claimed, lease, until).await {
                Ok(Some(renewed)) => (until, failed) = (renewed, 0),
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(error = %error.report(), "leases were not renewed");
                    failed += 1;
                    if failed + 1 >= RENEWALS {
                        break;
                    }
                }
            }
        }
        progress.stop();
    }

    /// Gives claims a new lease from now on, and its end. `None` when one of them is lost: its lease ended and somebody
    /// else took the identity over. Those that are still held are renewed all the same, until they are given back.
    ///
    /// A row that is gone was finished by somebody: by a person's plan, or, after the end of the lease, `until`, by
    /// whoever took it over.
    pub(super) async fn renew(
        &self,
        claimed: &[Work],
        lease: Duration,
        until: Timestamp,
    ) -> Result<Option<Timestamp>> {
        let keys: Vec<String> = claimed.iter().map(|work| work.order.clone()).collect();
        for _ in 0..TRIES_MAX {
            let now = self.store().now().await?;
            let renewed = now.plus(lease);
            let known = store::get_many::<Work>(self.store(), &self.realm, &keys).await?;
            let mut changes = Changes::in_realm(&self.realm);
            let mut lost = false;
            for (mine, known) in claimed.iter().zip(known) {
                match mine.lease.as_ref().zip(known) {
                    Some((lease, Stored { version, value })) if value.is_held_by(lease) => {
                        let lease = Some(Lease { until: renewed, ..lease.clone() });
                        changes.replace(version, &Work { lease, ..value })?;
                    }
                    Some(_) => lost = true,
                    None => lost |= until <= now,
                }
            }
            // Somebody marked one of them meanwhile: with the row as it is now.
            if self.store().commit(changes).await? == Commit::Committed {
                return Ok((!lost).then_some(renewed));
            }
        }
        Err(busy())
    }
}
