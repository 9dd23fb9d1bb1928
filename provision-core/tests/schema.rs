//! Reading attributes by a schema: spellings, types, lengths, and all problems in one pass.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic as tests do"
)]

use proptest::prelude::*;
use provision_core::id::ClassName;
use provision_core::schema::{AttributeSchema, AttributeType, CaseRule, ObjectClass};
use provision_core::value::{Attributes, ObjectRef, Slot, Value};

const TYPES: [AttributeType; 8] = [
    AttributeType::Bool,
    AttributeType::Int,
    AttributeType::Text,
    AttributeType::Bytes,
    AttributeType::Date,
    AttributeType::Time,
    AttributeType::Reference,
    AttributeType::Record,
];

fn of(kind: AttributeType) -> AttributeSchema {
    AttributeSchema { kind, ..AttributeSchema::text() }
}

fn class(names: CaseRule, attributes: &[(&str, AttributeSchema)]) -> ObjectClass {
    let attributes = attributes.iter().map(|(name, schema)| ((*name).into(), schema.clone()));
    ObjectClass { attributes: attributes.collect(), names, naming: None }
}

fn codes(class: &ObjectClass, raw: &Attributes) -> Vec<String> {
    class.parse(raw).1.into_iter().map(|problem| problem.code).collect()
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[ -~]{0,8}".prop_map(Value::text),
        prop::sample::select(vec![
            "true",
            "FALSE",
            "12",
            "007",
            "-3",
            "2026-02-30",
            "2026-11-20",
            "2026-11-20T08:00:00Z"
        ])
        .prop_map(Value::text),
        any::<i64>().prop_map(Value::Int),
        any::<bool>().prop_map(Value::Bool),
        prop::collection::vec(any::<u8>(), 0..4).prop_map(Value::Bytes),
        Just(Value::Date("2026-11-20".parse().unwrap())),
        Just(Value::Time("2026-11-20T08:00:00Z".parse().unwrap())),
        Just(Value::Reference(ObjectRef { class: ClassName::new("user"), key: "1".to_owned() })),
        Just(Value::Record([("type".into(), "work".into())].into())),
    ]
}

proptest! {
    #[test]
    fn what_was_parsed_parses_to_itself(value in value(), kind in prop::sample::select(TYPES.to_vec())) {
        let class = class(CaseRule::Exact, &[("a", of(kind))]);
        let (once, problems) = class.parse(&Attributes::new().with("a", value));
        prop_assert_eq!(once.is_empty(), !problems.is_empty(), "kept or refused, and never both");
        let (twice, problems) = class.parse(&once);
        prop_assert_eq!(twice, once);
        prop_assert!(problems.is_empty());
    }

    #[test]
    fn a_coercion_loses_nothing(value in value(), kind in prop::sample::select(TYPES.to_vec())) {
        let class = class(CaseRule::Exact, &[("a", of(kind))]);
        let (parsed, _) = class.parse(&Attributes::new().with("a", value.clone()));
        let Some(read) = parsed.first("a") else { return Ok(()) };
        let (before, after) = (value.to_plain(), read.to_plain());
        let number = before.parse::<i64>().ok();
        let same = before == after
            || before.eq_ignore_ascii_case(&after)
            || (number.is_some() && number == after.parse::<i64>().ok());
        prop_assert!(same, "{before} became {after}");
    }
}

#[test]
fn types_are_read_from_text_where_that_is_exact() {
    let read = |kind, text: &str| {
        let class = class(CaseRule::Exact, &[("a", of(kind))]);
        class.parse(&Attributes::new().with("a", text)).0.first("a").cloned()
    };
    assert_eq!(read(AttributeType::Bool, "TRUE"), Some(Value::Bool(true)));
    assert_eq!(read(AttributeType::Bool, "yes"), None);
    assert_eq!(read(AttributeType::Int, "-12"), Some(Value::Int(-12)));
    assert_eq!(read(AttributeType::Int, "1.5"), None);
    assert_eq!(read(AttributeType::Int, "99999999999999999999"), None);
    assert_eq!(read(AttributeType::Date, "2026-11-20"), Some(Value::Date("2026-11-20".parse().unwrap())));
    assert_eq!(read(AttributeType::Date, "2026-02-30"), None);
    assert_eq!(read(AttributeType::Date, "2026-11-20T08:00:00"), None);
    assert_eq!(read(AttributeType::Bytes, "abcd"), None);
    assert_eq!(read(AttributeType::Reference, "m-000001"), None);
}

#[test]
fn every_problem_is_told_with_its_path_and_the_rest_is_kept() {
    let short = AttributeSchema { length_max: Some(3), ..AttributeSchema::text() };
    let class = class(
        CaseRule::Ignore,
        &[
            ("number", of(AttributeType::Int)),
            ("short", short),
            ("single", AttributeSchema::text()),
            ("title", AttributeSchema::text()),
        ],
    );
    let mut raw =
        Attributes::new().with("Number", "x").with("short", "éééé").with("TITLE", "Dr").with("zip", "1");
    raw.set("single", vec!["a".into(), "b".into()]);
    let (parsed, problems) = class.parse(&raw);
    assert_eq!(parsed, Attributes::new().with("title", "Dr"));
    let told = problems.iter().map(|problem| (problem.code.as_str(), problem.path.as_deref().unwrap()));
    let wanted = [("S0003", "number"), ("S0004", "short"), ("S0002", "single"), ("S0001", "zip")];
    assert_eq!(told.collect::<Vec<_>>(), wanted);
}

#[test]
fn the_length_counts_for_what_is_written() {
    let short = AttributeSchema { length_max: Some(3), ..AttributeSchema::text() };
    let class = class(CaseRule::Exact, &[("short", short)]);
    assert_eq!(codes(&class, &Attributes::new().with("short", 1234_i64)), ["S0004"]);
    assert_eq!(codes(&class, &Attributes::new().with("short", "ééé")), Vec::<String>::new());
}

#[test]
fn two_spellings_of_one_attribute_are_a_problem_and_not_a_silent_choice() {
    let class = class(CaseRule::Ignore, &[("mail", AttributeSchema::text())]);
    let (parsed, problems) =
        class.parse(&Attributes::new().with("MAIL", "a").with("Mail", "b").with("mail", "c"));
    assert!(parsed.is_empty());
    assert_eq!(problems.iter().map(|problem| problem.code.as_str()).collect::<Vec<_>>(), ["S0005", "S0005"]);
}

#[test]
fn null_is_read_as_null() {
    let class = class(CaseRule::Ignore, &[("mail", AttributeSchema::text())]);
    let (parsed, problems) = class.parse(&Attributes::new().with_null("MAIL"));
    assert_eq!((parsed, problems), (Attributes::new().with_null("mail"), vec![]));
}

#[test]
fn sets_are_the_same_whatever_their_order_and_repetitions() {
    let slot = |values: &[&str]| Slot::from_values(values.iter().map(Value::text).collect());
    let set = AttributeSchema { multi: true, case: CaseRule::Ignore, ..AttributeSchema::text() };
    assert!(set.same_slot(&slot(&["a", "B"]), &slot(&["b", "A", "a"])));
    assert!(!set.same_slot(&slot(&["a"]), &slot(&["a", "b"])));
    assert!(!set.same_slot(&slot(&[]), &slot(&["a"])));
    let list = AttributeSchema { ordered: true, ..set };
    assert!(!list.same_slot(&slot(&["a", "b"]), &slot(&["b", "a"])));
    assert!(list.same_slot(&slot(&["A", "b"]), &slot(&["a", "B"])));
}
