//! The planner over 1,000,000 edges: 10,000 people in 100 groups each, of which one in a thousand is to come and one to
//! go. Everything is in memory before the clock starts.
//!
//! `--smoke`: 100 people. `--people N`, `--rounds N`: other sizes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use provision_benches::report::Figure;
use provision_benches::{Outcome, Size, Table, expect, median, number_of, run, seconds, timed};
use provision_core::connector::{Connector, ObjectKey};
use provision_core::id::{IdentityId, LinkId, RealmId, Tag, TargetName};
use provision_core::memory::{MemoryConfig, MemoryConnector};
use provision_core::model::{Identity, Lifecycle, Link, Membership, Subject};
use provision_core::plan::{
    ClassSettings, Drive, OnDelete, PlanInput, TargetFacts, TargetSettings, plan_identity,
};
use provision_core::policy::{DesiredAccount, DesiredGroup, Evaluation};
use provision_core::runtime::SystemClock;
use provision_core::value::{Attributes, Timestamp, Zone};
use uuid::Uuid;

const TARGET: &str = "directory";
/// Groups that each person is in.
const GROUPS: usize = 100;
/// Of so many people, one leaves a group and joins another.
const MOVES: usize = 10;

/// What the planner looks at for one person.
struct Person {
    identity: Identity,
    evaluation: Evaluation,
    links: Vec<Link>,
    memberships: Vec<Membership>,
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let smoke = Size::asked(&arguments) == Size::Smoke;
    let people = number_of(&arguments, "--people").unwrap_or(if smoke { 100 } else { 10_000 });
    let rounds = number_of(&arguments, "--rounds").unwrap_or(if smoke { 1 } else { 5 });
    let targets = BTreeMap::from([(TargetName::new(TARGET), run(facts())?)]);
    let people: Vec<Person> = (0..people).map(person).collect();
    let edges = people.iter().map(|person| person.memberships.len()).sum::<usize>();
    let mut spent = Vec::new();
    for _ in 0..rounds {
        let (steps, time) = run(async { Ok(timed(async { plan(&people, &targets) }).await) })?;
        expect("steps", steps, 2 * people.len().div_ceil(MOVES))?;
        spent.push(time);
    }
    let spent = median(&spent);
    let mut table = Table::new(&["planner", "median", "processor", "edges per second"]);
    table.row(spent.cells(format!("{edges} edges of {} people", people.len()), edges));
    println!("{table}");
    println!("{} for {edges} edges", seconds(spent.wall));
    let name = format!("{edges} edges diffed by the planner");
    Figure::new("edges", name, spent.wall.as_secs_f64(), "s").goal("under 1 s").print();
    Ok(())
}

fn plan(people: &[Person], targets: &BTreeMap<TargetName, TargetFacts>) -> usize {
    let (references, disputed, open) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    let planned = people.iter().map(|person| {
        let input = PlanInput {
            now: Timestamp::EPOCH,
            identity: &person.identity,
            lifecycle: Lifecycle::Active,
            evaluation: &person.evaluation,
            links: &person.links,
            memberships: &person.memberships,
            targets,
            references: &references,
            disputed: &disputed,
            open: &open,
            peopled: &open,
            preview: false,
        };
        plan_identity(&input).steps.len()
    });
    planned.sum()
}

async fn facts() -> Outcome<TargetFacts> {
    let directory = MemoryConnector::new(MemoryConfig::default(), Arc::new(SystemClock))?;
    let mut settings = TargetSettings::new(TARGET, "memory");
    settings.drive = Drive::Enforce;
    let user = ClassSettings { on_delete: OnDelete::Disable, marker: None, correlate: Default::default() };
    settings.classes.insert("user".into(), user);
    let discovery = directory.discover(&MemoryConnector::context()).await?;
    let onboarded = BTreeSet::from(["user".into(), "group".into()]);
    Ok(TargetFacts { settings, discovery, onboarded, stopped: None })
}

fn group(number: usize) -> String {
    format!("CN=Group {number:03},OU=Groups,DC=bench")
}

fn person(number: usize) -> Person {
    let realm = RealmId::new("bench");
    let id = Uuid::from_u128(number as u128 + 1);
    let identity = Identity {
        id: IdentityId::from_uuid(id),
        realm: realm.clone(),
        attributes: Attributes::new(),
        provenance: BTreeMap::new(),
        employment: Default::default(),
        engagements: Vec::new(),
        zone: Zone::utc(),
        source: "hr".into(),
        key: format!("{number:08}"),
        version: 1,
        next_change_at: None,
    };
    let subject = Subject::Identity(identity.id);
    let link = LinkId::from_uuid(id);
    let account = Link::new(link, realm.clone(), TARGET.into(), "user".into(), Tag::main(), subject);
    let account = Link { key: Some(ObjectKey::id(format!("m-{number}"))), enabled: Some(true), ..account };
    let memberships = (0..GROUPS).map(|group_number| Membership {
        realm: realm.clone(),
        target: TARGET.into(),
        link,
        group_class: "group".into(),
        group: group(group_number),
        desired: true,
        applied: true,
        generation: 1,
    });
    // One leaves the first group and joins another one.
    let first = usize::from(number.is_multiple_of(MOVES));
    let wanted = (first..GROUPS + first).map(|group_number| DesiredGroup {
        class: "group".into(),
        group: group(group_number),
        of: None,
        privileged: false,
        because: Vec::new(),
    });
    let desired = DesiredAccount {
        target: TARGET.into(),
        class: "user".into(),
        tag: Tag::main(),
        exists: true,
        enabled: Some(true),
        because: Vec::new(),
        values: Vec::new(),
        groups: wanted.collect(),
        credential: None,
        refusals: Vec::new(),
        authority: Default::default(),
    };
    let evaluation = Evaluation { accounts: vec![desired], ..Evaluation::default() };
    Person { identity, evaluation, links: vec![account], memberships: memberships.collect() }
}
