//! The storm: people come and go, processes die, the clock jumps.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::lock;
use super::population::{Flaw, Population};
use super::profile::Deed;
use super::realm::{PROJECTS, Realm};
use super::staff::{self, LEASE};
use super::world::{Process, World, operator};
use crate::engine::{Engine, RetryFilter, SubmitRequest};
use crate::error::Result;
use crate::id::{ClassName, PolicyRef, Tag, TargetName};
use crate::model::{Entitlement, Grant, Identity, Validity};
use crate::policy::Policy as _;
use crate::store::{self, Select};

use super::policy::{DIRECTORY, group_name};

/// Configures everything and brings the first people in, before anything can go wrong.
pub(super) async fn set_up(world: &Arc<World>) -> Result<()> {
    let process = world.process(0);
    for (realm, engine, _) in &process.realms {
        for settings in &realm.settings {
            engine.put_target(&operator(), settings.clone()).await?;
        }
        for source in realm.sources() {
            engine.put_source(&operator(), source).await?;
        }
        let policy = realm.policy(realm.version.load(Ordering::SeqCst));
        world.note(format_args!("{} has policy {}", realm.id, policy.version().label));
        engine.set_policy(&operator(), Arc::new(policy)).await?;
        lock(&realm.populations).iter_mut().for_each(Population::deliver);
        for name in realm.sites.keys() {
            engine.onboard(&operator(), name).await?;
        }
    }
    lock(&world.dead).push(process.id);
    Ok(())
}

/// Starts the process of a slot, in the place of the one before.
pub(super) fn start(world: &Arc<World>, slot: u64) {
    let process = world.process(slot);
    let before = lock(&world.living).insert(slot, process.id);
    if let Some(before) = before {
        world.orders.0.kill(before);
        lock(&world.dead).push(before);
    }
    world.note(format_args!("process {} starts in slot {slot}", process.id));
    staff::begin(world, &process);
}

/// Starts those again that died by chance.
fn revive(world: &Arc<World>) {
    let fallen = std::mem::take(&mut *lock(&world.fallen));
    for process in fallen {
        lock(&world.dead).push(process);
        let slot = lock(&world.living).iter().find(|(_, id)| **id == process).map(|(slot, _)| *slot);
        if let Some(slot) = slot {
            start(world, slot);
        }
    }
}

/// Ends all processes.
pub(super) fn stop_all(world: &World) {
    for (_, process) in std::mem::take(&mut *lock(&world.living)) {
        world.orders.0.kill(process);
        lock(&world.dead).push(process);
    }
    lock(&world.dead).extend(std::mem::take(&mut *lock(&world.fallen)));
}

/// All of it.
pub(super) async fn rage(world: &Arc<World>) {
    world.weather.set(world.profile.faults);
    *lock(&world.crashes) = world.profile.crashes;
    // A process of its own for those who ask the engine for something: they do not die.
    let host = world.process(world.profile.processes);
    for slot in 0..world.profile.processes {
        start(world, slot);
    }
    let deeds = world.profile.deeds();
    for burst in 0..world.profile.bursts {
        world.note(format_args!("burst {burst}"));
        for _ in 0..world.profile.deeds {
            world.wait(0, 40).await;
            revive(world);
            let Some(deed) = world.dice.weighted(&deeds) else { continue };
            if let Err(error) = act(world, &host, deed).await {
                world.note(format_args!("{deed:?}: {error}"));
            }
        }
        world.wait(60, 200).await;
        revive(world);
        jump(world, Duration::from_secs(world.dice.between(world.profile.nights.0, world.profile.nights.1)));
        world.wait(30, 120).await;
    }
    *lock(&world.crashes) = 0;
}

fn jump(world: &World, by: Duration) {
    world.note(format_args!("the clock jumps by {} seconds", by.as_secs()));
    world.time.advance(world.time.now().plus(by));
}

