//! Laws 4 and 5: exactly one account, and nothing lost, whatever the target and the network do.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use provision_core::execute::StepState;
use provision_core::ingest::FeedOutcome;
use provision_core::memory::{Fault, FaultRule, Faults, MemoryConfig, Operation};
use provision_core::model::{Actor, HoldOf, Link, LinkState, Status};
use provision_core::plan::{OnDelete, PlanState, Scope, TargetSettings};
use provision_core::policy::RefusalReason;
use provision_core::source::FeedGuard;

use crate::view::{block_on, same, stand};
use crate::world::{DIRECTORY, Person, Setup, World, generous, person, settings};

/// Joiners with a manager among them; then a mover, a leaver, a marriage, a return from leave and a newcomer.
pub(crate) fn two_days() -> [Vec<Person>; 2] {
    let mut first = vec![
        person("1", "Jane", "Smith", "Sales"),
        person("2", "John", "Smith", "Sales"),
        person("3", "Al", "Kim", "Finance"),
        person("4", "Zoë", "Doe", "Research"),
    ];
    first[0].manager = Some("3".to_owned());
    first[3].status = Status::OnLeave;
    let mut second = first.clone();
    second[0].department = "Finance".to_owned();
    second[1].status = Status::Terminated;
    second[2].family = "Lee".to_owned();
    second[3].status = Status::Active;
    second.push(person("5", "Jo", "Smith", "Sales"));
    second[4].manager = Some("1".to_owned());
    [first, second]
}

/// What it all comes to when nothing goes wrong: accounts and links.
pub(crate) async fn undisturbed(days: &[Vec<Person>]) -> (Vec<String>, Vec<String>) {
    undisturbed_with(Setup::default(), days).await
}

async fn undisturbed_with(setup: Setup, days: &[Vec<Person>]) -> (Vec<String>, Vec<String>) {
    let world = setup.build().await;
    world.onboard().await;
    for people in days {
        world.feed(people).await;
        world.settle_down(2).await;
    }
    (world.picture(), world.links().await)
}

/// The two days, with faults from the end of the onboarding on.
async fn disturbed(setup: Setup, faults: &Faults) -> World {
    let world = setup.build().await;
    world.onboard().await;
    world.directory.set_faults(faults.clone());
    for people in &two_days() {
        world.feed(people).await;
        world.settle_down(8).await;
    }
    world
}

const FAULTS: [Fault; 8] = [
    Fault::Refuse,
    Fault::LoseResponse,
    Fault::RateLimit(Some(1_500)),
    Fault::RateLimit(None),
    Fault::Conflict,
    Fault::Delay(3_000),
    Fault::Delay(7_000),
    Fault::DropObserved,
];

const WRITES: [Operation; 5] =
    [Operation::Create, Operation::Update, Operation::Rename, Operation::Membership, Operation::Lifecycle];

async fn every_fault(setup: impl Fn() -> Setup, operation: Operation) {
    let expected = undisturbed_with(setup(), &two_days()).await;
    for fault in FAULTS {
        for call in 1.. {
            let faults = Faults { seed: 0, rules: vec![FaultRule::at(operation, [call], fault.clone())] };
            let world = disturbed(setup(), &faults).await;
            if world.directory.fired() == [0] {
                assert!(call > 1, "{operation:?} is never called");
                break;
            }
            let seen = (world.picture(), world.links().await);
            same(&seen, &expected, &format!("{fault:?} at {operation:?} number {call}"));
            assert_eq!(world.open_disputes().await, []);
        }
    }
}

#[tokio::test]
async fn law_4_exactly_one_account_with_every_fault_at_every_write() {
    for operation in WRITES {
        every_fault(Setup::default, operation).await;
    }
    let deleting = || {
        let mut settings = settings();
        settings.classes.get_mut(&"user".into()).unwrap().on_delete = OnDelete::Delete;
        Setup { settings, ..Setup::default() }
    };
    every_fault(deleting, Operation::Delete).await;
}

#[tokio::test]
async fn law_4_exactly_one_account_when_reads_fail_too() {
    let expected = undisturbed(&two_days()).await;
    let lost = |call| FaultRule::at(Operation::Create, [call], Fault::LoseResponse);
    for read in [Fault::Refuse, Fault::Truncate(0), Fault::Break(0), Fault::PageError(0)] {
        for times in [1, 3] {
            let rules = vec![lost(1), FaultRule::always(Operation::List, read.clone()).at_most(times)];
            let world = disturbed(Setup::default(), &Faults { seed: 0, rules }).await;
            same(&(world.picture(), world.links().await), &expected, &format!("{read:?} {times} times"));
        }
    }
}

fn without_marker() -> TargetSettings {
    let mut settings = settings();
    settings.classes.get_mut(&"user".into()).unwrap().marker = None;
    settings
}

