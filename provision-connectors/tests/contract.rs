//! The CSV target held to the connector contract, in several shapes: each says which clauses do not apply.
#![cfg(all(feature = "csv", unix))]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops where something is wrong"
)]

use std::path::PathBuf;
use std::sync::Arc;

use provision_connectors::csv::{CsvConnector, TableConfig};
use provision_core::id::ClassName;
use provision_core::testkit::contract::{Profile, Suite, Trouble};
use provision_core::value::{AttrName, Attributes};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

/// A table with the profile it is tried by.
struct Shape {
    _folder: TempDir,
    path: PathBuf,
    config: Json,
    target: CsvConnector,
}

impl Shape {
    /// A table in a new folder; `more` is added to the configuration.
    fn new(more: Json) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("accounts.csv");
        let mut config = json!({
            "path": path, "key": "employeeNumber",
            "columns": ["employeeNumber", "displayName", "title", {"name": "doors", "multi": true},
                        {"name": "mail", "unique": true}, {"name": "level", "type": "int"}],
        });
        for (field, value) in more.as_object().unwrap() {
            config[field] = value.clone();
        }
        let target = CsvConnector::new(&TableConfig::from_value(&config).unwrap()).unwrap();
        Self { _folder: folder, path, config, target }
    }

    /// Every clause is kept but those, and the table is empty afterwards.
    async fn keeps_all_but(&self, idle: &[&str]) {
        let wrong = |field: &'static str, value: Json| {
            let mut config = self.config.clone();
            config[field] = value;
            (field, config)
        };
        let wrong = [
            wrong("columns", json!([])),
            wrong("key", json!("nobody")),
            wrong("naming", json!("doors")),
            wrong("separator", json!("\\")),
            wrong("colour", json!("blue")),
        ];
        let suite = Suite::new(&self.target, self).configured_by(Arc::new(CsvConnector::factory()), wrong);
        let report = suite.at_least(24).assert_kept().await;
        assert_eq!(report.not_applicable(), idle, "\n{report}");
        assert_eq!(report.kept().len() + idle.len(), 44, "\n{report}");
        assert_eq!(report.left, vec![], "\n{report}");
        let rows = std::fs::read_to_string(&self.path).unwrap().lines().count();
        assert_eq!(rows, 1, "only the header is left");
    }
}

impl Profile for Shape {
    fn class(&self) -> ClassName {
        "account".into()
    }

    fn attributes(&self, suffix: &str) -> Attributes {
        let attributes = Attributes::new()
            .with("displayName", format!("Zoë \"{suffix}\", =1+1"))
            .with("mail", format!("{suffix}@example.org"))
            .with("level", 7);
        let has_number = self.config["key"] == "employeeNumber";
        if has_number { attributes.with("employeeNumber", format!("e{suffix}")) } else { attributes }
    }

    fn text(&self) -> AttrName {
        "title".into()
    }

    fn set(&self) -> Option<AttrName> {
        Some("doors".into())
    }

    fn renamed(&self, suffix: &str) -> Option<Attributes> {
        Some(Attributes::new().with("displayName", format!("-{suffix}")))
    }

    /// A link that leads to itself: the file is there and cannot be read.
    fn provoke(&self, trouble: Trouble) -> bool {
        let away = self.path.with_extension("away");
        if self.path.is_symlink() {
            std::fs::remove_file(&self.path).unwrap();
            if away.exists() {
                std::fs::rename(&away, &self.path).unwrap();
            }
        }
        if trouble != Trouble::Unreachable {
            return trouble == Trouble::None;
        }
        if self.path.exists() {
            std::fs::rename(&self.path, &away).unwrap();
        }
        std::os::unix::fs::symlink(&self.path, &self.path).unwrap();
        true
    }
}

/// What a file cannot do, in any shape.
const NOT_IN_A_FILE: [&str; 14] = [
    "C-1.2", "C-1.3", "C-4.2", "C-6.2", "C-7.1", "C-7.2", "C-7.3", "C-8.1", "C-8.2", "C-8.3", "C-8.4",
    "C-9.2", "C-9.4", "C-9.5",
];

fn idle(more: &[&'static str]) -> Vec<&'static str> {
    let mut idle = NOT_IN_A_FILE.into_iter().chain(more.iter().copied()).collect::<Vec<_>>();
    idle.sort_by_key(|clause| {
        let (major, minor) = clause.strip_prefix("C-").unwrap().split_once('.').unwrap();
        (major.parse::<u32>().unwrap(), minor.parse::<u32>().unwrap())
    });
    idle
}

#[tokio::test]
async fn table_with_names_and_states_keeps_the_contract() {
    let shape = Shape::new(json!({ "naming": "displayName", "enabled_column": "active" }));
    shape.keeps_all_but(&idle(&["C-4.10"])).await;
}

#[tokio::test]
async fn table_of_one_key_keeps_the_contract() {
    let shape = Shape::new(json!({ "delimiter": ";" }));
    shape.keeps_all_but(&idle(&["C-4.10", "C-5.4", "C-6.1"])).await;
}

#[tokio::test]
async fn table_with_generated_keys_keeps_the_contract() {
    let columns = json!(["displayName", "title", {"name": "doors", "multi": true}, "mail",
                         {"name": "level", "type": "int"}]);
    let shape =
        Shape::new(json!({ "key": { "generated": "id" }, "naming": "displayName", "columns": columns }));
    shape.keeps_all_but(&idle(&["C-6.1"])).await;
}
