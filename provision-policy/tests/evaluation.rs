//! What a bundle decides: existence, time, grants, strengths, null, names.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests fail loudly"
)]

mod support;

use provision_core::id::{ClassName, Tag};
use provision_core::model::{Employment, Entitlement, Grant, Identity, Origin, OriginKind, Status, Validity};
use provision_core::policy::{
    Evaluation, NameAllocator, NameRequest, NameResult, NoNames, Policy, PolicyInput, RefusalReason, Strength,
};
use provision_core::value::{Timestamp, Value};
use provision_policy::Bundle;
use support::{Names, account, evaluate, evaluate_at, now, person, value};

fn bundle() -> Bundle {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bundles/joint_names.yaml");
    Bundle::load_path(path).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(|problem| format!("{problem}\n")).collect::<String>())
    })
}

fn jane() -> Identity {
    person(
        "7",
        &[
            ("givenName", "Jane"),
            ("familyName", "Müller"),
            ("userType", "employee"),
            ("title", "Chief Clerk"),
            ("costCenter", "c1"),
        ],
    )
}

fn values_hash(evaluation: &Evaluation, attribute: &str) -> String {
    let values = &account(evaluation, "directory").values;
    values.iter().find(|value| value.attribute.as_str() == attribute).unwrap().inputs.clone()
}

fn with_grants(identity: &Identity, grants: &[Grant], at: Timestamp) -> Evaluation {
    let (lifecycle, _) = identity.lifecycle(at).unwrap();
    bundle().evaluate(&PolicyInput { identity, lifecycle, now: at, grants, proposed: false }, &mut NoNames)
}

fn grant(entitlement: Entitlement, from: Option<&str>, until: Option<&str>) -> Grant {
    let validity =
        Validity { from: from.map(|at| at.parse().unwrap()), until: until.map(|at| at.parse().unwrap()) };
    Grant {
        realm: "main".into(),
        identity: jane().id,
        entitlement,
        origins: vec![Origin { kind: OriginKind::Request, reference: "request-12".into(), validity }],
    }
}

fn directory_account() -> Entitlement {
    Entitlement::Account { target: "directory".into(), class: "user".into(), tag: Tag::main() }
}

#[test]
fn roles_come_by_rule_and_by_inclusion_with_every_reason() {
    let evaluation = evaluate(&bundle(), &jane(), &mut Names::default());
    let roles: Vec<_> = evaluation
        .roles
        .iter()
        .map(|decision| {
            (decision.role.as_str(), decision.because.iter().map(|by| by.as_str()).collect::<Vec<_>>())
        })
        .collect();
    assert_eq!(roles, [("boss", vec!["rules.bosses"]), ("person", vec!["roles.boss", "rules.people"])]);
    let directory = account(&evaluation, "directory");
    let groups: Vec<_> = directory
        .groups
        .iter()
        .map(|group| (group.class.as_str(), group.group.as_str(), group.privileged))
        .collect();
    assert_eq!(groups, [("group", "staff", false), ("team", "bosses", true)]);
    assert_eq!(directory.enabled, Some(true));
    assert_eq!(directory.because[0].mapping, Some("roles.person".into()));
}

#[test]
fn every_decision_leads_back_to_its_line() {
    let bundle = bundle();
    let evaluation = evaluate(&bundle, &jane(), &mut Names::default());
    let directory = account(&evaluation, "directory");
    for value in &directory.values {
        let id = value.derivation.mapping.clone().unwrap();
        let span = bundle.source_of(&id).unwrap_or_else(|| panic!("no place for {id}"));
        assert!(span.file.ends_with("joint_names.yaml") && span.line > 0, "{span:?}");
        assert_eq!(value.derivation.identity_version, 7);
    }
    let strong = directory.values.iter().find(|value| value.attribute.as_str() == "strong").unwrap();
    assert_eq!(strong.derivation.mapping, Some("targets.directory.user.attributes.strong".into()));
    assert_eq!(strong.derivation.inputs.len(), 1);
    assert_eq!(strong.derivation.inputs[0].attribute.as_str(), "title");
    assert_eq!(strong.derivation.inputs[0].source.as_ref().unwrap().as_str(), "hr");
    for (id, line) in [
        (
            "targets.directory.user.attributes.strong",
            "        strong: { value: user.title, strength: strong }",
        ),
        ("rules.bosses", "  - { id: bosses, when: 'left(user.title, 5) == \"Chief\"', roles: [boss] }"),
        ("roles.boss", "  boss:"),
        ("targets.directory.user.names.mail", "          mail:"),
    ] {
        assert_eq!(bundle.source_of(&id.into()).unwrap().text, line);
    }
    assert_eq!(bundle.source_of(&"roles.nobody".into()), None);
}

