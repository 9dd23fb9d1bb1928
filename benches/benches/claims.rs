//! Claims of dirty identities through the store, as a worker of the drive makes them, beside the one SQL statement that
//! anybody would write who needs nothing but the rows: same table and indexes, same batch, rows of the same size, both
//! with durable commits.
//!
//! `--smoke`: few. `--claims N` of each round, `--batch N`, `--rounds N`.

use std::sync::Arc;
use std::time::Duration;

use provision_benches::postgres::{connect, database, load, server, store};
use provision_benches::report::Figure;
use provision_benches::{Outcome, Size, Spent, Table, expect, median, number_of, run, timed};
use provision_core::id::{IdentityId, RealmId};
use provision_core::model::{Employment, Identity, Lease, Work};
use provision_core::runtime::{Clock, SystemClock};
use provision_core::store::{
    self as rows, Changes, Claim, Cursor, PostgresStore, Row, Select, Store, Table as Of,
};
use provision_core::value::{Attributes, Zone};
use uuid::Uuid;

/// Who claims at the same time.
const CLAIMERS: [usize; 2] = [1, 8];
/// Rows of one commit of the preparation.
const COMMIT: usize = 1_000;
const LEASE: Duration = Duration::from_secs(120);
/// What the competitor asks.
const STATEMENT: &str = "update work set version = version + 1, due = $3, fence = $4, body = $5 \
    where realm = $1 and key in (select key from work where realm = $1 and due <= $2 order by due, key \
    for update skip locked limit $6) returning key, body";

#[derive(Clone, Copy, Debug)]
struct Setup {
    claims: usize,
    batch: usize,
    rounds: usize,
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let smoke = Size::asked(&arguments) == Size::Smoke;
    let of = |name, full, small| number_of(&arguments, name).unwrap_or(if smoke { small } else { full });
    let setup =
        Setup { claims: of("--claims", 160, 16), batch: of("--batch", 64, 8), rounds: of("--rounds", 3, 1) };
    let server = server()?;
    let (ours, theirs) = (database(&server)?.1, database(&server)?.1);
    run(async {
        let (store, other) = (store(&ours, 16).await?, store(&theirs, 1).await?);
        for store in [&store, &other] {
            fill(store, setup.rounds * CLAIMERS.len() * setup.claims * setup.batch).await?;
        }
        for url in [&ours, &theirs] {
            connect(url).await?.batch_execute("vacuum analyze work").await?;
        }
        for claimers in CLAIMERS {
            compare(&store, &theirs, setup, claimers).await?;
        }
        Ok(())
    })
}

/// People who are due, one row each.
async fn fill(store: &PostgresStore, people: usize) -> Outcome<()> {
    let realm = RealmId::from("bench");
    let now = store.now().await?;
    for first in (0..people).step_by(COMMIT) {
        let mut changes = Changes::in_realm(&realm);
        for number in first..(first + COMMIT).min(people) {
            let due = now.minus(Duration::from_micros((people - number) as u64));
            changes.put(&Work::marked(None, &person(number), false, due))?;
        }
        store.commit(changes).await?;
    }
    Ok(())
}

fn person(number: usize) -> Identity {
    Identity {
        id: IdentityId::from_uuid(Uuid::from_u128(number as u128 + 1)),
        realm: "bench".into(),
        attributes: Attributes::new(),
        provenance: Default::default(),
        employment: Employment::default(),
        engagements: Vec::new(),
        zone: Zone::utc(),
        source: "hr".into(),
        key: format!("{number:08}"),
        version: 1,
        next_change_at: None,
    }
}

