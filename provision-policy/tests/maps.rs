//! Policy maps: what counts when, what is given together, what is taken back and what stays.
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

use provision_core::connector::Discovery;
use provision_core::model::{Identity, Status};
use provision_core::policy::{
    Authority, DesiredAccount, DesiredSlot, DesiredValue, Evaluation, LeftReason, NoNames, Policy,
    PolicyInput, RefusalReason, Strength, Tolerance,
};
use provision_core::schema::{AttributeSchema, ObjectClass};
use provision_core::value::{Slot, Timestamp, Zone};
use provision_policy::Bundle;
use support::{account, now, person, value};

/// A bundle in which everybody has an account with these attributes.
fn bundle(attributes: &str) -> Bundle {
    map("", attributes)
}

/// The same with more keys of the policy map.
fn map(keys: &str, attributes: &str) -> Bundle {
    // The first line stands behind the quotes, the others are indented beneath it.
    let given = attributes.lines().filter(|line| !line.trim().is_empty());
    let own = |line: &str| line.strip_prefix("           ").unwrap_or(line).to_owned();
    let attributes: String = given.map(|line| format!("        {}\n", own(line))).collect();
    let text = format!(
        "bundle: 1\nversion: a\ninputs: [from: date, until: date, at: instant, x, list: list]\n\
         roles:\n  r: {{ grants: [{{ account: d/u }}] }}\nrules:\n  - {{ id: all, when: 'true', roles: [r] }}\n\
         targets:\n  d:\n    u:\n{keys}      attributes:\n{attributes}"
    );
    load(&text)
}

fn load(text: &str) -> Bundle {
    Bundle::load(&[("policy.yaml", text)]).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>())
    })
}

fn evaluated(bundle: &Bundle, identity: &Identity, now: Timestamp, proposed: bool) -> Evaluation {
    let (lifecycle, _) = identity.lifecycle(now).unwrap();
    bundle.evaluate(&PolicyInput { identity, lifecycle, now, grants: &[], proposed }, &mut NoNames)
}

fn decided(bundle: &Bundle, identity: &Identity) -> DesiredAccount {
    account(&evaluated(bundle, identity, now(), false), "d").clone()
}

fn found<'a>(account: &'a DesiredAccount, attribute: &str) -> &'a DesiredValue {
    account
        .values
        .iter()
        .find(|value| value.attribute.as_str() == attribute)
        .expect("the attribute is decided")
}

fn tolerance(account: &DesiredAccount, attribute: &str) -> Tolerance {
    found(account, attribute).tolerance.as_deref().cloned().unwrap_or_default()
}

/// What takes values away, with who does.
fn ranges(tolerance: &Tolerance) -> Vec<(&str, &str)> {
    let short = |by: &'_ str| by.rsplit_once("attributes.").map_or("", |(_, name)| name).len();
    let of = |range: &'_ provision_core::policy::Range| short(range.by.as_str());
    let all = tolerance.removes.iter();
    all.map(|range| (range.pattern.as_str(), &range.by.as_str()[range.by.as_str().len() - of(range)..]))
        .collect()
}

fn ann(attributes: &[(&str, &str)]) -> Identity {
    person("1", attributes)
}

fn stays(account: &DesiredAccount, attribute: &str) -> Option<Option<LeftReason>> {
    match account.values.iter().find(|value| value.attribute.as_str() == attribute).map(|value| &value.slot) {
        Some(DesiredSlot::Withdrawn { stays }) => Some(*stays),
        _ => None,
    }
}

