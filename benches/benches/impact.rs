//! What an edit of the policy would do to 1,000,000 people: whom it cannot concern is not evaluated.
//!
//! `--smoke`: 2,000 people. `--people N`: another size.

use std::collections::BTreeMap;

use provision_benches::matrix;
use provision_benches::report::Figure;
use provision_benches::{Outcome, Size, Spent, Table, expect, number_of, run, thousands, timed};
use provision_core::model::{Identity, Lifecycle};
use provision_core::policy::{NoNames, Policy, PolicyInput};
use provision_core::value::Timestamp;
use provision_policy::{Bundle, Edit};

/// People in memory at a time.
const CHUNK: usize = 10_000;

/// An edit, how many percent of the people it concerns, and what was measured.
struct Edited {
    name: &'static str,
    to: Bundle,
    way: Edit,
    percent: f64,
    spent: Spent,
    touched: usize,
    changed: usize,
}

fn main() -> Outcome<()> {
    run(bench())
}

/// The bundle of the matrix with a rule, a floor for each cost centre, and an expression for the display name.
fn bundle(rule: &str, floor: &str, name: &str) -> Outcome<Bundle> {
    let mut floors: BTreeMap<String, String> =
        (0..100).map(|number| (matrix::cost_center(number), format!("floor {number}"))).collect();
    floors.insert(matrix::cost_center(17), floor.to_owned());
    matrix::special(rule, &floors, name)
}

async fn bench() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let smoke = Size::asked(&arguments) == Size::Smoke;
    let count = number_of(&arguments, "--people").unwrap_or(if smoke { 2_000 } else { 1_000_000 });
    let (rule, floor, full) = (r#"user.costCenter == "CC017""#, "floor 17", "user.displayName");
    let from = bundle(rule, floor, full)?;
    let edited = |name, to: Bundle, percent| {
        let way = from.edit_to(&to);
        Edited { name, to, way, percent, spent: Spent::default(), touched: 0, changed: 0 }
    };
    let mut edits = [
        edited(
            "an equality rule that 1 % fulfil",
            bundle(&format!("{rule} && has(user.nickName)"), floor, full)?,
            1.0,
        ),
        edited("a row of a lookup that 1 % have", bundle(rule, "the roof", full)?, 1.0),
        edited("a mapping that everybody uses", bundle(rule, floor, "upper(user.displayName)")?, 100.0),
    ];
    let now: Timestamp = "2026-11-20T09:00:00Z".parse()?;
    let mut whole = Spent::default();
    for first in (0..count).step_by(CHUNK) {
        let people: Vec<Identity> = (first..count.min(first + CHUNK)).map(matrix::identity).collect();
        let differs = |to: &Bundle, person: &Identity| {
            let input = input(person, now);
            from.evaluate(&input, &mut NoNames).accounts != to.evaluate(&input, &mut NoNames).accounts
        };
        // Everybody by both bundles: what it takes without knowing whom an edit may concern.
        let everybody = async { people.iter().filter(|person| differs(&edits[0].to, person)).count() };
        let (changed, spent) = timed(everybody).await;
        whole = whole.plus(spent);
        for (number, edit) in edits.iter_mut().enumerate() {
            let ((touched, found), spent) = timed(async {
                let touched: Vec<&Identity> =
                    people.iter().filter(|person| edit.way.touches(&input(person, now))).collect();
                let found = touched.iter().filter(|person| differs(&edit.to, person)).count();
                (touched.len(), found)
            })
            .await;
            edit.spent = edit.spent.plus(spent);
            edit.touched += touched;
            edit.changed += found;
            if number == 0 {
                expect("people for whom the edit makes a difference", found, changed)?;
            }
        }
    }
    show(count, whole, &edits)
}

fn input(identity: &Identity, now: Timestamp) -> PolicyInput<'_> {
    PolicyInput { identity, lifecycle: Lifecycle::Active, now, grants: &[], proposed: false }
}

fn show(count: usize, whole: Spent, edits: &[Edited]) -> Outcome<()> {
    let mut table = Table::new(&["edit", "wall", "processor", "identities/s", "touched", "changed"]);
    let row = |name: &str, spent: Spent, touched: usize, changed: String| {
        let cells = spent.cells(name.to_owned(), count);
        cells.into_iter().chain([thousands(touched), changed])
    };
    table.row(row("everybody evaluated by both", whole, count, String::new()));
    for edit in edits {
        table.row(row(edit.name, edit.spent, edit.touched, thousands(edit.changed)));
        let most = count as f64 * edit.percent / 100.0 * 1.2 + 10.0;
        expect("too many touched", edit.touched as f64 > most, false)?;
    }
    println!("{table}");
    for edit in edits {
        let name = format!("impact on {} people: {}", thousands(count), edit.name);
        Figure::new("impact", name, edit.spent.wall.as_secs_f64(), "s")
            .peer("everybody evaluated by both bundles", whole.wall.as_secs_f64())
            .goal(if edit.percent < 100.0 { "about 0.01x" } else { "1x" })
            .print();
    }
    Ok(())
}