async fn act(world: &Arc<World>, host: &Process, deed: Deed) -> Result<()> {
    let Some((realm, engine, _)) = world.dice.pick(&host.realms) else { return Ok(()) };
    match deed {
        Deed::Person(event) => {
            let now = world.time.now();
            let mut populations = lock(&realm.populations);
            let at = usize::try_from(world.dice.below(populations.len() as u64)).unwrap_or(0);
            if let Some(people) = populations.get_mut(at) {
                for _ in 0..world.dice.between(world.profile.together.0, world.profile.together.1) {
                    let told = people.happen(event, &world.dice, now).unwrap_or_default();
                    world.note(format_args!("{} {told}", realm.id));
                }
                people.deliver();
            }
            Ok(())
        }
        Deed::Flaw(flaw) => {
            let mut populations = lock(&realm.populations);
            let at = usize::try_from(world.dice.below(populations.len() as u64)).unwrap_or(0);
            if let Some(people) = populations.get_mut(at) {
                world.note(format_args!("{} {} sends a flawed feed: {flaw:?}", realm.id, people.source));
                people.deliver_flawed(flaw, &world.dice);
                if flaw != Flaw::Replay && world.dice.per_mille(500) {
                    people.deliver();
                }
            }
            Ok(())
        }
        Deed::Grant | Deed::Revoke | Deed::Extend | Deed::Terminate => ask(world, realm, engine, deed).await,
        Deed::Stranger => super::stranger::meddle(world, realm).await,
        Deed::Squat => super::stranger::squat(world, realm),
        Deed::Outage => outage(world),
        Deed::Edit => {
            let version = realm.version.fetch_add(1, Ordering::SeqCst).saturating_add(1);
            world.note(format_args!("{} gets version {version} of its policy", realm.id));
            Ok(())
        }
        Deed::Backup => {
            world.note(format_args!("backup"));
            world.depot.back_up()
        }
        Deed::Restore => restore(world),
        Deed::Reconcile | Deed::Onboard => read(world, realm, engine, deed).await,
        Deed::Ensure => ensure(world, realm, engine).await,
        Deed::Halt => halt(world, realm, engine).await,
        Deed::Retry => engine.retry(&operator(), &RetryFilter::default()).await.map(drop),
        Deed::Kill => {
            start(world, world.dice.below(world.profile.processes));
            Ok(())
        }
        Deed::Pause => {
            let slot = world.dice.below(world.profile.processes);
            let process = lock(&world.living).get(&slot).copied();
            if let Some(process) = process {
                let until = world.time.now().plus(LEASE * 2);
                world.note(format_args!("process {process} stops until {until}"));
                world.orders.0.pause(process, until);
                // The others go on meanwhile, past its leases.
                world.time.sleep(LEASE + Duration::from_secs(world.dice.below(60))).await;
            }
            Ok(())
        }
        Deed::Jump => {
            jump(world, Duration::from_secs(world.dice.between(60, 20_000)));
            Ok(())
        }
    }
}

/// Somebody has a target read whole.
async fn read(world: &World, realm: &Realm, engine: &Engine, deed: Deed) -> Result<()> {
    let Some(settings) = world.dice.pick(&realm.settings) else { return Ok(()) };
    match deed {
        Deed::Onboard => engine.onboard(&operator(), &settings.name).await.map(drop),
        _ => engine.reconcile(&operator(), &settings.name).await.map(drop),
    }
}

/// Nobody runs for about a day.
fn outage(world: &Arc<World>) -> Result<()> {
    let slots: Vec<u64> = lock(&world.living).keys().copied().collect();
    stop_all(world);
    let sleeping = Arc::clone(world);
    let day = Duration::from_secs(world.dice.between(40_000, 100_000));
    // The processes are gone when this order is carried out, before anybody starts.
    world.orders.0.call(move || jump(&sleeping, day));
    for slot in slots {
        start(world, slot);
    }
    Ok(())
}

/// Everybody stops, the backup takes the store's place, everybody starts.
fn restore(world: &Arc<World>) -> Result<()> {
    if !world.depot.has_backup() {
        return Ok(());
    }
    let slots: Vec<u64> = lock(&world.living).keys().copied().collect();
    stop_all(world);
    let restoring = Arc::clone(world);
    // The processes are gone when this order is carried out, before anybody starts.
    world.orders.0.call(move || {
        let restored = restoring.depot.restore();
        restoring.note(format_args!("restored: {restored:?}"));
        if let Ok(Some(from)) = restored {
            lock(&restoring.forgotten).push((from, restoring.time.now()));
        }
    });
    for slot in slots {
        start(world, slot);
    }
    Ok(())
}

