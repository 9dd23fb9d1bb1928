//! Two evaluations of one identity, compared.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::{ClassName, PolicyRef, RoleName, Tag, TargetName};
use crate::policy::{
    DesiredAccount, DesiredSlot, DesiredValue, Evaluation, Refusal, RefusalReason, Strength,
};
use crate::value::AttrName;

/// What one evaluation decides and the other does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<RoleDifference>,
    /// Rules (and whatever else gives roles) that apply in one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<(PolicyRef, Turn)>,
    /// Accounts of which anything differs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<AccountDifference>,
}

/// Which of the two has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// The second only.
    Gained,
    /// The first only.
    Lost,
}

/// A role that one of them gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleDifference {
    /// The role.
    pub role: RoleName,
    /// Which of them.
    pub turn: Turn,
    /// What gives it there.
    pub because: Vec<PolicyRef>,
}

/// What becomes of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountChange {
    /// It shall be, and should not before.
    Create,
    /// It shall be enabled.
    Enable,
    /// It shall be disabled.
    Disable,
    /// It shall not be any more.
    Offboard,
    /// The policy does not map it any more: it is left as it is.
    Release,
}

impl AccountChange {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Offboard => "offboard",
            Self::Release => "release",
        }
    }
}

/// What differs about one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDifference {
    /// Where.
    pub target: TargetName,
    /// Of which class.
    pub class: ClassName,
    /// Which of the identity's accounts there.
    pub tag: Tag,
    /// What becomes of it as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<AccountChange>,
    /// What decides that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<PolicyRef>,
    /// Values, of an account that both want.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<AttributeDifference>,
    /// Groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupDifference>,
    /// Refusals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<RefusalDifference>,
}

/// A value that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeDifference {
    /// The attribute.
    pub attribute: AttrName,
    /// What it was to be; `None`: it was left alone, or is not shown.
    pub from: Option<DesiredSlot>,
    /// What it is to be; `None`: it is left alone, or is not shown.
    pub to: Option<DesiredSlot>,
    /// How strongly, where only one wants it or that differs.
    pub strength: (Option<Strength>, Option<Strength>),
    /// The mapping that gives the new value, or gave the old one.
    pub mapping: Option<PolicyRef>,
    /// The target's schema says that its values are not shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
}

/// A group that one of them wants the account in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupDifference {
    /// Class of the group object.
    pub class: ClassName,
    /// Its key.
    pub group: String,
    /// Which of them.
    pub turn: Turn,
    /// What gives it there.
    pub because: Vec<PolicyRef>,
}

/// A refusal in one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalDifference {
    /// Which of them.
    pub turn: Turn,
    /// The refusal.
    #[serde(flatten)]
    pub refusal: Refusal,
}

impl Difference {
    /// Compares two evaluations. When they change by the clock, where their inputs stand in the text, and what else
    /// changes nothing that is written, is no difference.
    pub fn between(from: &Evaluation, to: &Evaluation) -> Self {
        let mut difference = Self { accounts: accounts(from, to), ..Self::default() };
        let roles = |evaluation: &Evaluation| -> BTreeMap<RoleName, Vec<PolicyRef>> {
            evaluation.roles.iter().map(|role| (role.role.clone(), role.because.clone())).collect()
        };
        let (old, new) = (roles(from), roles(to));
        for (role, turn, because) in turns(&old, &new) {
            difference.roles.push(RoleDifference { role: role.clone(), turn, because: because.clone() });
        }
        let rules = |roles: &BTreeMap<RoleName, Vec<PolicyRef>>| -> BTreeMap<PolicyRef, ()> {
            roles.values().flatten().map(|rule| (rule.clone(), ())).collect()
        };
        let (old, new) = (rules(&old), rules(&new));
        difference.rules = turns(&old, &new).map(|(rule, turn, ())| (rule.clone(), turn)).collect();
        difference
    }

    /// Nothing differs.
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty() && self.rules.is_empty() && self.accounts.is_empty()
    }
}

/// What only one of two maps has, in order.
fn turns<'m, K: Ord, V>(
    old: &'m BTreeMap<K, V>,
    new: &'m BTreeMap<K, V>,
) -> impl Iterator<Item = (&'m K, Turn, &'m V)> {
    let keys: BTreeSet<&K> = old.keys().chain(new.keys()).collect();
    keys.into_iter().filter_map(|key| match (old.get_key_value(key), new.get_key_value(key)) {
        (Some((key, value)), None) => Some((key, Turn::Lost, value)),
        (None, Some((key, value))) => Some((key, Turn::Gained, value)),
        _ => None,
    })
}

