//! What runs in a process: workers, the clerk who takes feeds in, the operator, those who approve and decide.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::{Either, select};

use super::lock;
use super::population::Delivery;
use super::realm::Realm;
use super::world::{Process, World, boss, operator};
use crate::engine::{ApplyOptions, Decision, Engine, PlanOptions, RunOptions, RunUntil};
use crate::error::{ErrorKind, Result};
use crate::id::{FeedId, SourceName};
use crate::ingest::FeedOutcome;
use crate::model::{Dispute, DisputeAbout, HoldOf, HoldState};
use crate::plan::{Drive, PlanState, Scope};
use crate::runtime::Progress;
use crate::store::{self, Select};

/// How long a worker has an identity.
pub(super) const LEASE: Duration = Duration::from_secs(600);

/// Begins everything that runs in a process.
pub(super) fn begin(world: &Arc<World>, process: &Process) {
    let orders = &world.orders.0;
    for (realm, engine, known) in &process.realms {
        let of = || (Arc::clone(world), Arc::clone(realm), engine.clone(), Arc::clone(known));
        orders.spawn(process.id, drive(of()));
        orders.spawn(process.id, clerk(of()));
        if realm.settings.iter().any(|settings| settings.drive == Drive::Review) {
            orders.spawn(process.id, reviewer(of()));
        }
        orders.spawn(process.id, approver(of(), process.slot));
    }
}

type Of = (Arc<World>, Arc<Realm>, Engine, Arc<AtomicU32>);

/// The continuous drive: until nothing is due, or for a while whatever is due.
async fn drive((world, realm, engine, known): Of) {
    while !world.over.load(Ordering::SeqCst) {
        let options = RunOptions {
            workers: world.profile.workers,
            until: if world.dice.per_mille(300) { RunUntil::Forever } else { RunUntil::Idle },
            lease: LEASE,
            batch: world.profile.batch,
            poll: Duration::from_secs(20),
            ..RunOptions::default()
        };
        if world.equip(&realm, &engine, &known).await {
            let stop = async {
                world.wait(60, 240).await;
                options.stop.stop();
            };
            let actor = operator();
            let run = engine.run(&actor, &options);
            // Stopped or idle, it ends by itself.
            let (ended, stopping) = match select(pin!(run), pin!(stop)).await {
                Either::Left((ended, _)) => (ended, None),
                Either::Right(((), run)) => (run.await, Some(())),
            };
            if let Err(error) = ended {
                world.note(format_args!("{} run ({stopping:?}): {error}", realm.id));
            }
        }
        world.wait(10, 90).await;
    }
}

/// Takes deliveries in, oldest first; one that broke off comes again.
async fn clerk((world, realm, engine, known): Of) {
    while !world.over.load(Ordering::SeqCst) {
        let next = lock(&realm.populations)
            .iter()
            .find_map(|people| people.outbox.first().cloned().map(|feed| (people.source.clone(), feed)));
        match next {
            Some((source, delivery)) if world.equip(&realm, &engine, &known).await => {
                take_in(&world, &realm, &engine, &source, &delivery).await;
                world.wait(0, 10).await;
            }
            _ => world.wait(5, 60).await,
        }
    }
}

/// Takes one delivery in. True when it was applied.
pub(super) async fn take_in(
    world: &World,
    realm: &Realm,
    engine: &Engine,
    source: &SourceName,
    delivery: &Delivery,
) -> bool {
    let outcome = engine.ingest_feed(&operator(), source, delivery.feed(), &mut |_| {}).await;
    let (word, taken) = match &outcome {
        Ok(FeedOutcome::Applied(_)) => ("applied", true),
        Ok(FeedOutcome::Held { .. }) => ("held", true),
        Ok(FeedOutcome::AlreadyConsumed { .. }) => ("consumed before", true),
        Ok(FeedOutcome::Older { .. }) => ("older", true),
        Ok(FeedOutcome::Refused { .. }) => ("refused", true),
        Ok(FeedOutcome::BeingRead { .. }) => ("read by another", false),
        Err(_) => ("failed", false),
    };
    let why = outcome.as_ref().err().map(|error| error.report()).unwrap_or_default();
    world.note(format_args!("{} {} feed {}: {word} {why}", realm.id, source, delivery.number));
    if taken {
        let mut populations = lock(&realm.populations);
        if let Some(people) = populations.iter_mut().find(|people| people.source == *source) {
            people.outbox.retain(|waiting| waiting.number != delivery.number);
        }
    }
    matches!(outcome, Ok(FeedOutcome::Applied(_)))
}

/// Plans what changed and applies it, for targets in review.
async fn reviewer((world, realm, engine, known): Of) {
    while !world.over.load(Ordering::SeqCst) {
        if world.equip(&realm, &engine, &known).await
            && let Err(error) = review(&world, &engine).await
        {
            world.note(format_args!("{} review: {error}", realm.id));
        }
        world.wait(30, 200).await;
    }
}

/// One round of a reviewer. True when something was applied.
pub(super) async fn review(world: &World, engine: &Engine) -> Result<bool> {
    let options = ApplyOptions { patience: Duration::from_secs(60) };
    let mut moved = false;
    for plan in engine.plans(PlanState::Applying).await? {
        engine.apply(&operator(), plan.id, &options, &Progress::new()).await?;
        moved = true;
    }
    for hold in engine.holds().await? {
        let HoldOf::Plan { plan } = hold.of else { continue };
        if hold.state == HoldState::Approved {
            match engine.apply(&operator(), plan, &options, &Progress::new()).await {
                Ok(_) => moved = true,
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error),
            }
        }
    }
    let plan = engine.plan(&operator(), Scope::Changed, PlanOptions::default()).await?;
    if plan.state == PlanState::Ready {
        // Somebody reads it; meanwhile the world goes on.
        world.wait(0, 30).await;
        engine.apply(&operator(), plan.id, &options, &Progress::new()).await?;
        moved = true;
    }
    Ok(moved)
}

