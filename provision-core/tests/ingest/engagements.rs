//! Rows that are engagements: people who have several.

use std::collections::BTreeMap;

use proptest::prelude::*;
use provision_core::ingest::FeedOutcome;
use provision_core::model::{Dispute, Employment, Identity, Lifecycle, SourceRecord, Status};
use provision_core::runtime::Clock;
use provision_core::source::{EngagementSettings, FeedGuard, FeedRecord, SourceSettings};
use provision_core::store::Stored;
use provision_core::value::Attributes;

use crate::fixture::{World, at, delta, full, record, settings, tombstone};

fn rows_of_people(name: &str) -> SourceSettings {
    let engagements = EngagementSettings { person: "number".into(), primary: Some("main".into()) };
    SourceSettings { engagements: Some(engagements), ..settings(name) }
}

/// A row: key, person, title, last day.
fn post(key: &str, person: &str, title: &str, end: Option<&str>) -> FeedRecord {
    let attributes = Attributes::new().with("number", person).with("title", title);
    let end = end.map(|end| end.parse().unwrap());
    record(key, attributes, Employment { end, ..Employment::default() })
}

fn with(mut row: FeedRecord, name: &str, value: &str) -> FeedRecord {
    row.attributes = row.attributes.with(name, value);
    row.fingerprint = format!("{:?}{:?}", row.attributes, row.employment);
    row
}

fn titles(identity: &Identity) -> Vec<(&str, &str)> {
    let all = identity.engagements.iter();
    all.map(|one| (one.key.as_str(), one.attributes.text("title").unwrap_or_default())).collect()
}

#[tokio::test]
async fn rows_of_one_person_are_one_identity_that_lasts_while_one_row_does() {
    for world in World::each() {
        world.with_source(rows_of_people("hr")).await;
        let both = [post("77", "P1", "Clerk", None), post("12", "P1", "Cook", Some("2026-11-30"))];
        world
            .applied("hr", full("1", vec![both[0].clone(), post("5", "P2", "Boss", None), both[1].clone()]))
            .await;
        assert_eq!(world.all::<Identity>().await.len(), 2);
        let jane = world.identity("hr", "77").await;
        assert_eq!((jane.source.as_str(), jane.key.as_str()), ("hr", "P1"), "known by what tells the person");
        assert_eq!(titles(&jane), [("12", "Cook"), ("77", "Clerk")]);
        assert_eq!(jane.attributes.text("title"), Some("Cook"), "the key decides between equals");
        assert_eq!(jane.next_change_at, Some(at("2026-12-01T00:00:00Z")));
        let boss = world.identity("hr", "5").await;
        assert!(boss.engagements.is_empty(), "a single one is the person");
        // The cook's contract ends: by the clock, without a feed.
        world.work_off().await;
        world.clock.set(at("2026-12-01T08:00:00Z"));
        assert_eq!(world.road().due_by_time(10).await.unwrap(), 1);
        let jane = world.identity("hr", "77").await;
        assert_eq!(jane.lifecycle(world.clock.now()).unwrap(), (Lifecycle::Active, None));
        assert_eq!(jane.attributes.text("title"), Some("Clerk"));
        let work = world.work("hr/P1").await.unwrap();
        assert!(!work.urgent, "nobody leaves");
        // Her last row goes: she leaves.
        let report = world.applied("hr", full("2", vec![post("5", "P2", "Boss", None)])).await;
        assert_eq!((report.counts.removed, report.counts.terminated), (2, 0));
        assert_eq!(world.standing("hr", "77").await, Lifecycle::Terminated);
        assert_eq!(world.events().await.iter().filter(|event| *event == "identity.terminated").count(), 1);
        // A new contract years later is the same person.
        world
            .applied("hr", full("3", vec![post("5", "P2", "Boss", None), post("301", "P1", "Chef", None)]))
            .await;
        let again = world.identity("hr", "301").await;
        assert_eq!((again.id, again.attributes.text("title")), (jane.id, Some("Chef")));
        assert_eq!(world.standing("hr", "301").await, Lifecycle::Active);
    }
}

