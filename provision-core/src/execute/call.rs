//! One attempt: a step becomes a request, the answer becomes an ending.

use super::credential::generate;
use super::lane::Lane;
use super::wave::Begun;
use super::{Ended, Unit};
use crate::connector::{
    Connector, Context, CreateRequest, CredentialRequest, DeleteRequest, Discovery, Edge, GetRequest,
    LifecycleRequest, ListRequest, MembershipRequest, ObjectKey, Outcome, PollRequest, RenameRequest,
    UpdateRequest, collect,
};
use std::sync::PoisonError;

use crate::delta::Change;
use crate::error::{Effect, Error, ErrorKind, Result, Retry};
use crate::filter::Filter;
use crate::id::ClassName;
use crate::model::Link;
use crate::plan::{Action, OutputRef, Step, is_protected};
use crate::policy::CredentialPolicy;
use crate::runtime::within;
use crate::store;
use crate::value::{AttrName, Attributes, ObjectRef, Secret, Value};

impl Lane<'_> {
    /// Makes one attempt at a unit.
    pub(super) async fn call(&self, unit: Unit) -> Vec<(Begun, Ended)> {
        if let Some(left) = self.pause() {
            return paused(unit, left);
        }
        let ended = match unit {
            Unit::Step(begun) => {
                let ended = self.call_step(&begun).await;
                vec![(*begun, ended)]
            }
            Unit::Edges { class, group, steps } => self.call_edges(class, group, steps).await,
        };
        for (_, ended) in &ended {
            match ended {
                Ended::Failed(error) if error.kind() == ErrorKind::RateLimited => {
                    self.pace(match error.retry() {
                        Retry::After(Some(after)) => after,
                        _ => PAUSE,
                    })
                }
                Ended::Failed(error) => self.note(Some(error.kind())),
                _ => self.note(None),
            }
        }
        ended
    }

    async fn call_step(&self, begun: &Begun) -> Ended {
        if let Some(ticket) = &begun.ticket {
            return self.poll(begun, ticket).await;
        }
        if begun.after_unknown {
            match self.read_back(begun).await {
                Ok(Some(ended)) => return ended,
                Ok(None) => {}
                // Nothing is known yet: the next attempt reads back again.
                Err(error) => return Ended::Failed(error.with_effect(Effect::Unknown)),
            }
        }
        let ended = match self.send(begun).await {
            Ok(ended) => ended,
            Err(error) => Ended::Failed(error),
        };
        match ended {
            // The answer was lost, or the target did not say: look at once, the next attempt may be hours away.
            Ended::Failed(error) if error.effect() != Effect::None => match self.read_back(begun).await {
                Ok(Some(ended)) => ended,
                Ok(None) if !super::wave::makes_link(&begun.step) || self.create_is_identified(begun) => {
                    Ended::Failed(error.with_effect(Effect::None))
                }
                Ok(None) | Err(_) => Ended::Failed(error),
            },
            ended => ended,
        }
    }

    /// A repeated create cannot make a second object: it is found by its marker, or the target remembers our id.
    pub(super) fn create_is_identified(&self, begun: &Begun) -> bool {
        let lookup = matches!(&begun.step.action, Action::Create { lookup: Some(_), .. });
        lookup || self.discovery().capabilities.class(&begun.step.class).idempotent_create
    }

    async fn send(&self, begun: &Begun) -> Result<Ended> {
        let step = &begun.step;
        let cx = self.context(step);
        let class = step.class.clone();
        let writer = || self.connector.writer().ok_or_else(|| unsupported("write"));
        let mut filled = Attributes::new();
        let outcome = match &step.action {
            Action::Create { .. } => return self.create(begun).await,
            Action::Release => return Ok(Ended::done(None, None)),
            Action::Update { delta, outputs } => {
                let mut delta = delta.clone();
                for (name, output) in outputs {
                    let value = self.output(step, output).await?;
                    let name = self.spelled(&class, name);
                    filled.set(name.clone(), vec![value.clone()]);
                    delta.changes.insert(name, Change::Replace(vec![value]));
                }
                let request = UpdateRequest { class, key: key_of(begun)?, delta };
                within(self.timeout(), writer()?.update(&cx, request)).await
            }
            Action::Rename { naming } => {
                let request = RenameRequest { class, key: key_of(begun)?, naming: naming.clone() };
                within(self.timeout(), writer()?.rename(&cx, request)).await
            }
            Action::Enable | Action::Disable => {
                let facet = self.connector.lifecycle().ok_or_else(|| unsupported("enable and disable"))?;
                let request =
                    LifecycleRequest { class, key: key_of(begun)?, enabled: step.action == Action::Enable };
                within(self.timeout(), facet.set(&cx, request)).await
            }
            Action::Delete => {
                let request = DeleteRequest { class, key: key_of(begun)? };
                match within(self.timeout(), writer()?.delete(&cx, request)).await {
                    Err(error) if error.is_not_found() => return Ok(Ended::done(None, None)),
                    outcome => outcome,
                }
            }
            Action::AddMember { .. } | Action::RemoveMember { .. } => return Err(unsupported("membership")),
        };
        Ok(match ended(outcome?) {
            Ended::Done { key, observed, enabled, read_back, found, .. } => {
                Ended::Done { key, observed, enabled, read_back, found, filled }
            }
            ended => ended,
        })
    }

    /// Look up, create, on conflict look up again.
    async fn create(&self, begun: &Begun) -> Result<Ended> {
        let Action::Create { attributes, enabled, lookup, credential } = &begun.step.action else {
            return Err(unsupported("create"));
        };
        let writer = self.connector.writer().ok_or_else(|| unsupported("write"))?;
        let capabilities = self.discovery().capabilities.class(&begun.step.class);
        let marker = self.target.settings.class(&begun.step.class).marker;
        // The target itself refuses a second object with our marker, or remembers our id: no need to ask before.
        let enforced = capabilities.idempotent_create
            || marker.as_ref().is_some_and(|marker| capabilities.unique.contains(marker));
        if !enforced && let Some(found) = self.find_by_marker(begun, lookup.as_ref()).await? {
            return Ok(found);
        }
        let password = match credential {
            Some(policy) => Some(generate(policy, self.engine.inner.random.as_ref())?),
            None => None,
        };
        let request = CreateRequest {
            class: begun.step.class.clone(),
            attributes: attributes.clone(),
            enabled: *enabled,
            idempotency: begun.entry.link.ok_or_else(|| unsupported("create without a link"))?,
            password: password.clone(),
        };
        match within(self.timeout(), writer.create(&self.context(&begun.step), request)).await {
            Ok(outcome) => {
                let ended = ended(outcome);
                if let (Ended::Done { key: Some(key), .. }, Some(password)) = (&ended, &password) {
                    self.deliver(begun, key, password).await;
                }
                Ok(ended)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists && error.effect() == Effect::None => {
                match self.find_by_marker(begun, lookup.as_ref()).await? {
                    Some(found) => Ok(found),
                    None => Ok(Ended::NameTaken(error)),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Sets a new password on an object whose create succeeded without our seeing it: the first one is lost.
    pub(super) async fn renew_credential(
        &self,
        begun: &Begun,
        key: &ObjectKey,
        policy: &CredentialPolicy,
    ) -> Result<()> {
        let Some(facet) = self.connector.credential() else { return Ok(()) };
        let password = generate(policy, self.engine.inner.random.as_ref())?;
        let request = CredentialRequest {
            class: begun.step.class.clone(),
            key: key.clone(),
            password: password.clone(),
            must_change: policy.must_change,
        };
        within(self.timeout(), facet.set_password(&self.context(&begun.step), request)).await?;
        self.deliver(begun, key, &password).await;
        Ok(())
    }

    async fn deliver(&self, begun: &Begun, key: &ObjectKey, password: &Secret) {
        let Some(delivery) = &self.engine.inner.delivery else { return };
        let (realm, step) = (&self.engine.realm, &begun.step);
        if let Err(error) = delivery.deliver(realm, step.identity, &step.target, key, password).await {
            tracing::error!(step = step.id.as_str(), error = %error, "the initial password was not delivered");
        }
    }

    async fn poll(&self, begun: &Begun, ticket: &str) -> Ended {
        let Some(writer) = self.connector.writer() else { return Ended::Failed(unsupported("write")) };
        let request = PollRequest { ticket: ticket.to_owned() };
        match within(self.timeout(), writer.poll(&self.context(&begun.step), request)).await {
            Ok(outcome) => ended(outcome),
            Err(error) => Ended::Failed(error),
        }
    }

    /// The value that an earlier step made known: the key of a subject's object, from its link.
    async fn output(&self, step: &Step, output: &OutputRef) -> Result<Value> {
        let key = Link::row_key(&step.target, &output.class, &output.tag, &output.subject);
        let link = store::get::<Link>(self.engine.store(), &self.engine.realm, &key).await?;
        let object = link.and_then(|link| link.value.key).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "the object referred to has no key yet").with_effect(Effect::None)
        })?;
        let class = self.discovery().schema.class(&step.class);
        let names = match &step.action {
            Action::Update { outputs, .. } => outputs.keys().next(),
            _ => None,
        };
        let text = names
            .and_then(|name| class.and_then(|class| class.attribute(name.as_str())))
            .is_some_and(|(_, schema)| schema.kind == crate::schema::AttributeType::Text);
        if text {
            return Ok(Value::text(object.id));
        }
        Ok(Value::Reference(ObjectRef { class: output.class.clone(), key: object.id }))
    }

    fn spelled(&self, class: &ClassName, name: &AttrName) -> AttrName {
        let class = self.discovery().schema.class(class);
        class
            .and_then(|class| class.attribute(name.as_str()))
            .map_or_else(|| name.clone(), |(known, _)| known.clone())
    }

    async fn call_edges(&self, class: ClassName, group: String, steps: Vec<Begun>) -> Vec<(Begun, Ended)> {
        let Some(facet) = self.connector.membership() else {
            return steps
                .into_iter()
                .map(|begun| (begun, Ended::Failed(unsupported("memberships"))))
                .collect();
        };
        let mut edges = Vec::with_capacity(steps.len());
        let mut called: Vec<Begun> = Vec::with_capacity(steps.len());
        let mut ended: Vec<(Begun, Ended)> = Vec::new();
        for begun in steps {
            match key_of(&begun) {
                Ok(member) => {
                    let add = matches!(begun.step.action, Action::AddMember { .. });
                    edges.push(Edge { member, add });
                    called.push(begun);
                }
                Err(error) => ended.push((begun, Ended::Failed(error))),
            }
        }
        let Some(first) = called.first() else { return ended };
        let group = match self.group(&class, &group).await {
            Ok(group) => group,
            Err(error) => {
                let record = error.record();
                ended.extend(
                    called.into_iter().map(|begun| (begun, Ended::Failed(Error::from(record.clone())))),
                );
                return ended;
            }
        };
        let request = MembershipRequest { class, group, member_class: first.step.class.clone(), edges };
        // Adding and removing a single edge may be repeated: no read-back is needed before the next attempt.
        match within(self.timeout(), facet.change(&self.context(&first.step), request)).await {
            Ok(outcomes) if outcomes.len() == called.len() => {
                ended.extend(called.into_iter().zip(outcomes).map(|(begun, outcome)| match outcome.error {
                    None => (begun, Ended::done(None, None)),
                    Some(error) => (begun, Ended::Failed(Error::from(error))),
                }));
            }
            Ok(outcomes) => {
                let message =
                    format!("{} edges were sent and {} outcomes came back", called.len(), outcomes.len());
                let failed =
                    |begun| (begun, Ended::Failed(Error::new(ErrorKind::Unexpected, message.clone())));
                ended.extend(called.into_iter().map(failed));
            }
            Err(error) => {
                let record = error.record();
                ended.extend(
                    called.into_iter().map(|begun| (begun, Ended::Failed(Error::from(record.clone())))),
                );
            }
        }
        ended
    }

    /// The key of a group that the policy names as people do: by the class's naming attribute, or by its id.
    async fn group(&self, class: &ClassName, name: &str) -> Result<ObjectKey> {
        let known = (class.clone(), name.to_owned());
        if let Some(key) = self.groups.lock().unwrap_or_else(PoisonError::into_inner).get(&known) {
            return Ok(key.clone());
        }
        let cx = Context::new(self.engine.realm.clone(), format!("{}/groups", self.header.id));
        let key =
            within(self.timeout(), find_group(self.connector.as_ref(), self.discovery(), &cx, class, name))
                .await
                .map_err(|error| error.with_effect(Effect::None))?;
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).insert(known, key.clone());
        Ok(key)
    }

    /// An object that is protected is never adopted.
    pub(super) fn may_adopt(&self, key: &ObjectKey) -> bool {
        !is_protected(&self.target.settings.protected, key)
    }
}

