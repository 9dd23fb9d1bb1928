//! The source, on real files.
#![cfg(feature = "csv")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops where something is wrong"
)]

use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt as _;
use provision_connectors::csv::CsvSource;
use provision_core::ErrorKind;
use provision_core::connector::{Completeness, Context, Registry};
use provision_core::model::Status;
use provision_core::source::{Feed, FeedEvent, FeedMode, FeedRecord, RecordAction, Source};
use provision_core::value::{Attributes, Date, Value};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

fn cx() -> Context {
    Context::new("acme".into(), "test")
}

fn source(config: Json) -> Arc<dyn Source> {
    let registry = Registry::new().with_source("csv", CsvSource::factory());
    registry.source("csv", &config).unwrap()
}

fn base(path: &Path) -> Json {
    json!({"path": path, "mode": "full", "key": "id", "columns": {"familyName": "name"}})
}

async fn drain(feed: &mut Feed) -> (Vec<FeedRecord>, Vec<String>, Option<Completeness>) {
    let (mut records, mut codes, mut end) = (Vec::new(), Vec::new(), None);
    while let Some(event) = feed.records.next().await {
        match event.unwrap() {
            FeedEvent::Records(batch) => {
                assert!(batch.len() <= 1000 && end.is_none());
                records.extend(batch);
            }
            FeedEvent::Problem(problem) => codes.push(problem.code),
            FeedEvent::End(completeness) => end = Some(completeness),
        }
    }
    (records, codes, end)
}

async fn read_one(config: Json) -> (Vec<FeedRecord>, Vec<String>, Option<Completeness>) {
    let mut feeds = source(config).feeds(&cx()).await.unwrap();
    assert_eq!(feeds.len(), 1);
    drain(&mut feeds[0]).await
}

fn write(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) -> std::path::PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

#[tokio::test]
async fn three_states_types_and_sets_reach_the_attributes() {
    let folder = TempDir::new().unwrap();
    let path = write(
        &folder,
        "hr.csv",
        "id,name,mail,skills,level,manager,born\n\
         \u{a0}7 ,Nu\u{301}n\u{303}ez\u{200b},,a; b;;a,3,true,20.11.1980\n\
         8,NULL,x@y,,,0,\n",
    );
    let mut config = base(&path);
    config["null_token"] = json!("NULL");
    config["date_formats"] = json!(["%d.%m.%Y"]);
    config["columns"] = json!({
        "familyName": "name", "mail": "mail", "skills": {"column": "skills", "split": ";"},
        "level": {"column": "level", "type": "int"}, "manager": {"column": "manager", "type": "bool"},
        "born": {"column": "born", "type": "date"}
    });
    let (records, codes, end) = read_one(config.clone()).await;
    assert_eq!((codes, end), (vec![], Some(Completeness::Complete { proof: "2 rows, end of file".into() })));
    let mut seven = Attributes::new()
        .with("familyName", "Núñez")
        .with("level", 3)
        .with("manager", true)
        .with("born", Value::Date(Date::new(1980, 11, 20).unwrap()))
        .with_null("mail");
    seven.set("skills", vec!["a".into(), "b".into()]);
    assert_eq!((records[0].key.as_str(), records[0].position), ("7", 2));
    assert_eq!(records[0].attributes, seven);
    config["empty"] = json!("absent");
    let (records, ..) = read_one(config).await;
    let eight = Attributes::new().with_null("familyName").with("mail", "x@y").with("manager", false);
    assert_eq!(records[1].attributes, eight);
}

#[tokio::test]
async fn employment_zone_and_operations_are_read() {
    let folder = TempDir::new().unwrap();
    let path = write(
        &folder,
        "delta.csv",
        "id,op,start,end,status,zone\n1,u,2026-01-02,9999-12-31,l,Asia/Tokyo\n2,D,rubbish,,,\n3,U,,2026-02-03,A,\n",
    );
    let config = json!({
        "path": path, "mode": "delta", "key": "id", "zone": "zone",
        "op": {"column": "op", "map": {"U": "upsert", "D": "remove"}},
        "employment": {"start": "start", "end": "end", "status": "status",
                       "status_map": {"A": "active", "L": "on_leave"}}
    });
    let (records, codes, end) = read_one(config).await;
    assert_eq!((codes.len(), end.unwrap().is_complete()), (0, true));
    assert_eq!(records[0].employment.start, Date::new(2026, 1, 2));
    assert_eq!((records[0].employment.end, records[0].employment.status), (None, Status::OnLeave));
    assert_eq!(records[0].zone.as_ref().unwrap().as_str(), "Asia/Tokyo");
    assert_eq!(records[1].action, RecordAction::Remove);
    assert_eq!(records[2].employment.end, Date::new(2026, 2, 3));
}

