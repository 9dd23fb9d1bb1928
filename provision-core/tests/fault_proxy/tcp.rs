//! The TCP proxy in front of an echo server.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use provision_core::runtime::{Clock, FixedClock, SystemClock};
use provision_core::testkit::proxy::{Connection, Direction, TcpFault, TcpOptions, TcpProxy, TcpRule};
use provision_core::value::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::until;

/// By connection: what the server got, and whether it ended well.
type Got = Arc<Mutex<Vec<(Vec<u8>, bool)>>>;

/// Sends back what it gets; remembers by connection what that was and whether it ended well.
struct Echo {
    address: SocketAddr,
    got: Got,
}

async fn echo() -> Echo {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let got: Got = Arc::default();
    let record = Arc::clone(&got);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let record = Arc::clone(&record);
            tokio::spawn(async move {
                let (mut all, mut buffer) = (Vec::new(), [0; 1024]);
                let well = loop {
                    match stream.read(&mut buffer).await {
                        Ok(0) => break true,
                        Ok(read) => {
                            all.extend_from_slice(&buffer[..read]);
                            if stream.write_all(&buffer[..read]).await.is_err() {
                                break false;
                            }
                        }
                        Err(_) => break false,
                    }
                };
                record.lock().unwrap().push((all, well));
            });
        }
    });
    Echo { address, got }
}

struct Bench {
    proxy: TcpProxy,
    echo: Echo,
}

impl Bench {
    async fn with(options: TcpOptions) -> Self {
        let echo = echo().await;
        Self { proxy: TcpProxy::start(echo.address, options).await.unwrap(), echo }
    }

    async fn new(fault: TcpFault) -> Self {
        Self::with(TcpOptions { rules: vec![TcpRule::at([1], fault)], ..TcpOptions::default() }).await
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.proxy.address()).await.unwrap()
    }

    /// Sends, ends, and reads to the end or the error.
    async fn exchange(&self, sent: &[u8]) -> (Vec<u8>, Option<ErrorKind>) {
        let mut stream = self.connect().await;
        let mut read = Vec::new();
        let failed = async {
            stream.write_all(sent).await?;
            stream.shutdown().await?;
            stream.read_to_end(&mut read).await
        };
        let error = failed.await.err().map(|error| error.kind());
        (read, error)
    }

    async fn first(&self) -> Connection {
        until("the end of the connection", || self.proxy.connections()[0].ended).await;
        self.proxy.connections()[0]
    }

    async fn server_got(&self) -> (Vec<u8>, bool) {
        until("the server's end", || !self.echo.got.lock().unwrap().is_empty()).await;
        self.echo.got.lock().unwrap()[0].clone()
    }

    /// The next connection is not befallen.
    async fn goes_on(&self) {
        assert_eq!(self.exchange(b"again").await, (b"again".to_vec(), None));
    }
}

#[tokio::test]
async fn without_a_fault_everything_passes() {
    let bench = Bench::with(TcpOptions::default()).await;
    let sent = vec![7; 1_000_000];
    assert_eq!(bench.exchange(&sent).await, (sent.clone(), None));
    let seen = bench.first().await;
    assert_eq!((seen.number, seen.fault, seen.acted), (1, None, false));
    assert_eq!((seen.to_server, seen.to_client), (1_000_000, 1_000_000));
    assert_eq!(bench.server_got().await, (sent, true));
}

#[tokio::test]
async fn a_refused_connection_never_reaches_the_server() {
    let bench = Bench::new(TcpFault::Refuse).await;
    let (read, error) = bench.exchange(b"hello").await;
    assert!(read.is_empty() && error.is_some(), "{read:?} {error:?}");
    let seen = bench.first().await;
    assert_eq!((seen.acted, seen.to_server), (true, 0));
    bench.goes_on().await;
    assert_eq!(bench.server_got().await.0, b"again", "the first one it hears of");
}