/// Decides what waits for a person.
async fn approver((world, realm, engine, known): Of, slot: u64) {
    while !world.over.load(Ordering::SeqCst) {
        world.wait(60, 400).await;
        if !world.equip(&realm, &engine, &known).await {
            continue;
        }
        let approve = world.dice.per_mille(800);
        if let Err(error) = decide(&world, &realm, &engine, slot, approve).await {
            world.note(format_args!("{} decide: {error}", realm.id));
        }
    }
}

/// One round of decisions. True when there was something to decide.
pub(super) async fn decide(
    world: &World,
    realm: &Realm,
    engine: &Engine,
    slot: u64,
    approve: bool,
) -> Result<bool> {
    let mut moved = false;
    for hold in engine.holds().await? {
        let mine = boss(slot);
        let outcome = match &hold.of {
            HoldOf::Feed { feed, source } => {
                let honest = is_honest(realm, engine, *feed, source).await?;
                world.note(format_args!("{} hold of feed, honest {honest}", realm.id));
                match (honest, hold.state) {
                    (false, _) => engine.reject(&mine, hold.id).await.map(drop),
                    (true, HoldState::Open) => match engine.approve(&mine, hold.id, &hold.digest).await {
                        Ok(_) => engine.promote(&mine, hold.id).await.map(drop),
                        Err(error) => Err(error),
                    },
                    (true, _) => engine.promote(&mine, hold.id).await.map(drop),
                }
            }
            HoldOf::Plan { .. } if hold.state != HoldState::Open => continue,
            HoldOf::Plan { .. } if approve => {
                if !world.over.load(Ordering::SeqCst) {
                    world.wait(0, world.profile.thought.saturating_mul(60)).await;
                }
                world.note(format_args!("{} {} approves {}", realm.id, mine.name, hold.reasons.join("; ")));
                engine.approve(&mine, hold.id, &hold.digest).await.map(drop)
            }
            HoldOf::Plan { .. } => engine.reject(&mine, hold.id).await.map(drop),
        };
        moved = true;
        match outcome {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => return Err(error),
        }
    }
    for dispute in engine.disputes().await? {
        let Some(decision) = answer(realm, engine, &dispute).await? else { continue };
        world.note(format_args!("{} dispute {:?}: {decision:?}", realm.id, dispute.about));
        moved = true;
        match engine.decide(&boss(slot), &Dispute::row_key(&dispute.about), decision).await {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => return Err(error),
        }
    }
    Ok(moved)
}

async fn is_honest(realm: &Realm, engine: &Engine, feed: FeedId, source: &SourceName) -> Result<bool> {
    let report = store::get::<crate::model::FeedReport>(
        engine.inner.store.as_ref(),
        engine.realm(),
        &feed.to_string(),
    )
    .await?;
    let name = report.map(|report| report.value.name).unwrap_or_default();
    let populations = lock(&realm.populations);
    let of = populations.iter().find(|people| people.source == *source);
    Ok(of.is_some_and(|people| people.sent.iter().any(|sent| format!("feed-{}", sent.number) == name)))
}

/// What somebody who looks at the target would say.
async fn answer(realm: &Realm, engine: &Engine, dispute: &Dispute) -> Result<Option<Decision>> {
    let DisputeAbout::Match { target, class, object, candidates } = &dispute.about else {
        return Ok(Some(Decision::Accept));
    };
    let Some(site) = realm.sites.get(target) else { return Ok(None) };
    let Some(candidate) = candidates.first().copied() else { return Ok(Some(Decision::NotTheSame)) };
    let rows = [candidate.to_string()];
    let known =
        store::get_many::<crate::model::Identity>(engine.inner.store.as_ref(), engine.realm(), &rows).await?;
    let key = known.into_iter().flatten().next().map(|identity| identity.value.key);
    let theirs = site.target.dump(class.clone())?.into_iter().find(|known| {
        known.attributes.text("employeeNumber") == key.as_deref()
            && (object.starts_with("step/") || known.key.id == *object)
    });
    Ok(Some(match (theirs, object.starts_with("step/")) {
        (Some(found), true) => Decision::LinkTo { identity: candidate, object: found.key.id },
        (None, true) => Decision::CreateAgain,
        (Some(_), false) => Decision::Link { identity: candidate },
        (None, false) => Decision::NotTheSame,
    }))
}

/// The open rows that somebody or something still has to do with.
pub(super) async fn left(engine: &Engine) -> Result<Vec<String>> {
    let store = engine.inner.store.as_ref();
    let mut left = Vec::new();
    let now = store.now().await?;
    let everything = || Select::KeyPrefix(String::new());
    let (work, _) =
        store::list_by::<crate::model::Work>(store, engine.realm(), everything(), None, 1_000).await?;
    for work in work.into_iter().map(|stored| stored.value).filter(|work| work.due_at <= now) {
        left.push(format!("dirty {} until {}", work.order, work.claimable_at()));
    }
    let (journal, _) =
        store::list_by::<crate::execute::JournalEntry>(store, engine.realm(), everything(), None, 10_000)
            .await?;
    let open = journal.into_iter().map(|stored| stored.value).filter(|entry| !entry.state.has_ended());
    left.extend(open.map(|entry| format!("open {} {:?}", entry.step.as_str(), entry.state)));
    left.extend(engine.holds().await?.iter().map(|hold| format!("hold {:?} {:?}", hold.of, hold.state)));
    left.extend(engine.disputes().await?.iter().map(|dispute| format!("dispute {:?}", dispute.about)));
    Ok(left)
}
