//! The matrix of a directory account: 13 attributes, three of them generated names, by three evaluators: a bundle, the
//! interpreter of the `cel` crate on the same expressions, and Rust written by hand.

mod by_cel;
mod by_hand;

use std::collections::BTreeMap;

pub use by_cel::{Account, ByCel, compile, functions, hold, shown};
pub use by_hand::by_hand;
use provision_core::id::{IdentityId, RealmId};
use provision_core::model::{Employment, Identity};
use provision_core::value::{Attributes, Zone};
use provision_policy::Bundle;
use uuid::Uuid;

use crate::people::{person, scatter};
use crate::{Outcome, SOURCE};

/// Names of organisational units by department.
const UNITS: [(&str, &str); 8] = [
    ("Finance", "OU=Finance,OU=People,DC=corp,DC=example"),
    ("Legal", "OU=Legal,OU=People,DC=corp,DC=example"),
    ("Logistics", "OU=Logistics,OU=People,DC=corp,DC=example"),
    ("Marketing", "OU=Marketing,OU=People,DC=corp,DC=example"),
    ("Production", "OU=Production,OU=People,DC=corp,DC=example"),
    ("Research", "OU=Research,OU=People,DC=corp,DC=example"),
    ("Sales", "OU=Sales,OU=People,DC=corp,DC=example"),
    ("Support", "OU=Support,OU=People,DC=corp,DC=example"),
];

/// Shared expressions.
const VALUES: [(&str, &str); 4] = [
    ("given", "first_nonempty(user.givenNameRomanized, user.givenName)"),
    ("family", "first_nonempty(user.familyNameRomanized, user.familyName)"),
    ("last", "first_nonempty(value.family, value.given)"),
    ("first", "empty(value.family) ? null : value.given"),
];
/// Rules: both have an answer for everybody.
const RULES: [(&str, &str); 2] = [
    ("employed", r#"lifecycle != "terminated" && user.userType == "employee""#),
    ("contracted", r#"lifecycle != "terminated" && user.userType == "contractor""#),
];
/// Who may sign in.
const ENABLED: &str = r#"lifecycle == "active" || lifecycle == "on_leave""#;
/// Attributes that are no generated names.
const MAPPINGS: [(&str, &str); 10] = [
    ("dn", r#""CN=" + rdn(name.cn) + "," + lookup("ou", user.department)"#),
    ("userPrincipalName", r#"name.sAMAccountName + "@corp.example""#),
    ("employeeNumber", "key"),
    ("givenName", "user.givenName"),
    ("sn", "first_nonempty(user.familyName, user.givenName)"),
    ("displayName", "user.displayName"),
    ("title", "left(user.title, 128)"),
    ("department", "user.department"),
    ("mobile", "user.mobile"),
    ("manager", "account_of(user.manager)"),
];

/// Generated names.
const NAMES: &str = r#"      names:
        - sAMAccountName:
            namespace: login
            max: 20
            allow: a-z0-9
            parts: [{ value: value.last, max: 19 }, { value: value.first, max: 1 }]
        - mail:
            namespace: mail
            allow: a-z0-9-
            separator: "."
            suffix: "@corp.example"
            parts: [value.first, value.last]
        - cn:
            namespace: cn
            scope: 'lookup("ou", user.department)'
            separator: " "
            counter_separator: " "
            parts: [user.givenName, user.familyName]
      attributes:
"#;

/// The bundle of the matrix.
///
/// # Errors
/// What the loader finds wrong.
pub fn bundle() -> Outcome<Bundle> {
    load(&[("matrix.yaml", &text(""))])
}

/// The same with one rule more, whose role `special` gives a group, an attribute `description` that is the `floor` of
/// the cost centre, and an expression of its own for `displayName`.
///
/// # Errors
/// What the loader finds wrong.
pub fn special(rule: &str, floors: &BTreeMap<String, String>, name: &str) -> Outcome<Bundle> {
    let mut more = String::from("bundle: 1\nlookups:\n  floor:\n    map:\n");
    for (center, floor) in floors {
        more += &format!("      {center}: {floor}\n");
    }
    more += "roles:\n  special: { grants: [{ group: CN=Special, on: directory/user }] }\n";
    let rules = format!("  - {{ id: special, when: '{rule}', roles: [special] }}\n");
    let own = format!("        displayName: '{name}'\n");
    let text = text(&rules).replace("        displayName: 'user.displayName'\n", &own)
        + "        description: 'lookup(\"floor\", user.costCenter)'\n";
    load(&[("matrix.yaml", &text), ("more.yaml", &more)])
}

fn text(rules: &str) -> String {
    let mut text = String::from("bundle: 1\nversion: bench\ninputs: [mobile]\nlookups:\n  ou:\n    map:\n");
    for (department, unit) in UNITS {
        text += &format!("      {department}: {unit}\n");
    }
    text += "values:\n";
    for (name, expression) in VALUES {
        text += &format!("  {name}: '{expression}'\n");
    }
    text += "namespaces: { login: {}, mail: {}, cn: {} }\nroles:\n  staff: { grants: [account: directory/user] }\n";
    text += "rules:\n";
    for (name, when) in RULES {
        text += &format!("  - {{ id: {name}, when: '{when}', roles: [staff] }}\n");
    }
    text += rules;
    text += &format!("targets:\n  directory:\n    user:\n      enabled: '{ENABLED}'\n");
    text += NAMES;
    for (name, expression) in MAPPINGS {
        text += &format!("        {name}: '{expression}'\n");
    }
    text
}

/// Loads a bundle; its problems are the error.
///
/// # Errors
/// What the loader finds wrong.
pub fn load(files: &[(&str, &str)]) -> Outcome<Bundle> {
    Bundle::load(files).map_err(|problems| {
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        shown.join("\n").into()
    })
}

/// One of a hundred cost centres, of which each person has one.
pub fn cost_center(number: usize) -> String {
    format!("CC{number:03}")
}

/// A person of the population, with what the matrix reads.
pub fn identity(number: usize) -> Identity {
    let mut attributes = Attributes::new();
    for (name, value) in person(number) {
        attributes.set(name, vec![value.into()]);
    }
    let kind = if number.is_multiple_of(10) { "contractor" } else { "employee" };
    attributes.set("userType", vec![kind.into()]);
    attributes.set("costCenter", vec![cost_center(scatter(number) / 13 % 100).into()]);
    attributes.set("manager", vec![(100_000 + number / 12).to_string().into()]);
    let provenance: BTreeMap<_, _> =
        attributes.iter().map(|(name, _)| (name.clone(), SOURCE.into())).collect();
    Identity {
        id: IdentityId::from_uuid(Uuid::from_u128(scatter(number) as u128 + 1)),
        realm: RealmId::new("bench"),
        attributes,
        provenance,
        employment: Employment::default(),
        engagements: Vec::new(),
        zone: Zone::utc(),
        source: SOURCE.into(),
        key: (100_000 + number).to_string(),
        version: 1,
        next_change_at: None,
    }
}