#[test]
fn an_account_nobody_grants_is_stated_as_not_to_exist() {
    let evaluation = evaluate(&bundle(), &person("1", &[("givenName", "Ann")]), &mut Names::default());
    let directory = account(&evaluation, "directory");
    assert!(!directory.exists && directory.values.is_empty() && directory.groups.is_empty());
    assert_eq!(directory.because[0].note.as_deref(), Some("no role or grant gives this account"));
}

#[test]
fn the_condition_of_the_map_decides_too() {
    let mut ghost = jane();
    ghost.attributes.set("userType", vec!["ghost".into()]);
    let evaluation = evaluate(&bundle(), &ghost, &mut Names::default());
    let directory = account(&evaluation, "directory");
    assert!(!directory.exists);
    assert_eq!(directory.because[0].mapping, Some("targets.directory.user.exists".into()));
}

#[test]
fn lifecycle_decides_existence_and_enabling() {
    let check = |status: Status, exists: bool, enabled: Option<bool>| {
        let mut jane = jane();
        jane.employment.status = status;
        let evaluation = evaluate(&bundle(), &jane, &mut Names::default());
        let directory = account(&evaluation, "directory");
        assert_eq!((directory.exists, directory.enabled), (exists, enabled), "{status:?}");
    };
    check(Status::Active, true, Some(true));
    check(Status::OnLeave, true, Some(false));
    check(Status::Suspended, true, Some(false));
    check(Status::Terminated, false, None);
}

#[test]
fn a_joiner_gets_a_disabled_account_in_the_lead_time_and_the_clock_knows() {
    let mut jane = jane();
    jane.zone = provision_core::value::Zone::new("Europe/Berlin").unwrap();
    jane.employment = Employment {
        start: Some("2026-12-01".parse().unwrap()),
        end: Some("2027-06-30".parse().unwrap()),
        status: Status::Active,
    };
    // (now, exists, enabled); the bundle reads `today`, so each midnight in Berlin is a change as well.
    let days = [
        ("2026-11-01T12:00:00Z", false, None, "2026-11-01T23:00:00Z"),
        ("2026-11-23T22:59:59Z", false, None, "2026-11-23T23:00:00Z"),
        ("2026-11-23T23:00:00Z", true, Some(false), "2026-11-24T23:00:00Z"),
        ("2026-11-30T23:00:00Z", true, Some(true), "2026-12-01T23:00:00Z"),
        ("2027-06-30T21:59:59Z", true, Some(true), "2027-06-30T22:00:00Z"),
        ("2027-06-30T22:00:00Z", false, None, "2027-07-01T22:00:00Z"),
    ];
    for (at, exists, enabled, next) in days {
        let evaluation = evaluate_at(&bundle(), &jane, at);
        let directory = account(&evaluation, "directory");
        assert_eq!((directory.exists, directory.enabled), (exists, enabled), "{at}");
        assert_eq!(evaluation.next_change_at, Some(next.parse().unwrap()), "{at}");
    }
}

#[test]
fn without_today_only_real_changes_wake_the_person() {
    let text = "bundle: 1\nversion: a\nroles:\n  r: { grants: [{ account: d/u }] }\n\
                rules:\n  - { id: all, when: 'true', roles: [r] }\n\
                targets:\n  d:\n    u: { pre_hire: { lead_days: 3 } }\n";
    let bundle = Bundle::load(&[("policy.yaml", text)]).unwrap();
    let mut ann = person("1", &[]);
    assert_eq!(evaluate_at(&bundle, &ann, "2026-11-01T00:00:00Z").next_change_at, None);
    ann.employment.start = Some("2026-12-01".parse().unwrap());
    let next = |at: &str| evaluate_at(&bundle, &ann, at).next_change_at.map(|at| at.to_string());
    assert_eq!(next("2026-11-01T00:00:00Z").as_deref(), Some("2026-11-28T00:00:00Z"));
    assert_eq!(next("2026-11-28T00:00:00Z").as_deref(), Some("2026-12-01T00:00:00Z"));
    assert_eq!(next("2026-12-01T00:00:00Z"), None);
}

