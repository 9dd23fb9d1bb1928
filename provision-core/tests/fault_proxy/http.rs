//! The HTTP proxy in front of a server that makes accounts.

use std::sync::Arc;
use std::time::Duration;

use provision_core::runtime::{Clock, FixedClock, SystemClock};
use provision_core::testkit::proxy::{HttpFault, HttpOptions, HttpProxy, HttpRule, RetryAfter, Seen};
use provision_core::value::Timestamp;

use crate::http_server::{Accounts, Answered, Client, send};
use crate::until;

struct Bench {
    proxy: HttpProxy,
    accounts: Accounts,
}

impl Bench {
    async fn with(options: HttpOptions) -> Self {
        let accounts = Accounts::start().await;
        Self { proxy: HttpProxy::start(accounts.address, options).await.unwrap(), accounts }
    }

    async fn new(rules: impl IntoIterator<Item = HttpRule>) -> Self {
        Self::with(HttpOptions { rules: rules.into_iter().collect(), ..HttpOptions::default() }).await
    }

    async fn post(&self) -> Result<Answered, hyper::Error> {
        send(self.proxy.address(), "POST", "/accounts?a=1", "{\"name\": \"u1\"}").await
    }

    async fn get(&self, path: &str) -> Result<Answered, hyper::Error> {
        send(self.proxy.address(), "GET", path, "").await
    }

    fn first(&self) -> Seen {
        self.proxy.seen()[0].clone()
    }
}

#[tokio::test]
async fn without_a_fault_requests_and_answers_pass_as_they_are() {
    let bench = Bench::new([]).await;
    let mut client = Client::connect(bench.proxy.address()).await;
    let posted = client.send("POST", "/accounts?a=1", "{\"name\": \"u1\"}").await.unwrap();
    assert_eq!((posted.status, posted.body), (201, Ok("{\"accounts\": 1}".to_owned())));
    assert_eq!(posted.headers["x-kept"], "yes");
    // The connection is kept.
    assert_eq!(client.send("GET", "/accounts", "").await.unwrap().status, 200);
    assert_eq!(client.send("HEAD", "/accounts", "").await.unwrap().headers["content-length"], "15");
    let got = bench.accounts.got();
    let post = ("POST".to_owned(), "/accounts?a=1".to_owned(), "{\"name\": \"u1\"}".to_owned());
    assert_eq!((got.len(), &got[0]), (3, &post));
    let seen = Seen {
        number: 1,
        method: "POST".to_owned(),
        path: "/accounts?a=1".to_owned(),
        length: 14,
        fault: None,
        upstream: vec![Some(201)],
        status: Some(201),
    };
    assert_eq!(bench.first(), seen);
    assert!(bench.proxy.origin().starts_with("http://127.0.0.1:"));
}

#[tokio::test]
async fn a_cut_request_does_not_reach_the_server_and_a_lost_answer_comes_from_it() {
    for (fault, made, upstream) in
        [(HttpFault::Cut, 0, vec![]), (HttpFault::LoseResponse, 1, vec![Some(201)])]
    {
        let bench = Bench::new([HttpRule::at([1], fault.clone())]).await;
        assert!(bench.post().await.is_err(), "{fault:?}");
        assert_eq!(bench.accounts.got().len(), made, "{fault:?}");
        let seen = bench.first();
        assert_eq!((seen.fault, seen.upstream, seen.status), (Some(fault), upstream, None));
        assert_eq!(bench.post().await.unwrap().status, 201);
    }
}

#[tokio::test]
async fn a_duplicate_reaches_the_server_twice_and_is_answered_by_the_first() {
    let bench = Bench::new([HttpRule::at([1], HttpFault::Duplicate)]).await;
    assert_eq!(bench.post().await.unwrap().body.unwrap(), "{\"accounts\": 1}");
    let got = bench.accounts.got();
    assert_eq!((got.len(), &got[0]), (2, &got[1]));
    assert_eq!(bench.first().upstream, [Some(201), Some(201)]);
}