/// Somebody signs in and needs the account now. Nobody waits for that longer than it may take.
async fn ensure(world: &World, realm: &Realm, engine: &Engine) -> Result<()> {
    let everything = Select::KeyPrefix(String::new());
    let store = engine.inner.store.as_ref();
    let (people, _) = store::list_by::<Identity>(store, engine.realm(), everything, None, 1_000).await?;
    let (Some(person), Some(settings)) = (world.dice.pick(&people), world.dice.pick(&realm.settings)) else {
        return Ok(());
    };
    let (who, patience) = (person.value.id, Duration::from_secs(10));
    let outcome = engine.ensure(&operator(), who, &settings.name, patience).await?;
    world.note(format_args!("{} ensure {}: {outcome:?}", realm.id, person.value.key));
    Ok(())
}

/// A target is not written to for a while.
async fn halt(world: &World, realm: &Realm, engine: &Engine) -> Result<()> {
    let Some(settings) = world.dice.pick(&realm.settings) else { return Ok(()) };
    world.note(format_args!("{} {} is paused", realm.id, settings.name));
    engine.pause(&operator(), &settings.name).await?;
    world.wait(10, 100).await;
    engine.resume(&operator(), &settings.name).await
}

/// A request of the host.
async fn ask(world: &World, realm: &Realm, engine: &Engine, deed: Deed) -> Result<()> {
    let store = engine.inner.store.as_ref();
    let everything = || Select::KeyPrefix(String::new());
    let (people, _) = store::list_by::<Identity>(store, engine.realm(), everything(), None, 1_000).await?;
    let people: Vec<Identity> =
        people.into_iter().map(|stored| stored.value).filter(|p| !p.key.ends_with("999")).collect();
    let Some(person) = world.dice.pick(&people) else { return Ok(()) };
    let (grants, _) = store::list_by::<Grant>(store, engine.realm(), everything(), None, 1_000).await?;
    let grants: Vec<Grant> = grants.into_iter().map(|stored| stored.value).collect();
    let until = world
        .dice
        .per_mille(500)
        .then(|| world.time.now().plus(Duration::from_secs(world.dice.between(60, 80_000))));
    let request = match deed {
        Deed::Grant => {
            let Some(project) = world.dice.pick(&PROJECTS) else { return Ok(()) };
            let from = world
                .dice
                .per_mille(200)
                .then(|| world.time.now().plus(Duration::from_secs(world.dice.between(60, 20_000))));
            SubmitRequest::Grant {
                identity: person.id,
                entitlement: Entitlement::Group {
                    target: TargetName::new(DIRECTORY),
                    class: ClassName::new("user"),
                    tag: Tag::main(),
                    group: group_name(project),
                },
                validity: Validity { from, until },
                reference: PolicyRef::new(format!("request-{}", world.dice.below(3))),
            }
        }
        Deed::Terminate => {
            let mut populations = lock(&realm.populations);
            for people in populations.iter_mut() {
                if let Some(person) = people.people.get_mut(&person.key) {
                    person.left_once = true;
                }
            }
            SubmitRequest::Terminate { identity: person.id }
        }
        _ => {
            let Some(grant) = world.dice.pick(&grants) else { return Ok(()) };
            let Some(origin) = world.dice.pick(&grant.origins) else { return Ok(()) };
            let (identity, entitlement) = (grant.identity, grant.entitlement.clone());
            let reference = origin.reference.clone();
            match deed {
                Deed::Extend => SubmitRequest::Extend { identity, entitlement, reference, until },
                _ => {
                    let reference = world.dice.per_mille(700).then_some(reference);
                    SubmitRequest::Revoke { identity, entitlement, reference }
                }
            }
        }
    };
    world.note(format_args!("{} {deed:?} {}", realm.id, person.key));
    let key = format!("request-{}", world.dice.seed());
    // Asked twice, it counts once.
    let times = if world.dice.per_mille(200) { 2 } else { 1 };
    for _ in 0..times {
        engine.submit(&operator(), request.clone(), &key).await?;
    }
    Ok(())
}
