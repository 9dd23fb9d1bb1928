//! One attempt: a step becomes a request, the answer becomes an ending.

use super::company::Stage;
use super::credential::generate;
use super::lane::Lane;
use super::wave::{Begun, makes_link};
use super::{Ended, Unit};
use crate::connector::{
    CreateRequest, CredentialRequest, DeleteRequest, LifecycleRequest, ObjectKey, Outcome, PollRequest,
    RenameRequest, UpdateRequest,
};
use crate::delta::Change;
use crate::error::{Effect, Error, ErrorKind, Result, Retry};
use crate::id::ClassName;
use crate::model::Link;
use crate::plan::{Action, OutputRef, Step, is_protected};
use crate::planted::{self, Defect};
use crate::policy::CredentialPolicy;
use crate::runtime::within;
use crate::store;
use crate::value::{AttrName, Attributes, ObjectRef, Secret, Value};

impl Lane<'_> {
    /// Makes one attempt at a unit.
    pub(super) async fn call(&self, unit: Unit, stage: Option<&Stage<'_>>) -> Vec<(Begun, Ended)> {
        let arrival = stage.map(Stage::arrival);
        // Edges get their turn when they are sent: until then they may wait for company.
        let _turn = match &unit {
            Unit::Step(_) => self.call_turn().await,
            Unit::Edges { .. } => None,
        };
        if self.ends() {
            return unsent(unit, std::time::Duration::ZERO, ENDED_WHY);
        }
        if let Some(left) = self.pause() {
            return unsent(unit, left, PAUSE_WHY);
        }
        if unit.first().is_some_and(|begun| self.limit(begun).is_zero()) {
            return unsent(unit, std::time::Duration::ZERO, LATE_WHY);
        }
        let ended = match unit {
            Unit::Step(begun) => {
                let ended = self.call_step(&begun).await;
                vec![(*begun, ended)]
            }
            Unit::Edges { class, group, steps } => self.call_edges(class, group, steps, arrival).await,
        };
        self.note_request(&ended);
        ended
    }

    /// Takes note of how a request ended: once, however many edges were in it. What was not sent says nothing of the
    /// target.
    fn note_request(&self, ended: &[(Begun, Ended)]) {
        let failed = |ended: &Ended| match ended {
            Ended::Failed(error) => Some((error.kind(), error.retry())),
            _ => None,
        };
        let sent: Vec<Option<(ErrorKind, Retry)>> =
            ended.iter().map(|(_, ended)| failed(ended)).filter(|error| *error != Some(UNSENT)).collect();
        if sent.is_empty() {
            return;
        }
        let errors: Vec<(ErrorKind, Retry)> = sent.iter().flatten().copied().collect();
        if let Some((_, retry)) = errors.iter().find(|(kind, _)| *kind == ErrorKind::RateLimited) {
            return self.pace(asked_for(*retry));
        }
        match errors.first() {
            Some((kind, _)) if errors.len() == sent.len() => self.note(Some(*kind)),
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
                // A lookup that shows nothing is no proof before what was written must be shown.
                (Ok(None), _) if self.is_early(begun) => return Ended::Failed(early()),
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
                // What was made is perhaps not shown yet: the next attempt looks again, when it must be.
                Ok(None) if has_lookup(&begun.step.action) && !self.visible_after(&begun.step).is_zero() => {
                    Ended::Failed(error)
                }
                Ok(None) if !uncertain => Ended::Failed(error.with_effect(Effect::None)),
                Ok(None) | Err(_) => Ended::Failed(error),
            },
            ended => ended,
        }
    }

    /// Whether what a lost worker made may not be shown to a lookup yet.
    fn is_early(&self, begun: &Begun) -> bool {
        has_lookup(&begun.step.action) && begun.shown_at.is_some_and(|at| at > self.engine.now())
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
                    // No other name will do for the object of a role: whose the one is that has it, a person says.
                    None if self.stands_for_role(begun) => Ok(Ended::Disputed(format!(
                        "there is an object of this name already ({error}): link it to the role, or rename one of them"
                    ))),
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

    /// Hands the password over, within the time of a call: a host that does not answer keeps no lane.
    async fn deliver(&self, begun: &Begun, key: &ObjectKey, password: &Secret) {
        let Some(delivery) = &self.engine.inner.delivery else { return };
        let (realm, step) = (&self.engine.realm, &begun.step);
        let call = delivery.deliver(realm, step.identity, &step.target, key, password);
        if let Err(error) = within(self.engine.inner.clock.as_ref(), self.timeout(), call).await {
            tracing::error!(step = step.id.as_str(), error = %error, "the initial password was not delivered");
            if let Err(error) = self.tell_undelivered(begun, key, &error).await {
                tracing::error!(step = step.id.as_str(), error = %error.report(), "nor was that journalled");
            }
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
            // Not `NotFound`: that would say that the step's own object is gone.
            Error::new(
                ErrorKind::Conflict,
                "the object referred to has no key: it is not there yet, or no more",
            )
            .with_effect(Effect::None)
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

    /// Whether a step is about the object of a role.
    fn stands_for_role(&self, begun: &Begun) -> bool {
        let at = (&begun.step.target, &begun.step.class);
        let policy = self.engine.policy().ok();
        policy.is_some_and(|policy| policy.role_classes().iter().any(|(target, class)| (target, class) == at))
    }

    fn spelled(&self, class: &ClassName, name: &AttrName) -> AttrName {
        let class = self.discovery().schema.class(class);
        class
            .and_then(|class| class.attribute(name.as_str()))
            .map_or_else(|| name.clone(), |(known, _)| known.clone())
    }

    /// An object that is protected is never adopted.
    pub(super) fn may_adopt(&self, key: &ObjectKey) -> bool {
        !is_protected(&self.target.settings.protected, key)
    }
}

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

/// For how long a target that is overrun asked.
pub(super) fn asked_for(retry: Retry) -> std::time::Duration {
    match retry {
        Retry::After(Some(after)) => after,
        _ => PAUSE,
    }
}

/// Why a step is not sent while its lane pauses.
pub(super) const PAUSE_WHY: &str = "the target asked for a pause";

/// Why a step is not sent when its lane ends.
const ENDED_WHY: &str = "the lane was stopped before its turn came";

/// Why a step is not sent after its time.
const LATE_WHY: &str = "its turn did not come before the deadline of its intent";

/// What a step ends with that was not sent because its time was over: it is begun again at once.
const UNSENT: (ErrorKind, Retry) = (ErrorKind::RateLimited, Retry::After(Some(std::time::Duration::ZERO)));

/// The error of a step whose time was over before it was sent. Nothing failed: the attempt does not count, neither
/// against the step nor against the target.
pub(super) fn late() -> Error {
    unsent_for(LATE_WHY)
}

/// The error of a step that was not sent, though nothing is wrong with it: it is begun again at once.
pub(super) fn unsent_for(why: &str) -> Error {
    let (kind, retry) = UNSENT;
    Error::new(kind, why).with_effect(Effect::None).with_retry(retry)
}

/// The target was asked before it must show what was written. It answered well: its breaker hears of nothing.
fn early() -> Error {
    Error::new(ErrorKind::Conflict, "what the attempt before made may not be shown yet")
        .with_effect(Effect::Unknown)
        .with_retry(Retry::After(None))
}

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

pub(super) fn unsupported(what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("the connector cannot {what}")).with_effect(Effect::None)
}

#[cfg(test)]
mod tests {
    use super::super::workbench::{Workbench, add_member, create, now};
    use super::*;
    use crate::filter::Filter;
    use std::time::Duration;

    fn failed(kind: ErrorKind) -> Ended {
        Ended::Failed(Error::new(kind, "it failed").with_effect(Effect::None))
    }

    fn limited(after: Option<u64>) -> Ended {
        let after = Retry::After(after.map(Duration::from_secs));
        Ended::Failed(Error::new(ErrorKind::RateLimited, "slowly").with_retry(after))
    }

    #[tokio::test]
    async fn a_lane_pauses_for_as_long_as_its_target_asks() {
        let bench = Workbench::new().await;
        let pause = |ended: Vec<Ended>| {
            let lane = bench.lane();
            let ended =
                ended.into_iter().map(|ended| (bench.begun(Action::Enable), ended)).collect::<Vec<_>>();
            lane.note_request(&ended);
            lane.pause()
        };
        assert_eq!(pause(vec![limited(Some(30))]), Some(Duration::from_secs(30)));
        assert_eq!(pause(vec![limited(None)]), Some(PAUSE));
        assert_eq!(
            pause(vec![failed(ErrorKind::Unavailable), limited(Some(9))]),
            Some(Duration::from_secs(9))
        );
        assert_eq!(pause(vec![failed(ErrorKind::Unavailable), Ended::done(None, None)]), None);
    }

    #[tokio::test]
    async fn a_reference_to_an_object_that_is_gone_says_nothing_about_the_one_that_refers() {
        let bench = Workbench::new().await;
        let output = OutputRef {
            step: crate::id::StepId::new("directory/user/main/boss/create"),
            subject: crate::model::Subject::Identity(crate::id::IdentityId::from_uuid(
                uuid::Uuid::from_u128(9),
            )),
            class: "user".into(),
            tag: crate::id::Tag::main(),
        };
        let refers =
            Action::Update { delta: Default::default(), outputs: [("manager".into(), output)].into() };
        let begun = bench.begun(refers);
        let error = bench.lane().output(&begun.step, &outputs_of(&begun.step)).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::None));
    }

    fn outputs_of(step: &Step) -> OutputRef {
        let Action::Update { outputs, .. } = &step.action else { panic!("{step:?}") };
        outputs.values().next().unwrap().clone()
    }

    #[tokio::test]
    async fn a_request_counts_as_failed_when_nothing_in_it_succeeded() {
        let bench = Workbench::new().await;
        let stops = |ended: fn() -> Vec<Ended>| {
            let lane = bench.lane();
            for _ in 0..10 {
                let ended = ended().into_iter().map(|ended| (bench.begun(Action::Enable), ended));
                lane.note_request(&ended.collect::<Vec<_>>());
            }
            lane.stopped()
        };
        assert!(stops(|| vec![failed(ErrorKind::Unavailable), failed(ErrorKind::Unavailable)]));
        assert!(!stops(|| vec![failed(ErrorKind::Unavailable), Ended::done(None, None)]));
        assert!(!stops(|| vec![Ended::Pending("t".to_owned())]));
        assert!(!stops(|| vec![limited(Some(1))]));
    }

    #[tokio::test]
    async fn what_is_not_sent_stays_as_known_or_unknown_as_it_was() {
        let bench = Workbench::new().await;
        let (left, why) = (Duration::from_secs(7), "the target asked for a pause");
        let begun = || bench.begun(add_member("staff"));
        let (mut unknown, mut asked) = (begun(), begun());
        unknown.after_unknown = true;
        asked.ticket = Some("t".to_owned());
        let steps = vec![begun(), unknown, asked];
        let unit = Unit::Edges { class: "group".into(), group: "staff".to_owned(), steps };
        let ended: Vec<Ended> = unsent(unit, left, why).into_iter().map(|(_, ended)| ended).collect();
        let [Ended::Failed(first), Ended::Failed(second), Ended::Pending(ticket)] = &ended[..] else {
            panic!("{ended:?}")
        };
        assert_eq!((first.effect(), second.effect(), ticket.as_str()), (Effect::None, Effect::Unknown, "t"));
        assert_eq!(first.retry(), Retry::After(Some(left)));
        let alone = unsent(Unit::Step(Box::new(bench.begun(Action::Enable))), left, why);
        assert_eq!(alone.len(), 1);
    }

    #[tokio::test]
    async fn a_create_that_nothing_identifies_is_given_up_to_a_person() {
        let bench = Workbench::new().await;
        let given_up = |action: Action| given_up(&bench.begun(action), "the identity changed");
        assert!(matches!(given_up(create(Attributes::new())), Ended::Disputed(_)));
        let lookup = Some(Filter::equal("employeeNumber", "1"));
        let (attributes, enabled, credential) = (Attributes::new(), None, None);
        let marked = Action::Create { attributes, enabled, lookup, credential };
        assert!(has_lookup(&marked));
        assert!(matches!(given_up(marked), Ended::Skipped(_)));
        assert!(matches!(given_up(Action::Disable), Ended::Skipped(_)));
    }

    #[tokio::test]
    async fn nothing_is_sent_in_a_pause_or_after_the_deadline() {
        let bench = Workbench::new().await;
        let call = async |lane: &Lane<'_>| {
            let unit = Unit::Step(Box::new(bench.begun(Action::Release)));
            lane.call(unit, None).await.remove(0).1
        };
        assert!(matches!(call(&bench.lane()).await, Ended::Done { .. }));
        let paused = bench.lane();
        paused.pace(Duration::from_secs(1));
        let Ended::Failed(error) = call(&paused).await else { panic!("it was sent") };
        assert_eq!((error.kind(), error.effect()), (ErrorKind::RateLimited, Effect::None));
        bench.clock.set(now().plus(Duration::from_secs(31)));
        let Ended::Failed(error) = call(&bench.lane()).await else { panic!("it was sent") };
        assert_eq!(error.retry(), Retry::After(Some(Duration::ZERO)), "it is begun again");
    }
}