#[test]
fn stored_grants_count_while_they_are_valid() {
    let ann =
        person("7", &[("givenName", "Ann"), ("familyName", "Lee"), ("title", "x"), ("costCenter", "c")]);
    let group = |name: &str| Entitlement::Group {
        target: "directory".into(),
        class: "user".into(),
        tag: Tag::main(),
        group: name.to_owned(),
    };
    let grants = [
        grant(directory_account(), Some("2026-11-01T00:00:00Z"), Some("2026-12-01T00:00:00Z")),
        grant(group("bosses"), None, Some("2026-11-20T10:00:00Z")),
        grant(group("chess"), Some("2026-11-20T11:00:00Z"), None),
    ];
    let mut ann = ann;
    ann.attributes.set("userType", vec![]);
    let evaluation = with_grants(&ann, &grants, now());
    let directory = account(&evaluation, "directory");
    assert!(directory.exists);
    assert_eq!(directory.because[0].mapping, Some("request-12".into()));
    // The class and privilege of the group are those a role declares.
    assert_eq!(directory.groups.len(), 1);
    assert_eq!(directory.groups[0].class, ClassName::new("team"));
    assert!(directory.groups[0].privileged);
    assert_eq!(evaluation.next_change_at, Some("2026-11-20T10:00:00Z".parse().unwrap()));
    let later = with_grants(&ann, &grants, "2026-12-01T00:00:00Z".parse().unwrap());
    assert!(!account(&later, "directory").exists);
}

#[test]
fn access_stays_while_any_origin_stands() {
    let jane = jane();
    let grants = [grant(directory_account(), None, Some("2026-11-01T00:00:00Z"))];
    assert!(account(&with_grants(&jane, &grants, now()), "directory").exists, "the rule still stands");
}

#[test]
fn strengths_null_policies_and_conditions() {
    let mut jane = jane();
    jane.attributes.insert("nickName", provision_core::value::Slot::Null);
    jane.attributes.set("costCentres", vec!["a".into(), "b".into(), "a".into()]);
    jane.attributes.set("contractEnd", vec!["2026-12-19".into()]);
    jane.attributes.set("manager", vec!["9".into()]);
    let evaluation = evaluate(&bundle(), &jane, &mut Names::default());
    let directory = account(&evaluation, "directory");
    assert!(directory.refusals.is_empty(), "{:?}", directory.refusals);
    let strength = |name: &str| {
        directory.values.iter().find(|value| value.attribute.as_str() == name).map(|value| value.strength)
    };
    assert_eq!(strength("strong"), Some(Strength::Strong));
    assert_eq!(strength("weak"), Some(Strength::Weak));
    assert_eq!(strength("create"), Some(Strength::CreateOnly));
    assert_eq!(strength("several"), Some(Strength::Normal));
    assert_eq!(value(directory, "cleared"), "(clear)");
    assert_eq!(value(directory, "kept"), "-");
    assert_eq!(value(directory, "defaulted"), "Jane");
    assert_eq!(value(directory, "chosen"), "second");
    assert_eq!(value(directory, "several"), "a | b");
    assert_eq!(value(directory, "manager"), "(account of 9)");
    assert_eq!(value(directory, "joined"), "boss/person");
    assert_eq!(value(directory, "counted"), "3");
    assert_eq!(value(directory, "expiring"), "true");
    let chosen = directory.values.iter().find(|value| value.attribute.as_str() == "chosen").unwrap();
    assert_eq!(chosen.derivation.mapping, Some("targets.directory.user.attributes.chosen[1]".into()));
    assert_eq!(chosen.derivation.overridden, ["targets.directory.user.attributes.chosen[2]".into()]);
}

#[test]
fn what_no_source_speaks_of_is_not_cleared() {
    let evaluation = evaluate(&bundle(), &jane(), &mut Names::default());
    assert_eq!(value(account(&evaluation, "directory"), "cleared"), "-");
}

#[test]
fn a_required_value_that_is_missing_holds_this_account_only() {
    let mut jane = jane();
    jane.attributes.remove("costCenter");
    let mut names = Names::default();
    let evaluation = evaluate(&bundle(), &jane, &mut names);
    let refusals = &account(&evaluation, "directory").refusals;
    assert_eq!(refusals.len(), 1);
    assert_eq!(refusals[0].reason, RefusalReason::MissingInput);
    assert_eq!(refusals[0].attribute.as_ref().unwrap().as_str(), "refused");
}