#[tokio::test]
async fn a_row_less_is_a_removal_and_nobody_leaves() {
    for world in World::each() {
        let guard =
            FeedGuard { removed_always: 1, canaries: ["77".to_owned()].into(), ..FeedGuard::default() };
        world.with_source(SourceSettings { guard, ..rows_of_people("hr") }).await;
        let rows: Vec<FeedRecord> = (0..10)
            .flat_map(|n| {
                [
                    post(&format!("7{n}"), &format!("P{n}"), "a", None),
                    post(&format!("8{n}"), &format!("P{n}"), "b", None),
                ]
            })
            .collect();
        world.applied("hr", full("1", rows.clone())).await;
        assert_eq!((world.source("hr").await.present, world.all::<Identity>().await.len()), (20, 10));
        let report = world.applied("hr", full("2", rows[..19].to_vec())).await;
        assert_eq!((report.counts.removed, report.counts.terminated), (1, 0));
        assert_eq!(world.source("hr").await.present, 19);
        assert!(world.identity("hr", "79").await.engagements.is_empty(), "one is left");
        assert_eq!(world.standing("hr", "79").await, Lifecycle::Active);
        // Every second row missing: nobody would leave, and yet half of all access would go.
        let halves: Vec<FeedRecord> = rows.iter().step_by(2).cloned().collect();
        let (report, hold) = world.held("hr", full("3", halves)).await;
        assert_eq!(report.counts.removed, 9);
        assert!(hold.reasons.iter().any(|reason| reason.contains("9 of 19 records")), "{:?}", hold.reasons);
        // The canary is a row.
        let without: Vec<FeedRecord> = rows[..19].iter().filter(|row| row.key != "77").cloned().collect();
        let (_, hold) = world.held("hr", full("4", without)).await;
        assert!(hold.reasons.iter().any(|reason| reason.contains("canary")), "{:?}", hold.reasons);
        assert_eq!(world.standing("hr", "77").await, Lifecycle::Active);
    }
}

#[tokio::test]
async fn a_row_without_person_cannot_be_used_and_proves_no_absence() {
    for world in World::each() {
        world.with_source(rows_of_people("hr")).await;
        world.applied("hr", full("1", vec![post("1", "P1", "a", None), post("2", "P2", "b", None)])).await;
        let nobodys =
            record("3", Attributes::new().with("title", "x").with("number", " "), Employment::default());
        let report = world.applied("hr", full("2", vec![post("1", "P1", "a", None), nobodys])).await;
        assert_eq!((report.counts.problems, report.counts.removed), (1, 0));
        assert!(report.problems[0].summary.contains("`number`"), "{:?}", report.problems);
        assert_eq!(world.all::<SourceRecord>().await.len(), 2);
        assert_eq!(world.standing("hr", "2").await, Lifecycle::Active);
    }
}

