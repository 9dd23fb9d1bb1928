//! Requests and answers of all operations as one value each, so that a call can be kept, repeated and sent late.

use crate::connector::{
    ChangeFeedRequest, ChangePage, Completeness, Connector, Context, CreateRequest, CredentialRequest,
    DeleteRequest, Discovery, EdgeOutcome, GetRequest, LifecycleRequest, ListRequest, MembershipRequest,
    Object, ObjectKey, Outcome, PollRequest, RenameRequest, UpdateRequest,
};
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::id::ClassName;
use crate::memory::{About, Operation};
use crate::value::Attributes;

/// A request to a connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `check`.
    Check,
    /// `discover`.
    Discover,
    /// `get`.
    Get(GetRequest),
    /// `list`.
    List(ListRequest),
    /// `Writer::create`.
    Create(CreateRequest),
    /// `Writer::update`.
    Update(UpdateRequest),
    /// `Writer::rename`.
    Rename(RenameRequest),
    /// `Writer::delete`.
    Delete(DeleteRequest),
    /// `Writer::poll`.
    Poll(PollRequest),
    /// `MembershipFacet::change`.
    Membership(MembershipRequest),
    /// `LifecycleFacet::set`.
    Lifecycle(LifecycleRequest),
    /// `Credential::set_password`.
    Credential(CredentialRequest),
    /// `ChangeFeed::changes`.
    Changes(ChangeFeedRequest),
}

/// What a connector answers to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To `check`.
    Checked,
    /// To `discover`.
    Discovery(Discovery),
    /// To `get`.
    Object(Option<Object>),
    /// How a listing ended.
    Listed(Completeness),
    /// To a write of one object.
    Outcome(Outcome),
    /// To a membership request.
    Edges(Vec<EdgeOutcome>),
    /// To a question for changes.
    Changes(ChangePage),
}

impl Request {
    /// Which operation it is.
    pub fn operation(&self) -> Operation {
        match self {
            Self::Check => Operation::Check,
            Self::Discover => Operation::Discover,
            Self::Get(_) => Operation::Get,
            Self::List(_) => Operation::List,
            Self::Create(_) => Operation::Create,
            Self::Update(_) => Operation::Update,
            Self::Rename(_) => Operation::Rename,
            Self::Delete(_) => Operation::Delete,
            Self::Poll(_) => Operation::Poll,
            Self::Membership(_) => Operation::Membership,
            Self::Lifecycle(_) => Operation::Lifecycle,
            Self::Credential(_) => Operation::Credential,
            Self::Changes(_) => Operation::Changes,
        }
    }

    /// The class it is about.
    pub fn class(&self) -> Option<&ClassName> {
        match self {
            Self::Check | Self::Discover | Self::Poll(_) => None,
            Self::Get(request) => Some(&request.class),
            Self::List(request) => Some(&request.class),
            Self::Create(request) => Some(&request.class),
            Self::Update(request) => Some(&request.class),
            Self::Rename(request) => Some(&request.class),
            Self::Delete(request) => Some(&request.class),
            Self::Membership(request) => Some(&request.class),
            Self::Lifecycle(request) => Some(&request.class),
            Self::Credential(request) => Some(&request.class),
            Self::Changes(request) => Some(&request.class),
        }
    }

    /// The object it is about; the group of a membership request.
    pub fn key(&self) -> Option<&ObjectKey> {
        match self {
            Self::Get(request) => Some(&request.key),
            Self::Update(request) => Some(&request.key),
            Self::Rename(request) => Some(&request.key),
            Self::Delete(request) => Some(&request.key),
            Self::Membership(request) => Some(&request.group),
            Self::Lifecycle(request) => Some(&request.key),
            Self::Credential(request) => Some(&request.key),
            _ => None,
        }
    }

    /// The attributes of a create.
    pub fn attributes(&self) -> Option<&Attributes> {
        match self {
            Self::Create(request) => Some(&request.attributes),
            _ => None,
        }
    }

    pub(super) fn about(&self) -> About<'_> {
        About {
            operation: self.operation(),
            class: self.class(),
            key: self.key().map(|key| key.id.as_str()),
            attributes: self.attributes(),
        }
    }

    /// Sends it. A listing is not sent so: it is a stream.
    pub(super) async fn send(self, connector: &dyn Connector, cx: &Context) -> Result<Answer> {
        match self {
            Self::Check => connector.check(cx).await.map(|()| Answer::Checked),
            Self::Discover => connector.discover(cx).await.map(Answer::Discovery),
            Self::Get(request) => connector.get(cx, request).await.map(Answer::Object),
            Self::List(_) => Err(broken("a listing was sent as a call")),
            Self::Create(request) => has(connector.writer())?.create(cx, request).await.map(Answer::Outcome),
            Self::Update(request) => has(connector.writer())?.update(cx, request).await.map(Answer::Outcome),
            Self::Rename(request) => has(connector.writer())?.rename(cx, request).await.map(Answer::Outcome),
            Self::Delete(request) => has(connector.writer())?.delete(cx, request).await.map(Answer::Outcome),
            Self::Poll(request) => has(connector.writer())?.poll(cx, request).await.map(Answer::Outcome),
            Self::Membership(request) => {
                has(connector.membership())?.change(cx, request).await.map(Answer::Edges)
            }
            Self::Lifecycle(request) => {
                has(connector.lifecycle())?.set(cx, request).await.map(Answer::Outcome)
            }
            Self::Credential(request) => {
                has(connector.credential())?.set_password(cx, request).await.map(Answer::Outcome)
            }
            Self::Changes(request) => {
                has(connector.change_feed())?.changes(cx, request).await.map(Answer::Changes)
            }
        }
    }
}

impl Answer {
    pub(super) fn outcome(self) -> Result<Outcome> {
        match self {
            Self::Outcome(outcome) => Ok(outcome),
            other => Err(broken(&format!("a write was answered with {other:?}"))),
        }
    }
}

fn has<T: ?Sized>(facet: Option<&T>) -> Result<&T> {
    facet.ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "the connector has no such facet").with_effect(Effect::None)
    })
}

/// A mistake of the layer itself.
pub(super) fn broken(what: &str) -> Error {
    Error::new(ErrorKind::Unexpected, what)
}