#[test]
fn an_expression_that_fails_says_where_and_keeps_the_rest() {
    let mut jane = jane();
    jane.attributes.set("contractEnd", vec!["soon".into()]);
    let evaluation = evaluate(&bundle(), &jane, &mut Names::default());
    let directory = account(&evaluation, "directory");
    assert_eq!(directory.refusals.len(), 1);
    assert_eq!(directory.refusals[0].reason, RefusalReason::ExpressionFailed);
    assert_eq!(
        directory.refusals[0].detail,
        "the text is not a date like 2026-11-20 (character 1 of `date(user.contractEnd) < plus_days(today, 30)`)"
    );
    assert_eq!(value(directory, "strong"), "Chief Clerk");
}

#[test]
fn a_rule_that_fails_holds_the_accounts_its_roles_touch() {
    let mut jane = jane();
    jane.attributes.set("userType", vec![]);
    jane.attributes.set("title", vec!["a".into(), "b".into()]);
    let evaluation = evaluate(&bundle(), &jane, &mut Names::default());
    let directory = account(&evaluation, "directory");
    assert!(!directory.exists, "no other rule gives it");
    assert_eq!(directory.refusals[0].mapping, Some("rules.bosses".into()));
    assert_eq!(directory.refusals[0].reason, RefusalReason::ExpressionFailed);
}

#[test]
fn the_hash_of_inputs_follows_what_was_read_and_nothing_else() {
    let bundle = bundle();
    let before = evaluate(&bundle, &jane(), &mut Names::default());
    let mut changed = jane();
    changed.attributes.set("title", vec!["Chief Cook".into()]);
    changed.version += 1;
    let after = evaluate(&bundle, &changed, &mut Names::default());
    assert_ne!(values_hash(&before, "strong"), values_hash(&after, "strong"));
    assert_ne!(values_hash(&before, "strong"), values_hash(&before, "weak"));
    for untouched in ["login", "mail", "chosen", "counted", "defaulted"] {
        assert_eq!(values_hash(&before, untouched), values_hash(&after, untouched), "{untouched}");
    }
}

#[test]
fn a_lookup_row_counts_as_input_and_other_rows_do_not() {
    let text = |sales: &str, other: &str| {
        format!(
            "bundle: 1\nversion: a\nlookups:\n  ou: {{ map: {{ Sales: {sales}, Other: {other} }} }}\n\
             values:\n  place: lookup(\"ou\", user.department)\n\
             roles:\n  r: {{ grants: [{{ account: directory/user }}] }}\n\
             rules:\n  - {{ id: all, when: 'true', roles: [r] }}\n\
             targets:\n  directory:\n    user:\n      attributes:\n        ou: '\"OU=\" + value.place'\n"
        )
    };
    let ann = person("1", &[("department", "Sales")]);
    let hash = |text: String| {
        let bundle = Bundle::load(&[("policy.yaml", &text)]).unwrap();
        values_hash(&evaluate(&bundle, &ann, &mut Names::default()), "ou")
    };
    assert_eq!(hash(text("a", "x")), hash(text("a", "y")));
    assert_ne!(hash(text("a", "x")), hash(text("b", "x")));
}

#[test]
fn names_of_one_group_share_a_counter_and_are_free_together() {
    let bundle = bundle();
    let mut names = Names::default();
    let login_and_mail = |key: &str, names: &mut Names| {
        let mut jane = jane();
        jane.key = key.to_owned();
        let evaluation = evaluate(&bundle, &jane, names);
        let directory = account(&evaluation, "directory");
        (value(directory, "login"), value(directory, "mail"))
    };
    let pair = |login: &str, mail: &str| (login.to_owned(), mail.to_owned());
    // The bundle's locale spells ü as ue.
    assert_eq!(login_and_mail("1", &mut names), pair("jmueller", "jane.mueller@example.com"));
    names.take("mail", "", "jane.mueller2@example.com");
    assert_eq!(login_and_mail("2", &mut names), pair("jmueller3", "jane.mueller3@example.com"));
    names.take("login", "", "JMUELLER4");
    assert_eq!(login_and_mail("3", &mut names), pair("jmueller5", "jane.mueller5@example.com"));
}