#[tokio::test]
async fn every_encoding_gives_the_same_records() {
    let folder = TempDir::new().unwrap();
    let text = "id,name\r\n1,Núñez\r\n";
    let utf16 = |text: &str| {
        let units = std::iter::once(0xFEFF_u16).chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect::<Vec<_>>()
    };
    let latin = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect::<Vec<_>>();
    let cases = [
        (text.as_bytes().to_vec(), json!(null)),
        (format!("\u{feff}{text}").into_bytes(), json!("utf-8")),
        (utf16(text), json!(null)),
        (latin, json!("windows-1252")),
    ];
    for (index, (bytes, encoding)) in cases.into_iter().enumerate() {
        let path = write(&folder, &format!("{index}.csv"), bytes);
        let mut config = base(&path);
        config["encoding"] = encoding;
        let (records, ..) = read_one(config).await;
        assert_eq!(records[0].attributes, Attributes::new().with("familyName", "Núñez"), "case {index}");
    }
}

#[tokio::test]
async fn fingerprints_follow_content_and_mapping_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let print = |config: Json| async { read_one(config).await.0.remove(0).fingerprint };
    let one = write(&folder, "1.csv", "id,name,note\n1,Lee,x\n");
    let same = write(&folder, "2.csv", "note,name,id\nother,Ray,2\ny,Lee,1\n");
    let changed = write(&folder, "3.csv", "id,name,note\n1,Leo,x\n");
    let first = print(base(&one)).await;
    assert_eq!(first.len(), 32);
    assert_eq!(first, print(base(&one)).await);
    assert_ne!(first, print(base(&changed)).await);
    let mut mapped = base(&one);
    mapped["columns"] = json!({"displayName": "name"});
    assert_ne!(first, print(mapped).await, "a changed mapping makes rows new");
    // Columns that are not mapped do not count.
    let note = write(&folder, "4.csv", "id,name,note\n1,Lee,zzz\n");
    assert_eq!(first, print(base(&note)).await);
    let (records, ..) = read_one(base(&same)).await;
    assert_ne!(records[1].fingerprint, records[0].fingerprint);
}

#[tokio::test]
async fn a_folder_gives_a_feed_per_file_in_order() {
    let folder = TempDir::new().unwrap();
    for day in ["9", "10", "8"] {
        write(&folder, &format!("hr-{day}.csv"), format!("id,name\n1,Day {day}\n"));
    }
    write(&folder, "hr-11.csv.tmp", "id,name\n");
    let mut config = base(folder.path());
    config["pattern"] = json!("hr-*.csv");
    config["sequence"] = json!({"from_name": true});
    let source = source(config.clone());
    let feeds = source.feeds(&cx()).await.unwrap();
    let names = feeds.iter().map(|feed| feed.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names, ["hr-8.csv", "hr-9.csv", "hr-10.csv"]);
    let orders = feeds.iter().map(|feed| feed.sequence.order.clone().unwrap()).collect::<Vec<_>>();
    assert!(orders.is_sorted() && feeds.iter().all(|feed| feed.mode == FeedMode::Full));
    assert_eq!(feeds[0].sequence.content.len(), 64);
    assert_ne!(feeds[0].sequence.content, feeds[1].sequence.content);
    let found = source.get(&cx(), "1").await.unwrap().unwrap();
    assert_eq!(found.attributes.text("familyName"), Some("Day 10"));
    write(&folder, "hr-x.csv", "id,name\n");
    let error = source.feeds(&cx()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.to_string().contains("hr-x.csv"), "{error}");
}

#[tokio::test]
async fn get_reads_the_newest_truth() {
    let folder = TempDir::new().unwrap();
    write(&folder, "d1.csv", "id,name,op\n1,Old,U\n2,Kept,U\n3,Gone,U\n");
    write(&folder, "d2.csv", "id,name,op\n1,First,U\n1,Second,U\n3,,D\n");
    let mut config = base(folder.path());
    config["pattern"] = json!("d*.csv");
    config["mode"] = json!("delta");
    config["op"] = json!({"column": "op", "map": {"U": "upsert", "D": "remove"}});
    let delta = source(config.clone());
    let name =
        |record: Option<FeedRecord>| record.map(|r| r.attributes.text("familyName").unwrap().to_owned());
    assert_eq!(name(delta.get(&cx(), "1").await.unwrap()), Some("Second".to_owned()));
    assert_eq!(name(delta.get(&cx(), "2").await.unwrap()), Some("Kept".to_owned()));
    assert_eq!(name(delta.get(&cx(), "3").await.unwrap()), None);
    config.as_object_mut().unwrap().remove("op");
    config["mode"] = json!("full");
    let full = source(config);
    assert_eq!(name(full.get(&cx(), "2").await.unwrap()), None, "an older full file is no truth");
    write(&folder, "d3.csv", "id,name,op\n1,First,U\n2,Tr");
    let error = full.get(&cx(), "9").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataInvalid, "a truncated file cannot say that there is none");
}

