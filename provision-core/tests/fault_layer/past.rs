//! Stale reads.

use std::time::Duration;

use provision_core::connector::{Connector, ListRequest, ObjectKey, collect};
use provision_core::filter::Filter;
use provision_core::runtime::Clock;
use provision_core::testkit::fault::{Fault, FaultRule, Operation};

use crate::bench::{Bench, cx, title};

const WINDOW: u64 = 5000;

fn stale() -> Bench {
    let rule = |operation| FaultRule::always(operation, Fault::Stale(WINDOW));
    Bench::with_accounts([rule(Operation::Get), rule(Operation::List)], 3)
}

async fn pass(bench: &Bench, millis: u64) {
    bench.clock.sleep(Duration::from_millis(millis)).await;
}

#[tokio::test]
async fn a_stale_get_shows_what_was_there_until_the_window_has_passed() {
    let bench = stale();
    let key = bench.create(9).await.unwrap().key;
    assert_eq!(bench.get(&key).await.unwrap(), None, "just created");
    pass(&bench, 3000).await;
    bench.retitle(&key, "second").await.unwrap();
    pass(&bench, 2000).await;
    assert_eq!(title(&bench.get(&key).await.unwrap().unwrap()), "first");
    pass(&bench, 1000).await;
    bench.delete(&key).await.unwrap();
    assert_eq!(title(&bench.get(&key).await.unwrap().unwrap()), "first");
    pass(&bench, 2000).await;
    assert_eq!(title(&bench.get(&key).await.unwrap().unwrap()), "second");
    let acted = bench.layer.injected_count();
    pass(&bench, 3000).await;
    assert_eq!(bench.get(&key).await.unwrap(), None, "now it is gone for everybody");
    assert_eq!((acted, bench.layer.injected_count()), (4, 4), "what is not stale is not recorded");
}

#[tokio::test]
async fn a_stale_listing_lacks_the_new_and_shows_the_changed_and_the_gone() {
    let bench = stale();
    bench.create(9).await.unwrap();
    bench.retitle(&ObjectKey::id("m-000001"), "second").await.unwrap();
    bench.delete(&ObjectKey::id("m-000002")).await.unwrap();
    for page_size in [1, 100] {
        let (mut seen, end) = bench.list(page_size).await.unwrap();
        seen.sort_by(|a, b| a.key.cmp(&b.key));
        let shown = seen.iter().map(|it| (it.key.id.as_str(), title(it))).collect::<Vec<_>>();
        assert_eq!(shown, [("m-000001", "first"), ("m-000002", "first"), ("m-000003", "first")]);
        assert!(end.is_complete());
    }
    assert_eq!(bench.acted(), ["list 1: stale 5000", "list 2: stale 5000"]);
    pass(&bench, WINDOW).await;
    let (seen, _) = bench.list(100).await.unwrap();
    let titles = seen.iter().map(title).collect::<Vec<_>>();
    assert_eq!((titles, bench.layer.injected_count()), (vec!["second", "first", "first"], 2));
}

#[tokio::test]
async fn a_stale_lookup_searches_what_was_there() {
    let bench = stale();
    bench.create(9).await.unwrap();
    bench.retitle(&ObjectKey::id("m-000001"), "second").await.unwrap();
    for (filter, found) in [
        (Filter::equal("userName", "u9"), 0),
        (Filter::equal("title", "second"), 0),
        (Filter::equal("title", "first"), 3),
    ] {
        let request = ListRequest::matching("account", filter.clone());
        let (objects, _) = collect(bench.layer.list(&cx(), request).unwrap(), 10).await.unwrap();
        assert_eq!(objects.len(), found, "{filter:?}");
    }
    assert_eq!(bench.layer.injected_count(), 3);
}

#[tokio::test]
async fn a_write_that_did_nothing_leaves_no_past() {
    let bench = stale();
    bench.create(1).await.unwrap_err();
    bench.retitle(&ObjectKey::id("m-000099"), "x").await.unwrap_err();
    assert_eq!(bench.list(10).await.unwrap().0.len(), 3);
    assert_eq!(bench.layer.injected_count(), 0);
}