#[test]
fn a_persons_own_locale_goes_before_the_bundles() {
    let mut jane = jane();
    jane.attributes.set("locale", vec!["tr-TR".into()]);
    let evaluation = evaluate(&bundle(), &jane, &mut Names::default());
    assert_eq!(value(account(&evaluation, "directory"), "login"), "jmuller");
}

#[test]
fn reserved_names_are_stepped_over() {
    let mut names = Names::default();
    let login = |given: &str, family: &str, names: &mut Names| {
        let mut jane = jane();
        jane.key = format!("{given}{family}");
        jane.attributes.set("givenName", vec![given.into()]);
        jane.attributes.set("familyName", vec![family.into()]);
        value(account(&evaluate(&bundle(), &jane, names), "directory"), "login")
    };
    assert_eq!(login("C", "Eo", &mut names), "ceo2", "the bundle's own");
    assert_eq!(login("R", "Oot", &mut names), "root2", "built in");
    assert_eq!(login("C", "Om", &mut names), "com");
    assert_eq!(login("Carl", "Om", &mut names), "com10", "com2 to com9 are device names");
}

#[test]
fn namespaces_know_the_attributes_whose_names_they_hold() {
    let bundle = bundle();
    let login = bundle.namespaces().iter().find(|space| space.name.as_str() == "login").unwrap();
    let members: Vec<_> = login
        .members
        .iter()
        .map(|member| {
            format!("{}/{}/{}", member.target.as_str(), member.class.as_str(), member.attribute.as_str())
        })
        .collect();
    assert_eq!(members, ["mailboxes/box/alias", "directory/user/login"]);
    assert_eq!(login.reuse_after_days, Some(365));
}

/// Answers always the same.
#[derive(Debug)]
struct Answers(NameResult, u32, Vec<NameRequest>);

impl NameAllocator for Answers {
    fn allocate(
        &mut self,
        requests: &[NameRequest],
        candidates: &mut dyn FnMut(u32) -> Option<Vec<String>>,
    ) -> NameResult {
        self.2 = requests.to_vec();
        while candidates(self.1 + 1).is_some() {
            self.1 += 1;
        }
        self.0.clone()
    }
}

#[test]
fn a_search_ends_and_its_end_is_a_refusal() {
    let jane = jane();
    let input = PolicyInput {
        identity: &jane,
        lifecycle: jane.lifecycle(now()).unwrap().0,
        now: now(),
        grants: &[],
        proposed: false,
    };
    let mut exhausted = Answers(NameResult::Exhausted, 0, Vec::new());
    let evaluation = bundle().evaluate(&input, &mut exhausted);
    assert_eq!(exhausted.1, 10_000);
    let refusals = &account(&evaluation, "directory").refusals;
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    assert_eq!(refusals[0].reason, RefusalReason::NameExhausted);
    let purposes: Vec<_> = exhausted.2.iter().map(|request| request.purpose.as_str()).collect();
    assert_eq!(purposes, ["directory/user/main/login", "directory/user/main/mail"]);
    let stems: Vec<_> = exhausted.2.iter().map(|request| request.stem.as_str()).collect();
    assert_eq!(stems, ["jmuelle", "jane.mueller"]);

    let mut pending = Answers(NameResult::Pending, 0, Vec::new());
    let evaluation = bundle().evaluate(&input, &mut pending);
    let directory = account(&evaluation, "directory");
    assert!(directory.refusals.is_empty());
    assert_eq!(value(directory, "login"), "jmueller", "a placeholder until it is looked up");
}

#[test]
fn the_same_input_gives_the_same_evaluation_to_the_byte() {
    let mut jane = jane();
    jane.attributes.set("costCentres", vec![Value::text("b"), Value::text("a")]);
    let once = serde_json::to_string(&evaluate(&bundle(), &jane, &mut Names::default())).unwrap();
    let again = serde_json::to_string(&evaluate(&bundle(), &jane, &mut Names::default())).unwrap();
    assert_eq!(once, again);
}

