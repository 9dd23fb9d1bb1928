//! What attempts come to: answers that come later, objects that are somebody else's, names that are taken, and what is
//! told of it.

use std::collections::BTreeMap;
use std::time::Duration;

use provision_core::connector::{Context, DeleteRequest, FilterSupport, Writer};
use provision_core::engine::{ApplyOptions, ApplyReport, PlanOptions};
use provision_core::event::Event;
use provision_core::execute::StepState;
use provision_core::id::{LinkId, PlanId, Tag};
use provision_core::memory::{Fault, FaultRule, Faults, MemoryConfig, Operation};
use provision_core::model::{Actor, Link, NameState, Status, Subject};
use provision_core::plan::{Budget, BudgetKind, OnDelete, PlanHeader, PlanState, Scope};
use provision_core::runtime::Progress;
use provision_core::store::{Changes, Stream};
use provision_core::value::{Attributes, Date};

use crate::world::{DIRECTORY, Setup, TestPolicy, World, generous, person, settings};

async fn ready(config: MemoryConfig) -> World {
    let world = Setup { settings: generous(), config, ..Setup::default() }.build().await;
    world.onboard().await;
    world
}

fn faults(world: &World, rules: Vec<FaultRule>) {
    world.directory.set_faults(Faults { seed: 0, rules });
}

/// Applies without waiting for what is in escrow.
async fn at_once(world: &World, plan: PlanId) -> ApplyReport {
    let options = ApplyOptions { patience: Duration::ZERO };
    world.engine.apply(&world.actor, plan, &options, &Progress::new()).await.unwrap()
}

async fn events(world: &World) -> BTreeMap<String, usize> {
    let rows = world.store.read_stream(world.engine.realm(), Stream::Outbox, 0, 100_000).await.unwrap();
    let mut counts = BTreeMap::new();
    for (_, row) in rows {
        let event: Event = serde_json::from_str(&row.body).unwrap();
        *counts.entry(event.event).or_default() += 1;
    }
    counts
}

async fn pending(world: &World) -> usize {
    let journal = world.journal().await;
    journal.iter().filter(|entry| matches!(entry.state, StepState::Pending { .. })).count()
}

#[tokio::test]
async fn a_target_that_answers_later_is_asked_until_it_does() {
    let world = ready(MemoryConfig { pending_polls: 2, ..MemoryConfig::default() }).await;
    world.feed(&[person("1", "Jane", "Smith", "Sales")]).await;
    let plan = world.plan(Scope::Changed).await;
    assert!(at_once(&world, plan.id).await.open > 0);
    assert_eq!(pending(&world).await, 1, "the create is under way");
    at_once(&world, plan.id).await;
    assert_eq!(world.directory.dump("user").unwrap().len(), 1, "nothing is sent twice");
    let report = world.apply(plan.id).await;
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(world.accounts()["1"].0, "smithj");
    assert!(world.all::<Link>().await[0].key.is_some());
    assert!(world.plan(Scope::All).await.is_empty());
}

#[tokio::test]
async fn a_question_that_fails_is_asked_again_and_one_that_is_refused_ends_the_step() {
    for (fault, done) in [(Fault::Refuse, 1), (Fault::Forbid, 0)] {
        let config = MemoryConfig { pending_polls: 1, ..MemoryConfig::default() };
        let policy = TestPolicy { group: false, ..TestPolicy::new() };
        let world = Setup { settings: generous(), config, policy, ..Setup::default() }.build().await;
        world.onboard().await;
        world.feed(&[person("1", "Jane", "Smith", "Sales")]).await;
        let plan = world.plan(Scope::Changed).await;
        at_once(&world, plan.id).await;
        world.wire.layer().set_rules([FaultRule::at(Operation::Poll, [1], fault.clone())]);
        world.later(Duration::from_secs(5));
        at_once(&world, plan.id).await;
        assert_eq!(pending(&world).await, done, "{fault:?}");
        let report = world.apply(plan.id).await;
        assert_eq!((report.done, report.open), (done as u64, 0), "{fault:?} {report:?}");
        assert_eq!(world.directory.dump("user").unwrap().len(), 1);
    }
}

