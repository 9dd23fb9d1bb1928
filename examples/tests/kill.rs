//! `kill -9` of the real `provisioner apply` at random points: resumed, it comes to the state of an undisturbed run.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use provision_core::runtime::{Clock, SeededRandom, SystemClock};
use support::{Host, differing};

/// How often the program is killed.
const KILLS: usize = 50;
/// Mostly they wait for deadlines of calls that nobody will answer.
const SIDE_BY_SIDE: usize = 5;
/// People of the file.
const PEOPLE: usize = 60;

/// What is being applied when the program is killed.
#[derive(Clone, Copy, Debug)]
enum Scene {
    /// Everybody is new.
    Joiners,
    /// A sixth leave, as many come, everybody has another title.
    Movers,
}

/// A host whose next `apply` has something to do.
fn ready(scene: Scene) -> Host {
    let host = Host::with(PEOPLE, "    budgets: { disable: { always: 100, percent: 0 } }");
    let config = host.read("provisioner.yaml");
    let config = config.replace("kind: memory", "kind: demo-directory");
    let config =
        config.replace("state_file: directory.json", "state_file: directory.json, seed_file: seed.json");
    let config = config.replace(
        "on_delete: delete } }",
        "on_delete: delete } }\n    budgets: { delete: { always: 100, percent: 0 } }",
    );
    host.write("provisioner.yaml", &config);
    let group = "\"CN=Staff,OU=Groups,DC=corp,DC=example\"";
    let seed = format!("[{{\"class\": \"group\", \"attributes\": {{\"cn\": \"Staff\", \"dn\": {group}}}}}]");
    host.write("seed.json", &seed);
    let bundle = host.read("bundle.yaml");
    let grant = format!("{{ group: {group}, on: directory/user }}, {{ account: badges/badge }}");
    host.write("bundle.yaml", &bundle.replace("{ account: badges/badge }", &grant));
    host.expect(0, &["ingest"]);
    host.expect(0, &["onboard"]);
    host.expect(2, &["plan"]);
    if let Scene::Movers = scene {
        host.expect(0, &["apply"]);
        host.feed("2026-01-06", PEOPLE / 6..PEOPLE + PEOPLE / 6);
        let text = host.read("hr/2026-01-06.csv");
        host.write("hr/2026-01-06.csv", &text.replace("Engineer", "Senior Engineer"));
        host.expect(0, &["ingest"]);
        host.expect(2, &["plan"]);
    }
    host
}

/// The state as tools that are not ours read it.
fn dump(host: &Host) -> String {
    // Opening the directory folds the log of its state file into the file.
    host.expect(0, &["check"]);
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign_reader.py");
    let output = Command::new("python3").arg(reader).arg(host.folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Kills an apply after a delay. True if it was still running.
fn killed(host: &Host, delay: Duration) -> bool {
    let mut child = host.command(&["apply"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(delay);
    let running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    running
}

/// Applies until everything is done.
fn resume(host: &Host) {
    for _ in 0..10 {
        let ran = host.run(&["apply"]);
        assert!([0, 2].contains(&ran.code), "{ran:#?}");
        if ran.code == 0 {
            // Nothing is left, and nothing new came up.
            host.expect(0, &["plan"]);
            return;
        }
    }
    panic!("not done after ten times: {:#?}", host.run(&["status"]));
}

#[test]
fn killed_apply_resumes_to_the_state_of_an_undisturbed_one() {
    let mut undisturbed = Vec::new();
    for scene in [Scene::Joiners, Scene::Movers] {
        let host = ready(scene);
        let before = dump(&host);
        let started = SystemClock.now();
        host.expect(0, &["apply"]);
        let took = SystemClock.now().since(started);
        host.expect(0, &["plan"]);
        let after = dump(&host);
        assert_ne!(before, after, "the reader sees what an apply does");
        undisturbed.push((scene, took, after));
    }
    let seed = std::env::var("KILL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_102);
    println!("seed {seed} (KILL_SEED), undisturbed: {:?}, {:?}", undisturbed[0].1, undisturbed[1].1);
    let (random, next) = (SeededRandom::new(seed), AtomicUsize::new(0));
    let points: Vec<u64> = (0..KILLS).map(|_| random.next_u64() % 1_000).collect();
    let hits = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(point) = points.get(number) else { return };
                    let (scene, took, expected) = &undisturbed[usize::from(number % 3 == 2)];
                    // Runs side by side take longer than one alone.
                    let delay = took.mul_f64(*point as f64 / 1_000.0 * 1.5);
                    let host = ready(*scene);
                    let running = killed(&host, delay);
                    println!("{number}: {scene:?} killed after {delay:?}, still running: {running}");
                    resume(&host);
                    let differ = differing(expected, &dump(&host));
                    assert!(differ.is_empty(), "{scene:?}, kill {number} after {delay:?}:\n{differ}");
                    hits.lock().unwrap().push(running);
                }
            });
        }
    });
    let hits = hits.into_inner().unwrap();
    assert_eq!(hits.len(), KILLS);
    let struck = hits.iter().filter(|hit| **hit).count();
    assert!(struck * 2 > KILLS, "only {struck} of {KILLS} kills came before the end");
}
