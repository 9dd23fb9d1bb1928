//! The law of deltas: `apply(a, diff(a, b)) == b` for every `b` whose absences are filled from `a`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic as tests do"
)]

use proptest::prelude::*;
use provision_core::delta::{Change, Delta};
use provision_core::schema::{AttributeSchema, CaseRule, ObjectClass};
use provision_core::value::{AttrName, Attributes, Slot, Value};

const NAMES: [&str; 6] = ["single", "single_nocase", "set", "set_nocase", "list", "undeclared"];

fn class() -> ObjectClass {
    let nocase = AttributeSchema { case: CaseRule::Ignore, ..AttributeSchema::text() };
    let attributes = [
        ("single", AttributeSchema::text()),
        ("single_nocase", nocase.clone()),
        ("set", AttributeSchema { multi: true, ..AttributeSchema::text() }),
        ("set_nocase", AttributeSchema { multi: true, ..nocase }),
        ("list", AttributeSchema { multi: true, ordered: true, ..AttributeSchema::text() }),
    ];
    ObjectClass {
        attributes: attributes.into_iter().map(|(name, schema)| (name.into(), schema)).collect(),
        ..ObjectClass::default()
    }
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(vec!["a", "A", "b", "B", "c", "é", "É", "", " a", "ß", "SS"])
            .prop_map(Value::text),
        (0..3_i64).prop_map(Value::Int),
    ]
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let slot = |most| prop::option::of(prop::collection::vec(value(), 0..=most));
    (slot(1), slot(1), slot(5), slot(5), slot(5), slot(3)).prop_map(|(a, b, c, d, e, f)| {
        let slots = NAMES.into_iter().zip([a, b, c, d, e, f]);
        let slots =
            slots.filter_map(|(name, values)| Some((AttrName::new(name), Slot::from_values(values?))));
        slots.collect()
    })
}

/// `b` with its absences filled from `a`.
fn filled(a: &Attributes, b: &Attributes) -> Attributes {
    let mut filled = a.clone();
    for (name, slot) in b.iter() {
        filled.insert(name.clone(), slot.clone());
    }
    filled
}

/// Equal, up to order and repetition in sets.
fn assert_same(left: &Attributes, right: &Attributes) {
    let sorted = |attributes: &Attributes| {
        let slots = attributes.iter().map(|(name, slot)| {
            let mut values = slot.values().to_vec();
            if name.as_str().starts_with("set") {
                values.sort();
                values.dedup();
            }
            (name.clone(), Slot::from_values(values))
        });
        slots.collect::<Attributes>()
    };
    assert_eq!(sorted(left), sorted(right));
}

proptest! {
    #[test]
    fn applying_the_difference_gives_the_other(a in attributes(), b in attributes()) {
        let class = class();
        let delta = Delta::diff(&class, &a, &b);
        let after = delta.apply(&class, &a);
        assert_same(&after, &filled(&a, &b));
        prop_assert!(Delta::diff(&class, &after, &b).is_empty(), "a second difference is left");
        assert_same(&delta.apply(&class, &after), &after);
    }

    #[test]
    fn what_is_absent_is_untouched(a in attributes(), b in attributes()) {
        let delta = Delta::diff(&class(), &a, &b);
        for name in delta.changes.keys() {
            prop_assert!(b.get(name.as_str()).is_some());
        }
        prop_assert!(Delta::diff(&class(), &a, &a).is_empty());
        prop_assert!(Delta::diff(&class(), &a, &Attributes::new()).is_empty());
    }

    #[test]
    fn deltas_and_attributes_survive_json(a in attributes(), b in attributes()) {
        let delta = Delta::diff(&class(), &a, &b);
        let text = serde_json::to_string(&delta).unwrap();
        prop_assert_eq!(serde_json::from_str::<Delta>(&text).unwrap(), delta);
        let text = serde_json::to_string(&a).unwrap();
        prop_assert_eq!(serde_json::from_str::<Attributes>(&text).unwrap(), a);
    }

    #[test]
    fn only_sets_are_edited_and_an_edit_says_no_more_than_it_must(a in attributes(), b in attributes()) {
        for (name, change) in Delta::diff(&class(), &a, &b).changes {
            let Change::Edit { add, remove } = change else { continue };
            prop_assert!(name.as_str().starts_with("set"));
            prop_assert!(add.iter().all(|value| !a.values(name.as_str()).contains(value)));
            prop_assert!(remove.iter().all(|value| a.values(name.as_str()).contains(value)));
        }
    }
}

#[test]
fn an_empty_list_in_json_is_null() {
    let read: Attributes = serde_json::from_str(r#"{"a": [], "b": null, "c": ["x"]}"#).unwrap();
    assert_eq!(read, Attributes::new().with_null("a").with_null("b").with("c", "x"));
}

#[test]
fn an_edit_keeps_members_it_does_not_name() {
    let class = class();
    let before: Attributes = serde_json::from_str(r#"{"set": ["x", "y"], "set_nocase": ["Bob"]}"#).unwrap();
    let edit = |add: &[&str], remove: &[&str]| Change::Edit {
        add: add.iter().map(Value::text).collect(),
        remove: remove.iter().map(Value::text).collect(),
    };
    let delta = Delta {
        changes: [("set".into(), edit(&["z", "y"], &["x"])), ("set_nocase".into(), edit(&["BOB"], &[]))]
            .into(),
    };
    let after: Attributes = serde_json::from_str(r#"{"set": ["y", "z"], "set_nocase": ["Bob"]}"#).unwrap();
    assert_eq!(delta.apply(&class, &before), after);
    assert_eq!(delta.apply(&class, &after), after);
}
