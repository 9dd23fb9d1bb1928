//! A connector with one bug, in front of a sound one: what writes.

use async_trait::async_trait;
use provision_core::connector::*;
use provision_core::delta::{Change, Delta};
use provision_core::id::LinkId;
use provision_core::value::{Attributes, Value};
use provision_core::{Effect, Error, ErrorKind, Result};

use crate::bug::Bug;
use crate::connector::Buggy;

impl Buggy {
    fn inner_writer(&self) -> &dyn Writer {
        self.inner().writer().unwrap()
    }

    /// A number that was never used.
    fn next(&self) -> u128 {
        let mut used = self.used.lock().unwrap();
        let number = used.len() as u128 + 1;
        used.insert(number.to_be_bytes().to_vec());
        number
    }

    /// What becomes of a create whose name is taken.
    fn taken(&self, request: &CreateRequest, error: Error) -> Result<Outcome> {
        match self.bug {
            Bug::AdoptsByName => {
                let name = request.attributes.first("sAMAccountName").cloned();
                let objects = self.shape.target.dump(request.class.clone())?;
                let found = objects
                    .into_iter()
                    .find(|it| name.is_some() && it.attributes.first("sAMAccountName") == name.as_ref());
                found.map(|object| Outcome::done(object.key)).ok_or(error)
            }
            Bug::DuplicateIsSuccess => Ok(Outcome::done(ObjectKey::id("made-up"))),
            _ => Err(self.told(error)),
        }
    }
}

#[async_trait]
impl Writer for Buggy {
    async fn create(&self, cx: &Context, mut request: CreateRequest) -> Result<Outcome> {
        self.connected().await?;
        let cx = self.cx(cx);
        if self.is(Bug::ExactIdFolded)
            && let Some(name) = request.attributes.text("userName").map(str::to_lowercase)
        {
            request.attributes.set("userName", vec![Value::text(name)]);
        }
        if self.is(Bug::StateForgottenAtCreate) {
            request.enabled = request.enabled.map(|_| true);
        }
        if self.is(Bug::LinkNotSent) {
            request.idempotency = LinkId::from_uuid(uuid::Uuid::from_u128(self.next()));
        }
        match self.inner_writer().create(&cx, request.clone()).await {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.taken(&request, error),
            Err(error) if self.is(Bug::BlindRetry) && error.effect() == Effect::Unknown => {
                self.inner_writer().create(&cx, request).await
            }
            other => other.map_err(|error| self.told(error)),
        }
    }

    async fn update(&self, cx: &Context, mut request: UpdateRequest) -> Result<Outcome> {
        self.connected().await?;
        let (cx, writer) = (self.cx(cx), self.inner_writer());
        self.alive(&request.key)?;
        if self.is(Bug::EmptyDeltaRefused) && request.delta.is_empty() {
            let error = Error::new(ErrorKind::InvalidAttribute, "nothing is to be changed");
            return Err(error.with_effect(Effect::None));
        }
        for (name, change) in &mut request.delta.changes {
            match (self.bug, &mut *change) {
                (Bug::TrimsText, Change::Replace(values)) => {
                    for value in values {
                        *value =
                            value.as_text().map(|text| Value::text(text.trim())).unwrap_or(value.clone());
                    }
                }
                (Bug::NullAsEmptyText, Change::Clear) if name.as_str() == "title" => {
                    *change = Change::Replace(vec![Value::text("")]);
                }
                _ => {}
            }
        }
        if self.is(Bug::UpdateReplacesAll) {
            for name in ["givenName", "mobile"] {
                request.delta.changes.entry(name.into()).or_insert(Change::Clear);
            }
        }
        if self.is(Bug::UpdateNotAtomic) {
            for (name, change) in request.delta.changes.iter().rev() {
                let delta = Delta { changes: [(name.clone(), change.clone())].into() };
                writer.update(&cx, UpdateRequest { delta, ..request.clone() }).await?;
            }
        }
        let mut outcome = writer.update(&cx, request).await.map_err(|error| self.told(error));
        if let (Bug::ObservedMadeUp, Ok(Outcome::Done(done))) = (self.bug, &mut outcome) {
            done.observed = Some(Attributes::new().with("title", "made up"));
        }
        outcome
    }

