//! Law 6: something missing means nothing, unless the read was whole and is believed.

use provision_core::connector::{Completeness, FilterSupport};
use provision_core::memory::{Fault, FaultRule, Faults, MemoryConfig, Operation};
use provision_core::plan::Scope;
use provision_core::policy::RefusalReason;
use provision_core::source::FeedEvent;
use provision_core::value::Attributes;

use crate::world::{DIRECTORY, Person, Setup, World, generous, person};

/// Listings that are not whole and say so, or break, or go in circles.
const BROKEN: [Fault; 8] = [
    Fault::Truncate(0),
    Fault::Truncate(3),
    Fault::Break(0),
    Fault::Break(3),
    Fault::PageError(0),
    Fault::PageError(1),
    Fault::RepeatToken,
    Fault::LoseResponse,
];

/// Listings that claim to be whole and are not: what a lost permission looks like.
const LYING: [Fault; 4] = [Fault::Hide, Fault::HideAfter(1), Fault::HideAfter(6), Fault::HideAfter(10)];

fn set(world: &World, fault: &Fault) {
    let rule = FaultRule { class: Some("user".into()), ..FaultRule::always(Operation::List, fault.clone()) };
    world.directory.set_faults(Faults { seed: 0, rules: vec![rule] });
}

fn people() -> Vec<Person> {
    (0..12).map(|n| person(&format!("{n:02}"), "Jo", &format!("Family{n:02}"), "Sales")).collect()
}

async fn paged() -> World {
    let config = MemoryConfig { page_size_max: 4, ..MemoryConfig::default() };
    Setup { config, settings: generous(), ..Setup::default() }.build().await
}

/// Accounts as another program made them, with the numbers of our people and names that the policy would give.
fn seed(world: &World, people: &[Person]) {
    let objects = people.iter().map(|person| {
        let login = format!("{}j", person.family.to_lowercase());
        let dn = format!("CN={login},OU=Before,DC=test");
        let attributes = Attributes::new()
            .with("sAMAccountName", login.as_str())
            .with("cn", login.as_str())
            .with("dn", dn.as_str())
            .with("employeeNumber", person.key.as_str());
        (attributes, Some(true))
    });
    world.directory.seed("user", objects).unwrap();
}

fn writes(world: &World) -> u64 {
    world.directory.calls().into_iter().filter(|(operation, _)| operation.writes()).map(|(_, n)| n).sum()
}

#[tokio::test]
async fn law_6_absence_a_broken_onboarding_allows_no_create() {
    for fault in BROKEN {
        let world = paged().await;
        seed(&world, &people());
        world.feed(&people()).await;
        set(&world, &fault);
        let report = world.engine.onboard(&world.actor, &DIRECTORY.into()).await.unwrap();
        assert!(matches!(report.completeness, Completeness::Partial { .. }), "{fault:?}");
        world.directory.set_faults(Faults::default());
        let plan = world.plan(Scope::All).await;
        let steps = world.steps(&plan).await;
        assert!(steps.iter().all(|step| step.action.word() != "create"), "{fault:?}");
        assert!(steps.iter().all(|step| step.budgets.iter().all(|kind| kind.as_str() == "key_rewrite")));
        // Once read whole, everybody is adopted.
        world.onboard().await;
        world.converge(3).await;
        assert_eq!(world.directory.dump("user").unwrap().len(), 12, "{fault:?}");
    }
}

#[tokio::test]
async fn law_6_absence_a_lying_onboarding_makes_no_second_account() {
    for fault in LYING {
        for lies_on in [false, true] {
            let world = paged().await;
            seed(&world, &people());
            world.feed(&people()).await;
            set(&world, &fault);
            world.onboard().await;
            if !lies_on {
                world.directory.set_faults(Faults::default());
            }
            for _ in 0..3 {
                let plan = world.plan(Scope::All).await;
                if !plan.is_empty() && plan.hold.is_none() {
                    world.apply(plan.id).await;
                }
            }
            assert_eq!(world.directory.dump("user").unwrap().len(), 12, "{fault:?}, lies on: {lies_on}");
            let kept = world.accounts().into_values().all(|(login, ..)| login.ends_with('j'));
            assert!(kept, "{fault:?}: an adopted account keeps its login: {:?}", world.accounts());
        }
    }
}

