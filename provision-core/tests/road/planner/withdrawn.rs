//! Values that no mapping gives any more, and how far an account that is there is kept right.

use provision_core::delta::Change;
use provision_core::plan::{Action, BudgetKind};
use provision_core::policy::{Authority, DesiredSlot, LeftReason, RefusalReason, Strength, Tolerance};
use provision_core::value::AttrName;

use super::{Case, texts};

/// We wrote these values by a mapping.
fn gave<const N: usize>(case: Case, attribute: &str, values: [&str; N]) -> Case {
    let mut case = case.wrote(attribute, values);
    case.link().inputs.insert(attribute.into(), "inputs".to_owned());
    case
}

fn withdrawn(case: Case, attribute: &str, stays: Option<LeftReason>) -> Case {
    case.wants_slot(Strength::Normal, attribute, DesiredSlot::Withdrawn { stays })
}

/// Why an attribute is left as it is, as a preview says it.
fn left(mut case: Case, attribute: &str) -> Option<LeftReason> {
    case.preview = true;
    let left = case.plan().left.into_iter().find(|left| left.attribute.as_str() == attribute);
    left.map(|left| left.reason)
}

#[test]
fn what_a_mapping_gave_is_taken_back_and_paid_for() {
    let case = withdrawn(gave(Case::linked(), "title", ["Clerk"]), "TITLE", None);
    let step = case.step();
    assert_eq!(case.change("title"), Some(Change::Clear));
    assert_eq!(step.budgets, [BudgetKind::AttributeClear]);
    assert_eq!(step.withdraws.iter().map(AttrName::as_str).collect::<Vec<_>>(), ["title"]);
    assert_eq!((step.inputs.len(), step.reasons.len()), (0, 1), "nothing of it is kept with the link");
}

#[test]
fn what_was_not_given_by_a_mapping_is_not_taken_back() {
    // Written on the way out, not by a mapping.
    let left_behind =
        || withdrawn(Case::linked().wrote("title", ["Clerk"]).saw("title", ["Clerk"]), "title", None);
    assert_eq!((left_behind().words(), left(left_behind(), "title")), (vec![], Some(LeftReason::NotOurs)));
    let theirs = || withdrawn(Case::linked().saw("title", ["Clerk"]), "title", None);
    assert_eq!((theirs().words(), left(theirs(), "title")), (vec![], Some(LeftReason::NotOurs)));
    let nothing = || withdrawn(Case::linked(), "title", None);
    assert_eq!((nothing().words(), left(nothing(), "title")), (vec![], None));
    assert_eq!(withdrawn(Case::new(), "title", None).words(), ["create"]);
}

#[test]
fn what_somebody_else_has_put_in_its_place_stays() {
    let case = || withdrawn(gave(Case::linked(), "title", ["Clerk"]), "title", None);
    assert_eq!(case().drifted("title", ["Boss"]).words(), [""; 0]);
    assert_eq!(left(case().drifted("title", ["Boss"]), "title"), Some(LeftReason::NotOurs));
    assert_eq!(case().drifted("title", []).words(), [""; 0], "it is gone already");
    assert_eq!(case().drifted("title", ["Clerk"]).change("title"), Some(Change::Clear), "it is back");
}

#[test]
fn a_withdrawn_value_stays_for_a_reason() {
    for why in [LeftReason::Weak, LeftReason::CreateOnly, LeftReason::NotAuthoritative, LeftReason::Silent] {
        let case = || withdrawn(gave(Case::linked(), "title", ["Clerk"]), "title", Some(why));
        assert_eq!((case().words(), left(case(), "title")), (vec![], Some(why)));
    }
    let required = || {
        let mut case = withdrawn(gave(Case::linked(), "title", ["Clerk"]), "title", None);
        let class = case.facts.discovery.schema.classes.get_mut(&"user".into()).unwrap();
        class.attributes.get_mut("title").unwrap().required = true;
        case
    };
    assert_eq!((required().words(), left(required(), "title")), (vec![], Some(LeftReason::Required)));
    let mut name = gave(Case::linked(), "name", ["jane"]);
    name.wanted.values.clear();
    let name = withdrawn(name, "name", None);
    assert_eq!(name.words(), [""; 0], "an object keeps its name");
    let computed = withdrawn(gave(Case::linked(), "serial", ["1"]), "serial", None);
    assert_eq!((computed.words(), left(computed, "serial")), (vec![], Some(LeftReason::ReadOnly)));
}

