//! A store restored from a backup that is two hours old, while the targets have moved on: nothing is made twice,
//! nothing is destroyed, and nothing is written before the targets were read whole once.

use std::time::Duration;

use crate::site::{Setup, Site};
use crate::support::differing;

const SETUP: Setup = Setup { people: 30, drive: "enforce", concurrency: 16 };
/// The feeds of the two hours.
const LATER: [&str; 2] = ["hr/2026-01-06.csv", "hr/2026-01-07.csv"];
const HOUR: Duration = Duration::from_secs(3_600);

/// What came first after the restore.
#[derive(Clone, Copy, Debug)]
enum First {
    /// The feeds that the backup does not know are read before the targets are.
    Ingest,
    /// The targets are read before those feeds are there: accounts of people whom the store does not know, and others
    /// that show what it never wrote.
    Onboard,
}

/// Two hours in which people come, go, move and marry, once with a backup at the beginning.
fn two_hours(site: &Site) {
    site.expect(0, &["ingest"]);
    site.expect(0, &["onboard"]);
    site.expect(0, &["run", "--once"]);
    site.expect(0, &["backup", "backup.db"]);
    site.pass(HOUR);
    site.feed("2026-01-06", 5..35, 1);
    site.expect(0, &["run", "--once"]);
    site.pass(HOUR);
    site.feed("2026-01-07", 8..40, 2);
    site.expect(0, &["run", "--once"]);
    site.expect(0, &["plan", "--all"]);
}

/// Puts the backup in the store's place, as the store's documentation says.
fn restore(site: &Site) {
    let folder = site.folder.path();
    for beside in ["provision.db-wal", "provision.db-shm"] {
        let _ = std::fs::remove_file(folder.join(beside));
    }
    site.rename("backup.db", "provision.db");
}

fn targets(site: &Site) -> String {
    site.foreign("targets").unwrap()
}

/// Nothing that the engine is asked for changes a target before it was read whole.
fn observes(site: &Site, before: &str, told: &str) {
    let status = site.expect(0, &["--json", "status"]).json();
    for target in status["targets"].as_array().unwrap() {
        assert_eq!(target["restored"], true, "{told}: {target}");
    }
    for command in [
        &["plan", "--all"][..],
        &["apply"],
        &["run", "--once"],
        &["reconcile"],
        &["plan", "--all"],
        &["apply"],
        &["run", "--once"],
    ] {
        let ran = site.run(command);
        assert!([0, 2, 3].contains(&ran.code), "{told}: {command:?}: {ran:#?}");
        let differ = differing(before, &targets(site));
        assert!(differ.is_empty(), "{told}: {command:?} wrote to a target:\n{differ}");
    }
}

/// The targets, and what the store says of names and edges: without what only the first store could know.
fn end(site: &Site) -> serde_json::Value {
    let mut outcome: serde_json::Value = serde_json::from_str(&site.outcome()).unwrap();
    for link in outcome["links"].as_array_mut().unwrap() {
        // Accounts that were found hold what was found, and not what the lost plans wrote.
        link.as_object_mut().unwrap().remove("applied");
    }
    outcome["links"].as_array_mut().unwrap().sort_by_key(|link| link["of"].to_string());
    outcome
}

fn shown(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

#[test]
fn a_backup_that_is_two_hours_old_makes_nothing_twice_and_destroys_nothing() {
    let site = Site::new(SETUP);
    two_hours(&site);
    let (before, expected) = (targets(&site), end(&site));
    for first in [First::Ingest, First::Onboard] {
        let told = format!("{first:?} first");
        let site = site.copy();
        restore(&site);
        match first {
            First::Ingest => drop(site.expect(0, &["ingest"])),
            First::Onboard => LATER.iter().for_each(|feed| site.rename(feed, &format!("{feed}.late"))),
        }
        observes(&site, &before, &told);
        for target in ["directory", "badges"] {
            site.expect(0, &["onboard", target]);
        }
        let differ = differing(&before, &targets(&site));
        assert!(differ.is_empty(), "{told}: reading wrote:\n{differ}");
        if let First::Onboard = first {
            LATER.iter().for_each(|feed| site.rename(&format!("{feed}.late"), feed));
            site.expect(0, &["ingest"]);
        }
        for _ in 0..3 {
            let ran = site.run(&["run", "--once"]);
            assert_eq!(ran.code, 0, "{told}: {ran:#?}");
            site.pass(HOUR);
        }
        site.expect(0, &["plan", "--all"]);
        let differ = differing(&before, &targets(&site));
        assert!(differ.is_empty(), "{told}: the targets differ from before the restore:\n{differ}");
        let differ = differing(&shown(&expected), &shown(&end(&site)));
        assert!(differ.is_empty(), "{told}: the store differs from the one that was lost:\n{differ}");
        site.expect(0, &["verify"]);
    }
}
