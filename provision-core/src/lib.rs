//! Automated account provisioning as a library: model, planner, executor, store and runtime.
//!
//! A host hands over people from authoritative sources and gets every connected application kept right: accounts are
//! created when people join, changed when they move, disabled or removed when they leave, with the reason for every
//! value on record. Nothing here is a server, nothing is global, and nothing is written before somebody (or a budget)
//! allowed it.
//!
//! ```text
//! source ─► ingest ─► identity ─► policy ─► planner ─► plan ─► guard ─► journal ─► executor ─► connector ─► target
//! ```
//!
//! | you are | start at |
//! |---|---|
//! | a host developer | [`runtime::Runtime`], [`engine::Engine`] |
//! | an integration author | [`connector::Connector`], [`source::Source`], the `testkit` feature |
//! | writing policy in Rust | [`policy::Policy`] (the YAML bundle is in `provision-policy`) |
//!
//! # The road in one page
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::sync::Arc;
//!
//! use provision_core::connector::{Completeness, Connector, Registry};
//! use provision_core::engine::{ApplyOptions, PlanOptions};
//! use provision_core::memory::{MemoryConfig, MemoryConnector, Personality};
//! use provision_core::model::{Actor, Employment, Lifecycle};
//! use provision_core::plan::{Drive, Scope, TargetSettings};
//! use provision_core::policy::*;
//! use provision_core::runtime::{Progress, Runtime, SystemClock};
//! use provision_core::source::*;
//! use provision_core::store::MemoryStore;
//! use provision_core::value::{Attributes, Slot};
//!
//! /// Everybody who works here has an account named after their key.
//! #[derive(Debug)]
//! struct Everybody;
//!
//! impl Policy for Everybody {
//!     fn version(&self) -> PolicyVersion {
//!         PolicyVersion { label: "1".into(), hash: "everybody-1".into() }
//!     }
//!     fn namespaces(&self) -> &[Namespace] {
//!         &[]
//!     }
//!     fn check(&self, _: &BTreeMap<provision_core::id::TargetName, provision_core::schema::Schema>)
//!         -> Vec<provision_core::diagnostic::Diagnostic> {
//!         Vec::new()
//!     }
//!     fn evaluate(&self, input: &PolicyInput<'_>, _names: &mut dyn NameAllocator) -> Evaluation {
//!         let works = input.lifecycle == Lifecycle::Active;
//!         let name = DesiredValue {
//!             attribute: "userName".into(),
//!             slot: DesiredSlot::Known(Slot::Values(vec![input.identity.key.as_str().into()])),
//!             strength: Strength::Strong,
//!             inputs: input.identity.key.clone(),
//!             derivation: Derivation { mapping: Some("userName".into()), ..Default::default() },
//!             tolerance: None,
//!         };
//!         let account = DesiredAccount {
//!             target: "app".into(), class: "account".into(), tag: provision_core::id::Tag::main(),
//!             exists: works, enabled: Some(works), because: Vec::new(), values: vec![name],
//!             groups: Vec::new(), credential: None, refusals: Vec::new(), authority: Default::default(),
//!         };
//!         Evaluation { accounts: vec![account], ..Default::default() }
//!     }
//! }
//!
//! # #[derive(Debug)] struct Handed;
//! # #[async_trait::async_trait]
//! # impl Source for Handed {
//! #     async fn feeds(&self, _: &provision_core::connector::Context) -> provision_core::Result<Vec<Feed>> {
//! #         Ok(vec![])
//! #     }
//! #     async fn get(
//! #         &self, _: &provision_core::connector::Context, _: &str,
//! #     ) -> provision_core::Result<Option<FeedRecord>> {
//! #         Ok(None)
//! #     }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> provision_core::Result<()> {
//! let clock = Arc::new(SystemClock);
//! let app = MemoryConnector::new(MemoryConfig::personality(Personality::Plain), clock.clone())?;
//! let shared: Arc<dyn Connector> = Arc::new(app.clone());
//! let registry = Registry::new()
//!     .with_connector("memory", move |_| Ok(shared.clone()))
//!     .with_source("handed", |_| Ok(Arc::new(Handed)));
//! let runtime = Runtime::builder(Arc::new(MemoryStore::new(clock)), registry).build();
//!
//! let engine = runtime.realm("acme");
//! let me = Actor::person("operator");
//! let mut target = TargetSettings::new("app", "memory");
//! target.drive = Drive::Review;
//! target.classes.insert("account".into(), Default::default());
//! engine.put_target(&me, target).await?;
//! engine.put_source(&me, serde_json::from_str(r#"{"name": "hr", "kind": "handed"}"#).unwrap()).await?;
//! engine.set_policy(&me, Arc::new(Everybody)).await?;
//!
//! // A feed arrives: here it is handed over, usually a source reads it.
//! let jane = FeedRecord {
//!     key: "jane".into(), position: 1, attributes: Attributes::new(), employment: Employment::default(),
//!     zone: None, action: RecordAction::Upsert, fingerprint: "1".into(),
//! };
//! let end = FeedEvent::End(Completeness::Complete { proof: "end of file".into() });
//! let records = futures_util::stream::iter([Ok(FeedEvent::Records(vec![jane])), Ok(end)]);
//! let sequence = FeedSequence { order: None, content: "hash of the content".into() };
//! let feed = Feed { name: "day one".into(), mode: FeedMode::Full, sequence, records: Box::pin(records) };
//! engine.ingest_feed(&me, &"hr".into(), feed, &mut |_| {}).await?;
//!
//! // What is there already is read before anything is written.
//! engine.onboard(&me, &"app".into()).await?;
//!
//! // A plan is an artifact: read it, then apply exactly that.
//! let plan = engine.plan(&me, Scope::Changed, PlanOptions::default()).await?;
//! assert_eq!(plan.steps, 1);
//! let report = engine.apply(&me, plan.id, &ApplyOptions::default(), &Progress::new()).await?;
//! assert!(report.is_clean());
//! assert_eq!(app.dump("account")?.len(), 1);
//!
//! // Planning again finds nothing to do.
//! assert!(engine.plan(&me, Scope::All, PlanOptions::default()).await?.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! | feature | default | what it brings |
//! |---|---|---|
//! | `sqlite` | yes | the store in one SQLite file |
//! | `sqlite-bundled` | yes | builds SQLite; turn it off to link the host's |
//! | `nats` | no | events to NATS JetStream, commands from it |
//! | `testkit` | no | the suites that stores and connectors are held to, and a fault layer for connectors |
//! | `testkit-proxy` | no | TCP and HTTP proxies that make faults |
//! | `planted` | no | defects for the tests of this crate; not part of its promises |
//!
//! Without default features the crate does no I/O of its own.

pub mod audit;
pub mod connector;
pub mod correlate;
pub mod delta;
pub mod diagnostic;
pub mod engine;
mod error;
pub mod event;
pub mod execute;
pub mod filter;
pub mod id;
pub mod impact;
pub mod ingest;
pub mod memory;
pub mod model;
pub mod onboard;
pub mod plan;
#[cfg(feature = "planted")]
pub mod planted;
#[cfg(not(feature = "planted"))]
mod planted;
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
