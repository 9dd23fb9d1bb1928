//! A plain target behind a layer, on a clock that moves when somebody waits.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use provision_core::connector::{
    Completeness, Connector, Context, CreateRequest, DeleteRequest, GetRequest, ListRequest, Object,
    ObjectKey, Outcome, UpdateRequest, WriteDone, collect,
};
use provision_core::delta::{Change, Delta};
use provision_core::id::LinkId;
use provision_core::memory::{MemoryConfig, MemoryConnector, Personality};
use provision_core::runtime::FixedClock;
use provision_core::testkit::fault::{FaultLayer, FaultRule, Injected, LayerOptions};
use provision_core::value::{Attributes, Timestamp, Value};
use provision_core::{Effect, Error, ErrorKind, Result, Retry};

pub(crate) struct Bench {
    pub(crate) target: MemoryConnector,
    pub(crate) layer: FaultLayer,
    pub(crate) clock: Arc<FixedClock>,
}

pub(crate) fn cx() -> Context {
    MemoryConnector::context()
}

pub(crate) fn birth(number: u128) -> CreateRequest {
    CreateRequest {
        class: "account".into(),
        attributes: Attributes::new().with("userName", format!("u{number}")).with("title", "first"),
        enabled: None,
        idempotency: LinkId::from_uuid(uuid::Uuid::from_u128(number)),
        password: None,
    }
}

impl Bench {
    pub(crate) fn new(rules: impl IntoIterator<Item = FaultRule>) -> Self {
        let clock = Arc::new(FixedClock::at(Timestamp::EPOCH.plus(Duration::from_secs(1_000_000))));
        let config = MemoryConfig::personality(Personality::Plain);
        let target = MemoryConnector::new(config, clock.clone()).unwrap();
        let layer = FaultLayer::with(Arc::new(target.clone()), clock.clone(), LayerOptions::default());
        layer.set_rules(rules);
        Self { target, layer, clock }
    }

    /// The same with that many accounts.
    pub(crate) fn with_accounts(rules: impl IntoIterator<Item = FaultRule>, accounts: u128) -> Self {
        let bench = Self::new(rules);
        let accounts = (1..=accounts).map(|number| (birth(number).attributes, None));
        bench.target.seed("account", accounts).unwrap();
        bench
    }

    pub(crate) async fn create(&self, number: u128) -> Result<WriteDone> {
        done(self.layer.writer().unwrap().create(&cx(), birth(number)).await?)
    }

    /// Whether the create never ends by itself.
    pub(crate) fn create_hangs(&self, number: u128) -> bool {
        self.create(number).now_or_never().is_none()
    }

    pub(crate) async fn retitle(&self, key: &ObjectKey, title: &str) -> Result<WriteDone> {
        let change = Change::Replace(vec![Value::text(title)]);
        let delta = Delta { changes: [("title".into(), change)].into() };
        let request = UpdateRequest { class: "account".into(), key: key.clone(), delta };
        done(self.layer.writer().unwrap().update(&cx(), request).await?)
    }

    pub(crate) async fn delete(&self, key: &ObjectKey) -> Result<WriteDone> {
        let request = DeleteRequest { class: "account".into(), key: key.clone() };
        done(self.layer.writer().unwrap().delete(&cx(), request).await?)
    }

    pub(crate) async fn get(&self, key: &ObjectKey) -> Result<Option<Object>> {
        self.layer.get(&cx(), GetRequest { class: "account".into(), key: key.clone() }).await
    }

    pub(crate) async fn list(&self, page_size: u32) -> Result<(Vec<Object>, Completeness)> {
        let request = ListRequest { page_size, ..ListRequest::all("account") };
        collect(self.layer.list(&cx(), request)?, 1000).await
    }

    /// How many accounts the target really has.
    pub(crate) fn accounts(&self) -> usize {
        self.target.dump("account").unwrap().len()
    }

    /// What acted, in one line each.
    pub(crate) fn acted(&self) -> Vec<String> {
        self.layer.injected().iter().map(Injected::to_string).collect()
    }
}

pub(crate) fn done(outcome: Outcome) -> Result<WriteDone> {
    match outcome {
        Outcome::Done(done) => Ok(done),
        Outcome::Pending { .. } => panic!("the memory target never waits"),
    }
}

pub(crate) fn said(error: &Error) -> (ErrorKind, Option<Effect>, Retry) {
    (error.kind(), error.effect_stated(), error.retry())
}

pub(crate) fn title(object: &Object) -> &str {
    object.attributes.text("title").unwrap()
}
