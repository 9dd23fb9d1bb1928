//! Many people with five links each in one PostgreSQL: what a link takes, how long a claim of dirty people waits, and
//! what one change costs, from her record to her five accounts, beside the same among few.
//!
//! The people are copies: one goes the whole road, and her rows are written again with other numbers in them. One
//! database grows from the smaller size to the larger one; `vacuum analyze` comes before each measurement.
//!
//! `--smoke`: 200 and 2,000 people. `--people N`: the largest size, `--few N` the smallest, `--changes N`, `--claims N`.

use std::time::Duration;

use provision_benches::population::{Copies, Template, feed, record, token};
use provision_benches::postgres::{connect, database, load, server, store};
use provision_benches::report::Figure;
use provision_benches::{
    Outcome, Size, Spent, TARGET, Table, World, WorldOptions, expect, median, number_of, run, thousands,
    timed,
};
use provision_core::engine::{ApplyOptions, PlanOptions};
use provision_core::id::{SourceName, TargetName};
use provision_core::ingest::FeedOutcome;
use provision_core::model::{Identity, Lease, Work};
use provision_core::plan::Scope;
use provision_core::runtime::Progress;
use provision_core::store::{self as rows, Changes, Claim, Cursor, Row, Select, Table as Of};
use provision_core::value::{Attributes, Value};
use tokio_postgres::Client;

const SOURCE: &str = provision_benches::SOURCE;
/// Targets, and links of each person.
const LINKS: usize = 5;
/// Rows that a worker claims at once.
const BATCH: u32 = 64;
const LEASE: Duration = Duration::from_secs(120);

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let smoke = Size::asked(&arguments) == Size::Smoke;
    let of = |name, full, small| number_of(&arguments, name).unwrap_or(if smoke { small } else { full });
    let (few, people) = (of("--few", 10_000, 200), of("--people", 1_000_000, 2_000));
    let (changes, claims) = (of("--changes", 60, 4), of("--claims", 500, 10));
    let server = server()?;
    let (name, url) = database(&server)?;
    let done = run(measure(&url, (few, people), changes, claims));
    server.sql("postgres", &format!("drop database if exists {name} with (force)"))?;
    done
}

async fn measure(url: &str, (few, people): (usize, usize), changes: usize, claims: usize) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let targets: Vec<TargetName> = std::iter::once(TARGET.into())
        .chain((1..LINKS).map(|number| TargetName::new(format!("target-{number}"))))
        .collect();
    let options = WorldOptions { targets: targets.clone(), ..WorldOptions::default() };
    let world = World::on(store(url, 8).await?, folder.path(), options).await?;
    let client = connect(url).await?;
    hire_one(&world, &targets).await?;
    let template = world.template().await?;
    let mut table =
        Table::new(&["people", "loaded in", "median of one change", "claim of 64, median", "p99"]);
    let (mut from, mut number, mut medians) = (1, 1, Vec::new());
    for size in [few, people] {
        let (loaded, loading) =
            timed(load_to(&world, &client, &template, (from, size), &targets, changes)).await;
        let chosen = loaded?;
        println!("{size} people are there after {:.0} s more, load {}", loading.wall.as_secs_f64(), load());
        from = size;
        let mut rounds = Vec::new();
        for part in chosen.chunks(changes.div_ceil(3).max(1)) {
            let mut spent = Vec::new();
            for person in part {
                let (done, time) = timed(change(&world, number, record(*person, "Director"))).await;
                expect("steps", done?, LINKS as u64)?;
                number += 1;
                spent.push(time);
            }
            let one = median(&spent).wall.as_secs_f64() * 1e3;
            println!("{size} people: one change {one:.2} ms (median of {}), load {}", spent.len(), load());
            rounds.push(median(&spent));
        }
        let one = median(&rounds);
        let waits = claim_all(&world, &client, claims.min(size / BATCH as usize)).await?;
        let at = |share: f64| {
            let place = ((waits.len() as f64 * share).ceil() as usize).clamp(1, waits.len()) - 1;
            waits.get(place).map_or(0.0, |wait| wait.as_secs_f64() * 1e3)
        };
        println!("{size} people: {} claims, p50 {:.2} ms, p99 {:.2} ms", waits.len(), at(0.5), at(0.99));
        table.row([
            thousands(size),
            format!("{:.0} s", loading.wall.as_secs_f64()),
            format!("{:.2} ms", one.wall.as_secs_f64() * 1e3),
            format!("{:.2} ms", at(0.5)),
            format!("{:.2} ms", at(0.99)),
        ]);
        medians.push((one, at(0.99)));
    }
    println!("{table}");
    show(&client, (few, people), &medians).await
}

/// The first person gets her accounts, one on each target: all targets are one directory.
async fn hire_one(world: &World, targets: &[TargetName]) -> Outcome<()> {
    let (engine, actor) = (&world.engine, &world.actor);
    world.set_policy().await?;
    engine.onboard(actor, &TARGET.into()).await?;
    expect("steps", change(world, 0, record(0, "Analyst")).await?, 1)?;
    for target in targets {
        engine.onboard(actor, target).await?;
    }
    world.set_policy_on(targets).await?;
    Ok(())
}

