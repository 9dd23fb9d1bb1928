//! What a test sees of a world: the directory and the links as they must come out, whatever happened on the way.

use std::collections::BTreeMap;
use std::time::Duration;

use provision_core::audit::AuditEntry;
use provision_core::engine::{ApplyOptions, ApplyReport, Engine};
use provision_core::execute::JournalEntry;
use provision_core::id::{IdentityId, PlanId};
use provision_core::model::{Dispute, Identity, Link, Name, Subject, Work};
use provision_core::plan::{PlanState, Scope, Skip};
use provision_core::runtime::Progress;
use provision_core::store::{self, Record, Scan, Select, Stream, Table};
use provision_core::value::{Attributes, Value};

use crate::world::World;

/// Runs a future to its end, on one thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

impl World {
    /// All records of a kind.
    pub(crate) async fn all<R: Record>(&self) -> Vec<R> {
        let select = Select::KeyPrefix(String::new());
        let realm = self.engine.realm();
        let (found, next) =
            store::list_by::<R>(self.store.as_ref(), realm, select, None, 10_000).await.unwrap();
        assert!(next.is_none());
        found.into_iter().map(|stored| stored.value).collect()
    }

    /// The audit stream.
    pub(crate) async fn audit(&self) -> Vec<AuditEntry> {
        let rows = self.store.read_stream(self.engine.realm(), Stream::Audit, 0, 100_000).await.unwrap();
        rows.iter().map(|(_, row)| serde_json::from_str(&row.body).unwrap()).collect()
    }

    /// The text of every row of every table and stream.
    pub(crate) async fn every_row(&self) -> Vec<String> {
        let realm = self.engine.realm().clone();
        let mut rows = Vec::new();
        for table in Table::ALL {
            let scan = Scan {
                realm: realm.clone(),
                table: *table,
                select: Select::KeyPrefix(String::new()),
                after: None,
                limit: 10_000,
            };
            let page = self.store.scan(&scan).await.unwrap();
            assert!(page.next.is_none());
            rows.extend(
                page.rows.into_iter().map(|row| format!("{} {} {}", table.name(), row.key, row.body)),
            );
        }
        for stream in Stream::ALL {
            let page = self.store.read_stream(&realm, *stream, 0, 100_000).await.unwrap();
            rows.extend(page.into_iter().map(|(_, row)| format!("{} {}", stream.name(), row.body)));
        }
        rows
    }

    /// Identities by their key in the source.
    pub(crate) async fn identities(&self) -> BTreeMap<String, IdentityId> {
        self.all::<Identity>().await.into_iter().map(|identity| (identity.key.clone(), identity.id)).collect()
    }

    pub(crate) async fn journal(&self) -> Vec<JournalEntry> {
        self.all::<JournalEntry>().await
    }

    pub(crate) async fn dirty(&self) -> Vec<Work> {
        self.all::<Work>().await
    }

    pub(crate) async fn names(&self) -> Vec<Name> {
        self.all::<Name>().await
    }

    pub(crate) async fn open_disputes(&self) -> Vec<Dispute> {
        self.all::<Dispute>().await.into_iter().filter(|dispute| dispute.open).collect()
    }

    pub(crate) async fn skips(&self, plan: PlanId, chunks: u32) -> Vec<Skip> {
        let mut skips = Vec::new();
        for number in 0..chunks {
            skips.extend(self.engine.plan_steps(plan, number).await.unwrap().unwrap().skips);
        }
        skips
    }

    /// What object ids stand for: employee numbers of accounts, names of groups.
    fn labels(&self) -> BTreeMap<String, String> {
        let users = self.directory.dump("user").unwrap();
        let groups = self.directory.dump("group").unwrap();
        let text = |attributes: &Attributes, name: &str| attributes.text(name).unwrap_or_default().to_owned();
        let users = users
            .into_iter()
            .map(|object| (object.key.id, format!("user {}", text(&object.attributes, "employeeNumber"))));
        let groups = groups
            .into_iter()
            .map(|object| (object.key.id, format!("group {}", text(&object.attributes, "cn"))));
        users.chain(groups).collect()
    }

    /// The accounts of the directory, each as text, in order; references by label instead of by id.
    pub(crate) fn picture(&self) -> Vec<String> {
        let labels = self.labels();
        let mut accounts: Vec<String> = self
            .directory
            .dump("user")
            .unwrap()
            .iter()
            .map(|object| format!("{} enabled {:?}", show(&object.attributes, &labels), object.enabled))
            .collect();
        accounts.sort();
        accounts
    }

