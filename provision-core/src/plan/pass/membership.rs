//! Memberships: edges the policy wants against edges we wrote. Foreign edges are left alone.

use std::collections::{BTreeMap, BTreeSet};

use super::account::Case;
use crate::id::ClassName;
use crate::model::Membership;
use crate::plan::draft::Draft;
use crate::plan::{Action, BudgetKind, Reason};
use crate::policy::{DesiredGroup, RefusalReason};

/// Adds edges that are wanted and not applied, removes those that are applied and not wanted any more.
pub(super) fn plan(case: &Case<'_>, draft: &mut Draft) {
    let applied: BTreeMap<(&ClassName, &str), &Membership> =
        applied(case).map(|edge| ((&edge.group_class, edge.group.as_str()), edge)).collect();
    let mut wanted: Vec<&DesiredGroup> = case.wanted.groups.iter().collect();
    wanted.sort_by_key(|group| at(group));
    wanted.dedup_by(|a, b| at(a) == at(b));
    for group in &wanted {
        if applied.get(&at(group)).is_some_and(|edge| edge.desired) {
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
    let wanted: BTreeSet<(&ClassName, &str)> = wanted.into_iter().map(at).collect();
    for (_, edge) in applied.into_iter().filter(|(at, _)| !wanted.contains(at)) {
        let step = remove(case, edge);
        draft.steps.push(step);
    }
}

/// Where a group is: groups of two classes may have one name.
fn at(group: &DesiredGroup) -> (&ClassName, &str) {
    (&group.class, group.group.as_str())
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

/// The edges of the account that we wrote. An object that is gone has none, whatever the rows of it say.
pub(super) fn applied<'a>(case: &'a Case<'_>) -> impl Iterator<Item = &'a Membership> {
    let link = case.link.filter(|link| link.key.is_some()).map(|link| link.id);
    case.input.memberships.iter().filter(move |edge| Some(edge.link) == link && edge.applied)
}
