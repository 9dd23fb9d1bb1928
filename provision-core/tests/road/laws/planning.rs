//! Laws 1, 2 and 3: the same plan from the same inputs, nothing left after it, and nothing but it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use provision_core::connector::{UpdateRequest, Writer};
use provision_core::delta::{Change, Delta};
use provision_core::engine::PlanOptions;
use provision_core::id::{PlanId, StepId};
use provision_core::memory::{Manners, MemoryConfig, MemoryConnector};
use provision_core::plan::{Action, OnDelete, PlanHeader, PlanState, Scope, Step};
use provision_core::policy::Strength;
use provision_core::value::{AttrName, Attributes};

use crate::people::{population, two_days};
use crate::view::block_on;
use crate::wire::Write;
use crate::world::{Person, Setup, TestPolicy, World, generous, person};

async fn planned(seed: u64, people: &[Person]) -> (World, PlanHeader) {
    let world = World::new(seed).await;
    world.feed(people).await;
    world.onboard().await;
    let plan = world.plan(Scope::All).await;
    (world, plan)
}

/// The steps as text, with the keys of people instead of the ids that were minted for them.
async fn without_ids(world: &World, plan: &PlanHeader) -> Vec<String> {
    let identities = world.identities().await;
    let steps = world.steps(plan).await;
    let show = |step: &Step| {
        let mut text = serde_json::to_string(step).unwrap();
        for (key, id) in &identities {
            text = text.replace(&id.to_string(), key);
        }
        text
    };
    steps.iter().map(show).collect()
}

