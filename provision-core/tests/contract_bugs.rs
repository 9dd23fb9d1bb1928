//! The suite finds planted bugs: a connector that breaks one promise is told the clause.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests may panic as tests do"
)]

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use provision_core::connector::*;
use provision_core::delta::Change;
use provision_core::id::ClassName;
use provision_core::memory::{
    Fault, FaultRule, Faults, MemoryConfig, MemoryConnector, Operation, Personality,
};
use provision_core::runtime::SystemClock;
use provision_core::testkit::contract::{Profile, Trouble, hold};
use provision_core::value::{AttrName, Attributes, Secret, Value};
use provision_core::{Effect, Error, ErrorKind, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    None,
    /// An unreachable target looks like one without the object.
    ErrorsReadAsAbsence,
    /// The last object of each page is lost.
    ListingLosesObjects,
    /// A listing that was cut claims to be whole.
    CutListingIsComplete,
    /// Filters are ignored.
    FiltersIgnored,
    /// An unknown class is an empty one.
    UnknownClassIsEmpty,
    /// A name that is taken gives the other's object.
    AdoptsByName,
    /// Deleting what is gone is an error.
    DeleteNotRepeatable,
    /// Texts are trimmed by the connector.
    TrimsText,
    /// An update clears what is outside the delta.
    UpdateReplacesAll,
    /// Attributes are changed one by one.
    UpdateNotAtomic,
    /// The outcome of a rename carries the old key.
    OldKeyAfterRename,
    /// The outcome makes up what it observed.
    ObservedMadeUp,
    /// Errors do not state their effect.
    EffectNotStated,
    /// A lost answer is told as nothing done.
    LostIsNone,
    /// A password that is refused is in the error.
    PasswordInError,
    /// `Debug` shows the last password.
    PasswordInDebug,
    /// Disabling does nothing.
    DisableIgnored,
    /// A missing account fails the whole request.
    MissingMemberFailsAll,
    /// The feed forgets deletes.
    FeedForgetsDeletes,
    /// Deadlines are ignored.
    DeadlineIgnored,
    /// The waiting time is dropped.
    WaitingTimeDropped,
}

struct Buggy {
    inner: MemoryConnector,
    bug: Bug,
    seen: std::sync::Mutex<String>,
}

impl std::fmt::Debug for Buggy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.seen.lock().unwrap())
    }
}

impl Buggy {
    fn new(bug: Bug) -> Self {
        let config = MemoryConfig::personality(Personality::Directory);
        let inner = MemoryConnector::new(config, Arc::new(SystemClock)).unwrap();
        Self { inner, bug, seen: std::sync::Mutex::default() }
    }

    fn is(&self, bug: Bug) -> bool {
        self.bug == bug
    }

    fn told(&self, error: Error) -> Error {
        match self.bug {
            Bug::EffectNotStated => Error::new(error.kind(), error.to_string()),
            Bug::LostIsNone if error.effect() == Effect::Unknown => error.with_effect(Effect::None),
            Bug::WaitingTimeDropped => Error::new(error.kind(), error.to_string()).with_effect(Effect::None),
            _ => error,
        }
    }
}

#[async_trait]
impl Connector for Buggy {
    fn info(&self) -> ConnectorInfo {
        self.inner.info()
    }
    async fn check(&self, cx: &Context) -> Result<()> {
        self.inner.check(cx).await
    }
    async fn discover(&self, cx: &Context) -> Result<Discovery> {
        self.inner.discover(cx).await
    }
    async fn get(&self, cx: &Context, request: GetRequest) -> Result<Option<Object>> {
        match self.inner.get(cx, request).await {
            Err(error) if self.is(Bug::ErrorsReadAsAbsence) && error.kind() == ErrorKind::Unavailable => {
                Ok(None)
            }
            Err(error) => Err(self.told(error)),
            Ok(object) => Ok(object),
        }
    }
    fn list(&self, cx: &Context, mut request: ListRequest) -> Result<Listing> {
        if self.is(Bug::FiltersIgnored) {
            request.filter = None;
        }
        let bug = self.bug;
        let listing = match self.inner.list(cx, request) {
            Err(error) if bug == Bug::UnknownClassIsEmpty && error.kind() == ErrorKind::Unsupported => {
                return Ok(Box::pin(futures_util::stream::empty()));
            }
            listing => listing?,
        };
        Ok(Box::pin(listing.map(move |event| match (event, bug) {
            (Ok(ListEvent::Objects(mut objects)), Bug::ListingLosesObjects) => {
                objects.pop();
                Ok(ListEvent::Objects(objects))
            }
            (Ok(ListEvent::End(_)), Bug::CutListingIsComplete) => {
                Ok(ListEvent::End(Completeness::Complete { proof: "surely".to_owned() }))
            }
            (event, _) => event,
        })))
    }
    fn writer(&self) -> Option<&dyn Writer> {
        Some(self)
    }
    fn membership(&self) -> Option<&dyn MembershipFacet> {
        Some(self)
    }
    fn lifecycle(&self) -> Option<&dyn LifecycleFacet> {
        Some(self)
    }
    fn credential(&self) -> Option<&dyn Credential> {
        Some(self)
    }
    fn change_feed(&self) -> Option<&dyn ChangeFeed> {
        Some(self)
    }
}

