//! The quickstart as a newcomer runs it, twice.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use support::{Ran, example, golden, normalised, quiet};

#[test]
fn first_run_provisions_and_second_finds_nothing_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let run = || -> Ran {
        let mut command = quiet(example("quickstart"));
        command.env("PROVISION_STATE_DIR", folder.path()).output().unwrap().into()
    };

    let first = run();
    assert_eq!((first.code, first.stderr.as_str()), (0, ""), "{}", first.stdout);
    assert!(!first.stdout.contains('\u{1b}'), "no colour where nobody looks");
    for fact in [
        "2026-11-02.csv: 500 rows: 500 new",
        "30 linked",
        "5 disputed: a person decides whose they are",
        "Left alone, unmappable: 3 people",
        "sAMAccountName = \"okaforn2\"",
        "2026-11-03.csv: 511 rows: 12 new, 25 changed, 5 ended, 1 gone, 474 unchanged",
        "mail = \"john.smith2@corp.example\"",
        "2026-11-04.csv: 180 rows",
        "HELD: nothing of this file is in force",
        "(63 %) would be removed or terminated; the limit is 10 %",
        "and is whole",
    ] {
        assert!(first.stdout.contains(fact), "{fact:?} is not in:\n{}", first.stdout);
    }
    assert_eq!(first.stdout.matches("steps done.").count(), 2, "{}", first.stdout);
    golden("quickstart.txt", &unordered(&without_numbers(&normalised(&first.stdout, folder.path()))));

    let accounts = std::fs::read(folder.path().join("badges.csv")).unwrap();
    let second = run();
    assert_eq!((second.code, second.stderr.as_str()), (0, ""), "{}", second.stdout);
    assert_eq!(second.stdout.matches("seen before, not read again").count(), 3);
    assert_eq!(second.stdout.matches("The plan is empty: nothing to do.").count(), 3);
    assert!(second.stdout.contains("its hold still waits"));
    assert!(second.stdout.contains("there was nothing to do."));
    assert_eq!(std::fs::read(folder.path().join("badges.csv")).unwrap(), accounts, "nothing was written");
}

/// Objects made side by side get their numbers in any order: `m-000095` becomes `m-`.
fn without_numbers(text: &str) -> String {
    let mut parts = text.split("m-");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |done, part| {
        let digits = part.chars().take_while(char::is_ascii_digit).count();
        done + "m-" + if digits == 6 { part.get(digits..).unwrap_or_default() } else { part }
    })
}

/// Targets are written side by side, and the clock stands still: entries of one instant come in any order.
fn unordered(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let of_history = |line: &&str| line.starts_with("2026-") && line.contains("  person:");
    if let (Some(first), Some(last)) = (lines.iter().position(of_history), lines.iter().rposition(of_history))
    {
        lines[first..=last].sort_unstable();
    }
    lines.join("\n")
}
