//! Faults of single calls.

use std::time::Duration;

use futures_util::FutureExt;
use provision_core::connector::{
    ChangeFeedRequest, Connector, Context, GetRequest, MembershipRequest, ObjectKey,
};
use provision_core::runtime::Clock;
use provision_core::testkit::fault::{Fault, FaultRule, Operation, Request};
use provision_core::{Effect, ErrorKind, Retry};

use crate::bench::{Bench, birth, cx, said};

#[tokio::test]
async fn refusals_do_not_reach_the_connector() {
    let soon = Retry::After(Some(Duration::from_millis(1500)));
    for (fault, kind, retry) in [
        (Fault::Refuse, ErrorKind::Unavailable, Retry::After(None)),
        (Fault::Forbid, ErrorKind::PermissionDenied, Retry::Never),
        (Fault::RefuseCredentials, ErrorKind::Unauthenticated, Retry::Never),
        (Fault::Conflict, ErrorKind::Conflict, Retry::Never),
        (Fault::RateLimit(Some(1500)), ErrorKind::RateLimited, soon),
        (Fault::RateLimit(None), ErrorKind::RateLimited, Retry::After(None)),
    ] {
        let bench = Bench::new([FaultRule::at(Operation::Create, [2], fault.clone())]);
        bench.create(1).await.unwrap();
        let error = bench.create(2).await.unwrap_err();
        assert_eq!(said(&error), (kind, Some(Effect::None), retry), "{fault:?}");
        assert_eq!((bench.accounts(), bench.target.called(Operation::Create)), (1, 1), "{fault:?}");
        let injected = bench.layer.injected();
        assert_eq!((injected.len(), injected[0].call, &injected[0].fault), (1, 2, &fault));
        bench.create(2).await.unwrap();
        assert_eq!((bench.layer.passed().len(), bench.layer.called(Operation::Create)), (2, 3));
    }
}

#[tokio::test]
async fn a_lost_request_and_a_lost_answer_look_the_same_and_are_not() {
    let mut told = Vec::new();
    for (fault, accounts) in [(Fault::LoseRequest, 0), (Fault::LoseResponse, 1)] {
        let bench = Bench::new([FaultRule::at(Operation::Create, [1], fault)]);
        let error = bench.create(1).await.unwrap_err();
        assert_eq!((error.kind(), error.effect_stated()), (ErrorKind::Unavailable, Some(Effect::Unknown)));
        assert_eq!((bench.accounts(), bench.layer.passed().len()), (accounts, accounts));
        assert_eq!(bench.layer.injected_count(), 1);
        told.push((error.to_string(), said(&error)));
    }
    assert_eq!(told[0], told[1]);
}

#[tokio::test]
async fn a_lost_read_changed_nothing_and_says_so() {
    for fault in [Fault::LoseRequest, Fault::LoseResponse] {
        let bench = Bench::with_accounts([FaultRule::always(Operation::Get, fault)], 1);
        let error = bench.get(&ObjectKey::id("m-000001")).await.unwrap_err();
        assert_eq!((error.kind(), error.effect_stated()), (ErrorKind::Unavailable, Some(Effect::None)));
    }
}

#[tokio::test]
async fn a_duplicate_reaches_the_connector_twice_and_is_answered_by_the_first() {
    let bench = Bench::new([FaultRule::at(Operation::Create, [1], Fault::Duplicate)]);
    bench.create(1).await.unwrap();
    assert_eq!((bench.accounts(), bench.target.called(Operation::Create)), (1, 2));
    let passed = bench.layer.passed();
    assert_eq!(passed.len(), 2);
    assert_eq!(passed[0].request, Request::Create(birth(1)));
    assert_eq!(passed[0].request, passed[1].request);
    assert_eq!(bench.acted(), ["create 1: duplicate"]);
}

#[tokio::test]
async fn delays_run_on_the_clock_and_against_the_deadline() {
    let begun = Bench::new([]).clock.now();
    for (fault, accounts, effect) in
        [(Fault::Delay(2500), 0, Effect::None), (Fault::DelayResponse(2500), 1, Effect::Unknown)]
    {
        let bench = Bench::new([FaultRule::always(Operation::Create, fault.clone())]);
        let deadline = Some(begun.plus(Duration::from_secs(2)));
        let late = bench.layer.writer().unwrap().create(&Context { deadline, ..cx() }, birth(1)).await;
        let late = late.unwrap_err();
        assert_eq!((late.kind(), late.effect_stated()), (ErrorKind::Unavailable, Some(effect)), "{fault:?}");
        assert_eq!(bench.accounts(), accounts, "{fault:?}");
        bench.create(2).await.unwrap();
        assert_eq!(bench.clock.now().since(begun), Duration::from_secs(5), "{fault:?}");
        assert_eq!(bench.layer.injected_count(), 2);
    }
}

#[tokio::test]
async fn a_call_that_hangs_is_done_or_not_and_holds_nothing() {
    for (fault, accounts) in [(Fault::Hang, 0), (Fault::HangResponse, 1)] {
        let bench = Bench::new([FaultRule::at(Operation::Create, [1], fault)]);
        assert!(bench.create_hangs(1));
        assert_eq!((bench.accounts(), bench.layer.injected_count()), (accounts, 1));
        bench.create(2).await.unwrap();
        assert_eq!(bench.accounts(), accounts + 1);
    }
}

