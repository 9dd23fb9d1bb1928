//! The in-memory target by itself: state file and its stops. Its contract is tested in `contract_memory.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests may panic as tests do"
)]

use std::path::Path;
use std::sync::Arc;

use provision_core::connector::{
    ChangeFeedRequest, Connector, Context, CreateRequest, Edge, GetRequest, ListRequest, MembershipRequest,
    Object, ObjectKey, Outcome, WriteDone, collect,
};
use provision_core::id::LinkId;
use provision_core::memory::{MemoryConfig, MemoryConnector};
use provision_core::runtime::SystemClock;
use provision_core::value::Attributes;
use provision_core::{Effect, ErrorKind};

fn cx() -> Context {
    MemoryConnector::context()
}

fn open(config: MemoryConfig) -> MemoryConnector {
    MemoryConnector::new(config, Arc::new(SystemClock)).unwrap()
}

fn at(path: &Path) -> MemoryConfig {
    MemoryConfig { state_file: Some(path.to_owned()), ..MemoryConfig::default() }
}

fn person(number: u32) -> Attributes {
    Attributes::new()
        .with("sAMAccountName", format!("user{number}"))
        .with("cn", format!("User {number}"))
        .with("dn", format!("CN=User {number},OU=People,DC=example,DC=org"))
        .with("mail", format!("user{number}@example.org"))
}

fn birth(number: u32) -> CreateRequest {
    CreateRequest {
        class: "user".into(),
        attributes: person(number),
        enabled: Some(true),
        idempotency: LinkId::from_uuid(uuid::Uuid::from_u128(u128::from(number))),
        password: None,
    }
}

fn done(outcome: Outcome) -> WriteDone {
    match outcome {
        Outcome::Done(done) => done,
        Outcome::Pending { .. } => panic!("the memory target never waits"),
    }
}

async fn create(target: &MemoryConnector, number: u32) -> ObjectKey {
    done(target.writer().unwrap().create(&cx(), birth(number)).await.unwrap()).key
}

async fn all(target: &MemoryConnector) -> Vec<Object> {
    let listing = target.list(&cx(), ListRequest::all("user")).unwrap();
    let (objects, completeness) = collect(listing, 100_000).await.unwrap();
    assert!(completeness.is_complete(), "{completeness:?}");
    objects
}

/// Copies snapshot and log as a stop at this moment would leave them.
fn stopped_copy(from: &Path, to: &Path) {
    for suffix in ["", ".log"] {
        let name = format!("state.json{suffix}");
        std::fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
}

#[tokio::test]
async fn a_second_run_finds_what_the_first_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let first = open(at(&path));
    let key = create(&first, 1).await;
    create(&first, 2).await;
    let before = all(&first).await;
    drop(first);

    let second = open(at(&path));
    assert_eq!(all(&second).await, before);
    let object = second.get(&cx(), GetRequest { class: "user".into(), key }).await.unwrap().unwrap();
    assert_eq!(object.attributes.text("sAMAccountName"), Some("user1"));
    let third = create(&second, 3).await;
    assert_eq!(third.id, "m-000003", "ids go on where the first run stopped");
}

#[tokio::test]
async fn a_second_process_on_the_state_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let first = open(at(&path));
    create(&first, 1).await;
    let second = open(at(&path));
    let error = second.writer().unwrap().create(&cx(), birth(2)).await.unwrap_err();
    assert_eq!((error.kind(), error.effect_stated()), (ErrorKind::Unavailable, Some(Effect::None)));
    drop(first);
    assert_eq!(create(&second, 2).await.id, "m-000002");
}

