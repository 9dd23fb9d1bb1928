//! Strangers: administrators of the target who change it without us.

use std::sync::Arc;

use super::depot::Depot;
use super::policy::{DIRECTORY, stem};
use super::realm::Realm;
use super::world::World;
use crate::connector::{
    DeleteRequest, Edge, LifecycleFacet, LifecycleRequest, MembershipFacet, MembershipRequest, ObjectKey,
    UpdateRequest, Writer,
};
use crate::delta::{Change, Delta};
use crate::error::Result;
use crate::id::TargetName;
use crate::memory::MemoryConnector;
use crate::model::{Name, NameState};
use crate::store::{Scan, Select, Table};
use crate::value::{Attributes, Value};

/// Does one thing on a target of the realm.
pub(super) async fn meddle(world: &Arc<World>, realm: &Realm) -> Result<()> {
    let sites: Vec<_> = realm.sites.values().collect();
    let Some(site) = world.dice.pick(&sites) else { return Ok(()) };
    let has_groups = site.name.as_str() == DIRECTORY;
    let class = if has_groups { "user" } else { "account" };
    let cx = MemoryConnector::context();
    let accounts: Vec<_> = site
        .target
        .dump(class)?
        .into_iter()
        .filter(|account| account.enabled == Some(true) && !is_canary(&account.attributes))
        .collect();
    let Some(account) = world.dice.pick(&accounts) else { return Ok(()) };
    let key = account.key.clone();
    let who = account.attributes.text("employeeNumber").unwrap_or_default();
    let what = world.dice.below(if has_groups { 6 } else { 4 });
    world.note(format_args!("{} a stranger does {what} to {who} ({})", realm.id, key.id));
    match what {
        0 => {
            let mut delta = Delta::new();
            delta.changes.insert("title".into(), Change::Replace(vec![Value::text("King")]));
            Writer::update(&site.target, &cx, UpdateRequest { class: class.into(), key, delta }).await?;
        }
        1 => {
            let request = LifecycleRequest { class: class.into(), key, enabled: false };
            LifecycleFacet::set(&site.target, &cx, request).await?;
        }
        2 => {
            Writer::delete(&site.target, &cx, DeleteRequest { class: class.into(), key }).await?;
        }
        3 => {
            // Somebody with a name that we may want.
            let login = format!("{}{}", stem("Jane", "Smith"), world.dice.between(1, 4));
            let object = if has_groups {
                Attributes::new()
                    .with("sAMAccountName", login.as_str())
                    .with("cn", login.as_str())
                    .with("dn", format!("CN={login},OU=Strangers,DC=test").as_str())
            } else {
                Attributes::new().with("userName", login.as_str())
            };
            // The name may be taken already.
            for key in site.target.seed(class, [(object, Some(true))]).unwrap_or_default() {
                site.foreign(&key.id);
            }
        }
        _ => {
            let groups = site.target.dump("group")?;
            let Some(group) = world.dice.pick(&groups) else { return Ok(()) };
            let add = what == 4;
            let name = group.key.name.clone().unwrap_or_default();
            site.strange_edge(&key.id, &name);
            let request = MembershipRequest {
                class: "group".into(),
                group: ObjectKey::id(group.key.id.clone()),
                member_class: class.into(),
                edges: vec![Edge { member: key, add }],
            };
            MembershipFacet::change(&site.target, &cx, request).await?;
        }
    }
    Ok(())
}

/// Makes an account with a name that one of our people is about to get.
pub(super) fn squat(world: &Arc<World>, realm: &Realm) -> Result<()> {
    let select = Select::KeyPrefix("login|".to_owned());
    let scan = Scan { realm: realm.id.clone(), table: Table::Name, select, after: None, limit: 1_000 };
    let rows = Depot::at_once(world.depot.inner()?.scan(&scan))?.rows;
    let names = rows.iter().filter_map(|row| serde_json::from_str::<Name>(&row.body).ok());
    let reserved: Vec<String> =
        names.filter(|name| matches!(name.state, NameState::Reserved { .. })).map(|name| name.name).collect();
    let Some(login) = world.dice.pick(&reserved) else { return Ok(()) };
    let Some(site) = realm.sites.get(&TargetName::new(DIRECTORY)) else { return Ok(()) };
    let object = Attributes::new()
        .with("sAMAccountName", login.as_str())
        .with("cn", login.as_str())
        .with("dn", format!("CN={login},OU=Strangers,DC=test").as_str());
    world.note(format_args!("{} a stranger is called {login}", realm.id));
    // The name may be taken already.
    for key in site.target.seed("user", [(object, Some(true))]).unwrap_or_default() {
        site.foreign(&key.id);
    }
    Ok(())
}

fn is_canary(attributes: &Attributes) -> bool {
    attributes.text("employeeNumber").is_some_and(|key| key.ends_with(super::population::CANARY))
}
