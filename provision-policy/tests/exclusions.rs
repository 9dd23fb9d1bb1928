//! Exclusions of rules, and what they say of themselves.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests fail loudly"
)]

mod support;

use provision_core::policy::Evaluation;
use provision_policy::Bundle;
use support::{Names, account, evaluate, person};

const TEXT: &str = r#"bundle: 1
version: a
roles:
  base: { grants: [{ account: directory/user }] }
  staff: { includes: [base], grants: [{ group: Staff, on: directory/user }] }
  clerk: { grants: [{ account: desk/user }] }
rules:
  - id: staff
    when: 'true'
    unless: 'user.userType == "contractor"'
    roles: [staff, clerk]
  - { id: clerks, when: 'user.title == "Clerk"', unless: 'user.userType == "robot"', roles: [clerk] }
targets:
  directory: { user: { attributes: { id: key } } }
  desk: { user: { attributes: { id: key } } }
"#;

fn at(kind: &str, title: &str) -> Evaluation {
    let bundle = Bundle::load(&[("p", TEXT)]).unwrap();
    evaluate(&bundle, &person("1", &[("userType", kind), ("title", title)]), &mut Names::default())
}

fn excluded(evaluation: &Evaluation) -> Vec<[&str; 3]> {
    let all = evaluation.excluded.iter();
    all.map(|one| [one.role.as_str(), one.rule.as_str(), one.by.as_str()]).collect()
}

#[test]
fn a_role_that_an_exclusion_keeps_away_is_named_with_what_excludes() {
    let contractor = at("contractor", "Cook");
    assert_eq!(
        excluded(&contractor),
        [["clerk", "rules.staff", "rules.staff.unless"], ["staff", "rules.staff", "rules.staff.unless"]]
    );
    let directory = account(&contractor, "directory");
    assert!(!directory.exists);
    let notes: Vec<_> = directory
        .because
        .iter()
        .map(|why| (why.mapping.as_ref().unwrap().as_str(), why.note.as_deref().unwrap()))
        .collect();
    assert_eq!(
        notes,
        [
            ("targets.directory.user", "no role or grant gives this account"),
            ("rules.staff.unless", "excludes from the role `staff`")
        ],
        "the account comes with a role that the excluded one includes"
    );
    let bundle = Bundle::load(&[("p", TEXT)]).unwrap();
    assert_eq!(bundle.source_of(&"rules.staff.unless".into()).unwrap().line, 10);
}

#[test]
fn what_another_rule_gives_is_not_excluded() {
    let clerk = at("contractor", "Clerk");
    assert_eq!(excluded(&clerk), [["staff", "rules.staff", "rules.staff.unless"]]);
    assert!(account(&clerk, "desk").exists);
    assert_eq!(excluded(&at("employee", "Clerk")), [] as [[&str; 3]; 0]);
    assert_eq!(
        excluded(&at("robot", "Cook")),
        [] as [[&str; 3]; 0],
        "a condition that does not hold excludes nobody"
    );
    let text = serde_json::to_string(&at("employee", "Clerk")).unwrap();
    assert!(!text.contains("excluded"), "it costs nothing where there is none");
}
