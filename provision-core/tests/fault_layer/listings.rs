//! Faults of listings.

use futures_util::StreamExt;
use provision_core::connector::{Connector, ListEvent, ListRequest};
use provision_core::testkit::fault::{Fault, FaultRule, Operation};
use provision_core::{Effect, ErrorKind};

use crate::bench::{Bench, cx};

fn spoiled(fault: Fault) -> Bench {
    Bench::with_accounts([FaultRule::always(Operation::List, fault)], 10)
}

#[tokio::test]
async fn a_cut_listing_shows_so_many_and_is_not_whole() {
    for page_size in [1, 3, 4, 10, 100] {
        for shown in [0, 1, 4, 9] {
            for (fault, whole) in [
                (Fault::Truncate(shown), false),
                (Fault::Break(shown), false),
                (Fault::HideAfter(shown), true),
            ] {
                let bench = spoiled(fault.clone());
                let (seen, end) = bench.list(page_size).await.unwrap();
                assert_eq!((seen.len() as u64, end.is_complete()), (shown, whole), "{fault:?} {page_size}");
                assert_eq!(bench.layer.injected_count(), 1, "{fault:?}, {page_size} a page");
            }
        }
        let bench = spoiled(Fault::Truncate(10));
        let (seen, end) = bench.list(page_size).await.unwrap();
        assert_eq!((seen.len(), end.is_complete()), (10, true), "there was nothing to cut");
        assert_eq!(bench.acted(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_listing_fails_in_each_way() {
    let bench = spoiled(Fault::Hide);
    let (seen, end) = bench.list(3).await.unwrap();
    assert_eq!((seen.len(), end.is_complete()), (0, true));

    let error = spoiled(Fault::PageError(2)).list(3).await.unwrap_err();
    assert_eq!((error.kind(), error.effect_stated()), (ErrorKind::Unavailable, Some(Effect::None)));

    let error = spoiled(Fault::RepeatToken).list(3).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unexpected);

    let error = spoiled(Fault::LoseResponse).list(3).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);

    let bench = spoiled(Fault::Refuse);
    let error = bench.list(3).await.unwrap_err();
    assert_eq!((error.kind(), bench.layer.passed().len()), (ErrorKind::Unavailable, 0));
}

#[tokio::test]
async fn a_repeated_page_comes_twice() {
    let bench = spoiled(Fault::RepeatPage(1));
    let (seen, end) = bench.list(3).await.unwrap();
    let ids = seen.iter().map(|object| object.key.id.as_str()).collect::<Vec<_>>();
    assert_eq!((ids.len(), end.is_complete()), (13, true));
    assert_eq!(ids[3..6], ids[6..9]);
    assert_eq!(bench.acted(), ["list 1: repeat_page 1"]);
}

#[tokio::test]
async fn nothing_follows_the_end_and_a_listing_counts_when_it_is_polled() {
    for fault in
        [Fault::Truncate(4), Fault::Break(4), Fault::PageError(0), Fault::HideAfter(4), Fault::Refuse]
    {
        let bench = spoiled(fault.clone());
        let request = ListRequest { page_size: 3, ..ListRequest::all("account") };
        let mut listing = bench.layer.list(&cx(), request).unwrap();
        assert_eq!((bench.layer.called(Operation::List), bench.target.called(Operation::List)), (0, 0));
        let events = (&mut listing).collect::<Vec<_>>().await;
        let ends = events.iter().filter(|event| matches!(event, Ok(ListEvent::End(_)) | Err(_))).count();
        assert_eq!(ends, usize::from(!matches!(fault, Fault::Break(_))), "{fault:?}: {events:?}");
        assert!(listing.next().await.is_none());
        assert_eq!(bench.layer.called(Operation::List), 1);
    }
}

#[tokio::test]
async fn only_the_listing_with_the_number_is_spoiled() {
    let bench = Bench::with_accounts([FaultRule::at(Operation::List, [2], Fault::Hide)], 10);
    assert_eq!(bench.list(3).await.unwrap().0.len(), 10);
    assert_eq!(bench.list(3).await.unwrap().0.len(), 0);
    assert_eq!(bench.list(3).await.unwrap().0.len(), 10);
    assert_eq!(bench.acted(), ["list 2: hide"]);
}
