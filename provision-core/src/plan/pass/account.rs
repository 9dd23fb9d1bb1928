//! Per account: create it, keep it right, bring it back, or see it off.

use super::{attributes, marker, membership, offboarding, update};
use crate::connector::DisableMeaning;
use crate::filter::Filter;
use crate::id::{ClassName, Tag, TargetName};
use crate::model::{Lifecycle, Link, LinkState};
use crate::plan::draft::{Draft, step_id};
use crate::plan::{Action, BudgetKind, PlanInput, Precondition, Reason, Step, TargetFacts};
use crate::policy::{DesiredAccount, RefusalReason};

/// One account while it is planned.
pub(super) struct Case<'a> {
    pub(super) input: &'a PlanInput<'a>,
    pub(super) wanted: &'a DesiredAccount,
    pub(super) link: Option<&'a Link>,
    pub(super) facts: &'a TargetFacts,
}

impl Case<'_> {
    pub(super) fn at(&self) -> (&TargetName, &ClassName, &Tag) {
        (&self.wanted.target, &self.wanted.class, &self.wanted.tag)
    }

    /// A step on this account.
    pub(super) fn step(&self, action: Action, budgets: Vec<BudgetKind>, reasons: Vec<Reason>) -> Step {
        let (target, class, tag) = self.at();
        Step {
            id: step_id(target, class, tag, &self.input.identity.order(), &action),
            identity: self.input.identity.id,
            label: self.input.identity.label(),
            target: target.clone(),
            class: class.clone(),
            tag: tag.clone(),
            key: self.link.and_then(|link| link.key.clone()),
            action,
            budgets,
            offboarding: false,
            needs: Vec::new(),
            inputs: std::collections::BTreeMap::new(),
            withdraws: std::collections::BTreeSet::new(),
            precondition: Precondition {
                identity_version: self.input.identity.version,
                link_revision: self.link.map(|link| link.revision),
            },
            reasons,
        }
    }

    /// Why the account is (or is not) there.
    pub(super) fn because(&self) -> Vec<Reason> {
        let reason = |derivation: &crate::policy::Derivation| Reason {
            attribute: None,
            derivation: derivation.clone(),
            because: Vec::new(),
        };
        self.wanted.because.iter().map(reason).collect()
    }
}

/// Plans every account that the policy names.
pub(in crate::plan) fn pass(input: &PlanInput<'_>, draft: &mut Draft) {
    let mut accounts: Vec<&DesiredAccount> = input.evaluation.accounts.iter().collect();
    accounts.sort_by_key(|wanted| (&wanted.target, &wanted.class, &wanted.tag));
    for wanted in accounts {
        let at = (&wanted.target, &wanted.class, &wanted.tag);
        let Some(facts) = input.targets.get(&wanted.target) else {
            if wanted.exists {
                draft.skip(
                    input,
                    at,
                    RefusalReason::Unsupported,
                    "the policy maps a target that is not configured",
                );
            }
            continue;
        };
        let link = input.links.iter().find(|link| (&link.target, &link.class, &link.tag) == at);
        let case = Case { input, wanted, link, facts };
        if input.open.contains(&(wanted.target.clone(), wanted.class.clone(), wanted.tag.clone())) {
            draft.skip(
                input,
                at,
                RefusalReason::Pending,
                "a step of an earlier plan has not ended for this account",
            );
            continue;
        }
        plan_account(&case, draft);
    }
    let unmapped = input.links.iter().filter(|link| {
        let at = (&link.target, &link.class, &link.tag);
        link.state != LinkState::Inactive
            && !link.is_only_begun()
            && !input
                .evaluation
                .accounts
                .iter()
                .any(|wanted| (&wanted.target, &wanted.class, &wanted.tag) == at)
    });
    for link in unmapped {
        let detail =
            "the policy no longer maps this account: it is left as it is; map it, or grant it to nobody";
        draft.skip(input, (&link.target, &link.class, &link.tag), RefusalReason::Unsupported, detail);
    }
}