#[tokio::test]
async fn an_object_that_is_linked_to_somebody_else_is_disputed_and_the_others_are_done() {
    let world = ready(MemoryConfig::default()).await;
    let dn = "CN=Somebody,OU=Sales,DC=test";
    let somebody = Attributes::new()
        .with("sAMAccountName", "somebody")
        .with("cn", "Somebody")
        .with("dn", dn)
        .with("employeeNumber", "2");
    let key = world.directory.seed("user", [(somebody, Some(true))]).unwrap().remove(0);
    let people = ["1", "2", "3"].map(|key| person(key, "Jo", &format!("Family{key}"), "Sales"));
    world.feed(&people).await;
    let who = world.identities().await;
    let id = LinkId::from_uuid(uuid::Uuid::from_u128(7));
    let (realm, subject) = (world.engine.realm().clone(), Subject::Identity(who["1"]));
    let link = Link::new(id, realm, DIRECTORY.into(), "user".into(), Tag::main(), subject);
    let mut changes = Changes::in_realm(world.engine.realm());
    changes.insert(&Link { key: Some(key.clone()), ..link }).unwrap();
    world.store.commit(changes).await.unwrap();
    let plan = world.plan(Scope::Identities(vec![who["2"], who["3"]])).await;
    let report = at_once(&world, plan.id).await;
    assert_eq!(report.disputed, 1, "{report:?}");
    assert_eq!(world.accounts()["3"].0, "family3j", "nobody else is kept back");
    let links = world.all::<Link>().await;
    let with_key = |number: &str| {
        let subject = Subject::Identity(who[number]);
        links.iter().find(|link| link.subject == subject).and_then(|link| link.key.clone())
    };
    assert_eq!((with_key("1"), with_key("2")), (Some(key), None));
    assert!(with_key("3").is_some());
    assert_eq!(world.open_disputes().await.len(), 1);
}

#[tokio::test]
async fn of_the_names_of_a_refused_create_those_that_are_taken_are_foreign_and_the_others_free() {
    for (taken, login) in [(true, "smithj"), (false, "elsewhere")] {
        let world = ready(MemoryConfig::default()).await;
        world.feed(&[person("1", "Jane", "Smith", "Sales")]).await;
        let plan = world.plan(Scope::Changed).await;
        let dn = "CN=Jane Smith (smithj),OU=Sales,DC=test";
        let theirs = Attributes::new().with("sAMAccountName", login).with("cn", "Theirs").with("dn", dn);
        world.directory.seed("user", [(theirs, Some(true))]).unwrap();
        assert_eq!(at_once(&world, plan.id).await.failed, 1);
        let names = world.names().await;
        if taken {
            let [name] = &names[..] else { panic!("{names:?}") };
            assert_eq!((name.name.as_str(), &name.state), ("smithj", &NameState::Foreign));
            assert_eq!((name.owner, name.purpose.as_str()), (None, ""));
        } else {
            assert_eq!(names, [], "the name was not what was refused");
        }
    }
}

fn found(login: &str) -> Attributes {
    Attributes::new()
        .with("sAMAccountName", login)
        .with("cn", "Anna of old")
        .with("dn", "CN=Anna of old,OU=Sales,DC=test")
        .with("employeeNumber", "2")
}

#[tokio::test]
async fn an_adopted_account_keeps_its_login_and_the_reserved_one_is_free() {
    let world = ready(MemoryConfig::default()).await;
    world.directory.seed("user", [(found("Anna.Old"), Some(true))]).unwrap();
    world.feed(&[person("2", "Anna", "Jones", "Sales")]).await;
    let plan = world.plan(Scope::Changed).await;
    at_once(&world, plan.id).await;
    let names = world.names().await;
    let [name] = &names[..] else { panic!("{names:?}") };
    assert_eq!((name.name.as_str(), name.folded.as_str()), ("Anna.Old", "anna.old"));
    assert_eq!((name.owner, &name.state), (Some(world.identities().await["2"]), &NameState::Held));
}

#[tokio::test]
async fn the_login_of_an_adopted_account_stays_whose_it_is() {
    let mut settings = generous();
    settings.classes.get_mut(&"user".into()).unwrap().on_delete = OnDelete::Delete;
    let world = Setup { settings, ..Setup::default() }.build().await;
    world.onboard().await;
    let mut people = vec![person("1", "John", "Smith", "Sales")];
    world.feed(&people).await;
    world.converge(3).await;
    people[0].status = Status::Terminated;
    world.feed(&people).await;
    world.converge(3).await;
    assert!(world.accounts().is_empty());
    world.directory.seed("user", [(found("smithj"), Some(true))]).unwrap();
    people.push(person("2", "Anna", "Jones", "Sales"));
    world.feed(&people).await;
    let plan = world.plan(Scope::Changed).await;
    at_once(&world, plan.id).await;
    let who = world.identities().await;
    let names: BTreeMap<_, _> =
        world.names().await.into_iter().map(|name| (name.name, (name.owner, name.state))).collect();
    assert_eq!(names["jonesa"], (Some(who["2"]), NameState::Held));
    assert_eq!(names["smithj"].0, Some(who["1"]));
    assert!(matches!(names["smithj"].1, NameState::Tombstone { .. }), "{names:?}");
}

