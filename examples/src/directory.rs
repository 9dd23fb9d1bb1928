//! A directory for demonstrations: the in-memory target, kept in a state file, that starts with some content.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use provision_core::connector::{
    Connector, Edge, MembershipFacet as _, MembershipRequest, ObjectKey, UpdateRequest, Writer as _,
};
use provision_core::delta::{Change, Delta};
use provision_core::memory::{MemoryConfig, MemoryConnector};
use provision_core::runtime::Clock;
use provision_core::value::{Attributes, ObjectRef, Value};
use provision_core::{Error, ErrorKind, Result};
use serde::Deserialize;

/// The kind it is registered under.
pub const KIND: &str = "demo-directory";

/// An object of a seed file.
#[derive(Deserialize)]
struct Seed {
    class: String,
    attributes: BTreeMap<String, String>,
    enabled: Option<bool>,
    #[serde(default)]
    members: Vec<String>,
}

/// The factory: a [`MemoryConfig`] and a `seed_file`, a list of objects that the directory holds when its state file
/// does not exist yet.
pub fn factory(
    clock: Arc<dyn Clock>,
) -> impl Fn(&serde_json::Value) -> Result<Arc<dyn Connector>> + Send + Sync + 'static {
    move |config| {
        let mut config = config.clone();
        let seed = config.as_object_mut().and_then(|config| config.remove("seed_file"));
        let config = MemoryConfig::from_value(&config)?;
        // A connector does no I/O before its first call. This one does, once: it plays a directory that others filled
        // before we came.
        match (&seed, &config.state_file) {
            (Some(seed), Some(state)) if !state.exists() => {
                let seed = seed.as_str().ok_or_else(|| invalid("`seed_file` must be a path"))?;
                plant(&config, state, Path::new(seed), &clock)?;
            }
            _ => {}
        }
        Ok(Arc::new(MemoryConnector::new(config, Arc::clone(&clock))?))
    }
}

/// Fills a directory beside the state file, then puts it in place: a stop in between leaves none.
fn plant(config: &MemoryConfig, state: &Path, seed: &Path, clock: &Arc<dyn Clock>) -> Result<()> {
    let text = std::fs::read_to_string(seed).map_err(|error| failed(seed, &error))?;
    let seeds: Vec<Seed> = serde_json::from_str(&text).map_err(|error| failed(seed, &error))?;
    let beside = |end: &str| PathBuf::from(format!("{}.seeding{end}", state.display()));
    let remove = || ["", ".log", ".lock"].iter().for_each(|end| drop(std::fs::remove_file(beside(end))));
    remove();
    let config = MemoryConfig { state_file: Some(beside("")), ..config.clone() };
    let connector = MemoryConnector::new(config, Arc::clone(clock))?;
    // A factory is not asynchronous: a thread of its own waits for the calls.
    std::thread::scope(|scope| {
        let filling = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            runtime.map_err(|error| failed(seed, &error))?.block_on(fill(&connector, &seeds))
        });
        filling.join().unwrap_or_else(|_| Err(invalid("filling the directory failed")))
    })?;
    connector.compact()?;
    drop(connector);
    std::fs::rename(beside(""), state).map_err(|error| failed(state, &error))?;
    remove();
    Ok(())
}

async fn fill(connector: &MemoryConnector, seeds: &[Seed]) -> Result<()> {
    let mut keys: BTreeMap<&str, ObjectKey> = BTreeMap::new();
    for seed in seeds {
        let mut attributes = Attributes::new();
        for (name, value) in seed.attributes.iter().filter(|(name, _)| *name != "manager") {
            attributes.set(name.as_str(), vec![Value::text(value)]);
        }
        let planted = connector.seed(seed.class.as_str(), [(attributes, seed.enabled)])?;
        if let (Some(key), Some(dn)) = (planted.into_iter().next(), seed.attributes.get("dn")) {
            keys.insert(dn, key);
        }
    }
    let cx = MemoryConnector::context();
    for seed in seeds {
        let Some(key) = seed.attributes.get("dn").and_then(|dn| keys.get(dn.as_str())) else { continue };
        if let Some(boss) = seed.attributes.get("manager").and_then(|dn| keys.get(dn.as_str())) {
            let boss = Value::Reference(ObjectRef { class: "user".into(), key: boss.id.clone() });
            let mut delta = Delta::new();
            delta.changes.insert("manager".into(), Change::Replace(vec![boss]));
            let request = UpdateRequest { class: "user".into(), key: key.clone(), delta };
            connector.update(&cx, request).await?;
        }
        if !seed.members.is_empty() {
            let members = seed.members.iter().filter_map(|dn| keys.get(dn.as_str()));
            let request = MembershipRequest {
                class: seed.class.as_str().into(),
                group: key.clone(),
                member_class: "user".into(),
                edges: members.map(|member| Edge { member: member.clone(), add: true }).collect(),
            };
            connector.change(&cx, request).await?;
        }
    }
    Ok(())
}

fn failed(file: &Path, error: &dyn std::fmt::Display) -> Error {
    invalid(format!("{}: {error}", file.display()))
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::ConfigInvalid, message)
}