#[tokio::test]
async fn a_lost_answer_leaves_the_request_with_the_server() {
    let bench = Bench::new(TcpFault::lose_answer()).await;
    let (read, error) = bench.exchange(b"create it").await;
    assert_eq!((read, error), (vec![], Some(ErrorKind::ConnectionReset)));
    assert_eq!(bench.server_got().await.0, b"create it");
    let seen = bench.first().await;
    assert_eq!((seen.acted, seen.to_server, seen.to_client), (true, 9, 0));
    bench.goes_on().await;
}

#[tokio::test]
async fn a_cut_passes_so_many_bytes_and_ends_with_an_end_or_an_error() {
    for (reset, error) in [(false, None), (true, Some(ErrorKind::ConnectionReset))] {
        let bench = Bench::new(TcpFault::Cut { direction: Direction::ToClient, after: 4, reset }).await;
        assert_eq!(bench.exchange(b"12345678").await, (b"1234".to_vec(), error));
        assert_eq!((bench.first().await.to_client, bench.first().await.acted), (4, true));
        bench.goes_on().await;
    }
    let bench = Bench::new(TcpFault::Cut { direction: Direction::ToServer, after: 3, reset: true }).await;
    let (_, error) = bench.exchange(b"12345678").await;
    assert_eq!(error, Some(ErrorKind::ConnectionReset));
    assert_eq!(bench.server_got().await, (b"123".to_vec(), false));
}

#[tokio::test]
async fn a_cut_at_the_end_cuts_nothing_and_says_so() {
    let fault = TcpFault::Cut { direction: Direction::ToClient, after: 5, reset: true };
    let bench = Bench::new(fault).await;
    assert_eq!(bench.exchange(b"12345").await, (b"12345".to_vec(), None));
    let seen = bench.first().await;
    assert_eq!((seen.fault, seen.acted), (Some(fault), false));
}

#[tokio::test]
async fn a_stalled_connection_stays_silent_until_its_time_is_up() {
    let options = TcpOptions {
        rules: vec![TcpRule::always(TcpFault::Stall { direction: Direction::ToClient, after: 2 })],
        lifetime: Duration::from_millis(300),
        ..TcpOptions::default()
    };
    let bench = Bench::with(options).await;
    let begun = SystemClock.now();
    let (read, error) = bench.exchange(b"12345").await;
    let lasted = SystemClock.now().since(begun);
    assert_eq!((read, error), (b"12".to_vec(), Some(ErrorKind::ConnectionReset)));
    assert!(lasted >= Duration::from_millis(290), "ended after {lasted:?}");
    assert_eq!(bench.server_got().await.0, b"12345");
}

#[tokio::test]
async fn a_truncated_stream_ends_as_if_it_were_whole() {
    let bench = Bench::new(TcpFault::Truncate { direction: Direction::ToClient, after: 3 }).await;
    assert_eq!(bench.exchange(b"12345").await, (b"123".to_vec(), None));
    assert_eq!(bench.server_got().await, (b"12345".to_vec(), true));
    let bench = Bench::new(TcpFault::Truncate { direction: Direction::ToServer, after: 3 }).await;
    assert_eq!(bench.exchange(b"12345").await, (b"123".to_vec(), None));
    assert_eq!(bench.server_got().await, (b"123".to_vec(), true));
}

#[tokio::test]
async fn a_half_closed_connection_ends_in_one_direction_at_once() {
    let bench = Bench::new(TcpFault::HalfClose { direction: Direction::ToClient, after: 3 }).await;
    let mut stream = bench.connect().await;
    stream.write_all(b"12345").await.unwrap();
    let mut read = Vec::new();
    // The client reads the end while its own side is still open.
    stream.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"123");
    stream.write_all(b"678").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(bench.server_got().await, (b"12345678".to_vec(), true));
    assert_eq!(bench.first().await.to_client, 3);
}

