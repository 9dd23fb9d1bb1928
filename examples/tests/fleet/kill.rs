//! `kill -9` of the real `provisioner apply` in bulk, at random points: another process brings it to the state of a run
//! that nobody disturbed.

use std::time::Duration;

use provision_core::runtime::{Clock, SystemClock};

use crate::process::Process;
use crate::seed::{Draw, each, only, seed};
use crate::site::{Setup, Site};
use crate::support::differing;

/// How often the program is killed, unless `KILL_COUNT` says otherwise.
const KILLS: usize = 200;
/// Tries side by side.
const AT_ONCE: usize = 2;
/// People of the file: each has two accounts and one or two memberships.
const PEOPLE: usize = 120;
const SETUP: Setup = Setup { people: PEOPLE, drive: "review", concurrency: 64 };

/// What is being applied when the program is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scene {
    /// Everybody is new.
    Joiners,
    /// A sixth leave, as many come, all others have another title and some another name.
    Movers,
}

/// A site whose next `apply` has something to do.
pub(crate) fn ready(scene: Scene, setup: Setup) -> Site {
    let site = Site::new(setup);
    site.expect(0, &["ingest"]);
    site.expect(0, &["onboard"]);
    site.expect(2, &["plan"]);
    if let Scene::Movers = scene {
        site.expect(0, &["apply"]);
        let gone = setup.people.div_ceil(6);
        site.feed("2026-01-06", gone..setup.people + gone, 1);
        site.expect(0, &["ingest"]);
        site.expect(2, &["plan"]);
    }
    site
}

/// What an apply that nobody disturbs comes to, and how long it takes.
pub(crate) fn undisturbed(ready: &Site) -> (String, Duration) {
    let site = ready.copy();
    let before = site.dump();
    let started = SystemClock.now();
    site.expect(0, &["apply"]);
    let took = SystemClock.now().since(started);
    site.expect(0, &["plan"]);
    let after = site.dump();
    assert_ne!(before, after, "the reader sees what an apply does");
    (after, took)
}

/// Another process goes on, after every deadline, until everything is done.
pub(crate) fn resume(site: &Site, after: &str) {
    for _ in 0..10 {
        site.pass(Duration::from_secs(60));
        let ran = site.run(&["apply"]);
        assert!([0, 2].contains(&ran.code), "{after}: {ran:#?}");
        if ran.code == 0 {
            let plan = site.run(&["plan"]);
            assert_eq!(plan.code, 0, "{after}: something is left or new: {plan:#?}");
            return;
        }
    }
    panic!("{after}: not done after ten times: {:#?}", site.run(&["status"]));
}

/// Kills an apply after a delay. True if it was still running.
fn killed(site: &Site, delay: Duration) -> bool {
    let mut process = Process::start(site.command(&["apply"]));
    std::thread::sleep(delay);
    process.kill()
}

#[test]
fn killed_apply_resumes_to_the_state_of_an_undisturbed_one() {
    let scenes = [Scene::Joiners, Scene::Movers].map(|scene| (scene, ready(scene, SETUP)));
    let undisturbed = scenes.each_ref().map(|(_, ready)| undisturbed(ready));
    let seed = seed("KILL_SEED");
    let draw = Draw::new(seed);
    println!("undisturbed: {:?}, {:?}", undisturbed[0].1, undisturbed[1].1);
    // In thousandths of a run, how long it may live; every fourth time the one that goes on is killed too.
    let points: Vec<(u64, Option<u64>)> = (0..only("KILL_COUNT").unwrap_or(KILLS))
        .map(|number| (draw.below(1_100), (number % 4 == 3).then(|| draw.below(1_100))))
        .collect();
    let hits = each(&points, AT_ONCE, only("KILL_ONLY"), |number, (point, again)| {
        let ((scene, ready), (expected, took)) = (&scenes[number % 2], &undisturbed[number % 2]);
        let site = ready.copy();
        let delay = |point: &u64| took.mul_f64(*point as f64 / 1_000.0);
        let running = killed(&site, delay(point));
        if let Some(again) = again {
            site.pass(Duration::from_secs(60));
            killed(&site, delay(again));
        }
        let told =
            format!("seed {seed}, kill {number}: {scene:?} after {:?}, running: {running}", delay(point));
        resume(&site, &told);
        let dump = site.foreign("everything").unwrap_or_else(|wrong| panic!("{told}: {wrong}"));
        let differ = differing(expected, &dump);
        assert!(differ.is_empty(), "{told}:\n{differ}");
        running
    });
    let struck = hits.iter().filter(|hit| **hit).count();
    println!("{struck} of {} kills struck a running apply", hits.len());
    assert!(struck * 2 >= hits.len(), "only {struck} of {} kills came before the end", hits.len());
}
