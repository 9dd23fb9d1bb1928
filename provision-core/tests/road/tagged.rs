//! People with two accounts on one target, told apart by their tags.

use provision_core::id::Tag;
use provision_core::model::{Link, LinkState};
use provision_core::plan::Scope;
use provision_core::policy::RefusalReason;

use crate::crash::polled;
use crate::view::same;
use crate::world::{Person, Setup, TestPolicy, World, person};

fn policy() -> TestPolicy {
    TestPolicy { admins: Some("Jane"), ..TestPolicy::new() }
}

async fn world_with(policy: TestPolicy) -> World {
    let world = Setup { policy, ..Setup::default() }.build().await;
    world.onboard().await;
    world
}

/// Jane administers, John does not.
fn company() -> Vec<Person> {
    vec![person("1", "Jane", "Smith", "Sales"), person("2", "John", "Smith", "Sales")]
}

/// The same where Jane has changed to a name that administers nothing.
fn without_admins() -> Vec<Person> {
    vec![person("1", "Janet", "Smith", "Sales"), person("2", "John", "Smith", "Sales")]
}

/// (login, enabled) by marker.
fn logins(world: &World) -> Vec<(String, String, Option<bool>)> {
    let accounts = world.accounts().into_iter();
    accounts.map(|(marker, (login, enabled, ..))| (marker, login, enabled)).collect()
}

fn shown(logins: &[(String, String, Option<bool>)]) -> Vec<(&str, &str, bool)> {
    logins.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), c.unwrap())).collect()
}

async fn states(world: &World) -> Vec<(String, LinkState)> {
    let mut links: Vec<_> = world
        .all::<Link>()
        .await
        .into_iter()
        .map(|link| (link.tag.as_str().to_owned(), link.state))
        .collect();
    links.sort_by(|a, b| a.0.cmp(&b.0));
    links
}

#[tokio::test]
async fn the_second_account_comes_with_its_rule_and_goes_alone() {
    let world = world_with(policy()).await;
    world.feed(&company()).await;
    assert_eq!(world.converge(3).await, 1);
    let both = logins(&world);
    assert_eq!(shown(&both), [("1", "smithj", true), ("1#admin", "adm-smith", true), ("2", "smithj2", true)]);
    world.feed(&without_admins()).await;
    assert!(world.converge(3).await < 3);
    let after = logins(&world);
    assert_eq!(
        shown(&after),
        [("1", "smithj", true), ("1#admin", "adm-smith", false), ("2", "smithj2", true)]
    );
    let links = states(&world).await;
    assert_eq!(links[0], ("admin".to_owned(), LinkState::Inactive));
    assert!(links[1..].iter().all(|link| *link == ("main".to_owned(), LinkState::Active)), "{links:?}");
    // She administers again: the same account is enabled, none is made.
    world.feed(&company()).await;
    assert!(world.converge(3).await < 3);
    assert_eq!(logins(&world), both);
}

#[tokio::test]
async fn a_leaver_loses_both() {
    let world = world_with(policy()).await;
    world.feed(&company()).await;
    world.converge(3).await;
    world.feed(&company()[1..]).await;
    assert!(world.converge(3).await < 3);
    let after = logins(&world);
    assert_eq!(
        shown(&after),
        [("1", "smithj", false), ("1#admin", "adm-smith", false), ("2", "smithj2", true)]
    );
}

#[tokio::test]
async fn a_process_that_dies_between_two_accounts_of_a_person_leaves_each_its_own() {
    let calm = world_with(policy()).await;
    calm.feed(&company()).await;
    calm.converge(3).await;
    let expected = (calm.picture(), calm.links().await);
    for polls in 1.. {
        let world = world_with(policy()).await;
        world.feed(&company()).await;
        let plan = world.plan(Scope::Changed).await;
        world.pace.stepwise();
        let mut apply = Box::pin(world.apply_with(&world.engine, plan.id));
        let ended = polled(&mut apply, polls).await.is_some();
        drop(apply);
        world.pace.straight();
        world.later(std::time::Duration::from_secs(10));
        world.settle_down(6).await;
        same(&(world.picture(), world.links().await), &expected, &format!("stopped after {polls} polls"));
        assert_eq!(world.open_disputes().await, []);
        if ended {
            assert!(polls > 20);
            break;
        }
    }
}

#[tokio::test]
async fn an_account_with_a_tag_never_carries_the_marker_of_the_main_one() {
    let world = world_with(TestPolicy { admin_marker: "", ..policy() }).await;
    world.feed(&company()).await;
    let plan = world.plan(Scope::Changed).await;
    let skips = world.skips(plan.id, plan.chunks).await;
    let of_admin: Vec<_> = skips.iter().filter(|skip| skip.tag == Tag::new("admin")).collect();
    assert_eq!(of_admin.len(), 1);
    assert_eq!(of_admin[0].reason, RefusalReason::ValueInvalid);
    assert!(of_admin[0].detail.contains("`#admin`"), "{}", of_admin[0].detail);
    world.apply(plan.id).await;
    let made = logins(&world);
    assert_eq!(shown(&made), [("1", "smithj", true), ("2", "smithj2", true)]);
}

#[tokio::test]
async fn a_store_that_lost_its_links_finds_each_account_again() {
    let world = world_with(policy()).await;
    world.feed(&company()).await;
    world.converge(3).await;
    let before = world.picture();
    // A new store knows nothing of what was made: onboarding finds the main accounts, the create finds the other.
    let (directory, clock) = (world.directory.clone(), world.clock.clone());
    let config = provision_core::memory::MemoryConfig::default();
    let fresh = Setup { policy: policy(), config, ..Setup::default() }.build_at(clock).await;
    for object in directory.dump("user").unwrap() {
        let mut attributes = object.attributes.clone();
        attributes.remove("memberOf");
        fresh.directory.seed("user", [(attributes, object.enabled)]).unwrap();
    }
    fresh.feed(&company()).await;
    fresh.onboard().await;
    assert!(fresh.converge(4).await < 4);
    let after = fresh.accounts();
    assert_eq!(after.len(), before.len(), "{after:?}");
    let links = states(&fresh).await;
    assert_eq!(links.iter().filter(|(tag, _)| tag == "admin").count(), 1);
}
