//! Ending a drive cleanly.

use std::future::Future;
use std::pin::pin;

use futures_util::future::{Either, select};
use tokio::sync::watch;

use super::RunOptions;
use crate::runtime::{Clock, Progress};

/// Stops a drive cleanly: nothing more is claimed, and what is claimed is finished or given back within
/// [`RunOptions::drain`](super::RunOptions::drain). Clones stop together.
#[derive(Clone, Debug)]
pub struct Stop(watch::Sender<bool>);

impl Stop {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Sets it.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Whether it is set.
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when it is set: for what a host runs beside the drive and ends with it.
    pub async fn stopped(&self) {
        // The sender lives as long as we do: waiting ends with the flag and not before.
        let _ = self.0.subscribe().wait_for(|stopped| *stopped).await;
    }
}

/// Does something that ends with its drive: when the drive was stopped and the time to drain is over, `progress` is
/// stopped too.
pub(super) async fn drained<T>(
    clock: &dyn Clock,
    options: &RunOptions,
    progress: &Progress,
    work: impl Future<Output = T>,
) -> T {
    let over = pin!(async {
        options.stop.stopped().await;
        clock.deadline(options.drain).await;
    });
    match select(pin!(work), over).await {
        Either::Left((done, _)) => done,
        Either::Right(((), work)) => {
            progress.stop();
            work.await
        }
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}
