//! Ending a drive cleanly.

use tokio::sync::watch;

/// Stops a drive cleanly: what is claimed is finished and given back, nothing more is claimed. Clones stop together.
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

    pub(crate) async fn stopped(&self) {
        // The sender lives as long as we do: waiting ends with the flag and not before.
        let _ = self.0.subscribe().wait_for(|stopped| *stopped).await;
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}
