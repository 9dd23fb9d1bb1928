//! Who has which roles, and what roles and stored grants give.

use std::collections::{BTreeMap, BTreeSet};

use provision_core::id::{ClassName, PolicyRef, RoleName};
use provision_core::model::Entitlement;
use provision_core::policy::{DesiredGroup, PolicyInput, Refusal, RefusalReason, RoleExclusion};

use super::Alarm;
use super::rules::Given;
use crate::bundle::{Address, Content, RoleGrant, Rule};
use crate::expression::{Facts, Failure};

/// What rules, roles and grants give one identity.
#[derive(Debug, Default)]
pub(super) struct Decided<'a> {
    /// Roles, and what gives each.
    pub(super) roles: BTreeMap<&'a str, Vec<PolicyRef>>,
    /// Accounts, and what gives each.
    pub(super) accounts: BTreeMap<Address, Vec<PolicyRef>>,
    /// Groups of accounts.
    pub(super) groups: BTreeMap<Address, Vec<DesiredGroup>>,
    /// Accounts that a failed rule may concern.
    pub(super) refusals: BTreeMap<Address, Vec<Refusal>>,
    /// Proposed rules that hold.
    pub(super) proposed: Vec<PolicyRef>,
    /// The rules that failed: which roles there are is not known.
    pub(super) failed: Vec<Refusal>,
    /// Roles that an exclusion keeps away and nothing else gives.
    pub(super) excluded: Vec<RoleExclusion>,
    /// The accounts that these would give: what excludes, and from which role.
    pub(super) kept_away: BTreeMap<Address, Vec<(PolicyRef, RoleName)>>,
}

impl Decided<'_> {
    fn exclude(&mut self, content: &Content, mut excluded: Vec<RoleExclusion>) {
        excluded.retain(|one| !self.roles.contains_key(one.role.as_str()));
        excluded.sort();
        excluded.dedup();
        for one in &excluded {
            let roles = closure(content, vec![(one.role.as_str(), one.rule.clone())]);
            let grants =
                roles.keys().filter_map(|role| content.roles.get(*role)).flat_map(|role| &role.grants);
            for (grant, _) in grants {
                if let RoleGrant::Account { account } = grant {
                    let away = self.kept_away.entry(account.clone()).or_default();
                    let reason = (one.by.clone(), one.role.clone());
                    if !away.contains(&reason) {
                        away.push(reason);
                    }
                }
            }
        }
        self.excluded = excluded;
    }
}

/// Decides what somebody has: `views` are the facts that rules look at, each with the engagement it is of where there
/// are several.
pub(super) fn decide<'a>(
    content: &'a Content,
    input: &PolicyInput<'_>,
    views: &[(&Facts<'a>, Option<&str>)],
    clock: &mut Alarm,
) -> Decided<'a> {
    let mut decided = Decided::default();
    let mut given = Given::default();
    for (facts, engagement) in views {
        given.add(content, facts, *engagement, input.proposed);
    }
    for (rule, failure) in &given.failed {
        refuse(content, rule, failure, &mut decided);
    }
    decided.proposed = given.proposed;
    decided.roles = closure(content, given.roles);
    decided.exclude(content, given.excluded);
    let known = decided.roles.keys().filter_map(|name| Some((*name, content.roles.get(*name)?)));
    for (name, role) in known {
        for (grant, _) in &role.grants {
            let because = role.id.clone();
            let address = grant.account().clone();
            match grant {
                RoleGrant::Account { .. } => {
                    decided.accounts.entry(address).or_default().push(because);
                }
                RoleGrant::Group { group, group_class, privileged, .. } => {
                    let groups = decided.groups.entry(address).or_default();
                    join(groups, group_class, group, *privileged, because);
                }
                RoleGrant::Own { group_class, privileged, .. } => {
                    let groups = decided.groups.entry(address).or_default();
                    groups.push(super::own_group::membership(name, group_class, *privileged, because));
                }
            }
        }
    }
    stored(content, input, &mut decided, clock);
    for groups in decided.groups.values_mut() {
        groups.sort_by(|a, b| (&a.class, &a.group, &a.of).cmp(&(&b.class, &b.group, &b.of)));
    }
    decided
}

