//! One account: whether it shall be, its names, values and groups.

use provision_core::id::PolicyRef;
use provision_core::model::Lifecycle;
use provision_core::policy::{Derivation, DesiredAccount, NameAllocator, PolicyInput};

use super::Alarm;
use super::roles::{Decided, refusal};
use crate::bundle::{AccountMap, Address, Condition, Content};
use crate::expression::{Datum, Facts, Traced, evaluate};

/// What the accounts of one identity are decided from.
pub(super) struct Draft<'d, 'a, 'i> {
    pub(super) content: &'a Content,
    pub(super) input: &'d PolicyInput<'i>,
    pub(super) clock: &'d mut Alarm,
    pub(super) decided: &'d Decided<'a>,
    /// Proposed mappings that count.
    pub(super) proposed: &'d mut Vec<PolicyRef>,
}

impl<'a> Draft<'_, 'a, '_> {
    pub(super) fn account<'f>(
        &mut self,
        address: &Address,
        map: &'a AccountMap,
        facts: &mut Facts<'f>,
        names: &mut dyn NameAllocator,
    ) -> DesiredAccount
    where
        'a: 'f,
    {
        let mut account = DesiredAccount {
            target: address.0.clone(),
            class: address.1.clone(),
            tag: address.2.clone(),
            exists: false,
            enabled: None,
            because: Vec::new(),
            values: Vec::new(),
            groups: Vec::new(),
            credential: None,
            authority: Default::default(),
            refusals: self.decided.refusals.get(address).cloned().unwrap_or_default(),
        };
        // Who has no account anyway is not concerned.
        if map.reads_roles && self.decided.accounts.contains_key(address) {
            let more = self.decided.failed.iter().filter(|failed| !account.refusals.contains(failed));
            let more: Vec<_> = more.cloned().collect();
            account.refusals.extend(more);
        }
        self.existence(address, map, facts, &mut account);
        // One that may be there, if a rule had not failed, is left as it is; whoever is barred is barred all the same.
        let open = !account.refusals.is_empty() && self.input.lifecycle != Lifecycle::Terminated;
        if account.exists || open {
            self.enabled(map, facts, &mut account);
        }
        if !account.exists {
            return account;
        }
        let mut sought = self.sought(address, map, facts, names, &mut account).into_iter();
        let blocked = !account.refusals.is_empty();
        for group in &map.names {
            let group = sought.by_ref().take(group.patterns.len()).collect();
            self.names(address, group, blocked, facts, names, &mut account);
        }
        // In the order of the attributes: the map has them so, the names come between.
        let mut named = std::mem::replace(&mut account.values, Vec::with_capacity(map.wanted()));
        named.sort_by(|a, b| b.attribute.cmp(&a.attribute));
        for attribute in &map.attributes {
            while let Some(name) = named.pop_if(|name| name.attribute < attribute.attribute) {
                account.values.push(name);
            }
            self.attribute(attribute, facts, &mut account);
        }
        account.values.extend(named.into_iter().rev());
        account.groups = self.decided.groups.get(address).cloned().unwrap_or_default();
        account.authority = map.authority;
        account.credential = map.credential.clone();
        account.refusals.sort();
        account.refusals.dedup();
        account
    }

    fn enabled<'f>(&self, map: &'a AccountMap, facts: &Facts<'f>, account: &mut DesiredAccount)
    where
        'a: 'f,
    {
        let Some(enabled) = &map.enabled else { return };
        match evaluate(&enabled.holds, facts, &mut Traced::new()) {
            Ok(found) => {
                account.enabled = Some(found == Datum::Bool(true));
                account.because.push(self.reason(enabled, facts));
            }
            Err(failure) => account.refusals.extend(refusal(&failure, None, &enabled.id)),
        }
    }

    fn reason(&self, condition: &Condition, facts: &Facts<'_>) -> Derivation {
        Derivation {
            mapping: Some(condition.id.clone()),
            inputs: condition.inputs.references(facts),
            identity_version: self.input.identity.version,
            ..Derivation::default()
        }
    }

    /// Decides whether the account shall be there, and says why or why not.
    fn existence<'f>(
        &mut self,
        address: &Address,
        map: &'a AccountMap,
        facts: &Facts<'f>,
        account: &mut DesiredAccount,
    ) where
        'a: 'f,
    {
        let version = self.input.identity.version;
        let why = |mapping: PolicyRef, note: Option<String>| Derivation {
            mapping: Some(mapping),
            identity_version: version,
            note,
            ..Derivation::default()
        };
        let id = PolicyRef::new(&map.id);
        let given = self.decided.accounts.get(address);
        let absent = match (given, self.input.lifecycle) {
            (None, _) => Some("no role or grant gives this account".to_owned()),
            (_, Lifecycle::Terminated) => Some("the person is terminated".to_owned()),
            (_, Lifecycle::PreHire) => self.too_early(map),
            _ => None,
        };
        if let Some(note) = absent {
            account.because.push(why(id, Some(note)));
            let away = self.decided.kept_away.get(address).filter(|_| given.is_none());
            account.because.extend(away.into_iter().flatten().map(|(by, role)| {
                why(by.clone(), Some(format!("excludes from the role `{}`", role.as_str())))
            }));
            return;
        }
        account.exists = true;
        account.because.extend(given.into_iter().flatten().map(|by| why(by.clone(), None)));
        let Some(condition) = &map.exists else { return };
        match evaluate(&condition.holds, facts, &mut Traced::new()) {
            Ok(Datum::Bool(true)) => account.because.push(self.reason(condition, facts)),
            Ok(_) => {
                account.exists = false;
                // Whatever a rule that failed would give: not this account. Unless the condition rests on the roles.
                if !map.reads_roles {
                    account.refusals.clear();
                }
                let mut reason = self.reason(condition, facts);
                reason.note = Some("the condition does not hold".to_owned());
                account.because = vec![reason];
            }
            Err(failure) => account.refusals.extend(refusal(&failure, None, &condition.id)),
        }
    }

    /// Why an account of a person not yet started is not there, if it is not.
    fn too_early(&mut self, map: &AccountMap) -> Option<String> {
        let start = self.input.identity.employment.start?;
        let Some(lead) = map.lead_days else {
            return Some("the person has not started yet".to_owned());
        };
        let first = start.plus_days(0_i32.saturating_sub_unsigned(lead));
        let opens = first.start_in(&self.input.identity.zone).ok()?;
        self.clock.at(Some(opens));
        (self.input.now < opens)
            .then(|| format!("the person starts on {start}; the account comes {lead} days before"))
    }
}