#[tokio::test]
async fn events_tell_what_was_done_and_nothing_else() {
    let world = ready(MemoryConfig::default()).await;
    let mut people = vec![person("1", "Jane", "Smith", "Sales"), person("2", "Al", "Kim", "Sales")];
    world.feed(&people).await;
    faults(&world, vec![FaultRule::at(Operation::Create, [2], Fault::Forbid)]);
    let plan = world.plan(Scope::Changed).await;
    let report = at_once(&world, plan.id).await;
    assert_eq!((report.done, report.failed), (2, 1), "{report:?}");
    let told = events(&world).await;
    assert_eq!(
        (told.get("account.create"), told.get("account.add_member")),
        (Some(&1), Some(&1)),
        "{told:?}"
    );
    assert!(world.dirty().await.is_empty(), "what failed comes again when something changes");
    faults(&world, Vec::new());
    people.iter_mut().for_each(|person| person.status = Status::Terminated);
    world.feed(&people).await;
    world.converge(3).await;
    let told = events(&world).await;
    assert_eq!(told.get("account.disable"), Some(&1), "{told:?}");
    assert_eq!(told.get("account.release"), None, "nothing happened on the target");
}

async fn told_of(world: &World, plan: &PlanHeader) -> Vec<String> {
    let audit = world.audit().await.into_iter();
    audit.filter(|entry| entry.plan == Some(plan.id)).map(|entry| entry.event).collect()
}

#[tokio::test]
async fn the_making_of_a_plan_is_told_and_that_of_a_preview_is_not() {
    let world = ready(MemoryConfig::default()).await;
    world.feed(&[person("1", "Jane", "Smith", "Sales")]).await;
    let preview = PlanOptions { preview: true, ..PlanOptions::default() };
    let preview = world.engine.plan(&world.actor, Scope::Changed, preview).await.unwrap();
    assert_eq!((preview.state, told_of(&world, &preview).await), (PlanState::Preview, vec![]));
    let plan = world.plan(Scope::Changed).await;
    assert_eq!(told_of(&world, &plan).await, ["plan.made"]);
    let entry = world.audit().await.into_iter().find(|entry| entry.plan == Some(plan.id)).unwrap();
    assert_eq!(entry.policy, Some(plan.policy));
}

#[tokio::test]
async fn a_hold_counts_what_waits_and_a_rejected_plan_is_discarded() {
    let mut settings = settings();
    settings.budgets.0.insert(BudgetKind::Create, Budget { always: 1, percent: 0 });
    let world = Setup { settings, ..Setup::default() }.build().await;
    world.onboard().await;
    world.feed(&[person("1", "Jane", "Smith", "Sales"), person("2", "Al", "Kim", "Sales")]).await;
    let plan = world.plan(Scope::Changed).await;
    assert_eq!(told_of(&world, &plan).await, ["hold.opened"]);
    let hold = world.engine.hold(plan.hold.unwrap()).await.unwrap();
    let counts = [("directory add_member".to_owned(), 2), ("directory create".to_owned(), 2)];
    assert_eq!(hold.counts, BTreeMap::from(counts));
    let boss = Actor::person("boss");
    let rejected = world.engine.reject(&boss, hold.id).await.unwrap();
    assert_eq!(rejected.decided_by, Some(boss.clone()));
    assert_eq!(world.engine.plan_header(plan.id).await.unwrap().state, PlanState::Discarded);
    assert!(world.engine.holds().await.unwrap().is_empty());
    assert!(world.engine.reject(&boss, hold.id).await.is_err(), "decided once");
}