fn manners() -> impl Strategy<Value = Manners> {
    let names = |names: &[&str]| names.iter().map(AttrName::new).collect::<std::collections::BTreeSet<_>>();
    let lowercase = prop_oneof![
        Just(names(&[])),
        Just(names(&["mail", "cn", "department"])),
        Just(names(&["dn", "sn", "givenName", "employeeNumber"])),
    ];
    let no_echo = prop_oneof![
        Just(names(&[])),
        Just(names(&["department", "manager"])),
        Just(names(&["mail", "cn", "sn"])),
    ];
    (lowercase, any::<bool>(), any::<bool>(), no_echo, any::<bool>()).prop_map(
        |(lowercase, trim, reorder, no_echo, no_observed)| Manners {
            lowercase,
            trim,
            reorder,
            no_echo,
            no_observed,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn law_1_determinism_same_inputs_same_plan_whatever_the_order_of_delivery(
        people in population(9),
        shift in 0..9usize,
    ) {
        block_on(async {
            let (world, plan) = planned(1, &people).await;
            let again = world.plan(Scope::All).await;
            assert_eq!(again.digest, plan.digest, "the same store gives the same plan");
            let preview = PlanOptions { preview: true, ..PlanOptions::default() };
            let preview = world.engine.plan(&world.actor, Scope::All, preview).await.unwrap();
            assert_eq!((preview.state, &preview.digest), (PlanState::Preview, &plan.digest));
            let restarted = world.restarted().await;
            let later = restarted.plan(&world.actor, Scope::All, PlanOptions::default()).await.unwrap();
            assert_eq!(later.digest, plan.digest, "another process gives the same plan");

            let (_, twin) = planned(1, &people).await;
            assert_eq!(twin.digest, plan.digest, "another machine gives the same plan");

            let mut shuffled = people.clone();
            shuffled.rotate_left(shift % people.len());
            shuffled.reverse();
            let (other, shuffled) = planned(7, &shuffled).await;
            assert_eq!(without_ids(&other, &shuffled).await, without_ids(&world, &plan).await);
        });
    }

    #[test]
    fn law_2_fixpoint_nothing_is_left_to_do_after_a_plan(
        (first, second) in two_days(7),
        manners in manners(),
        strength in prop_oneof![
            3 => Just(Strength::Strong),
            1 => Just(Strength::Normal),
            1 => Just(Strength::Weak),
            1 => Just(Strength::CreateOnly),
        ],
        on_delete in prop_oneof![
            2 => Just(OnDelete::Disable),
            1 => Just(OnDelete::Delete),
            1 => Just(OnDelete::Update(Attributes::new().with("department", "Left "))),
        ],
        seed in any::<u64>(),
    ) {
        block_on(async {
            let config = MemoryConfig { manners, ..MemoryConfig::default() };
            let mut settings = generous();
            settings.classes.get_mut(&"user".into()).unwrap().on_delete = on_delete;
            let policy = TestPolicy { strength, ..TestPolicy::new() };
            let world = Setup { seed, config, settings, policy, ..Setup::default() }.build().await;
            world.onboard().await;
            for people in [&first, &second] {
                world.feed(people).await;
                let plan = world.plan(Scope::All).await;
                assert!(plan.hold.is_none(), "{:?}", plan.over);
                let report = world.apply(plan.id).await;
                assert!(report.is_clean(), "{report:?}");
                let next = world.plan(Scope::All).await;
                assert!(next.is_empty(), "{:#?}", world.steps(&next).await);
                let reconciled = world.reconcile().await;
                assert!(reconciled.completeness.is_complete());
                // What a target never told may be written once more when it is seen to differ, and then no more.
                world.converge(2).await;
                world.reconcile().await;
                let next = world.plan(Scope::All).await;
                assert!(next.is_empty(), "{:#?}", world.steps(&next).await);
            }
        });
    }

    #[test]
    fn law_3_preview_is_the_run_every_write_is_a_step_with_its_values((first, second) in two_days(6)) {
        block_on(async {
            let world = World::new(3).await;
            world.onboard().await;
            for people in [&first, &second] {
                world.feed(people).await;
                let plan = world.plan(Scope::Changed).await;
                let steps: BTreeMap<StepId, Step> =
                    world.steps(&plan).await.into_iter().map(|step| (step.id.clone(), step)).collect();
                world.wire.take();
                world.apply(plan.id).await;
                for (correlation, write) in world.wire.take() {
                    check_write(&world, plan.id, &steps, &correlation, &write);
                }
                for entry in world.audit().await.iter().filter(|entry| entry.plan == Some(plan.id)) {
                    if let Some(word) = entry.event.strip_prefix("step.") {
                        let step = &steps[entry.step.as_ref().unwrap()];
                        assert_eq!(word.split('.').next(), Some(step.action.word()));
                        assert_eq!(entry.change, serde_json::to_value(&step.action).ok());
                    }
                }
            }
        });
    }
}

fn check_write(
    world: &World,
    plan: PlanId,
    steps: &BTreeMap<StepId, Step>,
    correlation: &str,
    write: &Write,
) {
    let id = correlation.strip_prefix(&format!("{plan}/")).unwrap();
    let step = &steps[&StepId::new(id)];
    if let (Some(key), Some(planned)) = (write.key(), &step.key)
        && !matches!(write, Write::Edge { .. })
    {
        assert_eq!(key, planned.id);
    }
    match (write, &step.action) {
        (
            Write::Create { attributes, enabled, password },
            Action::Create { attributes: planned, enabled: state, credential, .. },
        ) => {
            assert_eq!((attributes, enabled, *password), (planned, state, credential.is_some()));
        }
        (Write::Update { delta, .. }, Action::Update { delta: planned, outputs }) => {
            let mut written = delta.clone();
            written.changes.retain(|name, _| !outputs.contains_key(name));
            assert_eq!((&written, delta.changes.len()), (planned, planned.changes.len() + outputs.len()));
        }
        (Write::Rename { naming, .. }, Action::Rename { naming: planned }) => assert_eq!(naming, planned),
        (Write::Set { enabled, .. }, Action::Enable) => assert!(enabled),
        (Write::Set { enabled, .. }, Action::Disable) => assert!(!enabled),
        (Write::Delete { .. }, Action::Delete) => {}
        // Edges of one group go together under the first of them: each has its own step.
        (Write::Edge { group, add, .. }, _) => {
            let groups = world.directory.dump("group").unwrap();
            let group = groups.iter().find(|object| object.key.id == *group).unwrap();
            let name = group.attributes.text("dn").unwrap();
            assert!(steps.values().any(|step| match &step.action {
                Action::AddMember { group, .. } => *add && group == name,
                Action::RemoveMember { group, .. } => !add && group == name,
                _ => false,
            }));
        }
        (write, action) => panic!("{write:?} under the step {action:?}"),
    }
}

/// The strengths of policy values against a target that changes them: the world of law 2 with another policy label
/// must not write anything either.
#[tokio::test]
async fn law_2_fixpoint_a_new_policy_with_the_same_values_writes_nothing() {
    let world = World::new(5).await;
    let people = [person("1", "Jane", "Smith", "Sales")];
    world.feed(&people).await;
    world.onboard().await;
    world.converge(2).await;
    let mut policy = world.policy.clone();
    policy.label = "test-2".to_owned();
    world.engine.set_policy(&world.actor, Arc::new(policy)).await.unwrap();
    assert_eq!(world.dirty().await.len(), 1, "a new policy is looked at");
    assert!(world.plan(Scope::Changed).await.is_empty());
    assert!(world.dirty().await.is_empty());
}

/// Our own write shows the whole account; what else it shows was not written by us.
#[tokio::test]
async fn law_2_fixpoint_what_somebody_else_changed_is_put_right_also_after_another_write_of_ours() {
    let world = World::new(5).await;
    let mut people = [person("1", "Jane", "Smith", "Sales")];
    world.feed(&people).await;
    world.onboard().await;
    world.converge(2).await;
    let key = world.directory.dump("user").unwrap()[0].key.clone();
    let mut delta = Delta::new();
    delta.changes.insert("sn".into(), Change::Replace(vec!["King".into()]));
    let request = UpdateRequest { class: "user".into(), key, delta };
    Writer::update(&world.directory, &MemoryConnector::context(), request).await.unwrap();
    people[0].department = "Finance".to_owned();
    world.feed(&people).await;
    world.converge(2).await;
    assert_eq!(world.reconcile().await.drifted, 1);
    world.converge(2).await;
    assert_eq!(world.directory.dump("user").unwrap()[0].attributes.text("sn"), Some("Smith"));
    assert_eq!(world.reconcile().await.drifted, 0);
}

#[tokio::test]
async fn law_2_fixpoint_what_somebody_else_changed_is_put_right_once() {
    let world = World::new(5).await;
    world.feed(&[person("1", "Jane", "Smith", "Sales"), person("2", "Al", "Kim", "Sales")]).await;
    world.onboard().await;
    world.converge(2).await;
    let expected = world.picture();
    let key = world.directory.dump("user").unwrap()[0].key.clone();
    let mut delta = Delta::new();
    delta.changes.insert("department".into(), Change::Replace(vec!["Elsewhere".into()]));
    delta.changes.insert("title".into(), Change::Replace(vec!["Queen".into()]));
    let request = UpdateRequest { class: "user".into(), key, delta };
    Writer::update(&world.directory, &MemoryConnector::context(), request).await.unwrap();
    assert!(world.plan(Scope::All).await.is_empty(), "nobody has looked yet");
    assert_eq!(world.reconcile().await.drifted, 1);
    let plan = world.plan(Scope::Changed).await;
    assert_eq!((plan.identities, plan.steps), (1, 1), "only what we map is ours");
    assert!(world.apply(plan.id).await.is_clean());
    let expected: Vec<String> = expected
        .into_iter()
        .map(|account| {
            if account.contains("smithj") {
                account.replace("sn=\"Smith\"", "sn=\"Smith\" title=\"Queen\"")
            } else {
                account
            }
        })
        .collect();
    assert_eq!(world.picture(), expected);
    assert_eq!(world.reconcile().await.drifted, 0);
    assert!(world.plan(Scope::All).await.is_empty());
}

/// Three chunks of people who share a few names, so that each chunk's names depend on those given in the chunks before.
#[tokio::test]
async fn law_1_determinism_one_worker_and_eight_make_the_same_plan() {
    let family = |n: usize| ["Berg", "Bergman", "Dahl"][n % 3];
    let people: Vec<Person> =
        (0..560).map(|n| person(&format!("{n:04}"), "Jo", family(n), "Sales")).collect();
    let world = Setup { settings: generous(), ..Setup::default() }.build().await;
    world.feed(&people).await;
    world.onboard().await;
    let preview = async |scope: Scope, workers: u32| {
        let options = PlanOptions { preview: true, workers, ..PlanOptions::default() };
        world.engine.plan(&world.actor, scope, options).await.unwrap()
    };
    let mut digests = BTreeSet::new();
    for workers in [0, 1, 2, 8, u32::MAX] {
        for scope in [Scope::All, Scope::Changed] {
            let plan = preview(scope, workers).await;
            assert_eq!((plan.identities, plan.chunks), (560, 3));
            assert!(plan.steps >= 1_120);
            digests.insert(plan.digest);
        }
    }
    assert_eq!(digests.len(), 1, "{digests:?}");
    // Not only seen but done: everybody has an account, and no name twice.
    let options = PlanOptions { workers: 8, ..PlanOptions::default() };
    let plan = world.engine.plan(&world.actor, Scope::Changed, options).await.unwrap();
    assert!(world.apply(plan.id).await.is_clean());
    let logins: BTreeSet<String> = world.accounts().into_values().map(|account| account.0).collect();
    assert_eq!(logins.len(), 560);
    assert!(world.plan(Scope::All).await.is_empty());
}
