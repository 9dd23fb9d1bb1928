//! Guards and holds.

use provision_core::ErrorKind;
use provision_core::ingest::FeedOutcome;
use provision_core::model::{FeedChange, FeedReport, FeedState, Hold, HoldState};
use provision_core::source::{FeedEvent, FeedMode};
use provision_core::value::Attributes;

use crate::fixture::{World, delta, ended, feed_of, full, record, row, rows, settings, tombstone};

#[tokio::test]
async fn an_approval_takes_the_delta_over_once() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        world.applied("hr", full("1", rows(50))).await;
        let mut day = rows(20);
        day.push(row("new", "Nina"));
        let (report, hold) = world.held("hr", full("2", day.clone())).await;
        // The whole delta waits, joiners included.
        assert!(world.record("hr", "new").await.is_none());
        assert!(world.events().await.contains(&"ingest.held".to_owned()));
        let early = world.road().promote(report.id).await.unwrap_err();
        assert_eq!((early.kind(), early.message()), (ErrorKind::Conflict, "the feed waits for approval"));
        // Delivered again, it is known.
        assert!(matches!(
            world.feed("hr", full("2", day)).await,
            FeedOutcome::AlreadyConsumed { earlier } if earlier.state == FeedState::Held
        ));

        world.approve(&hold).await;
        let done = world.road().promote(report.id).await.unwrap();
        assert_eq!((done.state, done.promoted), (FeedState::Applied, 31));
        assert_eq!(world.standing("hr", "p030").await.as_str(), "terminated");
        assert_eq!(world.source("hr").await.present, 21);
        assert_eq!(world.source("hr").await.last_order.as_deref(), Some("2"));
        assert_eq!(world.get::<Hold>(&hold.id.to_string()).await.unwrap().value.state, HoldState::Used);
        let again = world.road().promote(report.id).await.unwrap_err();
        assert_eq!((again.kind(), again.retry()), (ErrorKind::Conflict, provision_core::Retry::Never));
    }
}

#[tokio::test]
async fn an_approval_is_for_exactly_what_was_held() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        world.applied("hr", full("1", rows(50))).await;
        let (report, hold) = world.held("hr", full("2", rows(20))).await;
        world.approve(&hold).await;
        let staged = world.all::<FeedChange>().await.remove(0).value;
        let mut changes = provision_core::store::Changes::in_realm(&report.realm);
        changes.put(&FeedChange { key: "p001".to_owned(), ..staged }).unwrap();
        world.store.commit(changes).await.unwrap();
        let refused = world.road().promote(report.id).await.unwrap_err();
        assert_eq!(refused.message(), "the staged changes are not those that were held");
        assert_eq!(world.standing("hr", "p001").await.as_str(), "active");
    }
}

#[tokio::test]
async fn a_rejected_feed_is_dropped_and_known() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        world.applied("hr", full("1", rows(50))).await;
        let (report, hold) = world.held("hr", full("2", rows(20))).await;
        assert_eq!(world.road().reject(report.id).await.unwrap().state, FeedState::Refused);
        assert_eq!(world.get::<Hold>(&hold.id.to_string()).await.unwrap().value.state, HoldState::Rejected);
        assert!(world.all::<FeedChange>().await.is_empty());
        assert!(world.road().reject(report.id).await.is_err());
        assert!(world.road().promote(report.id).await.is_err());
        let outcome = world.feed("hr", full("2", rows(20))).await;
        assert!(matches!(outcome, FeedOutcome::AlreadyConsumed { .. }), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_newer_feed_supersedes_what_is_held() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        world.applied("hr", full("1", rows(50))).await;
        let (old, old_hold) = world.held("hr", full("2", rows(20))).await;
        world.approve(&old_hold).await;
        let (newer, newer_hold) = world.held("hr", full("3", rows(21))).await;
        world.applied("hr", full("4", rows(51))).await;
        for hold in [old_hold, newer_hold] {
            let hold = world.get::<Hold>(&hold.id.to_string()).await.unwrap().value;
            assert_eq!(hold.state, HoldState::Superseded);
        }
        for feed in [old, newer] {
            assert_eq!(
                world.get::<FeedReport>(&feed.id.to_string()).await.unwrap().value.state,
                FeedState::Refused
            );
            assert!(world.road().promote(feed.id).await.is_err());
        }
        assert!(world.all::<FeedChange>().await.is_empty());
        assert_eq!(world.source("hr").await.present, 51);
    }
}

