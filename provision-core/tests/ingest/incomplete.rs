//! The incomplete-read matrix: whatever way a feed falls short, nobody is removed.

use provision_core::diagnostic::{Diagnostic, Severity};
use provision_core::ingest::FeedOutcome;
use provision_core::model::{FeedState, RecordState, SourceRecord};
use provision_core::source::{Absence, FeedEvent, FeedMode};

use crate::fixture::{World, broken, feed_of, full, row, rows, settings, whole};

/// Feeds 50 people, then `events`; nobody may be gone and the 50 be as they were.
async fn after(events: impl Fn() -> Vec<provision_core::Result<FeedEvent>>) -> Vec<FeedOutcome> {
    let mut outcomes = Vec::new();
    for world in World::each() {
        world.with_source(settings("hr")).await;
        world.applied("hr", full("1", rows(50))).await;
        let before = world.people().await;
        outcomes.push(world.feed("hr", feed_of(FeedMode::Full, "2", events())).await);
        let people = world.people().await;
        assert!(before.iter().all(|person| people.contains(person)), "{outcomes:?}");
        for record in world.all::<SourceRecord>().await {
            assert_eq!(record.value.state, RecordState::Present);
        }
        assert!(!world.events().await.contains(&"identity.terminated".to_owned()));
    }
    outcomes
}

#[tokio::test]
async fn truncated_without_an_end_adds_and_removes_nobody() {
    let mut some = rows(20);
    some.push(row("new", "Nina"));
    for outcome in after(|| vec![Ok(FeedEvent::Records(some.clone()))]).await {
        let FeedOutcome::Applied(report) = outcome else { panic!("{outcome:?}") };
        assert!(!report.completeness.is_complete());
        assert_eq!((report.counts.added, report.counts.removed, report.counts.absent), (1, 0, 0));
    }
}

#[tokio::test]
async fn empty_and_header_only_are_held() {
    for outcome in after(|| vec![whole()]).await {
        let FeedOutcome::Held { hold, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(hold.reasons[0], "the feed holds no record; 50 are known");
    }
    for outcome in after(Vec::new).await {
        assert!(matches!(outcome, FeedOutcome::Applied(report) if report.counts.removed == 0));
    }
}

#[tokio::test]
async fn an_empty_feed_is_held_however_few_people_there_are() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        world.applied("hr", full("1", rows(3))).await;
        let (_, hold) = world.held("hr", full("2", Vec::new())).await;
        assert_eq!(hold.reasons, ["the feed holds no record; 3 are known"]);
    }
}

#[tokio::test]
async fn a_page_fault_refuses_all_of_it_and_it_may_come_again() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        world.applied("hr", full("1", rows(50))).await;
        let before = world.people().await;
        let mut some = rows(20);
        some.extend((0..30).map(|n| row(&format!("n{n}"), "New")));
        let faulty = || feed_of(FeedMode::Full, "2", vec![Ok(FeedEvent::Records(some.clone())), broken()]);
        for _ in 0..2 {
            let outcome = world.feed("hr", faulty()).await;
            let FeedOutcome::Refused { report, reason } = outcome else { panic!("{outcome:?}") };
            assert_eq!(reason, "page 3 could not be read");
            assert_eq!(report.state, FeedState::Refused);
            assert_eq!(world.people().await, before);
        }
        // Both attempts are one feed, and leave nothing behind.
        assert_eq!(world.all::<provision_core::model::FeedReport>().await.len(), 2);
        assert!(world.all::<provision_core::model::FeedChange>().await.is_empty());
        assert_eq!(world.source("hr").await.last_order.as_deref(), Some("1"));
    }
}

#[tokio::test]
async fn a_repeated_page_is_counted_and_changes_nothing() {
    for outcome in
        after(|| vec![Ok(FeedEvent::Records(rows(50))), Ok(FeedEvent::Records(rows(25))), whole()]).await
    {
        let FeedOutcome::Applied(report) = outcome else { panic!("{outcome:?}") };
        assert_eq!((report.counts.repeated, report.counts.unchanged, report.counts.rows), (25, 50, 75));
    }
    // A page repeated in place of another one: the others are missing.
    for outcome in
        after(|| vec![Ok(FeedEvent::Records(rows(25))), Ok(FeedEvent::Records(rows(25))), whole()]).await
    {
        assert!(matches!(outcome, FeedOutcome::Held { .. }), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_filtered_tree_that_looks_complete_is_held() {
    for outcome in after(|| vec![Ok(FeedEvent::Records(rows(20))), whole()]).await {
        let FeedOutcome::Held { report, hold } = outcome else { panic!("{outcome:?}") };
        assert_eq!(
            hold.reasons,
            ["30 of 50 records (60 %) would be removed or terminated; the limit is 10 %",]
        );
        assert_eq!(hold.counts["removed"], 30);
        assert_eq!(report.state, FeedState::Held);
    }
}

#[tokio::test]
async fn absence_does_not_count_beside_rows_that_could_not_be_used() {
    let problem = Diagnostic::new(Severity::Error, "F0001", "line 7 has too few fields", "");
    let outcomes =
        after(|| vec![Ok(FeedEvent::Records(rows(49))), Ok(FeedEvent::Problem(problem.clone())), whole()]);
    for outcome in outcomes.await {
        let FeedOutcome::Applied(report) = outcome else { panic!("{outcome:?}") };
        assert_eq!((report.counts.removed, report.counts.problems), (0, 1));
        assert_eq!(report.problems[1].code, "I0002");
    }
}

#[tokio::test]
async fn absence_is_counted_over_as_many_feeds_as_the_source_demands() {
    for world in World::each() {
        let mut hr = settings("hr");
        hr.absence = Absence::RemoveAfter(2);
        world.with_source(hr).await;
        world.applied("hr", full("1", rows(10))).await;
        let report = world.applied("hr", full("2", rows(9))).await;
        assert_eq!((report.counts.absent, report.counts.removed), (1, 0));
        assert_eq!(world.record("hr", "p009").await.unwrap().state, RecordState::Absent(1));
        assert_eq!(world.standing("hr", "p009").await.as_str(), "active");
        // Back once: counting starts anew.
        world.applied("hr", full("3", rows(10))).await;
        assert_eq!(world.record("hr", "p009").await.unwrap().state, RecordState::Present);
        world.applied("hr", full("4", rows(9))).await;
        let report = world.applied("hr", full("5", rows(9))).await;
        assert_eq!((report.counts.absent, report.counts.removed), (0, 1));
        assert_eq!(world.record("hr", "p009").await.unwrap().state, RecordState::Removed);
        assert_eq!(world.standing("hr", "p009").await.as_str(), "terminated");
    }
}

#[tokio::test]
async fn absence_means_nothing_in_a_delta_or_where_the_source_ignores_it() {
    for world in World::each() {
        let mut ignoring = settings("ignoring");
        ignoring.absence = Absence::Ignore;
        world.with_source(ignoring).await;
        world.with_source(settings("hr")).await;
        for source in ["hr", "ignoring"] {
            world.applied(source, full("1", rows(10))).await;
        }
        world.applied("ignoring", full("2", rows(5))).await;
        world.applied("hr", crate::fixture::delta("2", rows(1))).await;
        for record in world.all::<SourceRecord>().await {
            assert_eq!(record.value.state, RecordState::Present);
        }
    }
}