fn accounts(from: &Evaluation, to: &Evaluation) -> Vec<AccountDifference> {
    type Key = (TargetName, ClassName, Tag);
    let by = |evaluation: &'_ Evaluation| -> BTreeMap<Key, DesiredAccount> {
        let key =
            |account: &DesiredAccount| (account.target.clone(), account.class.clone(), account.tag.clone());
        evaluation.accounts.iter().map(|account| (key(account), account.clone())).collect()
    };
    let (old, new) = (by(from), by(to));
    let keys: BTreeSet<&Key> = old.keys().chain(new.keys()).collect();
    let compared = keys.into_iter().map(|key| account(key, old.get(key), new.get(key)));
    compared.filter(|found| !found.is_empty()).collect()
}

fn account(
    key: &(TargetName, ClassName, Tag),
    old: Option<&DesiredAccount>,
    new: Option<&DesiredAccount>,
) -> AccountDifference {
    let there = |account: Option<&DesiredAccount>| account.is_some_and(|account| account.exists);
    let enabled = |account: Option<&DesiredAccount>| account.and_then(|account| account.enabled);
    let change = match (there(old), there(new)) {
        (false, true) => Some(AccountChange::Create),
        (true, false) if new.is_none() => Some(AccountChange::Release),
        (true, false) => Some(AccountChange::Offboard),
        (true, true) => match (enabled(old), enabled(new)) {
            (None | Some(true), Some(false)) => Some(AccountChange::Disable),
            (None | Some(false), Some(true)) => Some(AccountChange::Enable),
            _ => None,
        },
        (false, false) => None,
    };
    let decides = if there(new) || new.is_some_and(|new| !new.because.is_empty()) { new } else { old };
    let because = decides.filter(|_| change.is_some()).into_iter().flat_map(|account| &account.because);
    AccountDifference {
        target: key.0.clone(),
        class: key.1.clone(),
        tag: key.2.clone(),
        change,
        because: because.filter_map(|derivation| derivation.mapping.clone()).collect(),
        attributes: if there(old) && there(new) { attributes(old, new) } else { Vec::new() },
        groups: groups(old.filter(|_| there(old)), new.filter(|_| there(new))),
        refusals: refusals(old, new),
    }
}

impl AccountDifference {
    fn is_empty(&self) -> bool {
        self.change.is_none()
            && self.attributes.is_empty()
            && self.groups.is_empty()
            && self.refusals.is_empty()
    }
}

fn attributes(old: Option<&DesiredAccount>, new: Option<&DesiredAccount>) -> Vec<AttributeDifference> {
    let by = |account: Option<&DesiredAccount>| -> BTreeMap<AttrName, DesiredValue> {
        let values = account.into_iter().flat_map(|account| &account.values);
        values.map(|value| (value.attribute.clone(), value.clone())).collect()
    };
    let (old, new) = (by(old), by(new));
    let names: BTreeSet<&AttrName> = old.keys().chain(new.keys()).collect();
    let mut found = Vec::new();
    for name in names {
        let (old, new) = (old.get(name), new.get(name));
        let slot = |value: Option<&DesiredValue>| value.map(|value| value.slot.clone());
        let strength = |value: Option<&DesiredValue>| value.map(|value| value.strength);
        if slot(old) != slot(new) || strength(old) != strength(new) {
            found.push(AttributeDifference {
                attribute: name.clone(),
                from: slot(old),
                to: slot(new),
                strength: (strength(old), strength(new)),
                mapping: new.or(old).and_then(|value| value.derivation.mapping.clone()),
                sensitive: false,
            });
        }
    }
    found
}

fn groups(old: Option<&DesiredAccount>, new: Option<&DesiredAccount>) -> Vec<GroupDifference> {
    let by = |account: Option<&DesiredAccount>| -> BTreeMap<(ClassName, String), Vec<PolicyRef>> {
        let groups = account.into_iter().flat_map(|account| &account.groups);
        groups.map(|group| ((group.class.clone(), group.shown()), group.because.clone())).collect()
    };
    let (old, new) = (by(old), by(new));
    let found = turns(&old, &new).map(|((class, group), turn, because)| GroupDifference {
        class: class.clone(),
        group: group.clone(),
        turn,
        because: because.clone(),
    });
    found.collect()
}

fn refusals(old: Option<&DesiredAccount>, new: Option<&DesiredAccount>) -> Vec<RefusalDifference> {
    type Key = (RefusalReason, Option<AttrName>, Option<PolicyRef>);
    let by = |account: Option<&DesiredAccount>| -> BTreeMap<Key, Refusal> {
        let refusals = account.into_iter().flat_map(|account| &account.refusals);
        let key = |refusal: &Refusal| (refusal.reason, refusal.attribute.clone(), refusal.mapping.clone());
        refusals.map(|refusal| (key(refusal), refusal.clone())).collect()
    };
    let (old, new) = (by(old), by(new));
    turns(&old, &new).map(|(_, turn, refusal)| RefusalDifference { turn, refusal: refusal.clone() }).collect()
}
