//! The way to a target: it takes its time, loses requests and answers, and writes down what arrives.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;

use super::clock::SimClock;
use super::executor::{Orders, ProcessId, WORLD};
use super::inspector::{Inspector, Sent};
use super::ledger::{Ask, Ledger};
use super::lock;
use super::trace::Trace;
use super::weather::Weather;
use crate::connector::{
    Completeness, Connector, ConnectorInfo, Context, CreateRequest, Credential, CredentialRequest,
    DeleteRequest, Discovery, EdgeOutcome, GetRequest, LifecycleFacet, LifecycleRequest, ListEvent,
    ListRequest, Listing, MembershipFacet, MembershipRequest, Object, Outcome, RenameRequest, UpdateRequest,
    Writer,
};
use crate::error::{Effect, Error, ErrorKind, Result, Retry};
use crate::id::{RealmId, TargetName};
use crate::memory::MemoryConnector;

/// A target of the world, with everything its network needs.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) realm: RealmId,
    pub(super) name: TargetName,
    pub(super) target: MemoryConnector,
    pub(super) ledger: Ledger,
    /// Edges that strangers touched: (account, group).
    strange: Mutex<BTreeSet<(String, String)>>,
    /// Accounts that strangers made.
    foreign: Mutex<BTreeSet<String>>,
    /// Groups that a request is changing.
    turns: Arc<Mutex<BTreeSet<String>>>,
}

/// A request changes a group until this is dropped.
#[derive(Debug)]
struct Turn {
    group: String,
    turns: Arc<Mutex<BTreeSet<String>>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.turns).remove(&self.group);
    }
}

impl Site {
    pub(super) fn new(realm: RealmId, name: TargetName, target: MemoryConnector) -> Self {
        Self {
            realm,
            name,
            target,
            ledger: Ledger::default(),
            strange: Mutex::default(),
            foreign: Mutex::default(),
            turns: Arc::default(),
        }
    }

    /// A stranger made an account.
    pub(super) fn foreign(&self, object: &str) {
        lock(&self.foreign).insert(object.to_owned());
    }

    /// Whether a stranger made this account.
    pub(super) fn is_foreign(&self, object: &str) -> bool {
        lock(&self.foreign).contains(object)
    }

    /// Begins to change a group; `None` while another request does.
    fn turn(&self, group: &str) -> Option<Turn> {
        let free = lock(&self.turns).insert(group.to_owned());
        free.then(|| Turn { group: group.to_owned(), turns: Arc::clone(&self.turns) })
    }

    /// A stranger changed an edge.
    pub(super) fn strange_edge(&self, account: &str, group: &str) {
        lock(&self.strange).insert((account.to_owned(), group.to_owned()));
    }

    /// Whether a stranger changed this edge.
    pub(super) fn is_strange_edge(&self, account: &str, group: &str) -> bool {
        lock(&self.strange).contains(&(account.to_owned(), group.to_owned()))
    }
}

/// The way from one process to one target.
#[derive(Clone)]
pub(super) struct Network {
    pub(super) process: ProcessId,
    pub(super) clock: SimClock,
    pub(super) site: Arc<Site>,
    pub(super) weather: Arc<Weather>,
    pub(super) orders: Orders,
    pub(super) trace: Arc<Trace>,
    pub(super) inspector: Arc<Inspector>,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").field("target", &self.site.name).finish_non_exhaustive()
    }
}

fn refused(kind: ErrorKind, message: &str) -> Error {
    Error::new(kind, message).with_effect(Effect::None)
}

impl Network {
    /// The same context with a deadline by the target's clock.
    fn there(&self, cx: &Context) -> Context {
        Context { deadline: cx.deadline.map(|at| self.clock.in_world(at)), ..cx.clone() }
    }

    fn note(&self, what: std::fmt::Arguments<'_>) {
        let (process, realm, target) = (self.process, &self.site.realm, &self.site.name);
        self.trace.note(self.weather.time.now(), format_args!("p{process} {realm}/{target} {what}"));
    }

