//! Joiners, movers, leavers, rehires, and what comes by the clock.

use provision_core::model::{Identity, RecordState, SourceRecord, Work};
use provision_core::value::{Attributes, Zone};

use crate::fixture::{World, at, dated, delta, ended, full, row, rows, settings, tombstone};

#[tokio::test]
async fn joiners_movers_and_leavers_change_their_identities_and_make_them_dirty() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        let report = world.applied("hr", full("1", rows(20))).await;
        assert_eq!((report.counts.added, report.promoted), (20, 20));
        assert_eq!(world.all::<Work>().await.len(), 20);
        world.work_off().await;
        let anna = world.identity("hr", "p001").await;

        let mut day = rows(20);
        day[1] = row("p001", "Anna");
        day[2] = ended("p002", "Name 2");
        day.remove(3);
        day.push(row("p100", "Jo"));
        let report = world.applied("hr", full("2", day)).await;
        let counts = report.counts;
        assert_eq!(
            (counts.added, counts.changed, counts.terminated, counts.removed, counts.unchanged),
            (1, 2, 1, 1, 17)
        );
        let moved = world.identity("hr", "p001").await;
        assert_eq!((moved.id, moved.version), (anna.id, anna.version + 1));
        assert_eq!(moved.attributes.text("givenName"), Some("Anna"));
        for gone in ["p002", "p003"] {
            assert_eq!(world.standing("hr", gone).await.as_str(), "terminated");
        }
        // A leaver keeps what was known: offboarding needs it.
        assert_eq!(world.identity("hr", "p003").await.attributes.text("givenName"), Some("Name 3"));
        let mut dirty: Vec<(String, bool)> =
            world.all::<Work>().await.into_iter().map(|w| (w.value.order, w.value.urgent)).collect();
        dirty.sort();
        let expected = [("hr/p001", false), ("hr/p002", true), ("hr/p003", true), ("hr/p100", false)];
        assert_eq!(dirty, expected.map(|(key, urgent)| (key.to_owned(), urgent)));
        assert_eq!(world.source("hr").await.present, 20);
        let events = world.events().await;
        let count = |event: &str| events.iter().filter(|e| *e == event).count();
        assert_eq!(
            ["identity.created", "identity.changed", "identity.terminated", "ingest.applied"].map(count),
            [21, 1, 2, 2]
        );
    }
}

#[tokio::test]
async fn history_names_what_changed_with_old_and_new_values() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        world.applied("hr", full("1", rows(3))).await;
        world.applied("hr", delta("2", vec![row("p001", "Anna")])).await;
        let id = world.identity("hr", "p001").await.id;
        let entry = world.audit().await.into_iter().rev().find(|entry| entry.identity == Some(id)).unwrap();
        assert_eq!(entry.event, "identity.changed");
        assert_eq!(
            entry.change.unwrap(),
            serde_json::json!({ "givenName": { "old": ["Name 1"], "new": ["Anna"] } })
        );
    }
}

#[tokio::test]
async fn a_rehire_is_the_same_identity() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        world.applied("hr", full("1", rows(10))).await;
        let before = world.identity("hr", "p004").await;
        world.applied("hr", delta("2", vec![tombstone("p004")])).await;
        assert_eq!(world.record("hr", "p004").await.unwrap().state, RecordState::Removed);
        assert_eq!(world.standing("hr", "p004").await.as_str(), "terminated");
        assert_eq!(world.source("hr").await.present, 9);
        // The very same row as before: its fingerprint is known, and it counts nevertheless.
        let report = world.applied("hr", full("3", rows(10))).await;
        assert_eq!((report.counts.changed, report.counts.unchanged), (1, 9));
        let after = world.identity("hr", "p004").await;
        assert_eq!((after.id, &after.attributes), (before.id, &before.attributes));
        assert_eq!(world.standing("hr", "p004").await.as_str(), "active");
        assert_eq!(world.source("hr").await.present, 10);
        assert_eq!(world.all::<Identity>().await.len(), 10);
    }
}

