//! Groups that stand for roles, decided by a bundle.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests fail loudly"
)]

mod support;

use std::collections::BTreeMap;

use provision_core::id::{RoleName, SourceName};
use provision_core::model::{Employment, Identity, Lifecycle, Status};
use provision_core::policy::{Evaluation, NoNames, Policy, PolicyInput};
use provision_core::value::{AttrName, Attributes, Value};
use provision_policy::Bundle;
use support::{Names, evaluate, person};

const BUNDLE: &str = r#"
bundle: 1
version: first
inputs: [name2]
lookups:
  tier: { map: { app-admins: gold }, default: none }
roles:
  app-admins:
    description: "  Administrators  "
    labels: { owner: it }
    formerly: [root]
    includes: [app-users]
    grants: [{ own_group: app/group, on: app/user, privileged: true }]
  app-users: { grants: [{ account: app/user }, { own_group: app/group, on: app/user }, { group: all, on: app/user }] }
  plain: { description: nothing, grants: [{ account: app/user }] }
rules:
  - { id: users, when: 'lifecycle != "terminated"', roles: [app-users, plain] }
  - { id: admins, when: 'user.title == "Admin"', roles: [app-admins] }
targets:
  app:
    user:
      attributes: { userName: key }
    group:
      of: role
      attributes:
        displayName: '"app-" + role.name'
        description: { value: role.description, when_null: keep }
        owner: { value: role.labels.owner, when: 'has(role.labels.owner)', strength: strong }
        tier: lookup("tier", role.name)
"#;

fn bundle(text: &str) -> Bundle {
    Bundle::load(&[("policy.yaml", text)]).unwrap_or_else(|problems| panic!("{}", problems[0]))
}

/// The record that the engine keeps of a role.
fn record(bundle: &Bundle, name: &str) -> Identity {
    let role = bundle.roles().into_iter().find(|role| role.name.as_str() == name);
    let mut attributes = Attributes::new().with("name", name);
    if let Some(description) = role.as_ref().and_then(|role| role.description.clone()) {
        attributes.set("description", vec![Value::text(description)]);
    }
    let labels = role.map(|role| role.labels).unwrap_or_default();
    if !labels.is_empty() {
        let labels: BTreeMap<AttrName, Value> =
            labels.iter().map(|(name, text)| (AttrName::new(name), Value::text(text))).collect();
        attributes.set("labels", vec![Value::Record(labels)]);
    }
    let mut record = person(name, &[]);
    record.source = SourceName::roles();
    record.attributes = attributes;
    record
}

fn decided(bundle: &Bundle, record: &Identity) -> Evaluation {
    let now = "2026-11-02T08:00:00Z".parse().unwrap();
    let (lifecycle, _) = record.lifecycle(now).unwrap();
    bundle.evaluate_subject(
        &PolicyInput { identity: record, lifecycle, now, grants: &[], proposed: false },
        &mut NoNames,
    )
}

fn texts(evaluation: &Evaluation) -> Vec<String> {
    let values = evaluation.accounts[0].values.iter();
    let known = values.filter_map(|value| Some((value.attribute.as_str(), value.slot.known()?)));
    known
        .map(|(attribute, slot)| {
            let texts: Vec<String> = slot.values().iter().map(Value::to_plain).collect();
            format!("{attribute}={}", texts.join(","))
        })
        .collect()
}

#[test]
fn roles_that_grant_a_group_of_their_own_are_told_to_the_engine() {
    let roles = bundle(BUNDLE).roles();
    let names: Vec<&str> = roles.iter().map(|role| role.name.as_str()).collect();
    assert_eq!(names, ["app-admins", "app-users"]);
    assert_eq!(roles[0].description.as_deref(), Some("Administrators"));
    assert_eq!(roles[0].labels, BTreeMap::from([("owner".to_owned(), "it".to_owned())]));
    assert_eq!(roles[0].formerly, [RoleName::new("root")]);
    assert_eq!((roles[1].description.as_deref(), roles[1].formerly.len()), (None, 0));
    assert_eq!(bundle(BUNDLE).role_classes(), [("app".into(), "group".into())]);
}

#[test]
fn a_role_gets_the_values_of_its_map_and_a_person_does_not() {
    let bundle = bundle(BUNDLE);
    let admins = decided(&bundle, &record(&bundle, "app-admins"));
    assert_eq!(admins.accounts.len(), 1);
    let group = &admins.accounts[0];
    assert_eq!((group.target.as_str(), group.class.as_str(), group.exists), ("app", "group", true));
    let wanted = ["description=Administrators", "displayName=app-app-admins", "owner=it", "tier=gold"];
    assert_eq!(texts(&admins), wanted);
    assert_eq!((admins.roles.len(), group.groups.len(), group.refusals.len()), (0, 0, 0));
    assert_eq!(admins.next_change_at, None);
    let users = decided(&bundle, &record(&bundle, "app-users"));
    assert_eq!(texts(&users), ["displayName=app-app-users", "tier=none"], "what is not said is not written");
    // Persons have accounts only, also one who has the attributes of a role.
    let jane = person("app-admins", &[("title", "Admin"), ("name2", "x")]);
    let jane = evaluate(&bundle, &jane, &mut Names::default());
    assert_eq!(jane.accounts.iter().map(|account| account.class.as_str()).collect::<Vec<_>>(), ["user"]);
}