#[tokio::test]
async fn a_file_that_changes_between_hash_and_end_is_refused() {
    let folder = TempDir::new().unwrap();
    let rows = (0..50_000).map(|n| format!("{n},Name {n}\n")).collect::<String>();
    let path = write(&folder, "hr.csv", format!("id,name\n{rows}"));
    let hr = source(base(&path));
    // Changed before the first poll.
    let mut feeds = hr.feeds(&cx()).await.unwrap();
    std::fs::write(&path, format!("id,name\n{rows}x,y\n")).unwrap();
    let events = feeds.remove(0).records.collect::<Vec<_>>().await;
    let error = events.last().unwrap().as_ref().unwrap_err();
    assert!(error.to_string().contains("F0009"), "{error}");
    assert_eq!(events.len(), 2, "the problem and the error, no record");
    // Changed in mid-stream: what was read is followed by the error, never by an end.
    let mut feed = hr.feeds(&cx()).await.unwrap().remove(0);
    assert!(matches!(feed.records.next().await.unwrap().unwrap(), FeedEvent::Records(_)));
    use std::io::Write as _;
    std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"z,Z\n").unwrap();
    let events = feed.records.collect::<Vec<_>>().await;
    assert!(events.last().unwrap().as_ref().unwrap_err().to_string().contains("F0009"));
    assert!(!events.iter().any(|event| matches!(event, Ok(FeedEvent::End(_)))));
}

#[tokio::test]
async fn duplicates_pass_and_limits_hold() {
    let folder = TempDir::new().unwrap();
    let path = write(&folder, "hr.csv", "id,name\n1,Lee\n1,Ray\n1,Ray\n");
    let (records, ..) = read_one(base(&path)).await;
    assert_eq!(records.len(), 3);
    assert_eq!(records[1].fingerprint, records[2].fingerprint);
    let mut config = base(&path);
    config["min_rows"] = json!(4);
    assert_eq!(
        read_one(config).await.2,
        Some(Completeness::Partial { reason: "3 rows, at least 4 expected".into() })
    );
    let mut config = base(&path);
    config["expected_rows"] = json!(2);
    assert!(!read_one(config).await.2.unwrap().is_complete());
    let mut config = base(&path);
    config["rows_max"] = json!(2);
    let mut feeds = source(config).feeds(&cx()).await.unwrap();
    let events = feeds.remove(0).records.collect::<Vec<_>>().await;
    assert!(events.last().unwrap().as_ref().unwrap_err().to_string().contains("F0007"));
}

#[tokio::test]
async fn a_trailer_proves_the_count() {
    let folder = TempDir::new().unwrap();
    let path = write(&folder, "hr.csv", "id,name\n1,Lee\n2,Ray\nEND,x,2\n");
    let mut config = base(&path);
    config["trailer"] = json!({"first": "END", "count": 3});
    let (records, codes, end) = read_one(config).await;
    assert_eq!((records.len(), codes.len()), (2, 0));
    assert_eq!(end, Some(Completeness::Complete { proof: "2 rows, trailer 2".into() }));
}

#[tokio::test]
async fn a_dropped_stream_ends_its_reader() {
    let folder = TempDir::new().unwrap();
    let rows = (0..20_000).map(|n| format!("{n},Name {n}\n")).collect::<String>();
    let path = write(&folder, "hr.csv", format!("id,name\n{rows}"));
    let mut feeds = source(base(&path)).feeds(&cx()).await.unwrap();
    assert!(feeds[0].records.next().await.unwrap().is_ok());
    drop(feeds);
    // The runtime waits for its blocking threads when it ends: this test would hang if the reader did.
}

#[tokio::test]
async fn an_empty_delta_is_complete_and_a_missing_file_is_an_error() {
    let folder = TempDir::new().unwrap();
    let path = write(&folder, "hr.csv", "id,name\n");
    let mut config = base(&path);
    config["mode"] = json!("delta");
    assert!(read_one(config).await.2.unwrap().is_complete());
    let error = source(base(&folder.path().join("none.csv"))).feeds(&cx()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
}

#[test]
fn wrong_configurations_name_the_field() {
    let cases = [
        (json!({"patth": "x"}), "patth"),
        (json!({"delimiter": "\n"}), "delimiter"),
        (json!({"quote": ","}), "quote"),
        (json!({"key": ""}), "key"),
        (json!({"op": {"column": "op", "map": {}}}), "op"),
        (json!({"employment": {"status_map": {"A": "active"}}}), "status_map"),
        (json!({"employment": {"status": "s", "status_map": {"A": "retired"}}}), "retired"),
        (json!({"pattern": "../*.csv"}), "pattern"),
        (json!({"columns": {"mail": {"column": "m", "split": ""}}}), "columns.mail.split"),
        (json!({"encoding": "latin-9"}), "latin-9"),
        (json!({"trailer": {"first": "T", "count": 0}}), "trailer.count"),
    ];
    for (more, named) in cases {
        let mut config = base(Path::new("hr.csv"));
        for (key, value) in more.as_object().unwrap() {
            config[key] = value.clone();
        }
        let error = CsvSource::from_config(&config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert!(error.to_string().contains(named), "{error}");
    }
    let schema = CsvSource::config_schema();
    assert_eq!(schema["additionalProperties"], json!(false));
}
