//! A proxy of HTTP/1.1 requests, in front of a server without TLS.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_LENGTH, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::body::Reply;
use super::exchange::{Failure, Whole, without_hops};
use super::listening::Listening;
use crate::error::Result;
use crate::memory::When;
use crate::runtime::{Clock, SystemClock};
use crate::value::Timestamp;

/// When the client may come again, as the header `Retry-After` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// After so many seconds.
    Seconds(u64),
    /// Not before the date that is so far from now, in whole seconds.
    Date(Duration),
}

/// What goes wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpFault {
    /// The server does not get it; the connection is closed.
    Cut,
    /// The server gets it and answers; the connection is closed.
    LoseResponse,
    /// The server gets it twice; the client gets the first answer.
    Duplicate,
    /// The server does not get it; this is answered.
    Answer {
        /// The status, 200 to 599.
        status: u16,
        /// When to come again.
        retry_after: Option<RetryAfter>,
    },
    /// The server gets it only after so long.
    Delay(Duration),
    /// The server gets it; the client gets the answer only after so long.
    DelayResponse(Duration),
    /// The server does not get it; no answer comes, and the connection stays.
    Hang,
    /// The server gets it; no answer comes, and the connection stays.
    HangResponse,
    /// So many bytes of the answer's body come, with the length of all; then the connection breaks.
    TruncateBody(usize),
    /// Half of the answer's body comes, and then nonsense, in a body of the right length.
    MalformBody,
}

impl HttpFault {
    /// 429 Too Many Requests.
    pub fn too_many(retry_after: Option<RetryAfter>) -> Self {
        Self::Answer { status: 429, retry_after }
    }

    /// 503 Service Unavailable.
    pub fn unavailable() -> Self {
        Self::Answer { status: 503, retry_after: None }
    }
}

type PathTest = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Which requests a fault befalls. The first rule that is due acts alone.
#[derive(Clone)]
pub struct HttpRule {
    when: When,
    method: Option<String>,
    path: Option<PathTest>,
    times_max: u64,
    fault: HttpFault,
}

impl HttpRule {
    /// Every request.
    pub fn always(fault: HttpFault) -> Self {
        Self { when: When::Always, method: None, path: None, times_max: u64::MAX, fault }
    }

    /// Of the requests that the rule is about, those with these numbers, from 1.
    pub fn at(requests: impl IntoIterator<Item = u64>, fault: HttpFault) -> Self {
        Self { when: When::Calls(requests.into_iter().collect()), ..Self::always(fault) }
    }

    /// By chance, so many times in a thousand.
    pub fn per_mille(chance: u32, fault: HttpFault) -> Self {
        Self { when: When::PerMille(chance), ..Self::always(fault) }
    }

    /// Only requests of this method.
    #[must_use]
    pub fn on_method(self, method: &str) -> Self {
        Self { method: Some(method.to_owned()), ..self }
    }

    /// Only requests whose path, query included, is so.
    #[must_use]
    pub fn on_path(self, is: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self { path: Some(Arc::new(is)), ..self }
    }

    /// At most so many times.
    #[must_use]
    pub fn at_most(self, times: u64) -> Self {
        Self { times_max: times, ..self }
    }
}

impl fmt::Debug for HttpRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("HttpRule");
        shown.field("when", &self.when).field("method", &self.method).field("fault", &self.fault);
        shown.finish_non_exhaustive()
    }
}

/// How a proxy works.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// What goes wrong.
    pub rules: Vec<HttpRule>,
    /// Decides what [`HttpRule::per_mille`] hits.
    pub seed: u64,
    /// Connections at a time; one more is reset.
    pub connections_max: usize,
    /// Bytes of a body, in both directions; a longer request is answered with 413, a longer answer with 502.
    pub body_max: usize,
    /// How long a connection may last; then it is closed.
    pub lifetime: Duration,
    /// Requests that are remembered; older ones are forgotten.
    pub record_max: usize,
    /// What delays wait through, and what dates are reckoned from.
    pub clock: Arc<dyn Clock>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            seed: 0,
            connections_max: 64,
            body_max: 1024 * 1024,
            lifetime: Duration::from_secs(60),
            record_max: 10_000,
            clock: Arc::new(SystemClock),
        }
    }
}

