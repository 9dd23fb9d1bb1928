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
    // The deadline goes first: a process that was stopped beyond it does not send now what others have taken over. An
    // answer that came at that moment is found again by a read.
    match select(clock.deadline(limit), pin!(call)).await {
        Either::Right((result, _)) => result,
        Either::Left(_) => Err(Error::new(
            ErrorKind::Unavailable,
            format!("no answer within {} seconds", limit.as_secs_f32()),
        )
        .with_effect(Effect::Unknown)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::runtime::SystemClock;

    #[tokio::test]
    async fn a_call_is_not_gone_on_with_once_its_time_is_over() {
        let sent = AtomicBool::new(false);
        let call = async {
            // The process is stopped for longer than the call may take, before it has sent anything.
            std::thread::sleep(Duration::from_millis(50));
            tokio::task::yield_now().await;
            sent.store(true, Ordering::Relaxed);
            Ok(())
        };
        let error = within(&SystemClock, Duration::from_millis(5), call).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::Unknown));
        assert!(!sent.load(Ordering::Relaxed));
        assert!(within(&SystemClock, Duration::from_secs(60), async { Ok(()) }).await.is_ok());
    }
}