#[tokio::test]
async fn law_6_absence_a_reconcile_that_is_not_whole_destroys_and_creates_nothing() {
    for fault in BROKEN.iter().chain(&LYING) {
        let world = paged().await;
        world.feed(&people()).await;
        world.onboard().await;
        world.converge(2).await;
        let before = (writes(&world), world.picture());
        set(&world, fault);
        let report = world.reconcile().await;
        let lies = LYING.contains(fault);
        assert_eq!(report.completeness.is_complete(), lies, "{fault:?}");
        if *fault == Fault::HideAfter(10) {
            assert_eq!((report.missing, report.doubted), (2, 0), "few may be missing");
        } else {
            assert_eq!(report.missing, 0, "{fault:?}");
            assert_eq!(report.doubted > 0, lies, "{fault:?}");
        }
        for scope in [Scope::Changed, Scope::All] {
            let plan = world.plan(scope).await;
            assert!(plan.is_empty(), "{fault:?}: {:?}", world.steps(&plan).await);
        }
        world.directory.set_faults(Faults::default());
        world.reconcile().await;
        let plan = world.plan(Scope::All).await;
        assert!(plan.is_empty(), "{fault:?}: {:?}", world.steps(&plan).await);
        assert_eq!((writes(&world), world.picture()), before, "{fault:?}");
    }
}

#[tokio::test]
async fn law_6_absence_an_account_that_is_gone_is_told_and_not_made_again() {
    let world = paged().await;
    world.feed(&people()).await;
    world.onboard().await;
    world.converge(2).await;
    set(&world, &Fault::HideAfter(10));
    world.reconcile().await;
    let plan = world.plan(Scope::All).await;
    assert!(plan.is_empty());
    let skips = world.skips(plan.id, plan.chunks).await;
    assert_eq!(skips.len(), 2);
    assert!(skips.iter().all(|skip| skip.reason == RefusalReason::Disputed));
}

#[tokio::test]
async fn law_6_absence_a_lookup_that_is_not_whole_creates_nothing() {
    for pushes in [true, false] {
        for fault in BROKEN {
            let filter = (!pushes).then(FilterSupport::default);
            let config = MemoryConfig { page_size_max: 1, filter, ..MemoryConfig::default() };
            let world = Setup { config, ..Setup::default() }.build().await;
            world.onboard().await;
            // They appear after the onboarding.
            seed(&world, &people()[..3]);
            world.feed(&people()[..3]).await;
            let plan = world.plan(Scope::Changed).await;
            // A lookup by an index has one page: what breaks later pages does not touch it.
            set(&world, &fault);
            let _ = world.apply(plan.id).await;
            assert_eq!(world.directory.dump("user").unwrap().len(), 3, "{fault:?}, pushes: {pushes}");
            world.directory.set_faults(Faults::default());
            world.engine.resume(&world.actor, &DIRECTORY.into()).await.unwrap();
            world.settle_down(4).await;
            assert_eq!(world.directory.dump("user").unwrap().len(), 3, "{fault:?}, pushes: {pushes}");
            assert_eq!(world.accounts()["00"].2, "Sales", "adopted and brought right");
        }
    }
}

#[tokio::test]
async fn law_6_absence_a_feed_that_is_not_whole_makes_no_leavers() {
    let world = World::new(1).await;
    world.feed(&people()).await;
    world.onboard().await;
    world.converge(2).await;
    let some = || vec![Ok(FeedEvent::Records(people()[..2].iter().map(Person::record).collect()))];
    let ends: [Vec<provision_core::Result<FeedEvent>>; 3] = [
        Vec::new(),
        vec![Ok(FeedEvent::End(Completeness::Partial { reason: "cut off".to_owned() }))],
        vec![Err(provision_core::Error::new(provision_core::ErrorKind::Unavailable, "connection lost"))],
    ];
    for end in ends {
        let mut events = some();
        events.extend(end);
        world.feed_events(events).await;
        let plan = world.plan(Scope::All).await;
        assert!(plan.is_empty(), "{:?}", world.steps(&plan).await);
    }
    assert!(world.accounts().values().all(|account| account.1 == Some(true)));
}
