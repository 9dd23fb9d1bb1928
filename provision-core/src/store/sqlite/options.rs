//! How a SQLite store is opened.

use std::sync::Arc;
use std::time::Duration;

use crate::runtime::{Random, SystemRandom};

/// How a SQLite store is opened. The defaults suit one host process.
///
/// Fields may be added: end a literal with `..SqliteOptions::default()`.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// No threads: every call runs on the caller, one at a time. For simulations that replay from a seed.
    pub inline: bool,
    /// How long a write waits for another process before it fails. Default: 5 seconds.
    pub busy_timeout: Duration,
    /// Connections (and threads) for reads, 1 to 64. Default: 4.
    pub readers: usize,
    /// Page cache of the connection that writes, in KiB; those that read share as much. Default: 16 MiB.
    pub cache_kib: u32,
    /// Commits do not wait for the disk: what was written last may be gone after a loss of power. For simulations,
    /// which lose no power.
    #[doc(hidden)]
    pub relaxed: bool,
    /// Where the epoch's bytes come from.
    pub random: Arc<dyn Random>,
    /// The file never grows beyond this many pages (of 4 KiB): makes a full disk in tests.
    #[doc(hidden)]
    pub max_pages: Option<u32>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            inline: false,
            busy_timeout: Duration::from_secs(5),
            readers: 4,
            cache_kib: 16 * 1024,
            relaxed: false,
            random: Arc::new(SystemRandom),
            max_pages: None,
        }
    }
}

impl SqliteOptions {
    /// The defaults without threads.
    pub fn inline() -> Self {
        Self { inline: true, ..Self::default() }
    }
}
