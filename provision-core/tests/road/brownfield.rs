//! A directory with a thousand accounts: what rules and vetoes say of it, and what people decide.

use std::collections::BTreeMap;

use provision_core::connector::Writer;
use provision_core::correlate::Veto;
use provision_core::engine::{Decision, RunOptions};
use provision_core::id::ClassName;
use provision_core::memory::MemoryConnector;
use provision_core::model::{Dispute, DisputeAbout, Link, Membership};
use provision_core::onboard::{OnboardingReport, Situation};
use provision_core::plan::{Drive, Scope, TargetSettings};
use provision_core::value::Attributes;
use serde_json::json;

use crate::crash::polled;
use crate::onboarding::{join, writes};
use crate::world::{DIRECTORY, Person, Setup, World, generous, group_name, person};

fn people(count: usize) -> Vec<Person> {
    let one = |n: usize| {
        let mut person = person(&format!("{n:04}"), "Jo", &format!("Family{n:04}"), "Sales");
        person.mail = Some(format!("jo.{n:04}@test.example"));
        person
    };
    (0..count).map(one).collect()
}

fn account(login: &str, number: Option<usize>, mail: Option<usize>) -> (Attributes, Option<bool>) {
    let dn = format!("CN={login},OU=Before,DC=test");
    let mut attributes = Attributes::new()
        .with("sAMAccountName", login)
        .with("cn", login)
        .with("dn", dn.as_str())
        .with("department", "Somewhere");
    if let Some(number) = number {
        attributes = attributes.with("employeeNumber", format!("{number:04}").as_str());
    }
    if let Some(mail) = mail {
        attributes = attributes.with("mail", format!("JO.{mail:04}@Test.Example").as_str());
    }
    (attributes, Some(true))
}

fn rules() -> TargetSettings {
    let mut settings = generous();
    settings.privileged_groups = [group_name("Finance")].into();
    let rules = json!({
        "rules": [
            { "name": "mail", "items": [{ "attribute": "mail" }] },
            { "name": "name", "items": [{ "attribute": "familyName", "with": "sn" }, { "attribute": "givenName" }] },
        ],
        "verifies_mail": true,
    });
    settings.classes.get_mut(&ClassName::from("user")).unwrap().correlate =
        serde_json::from_value(rules).unwrap();
    settings
}

/// 500 by number, 150 by mail, 20 people with one by mail and one by name, 30 second accounts of those with a number,
/// 20 privileged by mail, 10 privileged by number, 50 with numbers of nobody (20 of them with somebody's mail), and 200
/// that belong to nobody.
async fn seed(world: &World) {
    let mut objects = Vec::new();
    objects.extend((0..500).map(|n| account(&format!("number{n}"), Some(n), None)));
    objects.extend((500..650).map(|n| account(&format!("mail{n}"), None, Some(n))));
    objects.extend((650..670).map(|n| account(&format!("first{n}"), None, Some(n))));
    objects.extend((650..670).map(|n| {
        let (attributes, enabled) = account(&format!("second{n}"), None, None);
        (attributes.with("givenName", "Jo").with("sn", format!("FAMILY{n:04}").as_str()), enabled)
    }));
    objects.extend((0..30).map(|n| account(&format!("also{n}"), None, Some(n))));
    objects.extend((0..20).map(|n| account(&format!("recycled{n}"), Some(9_000 + n), Some(700 + n))));
    objects.extend((20..50).map(|n| account(&format!("recycled{n}"), Some(9_000 + n), None)));
    objects.extend((0..200).map(|n| account(&format!("service{n}"), None, None)));
    world.directory.seed("user", objects).unwrap();
    let mut admins: Vec<_> = (670..690).map(|n| account(&format!("admin{n}"), None, Some(n))).collect();
    admins.extend((690..700).map(|n| account(&format!("admin{n}"), Some(n), None)));
    let admins = world.directory.seed("user", admins).unwrap();
    join(world, "Finance", &admins).await;
}

async fn onboarded(world: &World) -> OnboardingReport {
    world.engine.onboard(&world.actor, &DIRECTORY.into()).await.unwrap()
}

/// Rows of the report by the word their login begins with.
fn kinds(report: &OnboardingReport) -> BTreeMap<(String, Situation), usize> {
    let mut kinds = BTreeMap::new();
    for row in &report.rows {
        let name = row.name.as_deref().unwrap_or_default();
        let login = name.trim_start_matches("CN=").split(',').next().unwrap_or_default();
        let kind = login.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
        *kinds.entry((kind, row.situation)).or_default() += 1;
    }
    kinds
}

