//! Processes that look at one source: one of them reads it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::{StreamExt, stream};
use provision_core::connector::{Completeness, Context};
use provision_core::engine::Engine;
use provision_core::ingest::{FeedOutcome, Ingest};
use provision_core::model::{Employment, FeedChange, FeedReport, FeedState, Identity};
use provision_core::runtime::{Clock, SeededRandom};
use provision_core::source::{
    Absence, Feed, FeedEvent, FeedGuard, FeedMode, FeedRecord, FeedSequence, FeedStream, RecordAction,
    Source, SourceSettings,
};
use provision_core::store::{Store, Stream, Table};
use provision_core::value::{Attributes, Zone};
use provision_core::{Effect, ErrorKind, Retry};

use crate::realm::Realm;
use crate::test_time::TestTime;

/// More than are staged in one commit.
const ROWS: usize = 2_500;

fn rows() -> Vec<FeedRecord> {
    let row = |number: usize| FeedRecord {
        key: number.to_string(),
        position: number as u64,
        attributes: Attributes::new().with("familyName", format!("F{number}")),
        employment: Employment::default(),
        zone: None,
        action: RecordAction::Upsert,
        fingerprint: number.to_string(),
    };
    (0..ROWS).map(row).collect()
}

/// Says its first rows, and the others when somebody takes so long over it.
fn feed(clock: Option<(Arc<TestTime>, Duration)>) -> Feed {
    let mut rows = rows();
    let later = rows.split_off(ROWS / 2);
    let pause = async move {
        if let Some((clock, takes)) = clock {
            clock.sleep(takes).await;
        }
        Ok(FeedEvent::Records(later))
    };
    let end = Ok(FeedEvent::End(Completeness::Complete { proof: "end of file".to_owned() }));
    let records: FeedStream = Box::pin(
        stream::iter([Ok(FeedEvent::Records(rows))]).chain(stream::once(pause)).chain(stream::iter([end])),
    );
    Feed {
        name: "first".to_owned(),
        mode: FeedMode::Full,
        sequence: FeedSequence { order: Some("1".to_owned()), content: "1".to_owned() },
        records,
    }
}

/// Has the feed ready.
#[derive(Debug)]
pub(crate) struct Ready;

#[async_trait::async_trait]
impl Source for Ready {
    async fn feeds(&self, _cx: &Context) -> provision_core::Result<Vec<Feed>> {
        Ok(vec![feed(None)])
    }

    async fn get(&self, _cx: &Context, _key: &str) -> provision_core::Result<Option<FeedRecord>> {
        Ok(None)
    }
}

/// Two processes of one realm, with a source.
async fn two() -> (Arc<TestTime>, Realm, Engine, Engine) {
    let clock = TestTime::new(false);
    let realm = Realm::timed(clock.clone(), |_| {}).await;
    let (_, one) = realm.another(clock.clone(), Some("a")).await;
    let (_, two) = realm.another(clock.clone(), Some("b")).await;
    let source = SourceSettings {
        name: "people".into(),
        kind: "ready".to_owned(),
        config: serde_json::Value::Null,
        precedence: 0,
        precedence_of: Default::default(),
        null_yields: Default::default(),
        engagements: None,
        asserts: None,
        asserts_lifecycle: true,
        absence: Absence::RemoveAfter(1),
        guard: FeedGuard::default(),
        correlate: Default::default(),
        zone: Zone::utc(),
    };
    one.put_source(&realm.robot, source).await.unwrap();
    (clock, realm, one, two)
}

/// What a look at the source comes to.
async fn look(realm: &Realm, engine: &Engine) -> FeedOutcome {
    engine.ingest(&realm.robot, &"people".into()).await.unwrap().remove(0)
}

async fn seconds(clock: &TestTime, seconds: u64) {
    clock.sleep(Duration::from_secs(seconds)).await;
}

fn read_by(outcome: &FeedOutcome, node: &str) -> bool {
    matches!(outcome, FeedOutcome::BeingRead { by, .. } if by.starts_with(&format!("{node}/")))
}

fn applied(outcome: &FeedOutcome) -> bool {
    matches!(outcome, FeedOutcome::Applied(report) if report.counts.added == ROWS as u64)
}

/// The only report, and how much is staged.
async fn staged(realm: &Realm) -> (FeedReport, usize) {
    let mut reports = realm.all::<FeedReport>().await;
    assert_eq!(reports.len(), 1);
    (reports.remove(0).value, realm.all::<FeedChange>().await.len())
}

