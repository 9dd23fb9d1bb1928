//! Counting differences over a population: what is kept does not grow with it.

use std::collections::BTreeMap;
use std::fmt;

use super::{
    AccountChange, AccountCount, AttributeCount, Difference, GroupCount, HeldNames, Impact, ImpactOnOne,
    MappingCount, RefusalCount, RoleCount, RuleCount, Turn,
};
use crate::id::{ClassName, PolicyRef, RoleName, TargetName};
use crate::model::Name;
use crate::policy::{Policy, PolicyInput, Reach, RefusalReason};
use crate::value::{AttrName, Timestamp};

/// Most entries of one list of counts.
const ENTRIES_MAX: usize = 10_000;

/// Whether the values of an attribute are not to be shown.
type Hidden<'p> = Box<dyn Fn(&TargetName, &ClassName, &AttrName) -> bool + Send + Sync + 'p>;

/// The comparison of two policies over a population, one identity after the other. Needs no store.
pub struct Impacts<'p> {
    from: &'p dyn Policy,
    to: &'p dyn Policy,
    reach: Option<Box<dyn Reach>>,
    hidden: Hidden<'p>,
    limit: usize,
    impact: Impact,
    accounts: Counts<(TargetName, ClassName, AccountChange)>,
    roles: Counts<RoleName>,
    rules: Counts<PolicyRef>,
    groups: Counts<(TargetName, ClassName, String)>,
    attributes: Counts<(TargetName, ClassName, AttrName)>,
    mappings: Counts<PolicyRef>,
    refusals: Counts<(TargetName, ClassName, RefusalReason)>,
}

/// Gained and lost, by what.
#[derive(Debug)]
struct Counts<K> {
    of: BTreeMap<K, (u64, u64)>,
    beyond: u64,
}

impl<K: Ord> Counts<K> {
    fn new() -> Self {
        Self { of: BTreeMap::new(), beyond: 0 }
    }

    fn add(&mut self, key: K, turn: Turn) {
        let full = self.of.len() >= ENTRIES_MAX;
        let (gained, lost) = match self.of.get_mut(&key) {
            Some(counts) => counts,
            None if full => {
                self.beyond += 1;
                return;
            }
            None => self.of.entry(key).or_default(),
        };
        *match turn {
            Turn::Gained => gained,
            Turn::Lost => lost,
        } += 1;
    }
}

impl<'p> Impacts<'p> {
    /// Begins a comparison for an instant. `limit`: the people that are listed.
    pub fn new(from: &'p dyn Policy, to: &'p dyn Policy, as_of: Timestamp, limit: usize) -> Self {
        Self {
            from,
            to,
            reach: from.edit_to(to),
            hidden: Box::new(|_, _, _| false),
            limit,
            impact: Impact::of(from.version(), to.version(), as_of),
            accounts: Counts::new(),
            roles: Counts::new(),
            rules: Counts::new(),
            groups: Counts::new(),
            attributes: Counts::new(),
            mappings: Counts::new(),
            refusals: Counts::new(),
        }
    }

    /// Evaluates everybody, also whom the edit cannot concern.
    #[must_use]
    pub fn of_everybody(mut self) -> Self {
        self.reach = None;
        self
    }

    /// Does not show values of these attributes.
    #[must_use]
    pub fn hiding(
        mut self,
        hidden: impl Fn(&TargetName, &ClassName, &AttrName) -> bool + Send + Sync + 'p,
    ) -> Self {
        self.hidden = Box::new(hidden);
        self
    }

    /// Counts an identity; true: the edit may concern it, and [`Impacts::compare`] has to follow.
    pub fn read(&mut self, input: &PolicyInput<'_>) -> bool {
        if input.identity.role().is_some() {
            // Few, and nobody: what becomes of its groups is counted, and it is not.
            return true;
        }
        self.impact.read += 1;
        let touched = self.reach.as_ref().is_none_or(|reach| reach.touches(input));
        self.impact.touched += u64::from(touched);
        touched
    }