    /// The links, each as text, in order of the keys of their identities.
    pub(crate) async fn links(&self) -> Vec<String> {
        let labels = self.labels();
        let keys: BTreeMap<IdentityId, String> =
            self.identities().await.into_iter().map(|(key, id)| (id, key)).collect();
        let mut links: Vec<String> = self
            .all::<Link>()
            .await
            .iter()
            .map(|link| {
                let Subject::Identity(id) = &link.subject else { panic!("a link of nobody") };
                let object = link.key.as_ref().map(|key| labels.get(&key.id));
                format!(
                    "{} {:?} {:?} missing {} object {object:?} {}",
                    keys[id],
                    link.state,
                    link.enabled,
                    link.missing,
                    show(&link.applied, &labels)
                )
            })
            .collect();
        links.sort();
        links
    }

    /// The accounts as they are and where the links stand, whoever wrote what: an account that was found again is not
    /// recorded as written.
    pub(crate) async fn standing(&self) -> (Vec<String>, Vec<String>) {
        (self.picture(), stand(&self.links().await))
    }

    /// One call of apply, by any engine.
    pub(crate) async fn apply_with(
        &self,
        engine: &Engine,
        plan: PlanId,
    ) -> provision_core::Result<ApplyReport> {
        let options = ApplyOptions { patience: Duration::from_secs(120) };
        engine.apply(&self.actor, plan, &options, &Progress::new()).await
    }

    /// Makes the plan of everybody and applies it to the end, as often as that takes, in new processes.
    pub(crate) async fn settle_down(&self, rounds: usize) {
        for _ in 0..rounds {
            let engine = self.restarted().await;
            let Some(plan) = self.try_plan(Scope::All).await else {
                self.later(Duration::from_secs(30));
                continue;
            };
            assert!(plan.hold.is_none(), "held: {:?}", plan.over);
            if plan.is_empty() && self.skips(plan.id, plan.chunks).await.iter().all(|skip| !is_pending(skip))
            {
                return;
            }
            self.finish(&engine).await;
        }
        let plan = self.plan(Scope::All).await;
        panic!("not settled: {:#?} {:#?}", self.steps(&plan).await, self.skips(plan.id, plan.chunks).await);
    }

    /// Applies every plan that is ready or under way, oldest first, until each has ended; time goes on meanwhile.
    pub(crate) async fn finish(&self, engine: &Engine) {
        let plans = self.all::<provision_core::plan::PlanHeader>().await;
        for plan in plans {
            if !matches!(plan.state, PlanState::Ready | PlanState::Applying) {
                continue;
            }
            for _ in 0..12 {
                let report = self.apply_with(engine, plan.id).await;
                if report.is_ok_and(|report| report.state == PlanState::Applied) {
                    break;
                }
                self.later(Duration::from_secs(30));
            }
        }
    }
}

/// Fails with what differs between what came out and what shall come out: accounts and links.
pub(crate) fn same(seen: &(Vec<String>, Vec<String>), expected: &(Vec<String>, Vec<String>), why: &str) {
    let both = [(&seen.0, &expected.0), (&seen.1, &expected.1)];
    for (seen, expected) in both {
        let less: Vec<&String> = expected.iter().filter(|line| !seen.contains(line)).collect();
        let more: Vec<&String> = seen.iter().filter(|line| !expected.contains(line)).collect();
        assert!(less.is_empty() && more.is_empty(), "{why}\n wanted {less:#?}\n got {more:#?}");
        assert_eq!(seen.len(), expected.len(), "{why}");
    }
}

/// Links without what was written to their objects.
pub(crate) fn stand(links: &[String]) -> Vec<String> {
    links.iter().map(|link| link.split(")) ").next().unwrap_or_default().to_owned()).collect()
}

fn is_pending(skip: &Skip) -> bool {
    skip.reason == provision_core::policy::RefusalReason::Pending
}

fn show(attributes: &Attributes, labels: &BTreeMap<String, String>) -> String {
    let mut out: Vec<String> = Vec::new();
    for (name, slot) in attributes.iter() {
        let mut values: Vec<String> = slot
            .values()
            .iter()
            .map(|value| match value {
                Value::Reference(object) => labels.get(&object.key).cloned().unwrap_or_default(),
                other => format!("{other:?}"),
            })
            .collect();
        values.sort();
        out.push(format!("{name}={}", values.join(",")));
    }
    out.sort();
    out.join(" ")
}
