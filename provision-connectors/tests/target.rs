//! The target, on real files.
#![cfg(feature = "csv")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops where something is wrong"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use provision_connectors::csv::{CsvConnector, TableConfig};
use provision_core::connector::{
    Connector, Context, CreateRequest, DeleteRequest, GetRequest, LifecycleRequest, ListRequest, Object,
    ObjectKey, Outcome, Registry, RenameRequest, UpdateRequest, WriteDone, collect,
};
use provision_core::delta::{Change, Delta};
use provision_core::filter::{Comparison, Filter};
use provision_core::id::LinkId;
use provision_core::runtime::FixedClock;
use provision_core::value::{AttrPath, Attributes, Date, Secret, Value};
use provision_core::{Effect, Error, ErrorKind};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

fn cx() -> Context {
    Context::new("acme".into(), "test")
}

fn config(path: &Path) -> Json {
    json!({
        "path": path, "key": "employeeNumber", "naming": "displayName",
        "columns": ["employeeNumber", "displayName", {"name": "doors", "multi": true},
                    {"name": "level", "type": "int"}, {"name": "mail", "unique": true},
                    {"name": "until", "type": "date"}],
        "enabled_column": "active"
    })
}

fn connector(config: &Json) -> CsvConnector {
    CsvConnector::new(&TableConfig::from_value(config).unwrap()).unwrap()
}

fn new_target() -> (TempDir, PathBuf, CsvConnector) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("badges.csv");
    let target = connector(&config(&path));
    (folder, path, target)
}

fn link() -> LinkId {
    LinkId::from_uuid(uuid::Uuid::new_v4())
}

fn create_of(attributes: Attributes) -> CreateRequest {
    CreateRequest { class: "account".into(), attributes, enabled: None, idempotency: link(), password: None }
}

fn person(number: &str) -> Attributes {
    Attributes::new().with("employeeNumber", number).with("displayName", format!("Person {number}"))
}

async fn create(target: &CsvConnector, attributes: Attributes) -> Result<WriteDone, Error> {
    done(target.writer().unwrap().create(&cx(), create_of(attributes)).await)
}

fn done(outcome: Result<Outcome, Error>) -> Result<WriteDone, Error> {
    match outcome? {
        Outcome::Done(done) => Ok(done),
        Outcome::Pending { .. } => panic!("a file is never pending"),
    }
}

async fn get(target: &CsvConnector, id: &str) -> Option<Object> {
    let request = GetRequest { class: "account".into(), key: ObjectKey::id(id) };
    target.get(&cx(), request).await.unwrap()
}

async fn update(target: &CsvConnector, id: &str, delta: Delta) -> Result<WriteDone, Error> {
    let request = UpdateRequest { class: "account".into(), key: ObjectKey::id(id), delta };
    done(target.writer().unwrap().update(&cx(), request).await)
}

fn change(name: &str, change: Change) -> Delta {
    Delta { changes: [(name.into(), change)].into() }
}

async fn all(target: &CsvConnector) -> Vec<Object> {
    let (objects, end) =
        collect(target.list(&cx(), ListRequest::all("account")).unwrap(), 1_000_000).await.unwrap();
    assert!(end.is_complete(), "{end:?}");
    objects
}

#[tokio::test]
async fn an_object_lives_through_all_operations() {
    let (_folder, path, target) = new_target();
    target.check(&cx()).await.unwrap();
    assert!(all(&target).await.is_empty() && !path.exists(), "reading makes no file");
    let mut attributes =
        person("7").with("level", 3).with("until", Date::new(2027, 1, 2).map(Value::Date).unwrap());
    attributes.set("doors", vec!["a|b".into(), "c\\".into()]);
    let made = create(&target, attributes.clone()).await.unwrap();
    assert_eq!(made.key, ObjectKey { id: "7".into(), name: Some("Person 7".into()) });
    let read = get(&target, "7").await.unwrap();
    let wanted = attributes.clone();
    assert_eq!((read.attributes, read.enabled), (wanted.clone(), Some(true)));
    assert_eq!(made.observed, Some(wanted));
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        text,
        "employeeNumber,displayName,doors,level,mail,until,active\n7,Person 7,a\\|b|c\\\\,3,,2027-01-02,true\n"
    );
    let edit = Change::Edit { add: vec!["d".into()], remove: vec!["a|b".into()] };
    update(&target, "7", change("doors", edit.clone())).await.unwrap();
    let rewrites = target.rewrites();
    update(&target, "7", change("doors", edit)).await.unwrap();
    assert_eq!(target.rewrites(), rewrites, "a repeated delta writes nothing");
    let request = RenameRequest {
        class: "account".into(),
        key: made.key.clone(),
        naming: Attributes::new().with("displayName", "=Seven"),
    };
    let renamed = done(target.writer().unwrap().rename(&cx(), request).await).unwrap();
    assert_eq!(renamed.key, ObjectKey { id: "7".into(), name: Some("=Seven".into()) });
    let request = LifecycleRequest { class: "account".into(), key: ObjectKey::id("7"), enabled: false };
    target.lifecycle().unwrap().set(&cx(), request.clone()).await.unwrap();
    target.lifecycle().unwrap().set(&cx(), request).await.unwrap();
    let read = get(&target, "7").await.unwrap();
    assert_eq!(read.attributes.values("doors"), ["c\\".into(), "d".into()]);
    assert_eq!((read.enabled, read.attributes.text("displayName")), (Some(false), Some("=Seven")));
    for _ in 0..2 {
        let request = DeleteRequest { class: "account".into(), key: ObjectKey::id("7") };
        target.writer().unwrap().delete(&cx(), request).await.unwrap();
        assert!(get(&target, "7").await.is_none());
    }
}

