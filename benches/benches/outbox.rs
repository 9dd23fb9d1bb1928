//! Events from the outbox of a SQLite file to JetStream, against publishing the same messages with nothing behind them:
//! same subjects, ids and bodies, as many without an acknowledgement at a time, a stream of the same kind on the same
//! server.
//!
//! `--smoke`: 2,000 events, one round. `--events N`, `--rounds N`: another size, other rounds.

use std::path::Path;
use std::sync::Arc;

use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, stream};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use provision_benches::report::Figure;
use provision_benches::{Outcome, Size, Spent, Table, expect, median, number_of, run, thousands, timed};
use provision_core::connector::Registry;
use provision_core::event::jetstream::{JetStream, JetStreamOptions, JetStreamSink, JetStreamSinkOptions};
use provision_core::event::{Event, RelayOptions};
use provision_core::id::{IdentityId, RealmId};
use provision_core::runtime::{Clock, Runtime, SystemClock};
use provision_core::store::{Changes, SqliteOptions, SqliteStore};
use provision_core::testkit::peer::Nats;

const REALM: &str = "acme";
/// Events of one commit.
const COMMIT: usize = 1_000;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let size = Size::asked(&arguments);
    let full = size == Size::Full;
    let events = number_of(&arguments, "--events").unwrap_or(if full { 100_000 } else { 2_000 });
    let rounds = number_of(&arguments, "--rounds").unwrap_or(if full { 3 } else { 1 });
    run(measure(events, rounds, full))
}

async fn measure(events: usize, rounds: usize, full: bool) -> Outcome<()> {
    let nats = Nats::start()?;
    let folder = tempfile::tempdir()?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let path = folder.path().join(format!("{round}.db"));
        fill(&path, events).await?;
        let name = format!("OURS{round}");
        let (sent, spent) = timed(relay(&path, &nats.url(), &name)).await;
        expect("events sent", sent?, events)?;
        ours.push(spent);
        let messages = read(&nats.url(), &name, events).await?;
        let (published, spent) = timed(publish(&nats.url(), &format!("BARE{round}"), messages)).await;
        expect("messages published", published?, events)?;
        bare.push(spent);
    }
    show(events, &ours, &bare, full);
    Ok(())
}

/// Commits events about one identity in ten.
async fn fill(path: &Path, events: usize) -> Outcome<()> {
    let clock = Arc::new(SystemClock);
    let store = Arc::new(SqliteStore::open(path, SqliteOptions::default(), clock.clone())?);
    let runtime = Runtime::builder(store, Registry::new()).build();
    let people = u128::try_from(events / 10)?.max(1);
    for first in (0..events).step_by(COMMIT) {
        let mut changes = Changes::in_realm(&RealmId::new(REALM));
        for number in first..(first + COMMIT).min(events) {
            let about = u128::try_from(number)? % people;
            let event = Event {
                realm: REALM.into(),
                at: clock.now(),
                event: "account.created".to_owned(),
                identity: Some(IdentityId::from_uuid(uuid::Uuid::from_u128(about))),
                target: Some("directory".into()),
                plan: None,
            };
            changes.append.push(event.append()?);
        }
        runtime.store().commit(changes).await?;
    }
    Ok(())
}

async fn relay(path: &Path, url: &str, name: &str) -> Outcome<usize> {
    let store = Arc::new(SqliteStore::open(path, SqliteOptions::default(), Arc::new(SystemClock))?);
    let bus = JetStream::new(JetStreamOptions { require_tls: false, ..JetStreamOptions::new([url]) });
    let sink = JetStreamSink::new(bus, JetStreamSinkOptions::new(name, name.to_lowercase()))?;
    let runtime = Runtime::builder(store, Registry::new()).sink("bus", Arc::new(sink)).build();
    let report = runtime.relay(&RelayOptions::default()).await?;
    Ok(usize::try_from(report.sent.values().sum::<u64>())?)
}

/// What a stream holds: id and body.
async fn read(url: &str, name: &str, events: usize) -> Outcome<Vec<(String, Vec<u8>)>> {
    let stream = jetstream::new(async_nats::connect(url).await?).get_stream(name).await?;
    let config = jetstream::consumer::pull::Config {
        ack_policy: jetstream::consumer::AckPolicy::None,
        ..Default::default()
    };
    let consumer = stream.create_consumer(config).await?;
    let mut messages = Vec::with_capacity(events);
    while messages.len() < events {
        let mut batch = consumer.fetch().max_messages(5_000).messages().await?;
        while let Some(message) = batch.next().await {
            let message = message?;
            let headers = message.headers.as_ref();
            let id = headers.and_then(|headers| headers.get(async_nats::header::NATS_MESSAGE_ID));
            messages.push((id.map(ToString::to_string).unwrap_or_default(), message.payload.to_vec()));
        }
    }
    Ok(messages)
}

/// Publishes messages with as many under way as the sink has.
async fn publish(url: &str, name: &str, messages: Vec<(String, Vec<u8>)>) -> Outcome<usize> {
    let options = JetStreamSinkOptions::new(name, name.to_lowercase());
    let context = jetstream::new(async_nats::connect(url).await?);
    let config = stream::Config {
        name: options.stream,
        subjects: vec![format!("{}.>", options.prefix)],
        max_age: options.max_age,
        duplicate_window: options.duplicate_window,
        ..stream::Config::default()
    };
    context.create_stream(config).await?;
    let subject = format!("{}.{REALM}.account.created", options.prefix);
    let (mut under_way, mut arrived) = (FuturesUnordered::new(), 0);
    for (id, body) in messages {
        if under_way.len() >= options.window {
            arrived += usize::from(under_way.next().await.transpose()?.is_some());
        }
        let message = PublishMessage::build().payload(body.into()).message_id(&id);
        let sent = context.send_publish(subject.clone(), message).await?;
        under_way.push(sent.into_future());
    }
    while under_way.next().await.transpose()?.is_some() {
        arrived += 1;
    }
    Ok(arrived)
}

fn show(events: usize, ours: &[Spent], bare: &[Spent], full: bool) {
    let (relayed, published) = (median(ours), median(bare));
    let mut table = Table::new(&["events to JetStream", "median", "processor", "per second"]);
    table.row(relayed.cells(format!("outbox of {events} events"), events));
    table.row(published.cells("publishing the same messages".to_owned(), events));
    println!("{table}");
    let rate = |spent: Spent| f64::from(u32::try_from(events).unwrap_or(u32::MAX)) / spent.wall.as_secs_f64();
    let name = format!("outbox of {} events to JetStream, 256 under way", thousands(events));
    if full {
        Figure::new("outbox", name, rate(relayed), "events/s")
            .peer("bare publishing of the same messages with the same window", rate(published))
            .goal("0.8")
            .print();
    }
    println!("ratio: {:.2} ({} rounds)", rate(relayed) / rate(published), ours.len());
}
