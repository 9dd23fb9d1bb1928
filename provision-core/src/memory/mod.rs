//! An in-memory target with every facet: for tests, examples and rehearsals. It keeps the contract of
//! `docs/spec/connector.md`, can keep its content in a state file, and can be told to fail.

mod change_feed;
mod config;
mod connector;
mod content;
mod credential;
mod fault;
mod journal;
mod late;
mod manner;
mod membership;
mod page;
mod personality;
mod target;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use config::{MemoryClass, MemoryConfig, Personality};
#[cfg(any(test, feature = "testkit"))]
pub(crate) use fault::{About, FaultState};
pub use fault::{Fault, FaultRule, Faults, Operation, When};
pub use manner::Manners;

use crate::connector::{Connector, Object, ObjectKey};
use crate::error::Result;
use crate::id::{ClassName, RealmId};
use crate::runtime::Clock;
use crate::value::{Attributes, Secret};

/// The in-memory target. Clones share one content.
///
/// Groups show their members as `member` (in a `get`, and in a listing that asks for it); other objects show their
/// groups as `memberOf`. Both are computed, and change through [`crate::connector::MembershipFacet`] only.
#[derive(Clone, Debug)]
pub struct MemoryConnector {
    target: Arc<target::Target>,
}

impl MemoryConnector {
    /// A target by its configuration. No I/O: a state file is opened by the first call.
    ///
    /// # Errors
    /// `ConfigInvalid` naming the field.
    pub fn new(config: MemoryConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        Ok(Self { target: Arc::new(target::Target::new(config, clock)?) })
    }

    /// The factory for [`crate::connector::Registry::with_connector`].
    pub fn factory(
        clock: Arc<dyn Clock>,
    ) -> impl Fn(&serde_json::Value) -> Result<Arc<dyn Connector>> + Send + Sync + 'static {
        move |config| {
            let config = MemoryConfig::from_value(config)?;
            Ok(Arc::new(Self::new(config, Arc::clone(&clock))?))
        }
    }

    /// Creates objects as somebody other than us would: no fault, no count, no idempotency. Returns their keys.
    ///
    /// # Errors
    /// As a create; objects before the refused one are kept.
    pub fn seed(
        &self,
        class: impl Into<ClassName>,
        objects: impl IntoIterator<Item = (Attributes, Option<bool>)>,
    ) -> Result<Vec<ObjectKey>> {
        self.target.seed(&class.into(), objects)
    }

    /// Brings a deleted object back, as the target's own people would: without its memberships.
    ///
    /// # Errors
    /// `NotFound` when it was never there or its `delete_window_s` is over; `AlreadyExists` when its name is taken.
    pub fn restore(&self, key: &ObjectKey) -> Result<()> {
        self.target.restore(key)
    }

    /// All objects of a class by id, members included, whatever faults are set.
    pub fn dump(&self, class: impl Into<ClassName>) -> Result<Vec<Object>> {
        self.target.dump(&class.into())
    }

    /// Whether this password would sign in: it is the object's, and the object is not disabled.
    pub fn verify_password(&self, key: &ObjectKey, password: &Secret) -> bool {
        self.target.verify_password(key, password)
    }

    /// Calls by operation, failed ones included. A listing counts when it is first polled.
    pub fn calls(&self) -> BTreeMap<Operation, u64> {
        self.target.calls()
    }

    /// How often one operation was called.
    pub fn called(&self, operation: Operation) -> u64 {
        self.target.calls().get(&operation).copied().unwrap_or_default()
    }

    /// Replaces the faults and forgets their counts. A fault that only the layer of `testkit::fault` can make never
    /// fires here.
    pub fn set_faults(&self, faults: Faults) {
        self.target.set_faults(faults);
    }

    /// How often a manner changed what was written, shown or told.
    pub fn altered(&self) -> u64 {
        self.target.altered()
    }

    /// How often each fault rule was due, in the order of the rules. A rule that spoils listings counts each listing.
    pub fn fired(&self) -> Vec<u64> {
        self.target.fired()
    }

    /// Folds the log of the state file into the file itself, for a reader outside. Also done when the file is opened
    /// and when the connector is dropped.
    pub fn compact(&self) -> Result<()> {
        self.target.compact()
    }

    /// A context for calls by hand.
    pub fn context() -> crate::connector::Context {
        crate::connector::Context::new(RealmId::new("main"), "by hand")
    }
}