#[tokio::test]
async fn a_thousand_accounts_are_told_apart_decided_and_enforced() {
    let world = Setup { settings: rules(), ..Setup::default() }.build().await;
    seed(&world).await;
    world.feed(&people(720)).await;
    let (before, picture) = (writes(&world), world.picture());
    let report = onboarded(&world).await;
    assert_eq!((writes(&world), world.picture()), (before, picture), "nothing is written");
    let count = |situation| report.count(situation);
    assert_eq!((count(Situation::Linked), count(Situation::Known)), (510, 0));
    assert_eq!((count(Situation::Disputed), count(Situation::Unmatched)), (240, 250));
    let expected = [
        ("admin", Situation::Disputed, 20),
        ("also", Situation::Disputed, 30),
        ("first", Situation::Disputed, 20),
        ("mail", Situation::Disputed, 150),
        ("recycled", Situation::Unmatched, 50),
        ("second", Situation::Disputed, 20),
        ("service", Situation::Unmatched, 200),
    ];
    let expected: BTreeMap<_, _> =
        expected.map(|(kind, situation, count)| ((kind.to_owned(), situation), count)).into();
    assert_eq!(kinds(&report), expected);
    for row in &report.rows {
        let login = row.name.clone().unwrap_or_default();
        let vetoes: Vec<&Veto> = row.candidates.iter().flat_map(|candidate| &candidate.vetoes).collect();
        let of = |kind: &str| login.contains(&format!("CN={kind}"));
        match vetoes.as_slice() {
            [Veto::Privileged] => assert!(of("admin"), "{row:?}"),
            [Veto::AlreadyLinked { .. }] => assert!(of("also"), "{row:?}"),
            [Veto::OtherId { attribute }] => {
                assert!(of("recycled") && attribute.as_str() == "employeeNumber")
            }
            [] => assert!(of("mail") || of("first") || of("second") || row.candidates.is_empty(), "{row:?}"),
            other => panic!("{login}: {other:?}"),
        }
    }

    // The decisions, as a host imports them from a table: object, and whose it is.
    for dispute in world.open_disputes().await {
        let DisputeAbout::Match { object, candidates, .. } = &dispute.about else { panic!("{dispute:?}") };
        let row = report.rows.iter().find(|row| row.object == *object).unwrap();
        let login = row.name.clone().unwrap_or_default();
        let decision = match login.as_str() {
            login if login.contains("CN=second") || login.contains("CN=also") => Decision::NotTheSame,
            _ => Decision::Link { identity: candidates[0] },
        };
        world.engine.decide(&world.actor, &Dispute::row_key(&dispute.about), decision).await.unwrap();
    }
    let again = onboarded(&world).await;
    assert_eq!((again.count(Situation::Disputed), again.count(Situation::Known)), (0, 700));
    assert_eq!(world.open_disputes().await.len(), 0, "what was decided is not asked again");

    world.engine.set_drive(&world.actor, &DIRECTORY.into(), Drive::Enforce).await.unwrap();
    let ran = world.engine.run(&world.actor, &RunOptions::default()).await.unwrap();
    assert_eq!((ran.failed, ran.disputed), (0, 0), "{ran:?}");
    world.converge(3).await;
    let users = world.directory.dump("user").unwrap();
    assert_eq!(users.len(), 1_020, "only those whose mail was recycled are new");
    let ours = users.iter().filter(|user| user.attributes.text("department") == Some("Sales"));
    assert_eq!(ours.count(), 720);
    assert!(world.plan(Scope::All).await.is_empty());
}

#[tokio::test]
async fn on_a_managed_domain_a_definite_score_links_and_nobody_gets_two() {
    let settings = TargetSettings { domain_managed: true, ..rules() };
    let world = Setup { settings, ..Setup::default() }.build().await;
    seed(&world).await;
    world.feed(&people(720)).await;
    let report = onboarded(&world).await;
    // The second account of a person comes after the first was linked.
    assert_eq!((report.count(Situation::Linked), report.count(Situation::Disputed)), (680, 70));
    let already = |veto: &Veto| matches!(veto, Veto::AlreadyLinked { .. });
    let rows = report.rows.iter().flat_map(|row| &row.candidates).flat_map(|candidate| &candidate.vetoes);
    assert_eq!(rows.filter(|veto| already(veto)).count(), 50);
}