/// A request that came. Headers and bodies are not kept: they may hold secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its number; the first is 1.
    pub number: u64,
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub path: String,
    /// The length of its body.
    pub length: u64,
    /// The fault that acted.
    pub fault: Option<HttpFault>,
    /// What the server answered, each time the request went there; `None`: no whole answer came.
    pub upstream: Vec<Option<u16>>,
    /// What was answered to the client; `None`: nothing, or not yet.
    pub status: Option<u16>,
}

struct Shared {
    upstream: SocketAddr,
    options: HttpOptions,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rules: Vec<HttpRule>,
    /// By rule: requests that it is about, times it was due.
    counts: Vec<(u64, u64)>,
    number: u64,
    seen: BTreeMap<u64, Seen>,
}

/// An HTTP/1.1 proxy in front of one server.
pub struct HttpProxy {
    shared: Arc<Shared>,
    listening: Listening,
}

impl HttpProxy {
    /// Listens on a free loopback port.
    ///
    /// # Errors
    /// `Unavailable` when no port can be had.
    pub async fn start(upstream: SocketAddr, options: HttpOptions) -> Result<Self> {
        let most = options.connections_max;
        let rules = options.rules.clone();
        let shared = Arc::new(Shared { upstream, options, state: Mutex::default() });
        shared.set_rules(rules);
        let serving = Arc::clone(&shared);
        let listening = Listening::start(most, move |client| {
            let shared = Arc::clone(&serving);
            async move { shared.serve(client).await }
        })
        .await?;
        Ok(Self { shared, listening })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listening.address()
    }

    /// Where it listens, as the beginning of an address: `http://127.0.0.1:12345`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Replaces the rules, for the requests to come; their counts start again.
    pub fn set_rules(&self, rules: impl IntoIterator<Item = HttpRule>) {
        self.shared.set_rules(rules.into_iter().collect());
    }

    /// The requests, in the order they came.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.state().seen.values().cloned().collect()
    }

    /// How often each rule was due, in the order of the rules.
    pub fn fired(&self) -> Vec<u64> {
        self.shared.state().counts.iter().map(|(_, fired)| *fired).collect()
    }

    /// How many connections were reset because there were too many.
    pub fn turned_away(&self) -> u64 {
        self.listening.turned_away()
    }

    /// Ends all connections and waits until they have ended. A drop ends them too, a little later.
    pub async fn stop(self) {
        self.listening.stop().await;
    }
}

impl fmt::Debug for HttpProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("HttpProxy");
        shown.field("upstream", &self.shared.upstream).field("seed", &self.shared.options.seed);
        shown.field("seen", &self.shared.state().number).finish_non_exhaustive()
    }
}

impl State {
    /// The fault that is due at a request.
    fn due(&mut self, seed: u64, method: &Method, path: &str) -> Option<HttpFault> {
        let mut due = None;
        for (index, (rule, (requests, fired))) in self.rules.iter().zip(&mut self.counts).enumerate() {
            let concerns = rule.method.as_ref().is_none_or(|wanted| wanted == method.as_str())
                && rule.path.as_ref().is_none_or(|wanted| wanted(path));
            if !concerns {
                continue;
            }
            *requests += 1;
            if due.is_none() && *fired < rule.times_max && rule.when.falls_on(*requests, seed, index) {
                *fired += 1;
                due = Some(rule.fault.clone());
            }
        }
        due
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_rules(&self, rules: Vec<HttpRule>) {
        let mut state = self.state();
        state.counts = vec![(0, 0); rules.len()];
        state.rules = rules;
    }

    async fn serve(&self, client: TcpStream) {
        let service = hyper::service::service_fn(|request| self.answer(request));
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(client), service);
        let time = self.options.clock.sleep(self.options.lifetime);
        // A connection that broke, was broken or is too old: it ends with this function.
        tokio::select! {
            _ = connection => {}
            () = time => {}
        }
    }

    fn begin(&self, request: &Request<Incoming>) -> (u64, Option<HttpFault>) {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let mut state = self.state();
        let fault = state.due(self.options.seed, request.method(), path);
        state.number += 1;
        let number = state.number;
        let seen = Seen {
            number,
            method: request.method().to_string(),
            path: path.to_owned(),
            length: 0,
            fault: fault.clone(),
            upstream: Vec::new(),
            status: None,
        };
        state.seen.insert(number, seen);
        while state.seen.len() > self.options.record_max {
            state.seen.pop_first();
        }
        (number, fault)
    }

    fn note(&self, number: u64, change: impl FnOnce(&mut Seen)) {
        if let Some(seen) = self.state().seen.get_mut(&number) {
            change(seen);
        }
    }

