//! Malformed feeds give exactly these diagnostics. `BLESS=1 cargo test -p provision-connectors --test malformed`
//! writes the goldens anew; look at the difference before you commit it.
#![cfg(feature = "csv")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops where something is wrong"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use futures_util::StreamExt as _;
use provision_connectors::csv::CsvSource;
use provision_core::connector::{Completeness, Context};
use provision_core::source::FeedEvent;
use serde_json::{Value, json};

fn config(feed: &str) -> Value {
    let mut config = json!({
        "path": folder("feeds").join(format!("{feed}.csv")),
        "mode": "full",
        "key": "employee_id",
        "columns": {"givenName": "first name", "familyName": "last name", "department": "dept"},
        "employment": {"start": "start", "status": "status",
                       "status_map": {"A": "active", "T": "terminated"}},
    });
    let more = match feed {
        "rows" => json!({"zone": "zone", "row_length_max": 120,
                         "columns": {"familyName": "last name", "level": {"column": "level", "type": "int"}}}),
        "trailer" => json!({"trailer": {"first": "TRAILER"}}),
        "no-trailer" => json!({"trailer": {"first": "TRAILER"}}),
        "operations" => json!({"mode": "delta",
                               "op": {"column": "op", "map": {"U": "upsert", "D": "remove"}}}),
        "too-many-problems" => json!({"problems_max": 2}),
        "contradicted-encoding" => json!({"encoding": "windows-1252"}),
        _ => json!({}),
    };
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

async fn read(feed: &str) -> String {
    let source = CsvSource::from_config(&config(feed)).unwrap();
    let mut feeds = source.feeds(&Context::new("acme".into(), "test")).await.unwrap();
    assert_eq!(feeds.len(), 1);
    let mut out = String::new();
    while let Some(event) = feeds[0].records.next().await {
        match event {
            Ok(FeedEvent::Records(records)) => {
                for record in records {
                    writeln!(out, "record `{}` of line {}", record.key, record.position).unwrap();
                }
            }
            Ok(FeedEvent::Problem(problem)) => writeln!(out, "{problem}").unwrap(),
            Ok(FeedEvent::End(Completeness::Complete { proof })) => {
                writeln!(out, "complete: {proof}").unwrap()
            }
            Ok(FeedEvent::End(Completeness::Partial { reason })) => {
                writeln!(out, "partial: {reason}").unwrap()
            }
            Err(error) => writeln!(out, "aborted, {:?}: {}", error.kind(), error.report()).unwrap(),
        }
    }
    out
}

#[tokio::test]
async fn every_malformed_feed_is_told_exactly() {
    let mut feeds = std::fs::read_dir(folder("feeds"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect::<Vec<_>>();
    feeds.sort();
    assert!(feeds.len() >= 10, "{feeds:?}");
    let mut differences = String::new();
    for feed in feeds {
        let golden = folder("golden").join(format!("{feed}.txt"));
        let told = read(&feed).await;
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&golden, &told).unwrap();
        }
        let wanted = std::fs::read_to_string(&golden).unwrap_or_default();
        if told != wanted {
            writeln!(differences, "== {feed}\n-- wanted\n{wanted}\n-- told\n{told}").unwrap();
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn every_golden_belongs_to_a_feed() {
    for entry in std::fs::read_dir(folder("golden")).unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(folder("feeds").join(format!("{name}.csv")).exists(), "{name}");
    }
}
