//! A nats-server that is killed and started again while events are on their way.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use provision_core::engine::{RunUntil, Stop};
use provision_core::event::jetstream::{JetStreamSink, JetStreamSinkOptions};
use provision_core::event::{RelayOptions, SinkStatus};
use provision_core::runtime::{Runtime, SeededRandom};
use provision_core::store::Stream;
use provision_core::testkit::peer::Nats;

use crate::fixture::{builder, commit_many, memory, options};
use crate::jetstream::assert_once_and_in_order;
use crate::stream::{bus, read};

const KILLS: u64 = 6;
const REALM: &str = "acme";

async fn sink(runtime: &Runtime) -> SinkStatus {
    runtime.realm(REALM).status().await.unwrap().sinks.remove(0)
}

async fn until(runtime: &Runtime, is: impl Fn(&SinkStatus) -> bool) {
    let so = async {
        while !is(&sink(runtime).await) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(90), so).await.unwrap();
}

/// What the relay has as acknowledged when the server is killed is in the stream when it is back; what was on its way
/// comes later, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_again_and_again_delays_and_loses_nothing() {
    let seed = std::env::var("BUS_SEED").ok().map_or(1, |seed| seed.parse().unwrap());
    println!("BUS_SEED={seed}");
    let random = SeededRandom::new(seed);
    let draw = |below: u64| random.next_u64() % below;
    let nats = Nats::start().unwrap();
    let url = nats.url();
    let to = JetStreamSink::new(bus(&url), JetStreamSinkOptions::new("STORM", "storm")).unwrap();
    let runtime = builder(&memory()).sink("bus", Arc::new(to)).build();
    let stop = Stop::new();
    let poll = Duration::from_millis(20);
    let forever = RelayOptions { until: RunUntil::Forever, stop: stop.clone(), poll, batch: 40, ..options() };
    let host = async {
        commit_many(&runtime, REALM, 1).await;
        let (mut failed, mut committed) = (0, 1);
        for _ in 0..KILLS {
            until(&runtime, |sink| sink.unsent == 0).await;
            commit_many(&runtime, REALM, 600).await;
            committed += 600;
            // Somewhere in the middle: a part is acknowledged, a part is under way.
            let enough = sink(&runtime).await.sent + draw(400);
            until(&runtime, |sink| sink.sent >= enough || sink.unsent == 0).await;
            nats.kill();
            let sent = sink(&runtime).await.sent;
            if draw(2) == 0 {
                until(&runtime, |sink| sink.error.is_some() || sink.unsent == 0).await;
                failed += u64::from(sink(&runtime).await.error.is_some());
            }
            nats.restart().unwrap();
            let messages = read(&url, "STORM").await;
            let found: BTreeSet<u64> = messages.iter().map(|(.., message)| message.number).collect();
            let lost: Vec<u64> = (1..=sent).filter(|number| !found.contains(number)).collect();
            assert!(lost.is_empty(), "acknowledged and gone: {lost:?}");
        }
        until(&runtime, |sink| sink.unsent == 0).await;
        stop.stop();
        (failed, committed)
    };
    let (report, (failed, committed)) = futures_util::future::join(runtime.relay(&forever), host).await;
    assert_eq!(report.unwrap().sent["bus"], committed);
    assert!(failed > 0, "the relay never noticed");
    let outbox = runtime.store().read_stream(&REALM.into(), Stream::Outbox, 0, 100_000).await.unwrap();
    let expected: BTreeSet<u64> = outbox.iter().map(|(number, _)| *number).collect();
    assert_eq!(u64::try_from(expected.len()).unwrap(), committed);
    let messages = read(&url, "STORM").await;
    assert_once_and_in_order(&messages);
    let found: BTreeSet<u64> = messages.iter().map(|(.., message)| message.number).collect();
    assert_eq!(found, expected);
    println!("{KILLS} kills, {failed} times noticed, {committed} events");
}