async fn compare(store: &Arc<PostgresStore>, theirs: &str, setup: Setup, claimers: usize) -> Outcome<()> {
    let (mut ours, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..setup.rounds {
        let (claimed, spent) = timed(claim(store, setup, claimers)).await;
        expect("rows claimed", claimed?, setup.claims * setup.batch)?;
        let (claimed, competitor) = timed(statement(theirs, setup, claimers)).await;
        expect("rows claimed by the statement", claimed?, setup.claims * setup.batch)?;
        let ratio = competitor.wall.as_secs_f64() / spent.wall.as_secs_f64().max(1e-6);
        println!("round {}, {claimers} at a time: {ratio:.2} of the bare rate, load {}", round + 1, load());
        ours.push(spent);
        bare.push(competitor);
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    let rate = |spent: &[Spent]| setup.claims as f64 / median(spent).wall.as_secs_f64().max(1e-6);
    let mut table = Table::new(&["claims", "median", "processor", "claims per second"]);
    let what = format!("of {} rows, {claimers} at a time", setup.batch);
    table.row(median(&ours).cells(format!("{what}, the store"), setup.claims));
    table.row(median(&bare).cells(format!("{what}, bare statement"), setup.claims));
    println!("{table}");
    let mut figure = Figure::new("claims", format!("claims {what}"), rate(&ours), "/s")
        .peer("`UPDATE … WHERE key IN (SELECT … FOR UPDATE SKIP LOCKED LIMIT n) RETURNING`", rate(&bare))
        .goal("0.8x");
    figure.ratio = ratios.get(ratios.len() / 2).copied();
    figure.print();
    Ok(())
}

/// As the engine claims: leavers first, then the others, with a fence and a lease in the body.
async fn claim(store: &Arc<PostgresStore>, setup: Setup, claimers: usize) -> Outcome<usize> {
    let work = (0..claimers).map(|number| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let (realm, owner) = (RealmId::from("bench"), format!("run/{}", Uuid::from_u128(number as u128)));
            let mut claimed = 0;
            for _ in 0..setup.claims / claimers {
                let now = store.now().await?;
                let until = now.plus(LEASE);
                let after = Cursor { column: "0|\u{10FFFF}".to_owned(), key: String::new() };
                let page = |urgent| Select::AtMost("due", Work::due_column(urgent, now));
                let pages = vec![(page(true), None), (page(false), Some(after))];
                let claim = Claim {
                    realm: realm.clone(),
                    table: Of::Work,
                    pages,
                    limit: u32::try_from(setup.batch).unwrap_or(u32::MAX),
                };
                let take = |row: &Row| {
                    let known = rows::decode::<Work>(row)?.value;
                    let fence = known.fence + 1;
                    let lease = Some(Lease { owner: owner.clone(), until, fence });
                    rows::put(&Work { lease, fence, ..known })
                };
                claimed += store.claim(&claim, &take).await?.unwrap_or_default().len();
            }
            Ok::<usize, provision_core::Error>(claimed)
        })
    });
    let mut claimed = 0;
    for ended in futures_util::future::join_all(work).await {
        claimed += ended??;
    }
    Ok(claimed)
}

/// The competitor: one prepared statement for each claim. Its time is this process's, which costs it nothing.
async fn statement(url: &str, setup: Setup, claimers: usize) -> Outcome<usize> {
    let mut clients = Vec::new();
    for _ in 0..claimers {
        let client = connect(url).await?;
        let prepared = client.prepare(STATEMENT).await?;
        clients.push((client, prepared));
    }
    let body = claimed_body()?;
    let work = clients.into_iter().map(|(client, prepared)| {
        let body = body.clone();
        tokio::spawn(async move {
            let limit = i64::try_from(setup.batch).unwrap_or(i64::MAX);
            let mut claimed = 0;
            for _ in 0..setup.claims / claimers {
                let now = SystemClock.now();
                let (due, until) = (Work::due_column(false, now), Work::due_column(false, now.plus(LEASE)));
                let rows = client.query(&prepared, &[&"bench", &due, &until, &"1", &body, &limit]).await?;
                claimed +=
                    rows.iter().map(|row| row.get::<_, String>(1)).filter(|text| *text == body).count();
            }
            Ok::<usize, tokio_postgres::Error>(claimed)
        })
    });
    let mut claimed = 0;
    for ended in futures_util::future::join_all(work).await {
        claimed += ended??;
    }
    Ok(claimed)
}

/// A body as large as the store writes.
fn claimed_body() -> Outcome<String> {
    let now = SystemClock.now();
    let known = Work::marked(None, &person(0), false, now);
    let owner = format!("run/{}", Uuid::nil());
    let lease = Some(Lease { owner, until: now.plus(LEASE), fence: 1 });
    Ok(rows::put(&Work { lease, fence: 1, ..known })?.body)
}
