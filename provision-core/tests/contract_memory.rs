//! The in-memory target held to the connector contract, in several shapes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests may panic as tests do"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use provision_core::ErrorKind;
use provision_core::connector::{Connector, FilterSupport, Registry};
use provision_core::filter::Comparison;
use provision_core::id::ClassName;
use provision_core::memory::{
    Fault, FaultRule, Faults, Manners, MemoryConfig, MemoryConnector, Operation, Personality,
};
use provision_core::runtime::SystemClock;
use provision_core::testkit::contract::{Profile, Report, Trouble, hold};
use provision_core::value::{AttrName, Attributes, Secret, Value};

/// What the suite must know of a memory target.
#[derive(Debug)]
struct Shape {
    target: MemoryConnector,
    config: MemoryConfig,
}

impl Shape {
    fn new(config: MemoryConfig) -> Self {
        let target = MemoryConnector::new(config.clone(), Arc::new(SystemClock)).unwrap();
        Self { target, config }
    }

    fn is_directory(&self) -> bool {
        self.config.personality == Personality::Directory
    }

    fn naming(&self, suffix: &str) -> Attributes {
        if !self.is_directory() {
            return Attributes::new().with("userName", format!("person.{suffix}"));
        }
        Attributes::new()
            .with("cn", format!("Person {suffix}"))
            .with("dn", format!("CN=Person {suffix},OU=People,DC=example,DC=org"))
    }

    async fn held(&self) -> Report {
        let report = hold(&self.target, self).await;
        assert_eq!(report.broken(), Vec::<&str>::new(), "\n{report}");
        report
    }
}

impl Profile for Shape {
    fn class(&self) -> ClassName {
        if self.is_directory() { "user".into() } else { "account".into() }
    }

    fn attributes(&self, suffix: &str) -> Attributes {
        let naming = self.naming(suffix).with("givenName", format!("Zoë {suffix}"));
        if !self.is_directory() {
            return naming.with("familyName", "王");
        }
        naming
            .with("sAMAccountName", format!("p{suffix}"))
            .with("mail", format!("Person.{suffix}@Example.org"))
            .with("mobile", "+49 30 1234")
    }

    fn text(&self) -> AttrName {
        "title".into()
    }

    fn set(&self) -> Option<AttrName> {
        Some(if self.is_directory() { "description".into() } else { "emails".into() })
    }

    fn renamed(&self, suffix: &str) -> Option<Attributes> {
        Some(self.naming(&format!("{suffix}x")))
    }

    fn group(&self, suffix: &str) -> Option<(ClassName, Attributes)> {
        let dn = format!("CN={suffix},OU=Groups,DC=example,DC=org");
        let attributes = Attributes::new().with("cn", suffix).with("dn", dn);
        self.is_directory().then(|| ("group".into(), attributes))
    }

    fn password(&self, acceptable: bool) -> Option<Secret> {
        Some(Secret::new(if acceptable { "Correct-horse-7-battery" } else { "Sh0rt!" }))
    }

    fn shown(&self, name: &AttrName, value: &Value) -> Option<Value> {
        let Manners { lowercase, trim, no_echo, .. } = &self.config.manners;
        if no_echo.contains(name) {
            return None;
        }
        let Value::Text(text) = value else { return Some(value.clone()) };
        let text = if *trim { text.trim() } else { text };
        Some(Value::text(if lowercase.contains(name) { text.to_lowercase() } else { text.to_owned() }))
    }

    fn provoke(&self, trouble: Trouble) -> bool {
        let rate = Fault::RateLimit(Some(1500));
        let everything = FaultRule { on: BTreeSet::new(), ..FaultRule::always(Operation::Get, rate) };
        let rules = match trouble {
            Trouble::None => vec![],
            Trouble::RefuseCredentials => vec![FaultRule::always(Operation::Check, Fault::RefuseCredentials)],
            Trouble::Unreachable => vec![FaultRule::always(Operation::Get, Fault::Refuse)],
            Trouble::RepeatToken => vec![FaultRule::always(Operation::List, Fault::RepeatToken)],
            Trouble::CutListing => vec![FaultRule::always(Operation::List, Fault::Truncate(1))],
            Trouble::LoseCreate => vec![FaultRule::at(Operation::Create, [1], Fault::LoseResponse)],
            Trouble::RateLimit => vec![everything],
        };
        self.target.set_faults(Faults { seed: 0, rules });
        true
    }
}

/// The clauses that the directory cannot be asked about.
const NOT_IN_A_DIRECTORY: [&str; 1] = ["C-4.10"];

