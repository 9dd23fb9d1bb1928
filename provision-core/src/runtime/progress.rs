//! Progress as a stream the host can draw.

use futures_core::Stream;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// How far an operation is. Counters only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressState {
    /// Things to do in all; 0 while not known.
    pub total: u64,
    /// Things that have ended.
    pub ended: u64,
    /// Of which failed.
    pub failed: u64,
}

/// Where an operation reports to, and what ends it early. Nobody needs to listen.
#[derive(Clone, Debug)]
pub struct Progress {
    state: watch::Sender<ProgressState>,
    stop: watch::Sender<bool>,
}

impl Progress {
    /// A place to report to.
    pub fn new() -> Self {
        Self { state: watch::Sender::new(ProgressState::default()), stop: watch::Sender::new(false) }
    }

    /// The states from now on, the latest always among them; slow listeners miss some in between.
    pub fn stream(&self) -> impl Stream<Item = ProgressState> + Send + Unpin + use<> {
        let receiver = self.state.subscribe();
        Box::pin(futures_util::stream::unfold(receiver, |mut receiver| async move {
            receiver.changed().await.ok()?;
            let state = *receiver.borrow_and_update();
            Some((state, receiver))
        }))
    }

    /// The state now.
    pub fn state(&self) -> ProgressState {
        *self.state.borrow()
    }

    /// Ends the operation cleanly: what is under way is finished, nothing more is begun. Clones stop together.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    pub(crate) async fn stopped(&self) {
        // The sender lives as long as we do: waiting ends with the flag and not before.
        let _ = self.stop.subscribe().wait_for(|stopped| *stopped).await;
    }

    pub(crate) fn total(&self, total: u64) {
        self.state.send_modify(|state| state.total = total);
    }

    pub(crate) fn ended(&self, ended: u64, failed: u64) {
        self.state.send_modify(|state| {
            state.ended += ended;
            state.failed += failed;
        });
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}