#[tokio::test(start_paused = true)]
async fn a_process_leaves_a_source_to_the_one_that_reads_it() {
    let (clock, realm, one, two) = two().await;
    let (name, mut progress, mut other) = ("people".into(), |_| {}, |_| {});
    let slow = feed(Some((clock.clone(), Duration::from_secs(300))));
    let reading = one.ingest_feed(&realm.robot, &name, slow, &mut progress);
    let watch = async {
        for minute in 0..4 {
            seconds(&clock, 60).await;
            let (report, rows) = staged(&realm).await;
            assert_eq!((report.state, rows), (FeedState::Staging, 1_000), "minute {minute}");
            let outcome = look(&realm, &two).await;
            assert!(read_by(&outcome, "a"), "{outcome:?}");
            // Also for another task of the process that reads.
            assert!(read_by(&look(&realm, &one).await, "a"));
            let error = two.ingest_feed(&realm.robot, &name, feed(None), &mut other).await.unwrap_err();
            assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::None));
            assert!(error.retry() != Retry::Never && error.report().contains("a/"), "{}", error.report());
            let random = SeededRandom::new(1);
            let (store, id) = (realm.store.as_ref(), realm.name());
            let road = Ingest::new(store, clock.as_ref(), &random, &id, &realm.robot);
            assert_eq!(road.resume().await.unwrap(), [], "who cleans up leaves it alone");
        }
    };
    let (outcome, ()) = futures_util::future::join(reading, watch).await;
    assert!(applied(&outcome.unwrap()));
    let lease = realm.store.get(&realm.name(), Table::Lease, &["source/people".to_owned()]).await.unwrap();
    assert!(matches!(look(&realm, &two).await, FeedOutcome::AlreadyConsumed { .. }));
    let after = realm.store.get(&realm.name(), Table::Lease, &["source/people".to_owned()]).await.unwrap();
    assert!(lease[0].is_some() && lease == after, "a look that finds nothing new writes nothing");
    let audit = realm.store.read_stream(&realm.name(), Stream::Audit, 0, 10_000).await.unwrap();
    assert!(!audit.iter().any(|(_, row)| row.body.contains("ingest.discarded")));
}

#[tokio::test(start_paused = true)]
async fn the_source_of_a_process_that_died_is_taken_over_when_its_lease_ends() {
    let (clock, realm, one, two) = two().await;
    let (name, mut progress) = ("people".into(), |_| {});
    let slow = feed(Some((clock.clone(), Duration::from_secs(300))));
    let reading = Box::pin(one.ingest_feed(&realm.robot, &name, slow, &mut progress));
    let Either::Right(((), reading)) = select(reading, Box::pin(seconds(&clock, 35))).await else {
        panic!("it ended");
    };
    drop(reading);
    let (left, rows) = staged(&realm).await;
    assert_eq!((left.state, rows), (FeedState::Staging, 1_000));
    seconds(&clock, 15).await;
    assert!(read_by(&look(&realm, &two).await, "a"), "it may still be there");
    seconds(&clock, 16).await;
    assert!(applied(&look(&realm, &two).await));
    let (report, rows) = staged(&realm).await;
    assert_eq!((report.id, report.state, rows), (left.id, FeedState::Applied, 0), "nothing is left of it");
    assert_eq!(realm.all::<Identity>().await.len(), ROWS);
}

#[tokio::test(start_paused = true)]
async fn a_process_goes_on_at_once_with_what_it_dropped() {
    let (clock, realm, one, two) = two().await;
    let (name, mut progress) = ("people".into(), |_| {});
    let slow = feed(Some((clock.clone(), Duration::from_secs(300))));
    let reading = Box::pin(one.ingest_feed(&realm.robot, &name, slow, &mut progress));
    let dropped = select(reading, Box::pin(seconds(&clock, 5))).await;
    assert!(matches!(&dropped, Either::Right(_)));
    drop(dropped);
    assert!(read_by(&look(&realm, &two).await, "a"));
    assert!(applied(&look(&realm, &one).await));
    assert!(matches!(look(&realm, &two).await, FeedOutcome::AlreadyConsumed { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_paused_while_it_read_finds_that_another_went_on() {
    let (clock, realm, one, two) = two().await;
    let (name, mut progress) = ("people".into(), |_| {});
    let slow = feed(Some((clock.clone(), Duration::from_secs(20))));
    let reading = Box::pin(one.ingest_feed(&realm.robot, &name, slow, &mut progress));
    let Either::Right(((), paused)) = select(reading, Box::pin(seconds(&clock, 5))).await else {
        panic!("it ended");
    };
    // Nothing of it runs until its lease has ended and another has read everything.
    seconds(&clock, 31).await;
    assert!(applied(&look(&realm, &two).await));
    let error = paused.await.unwrap_err();
    assert!(error.kind() == ErrorKind::Conflict && error.retry() != Retry::Never, "{}", error.report());
    let (report, rows) = staged(&realm).await;
    assert_eq!((report.state, rows), (FeedState::Applied, 0));
    assert_eq!(realm.all::<Identity>().await.len(), ROWS);
    assert!(matches!(look(&realm, &one).await, FeedOutcome::AlreadyConsumed { .. }));
}

#[tokio::test]
async fn rules_that_cannot_be_used_are_refused_and_leave_the_source_as_it_was() {
    let (_, realm, one, _) = two().await;
    let known = one.sources().await.unwrap().remove(0).settings;
    for (correlate, code) in [
        (r#"{"rules":[{"name":"mail","items":[{"attribute":"mail"}]}]}"#, "C0008"),
        (r#"{"rules":[{"name":"a","items":[{"attribute":"b"}],"unless_matched_by":["c"]}]}"#, "C0009"),
    ] {
        let settings =
            SourceSettings { correlate: serde_json::from_str(correlate).unwrap(), ..known.clone() };
        let refused = one.put_source(&realm.robot, settings).await.unwrap_err();
        assert_eq!(refused.kind(), provision_core::ErrorKind::ConfigInvalid);
        assert!(refused.to_string().contains(code), "{refused}");
    }
    assert_eq!(one.sources().await.unwrap().remove(0).settings, known);
    let asks = SourceSettings { correlate: serde_json::from_str(r#"[["mail"]]"#).unwrap(), ..known };
    one.put_source(&realm.robot, asks).await.unwrap();
    let found = one.check_correlation().await.unwrap();
    assert_eq!((found.len(), found[0].code.as_str(), found[0].is_error()), (1, "C0008", false));
}
