//! Bytes on their way in one direction.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::runtime::Clock;

/// Bytes read at once; what is on its way is never more.
const BUFFER: usize = 8 * 1024;

/// What happens to the bytes of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pump {
    /// So many pass; then this happens to the rest.
    pub(super) limit: Option<(u64, Rest)>,
    /// The first byte waits so long.
    pub(super) delay: Duration,
    /// Bytes per second.
    pub(super) rate: Option<u64>,
}

/// What happens to the bytes after the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// The connection ends.
    Cut,
    /// Nothing comes any more, and nothing ends.
    Stall,
    /// The end is told at once; the rest is dropped.
    HalfClose,
    /// The rest is dropped; the end is told when it comes.
    Drop,
}

/// How a direction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PumpEnd {
    /// Everything was read and passed on, or dropped.
    Done,
    /// The connection is to be cut now.
    Cut,
}

/// What a direction has come to.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// Bytes passed on.
    pub(super) passed: AtomicU64,
    /// Times that the fault acted.
    pub(super) acted: AtomicU64,
}

impl Pump {
    pub(super) async fn run(
        self,
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
        flow: &Flow,
        clock: &Arc<dyn Clock>,
    ) -> std::io::Result<PumpEnd> {
        let rate = self.rate.map(|rate| rate.max(1));
        let mut buffer =
            vec![0; rate.map_or(BUFFER, |rate| BUFFER.min(usize::try_from(rate).unwrap_or(BUFFER)))];
        let mut passed = 0;
        loop {
            let read = from.read(&mut buffer).await?;
            let bytes = buffer.get(..read).unwrap_or_default();
            if bytes.is_empty() {
                to.shutdown().await?;
                return Ok(PumpEnd::Done);
            }
            if passed == 0 && !self.delay.is_zero() {
                flow.acted.fetch_add(1, Ordering::SeqCst);
                clock.sleep(self.delay).await;
            }
            let room = self.limit.map_or(u64::MAX, |(limit, _)| limit.saturating_sub(passed));
            let fits = bytes.get(..usize::try_from(room).unwrap_or(usize::MAX).min(read)).unwrap_or_default();
            to.write_all(fits).await?;
            passed += fits.len() as u64;
            flow.passed.store(passed, Ordering::SeqCst);
            if let Some((_, rest)) = self.limit.filter(|_| fits.len() < read) {
                flow.acted.fetch_add(1, Ordering::SeqCst);
                return spoil(rest, &mut buffer, from, to).await;
            }
            if let Some(rate) = rate {
                flow.acted.fetch_add(1, Ordering::SeqCst);
                let micros = (read as u64).saturating_mul(1_000_000) / rate;
                clock.sleep(Duration::from_micros(micros)).await;
            }
        }
    }
}

async fn spoil(
    rest: Rest,
    buffer: &mut [u8],
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
) -> std::io::Result<PumpEnd> {
    match rest {
        Rest::Cut => return Ok(PumpEnd::Cut),
        Rest::HalfClose => to.shutdown().await?,
        Rest::Stall | Rest::Drop => {}
    }
    while from.read(buffer).await? > 0 {}
    match rest {
        // The end is lost like everything before it.
        Rest::Stall => std::future::pending().await,
        Rest::Drop => to.shutdown().await?,
        Rest::HalfClose | Rest::Cut => {}
    }
    Ok(PumpEnd::Done)
}
