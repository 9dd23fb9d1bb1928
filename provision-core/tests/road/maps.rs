//! Policy maps on the whole road: what is withdrawn goes from the target, foreign values go or stay, and a plan made
//! again is empty.

use std::collections::BTreeMap;
use std::sync::Arc;

use provision_core::connector::{Object, UpdateRequest, Writer};
use provision_core::delta::{Change, Delta};
use provision_core::diagnostic::Diagnostic;
use provision_core::engine::{ExplainOptions, PlanOptions, Verdict};
use provision_core::id::TargetName;
use provision_core::memory::{Fault, FaultRule, Faults, Manners, MemoryConfig, MemoryConnector, Operation};
use provision_core::model::Link;
use provision_core::plan::{BudgetKind, Scope};
use provision_core::policy::{
    Authority, DesiredSlot, DesiredValue, Evaluation, LeftReason, NameAllocator, Namespace, Policy,
    PolicyInput, PolicyVersion, Range, RefusalReason, Strength, Tolerance,
};
use provision_core::schema::Schema;
use provision_core::value::{Slot, Value};

use crate::world::{Setup, TestPolicy, World, generous, person};

/// The policy of these tests, with more values for everybody's account.
#[derive(Clone, Debug)]
struct Mapped {
    inner: TestPolicy,
    authority: Authority,
    values: Vec<DesiredValue>,
    proposed: Vec<DesiredValue>,
}

impl Policy for Mapped {
    fn version(&self) -> PolicyVersion {
        let hash = format!("{:?} {:?} {:?}", self.authority, self.values, self.proposed);
        PolicyVersion { label: "maps".to_owned(), hash }
    }

    fn namespaces(&self) -> &[Namespace] {
        self.inner.namespaces()
    }

    fn check(&self, schemas: &BTreeMap<TargetName, Schema>) -> Vec<Diagnostic> {
        self.inner.check(schemas)
    }

    fn evaluate(&self, input: &PolicyInput<'_>, names: &mut dyn NameAllocator) -> Evaluation {
        let mut evaluation = self.inner.evaluate(input, names);
        for account in evaluation.accounts.iter_mut().filter(|account| account.exists) {
            account.authority = self.authority;
            account.values.extend(self.values.iter().cloned());
            account.values.extend(self.proposed.iter().filter(|_| input.proposed).cloned());
        }
        evaluation
    }
}

fn values(texts: &[&str]) -> Vec<Value> {
    texts.iter().map(|text| (*text).into()).collect()
}

fn given(attribute: &str, texts: &[&str]) -> DesiredValue {
    wanted(attribute, DesiredSlot::Known(Slot::from_values(values(texts))))
}

fn withdrawn(attribute: &str) -> DesiredValue {
    wanted(attribute, DesiredSlot::Withdrawn { stays: None })
}

fn wanted(attribute: &str, slot: DesiredSlot) -> DesiredValue {
    DesiredValue {
        attribute: attribute.into(),
        inputs: format!("{slot:?}"),
        slot,
        strength: Strength::Normal,
        derivation: Default::default(),
        tolerance: None,
    }
}

/// With foreign values taken away, but for those that begin with `keep`.
fn alone(attribute: &str, texts: &[&str]) -> DesiredValue {
    let removes = vec![Range { pattern: "*".to_owned(), by: "maps.tags".into() }];
    let tolerance = Tolerance { add_only: false, removes, keeps: vec!["keep*".to_owned()] };
    DesiredValue { tolerance: Some(Box::new(tolerance)), ..given(attribute, texts) }
}

struct Road {
    world: World,
    policy: Mapped,
}

impl Road {
    /// One person, with an account that has these values.
    async fn begun(manners: Manners, values: Vec<DesiredValue>) -> Self {
        let config = MemoryConfig { manners, ..MemoryConfig::default() };
        let world = Setup { config, settings: generous(), ..Setup::default() }.build().await;
        let policy = Mapped {
            inner: world.policy.clone(),
            authority: Authority::Assist,
            values: Vec::new(),
            proposed: Vec::new(),
        };
        let mut road = Self { world, policy };
        road.wants(values).await;
        road.world.feed(&[person("1", "Jane", "Doe", "Sales")]).await;
        road.world.onboard().await;
        road.converges().await;
        road
    }

