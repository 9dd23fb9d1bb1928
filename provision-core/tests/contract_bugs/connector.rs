//! A connector with one bug, in front of a sound one: what reads.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::StreamExt;
use provision_core::connector::*;
use provision_core::filter::{Comparison, Filter};
use provision_core::memory::{MemoryConfig, MemoryConnector, Personality};
use provision_core::runtime::SystemClock;
use provision_core::testkit::contract::Suite;
use provision_core::value::{Slot, Value};
use provision_core::{Effect, Error, ErrorKind, Result};
use serde_json::json;

use crate::bug::{Bug, Place};
use crate::shape::Shape;

/// Connections in the pool of the connector.
const CONNECTIONS: usize = 52;

pub(crate) struct Buggy {
    pub(crate) shape: Shape,
    pub(crate) bug: Bug,
    /// What its `Debug` shows.
    pub(crate) shown: Mutex<String>,
    /// Connections that are lent.
    lent: Arc<AtomicUsize>,
    /// Tokens or tickets that were used up, ids of objects that are gone.
    pub(crate) used: Mutex<BTreeSet<Vec<u8>>>,
    /// What a call leaves here for itself.
    last: Mutex<Option<ObjectKey>>,
}

impl std::fmt::Debug for Buggy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown.lock().unwrap())
    }
}

fn config(place: Place) -> MemoryConfig {
    match place {
        Place::Directory => MemoryConfig::default(),
        Place::Plain => MemoryConfig::personality(Personality::Plain),
        Place::Service => MemoryConfig::personality(Personality::Service),
        Place::Remembering => MemoryConfig { idempotent_create: true, ..MemoryConfig::default() },
        Place::Bin => MemoryConfig { delete_window_s: 60, ..MemoryConfig::personality(Personality::Service) },
        Place::Late => MemoryConfig { pending_polls: 2, ..MemoryConfig::default() },
        Place::Loose => {
            let attributes = json!({
                "userName": {}, "givenName": {}, "familyName": {}, "title": {}, "emails": { "multi": true },
            });
            MemoryConfig {
                classes: serde_json::from_value(json!({ "account": { "attributes": attributes } })).unwrap(),
                ..MemoryConfig::personality(Personality::Plain)
            }
        }
    }
}

impl Buggy {
    pub(crate) fn new(bug: Bug, place: Place) -> Self {
        Self {
            shape: Shape::new(config(place)),
            bug,
            shown: Mutex::default(),
            lent: Arc::default(),
            used: Mutex::default(),
            last: Mutex::default(),
        }
    }