/// The given roles and all they include, each with what gives it.
fn closure<'a>(content: &'a Content, given: Vec<(&'a str, PolicyRef)>) -> BTreeMap<&'a str, Vec<PolicyRef>> {
    let mut roles: BTreeMap<&'a str, Vec<PolicyRef>> = BTreeMap::new();
    let mut open = given;
    while let Some((name, because)) = open.pop() {
        let new = !roles.contains_key(name);
        roles.entry(name).or_default().push(because);
        if !new {
            continue;
        }
        let Some(role) = content.roles.get(name) else { continue };
        open.extend(role.includes.iter().map(|(included, _)| (included.as_str(), role.id.clone())));
    }
    for because in roles.values_mut() {
        because.sort();
        because.dedup();
    }
    roles
}

/// A rule that failed leaves open whether its roles apply: the accounts they touch stay as they are.
fn refuse(content: &Content, rule: &Rule, failure: &Failure, decided: &mut Decided<'_>) {
    let Some(reason) = failure.reason() else { return };
    let refusal =
        Refusal { reason, attribute: None, mapping: Some(rule.id.clone()), detail: failure.detail.clone() };
    decided.failed.push(refusal.clone());
    let given = rule.roles.iter().map(|(role, _)| (role.as_str(), rule.id.clone())).collect();
    let mut touched: BTreeSet<Address> = closure(content, given)
        .keys()
        .filter_map(|role| content.roles.get(*role))
        .flat_map(|role| &role.grants)
        .map(|(grant, _)| grant.account().clone())
        .collect();
    // Which of its rows would count is not known either.
    touched.extend(rule.rows.iter().flat_map(|rows| rows.touches.iter().cloned()));
    for address in touched {
        decided.refusals.entry(address).or_default().push(refusal.clone());
    }
}

fn join(
    groups: &mut Vec<DesiredGroup>,
    class: &ClassName,
    group: &str,
    privileged: bool,
    because: PolicyRef,
) {
    match groups.iter_mut().find(|known| known.class == *class && known.group == group && known.of.is_none())
    {
        Some(known) => {
            known.privileged |= privileged;
            known.because.push(because);
        }
        None => groups.push(DesiredGroup {
            class: class.clone(),
            group: group.to_owned(),
            of: None,
            privileged,
            because: vec![because],
        }),
    }
}

/// Adds grants by request, by hand and imported, as long as one of their origins stands.
fn stored(content: &Content, input: &PolicyInput<'_>, decided: &mut Decided<'_>, clock: &mut Alarm) {
    for grant in input.grants {
        let (stands, next) = grant.at(input.now);
        clock.at(next);
        if !stands {
            continue;
        }
        let standing = grant.origins.iter().filter(|origin| origin.validity.at(input.now).0);
        let because: Vec<PolicyRef> = standing.map(|origin| origin.reference.clone()).collect();
        match &grant.entitlement {
            Entitlement::Account { target, class, tag } => {
                let address = (target.clone(), class.clone(), tag.clone());
                decided.accounts.entry(address).or_default().extend(because);
            }
            Entitlement::Group { target, class, tag, group } => {
                let address = (target.clone(), class.clone(), tag.clone());
                let (group_class, privileged) = declared(content, &address, group);
                let groups = decided.groups.entry(address).or_default();
                for because in because {
                    join(groups, &group_class, group, privileged, because);
                }
            }
        }
    }
}

/// Class and privilege of a group as some role declares them.
fn declared(content: &Content, account: &Address, wanted: &str) -> (ClassName, bool) {
    let grants = content.roles.values().flat_map(|role| &role.grants);
    let mut found = (ClassName::new("group"), false);
    for (grant, _) in grants {
        if let RoleGrant::Group { group, group_class, privileged, .. } = grant
            && grant.account() == account
            && group == wanted
        {
            found = (group_class.clone(), found.1 || *privileged);
        }
    }
    found
}

/// The reason word for a refusal that follows from a failure.
pub(super) fn refusal(
    failure: &Failure,
    attribute: Option<&provision_core::value::AttrName>,
    id: &PolicyRef,
) -> Option<Refusal> {
    let reason: RefusalReason = failure.reason()?;
    Some(Refusal {
        reason,
        attribute: attribute.cloned(),
        mapping: Some(id.clone()),
        detail: failure.detail.clone(),
    })
}