#[tokio::test]
async fn the_primary_row_leads_and_another_source_beside_it_counts() {
    for world in World::each() {
        world.with_source(SourceSettings { precedence: 1, ..rows_of_people("hr") }).await;
        let contractors: SourceSettings = serde_json::from_value(serde_json::json!({
            "name": "contractors", "kind": "rows", "precedence": 2,
            "correlate": { "rules": [{ "name": "mail", "items": [{ "attribute": "mail" }] }], "verifies_mail": true }
        }))
        .unwrap();
        world.with_source(contractors).await;
        let rows = vec![
            with(post("1", "P1", "Clerk", Some("2026-11-30")), "mail", "a@x"),
            with(with(post("2", "P1", "Chief", Some("2026-11-25")), "main", "Yes"), "phone", "5"),
        ];
        world.applied("hr", full("1", rows)).await;
        let mut outside = record(
            "k9",
            Attributes::new().with("mail", "a@x").with("title", "Adviser"),
            Employment::default(),
        );
        outside.employment.start = "2026-12-15".parse().ok();
        world.applied("contractors", full("1", vec![outside])).await;
        let jane = world.identity("contractors", "k9").await;
        assert_eq!(titles(&jane), [("2", "Chief"), ("1", "Clerk"), ("k9", "Adviser")]);
        let seen = |now: &str| {
            let (lifecycle, next) = jane.lifecycle(at(now)).unwrap();
            let seen = jane.as_of(at(now)).unwrap();
            let title = seen.attributes.text("title").unwrap().to_owned();
            (
                lifecycle.as_str(),
                title,
                seen.attributes.text("phone").map(str::to_owned),
                next.map(|at| at.to_string()),
            )
        };
        let expected = |lifecycle, title: &str, phone: Option<&str>, next: Option<&str>| {
            (lifecycle, title.to_owned(), phone.map(str::to_owned), next.map(str::to_owned))
        };
        assert_eq!(
            seen("2026-11-20T08:00:00Z"),
            expected("active", "Chief", Some("5"), Some("2026-11-26T00:00:00Z"))
        );
        assert_eq!(
            seen("2026-11-26T08:00:00Z"),
            expected("active", "Clerk", None, Some("2026-12-01T00:00:00Z"))
        );
        assert_eq!(
            seen("2026-12-01T08:00:00Z"),
            expected("pre_hire", "Adviser", None, Some("2026-12-15T00:00:00Z"))
        );
        assert_eq!(seen("2026-12-15T08:00:00Z"), expected("active", "Adviser", None, None));
    }
}

#[tokio::test]
async fn a_row_that_says_it_is_another_persons_waits_for_somebody_to_look() {
    for world in World::each() {
        world.with_source(rows_of_people("hr")).await;
        let rows = |person: &str| vec![post("1", "P1", "a", None), post("2", person, "b", None)];
        world.applied("hr", full("1", rows("P1"))).await;
        let jane = world.identity("hr", "1").await;
        assert_eq!(jane.engagements.len(), 2);
        for (order, to) in [("2", "P9"), ("3", "P9")] {
            world.applied("hr", full(order, rows(to))).await;
            assert_eq!(world.identity("hr", "1").await.engagements.len(), 2, "nothing moves");
            assert_eq!(world.all::<Identity>().await.len(), 1);
        }
        let open: Vec<Stored<Dispute>> = world.all::<Dispute>().await;
        assert_eq!(open.len(), 1);
        assert!(open[0].value.open && open[0].value.detail.contains("`P9`"), "{}", open[0].value.detail);
        world.road().settle(&Dispute::row_key(&open[0].value.about), "accept").await.unwrap();
        world.applied("hr", full("4", rows("P9"))).await;
        let other = world.identity("hr", "2").await;
        assert_eq!((other.key.as_str(), world.all::<Identity>().await.len()), ("P9", 2));
        assert!(world.identity("hr", "1").await.engagements.is_empty());
        // What was accepted was that change, not the next one.
        world.applied("hr", full("5", rows("P1"))).await;
        assert_eq!(world.identity("hr", "2").await.id, other.id);
        assert!(world.all::<Dispute>().await[0].value.open);
    }
}

