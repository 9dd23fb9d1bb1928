//! The name index: what is taken, as an input of the planner, and the allotment in one ordered pass.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::id::{IdentityId, NamespaceName, PlanId};
use crate::model::{Name, NameState};
use crate::planted::{self, Defect};
use crate::policy::{NameAllocator, NameRequest, NameResult, Namespace};
use crate::schema::CaseRule;
use crate::value::Timestamp;

/// Candidates tried before a name counts as exhausted.
const CANDIDATES_MAX: u32 = 10_000;

/// What must be looked up before names can be allotted: everything taken that starts with the stem.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StemQuery {
    /// The namespace.
    pub namespace: NamespaceName,
    /// The part of it.
    pub scope: String,
    /// The folded stem.
    pub stem: String,
}

/// Names taken, for the identities of one chunk.
#[derive(Debug)]
pub struct NameIndex {
    namespaces: BTreeMap<NamespaceName, Namespace>,
    now: Timestamp,
    taken: BTreeMap<String, Name>,
    covered: BTreeSet<StemQuery>,
    owner: Option<IdentityId>,
    mine: Vec<Name>,
    wanted: BTreeSet<StemQuery>,
    allotted: Vec<Name>,
    /// By series, spaces and scopes: the last candidate that was free; those before it are taken.
    next: BTreeMap<String, u32>,
    plan: PlanId,
    until: Timestamp,
    realm: crate::id::RealmId,
}

impl NameIndex {
    /// An index that knows nothing is taken and covers no stem.
    pub fn new(
        realm: &crate::id::RealmId,
        namespaces: &[Namespace],
        plan: PlanId,
        now: Timestamp,
        until: Timestamp,
    ) -> Self {
        Self {
            namespaces: namespaces.iter().map(|space| (space.name.clone(), space.clone())).collect(),
            now,
            taken: BTreeMap::new(),
            covered: BTreeSet::new(),
            owner: None,
            mine: Vec::new(),
            wanted: BTreeSet::new(),
            allotted: Vec::new(),
            next: BTreeMap::new(),
            plan,
            until,
            realm: realm.clone(),
        }
    }

    /// Starts the next identity, with the names it has.
    pub fn begin(&mut self, owner: IdentityId, mine: Vec<Name>) {
        self.owner = Some(owner);
        self.mine = mine;
    }

    /// The stems that were asked for and are not covered; empties the list.
    pub fn take_wanted(&mut self) -> Vec<StemQuery> {
        std::mem::take(&mut self.wanted).into_iter().collect()
    }

    /// Everything taken under a stem has been looked up.
    pub fn cover(&mut self, query: StemQuery, taken: impl IntoIterator<Item = Name>) {
        for name in taken {
            self.taken.entry(Name::row_key(&name.namespace, &name.scope, &name.folded)).or_insert(name);
        }
        self.covered.insert(query);
    }

    /// The names allotted to the present identity since `begin`; empties the list.
    pub fn take_allotted(&mut self) -> Vec<Name> {
        std::mem::take(&mut self.allotted)
    }

    /// The case rule of a namespace.
    pub fn fold(&self, namespace: &NamespaceName, name: &str) -> String {
        self.namespaces.get(namespace).map_or(CaseRule::Ignore, |space| space.case).fold(name)
    }

    fn held_name(&self, request: &NameRequest) -> Option<&Name> {
        let scope = request.scope.to_lowercase();
        let names = self.mine.iter().filter(|name| {
            name.namespace == request.namespace
                && name.scope.to_lowercase() == scope
                && name.purpose == request.purpose
        });
        in_use(names, self.plan, self.now)
    }

    fn is_free(&self, request: &NameRequest, folded: &str) -> bool {
        let Some(taken) = self.taken.get(&Name::row_key(&request.namespace, &request.scope, folded)) else {
            return true;
        };
        if taken.owner.is_some() && taken.owner == self.owner {
            return true;
        }
        may_take(taken, self.namespaces.get(&request.namespace), self.now)
    }

    fn allot(&mut self, request: &NameRequest, name: &str) {
        let folded = self.fold(&request.namespace, name);
        let name = Name {
            realm: self.realm.clone(),
            namespace: request.namespace.clone(),
            scope: request.scope.clone(),
            name: name.to_owned(),
            folded: folded.clone(),
            owner: self.owner,
            purpose: request.purpose.clone(),
            state: NameState::Reserved { plan: self.plan, until: self.until },
        };
        self.taken.insert(Name::row_key(&request.namespace, &request.scope, &folded), name.clone());
        self.mine.push(name.clone());
        self.allotted.push(name);
    }
}

/// Which of the names that one identity has for one purpose is the one in use: the one its account has, before the one
/// that was given up last, before one that a plan keeps for it. A plan that brings somebody back reserves nothing: what
/// is reserved beside a name that was given up, a plan left over. A reservation of another plan that has expired holds
/// nothing.
pub(crate) fn in_use<'a>(
    names: impl Iterator<Item = &'a Name>,
    plan: PlanId,
    now: Timestamp,
) -> Option<&'a Name> {
    let ranked = names.filter_map(|name| match &name.state {
        NameState::Held => Some(((0, None), name)),
        NameState::Tombstone { since } => Some(((1, Some(Reverse(*since))), name)),
        NameState::Reserved { plan: of, until } if *of == plan || *until > now => Some(((2, None), name)),
        NameState::Reserved { .. } | NameState::Foreign => None,
    });
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, name)| name)
}