#[tokio::test]
async fn delays_and_slow_bytes_wait_through_the_clock() {
    // This clock jumps: what was waited for is what it shows, and the test takes no time. Sleeping moves it, so the
    // lifetime, which is a sleep too, must be told apart.
    let lifetime = Duration::from_secs(1_000_000);
    for (fault, waited) in [
        (TcpFault::Delay { direction: Direction::ToServer, by: Duration::from_secs(3) }, 3),
        (TcpFault::Delay { direction: Direction::ToClient, by: Duration::from_secs(4) }, 4),
        (TcpFault::Throttle { direction: Direction::ToClient, bytes_per_second: 100 }, 10),
    ] {
        let clock = Arc::new(Steady { clock: FixedClock::at(Timestamp::EPOCH), lifetime });
        let options = TcpOptions {
            rules: vec![TcpRule::always(fault)],
            lifetime,
            clock: clock.clone(),
            ..TcpOptions::default()
        };
        let bench = Bench::with(options).await;
        let sent = vec![1; 1000];
        assert_eq!(bench.exchange(&sent).await, (sent, None));
        assert!(bench.first().await.acted);
        assert_eq!(clock.now().since(Timestamp::EPOCH), Duration::from_secs(waited), "{fault:?}");
    }
}

/// A clock that jumps, except for the sleep that never ends here.
#[derive(Debug)]
struct Steady {
    clock: FixedClock,
    lifetime: Duration,
}

#[async_trait::async_trait]
impl Clock for Steady {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn sleep(&self, duration: Duration) {
        if duration == self.lifetime {
            std::future::pending::<()>().await;
        }
        self.clock.sleep(duration).await;
    }
}

#[tokio::test]
async fn one_connection_too_many_is_reset() {
    let bench = Bench::with(TcpOptions { connections_max: 2, ..TcpOptions::default() }).await;
    let mut open = Vec::new();
    for number in 0..2 {
        let mut stream = bench.connect().await;
        stream.write_all(&[number]).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), number);
        open.push(stream);
    }
    let (read, error) = bench.exchange(b"x").await;
    assert!(read.is_empty() && error.is_some(), "{error:?}");
    assert_eq!((bench.proxy.turned_away(), bench.proxy.connections().len()), (1, 2));
    drop(open);
    until("the end of both", || bench.proxy.connections().iter().all(|seen| seen.ended)).await;
    bench.goes_on().await;
}

#[tokio::test]
async fn chance_comes_again_with_its_seed() {
    let mut runs = Vec::new();
    for seed in [1, 1, 2] {
        let when = provision_core::testkit::proxy::When::PerMille(400);
        let rules = vec![TcpRule { when, fault: TcpFault::Refuse }];
        let bench = Bench::with(TcpOptions { rules, seed, ..TcpOptions::default() }).await;
        for _ in 0..40 {
            bench.exchange(b"x").await;
        }
        until("all of them", || bench.proxy.connections().len() == 40).await;
        let hit = bench.proxy.connections().iter().map(|seen| seen.acted).collect::<Vec<_>>();
        assert!((5..30).contains(&hit.iter().filter(|hit| **hit).count()), "{hit:?}");
        runs.push(hit);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test]
async fn nothing_is_left_after_a_drop_or_a_stop() {
    for by_drop in [true, false] {
        let echo = echo().await;
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let before = tasks();
        let rule = TcpRule::always(TcpFault::Stall { direction: Direction::ToClient, after: 0 });
        let options = TcpOptions { rules: vec![rule], ..TcpOptions::default() };
        let proxy = TcpProxy::start(echo.address, options).await.unwrap();
        let address = proxy.address();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"x").await.unwrap();
        until("the connection", || proxy.connections().first().is_some_and(|seen| seen.to_server == 1)).await;
        assert!(tasks() > before);
        if by_drop {
            drop(proxy);
        } else {
            proxy.stop().await;
        }
        until("the end of the tasks", || tasks() == before).await;
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
        assert!(!matches!(stream.read(&mut [0]).await, Ok(1..)));
    }
}
