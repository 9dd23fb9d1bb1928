//! People with several engagements: access is the union, attributes are those of the engagement that leads.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests fail loudly"
)]

mod support;

use provision_core::model::{Employment, Engagement, Identity, Status};
use provision_core::policy::Evaluation;
use provision_core::value::{Attributes, Zone};
use provision_policy::Bundle;
use support::{account, evaluate_at, person, value};

const TEXT: &str = r#"bundle: 1
version: a
inputs: [position]
tables:
  positions:
    key: code
    columns: { roles: list }
    rows: [ { code: COOK, roles: kitchen }, { code: CLERK, roles: office } ]
roles:
  staff: { grants: [{ account: directory/user }] }
  kitchen: { grants: [{ account: kitchen/user }, { group: Cooks, on: directory/user }] }
  office: { grants: [{ account: office/user }, { group: Clerks, on: directory/user }] }
  payroll: { grants: [{ group: Payroll, on: directory/user }] }
  visitor: { grants: [{ group: Visitors, on: directory/user }] }
rules:
  - { id: staff, when: 'lifecycle != "terminated"', roles: [staff] }
  - { id: by-position, when: 'true', roles: { table: positions, key: user.position, column: roles } }
  - { id: payroll, when: 'user.department == "Finance"', unless: 'user.userType == "temp"', roles: [payroll] }
  # What one engagement says and another does not is not put together.
  - { id: mixed, when: 'user.position == "COOK" && user.department == "Finance"', roles: [visitor] }
targets:
  directory:
    user:
      pre_hire: { lead_days: 7 }
      enabled: 'lifecycle == "active"'
      attributes:
        title: user.title
        department: user.department
        room: user.room
        roles: 'join_nonempty(",", roles)'
  kitchen: { user: { attributes: { id: key } } }
  office: { user: { attributes: { id: key } } }
"#;

fn bundle() -> Bundle {
    let text = TEXT.replace("inputs: [position]", "inputs: [position, room]");
    Bundle::load(&[("policy.yaml", &text)]).unwrap_or_else(|problems| panic!("{}", problems[0]))
}

fn engagement(key: &str, dates: [Option<&str>; 2], attributes: &[(&str, &str)]) -> Engagement {
    let date = |text: Option<&str>| text.map(|text| text.parse().unwrap());
    let all = attributes.iter().fold(Attributes::new(), |all, (name, value)| all.with(*name, *value));
    Engagement {
        source: "hr".into(),
        key: key.to_owned(),
        provenance: all.iter().map(|(name, _)| (name.clone(), "hr".into())).collect(),
        attributes: all,
        employment: Employment { start: date(dates[0]), end: date(dates[1]), status: Status::Active },
        zone: Zone::utc(),
    }
}

/// A cook until the end of March who is a clerk from February on.
fn jane() -> Identity {
    let cook = [("position", "COOK"), ("title", "Cook"), ("room", "K1")];
    let clerk = [("position", "CLERK"), ("title", "Clerk"), ("department", "Finance")];
    let mut jane = person("P1", &[]);
    jane.engagements = vec![
        engagement("12", [None, Some("2026-03-31")], &cook),
        engagement("77", [Some("2026-02-01"), None], &clerk),
    ];
    jane
}

fn shown(evaluation: &Evaluation) -> (Vec<&str>, [bool; 3], Vec<&str>, [String; 4]) {
    let directory = account(evaluation, "directory");
    (
        evaluation.roles.iter().map(|decision| decision.role.as_str()).collect(),
        ["directory", "kitchen", "office"].map(|target| account(evaluation, target).exists),
        directory.groups.iter().map(|group| group.group.as_str()).collect(),
        ["title", "department", "room", "roles"].map(|name| value(directory, name)),
    )
}