#[tokio::test]
async fn a_group_that_was_not_seen_in_a_part_of_the_list_is_looked_for_again() {
    for filter in [None, Some(FilterSupport::default())] {
        let world = ready(MemoryConfig { filter, ..MemoryConfig::default() }).await;
        world.feed(&[person("1", "Jane", "Smith", "Sales")]).await;
        let plan = world.plan(Scope::Changed).await;
        let truncate = FaultRule::always(Operation::List, Fault::Truncate(0));
        faults(&world, vec![FaultRule { class: Some("group".into()), ..truncate }]);
        let report = at_once(&world, plan.id).await;
        assert_eq!((report.done, report.failed, report.open), (1, 0, 1), "it may well be there: {report:?}");
        faults(&world, Vec::new());
        world.later(Duration::from_secs(60));
        assert!(world.apply(plan.id).await.is_clean());
        assert_eq!(world.accounts()["1"].3, 1);
    }
}

#[tokio::test]
async fn a_group_that_a_whole_list_does_not_hold_is_not_there() {
    for filter in [None, Some(FilterSupport::default())] {
        let world = ready(MemoryConfig { filter, ..MemoryConfig::default() }).await;
        world.feed(&[person("1", "Jane", "Smith", "Nowhere")]).await;
        let plan = world.plan(Scope::Changed).await;
        let report = at_once(&world, plan.id).await;
        assert_eq!((report.done, report.failed, report.open), (1, 1, 0), "{report:?}");
    }
}

#[tokio::test]
async fn an_object_that_is_gone_before_its_delete_is_deleted_and_one_that_is_refused_is_not() {
    for gone in [true, false] {
        let mut settings = generous();
        settings.classes.get_mut(&"user".into()).unwrap().on_delete = OnDelete::Delete;
        let policy = TestPolicy { group: false, ..TestPolicy::new() };
        let world = Setup { settings, policy, ..Setup::default() }.build().await;
        world.onboard().await;
        let mut people = [person("1", "Jane", "Smith", "Sales")];
        world.feed(&people).await;
        world.converge(3).await;
        people[0].status = Status::Terminated;
        world.feed(&people).await;
        let plan = world.plan(Scope::Changed).await;
        if gone {
            let key = world.directory.dump("user").unwrap().remove(0).key;
            let cx = Context::new(world.engine.realm().clone(), "somebody else");
            let request = DeleteRequest { class: "user".into(), key };
            Writer::delete(&world.directory, &cx, request).await.unwrap();
        } else {
            faults(&world, vec![FaultRule::always(Operation::Delete, Fault::Forbid)]);
        }
        let report = at_once(&world, plan.id).await;
        assert_eq!((report.is_clean(), report.failed), (gone, u64::from(!gone)), "{report:?}");
        assert_eq!(world.all::<Link>().await[0].key.is_some(), !gone);
    }
}

#[tokio::test]
async fn people_who_manage_each_other_get_their_references_in_one_plan() {
    let world = ready(MemoryConfig::default()).await;
    let mut people = [person("1", "Jane", "Smith", "Sales"), person("2", "Al", "Kim", "Sales")];
    people[0].manager = Some("2".to_owned());
    people[1].manager = Some("1".to_owned());
    world.feed(&people).await;
    let plan = world.plan(Scope::Changed).await;
    assert_eq!(plan.targets[&DIRECTORY.into()].steps.get("update"), Some(&2));
    assert!(world.apply(plan.id).await.is_clean());
    let users = world.directory.dump("user").unwrap();
    assert!(users.iter().all(|user| user.attributes.values("manager").len() == 1), "{users:?}");
}

#[tokio::test]
async fn a_last_day_that_has_passed_is_planned_without_any_feed() {
    let world = ready(MemoryConfig::default()).await;
    let mut jane = person("1", "Jane", "Smith", "Sales");
    jane.end = Date::new(2026, 11, 5);
    world.feed(&[jane]).await;
    world.converge(3).await;
    assert!(world.plan(Scope::Changed).await.is_empty());
    world.later(Duration::from_secs(5 * 86_400));
    let options = PlanOptions { preview: true, ..PlanOptions::default() };
    let preview = world.engine.plan(&world.actor, Scope::All, options).await.unwrap();
    assert_eq!(preview.targets[&DIRECTORY.into()].steps.get("disable"), Some(&1));
    let plan = world.plan(Scope::Changed).await;
    assert!(world.apply(plan.id).await.is_clean());
    assert_eq!(world.accounts()["1"].1, Some(false));
}

