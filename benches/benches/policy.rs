//! The matrix of a directory account, 13 attributes of which three are generated names, evaluated cold on one thread:
//! a bundle with all its reasons, the interpreter of the `cel` crate on the same expressions, and Rust by hand.
//!
//! `--smoke`: 200 people. `--people N`, `--rounds N`: other sizes.

use provision_benches::matrix::{self, ByCel, by_hand, shown};
use provision_benches::report::Figure;
use provision_benches::{Outcome, Size, Spent, Table, expect, median, number_of, run, thousands, timed};
use provision_core::model::{Identity, Lifecycle};
use provision_core::policy::{DesiredSlot, Evaluation, NoNames, Policy, PolicyInput};
use provision_core::value::Timestamp;

fn main() -> Outcome<()> {
    run(bench())
}

async fn bench() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let smoke = Size::asked(&arguments) == Size::Smoke;
    let count = number_of(&arguments, "--people").unwrap_or(if smoke { 200 } else { 20_000 });
    let rounds = number_of(&arguments, "--rounds").unwrap_or(if smoke { 1 } else { 9 });
    let bundle = matrix::bundle()?;
    let cel = ByCel::new()?;
    let people: Vec<Identity> = (0..count).map(matrix::identity).collect();
    let now: Timestamp = "2026-11-20T09:00:00Z".parse()?;
    let evaluate = |person: &Identity| {
        let input =
            PolicyInput { identity: person, lifecycle: Lifecycle::Active, now, grants: &[], proposed: false };
        bundle.evaluate(&input, &mut NoNames)
    };
    for person in people.iter().take(2_000) {
        agree(person, &evaluate(person), &cel)?;
    }
    let (mut ours, mut theirs, mut hand) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (values, spent) =
            timed(async { people.iter().map(|person| values(&evaluate(person))).sum() }).await;
        expect("values", values, count * 13)?;
        ours.push(spent);
        let (values, spent) = timed(async {
            let mut values = 0;
            for person in &people {
                values += cel.account(person, Lifecycle::Active)?.map_or(0, |(_, values)| values.len());
            }
            Outcome::Ok(values)
        })
        .await;
        expect("values of cel", values?, count * 13)?;
        theirs.push(spent);
        let (values, spent) = timed(async {
            let accounts = people.iter().filter_map(|person| by_hand(person, Lifecycle::Active));
            accounts.map(|(_, account)| account.len()).sum()
        })
        .await;
        expect("values by hand", values, count * 13)?;
        hand.push(spent);
    }
    show(count, median(&ours), median(&theirs), median(&hand));
    Ok(())
}

fn values(evaluation: &Evaluation) -> usize {
    evaluation.accounts.iter().map(|account| account.values.len()).sum()
}

/// All three must say the same, or the figures compare different things.
fn agree(person: &Identity, evaluation: &Evaluation, cel: &ByCel) -> Outcome<()> {
    let account = evaluation.accounts.first().ok_or("no account")?;
    expect("refusals", account.refusals.len(), 0)?;
    let (_, hand) = by_hand(person, Lifecycle::Active).ok_or("no account by hand")?;
    let cel = cel.account(person, Lifecycle::Active)?.ok_or("no account by cel")?;
    for value in &account.values {
        let name = value.attribute.as_str();
        let ours = match &value.slot {
            DesiredSlot::Known(slot) => slot.values().first().map(|value| value.to_plain()),
            DesiredSlot::Withdrawn { .. } => None,
            DesiredSlot::AccountOf { key } => Some(key.clone()),
        };
        expect(name, ours.as_deref(), hand.text(name))?;
        expect(name, ours.as_deref(), shown(&cel, name))?;
    }
    Ok(())
}

fn show(count: usize, ours: Spent, theirs: Spent, hand: Spent) {
    let mut table = Table::new(&["13 attributes", "wall", "processor", "identities/s"]);
    table.row(ours.cells("a bundle, with reasons and hashes".to_owned(), count));
    table.row(theirs.cells("the `cel` interpreter, values only".to_owned(), count));
    table.row(hand.cells("Rust by hand, values only".to_owned(), count));
    println!("{table}");
    let each = |spent: Spent| spent.wall.as_secs_f64() * 1e6 / count as f64;
    let name = format!("matrix of 13 attributes, {} people, cold: an identity", thousands(count));
    Figure::new("policy", format!("{name}, against `cel`"), each(ours), "us")
        .peer("the `cel` interpreter on the same expressions, values only", each(theirs))
        .goal("0.5x")
        .print();
    Figure::new("policy", format!("{name}, against Rust"), each(ours), "us")
        .peer("Rust by hand, values only", each(hand))
        .goal("4x")
        .print();
    Figure::new("policy", "identities evaluated in a second on one thread", 1e6 / each(ours), "1/s")
        .goal("200,000")
        .print();
}
