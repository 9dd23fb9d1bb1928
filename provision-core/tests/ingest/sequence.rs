//! Feeds already consumed, and older ones.

use provision_core::ingest::FeedOutcome;

use crate::fixture::{World, full, row, rows, settings};

#[tokio::test]
async fn a_feed_already_consumed_is_reported_and_not_read() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        let first = world.applied("hr", full("1", rows(5))).await;
        world.applied("hr", full("2", rows(6))).await;
        for _ in 0..2 {
            let outcome = world.feed("hr", full("1", rows(5))).await;
            let FeedOutcome::AlreadyConsumed { earlier } = outcome else { panic!("{outcome:?}") };
            assert_eq!(earlier.id, first.id);
        }
        assert_eq!(world.source("hr").await.present, 6);
    }
}

#[tokio::test]
async fn an_older_or_equal_order_with_other_content_is_not_diffed() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        world.applied("hr", full("2026-11-20", rows(5))).await;
        let before = world.people().await;
        for order in ["2026-11-19", "2026-11-20"] {
            let outcome = world.feed("hr", full(order, vec![row("p000", "Other")])).await;
            let FeedOutcome::Older { last_order } = outcome else { panic!("{outcome:?}") };
            assert_eq!(last_order, "2026-11-20");
        }
        assert_eq!(world.people().await, before);
    }
}

#[tokio::test]
async fn a_revert_to_an_earlier_content_is_read_when_it_is_declared_newer() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        world.applied("hr", full("1", rows(5))).await;
        let before = world.people().await;
        let mut other = rows(5);
        other[0] = row("p000", "Other");
        world.applied("hr", full("2", other)).await;
        let report = world.applied("hr", full("3", rows(5))).await;
        assert_eq!(report.counts.changed, 1);
        assert_eq!(world.people().await, before);
        let report = world.applied("hr", full("4", rows(5))).await;
        assert_eq!((report.counts.unchanged, report.promoted), (5, 0));
    }
}

#[tokio::test]
async fn feeds_without_an_order_go_by_content_alone() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        world.applied("hr", full("", rows(5))).await;
        world.applied("hr", full("", rows(6))).await;
        assert!(matches!(world.feed("hr", full("", rows(5))).await, FeedOutcome::AlreadyConsumed { .. }));
    }
}

#[tokio::test]
async fn a_feed_cut_short_leaves_its_place_to_the_whole_one() {
    use provision_core::source::{FeedEvent, FeedMode};
    for world in World::each() {
        world.with_source(settings("hr")).await;
        let cut = crate::fixture::feed_of(FeedMode::Full, "1", vec![Ok(FeedEvent::Records(rows(3)))]);
        world.applied("hr", cut).await;
        let report = world.applied("hr", full("1", rows(5))).await;
        assert_eq!((report.counts.unchanged, report.counts.added), (3, 2));
    }
}