#[tokio::test]
async fn answers_of_an_unwilling_server_name_when_to_come_again() {
    let clock = Arc::new(Steady(FixedClock::at("1994-11-06T08:49:00Z".parse().unwrap())));
    let seconds = HttpFault::too_many(Some(RetryAfter::Seconds(120)));
    let date = HttpFault::too_many(Some(RetryAfter::Date(Duration::from_secs(37))));
    let rules = vec![
        HttpRule::at([1], seconds),
        HttpRule::at([2], date),
        HttpRule::at([3], HttpFault::too_many(None)),
        HttpRule::at([4], HttpFault::unavailable()),
    ];
    let bench = Bench::with(HttpOptions { rules, clock, ..HttpOptions::default() }).await;
    for (status, after) in
        [(429, Some("120")), (429, Some("Sun, 06 Nov 1994 08:49:37 GMT")), (429, None), (503, None)]
    {
        let answered = bench.post().await.unwrap();
        let told = answered.headers.get("retry-after").map(|value| value.to_str().unwrap());
        assert_eq!((answered.status, told), (status, after));
    }
    assert!(bench.accounts.got().is_empty());
    assert_eq!(bench.post().await.unwrap().status, 201);
    assert_eq!(bench.proxy.fired(), [1, 1, 1, 1]);
}

/// A clock that jumps, except for the lifetime of connections.
#[derive(Debug)]
struct Steady(FixedClock);

#[async_trait::async_trait]
impl Clock for Steady {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    async fn sleep(&self, duration: Duration) {
        if duration == HttpOptions::default().lifetime {
            std::future::pending::<()>().await;
        }
        self.0.sleep(duration).await;
    }
}

#[tokio::test]
async fn delays_wait_through_the_clock_before_or_after_the_server() {
    for fault in [HttpFault::Delay(Duration::from_secs(9)), HttpFault::DelayResponse(Duration::from_secs(9))]
    {
        let clock = Arc::new(Steady(FixedClock::at(Timestamp::EPOCH)));
        let rules = vec![HttpRule::always(fault)];
        let bench = Bench::with(HttpOptions { rules, clock: clock.clone(), ..HttpOptions::default() }).await;
        assert_eq!(bench.post().await.unwrap().status, 201);
        assert_eq!(clock.now().since(Timestamp::EPOCH), Duration::from_secs(9));
    }
}

#[tokio::test]
async fn a_request_that_hangs_gets_no_answer_and_ends_with_its_connection() {
    for (fault, made) in [(HttpFault::Hang, 0), (HttpFault::HangResponse, 1)] {
        let rules = vec![HttpRule::at([1], fault.clone())];
        let lifetime = Duration::from_millis(300);
        let bench = Bench::with(HttpOptions { rules, lifetime, ..HttpOptions::default() }).await;
        let begun = SystemClock.now();
        assert!(bench.post().await.is_err(), "{fault:?}");
        assert!(SystemClock.now().since(begun) >= Duration::from_millis(290), "{fault:?}");
        assert_eq!((bench.accounts.got().len(), bench.first().status), (made, None), "{fault:?}");
    }
}

#[tokio::test]
async fn a_truncated_body_is_shorter_than_announced() {
    for keep in [0, 1, 2000, 4999] {
        let bench = Bench::new([HttpRule::always(HttpFault::TruncateBody(keep))]).await;
        let answered = bench.get("/long").await.unwrap();
        assert_eq!((answered.status, answered.headers["content-length"].to_str().unwrap()), (200, "5000"));
        assert_eq!(answered.body, Err(keep));
        assert_eq!(bench.first().fault, Some(HttpFault::TruncateBody(keep)));
    }
    let bench = Bench::new([HttpRule::always(HttpFault::TruncateBody(5000))]).await;
    assert_eq!(bench.get("/long").await.unwrap().body.unwrap().len(), 5000);
    assert_eq!(bench.first().fault, None, "there was nothing to cut");
}

#[tokio::test]
async fn a_malformed_body_is_whole_and_cannot_be_read() {
    let bench = Bench::new([HttpRule::at([1], HttpFault::MalformBody)]).await;
    let broken = bench.get("/accounts").await.unwrap().body.unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&broken).is_err(), "{broken}");
    let sound = bench.get("/accounts").await.unwrap().body.unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&sound).unwrap()["accounts"], 0);
}