#[test]
fn the_hash_is_of_the_content_and_not_of_its_writing() {
    let load = |text: &str| Bundle::load(&[("policy.yaml", text)]).unwrap().version();
    let first = load("bundle: 1\nversion: a\nreserved: [x]\nlocale: de\n");
    let same = load("# a comment\nlocale: \"de\"\nbundle: 1\nversion: a\nreserved:\n  - x\n");
    assert_eq!(first, same);
    assert_eq!(first.label, "a");
    assert_eq!(first.hash.len(), 64);
    assert_ne!(first.hash, load("bundle: 1\nversion: a\nreserved: [y]\nlocale: de\n").hash);
    let halves =
        [("a.yaml", "bundle: 1\nversion: a\nreserved: [x]\n"), ("b.yaml", "bundle: 1\nlocale: de\n")];
    assert_eq!(Bundle::load(&halves).unwrap().version(), first);
}

/// An allocator that only knows `allocate`, as the trait's defaults leave it.
#[derive(Debug, Default)]
struct Plain(Names);

impl NameAllocator for Plain {
    fn allocate(
        &mut self,
        requests: &[NameRequest],
        candidates: &mut dyn FnMut(u32) -> Option<Vec<String>>,
    ) -> NameResult {
        self.0.allocate(requests, candidates)
    }
}

#[test]
fn an_allocator_without_held_still_keeps_names() {
    let jane = jane();
    let (lifecycle, _) = jane.lifecycle(now()).unwrap();
    let input = PolicyInput { identity: &jane, lifecycle, now: now(), grants: &[], proposed: false };
    let mut plain = Plain::default();
    for _ in 0..2 {
        let evaluation = bundle().evaluate(&input, &mut plain);
        assert_eq!(value(account(&evaluation, "directory"), "login"), "jmueller");
    }
}

#[test]
fn a_refused_account_takes_no_names() {
    let mut names = Names::default();
    let mut wang = jane();
    wang.attributes.set("familyName", vec!["王".into()]);
    let evaluation = evaluate(&bundle(), &wang, &mut names);
    assert_eq!(account(&evaluation, "directory").refusals[0].reason, RefusalReason::Unmappable);
    assert!(names.taken.is_empty(), "{:?}", names.taken);
}

#[test]
fn debug_shows_which_bundle_and_not_its_content() {
    let shown = format!("{:?}", bundle());
    assert!(shown.starts_with("Bundle { version: \"joint\", hash: \"") && shown.len() < 120, "{shown}");
}

#[test]
fn a_name_found_at_onboarding_is_kept_and_the_other_is_made() {
    let mut names = Names::default();
    let purpose = "directory/user/main/login".to_owned();
    names.held.insert(("7".to_owned(), purpose, String::new()), "jane.old".to_owned());
    let evaluation = evaluate(&bundle(), &jane(), &mut names);
    let directory = account(&evaluation, "directory");
    assert_eq!(value(directory, "login"), "jane.old");
    assert_eq!(value(directory, "mail"), "jane.mueller@example.com");
}

#[test]
fn windows_files_load_too() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bundles/joint_names.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let loaded =
        Bundle::load(&[("policy.yaml", &windows)]).unwrap_or_else(|problems| panic!("{}", problems[0]));
    assert_eq!(loaded.version(), bundle().version());
    let broken = windows.replace("lifecycle == \"active\"", "lifecicle == \"active\"");
    let problems = Bundle::load(&[("policy.yaml", &broken)]).unwrap_err();
    let span = problems[0].span.clone().unwrap();
    assert_eq!((span.line, span.column), (35, 16), "{}", problems[0]);
}

#[test]
fn files_of_a_directory_are_one_bundle_and_what_cannot_be_read_is_said() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.yaml"), "bundle: 1\nversion: a\n").unwrap();
    std::fs::write(folder.path().join("b.yml"), "bundle: 1\nlocale: de\n").unwrap();
    std::fs::write(folder.path().join("notes.txt"), "not policy").unwrap();
    assert_eq!(Bundle::load_path(folder.path()).unwrap().version().label, "a");
    let missing = Bundle::load_path(folder.path().join("nothing.yaml")).unwrap_err();
    assert_eq!(missing[0].code, "P0009");
    std::fs::write(folder.path().join("c.yaml"), [0xff, 0xfe, 0x00]).unwrap();
    let unreadable = Bundle::load_path(folder.path()).unwrap_err();
    assert!(unreadable[0].span.as_ref().unwrap().file.ends_with("c.yaml"), "{}", unreadable[0]);
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(Bundle::load_path(empty.path()).unwrap_err()[0].code, "P0009");
}
