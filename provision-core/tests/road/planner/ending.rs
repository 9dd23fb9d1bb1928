//! Offboarding by what the target is told to do, and the order of the steps of one person.

use provision_core::connector::{DeleteStyle, DisableMeaning};
use provision_core::delta::Change;
use provision_core::id::{StepId, Tag};
use provision_core::model::LinkState;
use provision_core::plan::{Action, BudgetKind, OnDelete, Step};
use provision_core::policy::RefusalReason;
use provision_core::value::{Attributes, Value};

use super::{Case, texts};

const NOTHING: [&str; 0] = [];

fn leaver(on_delete: OnDelete) -> Case {
    let mut case = Case::linked().member_of("staff").leaves();
    case.facts.settings.classes.entry("user".into()).or_default().on_delete = on_delete;
    case
}

#[test]
fn a_leaver_is_signed_out_then_taken_out_of_groups_then_released() {
    let case = leaver(OnDelete::Disable);
    assert_eq!(case.words(), ["disable", "remove_member", "release"]);
    let steps = case.plan().steps;
    assert!(steps.iter().all(|step| step.offboarding));
    assert_eq!(steps[0].budgets, [BudgetKind::Disable]);
    assert_eq!(steps[0].needs, []);
    assert_eq!(steps[1].needs, [], "access is taken away whether the sign-in was blocked or not");
    assert_eq!(steps[2].needs, [steps[0].id.clone(), steps[1].id.clone()]);
    assert_eq!(case.in_state(LinkState::Leaving).words(), ["disable", "remove_member", "release"]);
    let mut disabled = leaver(OnDelete::Disable);
    disabled.link().enabled = Some(false);
    assert_eq!(disabled.words(), ["remove_member", "release"]);
    let mut unknown = leaver(OnDelete::Disable);
    unknown.link().enabled = None;
    assert_eq!(unknown.words(), ["disable", "remove_member", "release"]);
}

#[test]
fn a_deleted_account_is_taken_out_of_its_groups_before() {
    let steps = leaver(OnDelete::Delete).plan().steps;
    let words: Vec<_> = steps.iter().map(|step| step.action.word()).collect();
    assert_eq!(words, ["remove_member", "delete", "release"]);
    assert_eq!(steps[1].budgets, [BudgetKind::Delete]);
    assert_eq!(steps[1].needs, [steps[0].id.clone()]);
}

#[test]
fn an_account_may_end_by_other_values() {
    let parked = Attributes::new().with("title", "parked").with("level", "0");
    let case = leaver(OnDelete::Update(parked.clone()));
    assert_eq!(case.words(), ["remove_member", "update", "release"]);
    assert_eq!(case.change("title"), Some(Change::Replace(texts(["parked"]))));
    assert_eq!(case.change("level"), Some(Change::Replace(vec![Value::Int(0)])), "in the target's types");
    let update: Vec<Step> = case.plan().steps;
    assert_eq!(update[1].budgets, [BudgetKind::Disable], "it ends somebody's access");
    let mut parked_already = leaver(OnDelete::Update(Attributes::new().with("title", "parked")));
    parked_already.link().applied.set("title", texts(["parked"]));
    assert_eq!(parked_already.words(), ["remove_member", "release"]);
}

#[test]
fn an_ending_that_the_target_cannot_do_is_said_and_nothing_is_begun() {
    let mut no_disable = leaver(OnDelete::Disable);
    no_disable.user().disable = DisableMeaning::Unsupported;
    let mut no_delete = leaver(OnDelete::Delete);
    no_delete.user().delete = DeleteStyle::Unsupported;
    let misfit = leaver(OnDelete::Update(Attributes::new().with("level", "none")));
    let mut no_class = leaver(OnDelete::Update(Attributes::new().with("level", "0")));
    no_class.facts.discovery.schema.classes.clear();
    for case in [no_disable, no_delete, misfit, no_class] {
        assert_eq!(case.words(), NOTHING);
        assert_eq!(case.reasons(), [RefusalReason::Unsupported]);
    }
}

#[test]
fn an_account_without_an_object_is_only_released() {
    let mut missing = leaver(OnDelete::Disable);
    missing.link().missing = true;
    let mut deleted = leaver(OnDelete::Delete);
    deleted.link().key = None;
    for case in [missing, deleted] {
        assert_eq!(case.words(), ["release"]);
        assert!(case.step().offboarding);
    }
}

#[test]
fn what_has_ended_or_never_was_needs_nothing() {
    assert_eq!(Case::new().leaves().words(), NOTHING);
    assert_eq!(leaver(OnDelete::Disable).in_state(LinkState::Inactive).words(), NOTHING);
}

#[test]
fn changes_of_one_account_come_in_an_order_that_the_target_can_follow() {
    let mut case = Case::linked()
        .wrote("name", ["joan"])
        .wants("title", ["Engineer"])
        .member_of("staff")
        .wants_group("finance");
    case.link().enabled = Some(false);
    case.wanted.enabled = Some(true);
    let steps = case.plan().steps;
    let words: Vec<_> = steps.iter().map(|step| step.action.word()).collect();
    assert_eq!(words, ["rename", "remove_member", "update", "enable", "add_member"]);
    let needs = |word: &str| {
        let step = steps.iter().find(|step| step.action.word() == word).unwrap();
        let word_of = |id: &StepId| steps.iter().find(|step| step.id == *id).unwrap().action.word();
        step.needs.iter().map(word_of).collect::<Vec<_>>()
    };
    assert_eq!(needs("rename"), NOTHING);
    assert_eq!(needs("remove_member"), NOTHING);
    assert_eq!(needs("update"), ["rename"]);
    assert_eq!(needs("enable"), ["rename", "update"], "nobody signs in with yesterday's values");
    assert_eq!(needs("add_member"), ["rename"]);
}

#[test]
fn one_account_does_not_wait_for_another() {
    let case = Case::new().wants_group("staff");
    let mut second = case.wanted.clone();
    second.tag = Tag::new("second");
    let mut elsewhere = case.wanted.clone();
    elsewhere.class = "group".into();
    elsewhere.tag = Tag::new("third");
    let mut both = case;
    let class = both.facts.discovery.schema.classes[&"user".into()].clone();
    both.facts.discovery.schema.classes.insert("group".into(), class);
    let user = both.user().clone();
    let group = provision_core::connector::ClassCapabilities { members: true, ..user };
    both.facts.discovery.capabilities.classes.insert("group".into(), group);
    both.facts.onboarded.insert("group".into());
    let draft = both.plan_with(vec![both.wanted.clone(), second, elsewhere]);
    assert_eq!(draft.steps.len(), 6);
    for step in draft.steps.iter().filter(|step| matches!(step.action, Action::AddMember { .. })) {
        let create = draft.steps.iter().find(|other| {
            (&other.class, &other.tag) == (&step.class, &step.tag) && other.action.word() == "create"
        });
        assert_eq!(step.needs, [create.unwrap().id.clone()]);
    }
}

#[test]
fn what_ends_access_goes_before_what_gives_it() {
    let case = Case::linked().leaves();
    let mut stays = Case::new().wanted;
    stays.tag = Tag::new("admin");
    let draft = case.plan_with(vec![stays, case.wanted.clone()]);
    let words: Vec<_> = draft.steps.iter().map(|step| step.action.word()).collect();
    assert_eq!(words, ["disable", "release", "create"]);
}