    async fn wants(&mut self, values: Vec<DesiredValue>) {
        self.policy.values = values;
        self.set().await;
    }

    async fn set(&self) {
        self.world.engine.set_policy(&self.world.actor, Arc::new(self.policy.clone())).await.unwrap();
    }

    /// One plan does it all, also after the target has been read.
    async fn converges(&self) {
        assert!(self.world.converge(2).await <= 1, "the second plan is empty");
        self.world.reconcile().await;
        let plan = self.world.plan(Scope::All).await;
        assert!(plan.is_empty(), "{:?}", self.world.steps(&plan).await);
    }

    fn account(&self) -> Object {
        self.world.directory.dump("user").unwrap().remove(0)
    }

    fn shows(&self, attribute: &str) -> Vec<String> {
        let mut shown: Vec<String> =
            self.account().attributes.values(attribute).iter().map(|value| value.to_plain()).collect();
        shown.sort();
        shown
    }

    async fn link(&self) -> Link {
        self.world.all::<Link>().await.remove(0)
    }

    /// A stranger adds a value to a set.
    async fn stranger(&self, attribute: &str, text: &str) {
        let change = Change::Edit { add: values(&[text]), remove: Vec::new() };
        let delta = Delta { changes: [(attribute.into(), change)].into() };
        let request = UpdateRequest { class: "user".into(), key: self.account().key, delta };
        Writer::update(&self.world.directory, &MemoryConnector::context(), request).await.unwrap();
        assert_eq!(self.world.reconcile().await.drifted, 1);
    }
}

#[tokio::test]
async fn a_value_comes_with_its_condition_goes_with_it_and_comes_again() {
    let mut road = Road::begun(Manners::default(), vec![given("title", &["Clerk"])]).await;
    for _ in 0..2 {
        assert_eq!(road.shows("title"), ["Clerk"]);
        road.wants(vec![withdrawn("title"), withdrawn("company")]).await;
        let plan = road.world.plan(Scope::All).await;
        let steps = road.world.steps(&plan).await;
        assert_eq!((steps.len(), &steps[0].budgets[..]), (1, &[BudgetKind::AttributeClear][..]));
        road.converges().await;
        assert_eq!(road.shows("title"), [""; 0]);
        let link = road.link().await;
        assert!(link.applied.get("title").is_none() && !link.inputs.contains_key("title"), "{link:?}");
        road.wants(vec![given("title", &["Clerk"])]).await;
        road.converges().await;
    }
    // What somebody puts there while nothing counts is theirs.
    road.wants(vec![withdrawn("title")]).await;
    road.converges().await;
    let delta = Delta { changes: [("title".into(), Change::Replace(values(&["Boss"])))].into() };
    let request = UpdateRequest { class: "user".into(), key: road.account().key, delta };
    Writer::update(&road.world.directory, &MemoryConnector::context(), request).await.unwrap();
    road.converges().await;
    assert_eq!(road.shows("title"), ["Boss"]);
    assert!(road.link().await.drift.is_empty());
}

#[tokio::test]
async fn of_a_set_what_we_gave_goes_and_what_others_gave_stays() {
    for manners in [Manners::default(), Manners { no_observed: true, ..Manners::default() }] {
        let mut road = Road::begun(manners, vec![given("description", &["a", "b"])]).await;
        road.stranger("description", "theirs").await;
        road.converges().await;
        assert_eq!(road.shows("description"), ["a", "b", "theirs"]);
        road.wants(vec![withdrawn("description")]).await;
        road.converges().await;
        assert_eq!(road.shows("description"), ["theirs"]);
        assert!(road.link().await.applied.get("description").is_none());
        road.wants(vec![given("description", &["a"])]).await;
        road.converges().await;
        assert_eq!(road.shows("description"), ["a", "theirs"]);
    }
}

#[tokio::test]
async fn a_withdrawal_whose_answer_is_lost_is_done_once_and_forgotten() {
    let mut road = Road::begun(Manners::default(), vec![given("title", &["Clerk"])]).await;
    road.wants(vec![withdrawn("title")]).await;
    let lost = FaultRule::at(Operation::Update, [1], Fault::LoseResponse);
    road.world.directory.set_faults(Faults { seed: 0, rules: vec![lost] });
    road.converges().await;
    assert_eq!(road.shows("title"), [""; 0]);
    assert!(!road.link().await.inputs.contains_key("title"));
}