    /// The suite that this connector is tried with.
    pub(crate) fn suite(&self) -> Suite<'_> {
        let careless = self.is(Bug::ConfigNotChecked);
        let factory: ConnectorFactory = Arc::new(move |config| {
            let config = MemoryConfig::from_value(config);
            let config = if careless { config.unwrap_or_default() } else { config? };
            Ok(Arc::new(MemoryConnector::new(config, Arc::new(SystemClock))?))
        });
        let wrong = [("page_size", json!({ "page_size": 5 }))];
        Suite::new(self, &self.shape).configured_by(factory, wrong)
    }

    /// Whether the object was deleted, by a delete that the target does not know of.
    pub(crate) fn vanished(&self, key: &ObjectKey) -> bool {
        self.is(Bug::DeletedStaysMember) && self.used.lock().unwrap().contains(key.id.as_bytes())
    }

    /// Refuses a write to an object that is gone.
    pub(crate) fn alive(&self, key: &ObjectKey) -> Result<()> {
        match self.vanished(key) {
            true => Err(Error::new(ErrorKind::NotFound, "it is gone").with_effect(Effect::None)),
            false => Ok(()),
        }
    }

    pub(crate) fn is(&self, bug: Bug) -> bool {
        self.bug == bug
    }

    pub(crate) fn inner(&self) -> &dyn Connector {
        &self.shape.target
    }

    /// The error as the connector tells it.
    pub(crate) fn told(&self, error: Error) -> Error {
        match self.bug {
            Bug::EffectNotStated => Error::new(error.kind(), error.to_string()).with_retry(error.retry()),
            Bug::LostIsNone if error.effect() == Effect::Unknown => error.with_effect(Effect::None),
            Bug::WaitingTimeDropped if error.kind() == ErrorKind::RateLimited => {
                error.with_retry(provision_core::Retry::After(None))
            }
            _ => error,
        }
    }

    /// The context as the connector uses it.
    pub(crate) fn cx(&self, cx: &Context) -> Context {
        let deadline = if self.is(Bug::DeadlineIgnored) { None } else { cx.deadline };
        Context { deadline, ..cx.clone() }
    }

    /// Takes a connection for a while. Without a guard, whoever is dropped meanwhile keeps it.
    pub(crate) async fn connected(&self) -> Result<()> {
        if !self.is(Bug::ConnectionLeaks) {
            return Ok(());
        }
        if self.lent.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS {
            self.lent.fetch_sub(1, Ordering::SeqCst);
            let error = Error::new(ErrorKind::Unavailable, "no connection is free");
            return Err(error.with_effect(Effect::None));
        }
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        self.lent.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }

    /// A listing that takes a connection and gives it back at its end, and only there.
    fn lending(&self, listing: Listing) -> Listing {
        let lent = Arc::clone(&self.lent);
        let mut began = false;
        Box::pin(listing.map(move |event| {
            if !began {
                began = true;
                if lent.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS {
                    return Err(Error::new(ErrorKind::Unavailable, "no connection is free"));
                }
            }
            if !matches!(event, Ok(ListEvent::Objects(_))) {
                lent.fetch_sub(1, Ordering::SeqCst);
            }
            event
        }))
    }

    /// The filter as the target is asked for it.
    fn asked(&self, filter: Filter) -> Filter {
        match (self.bug, filter) {
            (Bug::UnescapedFilter, Filter::Compare(path, Comparison::Equal, Value::Text(text)))
                if text.contains('*') =>
            {
                let before = text.split('*').next().unwrap_or_default();
                Filter::Compare(path, Comparison::StartsWith, Value::text(before))
            }
            (Bug::ResidualLost, Filter::All(parts)) if parts.len() > 1 => {
                Filter::All(parts.into_iter().take(1).collect())
            }
            (_, filter) => filter,
        }
    }

    /// Reads one object after the other, by the ids that there were.
    fn one_by_one(&self, request: ListRequest) -> Result<Listing> {
        let listing = self.inner().list(&cx(), request.clone())?;
        let target = self.shape.target.clone();
        let pages = futures_util::stream::once(collect(listing, 1_000_000)).flat_map(move |listed| {
            let (target, class) = (target.clone(), request.class.clone());
            let (objects, end) = match listed {
                Ok(listed) => listed,
                Err(error) => return futures_util::stream::iter([Err(error)]).boxed(),
            };
            let read = futures_util::stream::iter(objects).then(move |listed| {
                let (target, class) = (target.clone(), class.clone());
                async move {
                    let shown = listed.clone();
                    let object = target.get(&cx(), GetRequest { class, key: listed.key }).await?;
                    let gone = || Error::new(ErrorKind::Unexpected, "an object of the listing is gone");
                    object.map(|_| ListEvent::Objects(vec![shown])).ok_or_else(gone)
                }
            });
            read.chain(futures_util::stream::iter([Ok(ListEvent::End(end))])).boxed()
        });
        Ok(Box::pin(pages))
    }

    /// Asks for the nth object of the list as it is then.
    fn by_place(&self, request: ListRequest) -> Listing {
        let target = self.shape.target.clone();
        Box::pin(futures_util::stream::unfold(Some(0), move |place: Option<usize>| {
            let (target, request) = (target.clone(), request.clone());
            async move {
                let place = place?;
                let listed = match target.list(&cx(), request) {
                    Ok(listing) => collect(listing, 1_000_000).await,
                    Err(error) => Err(error),
                };
                Some(match listed {
                    Err(error) => (Err(error), None),
                    Ok((objects, _)) if place < objects.len() => {
                        (Ok(ListEvent::Objects(vec![objects[place].clone()])), Some(place + 1))
                    }
                    Ok((_, end)) => (Ok(ListEvent::End(end)), None),
                })
            }
        }))
    }

    /// The listing with what the bug makes of it.
    fn spoiled(&self, listing: Listing, request: &ListRequest) -> Listing {
        let filtered = request.filter.is_some();
        let whole = request.attributes.is_none();
        let page_size = request.page_size as usize;
        let end = |why: &str| ListEvent::End(Completeness::Complete { proof: why.to_owned() });
        match self.bug {
            Bug::FirstPageOnly => {
                let first = listing.take(1).map(|event| event.map(Some)).collect::<Vec<_>>();
                Box::pin(futures_util::stream::once(first).flat_map(move |first| {
                    let failed = first.iter().any(Result::is_err);
                    let events = first.into_iter().filter_map(Result::transpose).collect::<Vec<_>>();
                    let close = (!failed).then(|| Ok(end("a page was read")));
                    futures_util::stream::iter(events.into_iter().chain(close))
                }))
            }
            Bug::FirstMatchOnly if filtered => {
                let mut found = false;
                Box::pin(listing.map(move |event| {
                    event.map(|event| match event {
                        ListEvent::Objects(mut objects) => {
                            objects.truncate(if found { 0 } else { 1 });
                            found |= !objects.is_empty();
                            ListEvent::Objects(objects)
                        }
                        end => end,
                    })
                }))
            }
            Bug::StuckPageToken => {
                let mut last = Vec::new();
                Box::pin(listing.flat_map(move |event| match event {
                    Err(error) if error.kind() == ErrorKind::Unexpected => {
                        let again = ListEvent::Objects(last.clone());
                        futures_util::stream::repeat_with(move || Ok(again.clone())).boxed()
                    }
                    Ok(ListEvent::Objects(objects)) => {
                        last.clone_from(&objects);
                        futures_util::stream::iter([Ok(ListEvent::Objects(objects))]).boxed()
                    }
                    event => futures_util::stream::iter([event]).boxed(),
                }))
            }
            Bug::DeletedStaysMember => {
                let gone = self.used.lock().unwrap().clone();
                Box::pin(listing.map(move |event| match event {
                    Ok(ListEvent::Objects(mut objects)) => {
                        objects.retain(|object| !gone.contains(object.key.id.as_bytes()));
                        Ok(ListEvent::Objects(objects))
                    }
                    event => event,
                }))
            }
            bug => Box::pin(listing.map(move |event| match (event, bug) {
                (Ok(ListEvent::Objects(mut objects)), Bug::ListingLosesObjects) => {
                    if objects.len() == page_size {
                        objects.pop();
                    }
                    Ok(ListEvent::Objects(objects))
                }
                (Ok(ListEvent::Objects(mut objects)), Bug::NullsInListings) if whole => {
                    objects.iter_mut().for_each(|object| object.attributes.insert("company", Slot::Null));
                    Ok(ListEvent::Objects(objects))
                }
                (Ok(ListEvent::End(_)), Bug::CutListingIsComplete) => Ok(end("surely")),
                (event, _) => event,
            })),
        }
    }
}

