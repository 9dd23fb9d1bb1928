//! Generated names: 100,000 people of whom 2,000 share one. What a person costs must not depend on how many there are.
//!
//! `--smoke`: 1,000 people of whom 20 share one.

use std::time::Duration;

use provision_benches::matrix;
use provision_benches::report::Figure;
use provision_benches::{Outcome, Size, Spent, Table, expect, median, run, thousands, timed};
use provision_core::id::{PlanId, RealmId};
use provision_core::model::{Identity, Lifecycle};
use provision_core::plan::NameIndex;
use provision_core::policy::{Policy, PolicyInput};
use provision_core::value::Timestamp;
use provision_policy::Bundle;

/// Of so many people, one has the name that many share.
const SHARED: usize = 50;

fn main() -> Outcome<()> {
    run(bench())
}

async fn bench() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let smoke = Size::asked(&arguments) == Size::Smoke;
    let (few, many, rounds) = if smoke { (500, 1_000, 1) } else { (10_000, 100_000, 3) };
    let bundle = matrix::bundle()?;
    let mut spent = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for ((count, shared), spent) in [(few, true), (many, true), (many, false)].into_iter().zip(&mut spent)
        {
            spent.push(allot(&bundle, count, shared).await?);
        }
    }
    let mut table = Table::new(&["names", "wall", "processor", "identities/s"]);
    let [small, large, plain] = spent.map(|spent| median(&spent));
    table.row(small.cells(format!("{}, one in {SHARED} of one name", thousands(few)), few));
    table.row(large.cells(format!("{}, one in {SHARED} of one name", thousands(many)), many));
    table.row(plain.cells(format!("{}, all different", thousands(many)), many));
    println!("{table}");
    let each = |spent: Spent, count: usize| {
        spent.wall.max(Duration::from_micros(1)).as_secs_f64() * 1e6 / count as f64
    };
    let name =
        format!("names for {} people, {} of one name: a person", thousands(many), thousands(many / SHARED));
    Figure::new("names", &name, each(large, many), "us")
        .peer(format!("the same for {} and {}", thousands(few), thousands(few / SHARED)), each(small, few))
        .goal("1x: linear")
        .print();
    Figure::new("names", format!("{name}, against all different"), each(large, many), "us")
        .peer("everybody has a name of their own", each(plain, many))
        .print();
    Ok(())
}

/// Allots logins, addresses and common names to everybody; who shares a name gets it with a number.
async fn allot(bundle: &Bundle, count: usize, shared: bool) -> Outcome<Spent> {
    let now: Timestamp = "2026-11-20T09:00:00Z".parse()?;
    let people: Vec<Identity> = (0..count).map(|number| named(number, shared)).collect();
    let plan = PlanId::from_uuid(uuid::Uuid::from_u128(7));
    let mut index = NameIndex::new(
        &RealmId::new("bench"),
        bundle.namespaces(),
        plan,
        now,
        now.plus(Duration::from_secs(3_600)),
    );
    let (names, spent) = timed(async {
        let mut last = None;
        for person in &people {
            let input = PolicyInput {
                identity: person,
                lifecycle: Lifecycle::Active,
                now,
                grants: &[],
                proposed: false,
            };
            loop {
                index.begin(person.id, Vec::new());
                let evaluation = bundle.evaluate(&input, &mut index);
                let wanted = index.take_wanted();
                if wanted.is_empty() {
                    last = Some(evaluation);
                    break;
                }
                wanted.into_iter().for_each(|query| index.cover(query, []));
            }
            index.take_allotted();
        }
        last
    })
    .await;
    let login = names.and_then(|evaluation| {
        let account = evaluation.accounts.into_iter().next()?;
        account.values.into_iter().find(|value| value.attribute.as_str() == "sAMAccountName")
    });
    let wanted = if shared { format!("smithj{}", count / SHARED) } else { format!("p{:05}xx", count - 1) };
    let found = login.map(|value| format!("{:?}", value.slot)).unwrap_or_default();
    expect("the last login", (found.contains(&wanted), found.as_str()), (true, found.as_str()))?;
    Ok(spent)
}

/// A person with a name of their own, or with the one that every fiftieth has.
fn named(number: usize, shared: bool) -> Identity {
    let mut person = matrix::identity(number);
    let (given, family) = match number % SHARED == SHARED - 1 && shared {
        true => ("John".to_owned(), "Smith".to_owned()),
        false => (format!("X{}", number % 10), format!("P{number:05}X")),
    };
    person.attributes.set("givenName", vec![given.into()]);
    person.attributes.set("familyName", vec![family.into()]);
    person
}
