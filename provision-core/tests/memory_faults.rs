//! Seeded faults of the in-memory target: each does what it says, is counted, and comes again with its seed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic as tests do"
)]

use std::sync::Arc;
use std::time::Duration;

use provision_core::connector::{
    Completeness, Connector, Context, CreateRequest, GetRequest, ListRequest, ObjectKey, Outcome, WriteDone,
    collect,
};
use provision_core::id::LinkId;
use provision_core::memory::{
    Fault, FaultRule, Faults, Manners, MemoryConfig, MemoryConnector, Operation, Personality, When,
};
use provision_core::runtime::{Clock, FixedClock};
use provision_core::value::{Attributes, Timestamp};
use provision_core::{Effect, Error, ErrorKind, Result, Retry};

fn cx() -> Context {
    MemoryConnector::context()
}

fn target_with(config: MemoryConfig, rules: Vec<FaultRule>) -> (MemoryConnector, Arc<FixedClock>) {
    let clock = Arc::new(FixedClock::at(Timestamp::EPOCH));
    let faults = Faults { seed: 7, rules };
    let config = MemoryConfig { faults, personality: Personality::Plain, ..config };
    (MemoryConnector::new(config, clock.clone()).unwrap(), clock)
}

fn target(rules: Vec<FaultRule>) -> MemoryConnector {
    target_with(MemoryConfig::default(), rules).0
}

fn birth(number: u128) -> CreateRequest {
    CreateRequest {
        class: "account".into(),
        attributes: Attributes::new().with("userName", format!("u{number}")).with("title", " Dr "),
        enabled: None,
        idempotency: LinkId::from_uuid(uuid::Uuid::from_u128(number)),
        password: None,
    }
}

async fn create(target: &MemoryConnector, number: u128) -> Result<WriteDone> {
    match target.writer().unwrap().create(&cx(), birth(number)).await? {
        Outcome::Done(done) => Ok(done),
        Outcome::Pending { .. } => panic!("the memory target never waits"),
    }
}

fn seeded(rules: Vec<FaultRule>, objects: u128) -> MemoryConnector {
    let target = target(rules);
    let objects = (1..=objects).map(|number| (birth(number).attributes, None));
    target.seed("account", objects).unwrap();
    target
}

async fn list(target: &MemoryConnector, page_size: u32) -> Result<(usize, Completeness)> {
    let request = ListRequest { page_size, ..ListRequest::all("account") };
    let (objects, completeness) = collect(target.list(&cx(), request)?, 1000).await?;
    Ok((objects.len(), completeness))
}

fn said(error: &Error) -> (ErrorKind, Option<Effect>, Retry) {
    (error.kind(), error.effect_stated(), error.retry())
}

#[tokio::test]
async fn refusals_do_nothing_and_say_so() {
    let soon = Retry::After(Some(Duration::from_millis(1500)));
    for (fault, kind, retry) in [
        (Fault::Refuse, ErrorKind::Unavailable, Retry::After(None)),
        (Fault::Forbid, ErrorKind::PermissionDenied, Retry::Never),
        (Fault::RefuseCredentials, ErrorKind::Unauthenticated, Retry::Never),
        (Fault::Conflict, ErrorKind::Conflict, Retry::Never),
        (Fault::RateLimit(Some(1500)), ErrorKind::RateLimited, soon),
        (Fault::RateLimit(None), ErrorKind::RateLimited, Retry::After(None)),
    ] {
        let target = target(vec![FaultRule::at(Operation::Create, [1], fault.clone())]);
        let error = create(&target, 1).await.unwrap_err();
        assert_eq!(said(&error), (kind, Some(Effect::None), retry), "{fault:?}");
        assert!(target.dump("account").unwrap().is_empty(), "{fault:?} did something");
        assert_eq!(target.fired(), [1]);
        create(&target, 1).await.unwrap();
        assert_eq!((target.fired(), target.called(Operation::Create)), (vec![1], 2));
    }
}

#[tokio::test]
async fn a_lost_response_is_done_and_unknown() {
    let target = target(vec![FaultRule::at(Operation::Create, [1], Fault::LoseResponse)]);
    let error = create(&target, 1).await.unwrap_err();
    assert_eq!((error.kind(), error.effect_stated()), (ErrorKind::Unavailable, Some(Effect::Unknown)));
    assert_eq!(target.dump("account").unwrap().len(), 1);
    assert_eq!(create(&target, 1).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(target.fired(), [1]);
}

#[tokio::test]
async fn a_delay_runs_on_the_clock_and_against_the_deadline() {
    let rules = vec![FaultRule::always(Operation::Create, Fault::Delay(2500))];
    let (target, clock) = target_with(MemoryConfig::default(), rules);
    create(&target, 1).await.unwrap();
    assert_eq!(clock.now().since(Timestamp::EPOCH), Duration::from_millis(2500));
    let deadline = Some(clock.now().plus(Duration::from_secs(1)));
    let late = target.writer().unwrap().create(&Context { deadline, ..cx() }, birth(2)).await.unwrap_err();
    assert_eq!((late.kind(), late.effect_stated()), (ErrorKind::Unavailable, Some(Effect::None)));
    assert_eq!((target.dump("account").unwrap().len(), target.fired()), (1, vec![2]));
}

#[tokio::test]
async fn listings_fail_in_each_way() {
    let spoil = |fault| seeded(vec![FaultRule::always(Operation::List, fault)], 10);
    for page_size in [1, 3, 4, 10, 100] {
        for shown in [0, 1, 4, 9] {
            let (seen, end) = list(&spoil(Fault::Truncate(shown)), page_size).await.unwrap();
            assert!(!end.is_complete());
            assert_eq!(seen as u64, shown, "truncated, {page_size} a page");
            let (seen, end) = list(&spoil(Fault::Break(shown)), page_size).await.unwrap();
            assert!(!end.is_complete());
            assert_eq!(seen as u64, shown, "broken, {page_size} a page");
            let (seen, end) = list(&spoil(Fault::HideAfter(shown)), page_size).await.unwrap();
            assert!(end.is_complete(), "a hidden part looks complete");
            assert_eq!(seen as u64, shown, "hidden, {page_size} a page");
        }
    }
    let (seen, end) = list(&spoil(Fault::Hide), 3).await.unwrap();
    assert_eq!((seen, end.is_complete()), (0, true));
    let error = list(&spoil(Fault::PageError(2)), 3).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let error = list(&spoil(Fault::RepeatToken), 3).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unexpected);
    let calm = seeded(vec![FaultRule::at(Operation::List, [2], Fault::Hide)], 10);
    assert_eq!(list(&calm, 3).await.unwrap().0, 10);
    assert_eq!(calm.fired(), [0]);
    assert_eq!(list(&calm, 3).await.unwrap().0, 0);
    assert_eq!((calm.fired(), calm.called(Operation::List)), (vec![1], 2), "a listing is one call");
}

