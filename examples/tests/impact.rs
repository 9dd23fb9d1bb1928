//! What another policy would do, against the comparison of two full evaluations of everybody.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use provision_core::connector::Registry;
use provision_core::engine::{Engine, ImpactOptions};
use provision_core::id::{IdentityId, RealmId, SourceName, Tag};
use provision_core::impact::{AccountChange, HeldNames, Impact};
use provision_core::model::{
    Employment, Entitlement, Grant, Identity, Name, NameState, Origin, OriginKind, Status, Validity,
};
use provision_core::policy::{DesiredSlot, Evaluation, Policy, PolicyInput};
use provision_core::runtime::{Clock, FixedClock, Runtime};
use provision_core::store::{Changes, Commit, SqliteOptions, SqliteStore, Store};
use provision_core::value::{Attributes, Timestamp, Zone};
use provision_policy::Bundle;

const PEOPLE: usize = 3_000;
const POLICY: &str = r#"
bundle: 1
version: first
namespaces:
  login: { case: ignore }
lookups:
  floor: { map: { d0: ground, d1: first, d2: second }, default: none }
roles:
  staff: { grants: [{ account: d/u }] }
  fifth: { grants: [{ group: fifth, on: d/u }, { account: e/u }] }
rules:
  - { id: all, when: 'lifecycle != "terminated"', roles: [staff] }
  - { id: fifth, when: 'user.department == "d5"', roles: [fifth] }
targets:
  d:
    u:
      enabled: 'lifecycle == "active"'
      names: [{ login: { namespace: login, max: 12, allow: a-z0-9, parts: [user.familyName] } }]
      attributes:
        title: user.title
        floor: lookup("floor", user.department)
        mail: name.login + "@example.org"
  e:
    u: { attributes: { id: { value: key, strength: create_only }, name: name(user.title) } }
"#;

struct World {
    _folder: tempfile::TempDir,
    engine: Engine,
    now: Timestamp,
    people: Vec<(Identity, Vec<Grant>, Vec<Name>)>,
}

fn bundle(text: &str) -> Bundle {
    Bundle::load(&[("policy.yaml", text)]).unwrap_or_else(|problems| panic!("{}\n{text}", problems[0]))
}

fn base() -> String {
    POLICY.replace("name(user.title)", "user.title")
}

fn somebody(number: usize, realm: &RealmId) -> (Identity, Vec<Grant>, Vec<Name>) {
    let id = IdentityId::from_uuid(uuid(number));
    let mut attributes = Attributes::new()
        .with("familyName", format!("Person{}", number % 700))
        .with("title", ["Clerk", "Chief", ""][number % 3]);
    if !number.is_multiple_of(11) {
        attributes = attributes.with("department", format!("d{}", number % 100));
    }
    let status = [Status::Active, Status::OnLeave, Status::Active, Status::Terminated][number % 4];
    let identity = Identity {
        id,
        realm: realm.clone(),
        attributes,
        provenance: BTreeMap::new(),
        employment: Employment { status, ..Employment::default() },
        zone: Zone::utc(),
        source: SourceName::new("hr"),
        key: format!("{number:05}"),
        version: 1,
        next_change_at: None,
        engagements: Vec::new(),
    };
    let origin = Origin { kind: OriginKind::Request, reference: "R1".into(), validity: Validity::default() };
    let entitlement = Entitlement::Account { target: "e".into(), class: "u".into(), tag: Tag::main() };
    let grant = Grant { realm: realm.clone(), identity: id, entitlement, origins: vec![origin] };
    let name = format!("held{number}");
    let name = Name {
        realm: realm.clone(),
        namespace: "login".into(),
        scope: String::new(),
        folded: name.clone(),
        name,
        owner: Some(id),
        purpose: "d/u/main/login".to_owned(),
        state: NameState::Held,
    };
    let grants = if number.is_multiple_of(13) { vec![grant] } else { Vec::new() };
    let names = if number.is_multiple_of(2) { vec![name] } else { Vec::new() };
    (identity, grants, names)
}

fn uuid(number: usize) -> uuid::Uuid {
    uuid::Uuid::from_u128(0x4000_8000_0000_0000_0000 + number as u128)
}

