//! One attempt: a step becomes a request, the answer becomes an ending.

use super::credential::generate;
use super::lane::Lane;
use super::wave::{Begun, makes_link};
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
use crate::planted::{self, Defect};
use crate::policy::CredentialPolicy;
use crate::store;
use crate::value::{AttrName, Attributes, ObjectRef, Secret, Value};

impl Lane<'_> {
    /// Makes one attempt at a unit.
    pub(super) async fn call(&self, unit: Unit) -> Vec<(Begun, Ended)> {
        if let Some(left) = self.pause() {
            return unsent(unit, left, "the target asked for a pause");
        }
        if unit.first().is_some_and(|begun| self.limit(begun).is_zero()) {
            let why = "its turn did not come before the deadline of its intent";
            return unsent(unit, std::time::Duration::ZERO, why);
        }
        let ended = match unit {
            Unit::Step(begun) => {
                let ended = self.call_step(&begun).await;
                vec![(*begun, ended)]
            }
            Unit::Edges { class, group, steps } => self.call_edges(class, group, steps).await,
        };
        self.note_request(&ended);
        ended
    }

    /// Takes note of how a request ended: once, however many edges were in it.
    fn note_request(&self, ended: &[(Begun, Ended)]) {
        let failed = |(_, ended): &'_ (Begun, Ended)| match ended {
            Ended::Failed(error) => Some((error.kind(), error.retry())),
            _ => None,
        };
        let errors: Vec<(ErrorKind, Retry)> = ended.iter().filter_map(failed).collect();
        if let Some((_, retry)) = errors.iter().find(|(kind, _)| *kind == ErrorKind::RateLimited) {
            return self.pace(match retry {
                Retry::After(Some(after)) => *after,
                _ => PAUSE,
            });
        }
        match errors.first() {
            Some((kind, _)) if errors.len() == ended.len() => self.note(Some(*kind)),
            _ => self.note(None),
        }
    }

    async fn call_step(&self, begun: &Begun) -> Ended {
        if let Some(ticket) = &begun.ticket {
            return self.poll(begun, ticket).await;
        }
        // Planted: an attempt that may have had an effect counts as one that had none.
        if planted::is(Defect::BlindRetry) {
            let unsent = |error: Error| Ended::Failed(error.with_effect(Effect::None));
            return self.send(begun).await.unwrap_or_else(unsent);
        }
        if begun.after_unknown {
            match (self.read_back(begun).await, &begun.resolve_only) {
                (Ok(Some(ended)), _) => return ended,
                (Ok(None), Some(why)) => return given_up(begun, why),
                (Ok(None), None) => {}
                // Nothing is known yet: the next attempt reads back again.
                (Err(error), _) => return Ended::Failed(error.with_effect(Effect::Unknown)),
            }
        }
        let ended = match self.send(begun).await {
            Ok(ended) => ended,
            Err(error) => Ended::Failed(error),
        };
        // Only the target knows what the attempt before did, and it was not reached: that is still not known.
        let uncertain = makes_link(&begun.step) && !has_lookup(&begun.step.action);
        let ended = match ended {
            Ended::Failed(error) if begun.after_unknown && uncertain => {
                Ended::Failed(error.with_effect(Effect::Unknown))
            }
            ended => ended,
        };
        match ended {
            // The answer was lost, or the target did not say: look at once, the next attempt may be hours away.
            Ended::Failed(error) if error.effect() != Effect::None => match self.read_back(begun).await {
                Ok(Some(ended)) => ended,
                Ok(None) if !uncertain => Ended::Failed(error.with_effect(Effect::None)),
                Ok(None) | Err(_) => Ended::Failed(error),
            },
            ended => ended,
        }
    }

    /// A repeated create cannot make a second object: it is found by its marker, or the target remembers our id.
    pub(super) fn create_is_identified(&self, begun: &Begun) -> bool {
        has_lookup(&begun.step.action)
            || self.discovery().capabilities.class(&begun.step.class).idempotent_create
    }

    async fn send(&self, begun: &Begun) -> Result<Ended> {
        let step = &begun.step;
        let cx = self.context(begun);
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
                self.within(begun, writer()?.update(&cx, request)).await
            }
            Action::Rename { naming } => {
                let request = RenameRequest { class, key: key_of(begun)?, naming: naming.clone() };
                self.within(begun, writer()?.rename(&cx, request)).await
            }
            Action::Enable | Action::Disable => {
                let facet = self.connector.lifecycle().ok_or_else(|| unsupported("enable and disable"))?;
                let request =
                    LifecycleRequest { class, key: key_of(begun)?, enabled: step.action == Action::Enable };
                self.within(begun, facet.set(&cx, request)).await
            }
            Action::Delete => {
                let request = DeleteRequest { class, key: key_of(begun)? };
                match self.within(begun, writer()?.delete(&cx, request)).await {
                    Err(error) if error.is_not_found() => return Ok(Ended::done(None, None)),
                    outcome => outcome,
                }
            }
            Action::AddMember { .. } | Action::RemoveMember { .. } => return Err(unsupported("membership")),
        };
        Ok(match ended(outcome?) {
            Ended::Done { key, observed, enabled, read_back, found, renewed, .. } => {
                Ended::Done { key, observed, enabled, read_back, found, filled, renewed }
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
        // Planted (blind retry): what the attempt before made is not looked for.
        let blind = begun.entry.attempts > 1 && planted::is(Defect::BlindRetry);
        if !enforced
            && !blind
            && let Some(found) = self.find_by_marker(begun, lookup.as_ref()).await?
        {
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
        match self.within(begun, writer.create(&self.context(begun), request)).await {
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
                    // Planted: whoever has the name is taken for ours.
                    None if planted::is(Defect::AdoptionByName) => self.find_by_name(begun, attributes).await,
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
    ) -> Result<bool> {
        let Some(facet) = self.connector.credential() else { return Ok(false) };
        let password = generate(policy, self.engine.inner.random.as_ref())?;
        let request = CredentialRequest {
            class: begun.step.class.clone(),
            key: key.clone(),
            password: password.clone(),
            must_change: policy.must_change,
        };
        self.within(begun, facet.set_password(&self.context(begun), request)).await?;
        self.deliver(begun, key, &password).await;
        Ok(true)
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
        match self.within(begun, writer.poll(&self.context(begun), request)).await {
            Ok(outcome) => ended(outcome),
            // The question failed, not what was asked about: the ticket stays good.
            Err(error) if error.record().retryable => Ended::Pending(ticket.to_owned()),
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
        let group = match self.group(first, &class, &group).await {
            Ok(Some(group)) => group,
            Ok(None) => {
                ended.extend(called.into_iter().map(|begun| without_group(begun, &group)));
                return ended;
            }
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
        match self.within(first, facet.change(&self.context(first), request)).await {
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
            // Planted: whoever changes the group at the same time is trusted to have taken our edges along.
            Err(error) if error.kind() == ErrorKind::Conflict && planted::is(Defect::EdgeLostInGroup) => {
                ended.extend(called.into_iter().map(|begun| (begun, Ended::done(None, None))));
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
    /// `None`: the target certainly has no such group.
    async fn group(&self, begun: &Begun, class: &ClassName, name: &str) -> Result<Option<ObjectKey>> {
        let known = (class.clone(), name.to_owned());
        if let Some(key) = self.groups.lock().unwrap_or_else(PoisonError::into_inner).get(&known) {
            return Ok(Some(key.clone()));
        }
        let cx = Context::new(self.engine.realm.clone(), format!("{}/groups", self.header.id));
        let key = self
            .within(begun, seek_group(self.connector.as_ref(), self.discovery(), &cx, class, name))
            .await
            .map_err(|error| error.with_effect(Effect::None))?;
        if let Some(key) = &key {
            self.groups.lock().unwrap_or_else(PoisonError::into_inner).insert(known, key.clone());
        }
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
    seek_group(connector, discovery, cx, class, name).await?.ok_or_else(|| no_group(name))
}

fn no_group(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, "the target has no such group: create it, or correct the policy")
        .with_context("group", name)
        .with_effect(Effect::None)
}

/// An edge of a group that is gone: there is nothing to be taken out of, and nothing to be put in.
fn without_group(begun: Begun, group: &str) -> (Begun, Ended) {
    let ended = match &begun.step.action {
        Action::RemoveMember { .. } => Ended::done(None, None),
        _ => Ended::Failed(no_group(group)),
    };
    (begun, ended)
}

/// Finds a group; `None` when complete reads did not hold it.
async fn seek_group(
    connector: &dyn Connector,
    discovery: &Discovery,
    cx: &Context,
    class: &ClassName,
    name: &str,
) -> Result<Option<ObjectKey>> {
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
    let several = || {
        Error::new(ErrorKind::Conflict, "several groups have this name: name the group by its id")
            .with_context("group", name)
            .with_effect(Effect::None)
    };
    let mut ambiguous = false;
    if let Some(filter) = pushed {
        let listing = connector.list(cx, ListRequest::matching(class.clone(), filter))?;
        let (mut found, completeness) = collect(listing, 10).await?;
        match (found.pop(), found.is_empty()) {
            (Some(group), true) => return Ok(Some(group.key)),
            (None, _) if !completeness.is_complete() => return Err(incomplete()),
            (Some(_), false) => ambiguous = true,
            (None, _) => {}
        }
    }
    let request = GetRequest { class: class.clone(), key: ObjectKey::id(name) };
    if let Some(group) = connector.get(cx, request).await? {
        return Ok(Some(group.key));
    }
    // The target cannot be asked by name: its groups are read, boundedly, and compared here.
    if let Some(filter) = own {
        let (found, completeness) =
            collect(connector.list(cx, ListRequest::all(class.clone()))?, GROUPS_MAX).await?;
        let mut found = found.into_iter().filter(|group| filter.matches(&shape, &group.attributes));
        match (found.next(), found.next()) {
            (Some(group), None) => return Ok(Some(group.key)),
            (None, _) if !completeness.is_complete() => return Err(incomplete()),
            (Some(_), Some(_)) => ambiguous = true,
            (None, _) => {}
        }
    }
    if ambiguous { Err(several()) } else { Ok(None) }
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

fn has_lookup(action: &Action) -> bool {
    matches!(action, Action::Create { lookup: Some(_), .. })
}

/// How an attempt ends that was to find out what the one before did, and found nothing.
fn given_up(begun: &Begun, why: &str) -> Ended {
    match &begun.step.action {
        // Only sending again would tell, and the create is not wanted as it is any more.
        Action::Create { lookup: None, .. } => Ended::Disputed(format!(
            "the answer to the create was lost and {why}: look whether the object is there, then link it or have it \
             created again"
        )),
        _ => Ended::Skipped(why.to_owned()),
    }
}

/// Steps that are not sent, and when they may be.
fn unsent(unit: Unit, left: std::time::Duration, why: &str) -> Vec<(Begun, Ended)> {
    let steps = match unit {
        Unit::Step(begun) => vec![*begun],
        Unit::Edges { steps, .. } => steps,
    };
    let ended = |begun: Begun| {
        // What an earlier attempt did is still not known.
        let effect = if begun.is_open() { Effect::Unknown } else { Effect::None };
        if let Some(ticket) = &begun.ticket {
            let ended = Ended::Pending(ticket.clone());
            return (begun, ended);
        }
        let error = Error::new(ErrorKind::RateLimited, why.to_owned())
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
