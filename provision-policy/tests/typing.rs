//! What the checker knows of an expression before it ever runs: kinds, absence, cost, and where each fault stands.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests fail loudly"
)]

mod support;

use provision_core::policy::Policy;
use provision_core::schema::{AttributeSchema, AttributeType, CaseRule, ObjectClass, Schema};
use provision_policy::Bundle;
use support::{Names, account, evaluate, person, value};

/// Loads the expression at `place` of a bundle; the codes with the text each points at.
fn faults(place: &str, expression: &str) -> Vec<(String, String)> {
    let written = |wanted: &str| match place == wanted {
        true => format!("'{}'", expression.replace('\'', "''")),
        false => "'true'".to_owned(),
    };
    let text = format!(
        "bundle: 1\nversion: a\n\
         inputs: [level: number, flag: truth, hired: date, seen: instant, tags: list of text, loose]\n\
         lookups:\n  sure: {{ map: {{ a: b }}, default: c }}\n  open: {{ map: {{ a: b }} }}\n\
         values:\n  maybe: user.title\n  never: first_nonempty(user.title, \"x\")\n\
         roles:\n  r: {{ grants: [{{ account: d/u }}] }}\n\
         rules:\n  - {{ id: all, when: {}, unless: {}, roles: [r] }}\n\
         targets:\n  d:\n    u:\n      exists: {}\n      enabled: {}\n      attributes:\n        \
         a: {{ value: {}, when: {} }}\n        b: lookup(\"sure\", lookup(\"open\", value.never + value.maybe))\n",
        written("when"),
        written("unless"),
        written("exists"),
        written("enabled"),
        written("value"),
        written("mapping"),
    );
    match Bundle::load(&[("policy.yaml", &text)]) {
        Ok(_) => Vec::new(),
        Err(problems) => problems
            .iter()
            .filter(|problem| problem.is_error())
            .map(|problem| {
                let span = problem.span.as_ref().unwrap();
                let (column, length) = (span.column as usize - 1, span.length as usize);
                assert!(!problem.remedy.is_empty());
                (problem.code.clone(), span.text.chars().skip(column).take(length).collect())
            })
            .collect(),
    }
}

fn fault(place: &str, expression: &str) -> (String, String) {
    let found = faults(place, expression);
    assert_eq!(found.len(), 1, "{expression}: {found:?}");
    found.into_iter().next().unwrap()
}

#[test]
fn a_condition_must_have_an_answer_for_everybody() {
    let undecided = [
        ("user.flag", "user.flag"),
        ("user.level > 5", "user.level"),
        ("!(user.level > 5)", "user.level"),
        ("user.title.startsWith(\"C\")", "user.title"),
        ("user.flag && has(user.flag)", "user.flag"),
        ("has(user.title) || user.flag", "user.flag"),
        ("has(user.title) && user.nickName.contains(\"x\")", "user.nickName"),
        ("user.tags.exists(t, user.title.contains(t))", "user.title"),
        ("[user.title].exists(t, t.contains(\"x\"))", "t"),
        ("first_nonempty(user.loose, [user.title]).exists(t, t.contains(\"x\"))", "t"),
        ("values(first_nonempty(user.loose, [user.title])).all(t, size(t) > 1)", "t"),
        ("[[user.title]][0].exists(t, t.contains(\"x\"))", "t"),
        ("value.maybe.contains(\"x\")", "value.maybe"),
        ("lookup(\"open\", user.title) > \"m\"", "user.title"),
        ("user.tags[0].contains(\"x\")", "[0]"),
        ("index_of(user.title, \"x\") > 1", "index_of"),
        ("null", "null"),
        ("has(user.loose) && user.loose.part > 1", "user.loose.part"),
        ("(has(user.flag) ? user.flag : user.level > 3)", "user.level"),
        ("\"\" in user.tags || user.hired < today", "user.hired"),
    ];
    for (expression, at) in undecided {
        for place in ["when", "unless", "exists", "enabled", "mapping"] {
            let (code, place) = fault(place, expression);
            assert_eq!(code, "P0027", "{expression}");
            assert!(at.starts_with(&place) || place.starts_with(at), "{expression}: {place}");
        }
    }
}

