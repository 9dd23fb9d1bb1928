//! A listening socket with everything it started: it all ends with it.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::error::{Effect, Error, ErrorKind, Result};

#[derive(Debug)]
pub(super) struct Listening {
    address: SocketAddr,
    turned_away: Arc<AtomicU64>,
    task: JoinHandle<()>,
    /// The task ends when this is gone.
    _running: oneshot::Sender<()>,
}

impl Listening {
    /// Accepts connections and serves each in a task of its own, at most so many at a time; one more is reset.
    pub(super) async fn start<F, S>(connections_max: usize, serve: F) -> Result<Self>
    where
        F: Fn(TcpStream) -> S + Send + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let failed = |error: std::io::Error| {
            Error::new(ErrorKind::Unavailable, "the proxy cannot listen")
                .with_effect(Effect::None)
                .with_source(error)
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let turned_away = Arc::new(AtomicU64::new(0));
        let away = Arc::clone(&turned_away);
        let (running, mut stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let mut open = JoinSet::new();
            loop {
                tokio::select! {
                    _ = &mut stopped => {
                        drop(listener);
                        return open.shutdown().await;
                    }
                    Some(_) = open.join_next() => {}
                    accepted = listener.accept() => match accepted {
                        Ok((stream, _)) => {
                            while open.try_join_next().is_some() {}
                            if open.len() < connections_max {
                                open.spawn(serve(stream));
                            } else {
                                away.fetch_add(1, Ordering::SeqCst);
                                reset(stream);
                            }
                        }
                        // Whoever wanted to connect has gone again.
                        Err(_) => tokio::task::yield_now().await,
                    },
                }
            }
        });
        Ok(Self { address, turned_away, task, _running: running })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::SeqCst)
    }

    /// Ends everything and waits until it has ended. A drop ends it too.
    pub(super) async fn stop(self) {
        let Self { task, _running: running, .. } = self;
        drop(running);
        let _ = task.await;
    }
}

/// Ends a connection so that the other side reads an error, not an end.
pub(super) fn reset(stream: TcpStream) {
    // Without it the connection ends in the ordinary way, which is the best that is left.
    let _ = stream.set_zero_linger();
    drop(stream);
}
