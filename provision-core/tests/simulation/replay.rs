//! One seed again.

use provision_core::testkit::simulation::Simulation;

#[test]
fn replay() {
    let Ok(seed) = std::env::var("SIMULATION_SEED") else { return };
    let outcome = Simulation::new(seed.parse().unwrap()).whole_trace().run().unwrap();
    println!("{outcome}");
    assert!(outcome.is_clean());
}
