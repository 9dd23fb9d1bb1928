//! The target that several processes use at once is held to the connector contract.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::time::Duration;

use provision_core::id::ClassName;
use provision_core::runtime::SystemClock;
use provision_core::testkit::contract::{Profile, Suite};
use provision_core::testkit::peer::shared_postgres;
use provision_core::value::{AttrName, Attributes};
use provision_examples::account_table::{AccountTable, TABLES};

/// What the suite must know of the tables.
struct Accounts;

impl Profile for Accounts {
    fn class(&self) -> ClassName {
        "account".into()
    }

    fn attributes(&self, suffix: &str) -> Attributes {
        Attributes::new().with("number", suffix).with("login", suffix).with("name", format!("Zoë {suffix}"))
    }

    fn text(&self) -> AttrName {
        "title".into()
    }
}

#[tokio::test]
async fn the_account_table_keeps_the_contract() {
    let server = shared_postgres().unwrap();
    let database = server.database().unwrap();
    server.sql(&database, TABLES).unwrap();
    let table = AccountTable::new(&server.url(&database), Arc::new(SystemClock), Duration::ZERO).unwrap();
    let report = Suite::new(&table, &Accounts).at_least(26).assert_kept().await;
    assert_eq!(report.left, vec![], "nothing is left in the table");
}
