//! Steps as people read them: what changes, and why when it is asked for.

use provision_core::id::PolicyRef;
use provision_core::plan::render_step;
use provision_core::policy::{Derivation, InputRef};

use super::Case;

fn shown(case: &Case, why: bool) -> String {
    let class = case.facts.discovery.schema.class(&"user".into());
    case.plan().steps.iter().map(|step| render_step(step, class, why)).collect()
}

#[test]
fn a_change_of_a_set_shows_what_comes_and_what_goes() {
    let case = || Case::linked().wrote("tags", ["a"]);
    assert!(shown(&case().wants("tags", ["a", "b"]), false).contains("tags : add \"b\"\n"));
    assert!(
        shown(&case().saw("tags", ["a", "c"]).wants("tags", []), false).contains("tags : remove \"a\"\n")
    );
    assert!(shown(&case().wants("tags", ["b"]), false).contains("tags : add \"b\", remove \"a\"\n"));
    assert!(shown(&case().wants("tags", []), false).contains("tags = (no value)\n"));
}

#[test]
fn what_the_schema_calls_sensitive_is_not_shown() {
    let mut case = Case::linked().wants("title", ["Engineer"]);
    let class = case.facts.discovery.schema.classes.get_mut(&"user".into()).unwrap();
    class.attributes.get_mut("title").unwrap().sensitive = true;
    assert!(shown(&case, true).contains("title = (not shown)"));
    assert!(!shown(&case, true).contains("Engineer"));
}

#[test]
fn the_reason_of_a_value_stands_beside_it() {
    let mut case = Case::linked().wants("title", ["Engineer"]);
    assert!(shown(&case, true).contains("title = \"Engineer\"    <- the policy\n"));
    assert!(shown(&case, false).contains("title = \"Engineer\"\n"));
    let value = case.wanted.values.last_mut().unwrap();
    let input = InputRef { attribute: "job".into(), source: Some("hr".into()) };
    let own = InputRef { attribute: "level".into(), source: None };
    let mapping = Some(PolicyRef::new("maps.title"));
    value.derivation = Derivation { mapping, inputs: vec![input, own], ..Derivation::default() };
    let wanted = "title = \"Engineer\"    <- maps.title; from job@hr, level\n";
    assert!(shown(&case, true).contains(wanted), "{}", shown(&case, true));
}

#[test]
fn a_membership_says_which_rule_gives_it() {
    let mut case = Case::linked().wants_group("staff");
    case.wanted.groups[0].because.push(PolicyRef::new("rules.staff"));
    assert!(
        shown(&case, true).contains("    into staff\n    because rules.staff\n"),
        "{}",
        shown(&case, true)
    );
    assert!(!shown(&case, false).contains("because"));
    case.wanted.groups[0].privileged = true;
    assert!(shown(&case, false).contains("    into staff  (privileged)\n"));
}
