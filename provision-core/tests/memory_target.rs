//! The in-memory target by itself: state file and its stops. Its contract is tested in `contract_memory.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests may panic as tests do"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use provision_core::connector::{
    ChangeFeedRequest, Connector, Context, CreateRequest, DeleteRequest, Edge, GetRequest, LifecycleRequest,
    ListRequest, MembershipRequest, Object, ObjectKey, Outcome, RenameRequest, UpdateRequest, WriteDone,
    collect,
};
use provision_core::delta::{Change, Delta};
use provision_core::id::{ClassName, LinkId};
use provision_core::memory::{MemoryConfig, MemoryConnector, Personality};
use provision_core::runtime::SystemClock;
use provision_core::value::{Attributes, ObjectRef, Value};
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

    // Torn anywhere in the last line: that write was never answered, all before it are there.
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for cut in (last..whole.len()).step_by(5).chain([whole.len() - 1]) {
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
    let request = DeleteRequest { class: "user".into(), key };
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

#[tokio::test]
async fn a_long_log_is_folded_into_the_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let config = MemoryConfig { personality: Personality::Plain, ..at(&path) };
    let target = open(config.clone());
    let attributes = Attributes::new().with("userName", "u");
    let key = target.seed("account", [(attributes, None)]).unwrap().remove(0);
    for letter in 'a'..='t' {
        let text = String::from(letter).repeat(1024 * 1024);
        let delta = Delta { changes: [("displayName".into(), Change::Replace(vec![text.into()]))].into() };
        let request = UpdateRequest { class: "account".into(), key: key.clone(), delta };
        target.writer().unwrap().update(&cx(), request).await.unwrap();
        let log = std::fs::metadata(folder.path().join("state.json.log")).unwrap().len();
        assert!(log < 18 * 1024 * 1024, "{log} bytes of log after {letter}");
    }
    let copy = tempfile::tempdir().unwrap();
    stopped_copy(folder.path(), copy.path());
    assert!(std::fs::metadata(&path).unwrap().len() > 1024 * 1024, "the snapshot was never written anew");
    let resumed = open(MemoryConfig { state_file: Some(copy.path().join("state.json")), ..config });
    assert_eq!(resumed.dump("account").unwrap(), target.dump("account").unwrap());
}

#[tokio::test]
async fn a_target_that_could_not_write_answers_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let target = open(at(&folder.path().join("state.json")));
    let key = create(&target, 1).await;
    folder.close().unwrap();
    assert_eq!(target.compact().unwrap_err().kind(), ErrorKind::Unavailable);
    // What it holds in memory may not be on disk: it must not be read as if it were.
    let read = target.get(&cx(), GetRequest { class: "user".into(), key }).await.unwrap_err();
    let written = target.writer().unwrap().create(&cx(), birth(2)).await.unwrap_err();
    for error in [read, written] {
        assert_eq!((error.kind(), error.effect_stated()), (ErrorKind::Unavailable, Some(Effect::None)));
    }
}

/// Something that happens to a directory of four people and two groups.
#[derive(Clone, Debug)]
enum Event {
    Create(u32),
    Title(usize, Option<u32>),
    Rename(usize, u32),
    Enable(usize, bool),
    Edge(usize, usize, bool),
    Manager(usize, usize),
    Delete(usize),
    Reopen,
}

fn event() -> impl Strategy<Value = Event> {
    let place = 0..6_usize;
    prop_oneof![
        4 => (0..8_u32).prop_map(Event::Create),
        3 => (place.clone(), prop::option::of(0..3_u32)).prop_map(|(at, title)| Event::Title(at, title)),
        1 => (place.clone(), 0..8_u32).prop_map(|(at, name)| Event::Rename(at, name)),
        1 => (place.clone(), any::<bool>()).prop_map(|(at, enabled)| Event::Enable(at, enabled)),
        4 => (0..2_usize, place.clone(), any::<bool>()).prop_map(|(group, at, add)| Event::Edge(group, at, add)),
        1 => (place.clone(), place.clone()).prop_map(|(at, of)| Event::Manager(at, of)),
        1 => place.prop_map(Event::Delete),
        1 => Just(Event::Reopen),
    ]
}