#[tokio::test]
async fn directory_keeps_the_contract() {
    let report = Shape::new(MemoryConfig::default()).held().await;
    let tried = report.kept();
    let untried = report.verdicts.iter().map(|(clause, _)| *clause).filter(|clause| !tried.contains(clause));
    assert_eq!(untried.collect::<Vec<_>>(), NOT_IN_A_DIRECTORY, "\n{report}");
}

#[tokio::test]
async fn plain_target_keeps_the_contract() {
    let report = Shape::new(MemoryConfig::personality(Personality::Plain)).held().await;
    assert!(report.kept().len() >= 34, "\n{report}");
}

#[tokio::test]
async fn tiny_pages_keep_the_contract() {
    let config = MemoryConfig { page_size_max: 1, members_per_request: 3, ..MemoryConfig::default() };
    Shape::new(config).held().await;
}

#[tokio::test]
async fn target_that_remembers_creates_keeps_the_contract() {
    for personality in [Personality::Directory, Personality::Plain] {
        let config = MemoryConfig { idempotent_create: true, personality, ..MemoryConfig::default() };
        let report = Shape::new(config).held().await;
        assert!(report.kept().contains(&"C-4.10"), "\n{report}");
    }
}

#[tokio::test]
async fn normalising_target_keeps_the_contract() {
    let manners = Manners {
        lowercase: ["mail", "title", "description"].map(AttrName::new).into(),
        trim: true,
        reorder: true,
        no_echo: ["mobile"].map(AttrName::new).into(),
        no_observed: false,
    };
    Shape::new(MemoryConfig { manners, ..MemoryConfig::default() }).held().await;
}

#[tokio::test]
async fn silent_target_keeps_the_contract() {
    let manners = Manners { no_observed: true, ..Manners::default() };
    Shape::new(MemoryConfig { manners, ..MemoryConfig::default() }).held().await;
}

#[tokio::test]
async fn target_with_few_filters_keeps_the_contract() {
    let equal = BTreeSet::from([Comparison::Equal]);
    for filter in [
        FilterSupport::default(),
        FilterSupport { comparisons: equal.clone(), all: true, ..FilterSupport::default() },
        FilterSupport {
            comparisons: equal,
            attributes: Some(["dn"].map(AttrName::new).into()),
            all: true,
            any_not: true,
        },
    ] {
        Shape::new(MemoryConfig { filter: Some(filter), ..MemoryConfig::default() }).held().await;
    }
}

#[tokio::test]
async fn target_with_a_state_file_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let state_file = Some(folder.path().join("state.json"));
    Shape::new(MemoryConfig { state_file, ..MemoryConfig::default() }).held().await;
}

#[tokio::test]
async fn target_that_never_deletes_keeps_the_contract() {
    let classes = serde_json::json!({
        "account": {
            "attributes": {
                "userName": { "required": true, "unique": true },
                "givenName": {}, "familyName": {}, "title": {},
                "emails": { "multi": true },
            },
            "delete": false,
        },
    });
    let config = MemoryConfig {
        personality: Personality::Plain,
        classes: serde_json::from_value(classes).unwrap(),
        ..MemoryConfig::default()
    };
    Shape::new(config).held().await;
}

/// C-1.1
#[tokio::test]
async fn a_wrong_configuration_is_told_by_the_factory_and_nothing_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::new().with_connector("memory", MemoryConnector::factory(Arc::new(SystemClock)));
    for (field, config) in [
        ("page_size", serde_json::json!({ "page_size": 5 })),
        ("page_size_max", serde_json::json!({ "page_size_max": 0 })),
        ("sideways", serde_json::json!({ "personality": "sideways" })),
        ("probability", serde_json::json!({ "faults": { "probability": 1 } })),
        ("login", serde_json::json!({ "classes": { "a": { "attributes": {}, "naming": "login" } } })),
    ] {
        let error = registry.connector("memory", &config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert!(error.to_string().contains(field), "{error}");
    }
    let state = folder.path().join("state.json");
    let connector = registry.connector("memory", &serde_json::json!({ "state_file": state })).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the factory touched the disk");
    connector.check(&MemoryConnector::context()).await.unwrap();
    assert_ne!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_configuration_and_its_schema_know_the_same_fields() {
    let config = serde_json::to_value(MemoryConfig::default()).unwrap();
    let fields = config.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let target = MemoryConnector::new(MemoryConfig::default(), Arc::new(SystemClock)).unwrap();
    let schema = target.info().config_schema;
    let properties: BTreeMap<String, serde_json::Value> =
        serde_json::from_value(schema["properties"].clone()).unwrap();
    assert_eq!(properties.into_keys().collect::<BTreeSet<_>>(), fields);
    assert_eq!(MemoryConfig::from_value(&config).unwrap(), MemoryConfig::default());
}
