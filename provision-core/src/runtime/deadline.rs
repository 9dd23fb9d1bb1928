//! Deadlines of calls.

use std::future::Future;
use std::time::Duration;

use crate::error::{Effect, Error, ErrorKind, Result};

/// Runs a call to its end or drops it at the deadline. Nobody knows what a dropped call did: effect `Unknown`.
pub(crate) async fn within<T>(limit: Duration, call: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(limit, call).await {
        Ok(result) => result,
        Err(_) => Err(Error::new(
            ErrorKind::Unavailable,
            format!("no answer within {} seconds", limit.as_secs_f32()),
        )
        .with_effect(Effect::Unknown)),
    }
}