#[tokio::test]
async fn a_decision_made_while_an_onboarding_asks_again_is_kept() {
    let mut overtaken = 0;
    for polls in (1..400).step_by(3) {
        let world = Setup { settings: rules(), ..Setup::default() }.build().await;
        let key = world.directory.seed("user", [account("old", None, Some(0))]).unwrap().remove(0);
        world.feed(&people(1)).await;
        onboarded(&world).await;
        let dispute = world.open_disputes().await.remove(0);
        // Something that makes the onboarding write the dispute anew.
        let mut delta = provision_core::delta::Delta::new();
        let more = provision_core::delta::Change::Replace(vec!["jo.0000@TEST.example".into()]);
        delta.changes.insert("mail".into(), more);
        let request = provision_core::connector::UpdateRequest { class: "user".into(), key, delta };
        Writer::update(&world.directory, &MemoryConnector::context(), request).await.unwrap();
        world.pace.stepwise();
        let target = DIRECTORY.into();
        let mut onboarding = Box::pin(world.engine.onboard(&world.actor, &target));
        if polled(&mut onboarding, polls).await.is_some() {
            break;
        }
        world.pace.straight();
        let identity = dispute.about.candidates()[0];
        let decision = Decision::Link { identity };
        // The onboarding may have been there first: then the dispute is another one, and is decided as well.
        let row = Dispute::row_key(&dispute.about);
        world.engine.decide(&world.actor, &row, decision).await.unwrap();
        onboarding.await.unwrap();
        assert_eq!(world.open_disputes().await, [], "after {polls} polls");
        assert_eq!(world.all::<Link>().await.len(), 1);
        overtaken += 1;
    }
    assert!(overtaken > 10, "{overtaken}");
}

#[tokio::test]
async fn a_link_that_is_given_another_object_knows_nothing_of_its_edges() {
    let world = Setup { settings: rules(), ..Setup::default() }.build().await;
    world.feed(&people(1)).await;
    world.onboard().await;
    world.converge(2).await;
    assert_eq!(world.all::<Membership>().await.len(), 1);
    let old = world.directory.dump("user").unwrap().remove(0).key;
    let request = provision_core::connector::DeleteRequest { class: "user".into(), key: old };
    Writer::delete(&world.directory, &MemoryConnector::context(), request).await.unwrap();
    world.reconcile().await;
    let new = world.directory.seed("user", [account("new", Some(0), None)]).unwrap().remove(0);
    assert_eq!(onboarded(&world).await.count(Situation::Disputed), 1);
    let dispute = world.open_disputes().await.remove(0);
    let decision = Decision::Link { identity: dispute.about.candidates()[0] };
    world.engine.decide(&world.actor, &Dispute::row_key(&dispute.about), decision).await.unwrap();
    assert_eq!(world.all::<Membership>().await, [], "those were the former object's");
    world.converge(3).await;
    let users = world.directory.dump("user").unwrap();
    assert_eq!((users.len(), &users[0].key.id), (1, &new.id));
    let groups = users[0].attributes.values("memberOf");
    assert_eq!(groups.len(), 1, "{:?}", users[0].attributes);
}

#[tokio::test]
async fn who_is_asked_about_again_is_told_by_the_data() {
    let world = Setup { settings: rules(), ..Setup::default() }.build().await;
    let key = world.directory.seed("user", [account("old", None, Some(0))]).unwrap().remove(0);
    world.feed(&people(1)).await;
    onboarded(&world).await;
    let dispute = world.open_disputes().await.remove(0);
    assert_eq!(dispute.candidates[0].to_string(), "1 by mail 1");
    let row = Dispute::row_key(&dispute.about);
    world.engine.decide(&world.actor, &row, Decision::NotTheSame).await.unwrap();
    let change = async |attribute: &str, value: &str| {
        let mut delta = provision_core::delta::Delta::new();
        let value = provision_core::delta::Change::Replace(vec![value.into()]);
        delta.changes.insert(attribute.into(), value);
        let key = key.clone();
        let request = provision_core::connector::UpdateRequest { class: "user".into(), key, delta };
        Writer::update(&world.directory, &MemoryConnector::context(), request).await.unwrap();
    };
    change("department", "Elsewhere").await;
    assert_eq!(onboarded(&world).await.count(Situation::Unmatched), 1);
    // Somebody else has the address too: they were never asked about.
    let mut two = people(2);
    let mail = two[0].mail.clone();
    two[1].mail = mail;
    world.feed(&two).await;
    assert_eq!(onboarded(&world).await.count(Situation::Disputed), 1);
    world.engine.decide(&world.actor, &row, Decision::NotTheSame).await.unwrap();
    assert_eq!(onboarded(&world).await.count(Situation::Disputed), 0);
    change("mail", "JO.0000@test.example").await;
    assert_eq!(onboarded(&world).await.count(Situation::Disputed), 1);
    // Nobody's address any more: the question is closed, and is no decision.
    change("mail", "nobody@test.example").await;
    assert_eq!(onboarded(&world).await.count(Situation::Unmatched), 1);
    assert_eq!(world.open_disputes().await, []);
    change("mail", "JO.0000@test.example").await;
    assert_eq!(onboarded(&world).await.count(Situation::Disputed), 1);
}
