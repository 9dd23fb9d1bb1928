//! Law 13: cost follows change.

use std::collections::BTreeMap;

use provision_core::memory::Operation;
use provision_core::model::Status;
use provision_core::plan::Scope;

use crate::world::{Person, Setup, World, generous, person};

/// Names whose stems have nothing in common.
fn people(many: usize) -> Vec<Person> {
    let letters = |mut n: usize| -> String {
        let mut out = String::new();
        for _ in 0..4 {
            out.push(char::from(b'a' + (n % 26) as u8));
            n /= 26;
        }
        out
    };
    (0..many).map(|n| person(&format!("{n:04}"), "Jo", &letters(n * 7919), "Sales")).collect()
}

/// Store calls, rows read, and calls of the target by operation, for one changed person.
async fn cost(many: usize) -> (u64, u64, BTreeMap<Operation, u64>) {
    let world = World::new(1).await;
    let mut people = people(many);
    world.feed(&people).await;
    world.onboard().await;
    let plan = world.plan(Scope::Changed).await;
    assert!(world.apply(plan.id).await.is_clean());
    people[50].department = "Finance".to_owned();
    people[50].family = "Zyxwv".to_owned();
    world.feed(&people).await;
    let ((calls, rows), target) = (world.paced.counts(), world.directory.calls());
    let plan = world.plan(Scope::Changed).await;
    assert_eq!((plan.identities, plan.steps), (1, 4));
    assert!(world.apply(plan.id).await.is_clean());
    let ((calls_now, rows_now), mut now) = (world.paced.counts(), world.directory.calls());
    for (operation, before) in target {
        *now.entry(operation).or_default() -= before;
    }
    now.retain(|_, calls| *calls > 0);
    (calls_now - calls, rows_now - rows, now)
}

#[tokio::test]
async fn law_13_cost_follows_change_not_population() {
    let (small, large) = (cost(100).await, cost(1_000).await);
    assert_eq!(small.2, large.2, "calls of the target");
    assert_eq!(small.0, large.0, "calls of the store");
    assert_eq!(small.1, large.1, "rows read");
}

#[tokio::test]
async fn law_13_cost_follows_change_no_read_and_no_commit_grows_with_the_population() {
    let mut largest = Vec::new();
    for many in [1_000, 2_000] {
        let world = Setup { settings: generous(), ..Setup::default() }.build().await;
        let people = people(many);
        world.feed(&people).await;
        world.onboard().await;
        let plan = world.plan(Scope::All).await;
        assert_eq!(plan.steps, 2 * many as u64);
        largest.push(world.paced.largest());
    }
    assert_eq!(largest[0], largest[1]);
}

#[tokio::test]
async fn law_13_cost_follows_change_who_waits_for_another_is_not_looked_at_again_and_again() {
    let world = World::new(1).await;
    let mut people = vec![person("1", "Jane", "Smith", "Sales"), person("2", "Al", "Kim", "Sales")];
    people[0].manager = Some("2".to_owned());
    people[1].status = Status::Terminated;
    world.feed(&people).await;
    world.onboard().await;
    let first = world.plan(Scope::Changed).await;
    world.apply(first.id).await;
    people[0].department = "Finance".to_owned();
    world.feed(&people).await;
    let second = world.plan(Scope::Changed).await;
    world.apply(second.id).await;
    // Everybody is marked once more, and nothing is different.
    world.engine.resume(&world.actor, &"directory".into()).await.unwrap();
    assert!(world.plan(Scope::Changed).await.is_empty());
    assert_eq!(world.dirty().await, [], "nothing is left to look at");
    // When the other has an account, the reference follows.
    people[1].status = Status::Active;
    world.feed(&people).await;
    world.settle_down(4).await;
    assert!(world.picture().iter().any(|account| account.contains("manager=user 2")));
    let plan = world.plan(Scope::Changed).await;
    world.apply(plan.id).await;
    assert_eq!(world.dirty().await, []);
}