fn cx() -> Context {
    provision_core::memory::MemoryConnector::context()
}

#[async_trait]
impl Connector for Buggy {
    fn info(&self) -> ConnectorInfo {
        self.inner().info()
    }

    async fn check(&self, cx: &Context) -> Result<()> {
        match self.inner().check(cx).await {
            Err(error) if self.is(Bug::RefusedIsUnavailable) => {
                Err(Error::new(ErrorKind::Unavailable, error.to_string()))
            }
            result => result,
        }
    }

    async fn discover(&self, cx: &Context) -> Result<Discovery> {
        let mut discovery = self.inner().discover(cx).await?;
        if self.is(Bug::DiscoveryDiffers) {
            let times = self.lent.fetch_add(1, Ordering::SeqCst);
            for can in discovery.capabilities.classes.values_mut() {
                can.concurrency_max = u32::try_from(times).unwrap();
            }
        }
        if self.is(Bug::CapabilityNotDeclared) {
            for can in discovery.capabilities.classes.values_mut() {
                can.rename = false;
            }
        }
        Ok(discovery)
    }

    async fn get(&self, cx: &Context, mut request: GetRequest) -> Result<Option<Object>> {
        self.connected().await?;
        if self.vanished(&request.key) {
            return Ok(None);
        }
        if self.is(Bug::AnswersMix) {
            *self.last.lock().unwrap() = Some(request.key.clone());
            tokio::task::yield_now().await;
            request.key = self.last.lock().unwrap().clone().unwrap();
        }
        match self.inner().get(&self.cx(cx), request).await {
            Err(error) if self.is(Bug::ErrorsReadAsAbsence) && error.kind() == ErrorKind::Unavailable => {
                Ok(None)
            }
            Err(error) => Err(self.told(error)),
            Ok(object) => Ok(object),
        }
    }

    fn list(&self, cx: &Context, mut request: ListRequest) -> Result<Listing> {
        let whole = request.filter.is_none() && cx.deadline.is_none();
        match self.bug {
            Bug::FiltersIgnored => request.filter = None,
            Bug::AttributesIgnored => request.attributes = None,
            Bug::ListingFailsOverVanished if whole => return self.one_by_one(request),
            Bug::PagesMoveWithDeletes if whole => return Ok(self.by_place(request)),
            _ => {}
        }
        request.filter = request.filter.map(|filter| self.asked(filter));
        let listing = match self.inner().list(&self.cx(cx), request.clone()) {
            Err(_) if self.is(Bug::UnknownClassIsEmpty) && request.class != "user".into() => {
                return Ok(Box::pin(futures_util::stream::empty()));
            }
            listing => listing?,
        };
        if self.is(Bug::ListingLeaks) {
            return Ok(self.lending(listing));
        }
        Ok(self.spoiled(listing, &request))
    }

    fn writer(&self) -> Option<&dyn Writer> {
        Some(self)
    }

    fn membership(&self) -> Option<&dyn MembershipFacet> {
        Some(self)
    }

    fn lifecycle(&self) -> Option<&dyn LifecycleFacet> {
        (!self.is(Bug::FacetMissing)).then_some(self)
    }

    fn credential(&self) -> Option<&dyn Credential> {
        Some(self)
    }

    fn change_feed(&self) -> Option<&dyn ChangeFeed> {
        Some(self)
    }
}
