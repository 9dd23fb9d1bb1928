//! The name index: what a person has, what is free, and what is not.

use std::time::Duration;

use provision_core::id::{IdentityId, PlanId, RealmId};
use provision_core::model::{Name, NameState};
use provision_core::plan::{NameIndex, StemQuery};
use provision_core::policy::{NameAllocator, NameRequest, NameResult, Namespace};
use provision_core::schema::CaseRule;
use provision_core::value::Timestamp;
use uuid::Uuid;

const DAY: u64 = 86_400;

fn now() -> Timestamp {
    "2026-11-02T08:00:00Z".parse().unwrap()
}

fn before(seconds: u64) -> Timestamp {
    now().minus(Duration::from_secs(seconds))
}

fn after(seconds: u64) -> Timestamp {
    now().plus(Duration::from_secs(seconds))
}

fn jane() -> IdentityId {
    IdentityId::from_uuid(Uuid::from_u128(1))
}

fn plan(number: u128) -> PlanId {
    PlanId::from_uuid(Uuid::from_u128(number))
}

fn request() -> NameRequest {
    let (scope, purpose) = (String::new(), "directory/user/main/login".to_owned());
    NameRequest { namespace: "login".into(), scope, purpose, stem: "Jane".to_owned() }
}

fn name(name: &str, owner: Option<IdentityId>, state: NameState) -> Name {
    Name {
        realm: RealmId::new("test"),
        namespace: "login".into(),
        scope: String::new(),
        name: name.to_owned(),
        folded: name.to_lowercase(),
        owner,
        purpose: owner.map(|_| request().purpose).unwrap_or_default(),
        state,
    }
}

fn somebody(state: NameState) -> Name {
    name("jane", Some(IdentityId::from_uuid(Uuid::from_u128(2))), state)
}

fn space(reuse_after_days: Option<u32>) -> Namespace {
    let case = CaseRule::Ignore;
    Namespace { name: "login".into(), case, members: Vec::new(), scoped: false, reuse_after_days }
}

/// An index of plan 1, in which Jane has some names and the stem `jane` was looked up.
fn index(reuse_after_days: Option<u32>, mine: Vec<Name>, taken: Vec<Name>) -> NameIndex {
    let mut index =
        NameIndex::new(&RealmId::new("test"), &[space(reuse_after_days)], plan(1), now(), after(DAY));
    index.begin(jane(), mine);
    let (namespace, scope) = ("login".into(), String::new());
    index.cover(StemQuery { namespace, scope, stem: "jane".to_owned() }, taken);
    index
}

/// `jane`, `jane2`, `jane3`: no more.
fn candidates(number: u32) -> Option<Vec<String>> {
    match number {
        1 => Some(vec!["jane".to_owned()]),
        2 | 3 => Some(vec![format!("jane{number}")]),
        _ => None,
    }
}

fn allocate(index: &mut NameIndex) -> NameResult {
    index.allocate(&[request()], &mut candidates)
}

fn allocated(name: &str, tries: u32) -> NameResult {
    NameResult::Allocated(vec![name.to_owned()], tries)
}

fn held(name: &str) -> NameResult {
    NameResult::Held(vec![name.to_owned()])
}

#[test]
fn what_was_not_looked_up_is_asked_for_first() {
    let mut index = NameIndex::new(&RealmId::new("test"), &[space(None)], plan(1), now(), after(DAY));
    index.begin(jane(), Vec::new());
    assert_eq!(allocate(&mut index), NameResult::Pending);
    let wanted = index.take_wanted();
    let stems: Vec<_> = wanted.iter().map(|query| query.stem.as_str()).collect();
    assert_eq!(stems, ["jane"], "folded by the namespace's rule");
    assert_eq!(index.take_wanted(), []);
    index.cover(wanted[0].clone(), []);
    assert_eq!(allocate(&mut index), allocated("jane", 0));
}

#[test]
fn a_name_that_is_given_out_is_reserved_for_the_plan() {
    let mut index = index(None, Vec::new(), Vec::new());
    assert_eq!(allocate(&mut index), allocated("jane", 0));
    let allotted = index.take_allotted();
    let reserved = NameState::Reserved { plan: plan(1), until: after(DAY) };
    assert_eq!(allotted, [name("jane", Some(jane()), reserved)]);
    assert_eq!(index.take_allotted(), []);
    assert_eq!(allocate(&mut index), held("jane"), "asked again, it is hers");
    index.begin(IdentityId::from_uuid(Uuid::from_u128(3)), Vec::new());
    assert_eq!(allocate(&mut index), allocated("jane2", 1), "and nobody else's");
}

#[test]
fn a_name_is_taken_by_whoever_has_or_had_it() {
    let given =
        |reuse: Option<u32>, state: NameState| allocate(&mut index(reuse, vec![], vec![somebody(state)]));
    let (free, taken) = (allocated("jane", 0), allocated("jane2", 1));
    assert_eq!(given(None, NameState::Held), taken);
    assert_eq!(given(None, NameState::Foreign), taken);
    let reserved = |until| NameState::Reserved { plan: plan(2), until };
    assert_eq!(given(None, reserved(after(1))), taken);
    assert_eq!(given(None, reserved(now())), free);
    assert_eq!(given(None, reserved(before(1))), free);
    let tombstone = |since| NameState::Tombstone { since };
    assert_eq!(given(None, tombstone(before(10_000 * DAY))), taken, "for good");
    assert_eq!(given(Some(30), tombstone(before(30 * DAY - 1))), taken);
    assert_eq!(given(Some(30), tombstone(before(30 * DAY))), free);
    assert_eq!(given(Some(30), tombstone(before(31 * DAY))), free);
}

