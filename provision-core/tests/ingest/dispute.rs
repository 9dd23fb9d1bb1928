//! Rows that claim one key with different content.

use provision_core::model::{Dispute, RecordState};

use crate::fixture::{World, delta, full, row, rows, settings};

#[tokio::test]
async fn a_known_record_is_frozen_until_somebody_decides() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        world.applied("hr", full("1", rows(20))).await;
        let before = world.identity("hr", "p003").await;
        // First a changed row that is staged and written; much later another one.
        let mut day = rows(20);
        day[3] = row("p003", "First");
        day.push(row("p003", "Second"));
        day.push(row("p003", "Third"));
        let report = world.applied("hr", full("2", day)).await;
        assert_eq!((report.counts.disputed, report.counts.changed, report.counts.removed), (1, 0, 0));
        assert_eq!(world.identity("hr", "p003").await, before);
        assert_eq!(world.record("hr", "p003").await.unwrap().state, RecordState::Disputed);
        assert!(world.get::<Dispute>("record/hr/p003").await.unwrap().value.open);

        // Neither a single row nor its absence changes a frozen record.
        world.applied("hr", delta("3", vec![row("p003", "Fourth")])).await;
        let mut without = rows(20);
        without.remove(3);
        assert_eq!(world.applied("hr", full("4", without)).await.counts.removed, 0);
        assert_eq!(world.identity("hr", "p003").await, before);

        world.road().settle("record/hr/p003", "the fourth is right").await.unwrap();
        assert!(world.road().settle("record/hr/p003", "again").await.is_err());
        world.applied("hr", delta("5", vec![row("p003", "Fourth")])).await;
        assert_eq!(world.identity("hr", "p003").await.attributes.text("givenName"), Some("Fourth"));
        assert_eq!(world.source("hr").await.present, 20);
    }
}

#[tokio::test]
async fn the_second_row_counts_also_when_the_first_was_unchanged_or_new() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        world.applied("hr", full("1", rows(20))).await;
        let mut day = rows(20);
        day.insert(4, row("new", "One"));
        day.push(row("p003", "Other"));
        day.push(row("new", "Two"));
        let report = world.applied("hr", full("2", day)).await;
        assert_eq!((report.counts.disputed, report.counts.added, report.counts.unchanged), (2, 0, 19));
        assert_eq!(world.record("hr", "p003").await.unwrap().state, RecordState::Disputed);
        assert!(world.record("hr", "new").await.is_none());
        // Still frozen when only one of the rows comes again.
        world.applied("hr", delta("3", vec![row("new", "One")])).await;
        assert!(world.record("hr", "new").await.is_none());
        world.road().settle("record/hr/new", "one").await.unwrap();
        world.applied("hr", delta("4", vec![row("new", "One"), row("new", "One")])).await;
        assert_eq!(world.identity("hr", "new").await.attributes.text("givenName"), Some("One"));
    }
}

#[tokio::test]
async fn rows_without_a_usable_key_or_date_are_reported_and_the_others_go_on() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        let long = "k".repeat(2_000);
        let late = crate::fixture::dated("late", None, Some("9999-12-31"));
        let day = vec![row("", "Nobody"), row(&long, "Long"), late, row("a", "Ann")];
        let report = world.applied("hr", full("1", day)).await;
        assert_eq!(world.record("hr", "a").await.unwrap().ordinal + 1, report.counts.added);
        assert!(report.counts.problems >= 2);
        assert!(report.problems.iter().all(|problem| problem.code == "I0001"));
    }
}
