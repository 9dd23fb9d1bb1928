//! The layer as a connector: it has the facets that the connector behind it has.

use async_trait::async_trait;

use super::layer::FaultLayer;
use super::listing;
use super::request::{Answer, Request, broken};
use crate::connector::{
    ChangeFeed, ChangeFeedRequest, ChangePage, Connector, ConnectorInfo, Context, CreateRequest, Credential,
    CredentialRequest, DeleteRequest, Discovery, EdgeOutcome, GetRequest, LifecycleFacet, LifecycleRequest,
    ListRequest, Listing, MembershipFacet, MembershipRequest, Object, Outcome, PollRequest, RenameRequest,
    UpdateRequest, Writer,
};
use crate::error::Result;

#[async_trait]
impl Connector for FaultLayer {
    fn info(&self) -> ConnectorInfo {
        self.inner().info()
    }

    async fn check(&self, cx: &Context) -> Result<()> {
        self.shared.call(cx, Request::Check).await.map(drop)
    }

    async fn discover(&self, cx: &Context) -> Result<Discovery> {
        match self.shared.call(cx, Request::Discover).await? {
            Answer::Discovery(discovery) => Ok(discovery),
            other => Err(broken(&format!("`discover` was answered with {other:?}"))),
        }
    }

    async fn get(&self, cx: &Context, request: GetRequest) -> Result<Option<Object>> {
        match self.shared.call(cx, Request::Get(request)).await? {
            Answer::Object(object) => Ok(object),
            other => Err(broken(&format!("`get` was answered with {other:?}"))),
        }
    }

    fn list(&self, cx: &Context, request: ListRequest) -> Result<Listing> {
        let listing = self.inner().list(cx, request.clone())?;
        Ok(listing::spoiled(&self.shared, cx.clone(), request, listing))
    }

    fn writer(&self) -> Option<&dyn Writer> {
        self.inner().writer().map(|_| self as &dyn Writer)
    }

    fn membership(&self) -> Option<&dyn MembershipFacet> {
        self.inner().membership().map(|_| self as &dyn MembershipFacet)
    }

    fn lifecycle(&self) -> Option<&dyn LifecycleFacet> {
        self.inner().lifecycle().map(|_| self as &dyn LifecycleFacet)
    }

    fn credential(&self) -> Option<&dyn Credential> {
        self.inner().credential().map(|_| self as &dyn Credential)
    }

    fn change_feed(&self) -> Option<&dyn ChangeFeed> {
        self.inner().change_feed().map(|_| self as &dyn ChangeFeed)
    }
}

#[async_trait]
impl Writer for FaultLayer {
    async fn create(&self, cx: &Context, request: CreateRequest) -> Result<Outcome> {
        self.shared.call(cx, Request::Create(request)).await?.outcome()
    }

    async fn update(&self, cx: &Context, request: UpdateRequest) -> Result<Outcome> {
        self.shared.call(cx, Request::Update(request)).await?.outcome()
    }

    async fn rename(&self, cx: &Context, request: RenameRequest) -> Result<Outcome> {
        self.shared.call(cx, Request::Rename(request)).await?.outcome()
    }

    async fn delete(&self, cx: &Context, request: DeleteRequest) -> Result<Outcome> {
        self.shared.call(cx, Request::Delete(request)).await?.outcome()
    }

    async fn poll(&self, cx: &Context, request: PollRequest) -> Result<Outcome> {
        self.shared.call(cx, Request::Poll(request)).await?.outcome()
    }
}

#[async_trait]
impl MembershipFacet for FaultLayer {
    async fn change(&self, cx: &Context, request: MembershipRequest) -> Result<Vec<EdgeOutcome>> {
        match self.shared.call(cx, Request::Membership(request)).await? {
            Answer::Edges(outcomes) => Ok(outcomes),
            other => Err(broken(&format!("a membership request was answered with {other:?}"))),
        }
    }
}

#[async_trait]
impl LifecycleFacet for FaultLayer {
    async fn set(&self, cx: &Context, request: LifecycleRequest) -> Result<Outcome> {
        self.shared.call(cx, Request::Lifecycle(request)).await?.outcome()
    }
}

#[async_trait]
impl Credential for FaultLayer {
    async fn set_password(&self, cx: &Context, request: CredentialRequest) -> Result<Outcome> {
        self.shared.call(cx, Request::Credential(request)).await?.outcome()
    }
}

#[async_trait]
impl ChangeFeed for FaultLayer {
    async fn changes(&self, cx: &Context, request: ChangeFeedRequest) -> Result<ChangePage> {
        match self.shared.call(cx, Request::Changes(request)).await? {
            Answer::Changes(page) => Ok(page),
            other => Err(broken(&format!("a question for changes was answered with {other:?}"))),
        }
    }
}
