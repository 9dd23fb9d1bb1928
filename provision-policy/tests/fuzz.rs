//! Mutated input, for `FUZZ_SECONDS` or for a moment. Each target runs in a child process, so that an abort is a
//! finding as well; what was tried last is kept in a file until it has come through.
//!
//! `./test --long fuzz SECONDS` runs all three; `SEED=.. FUZZ_SECONDS=..` runs one again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests fail loudly"
)]
#![allow(clippy::disallowed_methods, reason = "it runs as long as it was told to, and times what it tries")]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use provision_policy::Bundle;
use support::grammar::{Dice, Grammar, anybody};
use support::{Names, attributes_without, evaluate, text_of};

const TARGET: &str = "FUZZ_TARGET";
/// No input may take longer to load or to evaluate, even in a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// What mutations put in, a word each; a space stands in for nothing else.
const WORDS: &str = concat!(
    "( ) [ ] { } \" ' ''' \\ r' b' // \n \t \u{0} \u{301} 👩‍👩‍👧 \u{202e} 王 ? : && || ! - + * / % < == . , in ",
    "null true has( user. user.title user.loose user.list value. name. today roles lifecycle ",
    "9223372036854775807 -9223372036854775808 1e999 0x 1u .exists(x, .map(x, .filter(x,x lookup(\"t\", ",
    "matches( capture(\"a\",\"(a*)*b\") replace_matches( ${1} (?P<a> \\p{L}{99} parse_date( %Y %:::z %99999d ",
    "plus_months( plus_seconds( ascii( first_nonempty( split( @result &a *a !!t <<: - : |\n '{ --- ... # %YAML"
);

fn mutate(text: &str, other: &str, dice: &mut Dice) -> String {
    let words: Vec<&str> = WORDS.split(' ').collect();
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..[1, 1, 2, 5][dice.roll(4)] {
        let at = dice.roll(chars.len() + 1);
        let end = (at + dice.roll(12)).min(chars.len());
        match dice.roll(7) {
            0 => drop(chars.drain(at..end)),
            1 => {
                let part: Vec<char> = chars[at..end].to_vec();
                let times = [1, 2, 40][dice.roll(3)];
                chars.splice(at..at, part.iter().copied().cycle().take(part.len() * times));
            }
            2 => chars.truncate(at),
            3 => {
                let part: Vec<char> = other.chars().collect();
                let from = dice.roll(part.len() + 1);
                let to = (from + dice.roll(60)).min(part.len());
                chars.splice(at..end, part[from..to].iter().copied());
            }
            4 if at < end => chars[at] = char::from_u32(dice.roll(0x3000) as u32).unwrap_or('\u{fffd}'),
            _ => {
                let word = dice.pick(&words);
                chars.splice(at..at, word.chars());
            }
        }
        chars.truncate(20_000);
    }
    chars.into_iter().collect()
}

/// Every bundle of the tests and of the guide.
fn bundles() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["tests/bundles", "tests/bundles/malformed"] {
        let mut paths: Vec<_> =
            std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let yaml = paths.iter().filter(|path| path.extension().is_some_and(|name| name == "yaml"));
        found.extend(yaml.map(|path| std::fs::read_to_string(path).unwrap()));
    }
    let guide = std::fs::read_to_string(root.join("../docs/guide/policy.md")).unwrap();
    let snippets = guide.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    found.extend(snippets.map(|text| format!("bundle: 1\nversion: a\n{text}")));
    assert!(found.len() > 15);
    // Those that load are tried as often as all others: a mutation of a faulty one is faulty.
    let good: Vec<String> =
        found.iter().filter(|text| Bundle::load(&[("policy.yaml", text)]).is_ok()).cloned().collect();
    assert!(good.len() > 3);
    let more = found.len() / good.len();
    found.extend(std::iter::repeat_n(good, more).flatten());
    found
}

/// What has been tried.
#[derive(Debug, Default)]
struct Tally {
    inputs: usize,
    loaded: usize,
    values: usize,
}

/// Loads it within its time; whatever it says is bounded and can be shown.
fn load(text: &str, last: &Path, tally: &mut Tally) -> Option<Bundle> {
    std::fs::write(last, text).unwrap();
    let begun = Instant::now();
    let loaded = Bundle::load(&[("policy.yaml", text)]);
    assert!(begun.elapsed() < PATIENCE, "loading took {:?}", begun.elapsed());
    match loaded {
        Ok(bundle) => {
            tally.loaded += 1;
            Some(bundle)
        }
        Err(problems) => {
            assert!(problems.iter().any(|problem| problem.is_error()) && problems.len() <= 201);
            let shown: usize = problems.iter().map(|problem| problem.to_string().len()).sum();
            assert!(shown < 500_000, "{shown} bytes of diagnostics");
            None
        }
    }
}