#[async_trait]
impl Writer for Buggy {
    async fn create(&self, cx: &Context, request: CreateRequest) -> Result<Outcome> {
        let mut cx = cx.clone();
        if self.is(Bug::DeadlineIgnored) {
            cx.deadline = None;
        }
        let created = self.inner.writer().unwrap().create(&cx, request.clone()).await;
        match created {
            Err(error) if self.is(Bug::AdoptsByName) && error.kind() == ErrorKind::AlreadyExists => {
                let name = request.attributes.first("sAMAccountName").cloned().unwrap();
                let objects = self.inner.dump(request.class)?;
                let found =
                    objects.into_iter().find(|it| it.attributes.first("sAMAccountName") == Some(&name));
                found.map(|object| Outcome::done(object.key)).ok_or(error)
            }
            other => other.map_err(|error| self.told(error)),
        }
    }
    async fn update(&self, cx: &Context, mut request: UpdateRequest) -> Result<Outcome> {
        let writer = self.inner.writer().unwrap();
        if self.is(Bug::TrimsText) {
            for change in request.delta.changes.values_mut() {
                if let Change::Replace(values) = change {
                    for value in values {
                        *value =
                            value.as_text().map(|text| Value::text(text.trim())).unwrap_or(value.clone());
                    }
                }
            }
        }
        if self.is(Bug::UpdateReplacesAll) {
            for name in ["givenName", "mobile"] {
                request.delta.changes.entry(name.into()).or_insert(Change::Clear);
            }
        }
        if self.is(Bug::UpdateNotAtomic) {
            for (name, change) in request.delta.changes.iter().rev() {
                let delta = provision_core::delta::Delta { changes: [(name.clone(), change.clone())].into() };
                writer.update(cx, UpdateRequest { delta, ..request.clone() }).await?;
            }
        }
        let mut outcome = writer.update(cx, request).await.map_err(|error| self.told(error));
        if let (Bug::ObservedMadeUp, Ok(Outcome::Done(done))) = (self.bug, &mut outcome) {
            done.observed = Some(Attributes::new().with("title", "made up"));
        }
        outcome
    }
    async fn rename(&self, cx: &Context, request: RenameRequest) -> Result<Outcome> {
        let old = request.key.clone();
        let outcome = self.inner.writer().unwrap().rename(cx, request).await?;
        Ok(if self.is(Bug::OldKeyAfterRename) { Outcome::done(old) } else { outcome })
    }
    async fn delete(&self, cx: &Context, request: DeleteRequest) -> Result<Outcome> {
        let get = GetRequest { class: request.class.clone(), key: request.key.clone() };
        if self.is(Bug::DeleteNotRepeatable) && self.inner.get(cx, get).await?.is_none() {
            return Err(Error::new(ErrorKind::NotFound, "gone").with_effect(Effect::None));
        }
        self.inner.writer().unwrap().delete(cx, request).await
    }
}

#[async_trait]
impl MembershipFacet for Buggy {
    async fn change(&self, cx: &Context, request: MembershipRequest) -> Result<Vec<EdgeOutcome>> {
        let outcomes = self.inner.membership().unwrap().change(cx, request).await?;
        match outcomes.iter().find_map(|outcome| outcome.error.clone()) {
            Some(error) if self.is(Bug::MissingMemberFailsAll) => Err(error.into()),
            _ => Ok(outcomes),
        }
    }
}

#[async_trait]
impl LifecycleFacet for Buggy {
    async fn set(&self, cx: &Context, request: LifecycleRequest) -> Result<Outcome> {
        let enabled = request.enabled || self.is(Bug::DisableIgnored);
        self.inner.lifecycle().unwrap().set(cx, LifecycleRequest { enabled, ..request }).await
    }
}

