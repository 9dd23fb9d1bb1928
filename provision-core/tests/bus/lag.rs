//! How far sinks are behind: what the recorder is told, and what the overview says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics::{
    Counter, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};
use provision_core::engine::{RunUntil, Stop};
use provision_core::event::{RelayOptions, SinkLag};
use provision_core::model::Actor;
use provision_core::runtime::{Clock, SystemClock};

use crate::fixture::{Answer, Kept, builder, commit, commit_many, memory, options, still};

/// Gauges with a sink, by name.
#[derive(Clone, Debug, Default)]
struct Told(Arc<Mutex<BTreeMap<String, f64>>>);

impl Told {
    fn of(&self, sink: &str) -> Option<(u64, f64)> {
        let all = self.0.lock().unwrap();
        let of = |name: &str| all.get(&format!("provision_outbox_{name} {sink}")).copied();
        Some((of("unsent")? as u64, of("age_seconds")?))
    }
}

struct Level(Told, String);

impl GaugeFn for Level {
    fn increment(&self, _: f64) {}

    fn decrement(&self, _: f64) {}

    fn set(&self, value: f64) {
        self.0.0.lock().unwrap().insert(self.1.clone(), value);
    }
}

impl Recorder for Told {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let sink = key.labels().next().map_or("", |label| label.value());
        Gauge::from_arc(Arc::new(Level(self.clone(), format!("{} {sink}", key.name()))))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// Runs a test with a recorder, in virtual time.
fn heard(told: &Told, test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.unwrap();
    with_local_recorder(told, || runtime.block_on(test));
}

#[test]
fn every_relay_tells_how_far_each_sink_of_the_store_is_behind() {
    let told = Told::default();
    heard(&told, async {
        let (clock, store) = still();
        let sink = Kept::new(&[Answer::Until(2)]);
        let runtime = builder(&store).clock(clock.clone()).sink("kept", sink).build();
        let begun = clock.now();
        commit_many(&runtime, "acme", 5).await;
        runtime.relay(&options()).await.unwrap();
        assert_eq!(told.of("kept"), Some((3, 0.0)));
        clock.set(begun.plus(Duration::from_secs(40)));
        commit(&runtime, "b.v.", None, "later").await;
        // A process that has no such sink sees that nobody sends to it.
        let other = builder(&store).clock(clock.clone()).build();
        other.relay(&options()).await.unwrap();
        assert_eq!(told.of("kept"), Some((4, 40.0)), "of all realms");
        let seen = other.status().await.unwrap();
        let behind = |unsent, unsent_since| SinkLag { sink: "kept".to_owned(), unsent, unsent_since };
        let of = |realm: usize| &seen.realms[realm].behind[..];
        assert_eq!((of(0), of(1)), (&[behind(3, begun)][..], &[behind(1, clock.now())][..]));
        let text = seen.render();
        assert!(text.contains("events to kept: 3 wait, the oldest for 40 s, since"), "{text}");
        runtime.relay(&options()).await.unwrap();
        assert_eq!(told.of("kept"), Some((0, 0.0)));
        assert!(other.status().await.unwrap().realms.iter().all(|realm| realm.behind.is_empty()));
    });
}

#[test]
fn a_relay_that_runs_tells_again_and_again_until_a_sink_is_forgotten() {
    let told = Told::default();
    heard(&told, async {
        let (store, clock) = (memory(), SystemClock);
        let runtime = builder(&store).sink("kept", Kept::new(&[])).build();
        runtime.relay(&options()).await.unwrap();
        let (other, stop) = (builder(&store).build(), Stop::new());
        let forever = RelayOptions { until: RunUntil::Forever, stop: stop.clone(), ..options() };
        let watch = async {
            clock.sleep(Duration::from_secs(1)).await;
            assert_eq!(told.of("kept"), Some((0, 0.0)));
            commit_many(&runtime, "acme", 2).await;
            clock.sleep(Duration::from_secs(20)).await;
            assert_eq!(told.of("kept").unwrap().0, 2);
            assert!(other.forget_sink(&Actor::engine(), "kept").await.unwrap());
            clock.sleep(Duration::from_secs(20)).await;
            assert_eq!(told.of("kept"), Some((0, 0.0)), "nothing waits for it any more");
            stop.stop();
        };
        futures_util::future::join(other.relay(&forever), watch).await.0.unwrap();
    });
}