    /// Answers one request; an error closes the connection.
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Reply>, Failure> {
        let (number, fault) = self.begin(&request);
        let reply = self.reply(number, fault, request).await?;
        self.note(number, |seen| seen.status = Some(reply.status().as_u16()));
        Ok(reply)
    }

    async fn reply(
        &self,
        number: u64,
        fault: Option<HttpFault>,
        request: Request<Incoming>,
    ) -> Result<Response<Reply>, Failure> {
        let Some(whole) = self.whole(number, request).await? else {
            return simple(StatusCode::PAYLOAD_TOO_LARGE);
        };
        match &fault {
            Some(HttpFault::Cut) => return Err("cut on purpose".into()),
            Some(HttpFault::Hang) => return std::future::pending().await,
            Some(HttpFault::Answer { status, retry_after }) => {
                let mut reply = simple(StatusCode::from_u16(*status)?)?;
                if let Some(after) = retry_after {
                    let value = HeaderValue::from_str(&after.header(self.options.clock.now())?)?;
                    reply.headers_mut().insert(RETRY_AFTER, value);
                }
                return Ok(reply);
            }
            Some(HttpFault::Delay(by)) => self.options.clock.sleep(*by).await,
            _ => {}
        }
        let Some(answer) = self.pass(number, &whole).await else { return simple(StatusCode::BAD_GATEWAY) };
        match fault {
            Some(HttpFault::Duplicate) => drop(self.pass(number, &whole).await),
            Some(HttpFault::LoseResponse) => return Err("the answer is lost on purpose".into()),
            Some(HttpFault::HangResponse) => return std::future::pending().await,
            Some(HttpFault::DelayResponse(by)) => self.options.clock.sleep(by).await,
            // There is nothing to cut off.
            Some(HttpFault::TruncateBody(keep)) if keep >= answer.body().len() => {
                self.note(number, |seen| seen.fault = None);
            }
            _ => {}
        }
        Ok(spoiled(answer, &whole.method, fault.as_ref()))
    }

    /// The request with its body; `None` when that is too long.
    async fn whole(&self, number: u64, request: Request<Incoming>) -> Result<Option<Whole>, Failure> {
        let (mut head, body) = request.into_parts();
        let body = match Limited::new(body, self.options.body_max).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => return Ok(None),
            Err(error) => return Err(error),
        };
        self.note(number, |seen| seen.length = body.len() as u64);
        without_hops(&mut head.headers);
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Some(Whole { method: head.method, path, headers: head.headers, body }))
    }

    /// Lets the server have the request. `None` when no whole answer came.
    async fn pass(&self, number: u64, whole: &Whole) -> Option<Response<Bytes>> {
        let answer = whole.send(self.upstream, self.options.body_max).await.ok();
        let status = answer.as_ref().map(|answer| answer.status().as_u16());
        self.note(number, |seen| seen.upstream.push(status));
        answer
    }
}

fn simple(status: StatusCode) -> Result<Response<Reply>, Failure> {
    Ok(Response::builder().status(status).body(Reply::whole(Bytes::new()))?)
}

/// The server's answer for the client.
fn spoiled(answer: Response<Bytes>, method: &Method, fault: Option<&HttpFault>) -> Response<Reply> {
    let (mut head, body) = answer.into_parts();
    let length = head.headers.get(CONTENT_LENGTH).cloned();
    without_hops(&mut head.headers);
    if method == Method::HEAD
        && let Some(length) = length
    {
        head.headers.insert(CONTENT_LENGTH, length);
    }
    let reply = match fault {
        Some(HttpFault::TruncateBody(keep)) if *keep < body.len() => Reply::truncated(&body, *keep),
        Some(HttpFault::MalformBody) => {
            let mut broken = body.get(..body.len() / 2).unwrap_or_default().to_vec();
            broken.extend_from_slice(b"}<nonsense");
            Reply::whole(broken.into())
        }
        _ => Reply::whole(body),
    };
    Response::from_parts(head, reply)
}

impl RetryAfter {
    fn header(self, now: Timestamp) -> Result<String, Failure> {
        Ok(match self {
            Self::Seconds(seconds) => seconds.to_string(),
            Self::Date(after) => {
                let at = jiff::Timestamp::from_microsecond(now.plus(after).as_micros())?;
                jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at)?
            }
        })
    }
}
