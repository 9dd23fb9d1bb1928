//! Memberships: edges the policy wants against edges we wrote. Foreign edges are left alone.

use std::collections::{BTreeMap, BTreeSet};

use super::account::Case;
use crate::model::Membership;
use crate::plan::draft::Draft;
use crate::plan::{Action, BudgetKind, Reason};
use crate::policy::{DesiredGroup, RefusalReason};

/// Adds edges that are wanted and not applied, removes those that are applied and not wanted any more.
pub(super) fn plan(case: &Case<'_>, draft: &mut Draft) {
    let applied: BTreeMap<&str, &Membership> =
        applied(case).map(|edge| (edge.group.as_str(), edge)).collect();
    let mut wanted: Vec<&DesiredGroup> = case.wanted.groups.iter().collect();
    wanted.sort_by(|a, b| a.group.cmp(&b.group));
    wanted.dedup_by(|a, b| a.group == b.group);
    for group in &wanted {
        if applied.contains_key(group.group.as_str()) {
            continue;
        }
        if !case.facts.discovery.capabilities.class(&group.class).members {
            let detail = format!("the target has no memberships for class `{}`", group.class);
            draft.skip(case.input, case.at(), RefusalReason::Unsupported, detail);
            continue;
        }
        let privileged = group.privileged || case.facts.settings.privileged_groups.contains(&group.group);
        let action =
            Action::AddMember { group_class: group.class.clone(), group: group.group.clone(), privileged };
        let budgets = if privileged { vec![BudgetKind::PrivilegedGrant] } else { Vec::new() };
        let reason =
            Reason { attribute: None, derivation: Default::default(), because: group.because.clone() };
        draft.steps.push(case.step(action, budgets, vec![reason]));
    }
    let names: BTreeSet<&str> = wanted.iter().map(|group| group.group.as_str()).collect();
    for edge in applied.into_values().filter(|edge| !names.contains(edge.group.as_str())) {
        let step = remove(case, edge);
        draft.steps.push(step);
    }
}

/// The step that takes the account out of a group.
pub(super) fn remove(case: &Case<'_>, edge: &Membership) -> crate::plan::Step {
    let action = Action::RemoveMember { group_class: edge.group_class.clone(), group: edge.group.clone() };
    let reason = Reason {
        attribute: None,
        derivation: crate::policy::Derivation {
            identity_version: case.input.identity.version,
            note: Some("no rule, role or grant gives this membership any more".to_owned()),
            ..Default::default()
        },
        because: Vec::new(),
    };
    case.step(action, vec![BudgetKind::Revoke], vec![reason])
}

/// The edges of the account that we wrote.
pub(super) fn applied<'a>(case: &'a Case<'_>) -> impl Iterator<Item = &'a Membership> {
    let link = case.link.map(|link| link.id);
    case.input.memberships.iter().filter(move |edge| Some(edge.link) == link && edge.applied)
}
