//! Filters: a split means the same as the whole, and evaluation follows the schema's rules.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic as tests do"
)]

use proptest::prelude::*;
use provision_core::ErrorKind;
use provision_core::filter::{Comparison, DEPTH_MAX, Filter};
use provision_core::schema::{AttributeSchema, CaseRule, ObjectClass};
use provision_core::value::{AttrPath, Attributes, Value};

const COMPARISONS: [Comparison; 8] = [
    Comparison::Equal,
    Comparison::StartsWith,
    Comparison::EndsWith,
    Comparison::Contains,
    Comparison::Greater,
    Comparison::GreaterOrEqual,
    Comparison::Less,
    Comparison::LessOrEqual,
];

fn class() -> ObjectClass {
    let attributes = [
        ("exact", AttributeSchema::text()),
        ("nocase", AttributeSchema { case: CaseRule::Ignore, ..AttributeSchema::text() }),
        ("many", AttributeSchema { multi: true, ..AttributeSchema::text() }),
    ];
    ObjectClass {
        attributes: attributes.into_iter().map(|(name, schema)| (name.into(), schema)).collect(),
        names: CaseRule::Ignore,
        naming: None,
    }
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => prop::sample::select(vec!["a", "A", "ab", "b", "é", ""]).prop_map(Value::text),
        1 => (0..3_i64).prop_map(Value::Int),
        1 => any::<bool>().prop_map(Value::Bool),
    ]
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let slot = |most| prop::option::of(prop::collection::vec(value(), 0..=most));
    (slot(1), slot(1), slot(3)).prop_map(|(exact, nocase, many)| {
        let mut attributes = Attributes::new();
        for (name, values) in [("exact", exact), ("nocase", nocase), ("many", many)] {
            if let Some(values) = values {
                attributes.set(name, values);
            }
        }
        attributes
    })
}

fn filter() -> impl Strategy<Value = Filter> {
    let path =
        || prop::sample::select(vec!["exact", "nocase", "NOCASE", "many", "other"]).prop_map(AttrPath::new);
    let leaf = prop_oneof![
        1 => path().prop_map(Filter::Present),
        4 => (path(), prop::sample::select(COMPARISONS.to_vec()), value())
            .prop_map(|(path, comparison, value)| Filter::Compare(path, comparison, value)),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::All),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::Any),
            inner.prop_map(|part| Filter::Not(Box::new(part))),
        ]
    })
}

/// A target that evaluates some nodes, by the bits of `mask`.
fn pushes(mask: u32) -> impl Fn(&Filter) -> bool {
    move |filter| {
        let bit = match filter {
            Filter::All(_) => 0,
            Filter::Any(_) => 1,
            Filter::Not(_) => 2,
            Filter::Present(_) => 3,
            Filter::Compare(_, comparison, _) => {
                4 + COMPARISONS.iter().position(|known| known == comparison).unwrap()
            }
        };
        mask & (1 << bit) != 0
    }
}

fn evaluates_all(pushes: &dyn Fn(&Filter) -> bool, filter: &Filter) -> bool {
    pushes(filter)
        && match filter {
            Filter::All(parts) | Filter::Any(parts) => parts.iter().all(|part| evaluates_all(pushes, part)),
            Filter::Not(part) => evaluates_all(pushes, part),
            Filter::Present(_) | Filter::Compare(..) => true,
        }
}

proptest! {
    #[test]
    fn pushed_and_residual_together_are_the_whole(
        filter in filter(),
        objects in prop::collection::vec(attributes(), 1..20),
        mask in 0..4096_u32,
    ) {
        let class = class();
        let pushes = pushes(mask);
        let split = filter.clone().split(&pushes);
        if let Some(pushed) = &split.pushed {
            prop_assert!(evaluates_all(&pushes, pushed), "the target does not evaluate {pushed:?}");
        }
        for object in objects {
            let whole = filter.matches(&class, &object);
            let holds = |part: &Option<Filter>| part.as_ref().is_none_or(|part| part.matches(&class, &object));
            prop_assert_eq!(whole, holds(&split.pushed) && holds(&split.residual));
        }
    }

    #[test]
    fn a_comparison_and_its_contrary_never_both_hold(object in attributes(), value in value()) {
        let class = class();
        let compare = |comparison| {
            Filter::Compare(AttrPath::new("exact"), comparison, value.clone()).matches(&class, &object)
        };
        prop_assert!(!(compare(Comparison::Less) && compare(Comparison::GreaterOrEqual)));
        prop_assert!(!(compare(Comparison::Equal) && compare(Comparison::Greater)));
        prop_assert_eq!(
            compare(Comparison::LessOrEqual),
            compare(Comparison::Less) || compare(Comparison::Equal)
        );
    }

    #[test]
    fn filters_survive_json(filter in filter()) {
        let text = serde_json::to_string(&filter).unwrap();
        prop_assert_eq!(serde_json::from_str::<Filter>(&text).unwrap(), filter);
    }
}

#[test]
fn absent_and_null_satisfy_no_comparison() {
    let class = class();
    for object in [Attributes::new(), Attributes::new().with_null("exact")] {
        for comparison in COMPARISONS {
            let filter = Filter::Compare(AttrPath::new("exact"), comparison, Value::text(""));
            assert!(!filter.matches(&class, &object), "{comparison:?}");
        }
        assert!(!Filter::Present(AttrPath::new("exact")).matches(&class, &object));
    }
}

#[test]
fn case_follows_the_attribute_and_names_follow_the_class() {
    let class = class();
    let object = Attributes::new().with("exact", "Zoë").with("nocase", "Zoë");
    assert!(!Filter::equal("exact", "ZOË").matches(&class, &object));
    assert!(Filter::equal("NoCase", "ZOË").matches(&class, &object));
}

#[test]
fn sub_attributes_are_compared_in_each_value() {
    let record = |kind: &str| Value::Record([("type".into(), kind.into())].into());
    let mut object = Attributes::new();
    object.set("many", vec![record("home"), record("work")]);
    let path = AttrPath::parse("many.type").unwrap();
    let at = |literal: &str| Filter::Compare(path.clone(), Comparison::Equal, literal.into());
    assert!(at("work").matches(&class(), &object));
    assert!(!at("other").matches(&class(), &object));
}

fn nested(depth: usize) -> Filter {
    (1..depth).fold(Filter::All(vec![]), |inner, _| Filter::Not(Box::new(inner)))
}

#[test]
fn depth_is_bounded_and_never_overflows() {
    for depth in 1..=DEPTH_MAX {
        let filter = nested(depth);
        filter.check().unwrap();
        assert_eq!(filter.matches(&class(), &Attributes::new()), depth % 2 == 1);
    }
    assert_eq!(nested(DEPTH_MAX + 1).check().unwrap_err().kind(), ErrorKind::Unsupported);
    let deep = nested(10_000);
    assert_eq!(deep.check().unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(deep.split(&|_| true).pushed.is_none(), "what cannot be evaluated is not pushed");
}