#[tokio::test]
async fn refusals_state_that_nothing_changed() {
    let (_folder, path, target) = new_target();
    create(&target, person("1").with("mail", "a@b")).await.unwrap();
    let before = std::fs::read(&path).unwrap();
    let writer = target.writer().unwrap();
    let with_password = CreateRequest { password: Some(Secret::new("hunter2")), ..create_of(person("3")) };
    let rename =
        |key: &str, naming| RenameRequest { class: "account".into(), key: ObjectKey::id(key), naming };
    let cases: Vec<(Result<Outcome, Error>, ErrorKind)> = vec![
        (writer.create(&cx(), create_of(person("1"))).await, ErrorKind::AlreadyExists),
        (writer.create(&cx(), create_of(person("2").with("mail", "a@b"))).await, ErrorKind::AlreadyExists),
        (writer.create(&cx(), create_of(person("2").with("shoe", "42"))).await, ErrorKind::InvalidAttribute),
        (
            writer.create(&cx(), create_of(person("2").with("level", "high"))).await,
            ErrorKind::InvalidAttribute,
        ),
        (writer.create(&cx(), create_of(person(""))).await, ErrorKind::InvalidAttribute),
        (writer.create(&cx(), create_of(Attributes::new())).await, ErrorKind::InvalidAttribute),
        (writer.create(&cx(), with_password).await, ErrorKind::Unsupported),
        (
            writer.create(&cx(), CreateRequest { class: "group".into(), ..create_of(person("2")) }).await,
            ErrorKind::Unsupported,
        ),
        (
            writer.rename(&cx(), rename("9", Attributes::new().with("displayName", "x"))).await,
            ErrorKind::NotFound,
        ),
        (
            writer.rename(&cx(), rename("1", Attributes::new().with("mail", "x"))).await,
            ErrorKind::InvalidAttribute,
        ),
    ];
    let updates = [
        ("9", "level", Change::Clear, ErrorKind::NotFound),
        ("1", "shoe", Change::Clear, ErrorKind::InvalidAttribute),
        ("1", "employeeNumber", Change::Replace(vec!["2".into()]), ErrorKind::InvalidAttribute),
        ("1", "employeeNumber", Change::Clear, ErrorKind::InvalidAttribute),
        ("1", "displayName", Change::Replace(vec!["x".into()]), ErrorKind::InvalidAttribute),
        ("1", "mail", Change::Replace(vec!["x".into(), "y".into()]), ErrorKind::InvalidAttribute),
    ];
    for (result, kind) in cases {
        let error = result.unwrap_err();
        assert_eq!((error.kind(), error.effect_stated()), (kind, Some(Effect::None)), "{error}");
        assert!(!error.report().contains("hunter2"));
    }
    for (id, name, what, kind) in updates {
        let error = update(&target, id, change(name, what)).await.unwrap_err();
        assert_eq!((error.kind(), error.effect_stated()), (kind, Some(Effect::None)), "{error}");
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_generated_key_makes_creates_repeatable() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("t.csv");
    let target = connector(&json!({"path": path, "key": {"generated": "id"}, "columns": ["userName"]}));
    let request = create_of(Attributes::new().with("userName", "lee"));
    let writer = target.writer().unwrap();
    let first = done(writer.create(&cx(), request.clone()).await).unwrap();
    let again = done(writer.create(&cx(), request.clone()).await).unwrap();
    assert_eq!(first, again);
    assert_eq!(first.key.id, request.idempotency.to_string());
    assert_eq!((all(&target).await.len(), target.rewrites()), (1, 1));
    let found = target.discover(&cx()).await.unwrap();
    assert!(found.capabilities.class(&"account".into()).idempotent_create);
    assert!(target.lifecycle().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_creates_share_rewrites() {
    let (_folder, path, target) = new_target();
    let target = Arc::new(target);
    let tasks = (0..64).map(|n| {
        let target = Arc::clone(&target);
        tokio::spawn(async move { create(&target, person(&n.to_string())).await.unwrap() })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(all(&target).await.len(), 64);
    assert!(target.rewrites() <= 16, "{} rewrites for 64 creates", target.rewrites());
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 65);
    assert_eq!(connector(&config(&path)).rewrites(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_of_one_file_lose_nothing_and_readers_see_it_whole() {
    let (_folder, path, first) = new_target();
    let second = connector(&config(&path));
    create(&first, person("start")).await.unwrap();
    let write = |target: CsvConnector, prefix: &'static str| async move {
        for n in 0..25 {
            create(&target, person(&format!("{prefix}{n}"))).await.unwrap();
        }
    };
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let reading = {
        let (path, done) = (path.clone(), Arc::clone(&done));
        tokio::task::spawn_blocking(move || {
            let mut last = 0;
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                let text = std::fs::read_to_string(&path).unwrap();
                assert!(text.ends_with(",true\n"), "half a file: {text:?}");
                assert!(text.lines().count() >= last);
                last = text.lines().count();
            }
        })
    };
    let both = (tokio::spawn(write(first.clone(), "a")), tokio::spawn(write(second.clone(), "b")));
    both.0.await.unwrap();
    both.1.await.unwrap();
    done.store(true, std::sync::atomic::Ordering::SeqCst);
    reading.await.unwrap();
    assert_eq!((all(&first).await.len(), all(&second).await.len()), (51, 51));
}

/// C-9.1: a caller that goes away stops nobody else, and its own write is whole or not there.
#[tokio::test]
async fn a_dropped_call_leaves_the_others_alone() {
    let (_folder, path, target) = new_target();
    for n in 0..20 {
        tokio::select! {
            biased;
            _ = create(&target, person(&format!("gone{n}"))) => panic!("durable at the first poll"),
            () = std::future::ready(()) => {}
        }
        create(&target, person(&format!("kept{n}"))).await.unwrap();
    }
    let objects = all(&connector(&config(&path))).await;
    assert_eq!(objects.iter().filter(|object| object.key.id.starts_with("kept")).count(), 20);
    // A change that was queued is made, whoever waits for it.
    assert_eq!(objects.len(), 40);
}

/// Deadlines are the engine's, so they are measured by its clock.
#[tokio::test]
async fn deadlines_are_measured_by_the_clock_that_was_given() {
    let folder = TempDir::new().unwrap();
    let table = TableConfig::from_value(&config(&folder.path().join("badges.csv"))).unwrap();
    let clock = Arc::new(FixedClock::at("2001-01-01T00:00:00Z".parse().unwrap()));
    let target = CsvConnector::with_clock(&table, clock).unwrap();
    for (deadline, good) in [("2001-01-01T00:00:01Z", true), ("2001-01-01T00:00:00Z", false)] {
        let cx = Context { deadline: Some(deadline.parse().unwrap()), ..cx() };
        let listed = collect(target.list(&cx, ListRequest::all("account")).unwrap(), 10).await;
        assert_eq!(listed.map_err(|error| error.kind()).is_ok(), good, "{deadline}");
    }
}

/// C-9.1: a write that waited for the file longer than its deadline is not made any more; one with time left is.
#[tokio::test]
async fn a_write_whose_deadline_passed_while_another_had_the_lock_is_not_made() {
    let folder = TempDir::new().unwrap();
    let table = TableConfig::from_value(&config(&folder.path().join("badges.csv"))).unwrap();
    let clock = Arc::new(FixedClock::at("2001-01-01T00:00:00Z".parse().unwrap()));
    let target = CsvConnector::with_clock(&table, clock.clone()).unwrap();
    create(&target, person("first")).await.unwrap();
    let lock = std::fs::File::open(folder.path().join(".badges.csv.lock")).unwrap();
    lock.lock().unwrap();

    let until = |deadline: &str| Context { deadline: Some(deadline.parse().unwrap()), ..cx() };
    let (short, long) = (until("2001-01-01T00:00:05Z"), until("2001-01-01T00:01:00Z"));
    let writer = target.writer().unwrap();
    let mut late = writer.create(&short, create_of(person("late")));
    let mut good = writer.create(&long, create_of(person("good")));
    assert!(futures_util::poll!(&mut late).is_pending(), "the lock is another's");
    assert!(futures_util::poll!(&mut good).is_pending(), "the lock is another's");
    clock.set("2001-01-01T00:00:06Z".parse().unwrap());
    drop(lock);
    let error = late.await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None));
    done(good.await).unwrap();
    let numbers: Vec<String> = all(&target).await.into_iter().map(|object| object.key.id).collect();
    assert_eq!(numbers, ["first", "good"]);
}

#[tokio::test]
async fn listing_pages_filters_and_selects() {
    let (_folder, _path, target) = new_target();
    for n in 0..25_i64 {
        let attributes = person(&n.to_string()).with("level", n % 3).with("mail", format!("m{n}@x"));
        create(&target, attributes).await.unwrap();
    }
    for page_size in [1, 7, 25, 26] {
        let request = ListRequest { page_size, ..ListRequest::all("account") };
        let (objects, end) = collect(target.list(&cx(), request).unwrap(), 100).await.unwrap();
        let ids = objects.iter().map(|object| object.key.id.parse::<i64>().unwrap()).collect::<Vec<_>>();
        assert_eq!((ids, end.is_complete()), ((0..25).collect(), true));
    }
    let filters = [
        (Filter::equal("mail", "m7@x"), 1),
        (Filter::equal("mail", "m7@X"), 0),
        (Filter::equal("employeeNumber", "7"), 1),
        (Filter::equal("level", 1), 8),
        (Filter::All(vec![Filter::equal("mail", "m7@x"), Filter::equal("level", 0)]), 0),
        (Filter::Any(vec![Filter::equal("mail", "m7@x"), Filter::equal("mail", "m8@x")]), 2),
        (Filter::Compare(AttrPath::new("displayName"), Comparison::StartsWith, "Person 1".into()), 11),
        (Filter::Not(Box::new(Filter::Present(AttrPath::new("doors")))), 25),
    ];
    for (filter, count) in filters {
        let request = ListRequest { page_size: 3, ..ListRequest::matching("account", filter.clone()) };
        let (objects, end) = collect(target.list(&cx(), request).unwrap(), 100).await.unwrap();
        assert_eq!((objects.len(), end.is_complete()), (count, true), "{filter:?}");
    }
    let request = ListRequest { attributes: Some(["mail".into()].into()), ..ListRequest::all("account") };
    let (objects, _) = collect(target.list(&cx(), request).unwrap(), 100).await.unwrap();
    assert!(objects.iter().all(|object| object.attributes.len() == 1));
    let error = target.list(&cx(), ListRequest::all("group")).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn foreign_files_are_refused_and_never_overwritten() {
    let (_folder, path, target) = new_target();
    let header = "employeeNumber,displayName,doors,level,mail,until,active\n";
    let cases = [
        (
            "employeeNumber,displayName,doors,level,until,enabled\n1,,,,,\n".to_owned(),
            ErrorKind::ConfigInvalid,
            "lacks mail, active",
        ),
        (header.replace("doors,level", "level,doors"), ErrorKind::ConfigInvalid, "order"),
        (String::new(), ErrorKind::DataInvalid, "empty"),
        (format!("{header}1,a,b\n"), ErrorKind::DataInvalid, "3 cells"),
        (format!("{header}1,,,,,,true\n1,,,,,,true\n"), ErrorKind::DataInvalid, "same `employeeNumber`"),
        (format!("{header}1,\"x,,,,,true\n"), ErrorKind::DataInvalid, "quote"),
    ];
    for (content, kind, told) in cases {
        std::fs::write(&path, &content).unwrap();
        let checked = target.check(&cx()).await.unwrap_err();
        assert_eq!(checked.kind(), kind, "{checked}");
        assert!(checked.to_string().contains(told), "{checked}");
        let error = create(&target, person("9")).await.unwrap_err();
        assert_eq!((error.kind(), error.effect_stated()), (kind, Some(Effect::None)));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
    }
    // A file made by other hands, with another column order of rows and a byte order mark, is read.
    std::fs::write(&path, format!("\u{feff}{header}1,Lee,,2,,,false\r\n")).unwrap();
    let read = get(&target, "1").await.unwrap();
    assert_eq!((read.enabled, read.attributes.first("level")), (Some(false), Some(&Value::Int(2))));
}

#[tokio::test]
async fn a_folder_that_is_gone_is_told_with_effect_none() {
    let (folder, path, target) = new_target();
    drop(folder);
    let error = create(&target, person("1")).await.unwrap_err();
    assert_eq!((error.kind(), error.effect_stated()), (ErrorKind::ConfigInvalid, Some(Effect::None)));
    let error = target.check(&cx()).await.unwrap_err();
    assert!(error.to_string().contains("path") && !path.exists());
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_private_keeps_its_mode_and_links_stay_links() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, path, target) = new_target();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    create(&target, person("1")).await.unwrap();
    assert_eq!(mode(&path), 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    create(&target, person("2")).await.unwrap();
    assert_eq!(mode(&path), 0o640);
    let alias = folder.path().join("alias.csv");
    std::os::unix::fs::symlink(&path, &alias).unwrap();
    create(&connector(&config(&alias)), person("3")).await.unwrap();
    assert!(std::fs::symlink_metadata(&alias).unwrap().is_symlink());
    assert_eq!(all(&target).await.len(), 3);
}

#[tokio::test]
async fn discovery_is_stable_and_info_describes_the_configuration() {
    let (_folder, _path, target) = new_target();
    let discovered = target.discover(&cx()).await.unwrap();
    assert_eq!(discovered, target.discover(&cx()).await.unwrap());
    let capabilities = discovered.capabilities.class(&"account".into());
    assert!(capabilities.create && capabilities.rename && capabilities.list_complete);
    assert!(capabilities.unique.contains("employeeNumber") && capabilities.unique.contains("mail"));
    let info = target.info();
    assert_eq!(
        (info.kind.as_str(), &info.config_schema["required"]),
        ("csv", &json!(["path", "key", "columns"]))
    );
    let registry = Registry::new().with_connector("csv", CsvConnector::factory());
    let cases = [
        (json!({"key": "nobody"}), "key"),
        (json!({"columns": []}), "columns"),
        (json!({"naming": "doors"}), "naming"),
        (json!({"naming": "employeeNumber"}), "naming"),
        (json!({"separator": "\\"}), "separator"),
        (json!({"enabled_column": "mail"}), "mail"),
        (json!({"colums": []}), "colums"),
        (json!({"columns": ["employeeNumber", "displayName", {"name": "x", "type": "bytes"}]}), "x"),
    ];
    for (more, named) in cases {
        let mut wrong = config(Path::new("t.csv"));
        for (key, value) in more.as_object().unwrap() {
            wrong[key] = value.clone();
        }
        let error = registry.connector("csv", &wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert!(error.to_string().contains(named), "{error}");
    }
}

/// Values that lie, and what a spreadsheet would make of them.
#[tokio::test]
async fn hostile_values_come_back_and_are_no_formulas() {
    let (_folder, path, target) = new_target();
    let hostile = [
        "=cmd|' /C calc'!A0",
        "+1",
        "-1",
        "@x",
        "\tx",
        "\rx",
        "\nx",
        "'",
        "''=",
        "",
        " ",
        "a\"b",
        "a,b",
        "a\r\nb",
        "\u{feff}bom",
        "😀",
        "nul\0",
        "\u{202e}bidi",
        "'t Hooft",
        "\\",
        "|",
        "a\\|b",
        "e\u{301}",
    ];
    for (n, text) in hostile.iter().enumerate() {
        let mut attributes =
            Attributes::new().with("employeeNumber", n.to_string()).with("displayName", *text);
        attributes.set("doors", vec![(*text).into(), "x".into()]);
        create(&target, attributes).await.unwrap();
    }
    let fresh = connector(&config(&path));
    for (n, text) in hostile.iter().enumerate() {
        let read = get(&fresh, &n.to_string()).await.unwrap();
        assert_eq!(read.attributes.text("displayName"), Some(*text));
        assert_eq!(read.attributes.values("doors"), [Value::text(text), "x".into()]);
    }
    let mut reader = csv::Reader::from_path(&path).unwrap();
    for record in reader.records() {
        for cell in record.unwrap().iter() {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{cell:?}");
        }
    }
    assert_eq!(get(&fresh, "0").await.unwrap().attributes.get("mail"), None, "an empty cell is no value");
}
