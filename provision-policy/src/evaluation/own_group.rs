//! Groups that stand for roles: which roles have them, what they shall be, and who is a member.

use std::collections::BTreeMap;

use provision_core::id::{ClassName, PolicyRef, RoleName, Tag};
use provision_core::model::Lifecycle;
use provision_core::policy::{DesiredGroup, Evaluation, NoNames, PolicyInput, PolicyRole};

use super::Alarm;
use super::account::Draft;
use super::roles::Decided;
use crate::bundle::{Content, ROLE_ATTRIBUTES, RoleGrant};
use crate::expression::Facts;

/// The roles that grant a group of their own.
pub(super) fn roles(content: &Content) -> Vec<PolicyRole> {
    let roles = content.roles.iter().filter(|(_, role)| role.owns_group());
    roles
        .map(|(name, role)| PolicyRole {
            name: RoleName::new(name),
            description: role.own.shown(),
            labels: role.own.labels.clone(),
            formerly: role.own.formerly.iter().map(|(former, _)| RoleName::new(former)).collect(),
        })
        .collect()
}

/// A membership in the group that stands for a role.
pub(super) fn membership(
    role: &str,
    group_class: &ClassName,
    privileged: bool,
    because: PolicyRef,
) -> DesiredGroup {
    DesiredGroup {
        class: group_class.clone(),
        group: String::new(),
        of: Some(RoleName::new(role)),
        privileged,
        because: vec![because],
    }
}

/// What the objects of a role shall be. Rules, shared values and the maps of people are not looked at.
pub(super) fn evaluate(content: &Content, name: &RoleName, input: &PolicyInput<'_>) -> Evaluation {
    let mut decided = Decided::default();
    let role = content.roles.get(name.as_str()).filter(|_| input.lifecycle != Lifecycle::Terminated);
    let because = PolicyRef::new(format!("roles.{}", name.as_str()));
    for (grant, _) in role.into_iter().flat_map(|role| &role.grants) {
        if let RoleGrant::Own { account, group_class, .. } = grant {
            let group = (account.0.clone(), group_class.clone(), Tag::main());
            let given = decided.accounts.entry(group).or_default();
            if given.is_empty() {
                given.push(because.clone());
            }
        }
    }
    let attributes = &input.identity.attributes;
    let mut facts = Facts {
        identity: input.identity,
        slots: ROLE_ATTRIBUTES.iter().map(|name| attributes.get(name)).collect(),
        origins: Vec::new(),
        lifecycle: input.lifecycle,
        today: None,
        locale: content.locale.as_deref(),
        roles: &[],
        lookups: &content.lookups,
        tables: &content.tables,
        shared: Vec::new(),
        names: BTreeMap::new(),
    };
    let mut clock = Alarm::new(input.now);
    let mut proposed = Vec::new();
    let mut accounts = Vec::with_capacity(content.role_maps.len());
    for (address, map) in &content.role_maps {
        let (clock, proposed) = (&mut clock, &mut proposed);
        let mut draft = Draft { content, input, clock, decided: &decided, proposed };
        accounts.push(draft.account(address, map, &mut facts, &mut NoNames));
    }
    proposed.sort();
    proposed.dedup();
    Evaluation { accounts, next_change_at: clock.next, proposed, ..Evaluation::default() }
}
