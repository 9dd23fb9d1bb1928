//! A layer that makes faults in front of any connector, and keeps a record of what reached it.
//!
//! The vocabulary is that of the in-memory target: a [`FaultRule`] says at which [`Operation`]s a [`Fault`] happens
//! and [`When`]. `FaultRule::at` is a script (the calls with these numbers), `FaultRule::per_mille` is chance; the
//! seed of [`Faults`] decides what it hits, and `Debug` and `Display` of the layer show it.
//!
//! The layer starts no task and asks no timer: it waits through the [`Clock`] it is given, so it behaves the same on
//! every executor and in virtual time. Without faults it keeps the connector contract exactly as well as the connector
//! behind it.
//!
//! ```
//! # use std::sync::Arc;
//! # use provision_core::connector::Connector;
//! # use provision_core::memory::{MemoryConfig, MemoryConnector};
//! # use provision_core::runtime::SystemClock;
//! use provision_core::testkit::fault::{Fault, FaultLayer, FaultRule, Operation};
//!
//! # async fn example() -> provision_core::Result<()> {
//! # let target = MemoryConnector::new(MemoryConfig::default(), Arc::new(SystemClock))?;
//! let layer = FaultLayer::new(Arc::new(target), Arc::new(SystemClock));
//! layer.set_rules([FaultRule::at(Operation::Check, [2], Fault::Refuse)]);
//! let cx = MemoryConnector::context();
//! layer.check(&cx).await?;
//! assert!(layer.check(&cx).await.is_err());
//! assert_eq!(layer.injected()[0].to_string(), "check 2: refuse");
//! # Ok(())
//! # }
//! ```

mod connector;
mod layer;
mod listing;
mod past;
mod record;
mod request;
mod storm;

pub use layer::{FaultLayer, LayerOptions, Observer};
pub use record::{Injected, Passed};
pub use request::{Answer, Request};
pub use storm::Storm;

pub use crate::memory::{Fault, FaultRule, Faults, Operation, When};
#[cfg(doc)]
use crate::runtime::Clock;