#[tokio::test]
async fn law_4_exactly_one_account_where_the_target_remembers_our_id() {
    let expected = undisturbed(&two_days()).await;
    for call in 1..=5 {
        let rules = vec![FaultRule::at(Operation::Create, [call], Fault::LoseResponse)];
        let config = MemoryConfig { idempotent_create: true, ..MemoryConfig::default() };
        let setup = Setup { config, settings: without_marker(), ..Setup::default() };
        let world = disturbed(setup, &Faults { seed: 0, rules }).await;
        assert_eq!(world.directory.fired(), [1]);
        same(&(world.picture(), world.links().await), &expected, &format!("create number {call}"));
    }
}

#[tokio::test]
async fn law_4_exactly_one_account_a_create_that_nothing_identifies_is_disputed() {
    let world = Setup { settings: without_marker(), ..Setup::default() }.build().await;
    world.onboard().await;
    let rules = vec![FaultRule::at(Operation::Create, [1], Fault::LoseResponse)];
    world.directory.set_faults(Faults { seed: 0, rules });
    world.feed(&[person("1", "Jane", "Smith", "Sales"), person("2", "Al", "Kim", "Sales")]).await;
    let plan = world.plan(Scope::Changed).await;
    let report = world.apply(plan.id).await;
    assert_eq!((report.disputed, report.state), (1, PlanState::Applied), "{report:?}");
    assert_eq!(world.accounts().len(), 2, "the effect is there once");
    assert_eq!(world.open_disputes().await.len(), 1);
    world.later(Duration::from_secs(3_600));
    assert!(world.plan(Scope::Changed).await.is_empty());
    let plan = world.plan(Scope::All).await;
    assert!(plan.is_empty(), "{:?}", world.steps(&plan).await);
    let skips = world.skips(plan.id, plan.chunks).await;
    assert!(
        skips.iter().any(|skip| matches!(skip.reason, RefusalReason::Disputed | RefusalReason::Pending)),
        "a person must decide: {skips:?}"
    );
    assert_eq!(world.directory.called(Operation::Create), 2);
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        2 => Just(Fault::Refuse),
        4 => Just(Fault::LoseResponse),
        1 => Just(Fault::RateLimit(None)),
        1 => Just(Fault::Conflict),
        1 => (0..9_000u64).prop_map(Fault::Delay),
        1 => Just(Fault::DropObserved),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        Just(Operation::Create),
        Just(Operation::Update),
        Just(Operation::Rename),
        Just(Operation::Membership),
        Just(Operation::Lifecycle),
        Just(Operation::Get),
        Just(Operation::List),
    ]
}

