//! The fault proxies between real clients and real servers on the loopback interface: each fault as the client sees
//! it, what the server got, and what was recorded.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic as tests do"
)]

mod http;
mod http_server;
mod tcp;

/// Waits until something is so, for at most ten seconds.
async fn until(what: &str, is: impl Fn() -> bool) {
    for _ in 0..2000 {
        if is() {
            return;
        }
        tokio::task::yield_now().await;
        provision_core::runtime::Clock::sleep(
            &provision_core::runtime::SystemClock,
            std::time::Duration::from_millis(5),
        )
        .await;
    }
    panic!("{what} never happened");
}
