//! The Active Directory provisioning matrix.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests fail loudly"
)]

mod support;

use std::fmt::Write as _;

use provision_core::model::Identity;
use provision_policy::Bundle;
use support::{Names, account, evaluate, golden, person, value};

const OU: &str = "OU=Sales,OU=People,DC=mycompany,DC=com";

const ATTRIBUTES: &[&str] = &[
    "sAMAccountName",
    "userPrincipalName",
    "cn",
    "dn",
    "givenName",
    "middleName",
    "sn",
    "displayName",
    "extensionAttribute10",
    "title",
    "mail",
    "mobile",
    "department",
    "manager",
];

fn bundle() -> Bundle {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bundles/active_directory.yaml");
    Bundle::load_path(path).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(|problem| format!("{problem}\n")).collect::<String>())
    })
}

/// A person in Sales, unless the attributes say otherwise.
fn sales(key: &str, attributes: &[(&str, &str)]) -> Identity {
    let mut person = person(key, attributes);
    if person.attributes.get("department").is_none() {
        person.attributes.set("department", vec!["Sales".into()]);
    }
    person
}

fn matrix() -> Vec<(&'static str, Identity)> {
    let long = "Wolfeschlegelsteinhausenbergerdorffwelchevoralternwarengewis";
    assert_eq!(long.len(), 60);
    vec![
        (
            "everything there is",
            sales(
                "1",
                &[
                    ("givenName", "John"),
                    ("middleName", "Quincy"),
                    ("familyName", "Smith"),
                    ("title", "Account Manager"),
                    ("mobile", "+1 555 0100"),
                    ("manager", "9"),
                ],
            ),
        ),
        ("same name", sales("2", &[("givenName", "John"), ("familyName", "Smith")])),
        (
            "accents, apostrophe, hyphen",
            sales("3", &[("givenName", "Jéssica"), ("familyName", "O'Neil-Núñez")]),
        ),
        ("Polish", sales("4", &[("givenName", "Łukasz"), ("familyName", "Żółć")])),
        (
            "Chinese with a romanised form",
            sales(
                "5",
                &[
                    ("givenName", "小明"),
                    ("familyName", "王"),
                    ("givenNameRomanized", "Xiaoming"),
                    ("familyNameRomanized", "Wang"),
                ],
            ),
        ),
        ("Chinese without", sales("6", &[("givenName", "小明"), ("familyName", "王")])),
        ("one name, as given name", sales("7", &[("givenName", "Björk"), ("familyName", "")])),
        ("one name, as family name", sales("8", &[("givenName", ""), ("familyName", "Suharto")])),
        ("60 characters", sales("9", &[("givenName", "Hubert"), ("familyName", long)])),
        ("60 characters, taken", sales("10", &[("givenName", "Heinz"), ("familyName", long)])),
        ("a cn taken in its OU", sales("11", &[("givenName", "Ada"), ("familyName", "Lovelace")])),
        (
            "the same cn in another OU",
            sales("12", &[("givenName", "Ada"), ("familyName", "Lovelace"), ("department", "Finance")]),
        ),
        ("a reserved login", sales("13", &[("givenName", ""), ("familyName", "Root")])),
        (
            "characters of a DN",
            sales("14", &[("givenName", "Mary"), ("familyName", "Ng, OU=Admins+x=\"y\"")]),
        ),
        (
            "a department without OU",
            sales("15", &[("givenName", "Ann"), ("familyName", "Lee"), ("department", "Ops")]),
        ),
        ("no name at all", sales("16", &[("title", "Ghost")])),
        (
            "an administrator",
            sales("17", &[("givenName", "Eve"), ("familyName", "Adams"), ("title", "Domain Administrator")]),
        ),
        (
            "a contractor",
            sales(
                "18",
                &[("givenName", "Tom"), ("familyName", "Hill"), ("userType", "contractor"), ("title", "")],
            ),
        ),
    ]
}

