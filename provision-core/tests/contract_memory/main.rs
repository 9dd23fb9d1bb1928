//! The in-memory target held to the connector contract, in several shapes: each says which clauses do not apply.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests may panic as tests do"
)]

mod entry;
mod shape;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use provision_core::ErrorKind;
use provision_core::connector::{Connector, FilterSupport, Registry};
use provision_core::filter::Comparison;
use provision_core::memory::{Manners, MemoryConfig, MemoryConnector, Personality};
use provision_core::runtime::SystemClock;
use provision_core::testkit::contract::{Report, Suite};
use provision_core::value::{AttrName, Attributes};

use serde_json::json;
use shape::Shape;

/// Every clause that the suite tries.
#[rustfmt::skip]
const ALL: [&str; 44] = [
    "C-1.1", "C-1.2", "C-1.3", "C-2.1", "C-2.2", "C-2.3", "C-2.4", "C-2.5", "C-3.1", "C-3.2", "C-3.3",
    "C-4.1", "C-4.2", "C-4.3", "C-4.4", "C-4.5", "C-4.6", "C-4.7", "C-4.8", "C-4.9", "C-4.10", "C-4.11", "C-4.12",
    "C-5.1", "C-5.2", "C-5.3", "C-5.4", "C-5.5", "C-5.6", "C-5.7", "C-6.1", "C-6.2", "C-7.1", "C-7.2", "C-7.3",
    "C-8.1", "C-8.2", "C-8.3", "C-8.4", "C-9.1", "C-9.2", "C-9.3", "C-9.4", "C-9.5",
];

/// The shape keeps every clause but those, and the target holds nothing more than before.
async fn keeps_all_but(shape: &Shape, idle: &[&str]) -> Report {
    let report = shape.suite().run().await;
    let kept = ALL.into_iter().filter(|clause| !idle.contains(clause)).collect::<Vec<_>>();
    assert_eq!((report.kept(), report.not_applicable()), (kept, idle.to_vec()), "\n{report}");
    assert_eq!((report.broken(), &report.left), (vec![], &vec![]), "\n{report}");
    for class in shape.config_classes().await {
        assert_eq!(shape.target.dump(class).unwrap(), vec![], "\n{report}");
    }
    report
}

impl Shape {
    pub(crate) fn personality(personality: Personality) -> Self {
        Self::new(MemoryConfig::personality(personality))
    }

    /// The whole contract, with configurations that the factory must refuse.
    pub(crate) fn suite(&self) -> Suite<'_> {
        let wrong = [
            ("page_size", json!({ "page_size": 5 })),
            ("page_size_max", json!({ "page_size_max": 0 })),
            ("sideways", json!({ "personality": "sideways" })),
            ("probability", json!({ "faults": { "probability": 1 } })),
            ("login", json!({ "classes": { "a": { "attributes": {}, "naming": "login" } } })),
        ];
        let factory = Arc::new(MemoryConnector::factory(Arc::new(SystemClock)));
        Suite::new(&self.target, self).configured_by(factory, wrong)
    }

    async fn config_classes(&self) -> Vec<provision_core::id::ClassName> {
        let discovery = self.target.discover(&MemoryConnector::context()).await.unwrap();
        discovery.capabilities.classes.into_keys().collect()
    }
}

#[tokio::test]
async fn directory_keeps_the_contract() {
    keeps_all_but(&Shape::personality(Personality::Directory), &["C-4.10", "C-9.5"]).await;
}

#[tokio::test]
async fn plain_target_keeps_the_contract() {
    let idle = ["C-4.10", "C-7.1", "C-7.2", "C-7.3", "C-9.5"];
    keeps_all_but(&Shape::personality(Personality::Plain), &idle).await;
}

#[tokio::test]
async fn service_with_the_manners_of_scim_keeps_the_contract() {
    let idle = ["C-4.10", "C-8.1", "C-8.2", "C-8.3", "C-8.4", "C-9.5"];
    keeps_all_but(&Shape::personality(Personality::Service), &idle).await;
}

#[tokio::test]
async fn tiny_pages_keep_the_contract() {
    for personality in [Personality::Directory, Personality::Service] {
        let config = MemoryConfig {
            page_size_max: 1,
            members_per_request: 3,
            ..MemoryConfig::personality(personality)
        };
        let feeds = ["C-8.1", "C-8.2", "C-8.3", "C-8.4"];
        let feeds = feeds.into_iter().filter(|_| personality == Personality::Service);
        let idle = ["C-4.10"].into_iter().chain(feeds).chain(["C-9.5"]).collect::<Vec<_>>();
        keeps_all_but(&Shape::new(config), &idle).await;
    }
}

#[tokio::test]
async fn target_that_remembers_creates_keeps_the_contract() {
    let config = MemoryConfig { idempotent_create: true, ..MemoryConfig::default() };
    keeps_all_but(&Shape::new(config), &["C-9.5"]).await;
    let config = MemoryConfig { idempotent_create: true, ..MemoryConfig::personality(Personality::Plain) };
    keeps_all_but(&Shape::new(config), &["C-7.1", "C-7.2", "C-7.3", "C-9.5"]).await;
}

#[tokio::test]
async fn normalising_target_keeps_the_contract() {
    let manners = Manners {
        lowercase: ["mail", "title", "description"].map(AttrName::new).into(),
        trim: true,
        reorder: true,
        no_echo: ["mobile"].map(AttrName::new).into(),
        ..Manners::default()
    };
    let config = MemoryConfig { manners, ..MemoryConfig::default() };
    keeps_all_but(&Shape::new(config), &["C-4.10", "C-9.5"]).await;
}