/// Finds a group by the class's naming attribute, else takes the name for its id.
///
/// # Errors
/// `NotFound` when the target has no such group.
pub(crate) async fn find_group(
    connector: &dyn Connector,
    discovery: &Discovery,
    cx: &Context,
    class: &ClassName,
    name: &str,
) -> Result<ObjectKey> {
    let shape = discovery.schema.class(class).cloned().unwrap_or_default();
    let filter = shape.naming.clone().map(|naming| Filter::equal(naming, name));
    let pushes = |filter: &Filter| discovery.capabilities.class(class).filter.pushes(filter);
    let (pushed, own) = match filter {
        Some(filter) if pushes(&filter) => (Some(filter), None),
        own => (None, own),
    };
    let incomplete = || {
        Error::new(ErrorKind::Unavailable, "the lookup of a group did not read everything")
            .with_context("group", name)
            .with_effect(Effect::None)
    };
    if let Some(filter) = pushed {
        let listing = connector.list(cx, ListRequest::matching(class.clone(), filter))?;
        let (mut found, completeness) = collect(listing, 10).await?;
        match (found.pop(), found.is_empty()) {
            (Some(group), true) => return Ok(group.key),
            (None, _) if !completeness.is_complete() => return Err(incomplete()),
            _ => {}
        }
    }
    let request = GetRequest { class: class.clone(), key: ObjectKey::id(name) };
    if let Some(group) = connector.get(cx, request).await? {
        return Ok(group.key);
    }
    // The target cannot be asked by name: its groups are read, boundedly, and compared here.
    if let Some(filter) = own {
        let (found, completeness) =
            collect(connector.list(cx, ListRequest::all(class.clone()))?, GROUPS_MAX).await?;
        let mut found = found.into_iter().filter(|group| filter.matches(&shape, &group.attributes));
        match (found.next(), found.next()) {
            (Some(group), None) => return Ok(group.key),
            (None, _) if !completeness.is_complete() => return Err(incomplete()),
            _ => {}
        }
    }
    Err(Error::new(ErrorKind::NotFound, "the target has no such group: create it, or correct the policy")
        .with_context("group", name)
        .with_effect(Effect::None))
}

