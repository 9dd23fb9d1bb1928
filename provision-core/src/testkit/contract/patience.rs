//! Real time, whatever runtime polls: a suite must end though a connector hangs.

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::oneshot;

/// Ends after a while.
pub(super) async fn pause(time: Duration) {
    let (over, waited) = oneshot::channel::<()>();
    let sleeper = std::thread::Builder::new().spawn(move || {
        std::thread::sleep(time);
        drop(over);
    });
    if sleeper.is_ok() {
        // Only the end of the channel counts.
        let _ = waited.await;
    }
}

/// The future's result, or `None` when it is dropped at the limit.
pub(super) async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let (alarm, over) = oneshot::channel::<()>();
    let (ended, watched) = mpsc::channel::<()>();
    // Without a thread there is no limit: the channel ends at once and the future is awaited.
    let _ = std::thread::Builder::new().spawn(move || {
        if watched.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = alarm.send(());
        }
    });
    let result = match select(pin!(future), over).await {
        Either::Left((value, _)) => Some(value),
        Either::Right((Ok(()), _)) => None,
        Either::Right((Err(_), future)) => Some(future.await),
    };
    drop(ended);
    result
}

/// Polls the future so often at most, then drops it.
pub(super) async fn polled<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = times;
    std::future::poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_future_that_never_ends_is_dropped() {
        assert_eq!(within(Duration::from_millis(5), std::future::pending::<()>()).await, None);
        assert_eq!(within(Duration::from_secs(60), async { 7 }).await, Some(7));
        pause(Duration::from_millis(1)).await;
        assert_eq!(polled(3, std::future::pending::<()>()).await, None);
        assert_eq!(polled(3, async { tokio::task::yield_now().await }).await, Some(()));
        assert_eq!(polled(1, async { tokio::task::yield_now().await }).await, None);
    }
}