#[test]
fn whoever_has_a_role_is_in_its_group_and_in_those_of_the_roles_it_includes() {
    let bundle = bundle(BUNDLE);
    let groups = |title: &str| {
        let evaluation = evaluate(&bundle, &person("1", &[("title", title)]), &mut Names::default());
        let groups = evaluation.accounts[0].groups.clone();
        groups
            .into_iter()
            .map(|group| (group.group, group.of.map(|role| role.to_string()), group.privileged))
            .collect::<Vec<_>>()
    };
    let of = |role: &str, privileged| (String::new(), Some(role.to_owned()), privileged);
    let all = ("all".to_owned(), None, false);
    assert_eq!(groups("Clerk"), [of("app-users", false), all.clone()]);
    assert_eq!(groups("Admin"), [of("app-admins", true), of("app-users", false), all]);
}

#[test]
fn a_role_that_grants_it_no_more_or_is_gone_has_no_group() {
    let bundle = bundle(BUNDLE);
    for name in ["plain", "nobody"] {
        let group = &decided(&bundle, &record(&bundle, name)).accounts[0];
        assert!(!group.exists && group.values.is_empty(), "{name}");
    }
    let mut over = record(&bundle, "app-users");
    over.employment = Employment { status: Status::Terminated, ..Employment::default() };
    assert!(!decided(&bundle, &over).accounts[0].exists);
}

#[test]
fn what_a_value_was_made_from_changes_when_the_role_does_and_not_otherwise() {
    let inputs = |bundle: &Bundle| {
        let values = decided(bundle, &record(bundle, "app-admins")).accounts[0].values.clone();
        values
            .into_iter()
            .map(|value| (value.attribute.to_string(), value.inputs))
            .collect::<BTreeMap<_, _>>()
    };
    let before = inputs(&bundle(BUNDLE));
    let mut other = bundle(&BUNDLE.replace("Administrators", "Owners"));
    let after = inputs(&other);
    assert_ne!(before["description"], after["description"]);
    assert_eq!(before["displayName"], after["displayName"]);
    other = bundle(&BUNDLE.replace("version: first", "version: second"));
    assert_eq!(inputs(&other), before);
}

#[test]
fn a_bundle_without_such_roles_says_nothing_of_roles() {
    let text = r#"
bundle: 1
version: a
roles:
  r: { grants: [{ account: d/u }] }
rules:
  - { id: all, when: 'true', roles: [r] }
targets:
  d:
    u:
      of: identity
      attributes: { title: user.title }
"#;
    let bundle = bundle(text);
    assert_eq!((bundle.roles().len(), bundle.role_classes().len()), (0, 0));
    assert_eq!(decided(&bundle, &record(&bundle, "r")).accounts, []);
    let jane = person("1", &[]);
    let now = "2026-11-02T08:00:00Z".parse().unwrap();
    let input =
        PolicyInput { identity: &jane, lifecycle: Lifecycle::Active, now, grants: &[], proposed: false };
    assert_eq!(bundle.evaluate_subject(&input, &mut NoNames).accounts.len(), 1);
}

#[test]
fn an_edit_of_what_groups_are_concerns_roles_and_nobody() {
    let from = bundle(BUNDLE);
    let jane = person("1", &[("title", "Clerk")]);
    let now = "2026-11-02T08:00:00Z".parse().unwrap();
    let asks = |identity: &Identity, text: &str| {
        let edit = from.edit_to(&bundle(text));
        let input = PolicyInput { identity, lifecycle: Lifecycle::Active, now, grants: &[], proposed: false };
        let parts: Vec<String> = edit.parts().iter().map(|part| part.id.as_str().to_owned()).collect();
        (parts.join(" "), edit.touches(&input))
    };
    let of_groups = [
        ("Administrators", "Owners", "roles.app-admins.description"),
        ("app-\" +", "sec-\" +", "targets.app.group.attributes.displayName"),
        ("gold", "silver", "lookups.tier[app-admins]"),
    ];
    for (before, after, parts) in of_groups {
        let text = BUNDLE.replace(before, after);
        assert_eq!(asks(&jane, &text), (parts.to_owned(), false), "{after}");
        assert!(asks(&record(&from, "app-admins"), &text).1, "{after}");
    }
    let (parts, touched) = asks(&jane, &BUNDLE.replace("{ own_group: app/group, on: app/user }, ", ""));
    assert_eq!((parts.as_str(), touched), ("roles.app-users", true));
    let other = BUNDLE
        .replace("      of: role\n", "      of: identity\n")
        .replace("{ own_group: app/group, on: app/user }, ", "");
    let other =
        other.replace("grants: [{ own_group: app/group, on: app/user, privileged: true }]", "grants: []");
    let other = other.replace("'\"app-\" + role.name'", "key").replace("role.description", "user.title");
    let other =
        other.replace("role.labels.owner, when: 'has(role.labels.owner)'", "key").replace("role.name", "key");
    assert!(asks(&jane, &other).1, "people have objects of the class now");
}