/// Groups read to find one by name on a target that cannot be asked.
const GROUPS_MAX: usize = 100_000;

/// The key of the object a step is about: of its link, which earlier steps of the plan may have changed.
pub(super) fn key_of(begun: &Begun) -> Result<ObjectKey> {
    let key = begun.link.as_ref().and_then(|link| link.key.clone()).or_else(|| begun.step.key.clone());
    key.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "the step's object has no key: it was deleted or never created")
            .with_effect(Effect::None)
    })
}

/// How long a lane pauses when a target is overrun and does not say for how long.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

/// Steps that are not sent because the target asked for a pause.
fn paused(unit: Unit, left: std::time::Duration) -> Vec<(Begun, Ended)> {
    let steps = match unit {
        Unit::Step(begun) => vec![*begun],
        Unit::Edges { steps, .. } => steps,
    };
    let ended = |begun: Begun| {
        // What an earlier attempt did is still not known.
        let effect = if begun.after_unknown { Effect::Unknown } else { Effect::None };
        let error = Error::new(ErrorKind::RateLimited, "the target asked for a pause")
            .with_effect(effect)
            .with_retry(Retry::After(Some(left)));
        (begun, Ended::Failed(error))
    };
    steps.into_iter().map(ended).collect()
}

fn ended(outcome: Outcome) -> Ended {
    match outcome {
        Outcome::Done(done) => Ended::done(Some(done.key), done.observed),
        Outcome::Pending { ticket } => Ended::Pending(ticket),
    }
}

fn unsupported(what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("the connector cannot {what}")).with_effect(Effect::None)
}
