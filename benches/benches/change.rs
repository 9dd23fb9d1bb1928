//! One person of many changes: from her record to her account, at three sizes of the population.
//!
//! `--smoke`: 200 and 2,000 people, few changes. `--people N` sets the largest size, `--changes N` how many are timed.

use provision_benches::population::{Copies, feed, record, token};
use provision_benches::report::Figure;
use provision_benches::{Outcome, Size, Spent, TARGET, Table, World, expect, median, number_of, run, timed};
use provision_core::engine::{ApplyOptions, PlanOptions};
use provision_core::id::SourceName;
use provision_core::ingest::FeedOutcome;
use provision_core::plan::Scope;
use provision_core::runtime::Progress;
use provision_core::value::{Attributes, Value};

/// The source all people come from.
const SOURCE: &str = provision_benches::SOURCE;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let smoke = Size::asked(&arguments) == Size::Smoke;
    let people = number_of(&arguments, "--people").unwrap_or(if smoke { 2_000 } else { 1_000_000 });
    let changes = number_of(&arguments, "--changes").unwrap_or(if smoke { 5 } else { 100 });
    let sizes = if smoke { vec![people / 10, people] } else { vec![people / 100, people / 10, people] };
    let mut table = Table::new(&["people", "median of one change", "processor", "changes per second"]);
    let mut medians = Vec::new();
    for size in &sizes {
        let spent = median(&run(one_by_one(*size, changes))?);
        table.row(spent.cells(size.to_string(), 1));
        medians.push(spent);
    }
    println!("{table}");
    if let (Some(least), Some(most)) = (medians.first(), medians.last()) {
        let milliseconds = |spent: &Spent| spent.wall.as_secs_f64() * 1_000.0;
        let name = format!("one change among {people} people, feed to target");
        let (few, many) = (milliseconds(least), milliseconds(most));
        let against = format!("the same among {}", sizes.first().copied().unwrap_or_default());
        Figure::new("change", name, many, "ms").peer(against, few).goal("1.3x").print();
    }
    Ok(())
}

/// What each of some changes took.
async fn one_by_one(people: usize, changes: usize) -> Outcome<Vec<Spent>> {
    let folder = tempfile::tempdir()?;
    let world = World::open(folder.path()).await?;
    world.set_policy().await?;
    world.engine.onboard(&world.actor, &TARGET.into()).await?;
    change(&world, 0, record(0, "Analyst")).await?;
    let template = world.directory.dump("user")?.pop().ok_or("nobody was hired")?;
    // Those who will change, spread over the population; only they have an account that can be written to.
    let stride = (people / (changes + 1)).max(1);
    let chosen: Vec<usize> = (1..=changes).map(|number| number * stride).filter(|n| *n < people).collect();
    let mut keys = Vec::with_capacity(chosen.len());
    for person in &chosen {
        let mut attributes = Attributes::new();
        for (name, slot) in template.attributes.iter() {
            let values = slot.values().iter();
            let values =
                values.map(|value| Value::text(value.to_plain().replace(&token(0), &token(*person))));
            attributes.set(name.clone(), values.collect());
        }
        keys.push((*person, world.directory.seed("user", [(attributes, Some(true))])?.remove(0)));
    }
    world.copy_people(Copies { count: people, ..Copies::default() }, &[TARGET.into()], &keys).await?;
    let mut spent = Vec::with_capacity(chosen.len());
    for (number, person) in chosen.iter().enumerate() {
        let (done, time) = timed(change(&world, number + 1, record(*person, "Director"))).await;
        done?;
        spent.push(time);
    }
    let moved = world.directory.dump("user")?;
    let moved = moved.iter().filter(|user| user.attributes.text("title") == Some("Director")).count();
    expect("accounts with the new title", moved, chosen.len())?;
    Ok(spent)
}

/// One record, from the feed to the target.
async fn change(world: &World, number: usize, record: provision_core::source::FeedRecord) -> Outcome<()> {
    let (engine, actor) = (&world.engine, &world.actor);
    let source = SourceName::new(SOURCE);
    match engine.ingest_feed(actor, &source, feed(number, vec![record]), &mut |_| {}).await? {
        FeedOutcome::Applied(_) => {}
        other => return Err(format!("the feed was not applied: {other:?}").into()),
    }
    let plan = engine.plan(actor, Scope::Changed, PlanOptions::default()).await?;
    expect("steps", plan.steps, 1)?;
    let report = engine.apply(actor, plan.id, &ApplyOptions::default(), &Progress::new()).await?;
    expect("clean", report.is_clean(), true)
}
