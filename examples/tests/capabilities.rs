//! The README's capability table says what the connectors declare. `UPDATE_GOLDEN=1` writes it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::sync::Arc;

use provision_connectors::csv::CsvConnector;
use provision_core::connector::{Connector, Context, DeleteStyle, DisableMeaning};
use provision_core::memory::{MemoryConfig, MemoryConnector, Personality};
use provision_core::runtime::SystemClock;
use serde_json::json;

fn memory(personality: Personality) -> Arc<dyn Connector> {
    let config = MemoryConfig::personality(personality);
    Arc::new(MemoryConnector::new(config, Arc::new(SystemClock)).unwrap())
}

/// Rows of one target, a class each.
async fn rows(name: &str, connector: &dyn Connector) -> String {
    let discovery = connector.discover(&Context::new("main".into(), "capabilities")).await.unwrap();
    let mut out = String::new();
    for (class, can) in &discovery.capabilities.classes {
        let writer = connector.writer().is_some();
        let words = [
            (writer && can.create, "create"),
            (writer && can.update, "update"),
            (writer && can.rename, "rename"),
        ];
        let mut writes: Vec<&str> = words.iter().filter(|(can, _)| *can).map(|(_, word)| *word).collect();
        match can.delete {
            DeleteStyle::Reversible { .. } => writes.push("delete (reversible)"),
            DeleteStyle::Irreversible => writes.push("delete"),
            DeleteStyle::Unsupported => {}
        }
        let disable = match can.disable {
            _ if connector.lifecycle().is_none() => "–",
            DisableMeaning::BlocksSignIn => "blocks sign-in",
            DisableMeaning::DropsAccess => "drops access",
            DisableMeaning::Informational => "a note",
            DisableMeaning::Unsupported => "–",
        };
        let yes = |can: bool| if can { "yes" } else { "–" };
        let members = match connector.membership() {
            Some(_) if can.members => format!("{} a request", can.members_per_request),
            _ => "–".to_owned(),
        };
        out.push_str(&format!(
            "| {name} | {class} | {} | {disable} | {members} | {} | {} | {} |\n",
            writes.join(", "),
            yes(can.credential && connector.credential().is_some()),
            yes(can.change_feed && connector.change_feed().is_some()),
            yes(can.list_complete),
        ));
    }
    out
}

#[tokio::test]
async fn readme_says_what_the_connectors_declare() {
    let folder = tempfile::tempdir().unwrap();
    let csv = CsvConnector::from_config(&json!({
        "path": folder.path().join("accounts.csv"), "key": "employeeNumber",
        "columns": ["employeeNumber", "displayName"], "naming": "displayName", "enabled_column": "active",
    }))
    .unwrap();
    let head = ["target", "class", "writes", "disable", "members", "passwords", "change feed", "lists whole"];
    let mut table = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    table.push_str(&rows("`csv`, with a name and a state column", csv.as_ref()).await);
    table.push_str(&rows("`memory`, as a directory", memory(Personality::Directory).as_ref()).await);
    table.push_str(&rows("`memory`, as a service", memory(Personality::Service).as_ref()).await);
    table.push_str(&rows("`memory`, plain", memory(Personality::Plain).as_ref()).await);

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once("<!-- capabilities -->\n").unwrap();
    let (found, after) = rest.split_once("<!-- /capabilities -->").unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let text = format!("{before}<!-- capabilities -->\n{table}<!-- /capabilities -->{after}");
        std::fs::write(&path, text).unwrap();
        return;
    }
    assert_eq!(found, table, "the table is stale; set UPDATE_GOLDEN=1");
}