#[test]
fn a_name_that_is_hers_for_something_else_is_free_to_her() {
    let other =
        Name { purpose: "app/user/main/login".to_owned(), ..name("jane", Some(jane()), NameState::Held) };
    assert_eq!(allocate(&mut index(None, vec![other.clone()], vec![other])), allocated("jane", 0));
    let nobodys = name("jane", None, NameState::Foreign);
    let mut nobody = NameIndex::new(&RealmId::new("test"), &[space(None)], plan(1), now(), after(DAY));
    let (namespace, scope) = ("login".into(), String::new());
    nobody.cover(StemQuery { namespace, scope, stem: "jane".to_owned() }, [nobodys]);
    assert_eq!(allocate(&mut nobody), allocated("jane2", 1), "nobody has no name in common with nobody");
}

#[test]
fn what_she_has_she_keeps() {
    let hers =
        |state: NameState| allocate(&mut index(None, vec![name("J.Doe", Some(jane()), state)], vec![]));
    let reserved = |number, until| NameState::Reserved { plan: plan(number), until };
    assert_eq!(hers(NameState::Held), held("J.Doe"));
    assert_eq!(hers(NameState::Tombstone { since: before(DAY) }), held("J.Doe"), "she comes back to it");
    assert_eq!(hers(reserved(1, before(1))), held("J.Doe"), "this plan gave it");
    assert_eq!(hers(reserved(2, after(1))), held("J.Doe"));
    assert_eq!(hers(reserved(2, now())), allocated("jane", 0), "it has expired");
    assert_eq!(hers(reserved(2, before(1))), allocated("jane", 0));
    assert_eq!(hers(NameState::Foreign), allocated("jane", 0));
}

#[test]
fn a_name_in_use_comes_before_one_that_was_given_up() {
    let old = name("old", Some(jane()), NameState::Tombstone { since: before(DAY) });
    let new = name("new", Some(jane()), NameState::Held);
    assert_eq!(allocate(&mut index(None, vec![old.clone(), new.clone()], vec![])), held("new"));
    assert_eq!(allocate(&mut index(None, vec![new, old], vec![])), held("new"));
}

#[test]
fn only_a_name_of_this_space_scope_and_purpose_is_held() {
    let mine = name("mine", Some(jane()), NameState::Held);
    let scoped = Name { scope: "OU=Sales".to_owned(), ..mine.clone() };
    let other_space = Name { namespace: "mail".into(), ..mine.clone() };
    let other_purpose = Name { purpose: "app/user/main/login".to_owned(), ..mine.clone() };
    for other in [scoped.clone(), other_space, other_purpose] {
        assert_eq!(allocate(&mut index(None, vec![other], vec![])), allocated("jane", 0));
    }
    let mut index = index(None, vec![scoped], vec![]);
    let in_sales = NameRequest { scope: "ou=sales".to_owned(), ..request() };
    assert_eq!(index.allocate(&[in_sales], &mut candidates), held("mine"), "scopes compare without case");
}

#[test]
fn candidates_come_to_an_end() {
    let taken = ["jane", "jane2", "jane3"].map(|text| name(text, None, NameState::Foreign));
    assert_eq!(allocate(&mut index(None, vec![], taken.to_vec())), NameResult::Exhausted);
    let two_of = taken[..2].to_vec();
    assert_eq!(allocate(&mut index(None, vec![], two_of)), allocated("jane3", 2));
}

#[test]
fn names_that_belong_together_are_given_together() {
    let mail =
        NameRequest { namespace: "login".into(), purpose: "app/user/main/mail".to_owned(), ..request() };
    let both = [request(), mail];
    let mut pairs =
        |number: u32| (number < 4).then(|| vec![format!("jane{number}"), format!("jane.m{number}")]);
    let taken = vec![name("jane.m1", None, NameState::Foreign)];
    let result = index(None, vec![], taken).allocate(&both, &mut pairs);
    assert_eq!(result, NameResult::Allocated(vec!["jane2".to_owned(), "jane.m2".to_owned()], 1));
    // One of them she has: the other one follows it.
    let mine = vec![name("jane3", Some(jane()), NameState::Held)];
    let mut with_one = index(None, mine.clone(), vec![]);
    let result = with_one.allocate(&both, &mut pairs);
    assert_eq!(result, NameResult::Allocated(vec!["jane3".to_owned(), "jane.m3".to_owned()], 2));
    assert_eq!(with_one.take_allotted().len(), 1, "what she has is not given again");
    let mut too_few = |number: u32| (number < 4).then(|| vec!["jane".to_owned()]);
    assert_eq!(index(None, vec![], vec![]).allocate(&both, &mut too_few), NameResult::Exhausted);
    assert_eq!(index(None, vec![], vec![]).allocate(&[], &mut |_| None), NameResult::Exhausted);
}

#[test]
fn what_is_held_can_be_asked_without_giving_anything() {
    let other = NameRequest { purpose: "app/user/main/mail".to_owned(), ..request() };
    let index = index(None, vec![name("J.Doe", Some(jane()), NameState::Held)], vec![]);
    assert_eq!(index.held(&[request()]), Some(vec!["J.Doe".to_owned()]));
    assert_eq!(index.held(&[request(), other]), None, "one of them is missing");
}