fn people(bundle: &Bundle, count: usize, dice: &mut Dice, tally: &mut Tally) {
    for _ in 0..count {
        let who = anybody(dice);
        let begun = Instant::now();
        let evaluation = evaluate(bundle, &who, &mut Names::default());
        assert!(begun.elapsed() < PATIENCE, "evaluation took {:?}", begun.elapsed());
        tally.values += evaluation.accounts.iter().map(|account| account.values.len()).sum::<usize>();
    }
}

/// One round of a target.
fn round(target: &str, grammar: &mut Grammar, bundles: &[String], last: &Path, tally: &mut Tally) {
    // Every third is mutated for the evaluator, which only sees what loads; all of them for the scanner.
    let mut expressions = |count: usize, one_in: usize| -> Vec<String> {
        let mut expression = || {
            let depth = 1 + grammar.dice.roll(4) as u32;
            let (one, other) = (grammar.any(depth), grammar.any(2));
            if grammar.dice.roll(one_in) == 0 { mutate(&one, &other, &mut grammar.dice) } else { one }
        };
        (0..count).map(|_| expression()).collect()
    };
    match target {
        "scanner" => {
            let text = text_of(&expressions(50, 1));
            tally.inputs += 50;
            load(&text, last, tally);
        }
        "loader" => {
            let (one, other) = (grammar.dice.roll(bundles.len()), grammar.dice.roll(bundles.len()));
            let text = mutate(&bundles[one], &bundles[other], &mut grammar.dice);
            tally.inputs += 1;
            if let Some(bundle) = load(&text, last, tally) {
                people(&bundle, 3, &mut grammar.dice, tally);
            }
        }
        _ => {
            let expressions = expressions(60, 3);
            std::fs::write(last, text_of(&expressions)).unwrap();
            let (bundle, kept) = attributes_without(&expressions, &|_| {});
            tally.inputs += 60;
            tally.loaded += kept.len();
            people(&bundle, 40, &mut grammar.dice, tally);
        }
    }
}

/// The child's side.
#[test]
fn child() {
    // Run by the harness itself it is nobody's child and has nothing to do.
    let Ok(target) = std::env::var(TARGET) else { return };
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let (seed, seconds) = (number("SEED").unwrap(), number("FUZZ_SECONDS"));
    let last = std::path::PathBuf::from(std::env::var("FUZZ_LAST").unwrap());
    let mut grammar = Grammar { dice: Dice(seed), cel: false };
    let bundles = bundles();
    let mut tally = Tally::default();
    let begun = Instant::now();
    // A moment is counted in rounds, so that it is the same everywhere.
    let rounds = if target == "loader" { 400 } else { 30 };
    let mut done = 0;
    while seconds.map_or(done < rounds, |seconds| begun.elapsed() < Duration::from_secs(seconds)) {
        round(&target, &mut grammar, &bundles, &last, &mut tally);
        done += 1;
    }
    println!("came through: {target}, seed {seed}: {tally:?}");
}

fn fuzz(target: &str) {
    let clock = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let seed = match std::env::var("SEED") {
        Ok(seed) => seed,
        Err(_) if std::env::var_os("FUZZ_SECONDS").is_some() => clock().to_string(),
        Err(_) => "20261120".to_owned(),
    };
    let folder = tempfile::tempdir().unwrap();
    let last = folder.path().join("last.yaml");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(TARGET, target)
        .env("SEED", &seed)
        .env("FUZZ_LAST", &last)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    if let Some(line) = text.lines().find(|line| line.contains("came through: ") && output.status.success()) {
        println!("{line}");
        return;
    }
    let kept = folder.keep().join("last.yaml");
    let error = String::from_utf8_lossy(&output.stderr);
    panic!("{target}, seed {seed}: {}; the input is in {}\n{text}\n{error}", output.status, kept.display());
}

#[test]
fn scanner() {
    fuzz("scanner");
}

#[test]
fn loader() {
    fuzz("loader");
}

#[test]
fn evaluator() {
    fuzz("evaluator");
}