#[tokio::test]
async fn rules_choose_by_number_method_path_and_times() {
    let bench = Bench::new([
        HttpRule::at([2], HttpFault::unavailable()).on_method("POST"),
        HttpRule::always(HttpFault::too_many(None)).on_path(|path| path.starts_with("/groups")).at_most(2),
    ])
    .await;
    let address = bench.proxy.address();
    let mut told = Vec::new();
    for (method, path) in [
        ("POST", "/accounts"),
        ("GET", "/accounts"),
        ("POST", "/accounts"),
        ("GET", "/groups/1"),
        ("GET", "/groups?x=1"),
        ("GET", "/groups/3"),
        ("POST", "/accounts"),
    ] {
        told.push(send(address, method, path, "").await.unwrap().status);
    }
    assert_eq!(told, [201, 200, 503, 429, 429, 200, 201]);
    assert_eq!(bench.proxy.fired(), [1, 2]);
    bench.proxy.set_rules([HttpRule::at([1], HttpFault::unavailable())]);
    assert_eq!(bench.post().await.unwrap().status, 503);
    assert_eq!(bench.proxy.seen().last().unwrap().number, 8);
}

#[tokio::test]
async fn chance_comes_again_with_its_seed() {
    let mut runs = Vec::new();
    for seed in [5, 5, 6] {
        let rules = vec![HttpRule::per_mille(300, HttpFault::unavailable())];
        let bench = Bench::with(HttpOptions { rules, seed, ..HttpOptions::default() }).await;
        let mut client = Client::connect(bench.proxy.address()).await;
        let mut told = Vec::new();
        for _ in 0..50 {
            told.push(client.send("GET", "/", "").await.unwrap().status);
        }
        assert_eq!(bench.proxy.fired(), [told.iter().filter(|status| **status == 503).count() as u64]);
        assert!(format!("{:?}", bench.proxy).contains(&format!("seed: {seed}")));
        runs.push(told);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test]
async fn bodies_and_connections_have_bounds() {
    let bench = Bench::with(HttpOptions { body_max: 100, record_max: 2, ..HttpOptions::default() }).await;
    let long = send(bench.proxy.address(), "POST", "/accounts", &"y".repeat(101)).await.unwrap();
    assert_eq!((long.status, bench.accounts.got().len()), (413, 0));
    assert_eq!(bench.get("/long").await.unwrap().status, 502);
    assert_eq!(bench.get("/").await.unwrap().status, 200);
    let numbers = bench.proxy.seen().iter().map(|seen| seen.number).collect::<Vec<_>>();
    assert_eq!(numbers, [2, 3]);

    let bench = Bench::with(HttpOptions { connections_max: 1, ..HttpOptions::default() }).await;
    let mut kept = Client::connect(bench.proxy.address()).await;
    assert_eq!(kept.send("GET", "/", "").await.unwrap().status, 200);
    assert!(bench.get("/").await.is_err(), "a second connection at a time");
    assert_eq!((bench.proxy.turned_away(), bench.proxy.seen().len()), (1, 1));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_bad_gateway() {
    let gone = {
        let listener = tokio::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        listener.local_addr().unwrap()
    };
    let proxy = HttpProxy::start(gone, HttpOptions::default()).await.unwrap();
    assert_eq!(send(proxy.address(), "GET", "/", "").await.unwrap().status, 502);
    assert_eq!(proxy.seen()[0].upstream, [None]);
}

#[tokio::test]
async fn nothing_is_left_after_a_drop_or_a_stop() {
    for by_drop in [true, false] {
        let accounts = Accounts::start().await;
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let before = tasks();
        let rules = vec![HttpRule::always(HttpFault::Hang)];
        let proxy = HttpProxy::start(accounts.address, HttpOptions { rules, ..HttpOptions::default() })
            .await
            .unwrap();
        let address = proxy.address();
        let waiting = tokio::spawn(async move { send(address, "GET", "/", "").await.is_err() });
        until("the request", || !proxy.seen().is_empty()).await;
        if by_drop {
            drop(proxy);
        } else {
            proxy.stop().await;
        }
        assert!(waiting.await.unwrap(), "the client's connection has ended");
        until("the end of the tasks", || tasks() == before).await;
    }
}