    /// Evaluates both policies for an identity with the names it has.
    pub fn compare(&mut self, input: &PolicyInput<'_>, names: &[Name]) {
        let from = self.from.evaluate_subject(input, &mut HeldNames::new(names, input.now));
        let to = self.to.evaluate_subject(input, &mut HeldNames::new(names, input.now));
        let mut difference = Difference::between(&from, &to);
        if difference.is_empty() {
            return;
        }
        match input.identity.role() {
            None => self.impact.differing += 1,
            Some(_) => self.impact.roles_differing += 1,
        }
        self.count(&difference);
        if self.impact.people.len() >= self.limit {
            self.impact.more_people += 1;
            return;
        }
        for account in &mut difference.accounts {
            for value in &mut account.attributes {
                if (self.hidden)(&account.target, &account.class, &value.attribute) {
                    (value.from, value.to, value.sensitive) = (None, None, true);
                }
            }
        }
        let (identity, label) = (input.identity.id, input.identity.label());
        self.impact.people.push(ImpactOnOne { identity, label, difference });
    }

    fn count(&mut self, difference: &Difference) {
        for role in &difference.roles {
            self.roles.add(role.role.clone(), role.turn);
        }
        for (rule, turn) in &difference.rules {
            self.rules.add(rule.clone(), *turn);
        }
        for account in &difference.accounts {
            let at = || (account.target.clone(), account.class.clone());
            if let Some(change) = account.change {
                let (target, class) = at();
                self.accounts.add((target, class, change), Turn::Gained);
            }
            for value in &account.attributes {
                let (target, class) = at();
                self.attributes.add((target, class, value.attribute.clone()), Turn::Gained);
                if let Some(mapping) = &value.mapping {
                    self.mappings.add(mapping.clone(), Turn::Gained);
                }
            }
            for group in &account.groups {
                let key = (account.target.clone(), group.class.clone(), group.group.clone());
                self.groups.add(key, group.turn);
            }
            // An account with two refusals of a kind is one account.
            let mut told = std::collections::BTreeSet::new();
            for found in &account.refusals {
                if told.insert((found.refusal.reason, found.turn)) {
                    let (target, class) = at();
                    self.refusals.add((target, class, found.refusal.reason), found.turn);
                }
            }
        }
    }

    /// What was found.
    pub fn finish(self) -> Impact {
        let beyond = self.accounts.beyond
            + self.roles.beyond
            + self.rules.beyond
            + self.groups.beyond
            + self.attributes.beyond
            + self.mappings.beyond
            + self.refusals.beyond;
        let accounts = self.accounts.of.into_iter();
        let roles = self.roles.of.into_iter();
        let rules = self.rules.of.into_iter();
        let groups = self.groups.of.into_iter();
        let attributes = self.attributes.of.into_iter();
        let mappings = self.mappings.of.into_iter();
        let refusals = self.refusals.of.into_iter();
        Impact {
            accounts: accounts
                .map(|((target, class, change), (count, _))| AccountCount { target, class, change, count })
                .collect(),
            roles: roles.map(|(role, (gained, lost))| RoleCount { role, gained, lost }).collect(),
            rules: rules.map(|(rule, (gained, lost))| RuleCount { rule, gained, lost }).collect(),
            groups: groups
                .map(|((target, class, group), (gained, lost))| GroupCount {
                    target,
                    class,
                    group,
                    gained,
                    lost,
                })
                .collect(),
            attributes: attributes
                .map(|((target, class, attribute), (count, _))| AttributeCount {
                    target,
                    class,
                    attribute,
                    count,
                })
                .collect(),
            mappings: mappings.map(|(mapping, (count, _))| MappingCount { mapping, count }).collect(),
            refusals: refusals
                .map(|((target, class, reason), (gained, lost))| RefusalCount {
                    target,
                    class,
                    reason,
                    gained,
                    lost,
                })
                .collect(),
            beyond,
            ..self.impact
        }
    }
}

impl fmt::Debug for Impacts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Impacts").field("so_far", &self.impact).finish_non_exhaustive()
    }
}
