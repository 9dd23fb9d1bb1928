//! Memberships: edges the policy wants against edges we wrote. Foreign edges are left alone.

use std::collections::{BTreeMap, BTreeSet};

use super::account::Case;
use crate::id::{ClassName, IdentityId, RoleName};
use crate::model::{Membership, Subject};
use crate::plan::draft::{Draft, WaitingMember, WaitingReference};
use crate::plan::{Action, BudgetKind, Reason, Resolved, role_reference};
use crate::policy::{Derivation, DesiredGroup, RefusalReason};

/// Where a group is: groups of two classes may have one name.
type At<'a> = (&'a ClassName, &'a str);

/// Adds edges that are wanted and not applied, removes those that are applied and not wanted any more.
pub(super) fn plan(case: &Case<'_>, draft: &mut Draft) {
    let applied: BTreeMap<At<'_>, &Membership> =
        applied(case).map(|edge| ((&edge.group_class, edge.group.as_str()), edge)).collect();
    let mut groups: Vec<&DesiredGroup> = case.wanted.groups.iter().collect();
    groups.sort_by_key(|group| (&group.class, &group.group, &group.of));
    groups.dedup_by(|a, b| (&a.class, &a.group, &a.of) == (&b.class, &b.group, &b.of));
    let mut wanted: BTreeSet<At<'_>> = BTreeSet::new();
    for group in groups {
        let Some(found) = resolved(case, group, draft) else { continue };
        let at = (&group.class, found.key);
        // By its key and as the object of a role: one group, one edge.
        if !wanted.insert(at) || applied.get(&at).is_some_and(|edge| edge.desired) {
            continue;
        }
        if !can_hold(case, &group.class, draft) {
            continue;
        }
        let names = [Some(found.key), found.name];
        let listed = |name: &str| case.facts.settings.privileged_groups.contains(name);
        let privileged = group.privileged || names.into_iter().flatten().any(listed);
        let action = Action::AddMember {
            group_class: group.class.clone(),
            group: found.key.to_owned(),
            privileged,
            of: found.of.map(Subject::Identity),
        };
        let reason =
            Reason { attribute: None, derivation: Default::default(), because: group.because.clone() };
        draft.steps.push(case.step(action, budgets(privileged), vec![reason]));
    }
    for (_, edge) in applied.into_iter().filter(|(at, _)| !wanted.contains(at)) {
        let step = remove(case, edge);
        draft.steps.push(step);
    }
}

/// A wanted group as it is now.
struct Wanted<'a> {
    key: &'a str,
    name: Option<&'a str>,
    /// Whose object it is, where a role has it.
    of: Option<IdentityId>,
}

/// Which group is wanted. `None`: the edge waits until there is one.
fn resolved<'a>(case: &Case<'a>, group: &'a DesiredGroup, draft: &mut Draft) -> Option<Wanted<'a>> {
    let Some(role) = &group.of else { return Some(Wanted { key: &group.group, name: None, of: None }) };
    let reference = role_reference(role, &case.wanted.target, &group.class);
    match case.input.references.get(&reference) {
        Some(Resolved::Group(id, key)) => {
            Some(Wanted { key: &key.id, name: key.name.as_deref(), of: Some(*id) })
        }
        Some(Resolved::Later(to)) => {
            wait(case, group, role, *to, draft);
            None
        }
        Some(Resolved::Missing(to, key)) => {
            let held = applied(case).any(|edge| edge.group_class == group.class && edge.group == key.id);
            if !held {
                wait(case, group, role, *to, draft);
            }
            held.then_some(Wanted { key: &key.id, name: key.name.as_deref(), of: Some(*to) })
        }
        Some(Resolved::Unknown | Resolved::Key(_)) | None => {
            let detail =
                format!("nothing stands for the role `{role}` there: the policy makes no group of it");
            draft.skip(case.input, case.at(), RefusalReason::Unsupported, detail);
            None
        }
    }
}

/// Remembers an edge to a group that is not there yet.
fn wait(case: &Case<'_>, group: &DesiredGroup, role: &RoleName, to: IdentityId, draft: &mut Draft) {
    if !can_hold(case, &group.class, draft) {
        return;
    }
    let (target, class, tag) = case.at();
    draft.waiting.push(WaitingReference {
        target: target.clone(),
        class: class.clone(),
        tag: tag.clone(),
        attribute: crate::value::AttrName::new(""),
        to,
        identity_version: case.input.identity.version,
        inputs: None,
        derivation: Derivation::default(),
        member: Some(WaitingMember {
            class: group.class.clone(),
            role: role.clone(),
            privileged: group.privileged,
            because: group.because.clone(),
        }),
    });
}

/// Whether the target has memberships for a class; a skip when it has none.
fn can_hold(case: &Case<'_>, class: &ClassName, draft: &mut Draft) -> bool {
    let members = case.facts.discovery.capabilities.class(class).members;
    if !members {
        let detail = format!("the target has no memberships for class `{class}`");
        draft.skip(case.input, case.at(), RefusalReason::Unsupported, detail);
    }
    members
}

/// What an edge spends.
pub(crate) fn budgets(privileged: bool) -> Vec<BudgetKind> {
    if privileged { vec![BudgetKind::PrivilegedGrant] } else { Vec::new() }
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