async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let now: Timestamp = "2026-11-20T09:00:00Z".parse().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(FixedClock::at(now));
    let store =
        SqliteStore::open(folder.path().join("p.db"), SqliteOptions::default(), Arc::clone(&clock)).unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    let engine = Runtime::builder(Arc::clone(&store), Registry::new()).clock(clock).build().realm("main");
    let realm = engine.realm().clone();
    let people: Vec<_> = (0..PEOPLE).map(|number| somebody(number, &realm)).collect();
    for chunk in people.chunks(500) {
        let mut changes = Changes::in_realm(&realm);
        for (identity, grants, names) in chunk {
            changes.put(identity).unwrap();
            grants.iter().for_each(|grant| changes.put(grant).unwrap());
            names.iter().for_each(|name| changes.put(name).unwrap());
        }
        assert_eq!(store.commit(changes).await.unwrap(), Commit::Committed);
    }
    World { _folder: folder, engine, now, people }
}

/// Counts by key, gained or lost, made from two evaluations of everybody in the plainest way.
type Counts = BTreeMap<String, (u64, u64)>;

fn brute(world: &World, from: &Bundle, to: &Bundle, now: Timestamp) -> (u64, Counts) {
    let (mut counts, mut differing) = (Counts::new(), 0);
    for (identity, grants, names) in &world.people {
        let (lifecycle, _) = identity.lifecycle(now).unwrap();
        let input = PolicyInput { identity, lifecycle, now, grants, proposed: false };
        let facts = |policy: &Bundle| facts_of(&policy.evaluate(&input, &mut HeldNames::new(names, now)));
        let (old, new) = (facts(from), facts(to));
        let mut any = false;
        for (lost, fact) in old
            .difference(&new)
            .map(|fact| (true, fact))
            .chain(new.difference(&old).map(|fact| (false, fact)))
        {
            any = true;
            // A value that differs is lost with its text and gained with another.
            let (kind, _) = fact.split_once('=').unwrap_or((fact, ""));
            let entry = counts.entry(kind.to_owned()).or_default();
            if lost { entry.1 += 1 } else { entry.0 += 1 }
        }
        differing += u64::from(any);
    }
    (differing, counts)
}

/// Everything an evaluation says that an impact counts, as texts; values of accounts stand behind `=`.
fn facts_of(evaluation: &Evaluation) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    for role in &evaluation.roles {
        facts.insert(format!("role {}", role.role));
        facts.extend(role.because.iter().map(|rule| format!("rule {rule}")));
    }
    for account in evaluation.accounts.iter().filter(|account| account.exists) {
        let at = format!("{}/{}", account.target, account.class);
        facts.insert(format!("account {at}"));
        facts.insert(format!("enabled {at} {:?}", account.enabled));
        facts.extend(account.groups.iter().map(|group| format!("group {} {}", account.target, group.group)));
    }
    for account in &evaluation.accounts {
        let at = format!("{}/{}", account.target, account.class);
        facts.extend(
            account.refusals.iter().map(|refusal| format!("refusal {at} {}", refusal.reason.as_str())),
        );
        let values = account.values.iter().filter(|_| account.exists);
        facts.extend(values.map(|value| match &value.slot {
            DesiredSlot::Known(slot) => {
                format!("value {at} {}={slot:?} {:?}", value.attribute, value.strength)
            }
            other => format!("value {at} {}={other:?} {:?}", value.attribute, value.strength),
        }));
    }
    facts
}

/// The counts of an impact under the same keys.
fn counts_of(impact: &Impact) -> Counts {
    let mut counts = Counts::new();
    for of in &impact.roles {
        counts.insert(format!("role {}", of.role), (of.gained, of.lost));
    }
    for of in &impact.rules {
        counts.insert(format!("rule {}", of.rule), (of.gained, of.lost));
    }
    for of in &impact.groups {
        counts.insert(format!("group {} {}", of.target, of.group), (of.gained, of.lost));
    }
    for of in &impact.refusals {
        counts.insert(
            format!("refusal {}/{} {}", of.target, of.class, of.reason.as_str()),
            (of.gained, of.lost),
        );
    }
    for of in &impact.accounts {
        let entry = counts.entry(format!("account {}/{}", of.target, of.class)).or_default();
        match of.change {
            AccountChange::Create => entry.0 += of.count,
            AccountChange::Offboard => entry.1 += of.count,
            _ => {}
        }
    }
    counts.retain(|_, counts| *counts != (0, 0));
    counts
}