#[test]
fn a_value_is_given_while_its_condition_holds_and_withdrawn_after() {
    let bundle = bundle(
        r#"a: { value: user.x, when: 'user.title == "Boss"' }
           b: [{ value: '"1"', when: 'user.title == "Boss"' }, { value: '"2"', when: 'user.title == "Clerk"' }]
           c: { value: '"on"', when: 'lifecycle == "on_leave"' }
           d: [{ value: '"1"', when: 'user.title == "Boss"' }, '"always"']"#,
    );
    let decided = |who: &Identity| decided(&bundle, who);
    let shown = |account: &DesiredAccount| ["a", "b", "c", "d"].map(|name| value(account, name));
    let boss = decided(&ann(&[("title", "Boss"), ("x", "v")]));
    assert_eq!(shown(&boss), ["v", "1", "(withdrawn)", "1"]);
    let clerk = decided(&ann(&[("title", "Clerk"), ("x", "v")]));
    assert_eq!(shown(&clerk), ["(withdrawn)", "2", "(withdrawn)", "always"]);
    assert_eq!(stays(&clerk, "a"), Some(None));
    let unmet = |account: &DesiredAccount, name: &str| {
        found(account, name).derivation.unmet.iter().map(|id| id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(unmet(&clerk, "b"), ["targets.d.u.attributes.b[0]"]);
    let other = decided(&ann(&[("title", "Cook")]));
    assert_eq!(unmet(&other, "b"), ["targets.d.u.attributes.b[0]", "targets.d.u.attributes.b[1]"]);
    // A source that says nothing clears nothing; conditions that read none of it do.
    let nobody = decided(&ann(&[]));
    assert_eq!((stays(&nobody, "a"), stays(&nobody, "c")), (Some(Some(LeftReason::Silent)), Some(None)));
    let told = decided(&ann(&[("title", "")]));
    assert_eq!(stays(&told, "a"), Some(None), "it says that there is none");
}

#[test]
fn what_takes_nothing_back_is_not_withdrawn_either() {
    let bundle = bundle(
        r#"plain: { value: key, when: 'lifecycle == "on_leave"' }
           strong: { value: key, when: 'lifecycle == "on_leave"', strength: strong }
           weak: { value: key, when: 'lifecycle == "on_leave"', strength: weak }
           once: { value: key, when: 'lifecycle == "on_leave"', strength: create_only }
           adds: { value: key, when: 'lifecycle == "on_leave"', authoritative: false }
           mixed:
             - { value: key, when: 'lifecycle == "on_leave"' }
             - { value: key, when: 'lifecycle == "suspended"', strength: weak }
           draft: [{ value: key, when: 'lifecycle == "on_leave"' }, { value: key, state: draft, strength: weak }]
           proposed: { value: key, when: 'lifecycle == "on_leave"', state: proposed }"#,
    );
    let account = decided(&bundle, &ann(&[]));
    let expected = [
        ("plain", Some(None)),
        ("strong", Some(None)),
        ("weak", Some(Some(LeftReason::Weak))),
        ("once", Some(Some(LeftReason::CreateOnly))),
        ("adds", Some(Some(LeftReason::NotAuthoritative))),
        ("mixed", Some(Some(LeftReason::Weak))),
        ("draft", Some(None)),
        ("proposed", None),
    ];
    for (name, wanted) in expected {
        assert_eq!(stays(&account, name), wanted, "{name}");
    }
}

#[test]
fn several_mappings_give_their_values_together() {
    let bundle = bundle(
        r#"mail:
             strength: strong
             each:
               - user.emails
               - { value: '["x@y", "z@y"]', when: 'user.title == "Boss"' }
               - { value: user.nickName, when_null: { default: '"z@y"' } }"#,
    );
    let mut boss = ann(&[("title", "Boss")]);
    boss.attributes.set("emails", vec!["a@y".into(), "x@y".into()]);
    let account = decided(&bundle, &boss);
    assert_eq!(value(&account, "mail"), "a@y | x@y | z@y");
    let mail = found(&account, "mail");
    assert_eq!(mail.strength, Strength::Strong);
    assert_eq!(mail.derivation.mapping, Some("targets.d.u.attributes.mail".into()));
    let note = "given together by targets.d.u.attributes.mail[0], targets.d.u.attributes.mail[1], \
                targets.d.u.attributes.mail[2]";
    assert_eq!(mail.derivation.note.as_deref(), Some(note));
    assert_eq!(mail.tolerance, None, "nothing special");
    let mut clerk = boss.clone();
    clerk.attributes.set("title", vec!["Clerk".into()]);
    let account = decided(&bundle, &clerk);
    assert_eq!(value(&account, "mail"), "a@y | x@y | z@y");
    assert_ne!(found(&account, "mail").inputs, mail.inputs, "another mapping gives it");
    let mut other = clerk.clone();
    other.attributes.set("givenName", vec!["Ann".into()]);
    assert_eq!(found(&decided(&bundle, &other), "mail").inputs, found(&account, "mail").inputs);
    other.attributes.set("emails", vec!["b@y".into()]);
    assert_ne!(found(&decided(&bundle, &other), "mail").inputs, found(&account, "mail").inputs);
}

#[test]
fn several_mappings_that_give_nothing_clear_keep_or_refuse() {
    let bundle = bundle(
        r#"cleared: { each: [{ value: user.x }] }
           kept: { each: [{ value: user.x, when_null: keep }, { value: user.title }] }
           unmet: { each: [{ value: user.x, when: 'user.title == "Boss"' }] }"#,
    );
    let shown = |account: &DesiredAccount| ["cleared", "kept", "unmet"].map(|name| value(account, name));
    assert_eq!(shown(&decided(&bundle, &ann(&[("x", ""), ("title", "")]))), ["(clear)", "-", "(withdrawn)"]);
    assert_eq!(shown(&decided(&bundle, &ann(&[]))), ["-", "-", "(withdrawn)"]);
    let account = decided(&bundle, &ann(&[("x", ""), ("title", "t")]));
    assert_eq!(shown(&account), ["(clear)", "t", "(withdrawn)"]);
    assert!(tolerance(&account, "kept").add_only, "what the first gave before is not known, and stays");
    let refusing = map("", "a: { each: [{ value: user.x, when_null: refuse }, key] }");
    let account = decided(&refusing, &ann(&[]));
    assert_eq!(account.refusals[0].reason, RefusalReason::MissingInput);
    assert_eq!(account.refusals[0].mapping, Some("targets.d.u.attributes.a[0]".into()));
    let reference = map("", "a: { each: [{ value: 'user.x == \"r\" ? account_of(key) : user.x' }] }");
    let account = decided(&reference, &ann(&[("x", "r")]));
    assert_eq!(account.refusals[0].reason, RefusalReason::ExpressionFailed);
}

#[test]
fn of_what_no_source_speaks_nothing_is_taken_away() {
    let text = r#"a: { each: [{ value: '"fixed"' }, { value: user.x, range: all }], foreign: remove }"#;
    let silent = decided(&bundle(text), &ann(&[]));
    assert_eq!(value(&silent, "a"), "fixed");
    assert_eq!(tolerance(&silent, "a"), Tolerance { add_only: true, ..Tolerance::default() });
    let told = tolerance(&decided(&bundle(text), &ann(&[("x", "v")])), "a");
    assert!(!told.add_only);
    assert_eq!(ranges(&told), [("*", "a[1]"), ("*", "a")]);
}

#[test]
fn two_exclusive_mappings_that_give_values_refuse_the_account() {
    let check = |text: &str, who: &Identity| {
        let account = decided(&bundle(text), who);
        account.refusals.into_iter().map(|refusal| (refusal.reason, refusal.detail)).collect::<Vec<_>>()
    };
    let list = r#"a:
             - { value: user.x, exclusive: true }
             - { value: '"b"', when: 'user.title == "Boss"', exclusive: true }
             - '"c"'"#;
    let both =
        "`targets.d.u.attributes.a[0]` and `targets.d.u.attributes.a[1]` are exclusive and both give a value";
    assert_eq!(
        check(list, &ann(&[("x", "v"), ("title", "Boss")])),
        [(RefusalReason::Exclusive, both.to_owned())]
    );
    assert_eq!(check(list, &ann(&[("x", "v"), ("title", "Clerk")])), [], "the second does not count");
    assert_eq!(check(list, &ann(&[("x", ""), ("title", "Boss")])), [], "the first gives nothing");
    let together =
        r#"a: { each: [{ value: user.x, exclusive: true }, { value: key, exclusive: true }, key] }"#;
    assert_eq!(check(together, &ann(&[("x", "v")])), [(RefusalReason::Exclusive, both.to_owned())]);
    let one = r#"a: { each: [{ value: user.x, exclusive: true }, { value: key }] }"#;
    assert_eq!(check(one, &ann(&[("x", "v")])), []);
    let draft =
        r#"a: { each: [{ value: user.x, exclusive: true }, { value: key, exclusive: true, state: draft }] }"#;
    assert_eq!(check(draft, &ann(&[("x", "v")])), []);
}

#[test]
fn ranges_are_those_of_the_mappings_that_count() {
    let bundle = bundle(
        r#"first:
             - { value: user.x, when: 'user.title == "Boss"', range: ['dept-*', 'x'] }
             - { value: user.x, range: all }
           each:
             each:
               - { value: user.x, when: 'user.title == "Boss"', range: ['dept-*'] }
               - { value: key, range: produced }
             remove: ['old-*']
             keep: ['*@x']
           adds: { each: [{ value: user.x, authoritative: false }, { value: key, range: ['k-*'] }] }
           plain: user.x"#,
    );
    let boss = decided(&bundle, &ann(&[("title", "Boss"), ("x", "v")]));
    assert_eq!(ranges(&tolerance(&boss, "first")), [("dept-*", "first[0]"), ("x", "first[0]")]);
    assert_eq!(ranges(&tolerance(&boss, "each")), [("dept-*", "each[0]"), ("old-*", "each")]);
    assert_eq!(tolerance(&boss, "each").keeps, ["*@x"]);
    let clerk = decided(&bundle, &ann(&[("title", "Clerk"), ("x", "v")]));
    assert_eq!(ranges(&tolerance(&clerk, "first")), [("*", "first[1]")]);
    assert_eq!(ranges(&tolerance(&clerk, "each")), [("old-*", "each")]);
    let adds = tolerance(&clerk, "adds");
    assert!(adds.add_only);
    assert_eq!(ranges(&adds), [("k-*", "adds[1]")]);
    assert_eq!(found(&clerk, "plain").tolerance, None);
}

#[test]
fn a_period_is_whole_days_in_the_zone_of_the_person() {
    let bundle = bundle(
        r#"a: { value: key, from: '"2026-11-10"', until: '"2026-11-20"' }
           b: { value: key, until: '"2026-11-20T10:00:00Z"' }
           c: { value: key, from: { date: '"2026-11-20T23:30:00Z"', offset_days: -3, at: end } }
           d: { value: key, until: { date: 'date("2026-11-20")', offset_days: 1, at: start } }"#,
    );
    let mut ann = ann(&[]);
    ann.zone = Zone::new("Europe/Zurich").unwrap();
    let at = |text: &str| {
        let evaluation = evaluated(&bundle, &ann, text.parse().unwrap(), false);
        let account = account(&evaluation, "d");
        let counts: String =
            ["a", "b", "c", "d"].into_iter().filter(|name| value(account, name) == "1").collect();
        (counts, evaluation.next_change_at.map(|at| at.to_string()).unwrap_or_default())
    };
    let told = |counts: &str, next: &str| (counts.to_owned(), next.to_owned());
    assert_eq!(at("2026-11-09T22:59:59Z"), told("bd", "2026-11-09T23:00:00Z"));
    assert_eq!(at("2026-11-09T23:00:00Z"), told("abd", "2026-11-18T23:00:00Z"));
    // In Zurich, the instant is on the 21st; three days before is the 18th, to whose end it is 23:00 UTC.
    assert_eq!(at("2026-11-18T23:00:00Z"), told("abcd", "2026-11-20T10:00:00Z"));
    assert_eq!(at("2026-11-20T10:00:00Z"), told("acd", "2026-11-20T23:00:00Z"));
    assert_eq!(at("2026-11-20T22:59:59Z"), told("acd", "2026-11-20T23:00:00Z"));
    assert_eq!(at("2026-11-20T23:00:00Z"), told("c", ""));
}

#[test]
fn the_bounds_of_mappings_that_lost_or_are_not_met_wake_the_person_too() {
    let bundle = bundle(
        r#"a: ['"1"', { value: '"2"', from: '"2027-01-01"' }]
           b: [{ value: '"1"', when: 'lifecycle == "on_leave"', until: '"2027-02-01"' }, '"2"']
           c: { value: '"1"', from: '"2027-03-01"', state: proposed }"#,
    );
    let next = |at: &str, proposed| {
        let found = evaluated(&bundle, &ann(&[]), at.parse().unwrap(), proposed).next_change_at;
        found.map(|at| at.to_string()).unwrap_or_default()
    };
    assert_eq!(next("2026-11-20T00:00:00Z", false), "2027-01-01T00:00:00Z");
    assert_eq!(next("2027-01-01T00:00:00Z", false), "2027-02-02T00:00:00Z");
    assert_eq!(next("2027-02-02T00:00:00Z", false), "");
    assert_eq!(next("2027-02-02T00:00:00Z", true), "2027-03-01T00:00:00Z");
}

#[test]
fn a_bound_that_is_no_date_refuses_the_account() {
    let bundle = bundle(r#"a: { value: key, from: 'first_nonempty(user.x, "2026-01-01")' }"#);
    assert_eq!(value(&decided(&bundle, &ann(&[])), "a"), "1");
    let account = decided(&bundle, &ann(&[("x", "soon")]));
    assert_eq!(account.refusals[0].reason, RefusalReason::ExpressionFailed);
    assert_eq!(account.refusals[0].detail, "`soon` is neither a date like 2026-11-20 nor an instant");
    let account = decided(&bundle, &ann(&[("x", "-009999-01-01")]));
    assert_eq!(account.refusals.len(), 1, "{account:?}");
}

#[test]
fn drafts_are_checked_and_proposals_count_in_previews_only() {
    let text = "bundle: 1\nversion: a\nroles:\n  r: { grants: [{ account: d/u }] }\n\
                \x20 s: { grants: [{ group: g, on: d/u }] }\n\
                rules:\n  - { id: all, when: 'true', roles: [r] }\n\
                \x20 - { id: new, when: 'true', roles: [s], state: proposed }\n\
                \x20 - { id: idea, when: 'true', roles: [s], state: draft }\n\
                targets:\n  d:\n    u:\n      attributes:\n\
                \x20       a: [{ value: '\"new\"', state: proposed }, '\"old\"']\n\
                \x20       b:\n          each:\n            - '\"old\"'\n\
                \x20           - { value: '\"new\"', state: proposed }\n\
                \x20           - { value: '\"idea\"', state: draft }\n";
    let bundle = load(text);
    let seen = |proposed| {
        let evaluation = evaluated(&bundle, &ann(&[]), now(), proposed);
        let account = account(&evaluation, "d").clone();
        let groups = account.groups.len();
        (account, groups, evaluation.proposed.iter().map(|id| id.to_string()).collect::<Vec<_>>())
    };
    let (account, groups, proposed) = seen(false);
    assert_eq!((value(&account, "a").as_str(), value(&account, "b").as_str(), groups), ("old", "old", 0));
    assert_eq!(proposed, [""; 0]);
    assert_eq!(found(&account, "a").derivation.overridden, []);
    let (account, groups, proposed) = seen(true);
    assert_eq!(
        (value(&account, "a").as_str(), value(&account, "b").as_str(), groups),
        ("new", "old | new", 1)
    );
    assert_eq!(proposed, ["rules.new", "targets.d.u.attributes.a[0]", "targets.d.u.attributes.b[1]"]);
    let note = found(&account, "a").derivation.note.clone();
    assert_eq!(note.as_deref(), Some("proposed: it counts in previews only"));
    assert!(found(&account, "b").derivation.note.as_deref().unwrap().contains("b[1] (proposed)"));
    // The hash is of the whole text.
    let other = load(&text.replace("\"idea\"", "\"other\""));
    assert_ne!(bundle.version().hash, other.version().hash);
    // A draft that is wrong is found all the same.
    for (good, bad) in [
        ("value: '\"idea\"'", "value: 'user.y'"),
        ("when: 'true', roles: [s], state: draft", "when: 'y', roles: [s], state: draft"),
    ] {
        assert!(Bundle::load(&[("policy.yaml", &text.replace(good, bad))]).is_err(), "{bad}");
    }
}

#[test]
fn authority_is_of_the_map_or_of_the_target() {
    let attributes =
        "a: key\nb: { value: key, strength: weak }\nc: { each: [key] }\nd: { each: [key], strength: normal }";
    let strengths = |keys: &str| {
        let account = decided(&map(keys, attributes), &ann(&[]));
        (account.authority, ["a", "b", "c", "d"].map(|name| found(&account, name).strength))
    };
    use Strength::{Normal, Strong, Weak};
    assert_eq!(strengths(""), (Authority::Assist, [Normal, Weak, Normal, Normal]));
    assert_eq!(strengths("      authority: assist\n"), (Authority::Assist, [Normal, Weak, Normal, Normal]));
    assert_eq!(strengths("      authority: enforce\n"), (Authority::Enforce, [Strong, Weak, Strong, Normal]));
    assert_eq!(strengths("      authority: observe\n"), (Authority::Observe, [Normal, Weak, Normal, Normal]));
    let text = "bundle: 1\nversion: a\nnamespaces: { n: {} }\n\
                targets:\n  d:\n    authority: enforce\n    u:\n      names: [{ cn: { namespace: n, parts: [key] } }]\n\
                \x20     attributes: { a: key }\n    v: { authority: observe, attributes: { a: key } }\n\
                \x20 e:\n    authority: { attributes: { a: key } }\n\
                roles:\n  r: { grants: [{ account: d/u }, { account: d/v }, { account: e/authority }] }\n\
                rules:\n  - { id: all, when: 'true', roles: [r] }\n";
    let evaluation = evaluated(&load(text), &ann(&[]), now(), false);
    let seen: Vec<_> = evaluation
        .accounts
        .iter()
        .map(|account| {
            let strengths = account.values.iter().map(|value| value.strength).collect::<Vec<_>>();
            (account.class.as_str(), account.authority, strengths)
        })
        .collect();
    let expected = [
        ("u", Authority::Enforce, vec![Strong, Strong]),
        ("v", Authority::Observe, vec![Normal]),
        ("authority", Authority::Assist, vec![Normal]),
    ];
    assert_eq!(seen, expected, "names too, and a class may be called so");
}

/// Codes of the check against a class with one attribute of each kind.
fn checked(attributes: &str) -> Vec<String> {
    let text = AttributeSchema::text;
    let known = [
        ("one", text()),
        ("set", AttributeSchema { multi: true, ..text() }),
        ("lines", AttributeSchema { multi: true, ordered: true, ..text() }),
        ("needed", AttributeSchema { required: true, ..text() }),
    ];
    let class = ObjectClass {
        attributes: known.into_iter().map(|(name, schema)| (name.into(), schema)).collect(),
        ..ObjectClass::default()
    };
    let mut discovery = Discovery::default();
    discovery.schema.classes.insert("u".into(), class);
    let problems = bundle(attributes).check(&BTreeMap::from([("d".into(), discovery.schema)]));
    problems
        .iter()
        .map(|problem| format!("{} {}", problem.code, problem.span.as_ref().unwrap().line))
        .collect()
}

#[test]
fn what_is_only_for_sets_is_found_where_it_stands() {
    assert_eq!(
        checked("needed: key\nset: { each: [key], foreign: remove }\nlines: { each: [key] }"),
        [""; 0]
    );
    let wrong = "needed: key\none: { each: [key] }\nlines: { value: key, range: all }\nset: { value: key, range: all }";
    assert_eq!(checked(wrong), ["P0051 14", "P0051 13"]);
    assert_eq!(checked("needed: { value: key, state: draft }"), ["P0044 10"], "a draft gives it no value");
    assert_eq!(checked("needed: [{ value: '[key]', state: draft }, key]"), ["P0045 12"], "and is checked");
}

#[test]
fn people_on_leave_have_what_their_conditions_say() {
    let bundle = bundle(r#"c: { value: '"on"', when: 'lifecycle == "on_leave"' }"#);
    let mut ann = ann(&[]);
    ann.employment.status = Status::OnLeave;
    assert_eq!(found(&decided(&bundle, &ann), "c").slot, DesiredSlot::Known(Slot::Values(vec!["on".into()])));
}