#[async_trait]
impl Credential for Buggy {
    async fn set_password(&self, cx: &Context, request: CredentialRequest) -> Result<Outcome> {
        let password = request.password.expose().to_owned();
        if self.is(Bug::PasswordInDebug) {
            self.seen.lock().unwrap().clone_from(&password);
        }
        let result = self.inner.credential().unwrap().set_password(cx, request).await;
        match self.bug {
            Bug::PasswordInError => result.map_err(|error| error.with_context("password", password)),
            _ => result,
        }
    }
}

#[async_trait]
impl ChangeFeed for Buggy {
    async fn changes(&self, cx: &Context, request: ChangeFeedRequest) -> Result<ChangePage> {
        let mut page = self.inner.change_feed().unwrap().changes(cx, request).await?;
        page.events.retain(|event| !(event.deleted && self.is(Bug::FeedForgetsDeletes)));
        Ok(page)
    }
}

struct Directory(MemoryConnector);

fn naming(suffix: &str) -> Attributes {
    Attributes::new().with("cn", suffix).with("dn", format!("CN={suffix},DC=example"))
}

impl Profile for Directory {
    fn class(&self) -> ClassName {
        "user".into()
    }
    fn attributes(&self, suffix: &str) -> Attributes {
        naming(suffix).with("sAMAccountName", suffix).with("givenName", "Zoë").with("mobile", "1")
    }
    fn text(&self) -> AttrName {
        "title".into()
    }
    fn set(&self) -> Option<AttrName> {
        Some("description".into())
    }
    fn renamed(&self, suffix: &str) -> Option<Attributes> {
        Some(naming(&format!("{suffix}x")))
    }
    fn group(&self, suffix: &str) -> Option<(ClassName, Attributes)> {
        Some(("group".into(), naming(suffix)))
    }
    fn password(&self, acceptable: bool) -> Option<Secret> {
        Some(Secret::new(if acceptable { "Correct-horse-7-battery" } else { "Sh0rt!" }))
    }
    fn provoke(&self, trouble: Trouble) -> bool {
        let rule = match trouble {
            Trouble::Unreachable => FaultRule::always(Operation::Get, Fault::Refuse),
            Trouble::CutListing => FaultRule::always(Operation::List, Fault::Truncate(1)),
            Trouble::LoseCreate => FaultRule::at(Operation::Create, [1], Fault::LoseResponse),
            Trouble::RateLimit => FaultRule {
                on: [Operation::Get, Operation::Create].into(),
                ..FaultRule::always(Operation::Get, Fault::RateLimit(Some(10)))
            },
            _ => {
                self.0.set_faults(Faults::default());
                return false;
            }
        };
        self.0.set_faults(Faults { seed: 0, rules: vec![rule] });
        true
    }
}

#[tokio::test]
async fn each_planted_bug_is_found_under_its_clause() {
    let bugs = [
        (Bug::ErrorsReadAsAbsence, "C-3.1"),
        (Bug::ListingLosesObjects, "C-4.1"),
        (Bug::CutListingIsComplete, "C-4.9"),
        (Bug::FiltersIgnored, "C-4.3"),
        (Bug::UnknownClassIsEmpty, "C-2.3"),
        (Bug::AdoptsByName, "C-4.6"),
        (Bug::DeleteNotRepeatable, "C-4.7"),
        (Bug::TrimsText, "C-4.8"),
        (Bug::UpdateReplacesAll, "C-5.2"),
        (Bug::UpdateNotAtomic, "C-5.1"),
        (Bug::OldKeyAfterRename, "C-5.4"),
        (Bug::ObservedMadeUp, "C-5.5"),
        (Bug::EffectNotStated, "C-5.6"),
        (Bug::LostIsNone, "C-9.2"),
        (Bug::PasswordInError, "C-6.2"),
        (Bug::PasswordInDebug, "C-1.3"),
        (Bug::DisableIgnored, "C-6.1"),
        (Bug::MissingMemberFailsAll, "C-7.2"),
        (Bug::FeedForgetsDeletes, "C-8.2"),
        (Bug::DeadlineIgnored, "C-9.1"),
        (Bug::WaitingTimeDropped, "C-9.4"),
    ];
    let mut missed = Vec::new();
    for (bug, clause) in bugs {
        let connector = Buggy::new(bug);
        let report = hold(&connector, &Directory(connector.inner.clone())).await;
        if !report.broken().contains(&clause) {
            missed.push((bug, clause, report.broken()));
        }
    }
    assert_eq!(missed, vec![]);
    let sound = Buggy::new(Bug::None);
    let report = hold(&sound, &Directory(sound.inner.clone())).await;
    assert_eq!(report.broken(), Vec::<&str>::new(), "\n{report}");
}
