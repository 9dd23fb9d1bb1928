//! The bundle as a policy: what one identity shall have.

mod account;
mod alone;
mod attribute;
mod check;
mod engaged;
mod inputs;
mod name;
mod naming;
mod own_group;
mod period;
mod roles;
mod rules;

use std::collections::BTreeMap;

use provision_core::diagnostic::Diagnostic;
use provision_core::id::{ClassName, RoleName, TargetName};
use provision_core::policy::{
    Evaluation, NameAllocator, Namespace, Policy, PolicyInput, PolicyRole, PolicyVersion, Reach, RoleDecision,
};
use provision_core::schema::Schema;
use provision_core::value::Timestamp;

pub use alone::Evaluated;
pub(crate) use inputs::Inputs;
pub(crate) use rules::{Verdict, verdict};

use self::engaged::Engaged;
use crate::bundle::{Bundle, Content};
use crate::expression::{Facts, Traced, evaluate};

impl Policy for Bundle {
    fn version(&self) -> PolicyVersion {
        PolicyVersion { label: self.0.label.clone(), hash: self.0.hash.clone() }
    }

    fn namespaces(&self) -> &[Namespace] {
        &self.0.namespaces
    }

    fn check(&self, schemas: &BTreeMap<TargetName, Schema>) -> Vec<Diagnostic> {
        check::check(&self.0, schemas)
    }

    fn edit_to(&self, other: &dyn Policy) -> Option<Box<dyn Reach>> {
        let other = other.as_any()?.downcast_ref::<Self>()?;
        Some(Box::new(Self::edit_to(self, other)))
    }

    fn as_any(&self) -> Option<&dyn std::any::Any> {
        Some(self)
    }

    fn evaluate(&self, input: &PolicyInput<'_>, names: &mut dyn NameAllocator) -> Evaluation {
        if let Some(role) = input.identity.role() {
            return own_group::evaluate(&self.0, &role, input);
        }
        match Engaged::of(input) {
            None => self.0.evaluate(input, None, names),
            Some(engaged) => self.0.evaluate(&engaged.input(input), Some(&engaged), names),
        }
    }

    fn roles(&self) -> Vec<PolicyRole> {
        own_group::roles(&self.0)
    }

    fn role_classes(&self) -> Vec<(TargetName, ClassName)> {
        self.0.role_maps.keys().map(|(target, class, _)| (target.clone(), class.clone())).collect()
    }

    fn evaluate_role(&self, role: &RoleName, input: &PolicyInput<'_>) -> Evaluation {
        own_group::evaluate(&self.0, role, input)
    }
}

impl Content {
    /// Evaluates somebody; with several engagements, `input` has the identity as they make it together.
    fn evaluate(
        &self,
        input: &PolicyInput<'_>,
        engaged: Option<&Engaged>,
        names: &mut dyn NameAllocator,
    ) -> Evaluation {
        let content = self;
        let mut clock = Alarm::new(input.now);
        let facts = facts(content, input);
        let decided = match engaged {
            None => roles::decide(content, input, &[(&facts, None)], &mut clock),
            Some(engaged) => {
                let views: Vec<_> = engaged.views(content, input).collect();
                let views: Vec<_> = views.iter().map(|(facts, name)| (facts, Some(*name))).collect();
                roles::decide(content, input, &views, &mut clock)
            }
        };
        let held: Vec<&str> = decided.roles.keys().copied().collect();
        let mut facts = Facts { roles: &held, ..facts };
        let mut proposed = decided.proposed.clone();
        let mut accounts = Vec::with_capacity(content.accounts.len());
        for (address, map) in &content.accounts {
            facts.names = BTreeMap::new();
            let (clock, proposed) = (&mut clock, &mut proposed);
            let mut draft = account::Draft { content, input, clock, decided: &decided, proposed };
            accounts.push(draft.account(address, map, &mut facts, names));
        }
        clock.at(identity_change(input));
        if content.reads_today() {
            clock.at(input.now.next_date_in(&input.identity.zone).ok());
            engaged.iter().flat_map(|engaged| engaged.midnights(input.now)).for_each(|at| clock.at(at));
        }
        proposed.sort();
        proposed.dedup();
        let roles = decided.roles.into_iter();
        Evaluation {
            excluded: decided.excluded,
            roles: roles.map(|(role, because)| RoleDecision { role: role.into(), because }).collect(),
            accounts,
            next_change_at: clock.next,
            proposed,
        }
    }
}

/// When lifecycle or anything else of the identity changes by the clock alone.
fn identity_change(input: &PolicyInput<'_>) -> Option<Timestamp> {
    let lifecycle = input.identity.lifecycle(input.now).ok().and_then(|(_, next)| next);
    let noted = input.identity.next_change_at.filter(|at| *at > input.now);
    Timestamp::earliest(lifecycle, noted)
}

/// The facts of one identity, with the shared values evaluated once.
pub(crate) fn facts<'a>(content: &'a Content, input: &PolicyInput<'a>) -> Facts<'a> {
    let attributes = &input.identity.attributes;
    let own = attributes.text("locale").or_else(|| attributes.text("preferredLanguage"));
    let mut facts = Facts {
        identity: input.identity,
        slots: content.by_slot(attributes.iter()),
        origins: content.by_slot(&input.identity.provenance),
        lifecycle: input.lifecycle,
        today: content.reads_today().then(|| input.now.date_in(&input.identity.zone).ok()).flatten(),
        locale: own.filter(|locale| !locale.is_empty()).or(content.locale.as_deref()),
        roles: &[],
        lookups: &content.lookups,
        tables: &content.tables,
        shared: Vec::with_capacity(content.shared.len()),
        names: BTreeMap::new(),
    };
    for shared in &content.shared {
        let mut traced = Traced::new();
        let found = evaluate(shared, &facts, &mut traced);
        facts.shared.push((found, traced));
    }
    facts
}

/// Keeps the earliest instant after now.
#[derive(Debug)]
struct Alarm {
    now: Timestamp,
    next: Option<Timestamp>,
}

impl Alarm {
    fn new(now: Timestamp) -> Self {
        Self { now, next: None }
    }

    fn at(&mut self, instant: Option<Timestamp>) {
        if let Some(instant) = instant.filter(|instant| *instant > self.now) {
            self.next = Some(self.next.map_or(instant, |next| next.min(instant)));
        }
    }
}