#[tokio::test]
async fn foreign_values_go_once_they_are_seen_and_those_that_are_kept_stay() {
    for manners in [Manners::default(), Manners { no_observed: true, ..Manners::default() }] {
        let road = Road::begun(manners, vec![alone("description", &["a", "b"])]).await;
        road.stranger("description", "theirs").await;
        road.stranger("description", "keep this").await;
        assert_eq!(road.shows("description"), ["a", "b", "keep this", "theirs"]);
        let plan = road.world.plan(Scope::Changed).await;
        let steps = road.world.steps(&plan).await;
        assert_eq!((steps.len(), &steps[0].budgets[..]), (1, &[BudgetKind::AttributeClear][..]));
        let why = steps[0].reasons[0].derivation.note.clone();
        assert_eq!(why.as_deref(), Some("values that no mapping gives go, in the range `*`: 1"));
        road.converges().await;
        assert_eq!(road.shows("description"), ["a", "b", "keep this"]);
    }
}

#[tokio::test]
async fn a_target_that_keeps_values_in_its_own_way_keeps_ours() {
    let trim = || Manners { trim: true, ..Manners::default() };
    let mut road = Road::begun(trim(), vec![alone("description", &[" a ", "b"])]).await;
    assert_eq!(road.shows("description"), ["a", "b"]);
    road.stranger("description", "theirs").await;
    road.converges().await;
    assert_eq!(road.shows("description"), ["a", "b", "theirs"], "which of them is ours, nobody can say");
    road.wants(vec![withdrawn("description")]).await;
    road.converges().await;
    assert_eq!(road.shows("description"), ["theirs"], "ours go in the form in which they are shown");
}

#[tokio::test]
async fn under_observe_an_account_is_created_right_and_left_alone_after() {
    let mut road = Road::begun(Manners::default(), vec![given("title", &["Clerk"])]).await;
    road.policy.authority = Authority::Observe;
    road.wants(vec![given("title", &["Boss"])]).await;
    let plan = road.world.plan(Scope::All).await;
    assert!(plan.is_empty());
    let target = &plan.targets[&TargetName::new("directory")];
    assert_eq!(target.skipped, [(RefusalReason::AttributesObserved, 1)].into());
    assert_eq!(road.shows("title"), ["Clerk"]);
    road.world.feed(&[person("1", "Jane", "Doe", "Sales"), person("2", "Joe", "Roe", "Sales")]).await;
    road.converges().await;
    let titles: Vec<_> = road
        .world
        .directory
        .dump("user")
        .unwrap()
        .iter()
        .map(|o| o.attributes.text("title").unwrap().to_owned())
        .collect();
    assert_eq!(titles, ["Clerk", "Boss"]);
    let jane = road.link().await.subject.identity().unwrap();
    let explained = road.world.engine.explain(jane, &ExplainOptions::default()).await.unwrap();
    let title =
        explained.accounts[0].values.iter().find(|value| value.attribute.as_str() == "title").unwrap();
    assert!(matches!(title.verdict, Verdict::LeftAlone { reason: LeftReason::Observed, .. }), "{title:?}");
}

#[tokio::test]
async fn proposals_are_seen_in_previews_and_in_nothing_that_may_be_applied() {
    let mut road = Road::begun(Manners::default(), Vec::new()).await;
    road.policy.proposed = vec![given("title", &["Boss"])];
    road.set().await;
    assert!(road.world.plan(Scope::All).await.is_empty());
    let preview = PlanOptions { preview: true, ..PlanOptions::default() };
    let preview = road.world.engine.plan(&road.world.actor, Scope::All, preview).await.unwrap();
    assert_eq!(preview.steps, 1);
    assert!(
        road.world
            .engine
            .apply(&road.world.actor, preview.id, &Default::default(), &Default::default())
            .await
            .is_err()
    );
    let jane = road.link().await.subject.identity().unwrap();
    for proposed in [false, true] {
        let options = ExplainOptions { proposed, ..ExplainOptions::default() };
        let explained = road.world.engine.explain(jane, &options).await.unwrap();
        let title = explained.accounts[0].values.iter().any(|value| value.attribute.as_str() == "title");
        assert_eq!((title, explained.accounts[0].steps.len()), (proposed, usize::from(proposed)));
    }
    assert_eq!(road.shows("title"), [""; 0]);
}
