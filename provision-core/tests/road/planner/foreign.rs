//! Values that others put into a set: which go, which stay, and why.

use provision_core::delta::Change;
use provision_core::plan::BudgetKind;
use provision_core::policy::{Range, Strength, Tolerance};

use super::{Case, texts};

fn range(pattern: &str) -> Range {
    Range { pattern: pattern.to_owned(), by: "maps.tags".into() }
}

/// The policy gives `tags` these values; the patterns take others away.
fn wants<const N: usize>(case: Case, strength: Strength, values: [&str; N], removes: &[&str]) -> Case {
    let mut case = case.wants_as(strength, "tags", values);
    let removes = removes.iter().map(|pattern| range(pattern)).collect();
    let tolerance = Tolerance { add_only: false, removes, keeps: vec!["keep-*".to_owned()] };
    case.wanted.values.last_mut().unwrap().tolerance = Some(Box::new(tolerance));
    case.link().inputs.insert("tags".into(), "inputs of tags".to_owned());
    case
}

fn edit<const A: usize, const R: usize>(add: [&str; A], remove: [&str; R]) -> Option<Change> {
    Some(Change::Edit { add: texts(add), remove: texts(remove) })
}

fn ours() -> Case {
    Case::linked().wrote("tags", ["a"]).saw("tags", ["A", "x", "dept-1", "keep-1"])
}

#[test]
fn foreign_values_in_a_range_go_and_those_that_are_kept_stay() {
    use Strength::{CreateOnly, Normal, Strong, Weak};
    for strength in [Strong, Normal] {
        assert_eq!(wants(ours(), strength, ["a"], &["*"]).change("tags"), edit([], ["x", "dept-1"]));
        assert_eq!(wants(ours(), strength, ["a"], &["DEPT-*"]).change("tags"), edit([], ["dept-1"]));
        assert_eq!(wants(ours(), strength, ["a"], &["none-*"]).change("tags"), None);
        assert!(wants(ours(), strength, ["a", "x"], &["*"]).change("tags").is_some(), "one is wanted");
    }
    for strength in [Weak, CreateOnly] {
        assert_eq!(wants(ours(), strength, ["a"], &["*"]).change("tags"), None, "it takes nothing away");
    }
    // Of an account that was adopted too: there all is theirs.
    let adopted = || Case::linked().saw("tags", ["a", "x"]);
    assert_eq!(wants(adopted(), Strong, ["a"], &["*"]).change("tags"), edit([], ["x"]));
    let nothing_known = Case::linked().wrote("tags", ["a"]);
    assert_eq!(wants(nothing_known, Strong, ["a"], &["*"]).change("tags"), None);
    let all = Case::linked().wrote("tags", []).saw("tags", ["x", "y"]);
    assert_eq!(wants(all, Strong, [], &["*"]).change("tags"), Some(Change::Clear));
    let but_one = Case::linked().wrote("tags", []).saw("tags", ["x", "keep-y"]);
    assert_eq!(wants(but_one, Strong, [], &["*"]).change("tags"), edit([], ["x"]));
}

#[test]
fn one_budget_is_spent_and_the_reason_names_the_range() {
    let case = wants(ours(), Strength::Strong, ["a", "b"], &["*"]);
    let step = case.step();
    assert_eq!(case.change("tags"), edit(["b"], ["x", "dept-1"]));
    assert_eq!(step.budgets, [BudgetKind::AttributeClear]);
    let [value, foreign] = &step.reasons[..] else { panic!("{:?}", step.reasons) };
    assert_eq!((&value.attribute, &foreign.attribute), (&Some("tags".into()), &Some("tags".into())));
    assert_eq!(foreign.derivation.mapping, Some("maps.tags".into()));
    let note = "values that no mapping gives go, in the range `*`: 2";
    assert_eq!(foreign.derivation.note.as_deref(), Some(note));
    // What a normal mapping gave and somebody took away is not given anew along with it.
    let drifted =
        Case::linked().wrote("tags", ["a", "b"]).saw("tags", ["a", "b"]).drifted("tags", ["a", "x"]);
    let case = wants(drifted, Strength::Normal, ["a", "b"], &["*"]);
    assert_eq!(case.change("tags"), edit([], ["x"]));
    assert_eq!(case.step().inputs.len(), 0);
}

#[test]
fn where_the_target_shows_our_values_in_its_own_way_nothing_is_foreign() {
    let shown = |values: [&str; 3]| Case::linked().wrote("tags", ["+41 1", "b"]).saw("tags", values);
    let change = |case: Case| wants(case, Strength::Strong, ["+41 1", "b"], &["*"]).change("tags");
    assert_eq!(change(shown(["0041 1", "b", "x"])), None, "one of them is ours");
    assert_eq!(change(shown(["+41 1", "b", "x"])), edit([], ["x"]));
    assert_eq!(change(shown(["+41 1", "b", " B "])), None, "a form of ours");
    // What the target showed again right after it was taken away is left to it.
    let mut insisted = shown(["+41 1", "b", "x"]);
    insisted.link().insisted.set("tags", texts(["X"]));
    assert_eq!(change(insisted), None);
    let removed = Case::linked().wrote("tags", ["Ab"]).saw("tags", [" ab"]).wants("tags", ["c"]);
    assert_eq!(
        removed.change("tags"),
        edit(["c"], ["Ab", " ab"]),
        "ours goes in the form in which it is shown"
    );
}

#[test]
fn a_mapping_that_only_adds_keeps_what_it_gave_but_for_the_ranges_of_others() {
    let case = |removes: &[&str]| {
        let case = Case::linked().wrote("tags", ["a", "old"]).saw("tags", ["a", "old", "x"]);
        let mut case = wants(case, Strength::Strong, ["a"], removes);
        case.wanted.values.last_mut().unwrap().tolerance.as_mut().unwrap().add_only = true;
        case.change("tags")
    };
    assert_eq!(case(&[]), None);
    assert_eq!(case(&["o*"]), edit([], ["old"]));
    assert_eq!(case(&["*"]), edit([], ["old", "x"]));
}
