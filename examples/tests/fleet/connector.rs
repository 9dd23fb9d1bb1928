//! A connector whose writing calls are points.
//!
//! Each call opens the target anew, under a lock, and has ended when the caller's thread goes on: several processes
//! may use a target that is made for one at a time, and a process that is stopped at a point holds no lock of it.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use provision_core::Result;
use provision_core::connector::{
    Connector, ConnectorFactory, ConnectorInfo, Context, CreateRequest, Credential, CredentialRequest,
    DeleteRequest, Discovery, EdgeOutcome, GetRequest, LifecycleFacet, LifecycleRequest, ListEvent,
    ListRequest, Listing, MembershipFacet, MembershipRequest, Object, Outcome, RenameRequest, UpdateRequest,
    Writer,
};

use crate::point::{Act, Points};

/// Builds such connectors in the place of those that `factory` builds.
pub(crate) fn pointed(
    factory: impl Fn(&serde_json::Value) -> Result<Arc<dyn Connector>> + Send + Sync + 'static,
    points: &Arc<Points>,
) -> impl Fn(&serde_json::Value) -> Result<Arc<dyn Connector>> + Send + Sync + 'static {
    let (factory, points): (ConnectorFactory, _) = (Arc::new(factory), Arc::clone(points));
    move |config| {
        let shown = factory(config)?;
        let file = config["state_file"].as_str().or(config["path"].as_str()).unwrap();
        Ok(Arc::new(PointConnector {
            factory: Arc::clone(&factory),
            config: config.clone(),
            turn: PathBuf::from(format!("{file}.turn")),
            has_membership: shown.membership().is_some(),
            has_lifecycle: shown.lifecycle().is_some(),
            has_credential: shown.credential().is_some(),
            points: Arc::clone(&points),
        }))
    }
}

struct PointConnector {
    factory: ConnectorFactory,
    config: serde_json::Value,
    /// Held by the process whose turn it is.
    turn: PathBuf,
    has_membership: bool,
    has_lifecycle: bool,
    has_credential: bool,
    points: Arc<Points>,
}

impl std::fmt::Debug for PointConnector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PointConnector").field("turn", &self.turn).finish_non_exhaustive()
    }
}

impl PointConnector {
    /// One call on the target, from opening to closing.
    fn ask<T: Send>(
        &self,
        cx: &Context,
        call: impl for<'a> FnOnce(&'a dyn Connector, Context) -> BoxFuture<'a, Result<T>> + Send,
    ) -> Result<T> {
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let turn = File::create(&self.turn).unwrap();
                turn.lock().unwrap();
                let connector = (self.factory)(&self.config)?;
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(call(connector.as_ref(), cx.clone()))
            });
            asking.join().unwrap()
        })
    }

    /// One that writes.
    fn write<T: Send>(
        &self,
        cx: &Context,
        call: impl for<'a> FnOnce(&'a dyn Connector, Context) -> BoxFuture<'a, Result<T>> + Send,
    ) -> Result<T> {
        let nth = self.points.before(Act::Call);
        let answer = self.ask(cx, call);
        self.points.after(Act::Call, nth);
        answer
    }
}

#[async_trait]
impl Connector for PointConnector {
    fn info(&self) -> ConnectorInfo {
        (self.factory)(&self.config).unwrap().info()
    }

    async fn check(&self, cx: &Context) -> Result<()> {
        self.ask(cx, |connector, cx| Box::pin(async move { connector.check(&cx).await }))
    }

    async fn discover(&self, cx: &Context) -> Result<Discovery> {
        self.ask(cx, |connector, cx| Box::pin(async move { connector.discover(&cx).await }))
    }

    async fn get(&self, cx: &Context, request: GetRequest) -> Result<Option<Object>> {
        self.ask(cx, |connector, cx| Box::pin(async move { connector.get(&cx, request).await }))
    }

    fn list(&self, cx: &Context, request: ListRequest) -> Result<Listing> {
        let events: Vec<Result<ListEvent>> = self.ask(cx, |connector, cx| {
            Box::pin(async move { Ok(connector.list(&cx, request)?.collect().await) })
        })?;
        Ok(Box::pin(futures_util::stream::iter(events)))
    }

    fn writer(&self) -> Option<&dyn Writer> {
        Some(self)
    }

    fn membership(&self) -> Option<&dyn MembershipFacet> {
        self.has_membership.then_some(self as &dyn MembershipFacet)
    }

    fn lifecycle(&self) -> Option<&dyn LifecycleFacet> {
        self.has_lifecycle.then_some(self as &dyn LifecycleFacet)
    }

    fn credential(&self) -> Option<&dyn Credential> {
        self.has_credential.then_some(self as &dyn Credential)
    }
}

#[async_trait]
impl Writer for PointConnector {
    async fn create(&self, cx: &Context, request: CreateRequest) -> Result<Outcome> {
        self.write(cx, |connector, cx| {
            Box::pin(async move { connector.writer().unwrap().create(&cx, request).await })
        })
    }

    async fn update(&self, cx: &Context, request: UpdateRequest) -> Result<Outcome> {
        self.write(cx, |connector, cx| {
            Box::pin(async move { connector.writer().unwrap().update(&cx, request).await })
        })
    }

    async fn rename(&self, cx: &Context, request: RenameRequest) -> Result<Outcome> {
        self.write(cx, |connector, cx| {
            Box::pin(async move { connector.writer().unwrap().rename(&cx, request).await })
        })
    }

    async fn delete(&self, cx: &Context, request: DeleteRequest) -> Result<Outcome> {
        self.write(cx, |connector, cx| {
            Box::pin(async move { connector.writer().unwrap().delete(&cx, request).await })
        })
    }
}

#[async_trait]
impl MembershipFacet for PointConnector {
    async fn change(&self, cx: &Context, request: MembershipRequest) -> Result<Vec<EdgeOutcome>> {
        self.write(cx, |connector, cx| {
            Box::pin(async move { connector.membership().unwrap().change(&cx, request).await })
        })
    }
}

#[async_trait]
impl LifecycleFacet for PointConnector {
    async fn set(&self, cx: &Context, request: LifecycleRequest) -> Result<Outcome> {
        self.write(cx, |connector, cx| {
            Box::pin(async move { connector.lifecycle().unwrap().set(&cx, request).await })
        })
    }
}

#[async_trait]
impl Credential for PointConnector {
    async fn set_password(&self, cx: &Context, request: CredentialRequest) -> Result<Outcome> {
        self.write(cx, |connector, cx| {
            Box::pin(async move { connector.credential().unwrap().set_password(&cx, request).await })
        })
    }
}