#[tokio::test]
async fn a_late_write_is_done_after_its_caller_has_given_up() {
    let rules = [FaultRule::at(Operation::Create, [1], Fault::Late(3000))];
    let bench = Bench::new(rules);
    let error = bench.create(1).await.unwrap_err();
    assert_eq!((error.kind(), error.effect_stated()), (ErrorKind::Unavailable, Some(Effect::Unknown)));
    bench.create(2).await.unwrap();
    assert_eq!((bench.accounts(), bench.layer.on_their_way()), (1, 1));
    assert_eq!(bench.layer.deliver_due().await, 0);
    bench.clock.sleep(Duration::from_secs(3)).await;
    // The next call, whatever it is, finds the late one there.
    bench.layer.check(&cx()).await.unwrap();
    assert_eq!((bench.accounts(), bench.layer.on_their_way()), (2, 0));

    bench.layer.set_rules([FaultRule::always(Operation::Create, Fault::Late(3_600_000))]);
    bench.create(3).await.unwrap_err();
    assert_eq!((bench.layer.deliver_all().await, bench.accounts()), (1, 3));
}

#[tokio::test]
async fn an_outcome_that_tells_nothing_is_recorded_only_where_there_was_something() {
    let bench = Bench::new([FaultRule::always(Operation::Create, Fault::DropObserved)]);
    let done = bench.create(1).await.unwrap();
    assert_eq!((done.observed, done.side_effects.is_empty()), (None, true));
    assert_eq!(bench.acted(), ["create 1: drop_observed"]);
    bench.create(1).await.unwrap_err();
    assert_eq!(bench.layer.injected_count(), 1, "a refusal tells nothing anyway");
}

#[tokio::test]
async fn a_token_expires_only_by_its_fault() {
    let bench = Bench::with_accounts([FaultRule::at(Operation::Changes, [2], Fault::ExpireToken)], 1);
    let feed = bench.layer.change_feed().unwrap();
    let from = |token| ChangeFeedRequest { class: "account".into(), token, limit: 10 };
    let token = feed.changes(&cx(), from(None)).await.unwrap().token;
    bench.create(2).await.unwrap();
    let error = feed.changes(&cx(), from(Some(token.clone()))).await.unwrap_err();
    assert_eq!((error.kind(), error.effect_stated()), (ErrorKind::Conflict, Some(Effect::None)));
    let page = feed.changes(&cx(), from(Some(token))).await.unwrap();
    assert_eq!((page.events.len(), bench.acted()), (1, vec!["changes 2: expire_token".to_owned()]));
}

#[tokio::test]
async fn membership_lifecycle_and_credentials_are_befallen_too() {
    let bench = Bench::new([]);
    let directory = provision_core::memory::MemoryConfig::default();
    let target = provision_core::memory::MemoryConnector::new(directory, bench.clock.clone()).unwrap();
    let layer = provision_core::testkit::fault::FaultLayer::new(std::sync::Arc::new(target), bench.clock);
    let rules = [Operation::Membership, Operation::Lifecycle, Operation::Credential, Operation::Poll];
    layer.set_rules(rules.map(|operation| FaultRule::always(operation, Fault::LoseRequest)));
    let (class, key) = (provision_core::id::ClassName::new("user"), ObjectKey::id("m-000001"));
    let request = MembershipRequest {
        class: "group".into(),
        group: key.clone(),
        member_class: class.clone(),
        edges: Vec::new(),
    };
    let membership = layer.membership().unwrap().change(&cx(), request).await.unwrap_err();
    let request = provision_core::connector::LifecycleRequest {
        class: class.clone(),
        key: key.clone(),
        enabled: false,
    };
    let lifecycle = layer.lifecycle().unwrap().set(&cx(), request).await.unwrap_err();
    let password = provision_core::value::Secret::new("Correct-horse-7-battery");
    let request = provision_core::connector::CredentialRequest { class, key, password, must_change: false };
    let credential = layer.credential().unwrap().set_password(&cx(), request).await.unwrap_err();
    let request = provision_core::connector::PollRequest { ticket: "t".to_owned() };
    let poll = layer.writer().unwrap().poll(&cx(), request).await.unwrap_err();
    for error in [membership, lifecycle, credential, poll] {
        assert_eq!(error.effect_stated(), Some(Effect::Unknown));
    }
    assert_eq!((layer.injected_count(), layer.passed().len()), (4, 0));
}

#[tokio::test]
async fn rules_choose_by_key_value_and_number_of_times() {
    let key = ObjectKey::id("m-000002");
    let chosen = FaultRule {
        when: provision_core::testkit::fault::When::Key(key.id.clone()),
        ..FaultRule::always(Operation::Get, Fault::Refuse)
    };
    let bench = Bench::with_accounts([chosen.at_most(2)], 3);
    for (id, fails) in [
        ("m-000001", false),
        ("m-000002", true),
        ("m-000003", false),
        ("m-000002", true),
        ("m-000002", false),
    ] {
        let request = GetRequest { class: "account".into(), key: ObjectKey::id(id) };
        let failed = bench.layer.get(&cx(), request).now_or_never().unwrap().is_err();
        assert_eq!(failed, fails, "{id}");
    }
    assert_eq!(bench.acted(), ["get 2: refuse (`m-000002`)", "get 4: refuse (`m-000002`)"]);
}
