//! Facets: optional powers of a connector. A facet exists in code; a capability says that this target has it now.
//!
//! Every error of a writing call states its effect ([`crate::Error::with_effect`]); an error that does not is
//! treated as [`crate::Effect::Unknown`] and resolved by reading back (C-9.2).

use std::fmt::Debug;

use async_trait::async_trait;

use super::{
    ChangeFeedRequest, ChangePage, Context, CreateRequest, CredentialRequest, DeleteRequest, EdgeOutcome,
    LifecycleRequest, MembershipRequest, Outcome, PollRequest, RenameRequest, UpdateRequest,
};
use crate::error::{Effect, Error, ErrorKind, Result};

fn nothing_pending() -> Error {
    Error::new(ErrorKind::Unsupported, "this connector never answers `Pending`").with_effect(Effect::None)
}

/// Creates, updates, renames, deletes.
#[async_trait]
pub trait Writer: Debug + Send + Sync {
    /// Creates an object. The key of the outcome is accepted by `get` at once or after `visible_after` (C-4.6).
    ///
    /// # Errors
    /// `AlreadyExists` with effect `None` when a unique value is taken: nothing is created or changed.
    async fn create(&self, cx: &Context, request: CreateRequest) -> Result<Outcome>;

    /// Applies a delta atomically. Attributes outside it are never touched; repeating it is a success (C-5.3).
    ///
    /// # Errors
    /// `NotFound`; `InvalidAttribute` with the attribute (C-5.6).
    async fn update(&self, cx: &Context, request: UpdateRequest) -> Result<Outcome>;

    /// Changes the object's name. The outcome carries the new key; other changes of the object survive (C-5.4).
    async fn rename(&self, cx: &Context, request: RenameRequest) -> Result<Outcome>;

    /// Deletes. An object that is already gone is a success (C-4.7).
    async fn delete(&self, cx: &Context, request: DeleteRequest) -> Result<Outcome>;

    /// Asks for the end of a pending write.
    async fn poll(&self, _cx: &Context, _request: PollRequest) -> Result<Outcome> {
        Err(nothing_pending())
    }
}

/// Changes edges between accounts and groups, in batches.
#[async_trait]
pub trait MembershipFacet: Debug + Send + Sync {
    /// Adds and removes edges of one group. One outcome per edge, in the request's order; an edge that is already so
    /// is a success (C-7.1); no other member is touched.
    ///
    /// # Errors
    /// `NotFound` for a missing group (C-7.2); a missing account fails its own edge only.
    async fn change(&self, cx: &Context, request: MembershipRequest) -> Result<Vec<EdgeOutcome>>;
}

/// Enables and disables.
#[async_trait]
pub trait LifecycleFacet: Debug + Send + Sync {
    /// Sets the state. Setting the current state is a success (C-6.1); use the returned key, it may have changed.
    async fn set(&self, cx: &Context, request: LifecycleRequest) -> Result<Outcome>;
}

/// Sets credentials.
#[async_trait]
pub trait Credential: Debug + Send + Sync {
    /// Sets the password. It is never readable back and never in an error (C-6.2).
    ///
    /// # Errors
    /// `PolicyRejected` when the target's password rules refuse it.
    async fn set_password(&self, cx: &Context, request: CredentialRequest) -> Result<Outcome>;
}

/// Tells what changed since a token.
#[async_trait]
pub trait ChangeFeed: Debug + Send + Sync {
    /// The next page of changes. The token is opaque and survives a restart; events may repeat (C-8.1).
    ///
    /// # Errors
    /// `Conflict` when the token is too old: list everything again.
    async fn changes(&self, cx: &Context, request: ChangeFeedRequest) -> Result<ChangePage>;
}