#[test]
fn absence_that_is_handled_is_known() {
    for expression in [
        "user.title == \"Clerk\"",
        "user.title != null && user.title > \"A\"",
        "has(user.level) && user.level > 5 && user.level < 9",
        "!has(user.level) || user.level > 5",
        "!(has(user.level) && user.level > 5)",
        "has(user.level) ? user.level > 5 : false",
        "!empty(user.title) && user.title.startsWith(\"C\")",
        "user.title == \"Clerk\" && size(user.title) > 2",
        "user.title in [\"A\", \"B\"] && size(user.title) > 2",
        "user.title in user.tags",
        "first_nonempty(user.level > 5, false)",
        "first_nonempty(user.flag, user.level > 5, true)",
        "user.tags.exists(t, t.startsWith(\"x\"))",
        "user.tags.all(t, size(t) > 1) && user.tags.filter(t, t > \"a\").size() > 0",
        "[user.title].exists(t, has(user.title) && user.title.contains(\"x\"))",
        "[user.title].exists(t, t != null && t.contains(\"x\"))",
        "has(value.maybe) && value.maybe.contains(\"x\")",
        "value.never.contains(\"x\")",
        "lookup(\"sure\", user.title) > \"m\"",
        "lookup(\"open\", key) > \"m\"",
        "has(user.loose.part) && user.loose.part > 1",
        "lifecycle.startsWith(\"a\") && today > \"2026-01-01\" && size(source) > 1",
        "has(user.hired) && today <= plus_months(user.hired, 3)",
    ] {
        assert_eq!(faults("when", expression), [], "{expression}");
    }
    // `roles` is known to policy maps only.
    assert_eq!(faults("exists", "\"r\" in roles && roles[0] == \"r\""), []);
    // A value may be null: `when_null` says what then.
    assert_eq!(faults("value", "user.level + 1"), []);
    assert_eq!(fault("value", "user.flag ? 1 : 2"), ("P0027".to_owned(), "user.flag".to_owned()));
    assert_eq!(
        fault("value", "user.tags.filter(t, user.flag)"),
        ("P0027".to_owned(), "user.flag".to_owned())
    );
}

#[test]
fn kinds_are_known_through_the_whole_expression() {
    for (expression, at) in [
        ("user.level + \"x\"", "+"),
        ("user.title + 1", "+"),
        ("user.title.contains(\"x\") + \"x\"", "contains"),
        ("user.tags.map(t, t + 1)", "+"),
        ("user.tags[\"x\"]", "\"x\""),
        ("lower(user.tags)", "user.tags"),
        ("upper(user.hired)", "user.hired"),
        ("plus_days(user.level, 1)", "user.level"),
        ("plus_days(user.hired, user.title)", "user.title"),
        ("split(user.title, \",\") + \"x\"", "+"),
        ("values(user.level)[0] + \"x\"", "+"),
        ("first_nonempty(user.level, 0) + \"x\"", "+"),
        ("(has(user.flag) ? 1 : 2) + \"x\"", "+"),
        ("unique([1, 2])[0] + \"x\"", "+"),
        ("start_of(user.hired) < today", "<"),
        ("user.hired == \"2026-01-01\"", "=="),
        ("user.flag > true", ">"),
        ("user.title.family", "user.title.family"),
        ("user.title in \"abc\"", "\"abc\""),
    ] {
        assert_eq!(fault("value", expression), ("P0026".to_owned(), at.to_owned()), "{expression}");
    }
    assert_eq!(faults("value", "user.loose + user.level"), []);
    assert_eq!(faults("value", "user.hired < \"2026-01-01\""), []);
}

#[test]
fn the_worst_case_is_counted_at_load() {
    let loops = |count: usize| {
        let one = "user.tags.exists(t, t == \"a\" || t == \"b\" || t == \"c\" || t == \"d\")";
        vec![one; count].join(" || ")
    };
    // 22 steps for each value of each loop.
    assert_eq!(faults("when", &loops(4)), []);
    assert_eq!(fault("when", &loops(5)).0, "P0028");
    let inner = "t in user.tags";
    let twice = format!("user.tags.exists(t, {inner} || {inner})");
    assert_eq!(fault("when", &twice).0, "P0028");
    assert_eq!(faults("when", &format!("user.tags.exists(t, {inner})")), []);
    // A list of lists is looked through like any list; values of attributes are no lists.
    let nested = "[user.tags].map(a, user.tags).exists(b, b.contains(\"x\") || b.contains(\"y\"))";
    assert_eq!(faults("value", &nested.replacen("[user.tags]", "[1]", 1)), []);
    assert_eq!(fault("value", &nested.replacen("[user.tags]", "user.tags", 1)).0, "P0028");
    assert_eq!(faults("when", "user.tags.exists(b, b.contains(\"x\") || b.contains(\"y\"))"), []);
    // A list that is written out is as long as it is.
    assert_eq!(faults("when", "user.tags.exists(t, t in [\"a\", \"b\"] || t in [\"c\", \"d\"])"), []);
    assert_eq!(faults("when", "[\"a\", \"b\"].exists(t, t in user.tags || t in user.tags)"), []);
    assert_eq!(
        fault("when", "user.tags.exists(t, t.matches(\"a\") || t.matches(\"b\") || t in user.tags)").0,
        "P0028"
    );
}