    /// A read: slow, sometimes refused.
    async fn read<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.weather.far().await;
        if self.weather.dice.per_mille(self.weather.faults().refused) {
            return Err(refused(ErrorKind::Unavailable, "the network refuses the read"));
        }
        let answer = call.await;
        self.weather.near().await;
        answer
    }

    /// A write: seen by the inspector when it is sent, written down when it is done.
    async fn write<T: Send + 'static>(
        &self,
        sent: Sent,
        call: impl AsyncDo<T>,
        gone: impl Fn(&T) -> bool + Send + 'static,
    ) -> Result<T> {
        let faults = self.weather.faults();
        let dice = &self.weather.dice;
        self.weather.near().await;
        self.inspector.look(self, &sent);
        self.note(format_args!("sends {sent}"));
        self.weather.far().await;
        if dice.per_mille(faults.refused) {
            self.note(format_args!("refused {}", sent.step));
            self.inspector.lost(self, &sent, true);
            return Err(refused(ErrorKind::Unavailable, "the network refuses the write"));
        }
        if dice.per_mille(faults.rate_limited) {
            self.inspector.lost(self, &sent, true);
            let after = Duration::from_millis(dice.between(1, 5_000));
            return Err(refused(ErrorKind::RateLimited, "too many requests")
                .with_retry(Retry::After(dice.per_mille(500).then_some(after))));
        }
        if dice.per_mille(faults.lost_request) {
            self.note(format_args!("loses the request {}", sent.step));
            self.inspector.lost(self, &sent, false);
            return self.silence().await;
        }
        let answer = if dice.per_mille(faults.detached) {
            self.detached(sent.clone(), call, gone).await?
        } else {
            perform(self.clone(), sent.clone(), call, gone).await
        };
        if dice.per_mille(faults.lost_answer) {
            self.note(format_args!("loses the answer to {}", sent.step));
            return self.silence().await;
        }
        self.weather.far().await;
        if let Err(error) = &answer {
            self.note(format_args!("{}: {:?} {:?}", sent.step, error.kind(), error.effect()));
        }
        answer
    }

    /// No answer, or an error that does not know.
    async fn silence<T>(&self) -> Result<T> {
        if self.weather.dice.per_mille(500) {
            std::future::pending::<()>().await;
        }
        Err(Error::new(ErrorKind::Unavailable, "the connection broke").with_effect(Effect::Unknown))
    }

    /// The write goes on by itself, whatever becomes of who sent it.
    async fn detached<T: Send + 'static>(
        &self,
        sent: Sent,
        call: impl AsyncDo<T>,
        gone: impl Fn(&T) -> bool + Send + 'static,
    ) -> Result<Result<T>> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let network = self.clone();
        let slow = Duration::from_millis(self.weather.dice.between(1, 4_000));
        self.orders.spawn(WORLD, async move {
            network.weather.time.sleep(slow).await;
            let _ = reply.send(perform(network.clone(), sent, call, gone).await);
        });
        answer.await.map_err(|_| refused(ErrorKind::Unavailable, "the network is gone"))
    }
}

/// A call on the target that is made later.
trait AsyncDo<T>: FnOnce() -> std::pin::Pin<Box<dyn Future<Output = Result<T>> + Send>> + Send + 'static {}
impl<T, F> AsyncDo<T> for F where
    F: FnOnce() -> std::pin::Pin<Box<dyn Future<Output = Result<T>> + Send>> + Send + 'static
{
}

async fn perform<T>(
    network: Network,
    sent: Sent,
    call: impl AsyncDo<T>,
    failed: impl Fn(&T) -> bool + Send,
) -> Result<T> {
    let before = network.inspector.sight(&network, &sent);
    let answer = call().await;
    let done = match &answer {
        Ok(answer) => !failed(answer),
        Err(error) => error.effect() != Effect::None,
    };
    network.inspector.arrived(&network, &sent, before, done, answer.is_err());
    answer
}

#[async_trait]
impl Connector for Network {
    fn info(&self) -> ConnectorInfo {
        self.site.target.info()
    }

    async fn check(&self, cx: &Context) -> Result<()> {
        let cx = self.there(cx);
        self.read(self.site.target.check(&cx)).await
    }

    async fn discover(&self, cx: &Context) -> Result<Discovery> {
        let cx = self.there(cx);
        self.read(self.site.target.discover(&cx)).await
    }

    async fn get(&self, cx: &Context, request: GetRequest) -> Result<Option<Object>> {
        self.inspector.reads(self, cx);
        let cx = self.there(cx);
        self.read(self.site.target.get(&cx, request)).await
    }

    fn list(&self, cx: &Context, request: ListRequest) -> Result<Listing> {
        self.inspector.reads(self, cx);
        let listing = self.site.target.list(&self.there(cx), request)?;
        let weather = Arc::clone(&self.weather);
        let fault = match weather.dice.per_mille(weather.faults().broken_listing) {
            true => weather.dice.below(3) + 1,
            false => 0,
        };
        if fault > 0 {
            self.note(format_args!("breaks a listing ({fault})"));
        }
        let slowly = futures_util::stream::unfold((listing, weather, false), move |state| async move {
            let (mut listing, weather, over) = state;
            if over {
                return None;
            }
            weather.far().await;
            let event = listing.next().await?;
            let event = match (fault, event) {
                (1, Ok(ListEvent::End(_))) => {
                    Ok(ListEvent::End(Completeness::Partial { reason: "a page was lost".to_owned() }))
                }
                (2, Ok(ListEvent::End(_))) => return None,
                (3, _) => {
                    let broken = Err(refused(ErrorKind::Unavailable, "the listing broke off"));
                    return Some((broken, (listing, weather, true)));
                }
                (_, event) => event,
            };
            Some((event, (listing, weather, false)))
        });
        Ok(Box::pin(slowly))
    }

