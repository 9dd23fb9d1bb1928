//! Commits that append to a realm's streams, on one PostgreSQL: rows are numbered in the order of the commits, so that a
//! realm's commits wait for each other until they are on the disk, and those of several realms do not. Beside a bare
//! `INSERT` of the same rows, which nobody has to wait for.
//!
//! `--smoke`: few. `--commits N` of each writer, `--rounds N`.

use std::sync::Arc;

use provision_benches::postgres::{connect, database, load, server, store};
use provision_benches::report::Figure;
use provision_benches::{Outcome, Size, Table, expect, number_of, run, timed};
use provision_core::id::RealmId;
use provision_core::store::{Append, Changes, Commit, PostgresStore, Store, Stream};

/// Writers, and realms they write in.
const CASES: [(usize, usize); 4] = [(1, 1), (8, 1), (8, 8), (32, 1)];

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let smoke = Size::asked(&arguments) == Size::Smoke;
    let commits = number_of(&arguments, "--commits").unwrap_or(if smoke { 10 } else { 150 });
    let rounds = number_of(&arguments, "--rounds").unwrap_or(if smoke { 1 } else { 3 });
    let server = server()?;
    let url = database(&server)?.1;
    let mut table = Table::new(&["writers", "realms", "commits/s", "bare inserts/s"]);
    run(async {
        let store = store(&url, 32).await?;
        for (writers, realms) in CASES {
            let (mut ours, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
            for round in 0..rounds {
                let all = (writers * commits) as f64;
                let (done, spent) = timed(append(&store, (writers, realms), commits)).await;
                done?;
                let (done, competitor) = timed(insert(&url, writers, commits)).await;
                done?;
                let rates =
                    (all / spent.wall.as_secs_f64().max(1e-6), all / competitor.wall.as_secs_f64().max(1e-6));
                println!(
                    "round {}: {writers} writers, {realms} realms: {:.0}/s, bare {:.0}/s, load {}",
                    round + 1,
                    rates.0,
                    rates.1,
                    load()
                );
                ours.push(rates.0);
                bare.push(rates.1);
                ratios.push(rates.0 / rates.1);
            }
            let middle = |mut values: Vec<f64>| {
                values.sort_by(f64::total_cmp);
                values.get(values.len() / 2).copied().unwrap_or_default()
            };
            let (ours, bare, ratio) = (middle(ours), middle(bare), middle(ratios));
            table.row([writers.to_string(), realms.to_string(), format!("{ours:.0}"), format!("{bare:.0}")]);
            let name = format!("commits that append, {writers} writers in {realms} realms");
            let mut figure = Figure::new("numbering", name, ours, "/s")
                .peer("bare `INSERT` of the same rows, as many connections", bare);
            figure.ratio = Some(ratio);
            figure.print();
        }
        println!("{table}");
        Ok(())
    })
}

fn rows() -> Vec<Append> {
    let columns = vec![("identity", "00000000-0000-7000-8000-000000000000".to_owned())];
    let body = format!("{{\"event\":\"bench\",\"note\":\"{}\"}}", "x".repeat(400));
    (0..4).map(|_| Append { stream: Stream::Audit, columns: columns.clone(), body: body.clone() }).collect()
}

async fn append(
    store: &Arc<PostgresStore>,
    (writers, realms): (usize, usize),
    commits: usize,
) -> Outcome<()> {
    let work = (0..writers).map(|writer| {
        let (store, realm) = (Arc::clone(store), RealmId::new(format!("bench-{}", writer % realms)));
        tokio::spawn(async move {
            for _ in 0..commits {
                let changes = Changes { append: rows(), ..Changes::in_realm(&realm) };
                if store.commit(changes).await? != Commit::Committed {
                    return Ok::<bool, provision_core::Error>(false);
                }
            }
            Ok(true)
        })
    });
    for ended in futures_util::future::join_all(work).await {
        expect("committed", ended??, true)?;
    }
    Ok(())
}

async fn insert(url: &str, writers: usize, commits: usize) -> Outcome<()> {
    let mut clients = Vec::new();
    for _ in 0..writers {
        let client = connect(url).await?;
        let sql = "insert into audit (realm, identity, body) select 'bare', i, b from unnest($1::text[], $2::text[]) as r (i, b)";
        let statement = client.prepare(sql).await?;
        clients.push((client, statement));
    }
    let rows = rows();
    let identities: Vec<String> =
        rows.iter().flat_map(|row| row.columns.iter().map(|(_, value)| value.clone())).collect();
    let bodies: Vec<String> = rows.into_iter().map(|row| row.body).collect();
    let work = clients.into_iter().map(|(client, statement)| {
        let (identities, bodies) = (identities.clone(), bodies.clone());
        tokio::spawn(async move {
            for _ in 0..commits {
                client.execute(&statement, &[&identities, &bodies]).await?;
            }
            Ok::<(), tokio_postgres::Error>(())
        })
    });
    for ended in futures_util::future::join_all(work).await {
        ended??;
    }
    Ok(())
}
