//! The matrix of a directory account, 13 attributes of which three are generated names, evaluated cold on one thread:
//! a bundle with all its reasons, the interpreter of the `cel` crate on the same expressions, and Rust by hand.
//!
//! `--smoke`: 200 people. `--people N`, `--rounds N`: other sizes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use provision_benches::matrix::{self, ByCel, by_hand, shown};
use provision_benches::report::Figure;
use provision_benches::{Outcome, Size, Spent, Table, expect, median, number_of, run, thousands, timed};
use provision_core::connector::{Connector, ObjectKey};
use provision_core::id::{LinkId, Tag};
use provision_core::memory::{MemoryConfig, MemoryConnector};
use provision_core::model::{Identity, Lifecycle, Link, Subject};
use provision_core::plan::{Action, Drive, PlanInput, TargetFacts, TargetSettings, plan_identity};
use provision_core::policy::{DesiredSlot, Evaluation, NoNames, Policy, PolicyInput};
use provision_core::runtime::SystemClock;
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
    converged(&people, &evaluate).await
}

/// Somebody whose account is as the policy wants it: evaluated and planned again, and nothing comes of it. Nothing is
/// remembered from one plan to the next, so there is nothing that a changed input or bundle would have to undo.
async fn converged(people: &[Identity], evaluate: &impl Fn(&Identity) -> Evaluation) -> Outcome<()> {
    let directory = MemoryConnector::new(MemoryConfig::default(), Arc::new(SystemClock))?;
    let mut settings = TargetSettings::new("directory", "memory");
    settings.drive = Drive::Enforce;
    let discovery = directory.discover(&MemoryConnector::context()).await?;
    let facts =
        TargetFacts { settings, discovery, onboarded: BTreeSet::from(["user".into()]), stopped: None };
    let targets = BTreeMap::from([("directory".into(), facts)]);
    let plan = |person: &Identity, links: &[Link]| {
        let evaluation = evaluate(person);
        plan_identity(&PlanInput {
            now: Timestamp::EPOCH,
            identity: person,
            lifecycle: Lifecycle::Active,
            evaluation: &evaluation,
            links,
            memberships: &[],
            targets: &targets,
            references: &BTreeMap::new(),
            peopled: &BTreeSet::new(),
            disputed: &BTreeSet::new(),
            open: &BTreeSet::new(),
            preview: false,
        })
    };
    let mut links: Vec<Vec<Link>> = Vec::with_capacity(people.len());
    for (number, person) in people.iter().enumerate() {
        let draft = plan(person, &[]);
        let step = draft.steps.first().ok_or("nothing is created")?;
        let Action::Create { attributes, .. } = &step.action else { return Err("no create".into()) };
        let id = LinkId::from_uuid(person.id.uuid());
        let subject = Subject::Identity(person.id);
        let link =
            Link::new(id, person.realm.clone(), "directory".into(), "user".into(), Tag::main(), subject);
        links.push(vec![Link {
            key: Some(ObjectKey::id(format!("m-{number}"))),
            enabled: Some(true),
            applied: attributes.clone(),
            observed: attributes.clone(),
            inputs: step.inputs.clone(),
            ..link
        }]);
    }
    let (steps, spent) = timed(async {
        people.iter().zip(&links).map(|(person, links)| plan(person, links).steps.len()).sum::<usize>()
    })
    .await;
    expect("steps of converged people", steps, 0)?;
    let each = spent.wall.as_secs_f64() * 1e6 / people.len() as f64;
    Figure::new("policy", "evaluating and planning somebody who is as the policy wants", each, "us").print();
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
