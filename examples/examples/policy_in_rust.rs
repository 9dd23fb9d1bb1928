//! Policy in Rust instead of YAML: the engine takes any implementation of `Policy`. Run it with
//! `cargo run --example policy_in_rust`.
//!
//! A policy is pure: no clock, no I/O, no randomness. The same input gives the same answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use provision_core::Result;
use provision_core::diagnostic::Diagnostic;
use provision_core::id::{PolicyRef, Tag, TargetName};
use provision_core::memory::MemoryConnector;
use provision_core::model::{Identity, Lifecycle};
use provision_core::plan::TargetSettings;
use provision_core::policy::{
    Derivation, DesiredAccount, DesiredSlot, DesiredValue, Evaluation, InputRef, NameAllocator, Namespace,
    Policy, PolicyInput, PolicyVersion, Strength,
};
use provision_core::schema::Schema;
use provision_core::value::{AttrName, Slot, Value};
use provision_examples::{company, tour};

/// Everybody in Engineering who works here has an account in the wiki.
#[derive(Debug)]
struct WikiPolicy;

impl Policy for WikiPolicy {
    fn version(&self) -> PolicyVersion {
        // Change the hash with the code: another one makes everybody be looked at again.
        PolicyVersion { label: "wiki".to_owned(), hash: "wiki-1".to_owned() }
    }

    fn namespaces(&self) -> &[Namespace] {
        &[]
    }

    fn check(&self, _schemas: &BTreeMap<TargetName, Schema>) -> Vec<Diagnostic> {
        Vec::new()
    }

    fn evaluate(&self, input: &PolicyInput<'_>, _names: &mut dyn NameAllocator) -> Evaluation {
        let person = input.identity;
        let works_here = matches!(input.lifecycle, Lifecycle::Active | Lifecycle::OnLeave);
        let exists = works_here && person.attributes.text("department") == Some("Engineering");
        let because = Derivation {
            mapping: Some(PolicyRef::new("wiki.account")),
            identity_version: person.version,
            ..Derivation::default()
        };
        let mut values = vec![value(person, "userName", None, Some(&format!("e{}", person.key)))];
        values.push(value(person, "employeeNumber", None, Some(&person.key)));
        for (native, attribute) in [("displayName", "displayName"), ("title", "title")] {
            values.push(value(person, native, Some(attribute), person.attributes.text(attribute)));
        }
        let account = DesiredAccount {
            target: "wiki".into(),
            class: "account".into(),
            tag: Tag::main(),
            exists,
            enabled: Some(works_here),
            because: vec![because],
            values,
            groups: Vec::new(),
            credential: None,
            refusals: Vec::new(),
            authority: Default::default(),
        };
        // `next_change_at` is for policies that read `now`; a person's first and last day are known to the engine.
        Evaluation { accounts: vec![account], ..Evaluation::default() }
    }
}

/// One mapping: what it writes, what it read, and a text that changes when that changes.
fn value(person: &Identity, native: &str, input: Option<&str>, text: Option<&str>) -> DesiredValue {
    let source = input.map(|name| InputRef {
        attribute: AttrName::new(name),
        source: person.provenance.get(name).cloned(),
    });
    DesiredValue {
        attribute: AttrName::new(native),
        slot: DesiredSlot::Known(text.map_or(Slot::Null, |text| Slot::from_values(vec![Value::text(text)]))),
        strength: Strength::Normal,
        inputs: format!("{native}={}", text.unwrap_or_default()),
        derivation: Derivation {
            mapping: Some(PolicyRef::new(format!("wiki.{native}"))),
            strength: Some(Strength::Normal),
            inputs: source.into_iter().collect(),
            identity_version: person.version,
            ..Derivation::default()
        },
        tolerance: None,
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let clock = tour::clock()?;
    let registry =
        company::registry(&clock).with_connector("memory", MemoryConnector::factory(Arc::clone(&clock)));
    let config = serde_json::json!({ "personality": "plain" });
    let target = TargetSettings { config, ..TargetSettings::new("wiki", "memory") };
    tour::tour(clock, registry, Arc::new(WikiPolicy), target, "account").await
}
