//! Chance: the same seed and the same calls give the same faults, and what the layer shows names the seed.

use provision_core::ErrorKind;
use provision_core::connector::Connector;
use provision_core::memory::{MemoryConfig, MemoryConnector};
use provision_core::runtime::SystemClock;
use provision_core::testkit::fault::{Fault, FaultLayer, FaultRule, Faults, Injected, Operation, Storm};
use std::sync::Arc;

use crate::bench::{Bench, cx};

async fn weather(seed: u64) -> Vec<Injected> {
    let bench = Bench::with_accounts([], 20);
    let mut storm = Storm::new(seed, 100);
    storm.late = std::time::Duration::from_millis(700);
    storm.stale = std::time::Duration::from_secs(2);
    bench.layer.set_faults(storm.faults());
    for number in 100..200 {
        let _ = bench.create(number).await;
        let _ = bench.list(3).await;
        if let Some(object) = bench.target.dump("account").unwrap().last() {
            let _ = bench.retitle(&object.key, "again").await;
            let _ = bench.get(&object.key).await;
        }
    }
    bench.layer.injected()
}

#[tokio::test]
async fn a_storm_comes_again_with_its_seed() {
    let first = weather(1).await;
    assert_eq!(first, weather(1).await);
    assert_ne!(first, weather(2).await);
    for befallen in [
        Fault::Refuse,
        Fault::LoseRequest,
        Fault::LoseResponse,
        Fault::Duplicate,
        Fault::Late(700),
        Fault::Delay(200),
        Fault::DelayResponse(200),
        Fault::Conflict,
        Fault::Truncate(1),
        Fault::Stale(2000),
        Fault::DropObserved,
    ] {
        let times = first.iter().filter(|entry| entry.fault == befallen).count();
        assert!((3..90).contains(&times), "{befallen:?} acted {times} times");
    }
}

#[tokio::test]
async fn the_seed_is_shown() {
    let bench = Bench::new([]);
    bench.layer.set_faults(Faults {
        seed: 4711,
        rules: vec![FaultRule::at(Operation::Check, [1], Fault::RateLimit(Some(5)))],
    });
    assert_eq!(bench.layer.check(&cx()).await.unwrap_err().kind(), ErrorKind::RateLimited);
    assert!(format!("{:?}", bench.layer).contains("seed: 4711"), "{:?}", bench.layer);
    assert_eq!(bench.layer.to_string(), "seed 4711, 1 faults\n  check 1: rate_limit 5");
}

#[tokio::test]
async fn a_record_keeps_the_last_and_counts_all() {
    let target = MemoryConnector::new(MemoryConfig::default(), Arc::new(SystemClock)).unwrap();
    let options = provision_core::testkit::fault::LayerOptions {
        faults: Faults { seed: 0, rules: vec![FaultRule::always(Operation::Check, Fault::Refuse)] },
        record_max: 3,
        observer: None,
    };
    let layer = FaultLayer::with(Arc::new(target), Arc::new(SystemClock), options);
    for _ in 0..5 {
        layer.check(&cx()).await.unwrap_err();
        layer.discover(&cx()).await.unwrap();
    }
    let calls = layer.injected().iter().map(|entry| entry.call).collect::<Vec<_>>();
    assert_eq!((calls, layer.injected_count(), layer.passed().len()), (vec![3, 4, 5], 5, 3));
    assert_eq!((layer.take_injected().len(), layer.injected().len(), layer.injected_count()), (3, 0, 5));
}

#[test]
fn the_memory_target_refuses_the_faults_it_does_not_make() {
    for fault in [Fault::LoseRequest, Fault::Duplicate, Fault::Hang, Fault::Stale(1), Fault::ExpireToken] {
        let faults = Faults { seed: 0, rules: vec![FaultRule::always(Operation::Get, fault)] };
        let config = MemoryConfig { faults, ..MemoryConfig::default() };
        let error = MemoryConnector::new(config, Arc::new(SystemClock)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert!(error.to_string().contains("faults"), "{error}");
    }
}
