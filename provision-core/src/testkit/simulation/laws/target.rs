//! Laws 4 and 10, from the side of the target: what is somebody else's is left alone, and what the journal says was
//! given was sent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::ledger::Ask;
use super::super::network::Site;
use super::super::realm::Realm;
use super::super::verdict::Violation;
use super::all;
use crate::engine::Engine;
use crate::error::Result;
use crate::execute::{JournalEntry, StepState};
use crate::id::IdentityId;
use crate::model::{Identity, Link, Subject};
use crate::plan::Action;

/// By how much the clocks of processes may differ from the world's.
const SKEW: Duration = Duration::from_secs(60);

pub(super) async fn check(realm: &Realm, engine: &Engine, found: &mut Vec<Violation>) -> Result<()> {
    let identities: Vec<Identity> = all(engine).await?;
    let journal: Vec<JournalEntry> = all(engine).await?;
    let links: Vec<Link> = all(engine).await?;
    for site in realm.sites.values() {
        strangers(realm, site, found);
        let journal = journal.iter().filter(|entry| entry.target == site.name);
        let done: Vec<&JournalEntry> = journal.filter(|entry| entry.state == StepState::Done).collect();
        let objects = objects(site, &links, &identities);
        edges(realm, site, engine, &done, &objects, found).await?;
    }
    Ok(())
}

/// Nobody wrote to an account that a stranger made.
fn strangers(realm: &Realm, site: &Site, found: &mut Vec<Violation>) {
    for entry in site.ledger.entries() {
        let Some(object) = entry.object.as_deref().filter(|object| entry.done && site.is_foreign(object))
        else {
            continue;
        };
        let (realm, target, step) = (&realm.id, &site.name, entry.step.as_str());
        let what =
            format!("{realm}/{target}: {step} wrote to {object}, which a stranger made: {:?}", entry.ask);
        found.push(Violation { law: 4, what });
    }
}

/// The objects that were ever somebody's.
fn objects(site: &Site, links: &[Link], identities: &[Identity]) -> BTreeMap<IdentityId, BTreeSet<String>> {
    let mut objects: BTreeMap<IdentityId, BTreeSet<String>> = BTreeMap::new();
    for link in links.iter().filter(|link| link.target == site.name) {
        if let (Subject::Identity(owner), Some(key)) = (&link.subject, &link.key) {
            objects.entry(*owner).or_default().insert(key.id.clone());
        }
    }
    for entry in site.ledger.entries() {
        let Ask::Create { attributes, .. } = &entry.ask else { continue };
        let owner = identities.iter().find(|i| attributes.text("employeeNumber") == Some(i.key.as_str()));
        if let (Some(owner), Some(object)) = (owner, entry.object) {
            objects.entry(owner.id).or_default().insert(object);
        }
    }
    objects
}

/// A membership that the journal calls done was asked for, in that plan or in another that began it at the same time,
/// and the target did it.
async fn edges(
    realm: &Realm,
    site: &Site,
    engine: &Engine,
    done: &[&JournalEntry],
    objects: &BTreeMap<IdentityId, BTreeSet<String>>,
    found: &mut Vec<Violation>,
) -> Result<()> {
    let entries = site.ledger.entries();
    for entry in done.iter().filter(|entry| entry.step.as_str().contains("/add_member/")) {
        let Some(chunk) = engine.plan_steps(entry.plan, entry.chunk).await? else { continue };
        let Some(step) = chunk.steps.iter().find(|step| step.id == entry.step) else { continue };
        let Action::AddMember { group: wanted, .. } = &step.action else { continue };
        let theirs = objects.get(&entry.identity);
        let sent = entries.iter().any(|sent| {
            sent.done
                && ((sent.plan, &sent.step) == (entry.plan, &entry.step)
                    || sent.at >= entry.started_at.minus(SKEW))
                && matches!(&sent.ask, Ask::Edge { group, add: true } if group == wanted)
                && sent.object.as_ref().is_some_and(|object| theirs.is_some_and(|all| all.contains(object)))
        });
        if !sent {
            let (realm, target, step) = (&realm.id, &site.name, entry.step.as_str());
            let what =
                format!("{realm}/{target}: the journal calls {step} done and the target was never asked");
            found.push(Violation { law: 10, what });
        }
    }
    Ok(())
}