#[tokio::test]
async fn law_impact_is_the_comparison_of_two_full_evaluations() {
    let world = world().await;
    let from = base();
    let edit = |old: &str, new: &str| {
        assert!(from.contains(old), "{old}");
        from.replace(old, new)
    };
    let edits = [
        ("an equality rule", edit("\"d5\"", "\"d7\""), 120),
        ("a row of a lookup", edit("d1: first", "d1: 1st"), 60),
        ("a mapping of everybody", edit("title: user.title", "title: upper(user.title)"), 2_400),
        (
            "who is enabled",
            edit("'lifecycle == \"active\"'", "'lifecycle in [\"active\", \"on_leave\"]'"),
            2_400,
        ),
        ("a name", edit("max: 12", "max: 6"), 2_400),
        ("who has an account", edit("'lifecycle != \"terminated\"'", "'has(user.department)'"), 2_800),
        (
            "what must be there",
            edit("title: user.title", "title: { value: user.title, when_null: refuse }"),
            2_400,
        ),
        ("a role", edit("group: fifth,", "group: sixth,"), 60),
        ("nothing", from.clone(), 0),
    ];
    let old = bundle(&from);
    for (what, text, most) in edits {
        let new = bundle(&text);
        let options = ImpactOptions { limit: PEOPLE, ..ImpactOptions::default() };
        let impact = world.engine.impact(&old, &new, &options).await.unwrap();
        let (differing, mut counts) = brute(&world, &old, &new, world.now);
        assert_eq!(impact.read, PEOPLE as u64, "{what}");
        assert!(
            impact.touched <= most && impact.differing <= impact.touched,
            "{what}: {} touched",
            impact.touched
        );
        assert_eq!(impact.differing, differing, "{what}");
        let all = world
            .engine
            .impact(&old, &new, &ImpactOptions { everybody: true, ..options.clone() })
            .await
            .unwrap();
        assert_eq!(Impact { touched: impact.touched, ..all }, impact, "{what}");
        assert_eq!(impact.people.len() as u64, differing, "{what}");
        // Values and states count for accounts that both want; an account that comes or goes is one change.
        let come_and_go = counts.keys().any(|key| key.starts_with("account "));
        if !come_and_go {
            for of in &impact.attributes {
                let key = format!("value {}/{} {}", of.target, of.class, of.attribute);
                let (gained, lost) = counts.get(&key).copied().unwrap_or_default();
                assert_eq!(of.count, gained.max(lost), "{what}: {key}");
            }
            let listed: u64 = impact.attributes.iter().map(|of| of.count).sum();
            let values = counts.iter().filter(|(key, _)| key.starts_with("value "));
            assert_eq!(listed, values.map(|(_, (gained, lost))| gained.max(lost)).sum::<u64>(), "{what}");
            let turned = impact.accounts.iter().map(|of| of.count).sum::<u64>();
            let states = counts.iter().filter(|(key, _)| key.starts_with("enabled "));
            assert_eq!(turned, states.map(|(_, (gained, _))| gained).sum::<u64>(), "{what}");
        }
        counts.retain(|key, _| !key.starts_with("value ") && !key.starts_with("enabled "));
        assert_eq!(counts_of(&impact), counts, "{what}");
    }
}

#[tokio::test]
async fn lists_are_bounded_counts_are_not_and_the_instant_counts() {
    let world = world().await;
    let old = bundle(&base());
    let new = bundle(&base().replace("title: user.title", "title: { value: user.title, strength: strong }"));
    let options = ImpactOptions { limit: 2, ..ImpactOptions::default() };
    let impact = world.engine.impact(&old, &new, &options).await.unwrap();
    assert_eq!((impact.people.len(), impact.more_people + 2), (2, impact.differing));
    assert_eq!(impact.differing, impact.attributes[0].count);
    assert!(
        impact.render().contains("d/u title: normal -> strong  <- targets.d.u.attributes.title"),
        "{}",
        impact.render()
    );
    let text = serde_json::to_string(&impact).unwrap();
    assert_eq!(serde_json::from_str::<Impact>(&text).unwrap(), impact);

    // In eleven days everybody is asked as of then.
    let dated = bundle(&base().replace("user.department == \"d5\"", "today > \"2026-11-30\""));
    let now = world.engine.impact(&old, &dated, &options).await.unwrap();
    let later = ImpactOptions { as_of: Some("2026-12-01T00:00:00Z".parse().unwrap()), ..options };
    let then = world.engine.impact(&old, &dated, &later).await.unwrap();
    let gained = |impact: &Impact| impact.roles.iter().map(|of| of.gained).sum::<u64>();
    assert_eq!(gained(&now), 0);
    assert!(gained(&then) > 2_000, "{}", then.render());
}
