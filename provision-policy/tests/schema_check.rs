//! The bundle against the schemas of the targets.
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

use provision_core::id::TargetName;
use provision_core::policy::Policy;
use provision_core::schema::{AttributeSchema, AttributeType, CaseRule, Mutability, ObjectClass, Schema};
use provision_policy::Bundle;
use support::golden;

/// A class that is named by `cn`.
fn class(attributes: Vec<(&str, AttributeSchema)>) -> ObjectClass {
    ObjectClass {
        attributes: attributes.into_iter().map(|(name, schema)| (name.into(), schema)).collect(),
        names: CaseRule::Ignore,
        naming: Some("dn".into()),
    }
}

fn schemas() -> BTreeMap<TargetName, Schema> {
    let text = AttributeSchema::text;
    let user = class(vec![
        ("cn", AttributeSchema { required: true, length_max: Some(64), ..text() }),
        ("sn", AttributeSchema { required: true, ..text() }),
        ("login", AttributeSchema { length_max: Some(20), ..text() }),
        ("title", AttributeSchema { length_max: Some(5), ..text() }),
        ("whenCreated", AttributeSchema { mutability: Mutability::ReadOnly, ..text() }),
        ("objectGUID", AttributeSchema { required: true, mutability: Mutability::ReadOnly, ..text() }),
        ("count", AttributeSchema { kind: AttributeType::Int, ..text() }),
        ("flag", AttributeSchema { kind: AttributeType::Bool, ..text() }),
        ("manager", AttributeSchema { kind: AttributeType::Reference, ..text() }),
        ("phones", AttributeSchema { multi: true, ..text() }),
        ("mail", text()),
        ("dn", AttributeSchema { mutability: Mutability::Naming, ..text() }),
    ]);
    let schema = Schema { classes: [("user".into(), user)].into() };
    [("directory".into(), schema)].into()
}

#[test]
fn every_mapping_that_does_not_fit_is_found_in_one_pass() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bundles/schema_check.yaml"))
            .unwrap();
    let bundle = Bundle::load(&[("policy.yaml", &text)]).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>())
    });
    let shown: String = bundle.check(&schemas()).iter().map(|problem| format!("{problem}\n\n")).collect();
    golden("schema_check.txt", &shown);
}

#[test]
fn a_bundle_that_fits_has_no_findings() {
    let text = "bundle: 1\nversion: a\ntargets:\n  directory:\n    user:\n      attributes:\n        \
                CN: user.displayName\n        sn: user.familyName\n        manager: account_of(user.manager)\n        \
                phones: values(user.phoneNumbers)\n        count: size(user.title)\n        \
                dn: '\"CN=\" + rdn(user.displayName)'\n";
    let bundle = Bundle::load(&[("policy.yaml", text)]).unwrap();
    assert_eq!(bundle.check(&schemas()), []);
}