    fn writer(&self) -> Option<&dyn Writer> {
        Some(self)
    }

    fn membership(&self) -> Option<&dyn MembershipFacet> {
        self.site.target.membership().map(|_| self as &dyn MembershipFacet)
    }

    fn lifecycle(&self) -> Option<&dyn LifecycleFacet> {
        Some(self)
    }

    fn credential(&self) -> Option<&dyn Credential> {
        Some(self)
    }
}

#[async_trait]
impl Writer for Network {
    async fn create(&self, cx: &Context, request: CreateRequest) -> Result<Outcome> {
        if let Some(password) = &request.password {
            self.site.ledger.password(password);
        }
        let ask = Ask::Create { attributes: request.attributes.clone(), enabled: request.enabled };
        let sent = Sent::new(cx, &request.class, None, vec![ask]);
        let (cx, target) = (self.there(cx), self.site.target.clone());
        let call = move || async move { Writer::create(&target, &cx, request).await };
        self.write(sent, move || Box::pin(call()), |_| false).await
    }

    async fn update(&self, cx: &Context, request: UpdateRequest) -> Result<Outcome> {
        let ask = Ask::Update { delta: request.delta.clone() };
        let sent = Sent::new(cx, &request.class, Some(&request.key), vec![ask]);
        let (cx, target) = (self.there(cx), self.site.target.clone());
        let call = move || async move { Writer::update(&target, &cx, request).await };
        self.write(sent, move || Box::pin(call()), |_| false).await
    }

    async fn rename(&self, cx: &Context, request: RenameRequest) -> Result<Outcome> {
        let ask = Ask::Rename { naming: request.naming.clone() };
        let sent = Sent::new(cx, &request.class, Some(&request.key), vec![ask]);
        let (cx, target) = (self.there(cx), self.site.target.clone());
        let call = move || async move { Writer::rename(&target, &cx, request).await };
        self.write(sent, move || Box::pin(call()), |_| false).await
    }

    async fn delete(&self, cx: &Context, request: DeleteRequest) -> Result<Outcome> {
        let sent = Sent::new(cx, &request.class, Some(&request.key), vec![Ask::Delete]);
        let (cx, target) = (self.there(cx), self.site.target.clone());
        let call = move || async move { Writer::delete(&target, &cx, request).await };
        self.write(sent, move || Box::pin(call()), |_| false).await
    }
}

#[async_trait]
impl MembershipFacet for Network {
    async fn change(&self, cx: &Context, request: MembershipRequest) -> Result<Vec<EdgeOutcome>> {
        let sent = self.inspector.edges(self, cx, &request);
        let (cx, site, weather) = (self.there(cx), Arc::clone(&self.site), Arc::clone(&self.weather));
        let call = move || async move {
            let turn = site.turn(&request.group.id);
            if turn.is_none() && weather.dice.per_mille(weather.faults().contended) {
                return Err(refused(ErrorKind::Conflict, "somebody else changes the group"));
            }
            if weather.faults().contended > 0 {
                weather.far().await;
            }
            MembershipFacet::change(&site.target, &cx, request).await
        };
        self.write(
            sent,
            move || Box::pin(call()),
            |edges: &Vec<EdgeOutcome>| edges.iter().all(|edge| edge.error.is_some()),
        )
        .await
    }
}

#[async_trait]
impl LifecycleFacet for Network {
    async fn set(&self, cx: &Context, request: LifecycleRequest) -> Result<Outcome> {
        let ask = Ask::Set { enabled: request.enabled };
        let sent = Sent::new(cx, &request.class, Some(&request.key), vec![ask]);
        let (cx, target) = (self.there(cx), self.site.target.clone());
        let call = move || async move { LifecycleFacet::set(&target, &cx, request).await };
        self.write(sent, move || Box::pin(call()), |_| false).await
    }
}

#[async_trait]
impl Credential for Network {
    async fn set_password(&self, cx: &Context, request: CredentialRequest) -> Result<Outcome> {
        self.site.ledger.password(&request.password);
        let sent = Sent::new(cx, &request.class, Some(&request.key), vec![Ask::Password]);
        let (cx, target) = (self.there(cx), self.site.target.clone());
        let call = move || async move { Credential::set_password(&target, &cx, request).await };
        self.write(sent, move || Box::pin(call()), |_| false).await
    }
}