#[test]
fn matrix_is_as_expected() {
    let bundle = bundle();
    assert!(bundle.warnings().is_empty(), "{:?}", bundle.warnings());
    let mut names = Names::default();
    names.take("cn", OU, "Ada Lovelace");
    let mut text = String::new();
    for (title, person) in matrix() {
        let evaluation = evaluate(&bundle, &person, &mut names);
        let directory = account(&evaluation, "directory");
        writeln!(text, "# {}: {title}", person.key).unwrap();
        let roles: Vec<_> = evaluation.roles.iter().map(|decision| decision.role.as_str()).collect();
        writeln!(text, "roles: {}", roles.join(", ")).unwrap();
        for attribute in ATTRIBUTES {
            writeln!(text, "{attribute}: {}", value(directory, attribute)).unwrap();
        }
        for group in &directory.groups {
            let mark = if group.privileged { " (privileged)" } else { "" };
            writeln!(text, "memberOf: {}{mark}", group.group).unwrap();
        }
        for refusal in &directory.refusals {
            let attribute = refusal.attribute.as_ref().map(|name| name.as_str()).unwrap_or("-");
            writeln!(text, "REFUSED {} {attribute}: {}", refusal.reason.as_str(), refusal.detail).unwrap();
        }
        writeln!(text, "badge: {}", value(account(&evaluation, "badges"), "name")).unwrap();
        text.push('\n');
    }
    golden("active_directory.txt", &text);
}

#[test]
fn fifty_john_smiths_in_one_run() {
    let bundle = bundle();
    let mut names = Names::default();
    for number in 1..=120 {
        let attributes = [("givenName", "John"), ("familyName", "Smith"), ("department", "Sales")];
        let evaluation = evaluate(&bundle, &person(&number.to_string(), &attributes), &mut names);
        let directory = account(&evaluation, "directory");
        let count = if number == 1 { String::new() } else { number.to_string() };
        assert_eq!(value(directory, "sAMAccountName"), format!("smithj{count}"));
        assert_eq!(value(directory, "mail"), format!("john.smith{count}@mycompany.com"));
        let cn = format!("John Smith {count}");
        assert_eq!(value(directory, "cn"), cn.trim_end());
    }
}

#[test]
fn a_long_login_gives_way_to_its_counter_past_9_and_99() {
    let bundle = bundle();
    let mut names = Names::default();
    let mut logins = Vec::new();
    for number in 1..=120 {
        let attributes =
            [("givenName", "Jo"), ("familyName", "Abcdefghijklmnopqrstuvwxyz"), ("department", "Sales")];
        let evaluation = evaluate(&bundle, &person(&number.to_string(), &attributes), &mut names);
        logins.push(value(account(&evaluation, "directory"), "sAMAccountName"));
    }
    assert!(logins.iter().all(|login| login.len() == 20), "{logins:?}");
    assert_eq!(logins[0], "abcdefghijklmnopqrsj");
    assert_eq!(logins[1], "abcdefghijklmnopqrj2");
    assert_eq!(logins[8], "abcdefghijklmnopqrj9");
    assert_eq!(logins[9], "abcdefghijklmnopqj10");
    assert_eq!(logins[98], "abcdefghijklmnopqj99");
    assert_eq!(logins[99], "abcdefghijklmnopj100");
}

#[test]
fn names_stay_when_the_person_is_renamed() {
    let bundle = bundle();
    let mut names = Names::default();
    let mut jane = person("1", &[("givenName", "Jane"), ("familyName", "Doe"), ("department", "Sales")]);
    evaluate(&bundle, &jane, &mut names);
    jane.attributes.set("familyName", vec!["王".into()]);
    let evaluation = evaluate(&bundle, &jane, &mut names);
    let directory = account(&evaluation, "directory");
    assert_eq!(value(directory, "sAMAccountName"), "doej");
    assert_eq!(value(directory, "sn"), "王");
    assert!(directory.refusals.is_empty(), "{:?}", directory.refusals);
}