#[tokio::test]
async fn rows_that_were_people_before_are_asked_about_and_new_ones_join() {
    for world in World::each() {
        world.with_source(settings("hr")).await;
        let rows = [post("1", "P1", "a", None), post("2", "P2", "b", None), post("3", "P2", "c", None)];
        world.applied("hr", full("1", rows.to_vec())).await;
        assert_eq!(world.all::<Identity>().await.len(), 3);
        let mut source = world.get::<provision_core::model::ConfiguredSource>("hr").await.unwrap();
        source.value.settings = rows_of_people("hr");
        let mut changes = provision_core::store::Changes::in_realm(&"acme".into());
        changes.replace(source.version, &source.value).unwrap();
        world.store.commit(changes).await.unwrap();
        let more = [post("11", "P1", "d", None), post("12", "P2", "e", None), post("P1", "P7", "f", None)];
        world.applied("hr", full("2", rows.iter().chain(&more).cloned().collect())).await;
        let jane = world.identity("hr", "1").await;
        assert_eq!((jane.key.as_str(), world.identity("hr", "11").await.id), ("1", jane.id));
        assert_eq!(world.record("hr", "12").await, None, "two people are known by its value");
        assert_eq!(world.all::<Dispute>().await.len(), 1);
        assert_eq!(world.identity("hr", "P1").await.key, "P7");
    }
}

#[tokio::test]
async fn a_column_that_does_not_tell_people_apart_does_not_make_one_of_all() {
    let world = World::in_memory();
    world.with_source(rows_of_people("hr")).await;
    let rows: Vec<FeedRecord> = (0..150).map(|n| post(&format!("r{n}"), "n/a", "x", None)).collect();
    world.applied("hr", full("1", rows)).await;
    assert_eq!(world.all::<Identity>().await.len(), 1);
    assert_eq!(world.all::<SourceRecord>().await.len(), 100);
    assert_eq!(world.all::<Dispute>().await.len(), 50);
}

/// What two runs must agree on: people by key, with all that is computed.
async fn picture(world: &World) -> Vec<String> {
    let mut shown = Vec::new();
    for Stored { value: one, .. } in world.all::<Identity>().await {
        let mut keys: Vec<String> = Vec::new();
        for Stored { value: record, .. } in world.all::<SourceRecord>().await {
            if record.identity == one.id {
                keys.push(format!("{} {:?}", record.key, record.state));
            }
        }
        shown.push(format!(
            "{}:{} {keys:?} {:?} {:?} {:?} {:?} {:?}",
            one.source,
            one.key,
            one.attributes,
            one.provenance,
            one.employment,
            one.engagements,
            one.next_change_at
        ));
    }
    shown.sort();
    shown
}

/// A row of the property test: person, title, status and last day.
type Post = (usize, usize, usize, Option<u8>);

fn feed_rows(posts: &[Post]) -> Vec<FeedRecord> {
    let row = |(number, (person, title, status, end)): (usize, &Post)| {
        let end = end.map(|day| format!("2026-11-{day:02}"));
        let mut row =
            post(&format!("r{number:02}"), &format!("P{person}"), &format!("t{title}"), end.as_deref());
        row.employment.status = [Status::Active, Status::OnLeave, Status::Terminated][*status];
        row.fingerprint = format!("{:?}{:?}", row.attributes, row.employment);
        row
    };
    posts.iter().enumerate().map(row).collect()
}

fn posts() -> impl Strategy<Value = Vec<Post>> {
    prop::collection::vec((0..4usize, 0..3usize, 0..3usize, prop::option::of(1..30u8)), 1..16)
}

async fn fed(batch: u32, feeds: Vec<Vec<FeedRecord>>, restarts: bool) -> Vec<String> {
    let world = World::in_memory();
    let guard = FeedGuard { removed_percent_max: 100, cleared_percent_max: 100, ..FeedGuard::default() };
    world.with_source(SourceSettings { guard, ..rows_of_people("hr") }).await;
    for (number, rows) in feeds.into_iter().enumerate() {
        let feed = full(&format!("{number:03}"), rows.clone());
        let outcome = world.road().with_batch(batch).feed("hr", feed, &mut |_| {}).await.unwrap();
        assert!(matches!(outcome, FeedOutcome::Applied(_)));
        if restarts {
            // The same delivery once more, read anew.
            let feed = delta(&format!("{number:03}x"), rows);
            world.road().with_batch(1).feed("hr", feed, &mut |_| {}).await.unwrap();
        }
    }
    picture(&world).await
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_rows_the_cut_into_batches_and_repetition_make_no_difference(
        posts in posts(),
        seed in any::<u64>(),
        batch in 1..9u32,
    ) {
        let rows = feed_rows(&posts);
        let mut shuffled = rows.clone();
        let mut state = seed | 1;
        for index in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            shuffled.swap(index, (state >> 33) as usize % (index + 1));
        }
        let expected = block_on(fed(1_000, vec![rows.clone()], false));
        prop_assert_eq!(&block_on(fed(batch, vec![shuffled.clone()], false)), &expected);
        prop_assert_eq!(&block_on(fed(batch, vec![shuffled.clone()], true)), &expected);
        // One identity for each person.
        let people: std::collections::BTreeSet<usize> = posts.iter().map(|post| post.0).collect();
        prop_assert_eq!(expected.len(), people.len());
    }
}