#[tokio::test]
async fn rules_choose_by_key_value_class_and_number() {
    let rule = |when| FaultRule { when, ..FaultRule::always(Operation::Create, Fault::Refuse) };
    let value = When::Value("userName".into(), "u3".into());
    let chosen = target(vec![rule(value)]);
    for number in 1..=4 {
        assert_eq!(create(&chosen, number).await.is_err(), number == 3, "{number}");
    }
    let key = When::Key("m-000002".to_owned());
    chosen.set_faults(Faults {
        seed: 0,
        rules: vec![
            FaultRule { when: key, ..FaultRule::always(Operation::Get, Fault::Forbid) },
            FaultRule { class: Some("other".into()), ..FaultRule::always(Operation::Get, Fault::Conflict) },
            FaultRule::always(Operation::Get, Fault::Refuse).at_most(1),
        ],
    });
    let mut kinds = Vec::new();
    for id in ["m-000002", "m-000001", "m-000001"] {
        let request = GetRequest { class: "account".into(), key: ObjectKey::id(id) };
        kinds.push(chosen.get(&cx(), request).await.err().map(|error| error.kind()));
    }
    assert_eq!(kinds, [Some(ErrorKind::PermissionDenied), None, None]);
    assert_eq!(chosen.fired(), [1, 0, 1]);
}

#[tokio::test]
async fn chance_comes_again_with_its_seed_and_about_as_often_as_said() {
    let run = |seed| async move {
        let target = target(vec![]);
        let rules = vec![FaultRule::per_mille(Operation::Create, 200, Fault::Refuse)];
        target.set_faults(Faults { seed, rules });
        let mut failed = Vec::new();
        for number in 1..=1000 {
            if create(&target, number).await.is_err() {
                failed.push(number);
            }
        }
        assert_eq!(target.fired(), [failed.len() as u64]);
        failed
    };
    let first = run(1).await;
    assert_eq!(first, run(1).await);
    assert_ne!(first, run(2).await);
    assert!((140..260).contains(&first.len()), "{} of 1000 at 200 in a thousand", first.len());
}

#[tokio::test]
async fn manners_change_what_is_kept_shown_and_told_and_are_counted() {
    let manners = Manners {
        lowercase: ["title"].map(Into::into).into(),
        trim: true,
        no_echo: ["userName"].map(Into::into).into(),
        ..Manners::default()
    };
    let (polite, _) = target_with(MemoryConfig { manners, ..MemoryConfig::default() }, vec![]);
    let done = create(&polite, 1).await.unwrap();
    assert_eq!(done.observed, Some(Attributes::new().with("title", "dr")));
    assert!(done.side_effects.changes.contains_key("title"), "{:?}", done.side_effects);
    assert_eq!(polite.dump("account").unwrap()[0].attributes, Attributes::new().with("title", "dr"));
    assert!(polite.altered() >= 2);

    let rules = vec![FaultRule::always(Operation::Create, Fault::DropObserved)];
    let silent = target(rules);
    let done = create(&silent, 1).await.unwrap();
    assert_eq!((done.observed, done.side_effects.is_empty(), silent.fired()), (None, true, vec![1]));
    assert_eq!(silent.altered(), 0);
}

#[tokio::test]
async fn faults_are_read_from_configuration() {
    let config = serde_json::json!({
        "personality": "plain",
        "faults": { "seed": 3, "rules": [
            { "on": ["create"], "when": { "calls": [2] }, "fault": "lose_response" },
            { "when": { "per_mille": 10 }, "fault": { "rate_limit": 1000 } },
            { "on": ["list"], "fault": { "truncate": 5 }, "times_max": 1 },
        ] },
    });
    let read = MemoryConfig::from_value(&config).unwrap().faults;
    assert_eq!(read.rules[0], FaultRule::at(Operation::Create, [2], Fault::LoseResponse));
    assert_eq!(read.rules[2], FaultRule::always(Operation::List, Fault::Truncate(5)).at_most(1));
    assert_eq!((read.seed, &read.rules[1].when), (3, &When::PerMille(10)));
}
