//! SIGKILL before and after every commit and every call to a target: another process brings it to the state of a run
//! that nobody disturbed.

use std::time::Duration;

use crate::host::{Task, counted, start};
use crate::kill::{Scene, ready, resume, undisturbed};
use crate::point::{Fate, Point};
use crate::seed::{each, only};
use crate::site::{Setup, Site};
use crate::support::differing;

const AT_ONCE: usize = 2;
const SETUP: Setup = Setup { people: 6, drive: "review", concurrency: 4 };

/// Every point of a task on copies of a site.
fn points(ready: &Site, task: Task) -> Vec<Point> {
    let ended = start(&ready.copy(), task, None).end();
    assert!(ended.success, "{ended:#?}");
    let counted = counted(&ended);
    assert!(counted.commits > 3 && counted.calls > 10, "too little to do: {counted:?}");
    println!("{task:?}: {counted:?}");
    Point::all(Fate::Kill, counted)
}

/// A host dies at its point.
fn die(site: &Site, task: Task, point: Point) {
    let ended = start(site, task, Some(point)).end();
    assert!(!ended.success && ended.after("counted ").is_none(), "{point}: it lived on: {ended:#?}");
}

#[test]
fn an_apply_that_dies_at_any_commit_or_call_is_finished_by_another_process() {
    for scene in [Scene::Joiners, Scene::Movers] {
        let ready = ready(scene, SETUP);
        let (expected, _) = undisturbed(&ready);
        let points = points(&ready, Task::Apply);
        each(&points, AT_ONCE, only("BOUNDARY_ONLY"), |number, point| {
            let told = format!("{scene:?}, point {number}: {point}");
            let site = ready.copy();
            die(&site, Task::Apply, *point);
            resume(&site, &told);
            let dump = site.foreign("everything").unwrap_or_else(|wrong| panic!("{told}: {wrong}"));
            let differ = differing(&expected, &dump);
            assert!(differ.is_empty(), "{told}:\n{differ}");
        });
    }
}

#[test]
fn a_process_that_dies_anywhere_on_the_road_loses_nothing() {
    let ready = Site::new(SETUP);
    ready.expect(0, &["ingest"]);
    ready.expect(0, &["onboard"]);
    ready.expect(2, &["plan"]);
    ready.expect(0, &["apply"]);
    ready.feed("2026-01-06", 2..8, 1);
    let whole = ready.copy();
    walk(&whole, "undisturbed");
    let expected = whole.outcome();
    let points = points(&ready, Task::Road);
    each(&points, AT_ONCE, only("BOUNDARY_ONLY"), |number, point| {
        let told = format!("point {number}: {point}");
        let site = ready.copy();
        die(&site, Task::Road, *point);
        walk(&site, &told);
        let outcome = site.foreign("outcome").unwrap_or_else(|wrong| panic!("{told}: {wrong}"));
        let differ = differing(&expected, &outcome);
        assert!(differ.is_empty(), "{told}:\n{differ}");
    });
}

/// The whole road, by the real program, until nothing is left.
fn walk(site: &Site, after: &str) {
    for _ in 0..10 {
        site.pass(Duration::from_secs(60));
        for step in ["ingest", "apply"] {
            let ran = site.run(&[step]);
            assert!([0, 2].contains(&ran.code), "{after}: {step}: {ran:#?}");
        }
        match site.run(&["plan"]).code {
            0 => return,
            2 => {}
            code => panic!("{after}: plan ended with {code}"),
        }
    }
    panic!("{after}: not done after ten times: {:#?}", site.run(&["status"]));
}
