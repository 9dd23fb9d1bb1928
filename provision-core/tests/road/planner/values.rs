//! Values: what a create carries, and when an existing value is written.

use std::slice;

use provision_core::connector::ObjectKey;
use provision_core::delta::Change;
use provision_core::id::IdentityId;
use provision_core::plan::{Action, BudgetKind, Resolved, Step};
use provision_core::policy::{DesiredSlot, RefusalReason, Strength};
use provision_core::value::{AttrName, Attributes, ObjectRef, Slot, Value};
use uuid::Uuid;

use super::{Case, TARGET, texts};

/// The attributes whose inputs a step keeps.
fn written(step: &Step) -> Vec<&str> {
    step.inputs.keys().map(AttrName::as_str).collect()
}

fn replaced(value: &str) -> Option<Change> {
    Some(Change::Replace(texts([value])))
}

#[test]
fn a_create_carries_what_the_target_takes() {
    let case = Case::new()
        .wants("title", ["Engineer"])
        .wants("badge", ["B-1"])
        .wants("level", ["3"])
        .wants("serial", ["S-1"])
        .wants("tags", []);
    let step = case.step();
    let Action::Create { attributes, lookup, .. } = &step.action else { panic!("{step:?}") };
    let wanted = Attributes::new()
        .with("name", "jane")
        .with("title", "Engineer")
        .with("badge", "B-1")
        .with("level", Value::Int(3));
    assert_eq!(*attributes, wanted, "the target computes `serial`; nothing is sent of `tags`");
    assert_eq!(*lookup, None);
    let explained: Vec<_> = step.reasons.iter().filter_map(|reason| reason.attribute.clone()).collect();
    assert_eq!(explained, ["name", "title", "badge", "level"].map(AttrName::from));
    assert_eq!(step.inputs[&AttrName::new("title")], "inputs of title");
    assert_eq!((step.precondition.identity_version, step.precondition.link_revision), (7, None));
}

#[test]
fn a_create_looks_for_its_marker_only_where_it_has_a_value() {
    let marked = |case: Case| {
        let mut case = case;
        case.facts.settings.classes.entry("user".into()).or_default().marker = Some("badge".into());
        match case.step().action {
            Action::Create { lookup, .. } => lookup,
            other => panic!("{other:?}"),
        }
    };
    let filter = provision_core::filter::Filter::equal("badge", "B-1");
    assert_eq!(marked(Case::new().wants("badge", ["B-1"])), Some(filter));
    assert_eq!(marked(Case::new()), None);
}

#[test]
fn a_create_without_a_required_value_is_left_alone() {
    let mut case = Case::new();
    case.wanted.values.clear();
    let draft = case.plan();
    assert!(draft.steps.is_empty());
    assert_eq!(case.reasons(), [RefusalReason::MissingInput]);
    assert!(draft.skips[0].detail.contains("`name`"), "{:?}", draft.skips);
}

#[test]
fn values_that_do_not_fit_hold_the_account() {
    for case in [Case::new(), Case::linked()] {
        let case = case.wants("level", ["high"]).wants("title", ["Engineer"]);
        assert!(case.plan().steps.is_empty(), "nothing is written by halves");
        assert_eq!(case.reasons(), [RefusalReason::ValueInvalid]);
    }
}

#[test]
fn a_class_that_the_target_has_not_holds_the_account() {
    for mut case in [Case::new(), Case::linked().wrote("name", ["joan"])] {
        case.facts.discovery.schema.classes.clear();
        assert!(case.plan().steps.is_empty());
        assert_eq!(case.reasons(), [RefusalReason::Unsupported]);
    }
}

#[test]
fn a_strong_value_is_written_when_it_is_another_or_has_drifted() {
    let title = |case: Case| case.wants("title", ["Engineer"]).change("title");
    assert_eq!(title(Case::linked()), replaced("Engineer"));
    assert_eq!(title(Case::linked().wrote("title", ["Clerk"])), replaced("Engineer"));
    assert_eq!(title(Case::linked().wrote("title", ["Engineer"])), None);
    assert_eq!(title(Case::linked().saw("title", ["Engineer"])), None, "it was there when we came");
    let ours = || Case::linked().wrote("title", ["Engineer"]);
    assert_eq!(title(ours().drifted("title", ["Clerk"])), replaced("Engineer"));
    assert_eq!(title(ours().drifted("title", [])), replaced("Engineer"));
    assert_eq!(title(ours().drifted("title", ["Engineer"])), None, "somebody put it right");
}

#[test]
fn a_normal_value_is_written_when_it_and_its_inputs_are_others() {
    let title = |case: Case, inputs: &str| {
        let mut case = case.wants_as(Strength::Normal, "title", ["Engineer"]);
        case.link().inputs.insert("title".into(), inputs.to_owned());
        case.change("title")
    };
    let before = || Case::linked().wrote("title", ["Clerk"]);
    assert_eq!(title(before(), "other inputs"), replaced("Engineer"));
    assert_eq!(title(before(), "inputs of title"), None, "somebody's correction of the same inputs stays");
    assert_eq!(title(Case::linked().wrote("title", ["Engineer"]), "other inputs"), None);
    let drifted = Case::linked().wrote("title", ["Engineer"]).drifted("title", ["Clerk"]);
    assert_eq!(title(drifted, "inputs of title"), None);
}