/// Whether a name that somebody else has had may be given to another now.
pub(crate) fn may_take(taken: &Name, space: Option<&Namespace>, now: Timestamp) -> bool {
    match &taken.state {
        // Planted: the first plan that wanted the name keeps it.
        NameState::Reserved { .. } if planted::is(Defect::ReservationKept) => false,
        // Planted: given up is free.
        NameState::Tombstone { .. } if planted::is(Defect::TombstoneIgnored) => true,
        NameState::Reserved { until, .. } => *until <= now,
        NameState::Tombstone { since } => {
            let days = space.and_then(|space| space.reuse_after_days);
            days.is_some_and(|days| since.plus(Duration::from_secs(u64::from(days) * 86_400)) <= now)
        }
        NameState::Held | NameState::Foreign => false,
    }
}

impl NameIndex {
    /// Tries candidates from a number on; with the names, the number of the one that was free.
    fn try_from(
        &mut self,
        first: u32,
        requests: &[NameRequest],
        held: &[Option<String>],
        candidates: &mut dyn FnMut(u32) -> Option<Vec<String>>,
    ) -> Option<(Vec<String>, u32)> {
        for number in first..=CANDIDATES_MAX {
            let names = candidates(number)?;
            let free = requests.iter().zip(&names).zip(held).all(|((request, name), held)| match held {
                Some(held) => held == name,
                None => self.is_free(request, &self.fold(&request.namespace, name)),
            });
            if names.len() == requests.len() && free {
                for ((request, name), held) in requests.iter().zip(&names).zip(held) {
                    if held.is_none() {
                        self.allot(request, name);
                    }
                }
                return Some((names, number));
            }
        }
        None
    }

    /// Under what to remember how far a series has come; `None` where the identity has names in one of the spaces:
    /// a candidate that is taken may be its own.
    fn remembered(&self, series: &str, requests: &[NameRequest]) -> Option<String> {
        let own = |request: &NameRequest| self.mine.iter().any(|name| name.namespace == request.namespace);
        if series.is_empty() || requests.iter().any(own) {
            return None;
        }
        let mut key = series.to_owned();
        for request in requests {
            key.extend(["\u{1f}", request.namespace.as_str(), "\u{1f}", &request.scope]);
        }
        Some(key)
    }
}

impl NameAllocator for NameIndex {
    fn allocate(
        &mut self,
        requests: &[NameRequest],
        candidates: &mut dyn FnMut(u32) -> Option<Vec<String>>,
    ) -> NameResult {
        self.allocate_in("", requests, candidates)
    }

    fn allocate_in(
        &mut self,
        series: &str,
        requests: &[NameRequest],
        candidates: &mut dyn FnMut(u32) -> Option<Vec<String>>,
    ) -> NameResult {
        let held: Vec<Option<String>> =
            requests.iter().map(|request| self.held_name(request).map(|name| name.name.clone())).collect();
        if !held.is_empty() && held.iter().all(Option::is_some) {
            return NameResult::Held(held.into_iter().flatten().collect());
        }
        let missing: Vec<StemQuery> = requests
            .iter()
            .map(|request| StemQuery {
                namespace: request.namespace.clone(),
                scope: request.scope.clone(),
                stem: self.fold(&request.namespace, &request.stem),
            })
            .filter(|query| !self.covered.contains(query))
            .collect();
        if !missing.is_empty() {
            self.wanted.extend(missing);
            return NameResult::Pending;
        }
        let remembered = self.remembered(series, requests);
        let first = remembered.as_ref().and_then(|key| self.next.get(key)).copied().unwrap_or(1);
        let Some((names, number)) = self.try_from(first, requests, &held, candidates) else {
            return NameResult::Exhausted;
        };
        if let Some(key) = remembered {
            // Not the one after it: who is evaluated again finds the name taken for them before.
            self.next.insert(key, number);
        }
        NameResult::Allocated(names, number - 1)
    }

    fn held(&self, requests: &[NameRequest]) -> Option<Vec<String>> {
        requests.iter().map(|request| self.held_name(request).map(|name| name.name.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_in_use_is_the_accounts_then_the_last_one_given_up_then_a_reserved_one() {
        let now = Timestamp::from_micros(10_000_000);
        let (ours, other) = (PlanId::from_uuid(uuid::Uuid::nil()), PlanId::from_uuid(uuid::Uuid::max()));
        let earlier = |seconds| now.minus(Duration::from_secs(seconds));
        let name = |name: &str, state| Name {
            realm: crate::id::RealmId::new("r"),
            namespace: "login".into(),
            scope: String::new(),
            name: name.to_owned(),
            folded: name.to_owned(),
            owner: None,
            purpose: "p".to_owned(),
            state,
        };
        // In the order of the index, which is not what counts.
        let mut names = vec![
            name("expired", NameState::Reserved { plan: other, until: earlier(1) }),
            name("foreign", NameState::Foreign),
            name("left over", NameState::Reserved { plan: other, until: now.plus(Duration::from_secs(1)) }),
            name("first", NameState::Tombstone { since: earlier(9) }),
            name("last", NameState::Tombstone { since: earlier(3) }),
            name("between", NameState::Tombstone { since: earlier(6) }),
            name("account", NameState::Held),
        ];
        let used = |names: &[Name]| in_use(names.iter(), ours, now).map(|name| name.name.clone());
        assert_eq!(used(&names).as_deref(), Some("account"));
        names.pop();
        assert_eq!(used(&names).as_deref(), Some("last"));
        names.truncate(3);
        assert_eq!(used(&names).as_deref(), Some("left over"));
        names.truncate(2);
        assert_eq!(used(&names), None);
        let ours = NameState::Reserved { plan: ours, until: earlier(1) };
        assert_eq!(used(&[name("ours", ours)]).as_deref(), Some("ours"), "a plan's own does not expire");
    }
}