    async fn rename(&self, cx: &Context, request: RenameRequest) -> Result<Outcome> {
        let (old, class) = (request.key.clone(), request.class.clone());
        self.alive(&old)?;
        let outcome =
            self.inner_writer().rename(&self.cx(cx), request).await.map_err(|error| self.told(error))?;
        match self.bug {
            Bug::OldKeyAfterRename => Ok(Outcome::done(old)),
            Bug::RenameLosesChanges => {
                let delta = Delta { changes: [("title".into(), Change::Clear)].into() };
                self.inner_writer().update(cx, UpdateRequest { class, key: old, delta }).await?;
                Ok(outcome)
            }
            _ => Ok(outcome),
        }
    }

    async fn delete(&self, cx: &Context, request: DeleteRequest) -> Result<Outcome> {
        let get = GetRequest { class: request.class.clone(), key: request.key.clone() };
        if self.is(Bug::DeleteNotRepeatable)
            && cx.deadline.is_none()
            && self.inner().get(cx, get).await?.is_none()
        {
            return Err(Error::new(ErrorKind::NotFound, "gone").with_effect(Effect::None));
        }
        if self.is(Bug::DeletedStaysMember) && cx.deadline.is_none() {
            let get = GetRequest { class: request.class.clone(), key: request.key.clone() };
            if self.inner().get(cx, get).await?.is_some() {
                self.used.lock().unwrap().insert(request.key.id.clone().into_bytes());
                return Ok(Outcome::done(request.key));
            }
        }
        self.inner_writer().delete(&self.cx(cx), request).await.map_err(|error| self.told(error))
    }

    async fn poll(&self, cx: &Context, request: PollRequest) -> Result<Outcome> {
        if self.used.lock().unwrap().contains(request.ticket.as_bytes()) {
            return Err(Error::new(ErrorKind::NotFound, "the ticket is over").with_effect(Effect::None));
        }
        let outcome =
            self.inner_writer().poll(cx, request.clone()).await.map_err(|error| self.told(error))?;
        if self.is(Bug::TicketForgotten) && matches!(outcome, Outcome::Done(_)) {
            self.used.lock().unwrap().insert(request.ticket.into_bytes());
        }
        Ok(outcome)
    }
}

impl Buggy {
    /// The members as edges of a request.
    async fn members(&self, cx: &Context, request: &MembershipRequest, add: bool) -> Result<Vec<Edge>> {
        let get = GetRequest { class: request.class.clone(), key: request.group.clone() };
        let group = self.inner().get(cx, get).await?;
        let values = group.map(|group| group.attributes.values("member").to_vec()).unwrap_or_default();
        let edge = |value: Value| match value {
            Value::Reference(member) => Some(Edge { member: ObjectKey::id(member.key), add }),
            _ => None,
        };
        Ok(values.into_iter().filter_map(edge).collect())
    }

    /// Other edges that the connector changes before those of the request.
    async fn side_edges(&self, cx: &Context, request: &MembershipRequest) -> Result<Vec<Edge>> {
        let adds = request.edges.iter().any(|edge| edge.add);
        let members = self.members(cx, request, false).await?;
        let there = |edge: &Edge| members.iter().any(|member| member.member.id == edge.member.id);
        let removes = request.edges.iter().any(|edge| !edge.add && there(edge));
        let all = match self.bug {
            Bug::RemovesAllMembers => removes,
            Bug::ReplacesMembers => adds,
            _ => false,
        };
        Ok(if all { members } else { Vec::new() })
    }
}