#[tokio::test]
async fn silent_target_keeps_the_contract() {
    let manners = Manners { no_observed: true, ..Manners::default() };
    let config = MemoryConfig { manners, ..MemoryConfig::default() };
    keeps_all_but(&Shape::new(config), &["C-4.10", "C-9.5"]).await;
}

#[tokio::test]
async fn target_that_answers_later_keeps_the_contract() {
    let config = MemoryConfig { pending_polls: 3, ..MemoryConfig::default() };
    keeps_all_but(&Shape::new(config), &["C-4.10"]).await;
}

#[tokio::test]
async fn target_with_a_bin_keeps_the_contract_and_brings_objects_back() {
    let shape = Shape::new(MemoryConfig { delete_window_s: 3600, ..MemoryConfig::default() });
    keeps_all_but(&shape, &["C-4.10", "C-9.5"]).await;
    let born = Attributes::new().with("cn", "Lee").with("dn", "CN=Lee").with("sAMAccountName", "lee");
    let key = shape.target.seed("user", [(born, Some(true))]).unwrap().remove(0);
    let before = shape.target.dump("user").unwrap();
    let request = provision_core::connector::DeleteRequest { class: "user".into(), key: key.clone() };
    shape.target.writer().unwrap().delete(&MemoryConnector::context(), request).await.unwrap();
    assert_eq!(shape.target.dump("user").unwrap(), vec![]);
    shape.target.restore(&key).unwrap();
    assert_eq!(shape.target.dump("user").unwrap(), before);
    assert_eq!(shape.target.restore(&key).unwrap_err().kind(), ErrorKind::NotFound, "it is not in the bin");
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
        let config = MemoryConfig { filter: Some(filter), ..MemoryConfig::default() };
        keeps_all_but(&Shape::new(config), &["C-4.10", "C-9.5"]).await;
    }
}

#[tokio::test]
async fn target_with_a_state_file_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let state_file = Some(folder.path().join("state.json"));
    let config = MemoryConfig { state_file, delete_window_s: 60, ..MemoryConfig::default() };
    keeps_all_but(&Shape::new(config), &["C-4.10", "C-9.5"]).await;
}

fn accounts(more: serde_json::Value) -> MemoryConfig {
    let mut class = json!({
        "attributes": {
            "userName": { "required": true, "unique": true },
            "givenName": {}, "familyName": {}, "title": {},
            "emails": { "multi": true },
        },
    });
    class.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    MemoryConfig {
        classes: serde_json::from_value(json!({ "account": class })).unwrap(),
        ..MemoryConfig::personality(Personality::Plain)
    }
}

/// What is not removed is told, each object of it.
#[tokio::test]
async fn target_that_never_deletes_keeps_the_contract_and_the_report_tells_what_is_left() {
    let shape = Shape::new(accounts(json!({ "delete": false })));
    let report = shape.suite().run().await;
    let idle = [
        "C-1.3", "C-4.5", "C-4.7", "C-4.10", "C-4.12", "C-5.4", "C-6.1", "C-6.2", "C-7.1", "C-7.2", "C-7.3",
        "C-8.2", "C-9.5",
    ];
    assert_eq!((report.not_applicable(), report.broken()), (idle.to_vec(), vec![]), "\n{report}");
    assert_eq!(report.kept().len(), ALL.len() - idle.len(), "\n{report}");
    let there = shape.target.dump("account").unwrap().into_iter().map(|object| object.key.id);
    let told = report.left.iter().map(|left| left.id.clone().unwrap()).collect::<BTreeSet<_>>();
    assert_eq!(told, there.collect());
    assert!(told.len() > 50 && report.left.iter().all(|left| left.why == "the target deletes nothing"));
    assert!(report.to_string().contains(&format!("left on the target: {} objects", told.len())), "{report}");
}

/// A target that is only read is tried on what it holds, and nothing is changed there.
#[tokio::test]
async fn target_that_is_only_read_keeps_the_contract() {
    let shape = Shape::new(accounts(json!({ "read_only": true, "sign_in": true })));
    let people = (0..7).map(|n| {
        let account = Attributes::new().with("userName", format!("p{n}")).with("title", "beta");
        (account, Some(true))
    });
    shape.target.seed("account", people).unwrap();
    let before = shape.target.dump("account").unwrap();
    let report = shape.suite().run().await;
    let kept = [
        "C-1.1", "C-1.2", "C-2.1", "C-2.2", "C-2.3", "C-2.4", "C-2.5", "C-3.1", "C-4.1", "C-4.2", "C-4.3",
        "C-4.4", "C-4.9", "C-5.7", "C-8.3", "C-9.1", "C-9.4",
    ];
    assert_eq!((report.kept(), report.broken()), (kept.to_vec(), vec![]), "\n{report}");
    assert_eq!(report.not_applicable().len(), ALL.len() - kept.len(), "\n{report}");
    assert_eq!(shape.target.dump("account").unwrap(), before);
}

/// C-1.1
#[tokio::test]
async fn the_factory_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::new().with_connector("memory", MemoryConnector::factory(Arc::new(SystemClock)));
    let state = folder.path().join("state.json");
    let connector = registry.connector("memory", &json!({ "state_file": state })).unwrap();
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
