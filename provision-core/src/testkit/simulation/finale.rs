//! The finale: nothing goes wrong any more, and everything is brought to its end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::lock;
use super::population::Population;
use super::realm::Realm;
use super::staff;
use super::storm;
use super::weather::Faults;
use super::world::{Process, World, operator};
use crate::engine::{Engine, RetryFilter, RunOptions};
use crate::error::Result;

/// Rounds until everything must have come to an end.
const ROUNDS: u32 = 40;

/// Brings everything to its end; the process it was done in goes on for the laws.
pub(super) async fn play(world: &Arc<World>) -> Process {
    world.over.store(true, Ordering::SeqCst);
    storm::stop_all(world);
    world.weather.set(Faults::default());
    world.note(format_args!("finale"));
    // What is still on its way arrives before anybody looks.
    world.wait(300, 300).await;
    let process = world.process(99);
    for (realm, _, _) in &process.realms {
        for people in lock(&realm.populations).iter_mut() {
            people.outbox.clear();
            people.deliver();
        }
    }
    let mut quiet = 0;
    for round in 0..ROUNDS {
        let mut rests = true;
        for (realm, engine, known) in &process.realms {
            let settled = settle(world, realm, engine, known, round).await;
            if let Err(error) = &settled {
                world.note(format_args!("{} round {round}: {}", realm.id, error.report()));
            }
            rests &= settled.unwrap_or(false);
        }
        quiet = if rests { quiet + 1 } else { 0 };
        if quiet > 1 {
            return process;
        }
        world.time.advance(world.time.now().plus(Duration::from_secs(1_800)));
    }
    for (realm, engine, _) in &process.realms {
        let left = staff::left(engine).await.unwrap_or_default();
        world.trouble(format!("{}: not at rest after {ROUNDS} rounds: {left:?}", realm.id));
    }
    process
}

/// One round. True when nothing was left to do.
async fn settle(
    world: &Arc<World>,
    realm: &Arc<Realm>,
    engine: &Engine,
    known: &Arc<AtomicU32>,
    round: u32,
) -> Result<bool> {
    if !world.equip(realm, engine, known).await {
        return Ok(false);
    }
    let waiting: Vec<_> = lock(&realm.populations)
        .iter()
        .filter_map(|people: &Population| people.outbox.first().cloned().map(|d| (people.source.clone(), d)))
        .collect();
    // What was done in the round.
    let mut moved = BTreeSet::new();
    if !waiting.is_empty() {
        moved.insert("feed");
    }
    for (source, delivery) in waiting {
        staff::take_in(world, realm, engine, &source, &delivery).await;
    }
    let epoch = engine.inner.store.epoch().await?;
    for target in engine.targets().await? {
        let name = target.settings.name.clone();
        if target.paused {
            engine.resume(&operator(), &name).await?;
        }
        if target.is_restored(&epoch) || target.onboarded.is_empty() {
            engine.onboard(&operator(), &name).await?;
            moved.insert("onboard");
        }
        if round < 2 || round % 8 == 7 {
            engine.reconcile(&operator(), &name).await?;
            moved.insert("reconcile");
        }
    }
    if engine.retry(&operator(), &RetryFilter { recreate: true, ..RetryFilter::default() }).await? > 0 {
        moved.insert("retry");
    }
    if staff::decide(world, realm, engine, 99, true).await? {
        moved.insert("decide");
    }
    let report =
        engine.run(&operator(), &RunOptions { batch: world.profile.batch, ..RunOptions::default() }).await?;
    if report.claimed > 0 {
        moved.insert("run");
    }
    if staff::review(world, engine).await? {
        moved.insert("review");
    }
    let left = staff::left(engine).await?;
    world.note(format_args!("{} round {round}: moved {moved:?}, left {left:?}", realm.id));
    Ok(moved.is_empty() && left.is_empty())
}
