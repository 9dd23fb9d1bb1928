//! Stops at any point.

use futures_util::{StreamExt, stream};
use provision_core::connector::Completeness;
use provision_core::model::{FeedChange, FeedReport, FeedState, Identity, SourceRecord};
use provision_core::source::{Feed, FeedEvent, FeedMode, FeedSequence};

use crate::fixture::{World, full, rows, settings};

/// What must be the same after a stop as without it.
async fn state(world: &World) -> (Vec<String>, u64, u64, Vec<u64>) {
    let source = world.source("hr").await;
    let mut ordinals: Vec<u64> = world.all::<SourceRecord>().await.iter().map(|r| r.value.ordinal).collect();
    ordinals.sort_unstable();
    (world.people().await, source.present, source.next_ordinal, ordinals)
}

#[tokio::test]
async fn a_feed_that_was_being_read_is_discarded_and_read_again() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        let sequence = FeedSequence { order: Some("1".to_owned()), content: "x".to_owned() };
        let feed = |more: bool| {
            let start = stream::iter([Ok(FeedEvent::Records(rows(20)))]);
            let end = stream::iter([Ok(FeedEvent::End(Completeness::Complete { proof: "all".to_owned() }))]);
            let records: provision_core::source::FeedStream =
                if more { Box::pin(start.chain(end)) } else { Box::pin(start.chain(stream::pending())) };
            Feed { name: "f".to_owned(), mode: FeedMode::Full, sequence: sequence.clone(), records }
        };
        // The source hangs; the process is stopped.
        let (road, mut progress) = (world.road(), |_| {});
        let mut reading = Box::pin(road.feed("hr", feed(false), &mut progress));
        assert!(futures_util::poll!(&mut reading).is_pending());
        drop(reading);
        assert_eq!(world.all::<FeedChange>().await.len(), 14);

        assert!(world.road().resume().await.unwrap().is_empty());
        assert!(world.all::<FeedChange>().await.is_empty());
        let reports = world.all::<FeedReport>().await;
        assert_eq!(reports[0].value.state, FeedState::Refused);
        let report = world.applied("hr", feed(true)).await;
        assert_eq!(report.counts.added, 20);
        assert_eq!(report.id, reports[0].value.id);
        assert_eq!(world.all::<Identity>().await.len(), 20);
    }
}

#[tokio::test]
async fn a_delta_that_was_being_taken_over_goes_on_where_it_was() {
    for stop_after in 0..8 {
        for world in World::each() {
            let undisturbed = World::in_memory();
            for (world, stops) in [(&undisturbed, false), (&world, true)] {
                world.with_source(settings("hr")).await;
                world.applied("hr", full("1", rows(50))).await;
                let mut day = rows(15);
                day.extend(rows(60).split_off(50));
                let (report, hold) = world.held("hr", full("2", day)).await;
                world.approve(&hold).await;
                if !stops {
                    world.road().promote(report.id).await.unwrap();
                    continue;
                }
                // 45 changes in batches of 7: the first call begins, the eighth would end.
                for _ in 0..stop_after {
                    assert!(world.road().advance(report.id).await.unwrap().is_none());
                }
                let finished = world.road().resume().await.unwrap();
                if stop_after == 0 {
                    assert!(finished.is_empty(), "still held");
                    world.road().promote(report.id).await.unwrap();
                } else {
                    assert_eq!((finished[0].state, finished[0].promoted), (FeedState::Applied, 45));
                }
                assert!(world.all::<FeedChange>().await.is_empty());
            }
            assert_eq!(state(&world).await, state(&undisturbed).await, "stopped after {stop_after}");
            let created = |events: Vec<String>| events.iter().filter(|e| *e == "identity.created").count();
            assert_eq!(created(world.events().await), 60);
        }
    }
}

#[tokio::test]
async fn the_next_feed_finishes_the_one_before_it() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        world.applied("hr", full("1", rows(50))).await;
        let (report, hold) = world.held("hr", full("2", rows(20))).await;
        world.approve(&hold).await;
        for _ in 0..3 {
            world.road().advance(report.id).await.unwrap();
        }
        world.applied("hr", full("3", rows(20))).await;
        let first = world.get::<FeedReport>(&report.id.to_string()).await.unwrap().value;
        assert_eq!(first.state, FeedState::Applied);
        assert_eq!(world.source("hr").await.present, 20);
    }
}