#[tokio::test]
async fn a_stop_at_any_moment_keeps_every_answered_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let target = open(at(&path));
    let group = target
        .seed("group", [(Attributes::new().with("cn", "G").with("dn", "CN=G,DC=example,DC=org"), None)])
        .unwrap()
        .remove(0);
    let start = target
        .change_feed()
        .unwrap()
        .changes(&cx(), ChangeFeedRequest { class: "user".into(), token: None, limit: 10 })
        .await
        .unwrap();
    let member = create(&target, 1).await;
    let request = MembershipRequest {
        class: "group".into(),
        group,
        member_class: "user".into(),
        edges: vec![Edge { member, add: true }],
    };
    target.membership().unwrap().change(&cx(), request).await.unwrap();
    create(&target, 2).await;
    let whole = std::fs::read(folder.path().join("state.json.log")).unwrap();
    let users = all(&target).await;
    assert_eq!(users[0].attributes.values("memberOf").len(), 1);

    let copy = tempfile::tempdir().unwrap();
    stopped_copy(folder.path(), copy.path());
    let resumed = open(at(&copy.path().join("state.json")));
    assert_eq!(all(&resumed).await, users, "the log alone brings everything back");
    let feed = resumed.change_feed().unwrap();
    let request = ChangeFeedRequest { class: "user".into(), token: Some(start.token), limit: 10 };
    let keys = feed.changes(&cx(), request).await.unwrap().events;
    assert_eq!(keys.len(), 2, "a token outlives the process");

    // Torn at each byte of the last line: that write was never answered, all before it are there.
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for cut in last..whole.len() {
        let torn = tempfile::tempdir().unwrap();
        stopped_copy(folder.path(), torn.path());
        std::fs::write(torn.path().join("state.json.log"), &whole[..cut]).unwrap();
        let resumed = open(at(&torn.path().join("state.json")));
        assert_eq!(all(&resumed).await, users[..1], "cut at byte {cut}");
    }
}

#[tokio::test]
async fn a_damaged_line_in_the_middle_is_told_and_not_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let target = open(at(&path));
    create(&target, 1).await;
    create(&target, 2).await;
    let copy = tempfile::tempdir().unwrap();
    stopped_copy(folder.path(), copy.path());
    let log = copy.path().join("state.json.log");
    let text = std::fs::read_to_string(&log).unwrap().replacen("user1", "user9", 1);
    std::fs::write(&log, text).unwrap();
    let error = open(at(&copy.path().join("state.json"))).check(&cx()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnusable);
    assert!(error.message().contains("line 2"), "{error}");
}

#[tokio::test]
async fn an_old_log_beside_a_newer_snapshot_is_not_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let target = open(at(&path));
    let key = create(&target, 1).await;
    let old = std::fs::read(folder.path().join("state.json.log")).unwrap();
    let request = provision_core::connector::DeleteRequest { class: "user".into(), key };
    target.writer().unwrap().delete(&cx(), request).await.unwrap();
    drop(target);
    // As if the process had stopped between the two replacements of a fold.
    std::fs::write(folder.path().join("state.json.log"), old).unwrap();
    let target = open(at(&path));
    assert_eq!(all(&target).await, []);
    assert_eq!(create(&target, 1).await.id, "m-000002", "an id is never given twice");
}

#[cfg(unix)]
#[tokio::test]
async fn the_files_belong_to_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let target = open(at(&folder.path().join("state.json")));
    create(&target, 1).await;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_at_the_same_time_are_each_durable_and_cost_their_own_size() {
    const PEOPLE: u32 = 400;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let target = open(at(&path));
    let before = std::fs::metadata(&path).map(|file| file.len()).unwrap_or_default();
    let writes = (1..=PEOPLE).map(|number| {
        let target = target.clone();
        tokio::spawn(async move { create(&target, number).await })
    });
    for write in writes.collect::<Vec<_>>() {
        write.await.unwrap();
    }
    assert!(
        std::fs::metadata(&path).unwrap().len() < before + 1000,
        "the snapshot is not rewritten by writes"
    );
    let copy = tempfile::tempdir().unwrap();
    stopped_copy(folder.path(), copy.path());
    assert_eq!(all(&open(at(&copy.path().join("state.json")))).await.len(), PEOPLE as usize);
    target.compact().unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() > 1000 + before);
    assert_eq!(all(&target).await.len(), PEOPLE as usize);
}

#[tokio::test]
async fn a_missing_folder_is_told_by_check_and_not_by_new() {
    let folder = tempfile::tempdir().unwrap();
    let target = open(at(&folder.path().join("nowhere").join("state.json")));
    let error = target.check(&cx()).await.unwrap_err();
    assert_eq!((error.kind(), error.effect_stated()), (ErrorKind::Unavailable, Some(Effect::None)));
}