#[test]
fn access_is_the_union_and_one_that_ends_takes_only_its_own() {
    let at = |now: &str| evaluate_at(&bundle(), &jane(), now);
    let texts = |texts: [&str; 4]| texts.map(str::to_owned);
    let cook = at("2026-01-10T08:00:00Z");
    assert_eq!(
        shown(&cook),
        (
            vec!["kitchen", "staff"],
            [true, true, false],
            vec!["Cooks"],
            texts(["Cook", "-", "K1", "kitchen,staff"])
        )
    );
    assert_eq!(cook.next_change_at, Some("2026-02-01T00:00:00Z".parse().unwrap()));
    let both = at("2026-02-01T00:00:00Z");
    assert_eq!(
        shown(&both),
        (
            vec!["kitchen", "office", "payroll", "staff"],
            [true, true, true],
            vec!["Clerks", "Cooks", "Payroll"],
            texts(["Cook", "Finance", "K1", "kitchen,office,payroll,staff"])
        )
    );
    assert_eq!(both.next_change_at, Some("2026-04-01T00:00:00Z".parse().unwrap()));
    let clerk = at("2026-04-01T00:00:00Z");
    assert_eq!(
        shown(&clerk),
        (
            vec!["office", "payroll", "staff"],
            [true, false, true],
            vec!["Clerks", "Payroll"],
            texts(["Clerk", "Finance", "-", "office,payroll,staff"])
        )
    );
    assert_eq!(clerk.next_change_at, None);
}

#[test]
fn reasons_name_the_rule_and_the_engagement() {
    let both = evaluate_at(&bundle(), &jane(), "2026-02-10T08:00:00Z");
    let because = |role: &str| -> Vec<&str> {
        let found = both.roles.iter().find(|decision| decision.role.as_str() == role).unwrap();
        found.because.iter().map(|by| by.as_str()).collect()
    };
    assert_eq!(because("kitchen"), ["rules.by-position[positions:COOK]@hr/12"]);
    assert_eq!(because("payroll"), ["rules.payroll@hr/77"]);
    assert_eq!(because("staff"), ["rules.staff@hr/12", "rules.staff@hr/77"]);
    let bundle = bundle();
    assert_eq!(bundle.source_of(&"rules.payroll@hr/77".into()), bundle.source_of(&"rules.payroll".into()));
    assert_eq!(bundle.source_of(&"rules.by-position[positions:COOK]@hr/12".into()).unwrap().line, 8);
}

#[test]
fn an_exclusion_and_a_missing_row_are_of_their_engagement() {
    let mut jane = jane();
    jane.engagements[1].attributes.set("userType", vec!["temp".into()]);
    jane.engagements[0].attributes.set("position", vec!["GONE".into()]);
    let both = evaluate_at(&bundle(), &jane, "2026-02-10T08:00:00Z");
    let excluded: Vec<_> = both.excluded.iter().map(|one| (one.role.as_str(), one.by.as_str())).collect();
    assert_eq!(excluded, [("payroll", "rules.payroll.unless@hr/77")]);
    assert!(both.roles.iter().any(|decision| decision.role.as_str() == "office"));
    for target in ["directory", "kitchen", "office"] {
        assert_eq!(
            account(&both, target).refusals.len(),
            1,
            "{target}: what the row would give is not known"
        );
    }
}

#[test]
fn who_has_not_begun_is_as_the_nearest_engagement_and_who_has_ended_everywhere_leaves() {
    let mut jane = jane();
    jane.engagements[0].employment.start = "2026-01-20".parse().ok();
    let at = |now: &str| evaluate_at(&bundle(), &jane, now);
    let before = at("2026-01-10T08:00:00Z");
    assert!(!account(&before, "directory").exists);
    assert_eq!(before.next_change_at, Some("2026-01-13T00:00:00Z".parse().unwrap()));
    let early = at("2026-01-13T00:00:00Z");
    assert!(account(&early, "directory").exists && !account(&early, "kitchen").exists);
    assert_eq!(value(account(&early, "directory"), "title"), "Cook");
    let mut gone = self::jane();
    gone.engagements[1].employment.end = "2026-06-30".parse().ok();
    let last = evaluate_at(&bundle(), &gone, "2026-06-30T23:59:59Z");
    assert!(account(&last, "office").exists);
    let after = evaluate_at(&bundle(), &gone, "2026-07-01T00:00:00Z");
    assert!(after.accounts.iter().all(|account| !account.exists));
    assert_eq!(after.next_change_at, None);
}

