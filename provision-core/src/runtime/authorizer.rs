//! What an actor may do: the host decides.

use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use crate::error::{Effect, Error, ErrorKind, Result};
use crate::id::RealmId;
use crate::model::Actor;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Operation {
    /// Apply a plan, run the continuous drive.
    Apply,
    /// Approve or reject a hold.
    Approve,
    /// Change targets, sources, policy; pause and resume.
    Configure,
    /// Take a feed in.
    Ingest,
    /// Onboard or reconcile a target.
    Observe,
    /// Make a plan.
    Plan,
    /// Decide a dispute, change a link by hand.
    Relink,
    /// Have failed steps tried again.
    Retry,
    /// Submit identity changes and requests.
    Submit,
}

/// Decides what an actor may do.
pub trait Authorizer: Debug + Send + Sync {
    /// Ok to go on.
    ///
    /// # Errors
    /// `PermissionDenied` with effect `None`: nothing was done.
    fn authorize(&self, actor: &Actor, realm: &RealmId, operation: Operation) -> Result<()>;
}

/// The authorizer of a runtime that was given none: everything but approving and relinking.
#[derive(Clone, Copy, Debug, Default)]
pub struct CautiousAuthorizer;

impl Authorizer for CautiousAuthorizer {
    fn authorize(&self, actor: &Actor, realm: &RealmId, operation: Operation) -> Result<()> {
        match operation {
            Operation::Approve | Operation::Relink => Err(denied(actor, realm, operation)),
            _ => Ok(()),
        }
    }
}

/// An authorizer for hosts with one administrator (the example host): everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowAll;

impl Authorizer for AllowAll {
    fn authorize(&self, _actor: &Actor, _realm: &RealmId, _operation: Operation) -> Result<()> {
        Ok(())
    }
}

/// The error of a denial.
pub fn denied(actor: &Actor, realm: &RealmId, operation: Operation) -> Error {
    Error::new(ErrorKind::PermissionDenied, format!("the actor may not {operation:?}").to_lowercase())
        .with_context("actor", actor.name.clone())
        .with_context("realm", realm.as_str())
        .with_effect(Effect::None)
}