#[test]
fn of_a_set_the_values_that_we_gave_are_taken_back() {
    let case = || withdrawn(gave(Case::linked(), "tags", ["a", "b"]), "tags", None);
    let edit = |values: &[&str]| {
        let remove = values.iter().map(|value| (*value).into()).collect();
        Some(Change::Edit { add: Vec::new(), remove })
    };
    assert_eq!(case().change("tags"), edit(&["a", "b"]), "nobody knows what else is there");
    assert_eq!(case().saw("tags", ["a", "b", "theirs"]).change("tags"), edit(&["a", "b"]));
    assert_eq!(case().saw("tags", ["B", "a"]).change("tags"), Some(Change::Clear));
    assert_eq!(case().saw("tags", ["a", "b"]).drifted("tags", ["a", "x"]).change("tags"), edit(&["a", "b"]));
    assert_eq!(
        case().saw("tags", ["a", " b "]).change("tags"),
        Some(Change::Clear),
        "as the target shows ours"
    );
    assert_eq!(case().saw("tags", ["a", " b ", "x"]).change("tags"), edit(&["a", "b", " b "]));
    assert_eq!(case().saw("tags", ["a", "x"]).step().budgets, [BudgetKind::AttributeClear]);
}

#[test]
fn under_observe_an_account_that_is_there_is_not_written_and_the_plan_says_what_would_be() {
    let observed = |mut case: Case| {
        case.wanted.authority = Authority::Observe;
        case
    };
    let case = || {
        let case = gave(Case::linked(), "level", ["3"]).wrote("name", ["joan"]);
        observed(withdrawn(case.wants("title", ["Engineer"]), "level", None))
    };
    assert_eq!((case().words(), case().reasons()), (vec![], vec![RefusalReason::AttributesObserved]));
    let detail = case().plan().skips.remove(0).detail;
    assert_eq!(detail, "the map's authority is `observe`; would write level, name, title");
    assert_eq!(left(case(), "title"), Some(LeftReason::Observed));
    let created = observed(Case::new().wants("title", ["Engineer"])).created();
    assert_eq!(created.text("title"), Some("Engineer"), "but written at create");
    assert_eq!(observed(Case::linked()).reasons(), [], "nothing would be written");
    // Not its attributes alone: the account is switched off all the same.
    let mut off = observed(Case::linked().wants("title", ["Engineer"]));
    off.wanted.enabled = Some(false);
    assert_eq!(off.words(), ["disable"]);
    let mut later = observed(Case::linked());
    let key = DesiredSlot::AccountOf { key: "2".to_owned() };
    let to = provision_core::plan::Resolved::Later(later.identity.id);
    later.references.insert(("2".to_owned(), super::TARGET.into(), "user".into()), to);
    assert!(later.wants_slot(Strength::Strong, "boss", key).plan().waiting.is_empty());
}

/// A state of the account and how it is made.
type State = (&'static str, fn() -> Case);

/// What becomes of `Engineer` (or of nothing, for what clears) by strength and by what is there.
#[test]
fn strength_and_state_decide_together() {
    use Strength::{CreateOnly, Normal, Strong, Weak};
    let states: [State; 6] = [
        ("nothing", Case::linked),
        ("ours, another", || gave(Case::linked(), "title", ["Clerk"])),
        ("ours, the same", || gave(Case::linked(), "title", ["Engineer"])),
        ("ours, drifted", || gave(Case::linked(), "title", ["Engineer"]).drifted("title", ["Boss"])),
        ("theirs", || Case::linked().saw("title", ["Boss"])),
        ("theirs, the same", || Case::linked().saw("title", ["Engineer"])),
    ];
    let written = |make: fn() -> Case, strength, values: &[&str], add_only: bool| {
        let slot = DesiredSlot::Known(provision_core::value::Slot::from_values(
            values.iter().map(|value| (*value).into()).collect(),
        ));
        let mut case = make().wants_slot(strength, "title", slot);
        let tolerance = Tolerance { add_only, ..Tolerance::default() };
        case.wanted.values.last_mut().unwrap().tolerance = add_only.then(|| Box::new(tolerance));
        case.change("title").is_some()
    };
    // Written: strong, normal, weak, create_only; cleared by normal, and not by one that is not authoritative.
    let table = [
        ([true, true, true, false], [false, false]),
        ([true, true, false, false], [true, false]),
        ([false, false, false, false], [true, false]),
        ([true, false, false, false], [true, false]),
        ([true, true, false, false], [true, false]),
        ([false, false, false, false], [true, false]),
    ];
    for ((state, make), (gives, clears)) in states.into_iter().zip(table) {
        let by =
            [Strong, Normal, Weak, CreateOnly].map(|strength| written(make, strength, &["Engineer"], false));
        assert_eq!(by, gives, "{state}");
        assert_eq!([false, true].map(|add_only| written(make, Normal, &[], add_only)), clears, "{state}");
    }
    let adds = Case::linked().wrote("title", ["Clerk"]);
    let mut adds = adds.wants("title", ["Engineer"]);
    adds.wanted.values.last_mut().unwrap().tolerance =
        Some(Box::new(Tolerance { add_only: true, ..Default::default() }));
    assert_eq!(
        adds.change("title"),
        Some(Change::Replace(texts(["Engineer"]))),
        "a single value is replaced"
    );
    assert!(matches!(adds.step().action, Action::Update { .. }));
}