#[tokio::test]
async fn first_and_last_days_act_by_the_clock_in_the_persons_zone() {
    for world in World::each() {
        let mut hr = settings("hr");
        hr.zone = Zone::new("Europe/Berlin").unwrap();
        world.with_source(hr).await;
        let mut auckland = dated("auckland", Some("2026-12-01"), None);
        auckland.zone = Some(Zone::new("Pacific/Auckland").unwrap());
        let people = vec![
            dated("joiner", Some("2026-12-01"), None),
            dated("leaver", None, Some("2026-11-30")),
            auckland,
        ];
        world.applied("hr", full("1", people)).await;
        world.work_off().await;
        assert_eq!(world.standing("hr", "joiner").await.as_str(), "pre_hire");
        assert_eq!(world.road().due_by_time(100).await.unwrap(), 0);

        world.clock.set(at("2026-11-30T11:00:00Z"));
        assert_eq!(world.road().due_by_time(100).await.unwrap(), 1);
        assert_eq!(world.standing("hr", "auckland").await.as_str(), "active");
        world.clock.set(at("2026-11-30T23:00:00Z"));
        assert_eq!(world.road().due_by_time(1).await.unwrap(), 1);
        assert_eq!(world.road().due_by_time(100).await.unwrap(), 1);
        assert_eq!(world.road().due_by_time(100).await.unwrap(), 0);
        assert_eq!(world.standing("hr", "joiner").await.as_str(), "active");
        assert_eq!(world.standing("hr", "leaver").await.as_str(), "terminated");
        assert!(world.work("hr/leaver").await.unwrap().urgent);
        assert!(!world.work("hr/joiner").await.unwrap().urgent);
        assert_eq!(world.identity("hr", "leaver").await.next_change_at, None);
    }
}

#[tokio::test]
async fn unchanged_rows_write_nothing() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        world.applied("hr", full("1", rows(30))).await;
        let (records, identities) = (world.all::<SourceRecord>().await, world.all::<Identity>().await);
        world.work_off().await;
        let report = world.applied("hr", full("2", rows(30))).await;
        assert_eq!((report.counts.unchanged, report.promoted), (30, 0));
        assert_eq!(world.all::<SourceRecord>().await, records);
        assert_eq!(world.all::<Identity>().await, identities);
        assert!(world.all::<Work>().await.is_empty());
    }
}

#[tokio::test]
async fn a_change_leaves_a_workers_lease_and_fence_alone() {
    use provision_core::model::Lease;
    use provision_core::store::Changes;
    for world in World::each() {
        world.with_source(settings("hr")).await;
        world.applied("hr", full("1", rows(1))).await;
        let mut work = world.get::<Work>("hr/p000").await.unwrap();
        let seen = work.value.generation;
        let lease = Lease { owner: "w1".to_owned(), until: at("2026-11-20T08:05:00Z"), fence: 4 };
        work.value.lease = Some(lease.clone());
        work.value.fence = 4;
        let mut changes = Changes::in_realm(&work.value.realm);
        changes.replace(work.version, &work.value).unwrap();
        world.store.commit(changes).await.unwrap();
        world.applied("hr", full("2", vec![row("p000", "Else")])).await;
        let after = world.work("hr/p000").await.unwrap();
        assert_eq!((after.generation, after.lease, after.fence), (seen + 1, Some(lease), 4));
    }
}

#[tokio::test]
async fn a_cleared_attribute_is_null_and_an_absent_one_is_not_asserted() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        let both = Attributes::new().with("title", "Dr").with("mobile", "1");
        let cleared = Attributes::new().with_null("title");
        let person = |attributes| crate::fixture::record("a", attributes, Default::default());
        world.applied("hr", full("1", vec![person(both)])).await;
        world.applied("hr", full("2", vec![person(cleared.clone())])).await;
        assert_eq!(world.identity("hr", "a").await.attributes, cleared);
        assert_eq!(world.source("hr").await.filled.values().sum::<u64>(), 0);
    }
}