/// Makes it happen, and gives what the target answered.
async fn happen(
    target: &MemoryConnector,
    groups: &[ObjectKey],
    keys: &mut Vec<ObjectKey>,
    event: &Event,
) -> String {
    let (class, none) = (ClassName::new("user"), ObjectKey::id("m-999999"));
    let key = |at: usize| keys.get(at).cloned().unwrap_or(none.clone());
    let update = |at: usize, name: &str, change| {
        let delta = Delta { changes: [(name.into(), change)].into() };
        UpdateRequest { class: class.clone(), key: key(at), delta }
    };
    let writer = target.writer().unwrap();
    let outcome = match event {
        Event::Create(number) => {
            let outcome = writer.create(&cx(), birth(*number)).await;
            if let Ok(Outcome::Done(done)) = &outcome {
                keys.push(done.key.clone());
            }
            outcome
        }
        Event::Title(at, title) => {
            let change = title.map(|title| Change::Replace(vec![format!("title {title}").into()]));
            writer.update(&cx(), update(*at, "title", change.unwrap_or(Change::Clear))).await
        }
        Event::Manager(at, of) => {
            let manager = Value::Reference(ObjectRef { class: class.clone(), key: key(*of).id });
            writer.update(&cx(), update(*at, "manager", Change::Replace(vec![manager]))).await
        }
        Event::Rename(at, number) => {
            let naming = Attributes::new().with("dn", format!("CN=R{number},DC=example,DC=org"));
            writer.rename(&cx(), RenameRequest { class: class.clone(), key: key(*at), naming }).await
        }
        Event::Enable(at, enabled) => {
            let request = LifecycleRequest { class: class.clone(), key: key(*at), enabled: *enabled };
            target.lifecycle().unwrap().set(&cx(), request).await
        }
        Event::Delete(at) => {
            writer.delete(&cx(), DeleteRequest { class: class.clone(), key: key(*at) }).await
        }
        Event::Edge(group, at, add) => {
            let request = MembershipRequest {
                class: "group".into(),
                group: groups[*group].clone(),
                member_class: class.clone(),
                edges: vec![Edge { member: key(*at), add: *add }],
            };
            return format!("{:?}", target.membership().unwrap().change(&cx(), request).await);
        }
        Event::Reopen => return String::new(),
    };
    format!("{outcome:?}")
}

/// Each edge must show from both of its ends.
fn assert_edges_agree(target: &MemoryConnector) {
    let ends = |class: &str, attribute: &str| {
        let mut ends = BTreeSet::new();
        for object in target.dump(class).unwrap() {
            for value in object.attributes.values(attribute) {
                let Value::Reference(other) = value else { panic!("{value:?}") };
                ends.insert((object.key.id.clone(), other.key.clone()));
            }
        }
        ends
    };
    let turned =
        ends("user", "memberOf").into_iter().map(|(user, group)| (group, user)).collect::<BTreeSet<_>>();
    assert_eq!(ends("group", "member"), turned);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// A target that is stopped and opened again at any time answers like one that never was.
    #[test]
    fn a_reopened_target_is_the_same_target(events in prop::collection::vec(event(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let config = at(&folder.path().join("state.json"));
            let (undisturbed, mut stopped) = (open(MemoryConfig::default()), open(config.clone()));
            let groups = [1, 2].map(|number| {
                let dn = format!("CN=G{number},DC=example,DC=org");
                (Attributes::new().with("cn", format!("G{number}")).with("dn", dn), None)
            });
            let keys = undisturbed.seed("group", groups.clone()).unwrap();
            assert_eq!(stopped.seed("group", groups).unwrap(), keys);
            let (mut first, mut second) = (Vec::new(), Vec::new());
            for event in &events {
                if matches!(event, Event::Reopen) {
                    drop(stopped);
                    stopped = open(config.clone());
                }
                let answer = happen(&undisturbed, &keys, &mut first, event).await;
                assert_eq!(happen(&stopped, &keys, &mut second, event).await, answer, "{event:?}");
                assert_edges_agree(&stopped);
            }
            for class in ["user", "group"] {
                assert_eq!(stopped.dump(class).unwrap(), undisturbed.dump(class).unwrap());
            }
        });
    }
}