#[test]
fn a_weak_value_is_written_where_there_is_none() {
    let title = |case: Case| case.wants_as(Strength::Weak, "title", ["Engineer"]).change("title");
    assert_eq!(title(Case::linked()), replaced("Engineer"));
    assert_eq!(title(Case::linked().wrote("title", [])), replaced("Engineer"));
    assert_eq!(title(Case::linked().wrote("title", ["Clerk"])), None);
    assert_eq!(title(Case::linked().saw("title", ["Clerk"])), None);
    assert_eq!(title(Case::linked().wrote("title", []).saw("title", ["Clerk"])), None);
    assert_eq!(Case::linked().wants_as(Strength::Weak, "title", []).words(), [""; 0]);
}

#[test]
fn what_is_written_at_create_only_is_left_alone_afterwards() {
    let by_policy = Case::linked().wants_as(Strength::CreateOnly, "title", ["Engineer"]);
    assert_eq!(by_policy.words(), [""; 0]);
    for attribute in ["badge", "serial", "unheard-of"] {
        let case = Case::linked().wants(attribute, ["1"]);
        assert_eq!(case.words(), [""; 0], "{attribute}");
        assert_eq!(case.reasons(), [], "{attribute}");
    }
}

#[test]
fn a_name_is_changed_by_a_rename_and_the_rest_by_an_update() {
    let case = Case::linked().wrote("name", ["joan"]).wants("TITLE", ["Engineer"]);
    let steps = case.plan().steps;
    assert_eq!(case.words(), ["rename", "update"]);
    let [rename, update] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!(rename.action, Action::Rename { naming: Attributes::new().with("name", "jane") });
    assert_eq!(rename.budgets, [BudgetKind::KeyRewrite]);
    assert_eq!(written(rename), ["name"]);
    assert_eq!(rename.reasons.len(), 1);
    assert_eq!(case.change("title"), replaced("Engineer"), "in the target's spelling");
    assert_eq!(written(update), ["title"]);
    assert_eq!(update.reasons.len(), 1);
    assert_eq!(update.budgets, []);
    assert_eq!(update.needs, slice::from_ref(&rename.id));
    assert_eq!((update.precondition.identity_version, update.precondition.link_revision), (7, Some(4)));
}

#[test]
fn a_value_that_goes_is_cleared_and_paid_for() {
    let case = Case::linked().wrote("title", ["Clerk"]).wants("title", []).wants("level", ["3"]);
    assert_eq!(case.change("title"), Some(Change::Clear));
    assert_eq!(case.step().budgets, [BudgetKind::AttributeClear]);
    assert_eq!(Case::linked().wants("title", []).words(), [""; 0], "there is nothing to clear");
}

fn refers(attribute: &str, to: Option<Resolved>, case: Case) -> Case {
    let mut case =
        case.wants_slot(Strength::Strong, attribute, DesiredSlot::AccountOf { key: "2".to_owned() });
    case.references.extend(to.map(|to| (("2".to_owned(), TARGET.into(), "user".into()), to)));
    case
}

#[test]
fn a_reference_is_the_key_of_the_account_it_means() {
    let there = || Some(Resolved::Key(ObjectKey::id("object-2")));
    let reference = Value::Reference(ObjectRef { class: "user".into(), key: "object-2".to_owned() });
    let created = refers("boss", there(), Case::new()).created();
    assert_eq!(created.values("boss"), slice::from_ref(&reference));
    let change = refers("boss", there(), Case::linked()).change("boss");
    assert_eq!(change, Some(Change::Replace(vec![reference])));
    let text = refers("bossId", there(), Case::linked()).change("bossId");
    assert_eq!(text, replaced("object-2"), "where the target holds references as text");
}

#[test]
fn a_reference_to_an_account_that_is_not_there_yet_waits() {
    let to = IdentityId::from_uuid(Uuid::from_u128(9));
    let case = refers("boss", Some(Resolved::Later(to)), Case::linked());
    let draft = case.plan();
    assert!(draft.steps.is_empty());
    let waiting = draft.waiting.iter().map(|waiting| (waiting.attribute.as_str(), waiting.to));
    assert_eq!(waiting.collect::<Vec<_>>(), [("boss", to)]);
}

#[test]
fn a_reference_to_nobody_leaves_the_attribute_alone() {
    for to in [Some(Resolved::Unknown), None] {
        let mut case = refers("boss", to, Case::linked());
        let boss = Value::Reference(ObjectRef { class: "user".into(), key: "object-3".to_owned() });
        case.link().applied.insert("boss", Slot::Values(vec![boss]));
        assert!(case.plan().steps.is_empty());
        assert!(case.plan().waiting.is_empty());
    }
}