/// Writes the people from a number to another; gives those who may change: they have an object that can be written to.
async fn load_to(
    world: &World,
    client: &Client,
    rows: &Template,
    (from, to): (usize, usize),
    targets: &[TargetName],
    changes: usize,
) -> Outcome<Vec<usize>> {
    let template = world.directory.dump("user")?;
    let template = template
        .iter()
        .find(|user| user.attributes.text("employeeNumber") == Some(token(0).as_str()))
        .ok_or("nobody was hired")?;
    let stride = ((to - from) / (changes + 1)).max(1);
    let chosen: Vec<usize> = (1..=changes).map(|number| from + number * stride).filter(|n| *n < to).collect();
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
    world.copy(rows, Copies { from, count: to, changed_in: 0 }, targets, &keys).await?;
    client.batch_execute("vacuum analyze").await?;
    client.batch_execute("checkpoint").await?;
    Ok(chosen)
}

/// One record, from the feed to the target; the steps it took.
async fn change(world: &World, number: usize, record: provision_core::source::FeedRecord) -> Outcome<u64> {
    let (engine, actor) = (&world.engine, &world.actor);
    match engine.ingest_feed(actor, &SourceName::new(SOURCE), feed(number, vec![record]), &mut |_| {}).await?
    {
        FeedOutcome::Applied(_) => {}
        other => return Err(format!("the feed was not applied: {other:?}").into()),
    }
    let plan = engine.plan(actor, Scope::Changed, PlanOptions::default()).await?;
    let report = engine.apply(actor, plan.id, &ApplyOptions::default(), &Progress::new()).await?;
    expect("clean", report.is_clean(), true)?;
    Ok(plan.steps)
}

/// Marks people of the whole population, claims them in batches, and takes the marks away; how long each claim took,
/// the shortest first.
async fn claim_all(world: &World, client: &Client, claims: usize) -> Outcome<Vec<Duration>> {
    let (store, realm) = (world.store.as_ref(), world.engine.realm());
    let wanted = claims * BATCH as usize;
    let now = store.now().await?;
    // Spread over the index of people, not the first of it.
    let sql =
        "select body from identity where hashtext(key) % greatest(1, ($1::bigint / 2)::int) = 0 limit $2";
    let total: i64 = client.query_one("select count(*) from identity", &[]).await?.get(0);
    let every = (total / wanted.max(1) as i64).max(1);
    let found = client.query(sql, &[&every, &(wanted as i64)]).await?;
    for part in found.chunks(1_000) {
        let mut changes = Changes::in_realm(realm);
        for row in part {
            let identity: Identity = serde_json::from_str(row.get(0))?;
            changes.put(&Work::marked(None, &identity, false, now))?;
        }
        store.commit(changes).await?;
    }
    let mut waits = Vec::with_capacity(claims);
    for _ in 0..claims {
        let (claimed, spent) = timed(claim(world)).await;
        if claimed? == 0 {
            break;
        }
        waits.push(spent.wall);
    }
    client.batch_execute("delete from work").await?;
    waits.sort();
    Ok(waits)
}

/// As a worker of the drive claims.
async fn claim(world: &World) -> Outcome<usize> {
    let (store, realm) = (world.store.as_ref(), world.engine.realm().clone());
    let now = store.now().await?;
    let page = |urgent| Select::AtMost("due", Work::due_column(urgent, now));
    let after = Cursor { column: "0|\u{10FFFF}".to_owned(), key: String::new() };
    let pages = vec![(page(true), None), (page(false), Some(after))];
    let take = |row: &Row| {
        let known = rows::decode::<Work>(row)?.value;
        let fence = known.fence + 1;
        let lease = Some(Lease { owner: "run/bench".to_owned(), until: now.plus(LEASE), fence });
        rows::put(&Work { lease, fence, ..known })
    };
    let claim = Claim { realm, table: Of::Work, pages, limit: BATCH };
    Ok(store.claim(&claim, &take).await?.unwrap_or_default().len())
}

async fn show(client: &Client, (few, people): (usize, usize), medians: &[(Spent, f64)]) -> Outcome<()> {
    let bytes = "select pg_total_relation_size('link')::float8 / (select count(*) from link), \
                 pg_database_size(current_database())::float8";
    let sizes = client.query_one(bytes, &[]).await?;
    let (link, all): (f64, f64) = (sizes.get(0), sizes.get(1));
    let what = format!("{} people x {LINKS} links in PostgreSQL", thousands(people));
    Figure::new("pg_size", format!("{what}: store for a link, with its indexes"), link, "B").print();
    Figure::new("pg_size", format!("{what}: database for a person"), all / people as f64, "B").print();
    let [(least, least_p99), (most, most_p99)] = medians else { return Err("two sizes".into()) };
    let milliseconds = |spent: &Spent| spent.wall.as_secs_f64() * 1e3;
    Figure::new("pg_size", format!("{what}: claim of {BATCH} dirty, p99"), *most_p99, "ms")
        .peer(format!("the same among {}", thousands(few)), *least_p99)
        .print();
    Figure::new("pg_size", format!("{what}: one change, feed to {LINKS} targets"), milliseconds(most), "ms")
        .peer(format!("the same among {}", thousands(few)), milliseconds(least))
        .goal("1.3x")
        .print();
    Ok(())
}
