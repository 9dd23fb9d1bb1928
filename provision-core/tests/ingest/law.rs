//! The law: what was delivered before the last full feed does not matter.

use proptest::prelude::*;
use provision_core::source::FeedRecord;

use crate::fixture::{World, ended, full, row, settings};

#[derive(Clone, Debug)]
enum Person {
    Missing,
    Here(u8),
    Ended(u8),
}

fn file() -> impl Strategy<Value = Vec<Person>> {
    let person = prop_oneof![
        2 => Just(Person::Missing),
        5 => (0..4u8).prop_map(Person::Here),
        1 => (0..4u8).prop_map(Person::Ended),
    ];
    prop::collection::vec(person, 12)
}

fn rows(file: &[Person]) -> Vec<FeedRecord> {
    let rows = file.iter().enumerate().filter_map(|(n, person)| match person {
        Person::Missing => None,
        Person::Here(name) => Some(row(&format!("p{n}"), &format!("Name {name}"))),
        Person::Ended(name) => Some(ended(&format!("p{n}"), &format!("Name {name}"))),
    });
    rows.collect()
}

/// The world after the files; nothing is held.
async fn after(files: &[Vec<Person>]) -> World {
    let world = World::in_memory();
    let mut hr = settings("hr");
    hr.guard.removed_percent_max = 100;
    hr.guard.cleared_percent_max = 100;
    world.with_source(hr).await;
    for (n, file) in files.iter().enumerate() {
        let mut rows = rows(file);
        // Somebody is always there: an empty full feed is held.
        rows.push(row("anchor", "Anchor"));
        world.feed("hr", full(&format!("{n:04}"), rows)).await;
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_last_full_feed_decides_whatever_came_before(
        history in prop::collection::vec(file(), 0..6),
        last in file(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut files = history;
            files.push(last.clone());
            let (long, once) = (after(&files).await, after(std::slice::from_ref(&last)).await);
            // People the last file does not hold are terminated, as if they had never been: leave them out.
            let people = once.people().await;
            let standing: Vec<String> = long
                .people()
                .await
                .into_iter()
                .filter(|person| {
                    let key = person.split([':', ' ']).nth(1).unwrap();
                    rows(&last).iter().any(|row| row.key == key) || key == "anchor"
                })
                .collect();
            prop_assert_eq!(standing, people);
            for (n, person) in last.iter().enumerate() {
                let key = format!("p{n}");
                if long.record("hr", &key).await.is_some() {
                    let here = matches!(person, Person::Here(_));
                    prop_assert_eq!(long.standing("hr", &key).await.as_str() == "active", here);
                }
            }
            prop_assert_eq!(long.source("hr").await.present, once.source("hr").await.present);
            prop_assert_eq!(
                long.source("hr").await.filled,
                once.source("hr").await.filled
            );
            Ok(())
        })?;
    }
}
