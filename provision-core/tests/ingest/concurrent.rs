//! Several feeds at once.

use provision_core::ErrorKind;
use provision_core::model::{FeedChange, Identity, SourceRecord};
use provision_core::source::{FeedRecord, SourceSettings};
use provision_core::value::Attributes;

use crate::fixture::{World, by_mail, full, record, rows, settings};

fn people(key: &str) -> Vec<FeedRecord> {
    let person = |n: usize| {
        let attributes = Attributes::new().with("mail", format!("p{n}@x")).with(key, format!("{n}"));
        record(&format!("{key}{n}"), attributes, Default::default())
    };
    (0..40).map(person).collect()
}

#[tokio::test]
async fn two_sources_at_once_make_one_identity_of_a_person() {
    let world = World::threaded();
    for name in ["a", "b", "c"] {
        world.with_source(SourceSettings { correlate: by_mail(), ..settings(name) }).await;
    }
    let (a, b, c) = tokio::join!(
        world.applied("a", full("1", people("a"))),
        world.applied("b", full("1", people("b"))),
        world.applied("c", full("1", people("c"))),
    );
    assert_eq!([a, b, c].map(|report| report.promoted), [40, 40, 40]);
    assert_eq!(world.all::<SourceRecord>().await.len(), 120);
    let identities = world.all::<Identity>().await;
    assert_eq!(identities.len(), 40);
    // Whoever came last has computed with the records of all three.
    for identity in identities {
        assert_eq!(identity.value.attributes.len(), 4, "{:?}", identity.value);
    }
}

#[tokio::test]
async fn of_two_readers_of_one_source_one_is_told_to_read_again() {
    let world = World::threaded();
    world.with_source(settings("hr")).await;
    let (road, mut one, mut two) = (world.road(), |_| {}, |_| {});
    let (one, two) = tokio::join!(
        road.feed("hr", full("1", rows(40)), &mut one),
        road.feed("hr", full("2", rows(41)), &mut two),
    );
    let lost: Vec<_> = [one, two].into_iter().filter_map(Result::err).collect();
    assert!(lost.len() <= 1 && lost.iter().all(|error| error.kind() == ErrorKind::Conflict), "{lost:?}");
    assert!(world.all::<FeedChange>().await.is_empty(), "the loser leaves nothing behind");
    world.road().feed("hr", full("2", rows(41)), &mut |_| {}).await.unwrap();
    assert_eq!(world.all::<Identity>().await.len(), 41);
    assert_eq!(world.source("hr").await.present, 41);
}