#[test]
fn what_is_counted_in_a_zone_follows_the_zone() {
    let bundle = "bundle: 1\nversion: a\ninputs: [seen: instant]\nroles:\n  r: { grants: [{ account: d/u }] }\n\
                  rules:\n  - { id: all, when: 'true', roles: [r] }\ntargets:\n  d:\n    u:\n      \
                  attributes:\n        a: date(user.seen)\n        b: plus_seconds(user.seen, 1)\n";
    let bundle = Bundle::load(&[("policy.yaml", bundle)]).unwrap();
    let mut ann = person("1", &[]);
    let seen = "2026-11-20T12:00:00Z".parse().unwrap();
    ann.attributes.set("seen", vec![provision_core::value::Value::Time(seen)]);
    let hashes = |who: &provision_core::model::Identity, shown: &str| {
        let evaluation = evaluate(&bundle, who, &mut Names::default());
        let account = account(&evaluation, "d");
        assert_eq!(value(account, "a"), shown);
        account.values.iter().map(|value| value.inputs.clone()).collect::<Vec<_>>()
    };
    let utc = hashes(&ann, "2026-11-20");
    ann.zone = provision_core::value::Zone::new("Pacific/Kiritimati").unwrap();
    let far = hashes(&ann, "2026-11-21");
    assert_ne!(utc[0], far[0], "a changed zone is a changed input of what reads it");
    assert_eq!(utc[1], far[1], "and of nothing else");
}

#[test]
fn the_kinds_of_values_are_held_against_the_schema_of_the_target() {
    let schema =
        |kind: AttributeType, multi: bool| AttributeSchema { kind, multi, ..AttributeSchema::text() };
    let attributes = [
        ("times", schema(AttributeType::Time, true)),
        ("time", schema(AttributeType::Time, false)),
        ("number", schema(AttributeType::Int, false)),
    ];
    let class = ObjectClass {
        attributes: attributes.into_iter().map(|(name, schema)| (name.into(), schema)).collect(),
        names: CaseRule::Ignore,
        naming: None,
    };
    let schemas = [("d".into(), Schema { classes: [("u".into(), class)].into() })].into();
    let codes = |attribute: &str, expression: &str| -> Vec<String> {
        let text = format!(
            "bundle: 1\nversion: a\ninputs: [tags: list of text, sizes: list of number, level: number]\n\
             targets:\n  d:\n    u:\n      attributes:\n        {attribute}: '{expression}'\n"
        );
        let bundle = Bundle::load(&[("policy.yaml", &text)]).unwrap();
        bundle.check(&schemas).into_iter().map(|problem| problem.code).collect()
    };
    let fits: [&str; 0] = [];
    assert_eq!(codes("times", "[today, plus_days(today, 1)]"), fits);
    assert_eq!(codes("times", "user.tags"), fits, "texts may be read by the target");
    assert_eq!(codes("times", "user.sizes"), ["P0045"]);
    assert_eq!(codes("times", "user.sizes.map(s, s + 1)"), ["P0045"]);
    assert_eq!(codes("times", "user.tags.map(t, size(t))"), ["P0045"]);
    assert_eq!(codes("times", "values(user.level)"), ["P0045"]);
    assert_eq!(codes("time", "start_of(today)"), fits);
    assert_eq!(codes("time", "user.sizes[0]"), ["P0045"]);
    assert_eq!(codes("number", "start_of(today)"), ["P0045"]);
    assert_eq!(codes("number", "user.sizes"), ["P0045"]);
    assert_eq!(codes("number", "user.sizes[0]"), fits);
}
