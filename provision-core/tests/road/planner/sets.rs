//! Sets and lists: what we wrote and do not want any more goes, what is missing comes, what others put there stays.

use provision_core::delta::Change;
use provision_core::policy::Strength;

use super::{Case, texts};

fn edit<const A: usize, const R: usize>(add: [&str; A], remove: [&str; R]) -> Option<Change> {
    Some(Change::Edit { add: texts(add), remove: texts(remove) })
}

#[test]
fn what_is_missing_comes_and_what_is_not_wanted_any_more_goes() {
    let case = || Case::linked().wrote("tags", ["a", "b"]);
    assert_eq!(case().wants("tags", ["b", "c"]).change("tags"), edit(["c"], ["a"]));
    assert_eq!(case().wants("tags", ["a", "b", "c"]).change("tags"), edit(["c"], []));
    assert_eq!(case().wants("tags", ["b"]).change("tags"), edit([], ["a"]));
    assert_eq!(case().wants("tags", ["B", "a"]).change("tags"), None, "the same, by the attribute's rules");
    assert_eq!(Case::linked().wants("tags", ["a"]).change("tags"), edit(["a"], []));
}

#[test]
fn values_that_others_put_there_stay() {
    let case = || Case::linked().wrote("tags", ["a"]).saw("tags", ["a", "theirs"]);
    assert_eq!(case().wants("tags", ["a"]).change("tags"), None);
    assert_eq!(case().wants("tags", ["b"]).change("tags"), edit(["b"], ["a"]));
    assert_eq!(case().wants("tags", []).change("tags"), edit([], ["a"]));
    assert_eq!(case().wants("tags", ["theirs"]).change("tags"), edit([], ["a"]), "it is there already");
}

#[test]
fn a_set_in_which_all_is_ours_is_cleared() {
    let case = || Case::linked().wrote("tags", ["a", "b"]);
    assert_eq!(case().wants("tags", []).change("tags"), Some(Change::Clear));
    assert_eq!(case().saw("tags", ["B", "a"]).wants("tags", []).change("tags"), Some(Change::Clear));
    let taken_away = case().saw("tags", ["a", "b", "theirs"]).drifted("tags", ["a"]);
    assert_eq!(taken_away.wants("tags", []).change("tags"), Some(Change::Clear), "they are gone by now");
    assert_eq!(Case::linked().saw("tags", ["theirs"]).wants("tags", []).change("tags"), None);
}

#[test]
fn an_account_that_was_adopted_keeps_its_own_values() {
    let case = || Case::linked().saw("tags", ["theirs", "A"]);
    assert_eq!(case().wants("tags", ["a"]).change("tags"), None);
    assert_eq!(case().wants("tags", ["a", "b"]).change("tags"), edit(["b"], []));
}

#[test]
fn a_set_that_drifted_is_put_right() {
    let case = || Case::linked().wrote("tags", ["a", "b"]).saw("tags", ["a", "b"]).wants("tags", ["a", "b"]);
    assert_eq!(case().drifted("tags", ["a"]).change("tags"), edit(["b"], []));
    assert_eq!(
        case().drifted("tags", ["a", "B", "theirs"]).change("tags"),
        None,
        "more than ours is no harm"
    );
    assert_eq!(case().drifted("tags", []).change("tags"), edit(["a", "b"], []));
}

#[test]
fn a_list_is_written_whole_when_its_order_is_another() {
    let case = || Case::linked().wrote("lines", ["one", "two"]);
    assert_eq!(
        case().wants("lines", ["two", "one"]).change("lines"),
        Some(Change::Replace(texts(["two", "one"])))
    );
    assert_eq!(case().wants("lines", ["one", "two"]).change("lines"), None);
    assert_eq!(case().wants("lines", ["one"]).change("lines"), Some(Change::Replace(texts(["one"]))));
    let adopted = Case::linked().saw("lines", ["one", "two"]);
    assert_eq!(adopted.wants("lines", ["one"]).change("lines"), Some(Change::Replace(texts(["one"]))));
}

#[test]
fn a_weak_set_is_written_where_it_is_empty() {
    let case = || Case::linked().wants_as(Strength::Weak, "tags", ["a"]);
    assert_eq!(case().change("tags"), edit(["a"], []));
    assert_eq!(case().saw("tags", ["theirs"]).change("tags"), None);
}
