//! Clocks other than the machine's: for rehearsals.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use provision_core::runtime::{Clock, SystemClock};
use provision_core::value::Timestamp;

use crate::answer::Failure;
use crate::config::Config;
use crate::database::Place;

/// The clock that a configuration asks for, so many seconds off.
pub(crate) fn clock_of(config: &Config, offset: i64) -> Result<Arc<dyn Clock>, Failure> {
    Ok(match (config.clock, &config.store) {
        (Some(start), Place::File(file)) => Arc::new(RehearsalClock::of(file, start)?),
        _ if offset != 0 => Arc::new(WrongClock(offset)),
        _ => Arc::new(SystemClock),
    })
}

/// The machine's clock, moved: the rehearsal began at `start`, at the first command, and time has passed since.
#[derive(Debug)]
struct RehearsalClock {
    start: Timestamp,
    began: Timestamp,
}

impl RehearsalClock {
    /// The rehearsal of a store: when it began is kept in a file beside it, so that time never goes back between
    /// commands. Another `start` in the configuration begins another rehearsal.
    fn of(store: &Path, start: Timestamp) -> Result<Self, Failure> {
        let file = PathBuf::from(format!("{}.rehearsal", store.display()));
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        if let Some((kept_start, began)) = kept.trim().split_once(' ')
            && kept_start == start.to_string()
            && let Ok(began) = began.parse()
        {
            return Ok(Self { start, began });
        }
        let began = SystemClock.now();
        std::fs::write(&file, format!("{start} {began}\n")).map_err(|error| {
            Failure::configuration(format!("error: cannot write {}: {error}", file.display()))
        })?;
        Ok(Self { start, began })
    }
}

#[async_trait]
impl Clock for RehearsalClock {
    fn now(&self) -> Timestamp {
        self.start.plus(SystemClock.now().since(self.began))
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration).await;
    }
}

/// The machine's clock, so many seconds ahead; behind where that is negative.
#[derive(Debug)]
struct WrongClock(i64);

#[async_trait]
impl Clock for WrongClock {
    fn now(&self) -> Timestamp {
        let off = self.0.saturating_mul(1_000_000);
        Timestamp::from_micros(SystemClock.now().as_micros().saturating_add(off))
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration).await;
    }
}
