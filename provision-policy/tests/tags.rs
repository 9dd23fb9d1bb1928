//! Several accounts of one person on one target, told apart by tags.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests fail loudly"
)]

mod support;

use provision_core::id::{PolicyRef, Tag};
use provision_core::model::{Entitlement, Grant, Origin, OriginKind, Validity};
use provision_core::policy::{DesiredAccount, Evaluation, NoNames, Policy, PolicyInput};
use provision_policy::Bundle;
use support::{Names, evaluate, now, person, value};

const TEXT: &str = r##"
bundle: 1
version: a
namespaces: { login: {} }
roles:
  staff:
    grants:
      - account: directory/user
      - { group: Staff, on: directory/user }
  administrator:
    grants:
      - account: directory/user#admin
      - { group: Admins, on: directory/user#admin, privileged: true }
rules:
  - { id: all, when: 'true', roles: [staff] }
  - { id: admins, when: 'user.title == "Administrator"', roles: [administrator] }
targets:
  directory:
    user:
      names: [ { login: { namespace: login, parts: [user.familyName] } } ]
      attributes:
        number: key
        boss: account_of("9")
    user#admin:
      enabled: 'lifecycle == "active"'
      credential: { length: 30 }
      names: [ { login: { namespace: login, parts: ['"adm-" + user.familyName'] } } ]
      attributes:
        number: key + "#admin"
"##;

fn bundle() -> Bundle {
    let bundle = Bundle::load(&[("policy.yaml", TEXT)]).unwrap_or_else(|problems| panic!("{}", problems[0]));
    assert_eq!(bundle.warnings(), []);
    bundle
}

fn tagged<'e>(evaluation: &'e Evaluation, tag: &str) -> &'e DesiredAccount {
    evaluation.accounts.iter().find(|account| account.tag == Tag::new(tag)).unwrap()
}

#[test]
fn each_account_has_its_own_roles_names_values_and_groups() {
    let mut names = Names::default();
    let clerk = evaluate(&bundle(), &person("1", &[("familyName", "Lee"), ("title", "Clerk")]), &mut names);
    assert!(tagged(&clerk, "main").exists && !tagged(&clerk, "admin").exists);
    let jane = person("2", &[("familyName", "Doe"), ("title", "Administrator")]);
    let evaluation = evaluate(&bundle(), &jane, &mut names);
    let (main, admin) = (tagged(&evaluation, "main"), tagged(&evaluation, "admin"));
    assert_eq!((value(main, "login"), value(main, "number")), ("Doe".to_owned(), "2".to_owned()));
    assert_eq!((value(admin, "login"), value(admin, "number")), ("adm-Doe".to_owned(), "2#admin".to_owned()));
    assert_eq!((main.groups[0].group.as_str(), main.groups.len()), ("Staff", 1));
    assert_eq!((admin.groups[0].group.as_str(), admin.groups.len()), ("Admins", 1));
    assert!(admin.groups[0].privileged && admin.credential.is_some() && main.credential.is_none());
    assert_eq!((main.enabled, admin.enabled), (None, Some(true)));
    assert_eq!(value(main, "boss"), "(account of 9)", "the main account is meant");
    let held: Vec<_> =
        names.held.keys().filter(|(who, ..)| who == "2").map(|(_, purpose, _)| purpose).collect();
    assert_eq!(held, ["directory/user/admin/login", "directory/user/main/login"]);
    let id = PolicyRef::new("targets.directory.user#admin.attributes.number");
    assert_eq!(
        admin.values.iter().find(|v| v.attribute.as_str() == "number").unwrap().derivation.mapping,
        Some(id.clone())
    );
    assert_eq!(bundle().source_of(&id).unwrap().text, "        number: key + \"#admin\"");
}

#[test]
fn stored_grants_give_accounts_with_tags() {
    let ann = person("1", &[("familyName", "Lee"), ("title", "Clerk")]);
    let grant = |entitlement: Entitlement| Grant {
        realm: "main".into(),
        identity: ann.id,
        entitlement,
        origins: vec![Origin {
            kind: OriginKind::Request,
            reference: "request-12".into(),
            validity: Validity { from: None, until: None },
        }],
    };
    let (target, class, tag) = ("directory".into(), "user".into(), Tag::new("admin"));
    let account = Entitlement::Account { target, class, tag: tag.clone() };
    let group = Entitlement::Group {
        target: "directory".into(),
        class: "user".into(),
        tag,
        group: "Admins".to_owned(),
    };
    let (lifecycle, _) = ann.lifecycle(now()).unwrap();
    let grants = [grant(account), grant(group)];
    let input = PolicyInput { identity: &ann, lifecycle, now: now(), grants: &grants, proposed: false };
    let evaluation = bundle().evaluate(&input, &mut NoNames);
    let admin = tagged(&evaluation, "admin");
    assert!(admin.exists);
    assert_eq!(admin.because[0].mapping, Some("request-12".into()));
    assert_eq!((admin.groups.len(), admin.groups[0].privileged), (1, true), "as the role declares it");
    assert_eq!(tagged(&evaluation, "main").groups.len(), 1, "not of the main account");
}

/// The problems of the bundle with a piece of text changed, as `code line:column`.
fn problems(from: &str, to: &str) -> Vec<String> {
    assert!(TEXT.contains(from), "{from}");
    let text = TEXT.replace(from, to);
    let problems = Bundle::load(&[("policy.yaml", &text)]).unwrap_err();
    let place = |span: provision_core::diagnostic::Span| format!("{}:{}", span.line, span.column);
    problems.iter().map(|p| format!("{} {}", p.code, p.span.clone().map(place).unwrap_or_default())).collect()
}

#[test]
fn what_is_no_tag_is_refused_where_it_stands() {
    // What grants name is not mapped then, either.
    let unmapped = ["P0013 12:9", "P0013 13:9"];
    let with = |fault: &'static str| unmapped.into_iter().chain([fault]).collect::<Vec<_>>();
    assert_eq!(problems("    user#admin:", "    user#:"), with("P0067 24:5"));
    assert_eq!(problems("    user#admin:", "    user#a#b:"), with("P0067 24:5"));
    assert_eq!(problems("    user#admin:", "    user#main:"), with("P0003 24:5"));
    assert_eq!(problems("account: directory/user#admin", "account: directory/user#root"), ["P0013 12:9"]);
    assert_eq!(problems("account: directory/user#admin", "account: directory/user#"), ["P0006 12:18"]);
    assert_eq!(problems("on: directory/user#admin", "on: directory/#admin"), ["P0006 13:30"]);
}
