//! The connector contract: what an integration author implements. `docs/spec/connector.md` numbers its clauses.
//!
//! A connector translates. It never maps, correlates, retries, schedules or decides.

mod capability;
mod facet;
mod listing;
mod outcome;
mod registry;
mod request;

use std::fmt::Debug;

use async_trait::async_trait;

pub use capability::{
    Capabilities, ClassCapabilities, DeleteStyle, DisableMeaning, Discovery, FilterSupport,
};
pub use facet::{ChangeFeed, Credential, LifecycleFacet, MembershipFacet, Writer};
pub use listing::{Completeness, ListEvent, Listing, Page, PageSource, collect, paged};
pub use outcome::{ChangeEvent, ChangePage, EdgeOutcome, Object, ObjectKey, Outcome, WriteDone};
pub use registry::{ConnectorFactory, Registry, SourceFactory};
pub use request::{
    ChangeFeedRequest, CreateRequest, CredentialRequest, DeleteRequest, Edge, GetRequest, LifecycleRequest,
    ListRequest, MembershipRequest, PollRequest, RenameRequest, UpdateRequest,
};

use crate::error::Result;
use crate::id::RealmId;
use crate::value::Timestamp;

/// What every call carries besides its request.
#[derive(Clone, Debug)]
pub struct Context {
    /// The tenant the call is made for.
    pub realm: RealmId,
    /// The call must have ended by then; the engine cancels it by dropping the future.
    pub deadline: Option<Timestamp>,
    /// Ties the call to a plan, step or feed in logs on both sides.
    pub correlation: String,
}

impl Context {
    /// A context without deadline.
    pub fn new(realm: RealmId, correlation: impl Into<String>) -> Self {
        Self { realm, deadline: None, correlation: correlation.into() }
    }
}

/// What a connector is, before it has spoken to anything.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ConnectorInfo {
    /// The kind of target: `memory`, `csv`, `ldap`.
    pub kind: String,
    /// The connector's version.
    pub version: String,
    /// JSON Schema (2020-12) of its configuration; secret fields carry `"writeOnly": true`.
    pub config_schema: serde_json::Value,
}

/// Code that speaks to one kind of target. Object-safe; shared by all lanes; `Debug` shows no secret (C-1.3).
#[async_trait]
pub trait Connector: Debug + Send + Sync {
    /// What this connector is. No I/O.
    fn info(&self) -> ConnectorInfo;

    /// Reaches the target and tries the credentials. Changes nothing.
    ///
    /// # Errors
    /// `Unauthenticated` for refused credentials (C-1.2), `ConfigInvalid` naming the field, `Unavailable`.
    async fn check(&self, cx: &Context) -> Result<()>;

    /// Schema and capabilities as they are now. Two calls on an unchanged target are equal (C-2.1).
    async fn discover(&self, cx: &Context) -> Result<Discovery>;

    /// Reads one object; `None` only if the target said that there is none (C-3.1).
    async fn get(&self, cx: &Context, request: GetRequest) -> Result<Option<Object>>;

    /// Lists a class as a stream of pages that ends in a [`Completeness`]. No I/O before the first poll.
    ///
    /// # Errors
    /// `Unsupported` for an unknown class (C-2.3) or a filter that the capabilities do not declare.
    fn list(&self, cx: &Context, request: ListRequest) -> Result<Listing>;

    /// The power to create, update, rename and delete.
    fn writer(&self) -> Option<&dyn Writer> {
        None
    }

    /// The power to change memberships.
    fn membership(&self) -> Option<&dyn MembershipFacet> {
        None
    }

    /// The power to enable and disable.
    fn lifecycle(&self) -> Option<&dyn LifecycleFacet> {
        None
    }

    /// The power to set credentials.
    fn credential(&self) -> Option<&dyn Credential> {
        None
    }

    /// The power to tell what changed.
    fn change_feed(&self) -> Option<&dyn ChangeFeed> {
        None
    }
}