#[test]
fn what_comes_later_or_is_suspended_gives_nothing_through_another_engagement() {
    let mut jane = jane();
    jane.engagements[0].employment = Employment { start: "2026-06-01".parse().ok(), ..Employment::default() };
    jane.engagements[1].employment = Employment { start: "2026-12-01".parse().ok(), ..Employment::default() };
    let early = evaluate_at(&bundle(), &jane, "2026-05-28T08:00:00Z");
    let (roles, _, groups, _) = shown(&early);
    assert_eq!(
        (roles, groups),
        (vec!["kitchen", "staff"], vec!["Cooks"]),
        "not the office, half a year early"
    );
    let mut barred = self::jane();
    barred.engagements[1].employment.status = Status::Suspended;
    let both = evaluate_at(&bundle(), &barred, "2026-02-15T08:00:00Z");
    assert_eq!(shown(&both).2, ["Cooks"], "Finance is barred, the kitchen is not");
    assert_eq!(account(&both, "directory").enabled, Some(true));
    let alone = evaluate_at(&bundle(), &barred, "2026-04-15T08:00:00Z");
    assert_eq!(shown(&alone).2, ["Clerks", "Payroll"], "as with a single one: kept, and nobody signs in");
    assert_eq!(account(&alone, "directory").enabled, Some(false));
}

#[test]
fn one_engagement_is_the_person() {
    let mut single = person("P1", &[("position", "COOK"), ("title", "Cook")]);
    single.engagements = vec![engagement("12", [None, None], &[("position", "COOK"), ("title", "Cook")])];
    let plain = person("P1", &[("position", "COOK"), ("title", "Cook")]);
    let shown = |identity: &Identity| {
        let found = evaluate_at(&bundle(), identity, "2026-02-10T08:00:00Z");
        serde_json::to_string(&found).unwrap().replace("@hr/12", "")
    };
    assert_eq!(shown(&single), shown(&plain));
}

#[test]
fn the_day_changes_where_each_engagement_is() {
    let text = TEXT
        .replace("inputs: [position]", "inputs: [position, room]")
        .replace("'lifecycle != \"terminated\"'", "'today < \"2026-02-11\"'");
    let bundle = Bundle::load(&[("policy.yaml", &text)]).unwrap();
    let mut jane = jane();
    jane.engagements[1].zone = Zone::new("Asia/Tokyo").unwrap();
    let found = evaluate_at(&bundle, &jane, "2026-02-10T16:00:00Z");
    let staff = found.roles.iter().find(|decision| decision.role.as_str() == "staff").unwrap();
    assert_eq!(staff.because.iter().map(|by| by.as_str()).collect::<Vec<_>>(), ["rules.staff@hr/12"]);
    assert_eq!(found.next_change_at, Some("2026-02-11T00:00:00Z".parse().unwrap()));
    let found = evaluate_at(&bundle, &jane, "2026-02-10T14:00:00Z");
    assert_eq!(found.next_change_at, Some("2026-02-10T15:00:00Z".parse().unwrap()), "midnight in Tokyo");
}

#[test]
fn an_edit_of_a_rule_asks_for_every_engagement() {
    let text = "bundle: 1\nversion: a\nroles: { staff: {}, other: {} }\nrules:\n  \
                - { id: r, when: 'user.department == \"Finance\"', roles: [staff] }\n";
    let (old, new) = (text.to_owned(), text.replace("[staff]", "[staff, other]"));
    let load = |text: &str| Bundle::load(&[("p", text)]).unwrap();
    let edit = load(&old).edit_to(&load(&new));
    let touches = |identity: &Identity| {
        let now = "2026-02-10T08:00:00Z".parse().unwrap();
        let (lifecycle, _) = identity.lifecycle(now).unwrap();
        edit.touches(&provision_core::policy::PolicyInput {
            identity,
            lifecycle,
            now,
            grants: &[],
            proposed: false,
        })
    };
    assert!(touches(&jane()), "her second engagement is in Finance");
    assert!(!touches(&person("2", &[("department", "Sales")])));
}