#[async_trait]
impl MembershipFacet for Buggy {
    async fn change(&self, cx: &Context, request: MembershipRequest) -> Result<Vec<EdgeOutcome>> {
        let facet = self.inner().membership().unwrap();
        if self.is(Bug::OversizedIsSplit) && !request.edges.is_empty() {
            let mut outcomes = Vec::new();
            for edges in request.edges.chunks(100) {
                outcomes.extend(
                    facet.change(cx, MembershipRequest { edges: edges.to_vec(), ..request.clone() }).await?,
                );
            }
            return Ok(outcomes);
        }
        let edges = self.side_edges(cx, &request).await?;
        facet
            .change(cx, MembershipRequest { edges, ..request.clone() })
            .await
            .map_err(|error| self.told(error))?;
        let before = if self.is(Bug::MembersReadAndWritten) {
            let before = self.members(cx, &request, true).await?;
            tokio::task::yield_now().await;
            Some(before)
        } else {
            None
        };
        if let Some(mut edges) = before {
            // Who came meanwhile goes again.
            for edge in self.members(cx, &request, false).await? {
                if !edges.iter().any(|known| known.member == edge.member) {
                    edges.push(edge);
                }
            }
            facet.change(cx, MembershipRequest { edges, ..request.clone() }).await?;
        }
        let outcomes = facet.change(cx, request).await.map_err(|error| self.told(error))?;
        match outcomes.iter().find_map(|outcome| outcome.error.clone()) {
            Some(error) if self.is(Bug::MissingMemberFailsAll) => Err(error.into()),
            _ => Ok(outcomes),
        }
    }
}

#[async_trait]
impl LifecycleFacet for Buggy {
    async fn set(&self, cx: &Context, request: LifecycleRequest) -> Result<Outcome> {
        if self.is(Bug::CapabilityNotImplemented) {
            return Err(Error::new(ErrorKind::Unsupported, "not yet").with_effect(Effect::None));
        }
        self.alive(&request.key)?;
        let enabled = request.enabled || self.is(Bug::DisableIgnored);
        let request = LifecycleRequest { enabled, ..request };
        let facet = self.inner().lifecycle().unwrap();
        facet.set(&self.cx(cx), request).await.map_err(|error| self.told(error))
    }
}

#[async_trait]
impl Credential for Buggy {
    async fn set_password(&self, cx: &Context, request: CredentialRequest) -> Result<Outcome> {
        let password = request.password.expose().to_owned();
        if self.is(Bug::PasswordInDebug) {
            self.shown.lock().unwrap().clone_from(&password);
        }
        let facet = self.inner().credential().unwrap();
        let result = facet.set_password(&self.cx(cx), request).await;
        match self.bug {
            Bug::PasswordInError => result.map_err(|error| error.with_context("password", password)),
            _ => result.map_err(|error| self.told(error)),
        }
    }
}

#[async_trait]
impl ChangeFeed for Buggy {
    async fn changes(&self, cx: &Context, mut request: ChangeFeedRequest) -> Result<ChangePage> {
        let given = request.token.clone().unwrap_or_default();
        if self.used.lock().unwrap().contains(&given) {
            request.token = None;
        }
        let facet = self.inner().change_feed().unwrap();
        let foreign = |token: &Vec<u8>| !token.starts_with(b"memory:");
        if self.is(Bug::ForeignTokenIsNow) && request.token.as_ref().is_some_and(foreign) {
            request.token = None;
        }
        let page = facet.changes(&self.cx(cx), request).await;
        match (page, self.bug) {
            (Err(error), Bug::FeedErrorIsEmptyPage) if error.kind() == ErrorKind::Unavailable => {
                Ok(ChangePage { events: Vec::new(), token: given, more: false })
            }
            (Err(error), Bug::TokenAdvancedOnError) if error.kind() == ErrorKind::Unavailable => {
                self.used.lock().unwrap().insert(given);
                Err(error)
            }
            (Ok(mut page), Bug::FeedForgetsDeletes) => {
                page.events.retain(|event| !event.deleted);
                Ok(page)
            }
            (Ok(mut page), Bug::FeedNewestFirst) => {
                page.events.reverse();
                Ok(page)
            }
            (Ok(page), Bug::FeedForgetsMore) => Ok(ChangePage { more: false, ..page }),
            (page, _) => page.map_err(|error| self.told(error)),
        }
    }
}