fn rules() -> impl Strategy<Value = Vec<FaultRule>> {
    let rule = (operation(), 50..500u32, fault())
        .prop_map(|(operation, chance, fault)| FaultRule::per_mille(operation, chance, fault).at_most(12));
    prop::collection::vec(rule, 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn law_4_exactly_one_account_under_faults_by_chance(rules in rules(), seed in any::<u64>()) {
        block_on(async {
            let days = two_days();
            let world = Setup { seed, ..Setup::default() }.build().await;
            world.onboard().await;
            for (day, people) in days.iter().enumerate() {
                world.feed(people).await;
                world.directory.set_faults(Faults { seed, rules: rules.clone() });
                let engine = world.restarted().await;
                if let Some(plan) = world.try_plan(Scope::All).await {
                    let _ = world.apply_with(&engine, plan.id).await;
                }
                let numbers: Vec<String> = world
                    .directory
                    .dump("user")
                    .unwrap()
                    .iter()
                    .map(|object| object.attributes.text("employeeNumber").unwrap_or_default().to_owned())
                    .collect();
                assert_eq!(numbers.len(), numbers.iter().collect::<BTreeSet<_>>().len(), "{numbers:?}");
                world.finish(&engine).await;
                recover(&world).await;
                let expected = undisturbed(&days[..=day]).await;
                same(&(world.picture(), world.links().await), &expected, &format!("day {day}"));
            }
        });
    }

    #[test]
    fn law_5_nothing_lost_what_is_not_applied_can_be_seen(
        rules in rules(),
        forbidden in prop::collection::vec(operation(), 0..3),
        seed in any::<u64>(),
    ) {
        block_on(async {
            let days = two_days();
            let mut settings = settings();
            settings.retry.attempts_max = 2;
            let world = Setup { seed, settings, ..Setup::default() }.build().await;
            world.onboard().await;
            let forbid = forbidden
                .into_iter()
                .filter(|operation| operation.writes())
                .map(|operation| FaultRule::per_mille(operation, 500, Fault::Forbid));
            let faults = Faults { seed, rules: rules.into_iter().chain(forbid).collect() };
            for (day, people) in days.iter().enumerate() {
                let (accounts, links) = undisturbed(&days[..=day]).await;
                let expected = (accounts, stand(&links));
                world.feed(people).await;
                world.directory.set_faults(faults.clone());
                let engine = world.restarted().await;
                if let Some(plan) = world.try_plan(Scope::All).await {
                    let _ = world.apply_with(&engine, plan.id).await;
                }
                check_visible(&world, people, &expected).await;
                world.finish(&engine).await;
                check_visible(&world, people, &expected).await;
                recover(&world).await;
                same(&world.standing().await, &expected, &format!("day {day}"));
            }
        });
    }
}

/// The faults are over: everything comes right without anybody's help but the end of a quarantine.
async fn recover(world: &World) {
    world.directory.set_faults(Faults::default());
    world.engine.resume(&world.actor, &DIRECTORY.into()).await.unwrap();
    world.settle_down(8).await;
}

/// Everybody whose account is not as it shall be is somewhere a person can see.
async fn check_visible(world: &World, people: &[Person], expected: &(Vec<String>, Vec<String>)) {
    let seen = world.standing().await;
    let identities = world.identities().await;
    let dirty: BTreeSet<_> = world.dirty().await.into_iter().map(|work| work.identity).collect();
    let journal = world.journal().await;
    let disputes = world.open_disputes().await;
    let plans = world.all::<provision_core::plan::PlanHeader>().await;
    let mut planned = BTreeSet::new();
    for plan in plans.iter().filter(|plan| matches!(plan.state, PlanState::Ready | PlanState::Applying)) {
        planned.extend(world.steps(plan).await.into_iter().map(|step| step.identity));
    }
    for person in people {
        let of = |(accounts, links): &(Vec<String>, Vec<String>)| -> (Option<String>, Option<String>) {
            let number = format!("employeeNumber=\"{}\"", person.key);
            let account = accounts.iter().find(|account| account.contains(&number));
            let link = links.iter().find(|link| link.starts_with(&format!("{} ", person.key)));
            (account.cloned(), link.cloned())
        };
        if of(&seen) == of(expected) {
            continue;
        }
        let id = identities[&person.key];
        let troubled =
            journal.iter().any(|entry| entry.identity == id && !matches!(entry.state, StepState::Done));
        let visible = dirty.contains(&id) || troubled || !disputes.is_empty() || planned.contains(&id);
        assert!(visible, "{} is lost: {:?} instead of {:?}", person.key, of(&seen), of(expected));
    }
}

#[tokio::test]
async fn law_5_nothing_lost_a_quarantined_target_keeps_its_work() {
    let world = World::new(1).await;
    world.onboard().await;
    let people: Vec<Person> =
        (0..30).map(|n| person(&format!("{n:02}"), "Jo", &format!("Family{n:02}"), "Sales")).collect();
    world.feed(&people).await;
    let plan = world.plan(Scope::Changed).await;
    let rules = vec![FaultRule::always(Operation::Create, Fault::RefuseCredentials)];
    world.directory.set_faults(Faults { seed: 0, rules });
    let report = world.apply(plan.id).await;
    assert_eq!(report.done, 0);
    let target = world.engine.target(&DIRECTORY.into()).await.unwrap().value;
    assert!(target.quarantine.is_some(), "refused credentials stop the target at once");
    assert!(world.directory.called(Operation::Create) <= 30);
    let dirty: BTreeSet<_> = world.dirty().await.into_iter().map(|work| work.identity).collect();
    let failed: BTreeSet<_> = world
        .journal()
        .await
        .into_iter()
        .filter(|entry| entry.state == StepState::Failed)
        .map(|entry| entry.identity)
        .collect();
    assert_eq!(dirty.union(&failed).count(), 30);
    world.directory.set_faults(Faults::default());
    world.engine.resume(&world.actor, &DIRECTORY.into()).await.unwrap();
    world.settle_down(4).await;
    assert_eq!(world.accounts().len(), 30);
    assert!(world.all::<Link>().await.iter().all(|link| link.state == LinkState::Active));
}

#[tokio::test]
async fn law_5_nothing_lost_a_held_feed_waits_where_it_is_seen() {
    let world = Setup { guard: FeedGuard::default(), settings: generous(), ..Setup::default() }.build().await;
    world.onboard().await;
    let people: Vec<Person> =
        (0..30).map(|n| person(&format!("{n:02}"), "Jo", &format!("Family{n:02}"), "Sales")).collect();
    world.feed(&people).await;
    world.converge(2).await;
    assert!(matches!(world.feed(&people[..15]).await, FeedOutcome::Held { .. }));
    assert!(world.plan(Scope::All).await.is_empty(), "nothing of it is in force");
    let hold = world.engine.holds().await.unwrap().pop().unwrap();
    assert!(matches!(hold.of, HoldOf::Feed { .. }));
    assert!(world.engine.promote(&world.actor, hold.id).await.is_err(), "not approved yet");
    assert!(world.engine.approve(&world.actor, hold.id, &hold.digest).await.is_err(), "not by its author");
    world.engine.approve(&Actor::person("boss"), hold.id, &hold.digest).await.unwrap();
    world.engine.promote(&world.actor, hold.id).await.unwrap();
    assert!(world.engine.promote(&world.actor, hold.id).await.is_err(), "once");
    world.converge(2).await;
    let enabled = world.accounts().values().filter(|account| account.1 == Some(true)).count();
    assert_eq!(enabled, 15);
}