#[tokio::test]
async fn a_step_that_has_not_ended_in_another_plan_keeps_the_account() {
    let world = ready(MemoryConfig::default()).await;
    let mut people = [person("1", "Jane", "Smith", "Sales")];
    world.feed(&people).await;
    world.converge(3).await;
    people[0].department = "Finance".to_owned();
    world.feed(&people).await;
    let (first, second) = (world.plan(Scope::All).await, world.plan(Scope::All).await);
    assert_eq!(first.digest, second.digest, "they are the same");
    let refuse = [Operation::Update, Operation::Rename, Operation::Membership];
    faults(&world, refuse.map(|on| FaultRule::always(on, Fault::Refuse)).into());
    assert!(at_once(&world, first.id).await.open > 0);
    faults(&world, Vec::new());
    world.wire.take();
    let report = at_once(&world, second.id).await;
    assert_eq!((report.done, report.skipped, report.open), (0, second.steps, 0), "{report:?}");
    assert_eq!(world.wire.take(), [], "nothing is sent past the one that waits");
    world.later(Duration::from_secs(60));
    assert!(world.apply(first.id).await.is_clean());
    assert_eq!(world.accounts()["1"].2, "Finance");
}

#[tokio::test]
async fn a_digest_is_of_what_the_plan_does() {
    let digest = async |department: &str| {
        let world = ready(MemoryConfig::default()).await;
        world.feed(&[person("1", "Jane", "Smith", department)]).await;
        world.plan(Scope::Changed).await.digest
    };
    assert_eq!(digest("Sales").await, digest("Sales").await);
    assert_ne!(digest("Sales").await, digest("Finance").await);
}

#[tokio::test]
async fn progress_counts_every_step_that_ends() {
    let world = ready(MemoryConfig::default()).await;
    let mut people = [person("1", "Jane", "Smith", "Sales"), person("2", "Al", "Kim", "Sales")];
    world.feed(&people).await;
    let plan = world.plan(Scope::Changed).await;
    people[1].department = "Finance".to_owned();
    world.feed(&people).await;
    let (progress, options) = (Progress::new(), ApplyOptions { patience: Duration::ZERO });
    world.engine.apply(&world.actor, plan.id, &options, &progress).await.unwrap();
    let state = progress.state();
    assert_eq!((state.ended, state.failed), (4, 2), "two done, two stale");
}

#[tokio::test]
async fn a_target_that_refuses_our_credentials_is_left_alone_for_six_hours() {
    let world = ready(MemoryConfig::default()).await;
    world.feed(&[person("1", "Jane", "Smith", "Sales")]).await;
    let plan = world.plan(Scope::Changed).await;
    faults(&world, vec![FaultRule::always(Operation::Create, Fault::RefuseCredentials)]);
    at_once(&world, plan.id).await;
    let quarantine = world.engine.target(&DIRECTORY.into()).await.unwrap().value.quarantine.unwrap();
    assert_eq!(quarantine.until.since(quarantine.since), Duration::from_secs(6 * 3_600));
    let told = world.audit().await.into_iter().filter(|entry| entry.event == "target.quarantined");
    assert_eq!(told.map(|entry| entry.plan).collect::<Vec<_>>(), [Some(plan.id)]);
}

#[tokio::test]
async fn what_a_return_may_have_given_is_taken_away_when_the_person_leaves_again_at_once() {
    let world = Setup { settings: generous(), ..Setup::default() }.build().await;
    let mut jane = person("1", "Jane", "Smith", "Sales");
    world.feed(&[jane.clone()]).await;
    world.onboard().await;
    world.converge(2).await;
    jane.status = Status::Terminated;
    world.feed(&[jane.clone()]).await;
    world.converge(2).await;
    assert_eq!(world.accounts()["1"].3, 0, "in no group");
    // Back: the account cannot be enabled, and the answer to the membership is lost.
    jane.status = Status::Active;
    world.feed(&[jane.clone()]).await;
    let rules = vec![
        FaultRule::always(Operation::Lifecycle, Fault::Refuse),
        FaultRule::always(Operation::Membership, Fault::LoseResponse),
    ];
    world.directory.set_faults(Faults { seed: 0, rules });
    let plan = world.plan(Scope::Changed).await;
    let hasty = ApplyOptions { patience: Duration::ZERO };
    world.engine.apply(&world.actor, plan.id, &hasty, &Progress::new()).await.unwrap();
    assert_eq!(world.accounts()["1"].3, 1, "and it was given");
    world.directory.set_faults(Faults::default());
    jane.status = Status::Terminated;
    world.feed(&[jane]).await;
    world.later(Duration::from_secs(600));
    world.apply(plan.id).await;
    world.converge(3).await;
    let (_, enabled, _, groups) = world.accounts().remove("1").unwrap();
    assert_eq!((enabled, groups), (Some(false), 0));
}
