//! Deadlines of calls.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};

use super::Clock;
use crate::error::{Effect, Error, ErrorKind, Result};

/// Runs a call to its end or drops it at the deadline, by the runtime's clock. Nobody knows what a dropped call did:
/// effect `Unknown`.
pub(crate) async fn within<T>(
    clock: &dyn Clock,
    limit: Duration,
    call: impl Future<Output = Result<T>>,
) -> Result<T> {
    // The call goes first: an answer that is there counts, also at the deadline.
    match select(pin!(call), clock.deadline(limit)).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(Error::new(
            ErrorKind::Unavailable,
            format!("no answer within {} seconds", limit.as_secs_f32()),
        )
        .with_effect(Effect::Unknown)),
    }
}
