//! A listing of a whole class, page by page: each within its time, up to the end or the first error.

use std::time::Duration;

use futures_util::StreamExt;

use crate::connector::{Completeness, ListEvent, Listing, Object};
use crate::error::Effect;
use crate::plan::TargetSettings;
use crate::runtime::{Clock, within};

/// A listing that ends, whatever its target does.
pub(super) struct Pages<'a> {
    clock: &'a dyn Clock,
    /// For each page. How long a whole population takes, nobody knows.
    limit: Duration,
    listing: Option<Listing>,
    read: u64,
    end: Completeness,
}

impl<'a> Pages<'a> {
    /// The pages of a listing; each has the time of a call to the target.
    pub(super) fn of(clock: &'a dyn Clock, settings: &TargetSettings, listing: Listing) -> Self {
        let reason = "the listing stopped without saying that it is whole".to_owned();
        Self {
            clock,
            limit: Duration::from_secs(u64::from(settings.timeout_seconds.max(1))),
            listing: Some(listing),
            read: 0,
            end: Completeness::Partial { reason },
        }
    }

    /// The next page; `None`: that was the last. Nothing is read after an error: what a listing says then is no proof.
    pub(super) async fn next(&mut self) -> Option<Vec<Object>> {
        let listing = self.listing.as_mut()?;
        let event = match within(self.clock, self.limit, async { Ok(listing.next().await) }).await {
            Ok(event) => event,
            Err(late) => {
                Some(Err(late.with_effect(Effect::None).with_context("page", (self.read + 1).to_string())))
            }
        };
        match event {
            Some(Ok(ListEvent::Objects(objects))) => {
                self.read += 1;
                return Some(objects);
            }
            Some(Ok(ListEvent::End(end))) => self.end = end,
            Some(Err(error)) => self.end = Completeness::Partial { reason: error.report() },
            None => {}
        }
        // It is dropped at once, with the connection that it may hold (C-4.4).
        self.listing = None;
        None
    }

    /// What the listing proved.
    pub(super) fn end(self) -> Completeness {
        self.end
    }
}