#[tokio::test]
async fn each_attribute_may_have_a_precedence_of_its_own() {
    for world in World::each() {
        let hr = SourceSettings {
            precedence: 1,
            precedence_of: BTreeMap::from([("mail".into(), 9)]),
            null_yields: ["room".into()].into(),
            ..settings("hr")
        };
        world.with_source(hr).await;
        let it = SourceSettings { precedence: 5, asserts_lifecycle: false, ..settings("it") };
        let correlate = serde_json::from_value(serde_json::json!([["number"]])).unwrap();
        world.with_source(SourceSettings { correlate, ..it }).await;
        let all = |title: Option<&str>, mail: Option<&str>, room: Option<&str>| {
            let mut attributes = Attributes::new().with("number", "1");
            for (name, value) in [("title", title), ("mail", mail), ("room", room)] {
                attributes = match value {
                    Some("") => attributes.with_null(name),
                    Some(value) => attributes.with(name, value),
                    None => attributes,
                };
            }
            attributes
        };
        let shown = |one: &Identity| {
            ["title", "mail", "room"].map(|name| {
                let from = one.provenance.get(name).map_or("-", |source| source.as_str());
                let value =
                    one.attributes.get(name).map(|slot| slot.values().first().map(|value| value.to_plain()));
                format!("{from} {value:?}")
            })
        };
        let it_row = record("x1", all(Some("T"), Some("t@x"), Some("9")), Employment::default());
        for (order, given, expected) in [
            ("1", all(Some("H"), Some("h@x"), Some("1")), ["hr \"H\"", "it \"t@x\"", "hr \"1\""]),
            ("2", all(Some(""), Some(""), Some("")), ["hr null", "it \"t@x\"", "it \"9\""]),
            ("3", all(None, None, None), ["it \"T\"", "it \"t@x\"", "it \"9\""]),
        ] {
            world.applied("hr", full(order, vec![record("1", given, Employment::default())])).await;
            if order == "1" {
                world.applied("it", full("1", vec![it_row.clone()])).await;
            }
            let expected = expected.map(|text| {
                let (from, value) = text.split_once(' ').unwrap();
                let value = (value != "null").then(|| value.trim_matches('"').to_owned());
                format!("{from} {:?}", Some(value))
            });
            assert_eq!(shown(&world.identity("hr", "1").await), expected, "feed {order}");
        }
        // Nobody else says anything: what is empty is empty, and the one with the lower rank counts.
        world
            .applied("it", full("2", vec![record("x1", all(None, None, None), Employment::default())]))
            .await;
        world
            .applied(
                "hr",
                full("4", vec![record("1", all(None, Some("h@x"), Some("")), Employment::default())]),
            )
            .await;
        let one = world.identity("hr", "1").await;
        assert_eq!((one.attributes.text("mail"), one.provenance["mail"].as_str()), (Some("h@x"), "hr"));
        assert!(one.attributes.get("room").is_some_and(|slot| slot.values().is_empty()));
        assert_eq!(one.attributes.get("title"), None);
        world.applied("hr", delta("5", vec![tombstone("1")])).await;
    }
}