fn plan_account(case: &Case<'_>, draft: &mut Draft) {
    if let Some(detail) = marker::unsafe_of(case) {
        draft.skip(case.input, case.at(), RefusalReason::ValueInvalid, detail);
        return disable_only(case, draft);
    }
    let state = case.link.map(|link| link.state);
    match (case.wanted.exists, state) {
        (false, None | Some(LinkState::Inactive)) => {}
        // A rule that failed may be the one that gives the account: only the end of the person takes it then.
        (false, _) if case.wanted.refusals.is_empty() || case.input.lifecycle == Lifecycle::Terminated => {
            offboarding::plan(case, draft);
        }
        (_, _) if !case.wanted.refusals.is_empty() => {
            for refusal in &case.wanted.refusals {
                draft.skip(case.input, case.at(), refusal.reason, refusal.detail.clone());
            }
            // A mistake in the data must not keep a suspended person signed in.
            disable_only(case, draft);
        }
        (_, None) => create(case, draft),
        (_, Some(_)) => match case.link {
            Some(link) if link.missing => draft.skip(
                case.input,
                case.at(),
                RefusalReason::Disputed,
                "the object is gone from the target and we did not delete it; relink it or have it created anew",
            ),
            Some(link) if link.key.is_none() => create(case, draft),
            _ => keep(case, draft),
        },
    }
}

fn create(case: &Case<'_>, draft: &mut Draft) {
    let (target, class, _) = case.at();
    let capabilities = case.facts.discovery.capabilities.class(class);
    if case.input.disputed.contains(&(target.clone(), class.clone())) {
        let detail = "an object on the target may already be this person's; decide the dispute first";
        return draft.skip(case.input, case.at(), RefusalReason::Disputed, detail);
    }
    if !case.facts.onboarded.contains(class) {
        let detail =
            "this class of the target has not been onboarded: nothing is created before its content is known";
        return draft.skip(case.input, case.at(), RefusalReason::NotOnboarded, detail);
    }
    if !capabilities.create {
        return draft.skip(
            case.input,
            case.at(),
            RefusalReason::Unsupported,
            "the target cannot create this class",
        );
    }
    let Some(created) = attributes::initial(case, draft) else { return };
    let settings = case.facts.settings.class(class);
    let lookup = settings.marker.and_then(|marker| {
        created.attributes.first(marker.as_str()).map(|value| Filter::equal(marker.clone(), value.clone()))
    });
    let enabled =
        (capabilities.disable != DisableMeaning::Unsupported).then_some(case.wanted.enabled.unwrap_or(true));
    let credential = case.wanted.credential.clone().filter(|_| capabilities.credential);
    let mut reasons = case.because();
    reasons.extend(created.reasons);
    let action = Action::Create { attributes: created.attributes, enabled, lookup, credential };
    let mut step = case.step(action, vec![BudgetKind::Create], reasons);
    step.inputs = created.inputs;
    draft.steps.push(step);
    membership::plan(case, draft);
}

fn keep(case: &Case<'_>, draft: &mut Draft) {
    update::plan(case, draft);
    enable_or_disable(case, draft);
    membership::plan(case, draft);
}

fn enable_or_disable(case: &Case<'_>, draft: &mut Draft) {
    let Some(wanted) = case.wanted.enabled else { return };
    let capabilities = case.facts.discovery.capabilities.class(&case.wanted.class);
    let is = case.link.and_then(|link| link.enabled);
    if capabilities.disable == DisableMeaning::Unsupported || is == Some(wanted) {
        return;
    }
    let (action, budgets) =
        if wanted { (Action::Enable, Vec::new()) } else { (Action::Disable, vec![BudgetKind::Disable]) };
    let mut step = case.step(action, budgets, case.because());
    step.offboarding = !wanted && case.input.lifecycle == Lifecycle::Terminated;
    draft.steps.push(step);
}

fn disable_only(case: &Case<'_>, draft: &mut Draft) {
    let active = case.link.is_some_and(|link| link.state == LinkState::Active && !link.missing);
    if active && case.wanted.enabled == Some(false) {
        enable_or_disable(case, draft);
    }
}
