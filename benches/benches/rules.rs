//! Rules: 300 of them over 1,000,000 people, and how long a bundle of 5,000 takes to load.
//!
//! `--smoke`: 1,000 people, 100 rules to load. `--people N`, `--rules N`: other sizes.

use std::time::Duration;

use provision_benches::matrix;
use provision_benches::report::Figure;
use provision_benches::{
    Outcome, Size, Spent, Table, expect, median, number_of, peak_memory_kib, run, thousands, timed,
};
use provision_core::model::{Identity, Lifecycle};
use provision_core::policy::{NoNames, Policy, PolicyInput};
use provision_core::value::Timestamp;
use provision_policy::Bundle;

/// Rules that everybody is asked of.
const RULES: usize = 300;
/// People in memory at a time.
const CHUNK: usize = 10_000;

fn main() -> Outcome<()> {
    run(bench())
}

async fn bench() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let smoke = Size::asked(&arguments) == Size::Smoke;
    let people = number_of(&arguments, "--people").unwrap_or(if smoke { 1_000 } else { 1_000_000 });
    let count = number_of(&arguments, "--rules").unwrap_or(if smoke { 100 } else { 5_000 });
    everybody(people).await?;
    loading(count, if smoke { 1 } else { 5 }).await
}

/// The condition of a rule: most ask for one value, some for more, for several, or for what no index knows.
fn condition(number: usize) -> String {
    let center = matrix::cost_center(number % 100);
    match number % 10 {
        0 => format!(r#"user.costCenter == "{center}" && user.title != "Director""#),
        1 => format!(r#"user.costCenter in ["{center}", "{}"]"#, matrix::cost_center((number + 7) % 100)),
        2 => format!(r#"lifecycle == "active" && user.costCenter == "{center}" && has(user.manager)"#),
        3 => format!(r#"has(user.costCenter) && user.costCenter.startsWith("{center}")"#),
        _ => format!(r#"user.costCenter == "{center}""#),
    }
}

fn bundle_of(rules: usize) -> String {
    let mut text =
        String::from("bundle: 1\nversion: bench\nroles:\n  staff: { grants: [account: directory/user] }\n");
    for number in 0..rules {
        text += &format!("  r{number}: {{ grants: [{{ group: \"CN=G{number}\", on: directory/user }}] }}\n");
    }
    text += "rules:\n  - { id: staff, when: 'lifecycle != \"terminated\"', roles: [staff] }\n";
    for number in 0..rules {
        text += &format!("  - {{ id: r{number}, when: '{}', roles: [r{number}] }}\n", condition(number));
    }
    text + "targets: { directory: { user: { attributes: { displayName: user.displayName } } } }\n"
}

async fn everybody(count: usize) -> Outcome<()> {
    let bundle = matrix::load(&[("rules.yaml", &bundle_of(RULES))])?;
    let programs: Vec<cel::Program> =
        (0..RULES).map(|number| matrix::compile(&condition(number))).collect::<Outcome<_>>()?;
    let functions = matrix::functions()?;
    let now: Timestamp = "2026-11-20T09:00:00Z".parse()?;
    let roles = |person: &Identity| {
        let input =
            PolicyInput { identity: person, lifecycle: Lifecycle::Active, now, grants: &[], proposed: false };
        bundle.evaluate(&input, &mut NoNames).roles.len() - 1
    };
    let (mut ours, mut theirs, mut compared) = (Spent::default(), Spent::default(), 0);
    for first in (0..count).step_by(CHUNK) {
        let people: Vec<Identity> = (first..count.min(first + CHUNK)).map(matrix::identity).collect();
        let (given, spent) = timed(async { people.iter().map(roles).sum::<usize>() }).await;
        ours = ours.plus(spent);
        expect("roles of anybody", given > 0, true)?;
        // One in a hundred is asked of the other, too.
        let sample: Vec<&Identity> = people.iter().step_by(100).collect();
        let (found, spent) = timed(async {
            let held = sample.iter().map(|person| matrix::hold(&programs, &functions, person));
            held.sum::<Outcome<usize>>()
        })
        .await;
        theirs = theirs.plus(spent);
        compared += sample.len();
        expect("roles", sample.iter().map(|person| roles(person)).sum::<usize>(), found?)?;
    }
    let each = |spent: Spent, count: usize| spent.wall.as_secs_f64() * 1e6 / count.max(1) as f64;
    let mut table = Table::new(&["300 rules", "wall", "processor", "identities/s"]);
    table.row(ours.cells(format!("{} people, a bundle", thousands(count)), count));
    table.row(theirs.cells(format!("{} of them, the `cel` interpreter", thousands(compared)), compared));
    println!("{table}");
    let name = format!("{RULES} rules and {} people: a person", thousands(count));
    Figure::new("rules", name, each(ours, count), "us")
        .peer("the `cel` interpreter on the same conditions", each(theirs, compared))
        .print();
    let name = format!("{RULES} rules and {} people", thousands(count));
    Figure::new("rules", name, ours.wall.as_secs_f64(), "s").print();
    if let Some(peak) = peak_memory_kib() {
        let name = format!("{RULES} rules and {} people: peak memory", thousands(count));
        Figure::new("rules", name, (peak / 1024) as f64, "MiB").print();
    }
    Ok(())
}

async fn loading(count: usize, rounds: usize) -> Outcome<()> {
    let text = bundle_of(count);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (loaded, spent) = timed(async { Bundle::load(&[("rules.yaml", &text)]) }).await;
        expect("problems", loaded.err().map(|problems| problems.len()), None)?;
        ours.push(spent);
        let (compiled, spent) = timed(async {
            (0..count).map(|number| matrix::compile(&condition(number))).collect::<Outcome<Vec<_>>>()
        })
        .await;
        expect("programs", compiled?.len(), count)?;
        theirs.push(spent);
    }
    let seconds = |spent: &[Spent]| -> f64 { median(spent).wall.max(Duration::from_micros(1)).as_secs_f64() };
    Figure::new(
        "rules",
        format!("a bundle of {} rules and as many roles loads", thousands(count)),
        seconds(&ours),
        "s",
    )
    .peer("`cel` compiles the conditions, nothing else", seconds(&theirs))
    .goal("under 1 s")
    .print();
    Ok(())
}
