//! Laws of the table as properties: what is written is what is read, and a delta does what it says.
#![cfg(feature = "csv")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops where something is wrong"
)]

use proptest::prelude::*;
use provision_connectors::csv::{CsvConnector, TableConfig};
use provision_core::connector::{Connector, Context, CreateRequest, GetRequest, ObjectKey, UpdateRequest};
use provision_core::delta::Delta;
use provision_core::id::LinkId;
use provision_core::schema::ObjectClass;
use provision_core::value::{Attributes, Date, Slot, Timestamp, Value};
use serde_json::json;

const KEY: &str = "6f1e3c1c-0000-4000-8000-000000000001";

fn text() -> impl Strategy<Value = Value> {
    "['=+@,\"|\\\\\r\n\t a]{0,6}|\\PC*|.*".prop_map(Value::from)
}

fn slot(values: impl Strategy<Value = Vec<Value>>) -> impl Strategy<Value = Option<Slot>> {
    prop_oneof![Just(None), Just(Some(Slot::Null)), values.prop_map(|values| Some(Slot::from_values(values)))]
}

prop_compose! {
    fn attributes()(
        name in slot(text().prop_map(|value| vec![value])),
        groups in slot(prop::collection::btree_set(text(), 0..4).prop_map(|set| set.into_iter().rev().collect())),
        level in slot(any::<i64>().prop_map(|value| vec![Value::Int(value)])),
        flag in slot(any::<bool>().prop_map(|value| vec![Value::Bool(value)])),
        day in slot((1..=28_i8).prop_map(|day| vec![Value::Date(Date::new(2026, 2, day).unwrap())])),
        time in slot((0..4_000_000_000_000_000_i64).prop_map(|at| vec![Value::Time(Timestamp::from_micros(at))])),
    ) -> Attributes {
        let all = [("name", name), ("groups", groups), ("level", level), ("flag", flag), ("day", day), ("time", time)];
        all.into_iter().filter_map(|(name, slot)| Some((name.into(), slot?))).collect()
    }
}

/// The same, each set in one order and every null an absence: what a table can tell.
fn told(attributes: &Attributes, class: &ObjectClass) -> Attributes {
    let slot = |name: &str| {
        let mut values = attributes.values(name).to_vec();
        if class.attributes[name].multi {
            values.sort();
        }
        Slot::from_values(values)
    };
    let told = class.attributes.keys().map(|name| (name.clone(), slot(name.as_str())));
    told.filter(|(_, slot)| *slot != Slot::Null).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn written_is_read_and_deltas_apply(a in attributes(), b in attributes(), formulas: bool, tab: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::TempDir::new().unwrap();
            let config = json!({
                "path": folder.path().join("t.csv"), "key": {"generated": "id"}, "neutralise_formulas": formulas,
                "delimiter": if tab { "\t" } else { ";" },
                "columns": ["name", {"name": "groups", "multi": true}, {"name": "level", "type": "int"},
                            {"name": "flag", "type": "bool"}, {"name": "day", "type": "date"},
                            {"name": "time", "type": "time"}]
            });
            let config = TableConfig::from_value(&config).unwrap();
            let target = CsvConnector::new(&config).unwrap();
            let cx = Context::new("acme".into(), "laws");
            let class = target.discover(&cx).await.unwrap().schema.classes[&"account".into()].clone();
            let request = CreateRequest {
                class: "account".into(), attributes: a.clone(), enabled: None,
                idempotency: LinkId::parse(KEY).unwrap(), password: None,
            };
            target.writer().unwrap().create(&cx, request).await.unwrap();
            // Another connector has nothing in memory: it reads the file.
            let get = || async {
                let fresh = CsvConnector::new(&config).unwrap();
                let request = GetRequest { class: "account".into(), key: ObjectKey::id(KEY) };
                fresh.get(&cx, request).await.unwrap().unwrap().attributes
            };
            let read = get().await;
            prop_assert_eq!(told(&read, &class), told(&a, &class));
            let delta = Delta::diff(&class, &read, &b);
            let request = UpdateRequest { class: "account".into(), key: ObjectKey::id(KEY), delta };
            target.writer().unwrap().update(&cx, request).await.unwrap();
            let after = get().await;
            let mut wanted = read;
            for (name, slot) in b.iter() {
                wanted.insert(name.clone(), slot.clone());
            }
            prop_assert_eq!(told(&after, &class), told(&wanted, &class));
            // The fixpoint: what is there needs no change.
            let mut filled = after.clone();
            for name in class.attributes.keys().filter(|name| after.get(name.as_str()).is_none()) {
                filled.insert(name.clone(), Slot::Null);
            }
            let again = Delta::diff(&class, &filled, &b);
            prop_assert!(again.is_empty(), "{:?}", again);
            Ok(())
        })?;
    }
}