#[tokio::test]
async fn terminations_and_tombstones_count_as_removals_and_old_leavers_do_not() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        let mut people = rows(40);
        people.extend((0..20).map(|n| ended(&format!("old{n}"), "Gone")));
        // People who were gone when we first heard of them end nobody's employment.
        world.applied("hr", full("1", people)).await;
        let mut day = vec![ended("p000", "A"), ended("p001", "B"), ended("p002", "C"), ended("p003", "D")];
        day.extend([tombstone("p004"), tombstone("p005"), tombstone("p006")]);
        let (report, hold) = world.held("hr", delta("2", day)).await;
        assert_eq!((report.counts.terminated, report.counts.removed), (4, 3));
        assert_eq!(
            hold.reasons,
            ["7 of 60 records (11 %) would be removed or terminated; the limit is 10 %"]
        );
        // Old leavers that drop out of the file destroy nothing.
        let report = world.applied("hr", full("3", rows(40))).await;
        assert_eq!(report.counts.removed, 20);
    }
}

#[tokio::test]
async fn a_few_removals_are_always_allowed() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        world.applied("hr", full("1", rows(8))).await;
        assert_eq!(world.applied("hr", full("2", rows(3))).await.counts.removed, 5);
    }
}

#[tokio::test]
async fn a_canary_that_is_missing_or_terminated_holds_the_feed() {
    for world in World::each() {
        let mut hr = settings("hr");
        hr.guard.canaries = ["p000".to_owned(), "p001".to_owned()].into();
        world.with_source(hr).await;
        world.applied("hr", full("1", rows(20))).await;
        let mut day = rows(20);
        day[0] = ended("p000", "Name 0");
        day.remove(1);
        let (_, hold) = world.held("hr", full("2", day)).await;
        assert_eq!(
            hold.reasons,
            ["the canary record `p000` is removed or terminated", "the canary record `p001` is missing"]
        );
        world.applied("hr", full("3", rows(20))).await;
        let (report, hold) = world.held("hr", delta("4", vec![tombstone("p001")])).await;
        assert_eq!(hold.reasons, ["the canary record `p001` is removed or terminated"]);
        world.road().reject(report.id).await.unwrap();
        world.applied("hr", delta("5", vec![row("p007", "Fine")])).await;
    }
}

#[tokio::test]
async fn mass_clearing_of_an_attribute_holds_the_feed() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        let person = |n: usize, title: Option<&str>| {
            let named = Attributes::new().with("givenName", format!("N{n}"));
            let attributes = match title {
                Some(title) => named.with("title", title),
                None => named.with_null("title"),
            };
            record(&format!("p{n}"), attributes, Default::default())
        };
        world.applied("hr", full("1", (0..30).map(|n| person(n, Some("Dr"))).collect())).await;
        let cleared = |until: usize| (0..30).map(|n| person(n, (n >= until).then_some("Dr"))).collect();
        let (_, hold) = world.held("hr", full("2", cleared(7))).await;
        assert_eq!(hold.reasons, ["7 of 30 values of `title` (23 %) would be cleared; the limit is 20 %"]);
        world.applied("hr", full("3", cleared(6))).await;
        assert_eq!(world.source("hr").await.filled["title"], 24);
    }
}

#[tokio::test]
async fn a_delta_waits_behind_one_that_is_held() {
    for world in World::each() {
        let mut hr = settings("hr");
        hr.guard.canaries = ["p000".to_owned()].into();
        world.with_source(hr).await;
        world.applied("hr", full("1", rows(20))).await;
        let (held, hold) = world.held("hr", delta("2", vec![tombstone("p000"), row("p001", "New")])).await;
        for (order, approved) in [("3", false), ("4", true)] {
            if approved {
                world.approve(&hold).await;
            }
            let outcome = world.feed("hr", delta(order, vec![row("p002", "Newer")])).await;
            assert!(matches!(outcome, FeedOutcome::Refused { .. }), "{outcome:?}");
            // A whole one that was cut short replaces nothing either.
            let cut = feed_of(FeedMode::Full, order, vec![Ok(FeedEvent::Records(rows(3)))]);
            let outcome = world.feed("hr", cut).await;
            assert!(matches!(outcome, FeedOutcome::Refused { .. }), "{outcome:?}");
        }
        assert_eq!(
            world.get::<Hold>(&hold.id.to_string()).await.unwrap().value.state,
            HoldState::Approved,
            "what was held stands"
        );
        world.road().promote(held.id).await.unwrap();
        assert_eq!(world.standing("hr", "p000").await.as_str(), "terminated");
        assert_eq!(world.identity("hr", "p001").await.attributes.text("givenName"), Some("New"));
        world.applied("hr", delta("3", vec![row("p002", "Newer")])).await;
        assert_eq!(world.identity("hr", "p002").await.attributes.text("givenName"), Some("Newer"));
    }
}

#[tokio::test]
async fn removals_of_a_source_without_lifecycle_are_guarded_too() {
    for world in World::each() {
        let mut badges = settings("badges");
        badges.asserts_lifecycle = false;
        world.with_source(badges).await;
        world.applied("badges", full("1", rows(50))).await;
        let (_, hold) = world.held("badges", full("2", rows(30))).await;
        assert_eq!(
            hold.reasons,
            ["20 of 50 records (40 %) would be removed or terminated; the limit is 10 %",]
        );
    }
}
