//! Law 11: secrets stay secret.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use provision_core::connector::ObjectKey;
use provision_core::execute::CredentialDelivery;
use provision_core::id::{IdentityId, RealmId, TargetName};
use provision_core::memory::{Fault, FaultRule, Faults, Operation};
use provision_core::plan::{Scope, render_header, render_step};
use provision_core::value::Secret;
use provision_core::{Error, ErrorKind};

use crate::world::{Setup, TestPolicy, World, person};

/// What people found in the post.
#[derive(Default)]
pub(crate) struct Mailbox(Mutex<Vec<(ObjectKey, Secret)>>);

impl Mailbox {
    /// What came, in order.
    pub(crate) fn take(&self) -> Vec<(ObjectKey, Secret)> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mailbox")
    }
}

#[async_trait]
impl CredentialDelivery for Mailbox {
    async fn deliver(
        &self,
        _realm: &RealmId,
        _identity: IdentityId,
        _target: &TargetName,
        key: &ObjectKey,
        password: &Secret,
    ) -> provision_core::Result<()> {
        self.0.lock().unwrap().push((key.clone(), password.clone()));
        Ok(())
    }
}

async fn run(faults: Vec<FaultRule>) -> (World, Vec<(ObjectKey, Secret)>, String) {
    let mailbox = Arc::new(Mailbox::default());
    let policy = TestPolicy { password: Some(20), ..TestPolicy::new() };
    let delivery: Arc<dyn CredentialDelivery> = mailbox.clone();
    let world = Setup { policy, delivery: Some(delivery), ..Setup::default() }.build().await;
    let people = ["Sales", "Finance", "Research"].iter().enumerate();
    let people: Vec<_> =
        people.map(|(n, department)| person(&n.to_string(), "Jane", "Smith", department)).collect();
    world.feed(&people).await;
    world.onboard().await;
    world.directory.set_faults(Faults { seed: 0, rules: faults });
    let mut texts = Vec::new();
    let plan = world.plan(Scope::Changed).await;
    texts.push(render_header(&plan));
    for step in world.steps(&plan).await {
        texts.push(render_step(&step, None, true));
        texts.push(format!("{step:?}"));
    }
    for _ in 0..4 {
        let report = world.apply_with(&world.engine, plan.id).await;
        texts.push(format!("{report:?}"));
        world.later(std::time::Duration::from_secs(60));
    }
    world.settle_down(4).await;
    texts.push(format!("{:?} {:?} {:?} {:?}", world.engine, world.store, world.directory, world.wire));
    texts.extend(world.every_row().await);
    texts.extend(world.audit().await.iter().map(|entry| format!("{entry:?}")));
    texts.extend(world.journal().await.iter().map(|entry| format!("{entry:?}")));
    let delivered = mailbox.take();
    (world, delivered, texts.join("\n"))
}

#[tokio::test]
async fn law_11_secrets_stay_secret_and_people_can_sign_in() {
    let at = |call, fault| FaultRule::at(Operation::Create, [call], fault);
    let cases = [
        Vec::new(),
        vec![at(1, Fault::LoseResponse)],
        vec![at(2, Fault::Refuse), at(3, Fault::Conflict)],
        vec![at(1, Fault::LoseResponse), FaultRule::at(Operation::Credential, [1], Fault::LoseResponse)],
        vec![at(1, Fault::LoseResponse), FaultRule::at(Operation::Credential, [1], Fault::Refuse)],
        vec![at(1, Fault::LoseResponse), FaultRule::at(Operation::List, [2], Fault::Refuse)],
    ];
    for (number, faults) in cases.into_iter().enumerate() {
        let (world, delivered, texts) = run(faults).await;
        for (_, password) in &delivered {
            assert_eq!(password.expose().chars().count(), 20);
            assert!(!texts.contains(password.expose()), "case {number}: a password is in a text");
            let encoded = serde_json::to_string(password.expose()).unwrap();
            assert!(!texts.contains(encoded.trim_matches('"')));
        }
        let users = world.directory.dump("user").unwrap();
        assert_eq!(users.len(), 3);
        for user in users {
            let last = delivered.iter().rev().find(|(key, _)| key.id == user.key.id);
            let (_, password) = last.unwrap_or_else(|| panic!("case {number}: nothing was delivered"));
            assert!(world.directory.verify_password(&user.key, password), "case {number}: cannot sign in");
        }
        let written: std::collections::BTreeSet<_> = delivered.iter().map(|(_, p)| p.expose()).collect();
        assert_eq!(written.len(), delivered.len(), "no two passwords are equal");
    }
}

/// A host whose carrier never answers, or says no.
#[derive(Debug)]
struct Closed {
    answers: bool,
}

#[async_trait]
impl CredentialDelivery for Closed {
    async fn deliver(
        &self,
        _realm: &RealmId,
        _identity: IdentityId,
        _target: &TargetName,
        _key: &ObjectKey,
        _password: &Secret,
    ) -> provision_core::Result<()> {
        if !self.answers {
            std::future::pending::<()>().await;
        }
        Err(Error::new(ErrorKind::Unavailable, "the carrier is closed"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_fails_or_never_answers_keeps_the_account_and_is_told() {
    for answers in [true, false] {
        let policy = TestPolicy { password: Some(20), ..TestPolicy::new() };
        let delivery: Option<Arc<dyn CredentialDelivery>> = Some(Arc::new(Closed { answers }));
        let world = Setup { policy, delivery, ..Setup::default() }.build().await;
        world.feed(&[person("1", "Jane", "Smith", "Sales")]).await;
        world.onboard().await;
        let plan = world.plan(Scope::Changed).await;
        let applied = tokio::time::timeout(Duration::from_secs(60), world.apply(plan.id)).await;
        let report = applied.expect("the lane goes on");
        assert!(report.is_clean(), "{report:?}");
        assert_eq!(world.accounts()["1"].1, Some(true), "the account stays");
        let told = world.audit().await.into_iter();
        let told: Vec<_> = told.filter(|entry| entry.event == "account.password_undelivered").collect();
        assert_eq!(told.len(), 1, "answers: {answers}");
        assert_eq!(told[0].object, Some(world.directory.dump("user").unwrap()[0].key.id.clone()));
        assert_eq!(told[0].error.as_ref().unwrap().kind, ErrorKind::Unavailable);
    }
}
