//! Automated account provisioning, as a library.

pub mod audit;
pub mod connector;
pub mod delta;
pub mod diagnostic;
pub mod engine;
mod error;
pub mod event;
pub mod execute;
pub mod filter;
pub mod id;
pub mod ingest;
pub mod memory;
pub mod model;
pub mod onboard;
pub mod plan;
pub mod policy;
pub mod runtime;
pub mod schema;
pub mod source;
pub mod store;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
pub mod text;
pub mod value;

pub use error::{Effect, Error, ErrorKind, ErrorRecord, Result, Retry};
