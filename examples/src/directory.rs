//! A directory for demonstrations: the in-memory target, kept in a state file, that starts with some content.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use provision_core::connector::{Connector, Edge, MembershipFacet as _, MembershipRequest, ObjectKey};
use provision_core::memory::{MemoryConfig, MemoryConnector};
use provision_core::runtime::Clock;
use provision_core::value::{Attributes, Value};
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
        let fresh = config.state_file.as_ref().is_none_or(|file| !file.exists());
        let connector = MemoryConnector::new(config, Arc::clone(&clock))?;
        if let (Some(seed), true) = (seed, fresh) {
            // A connector does no I/O before its first call. This one does, once: it plays a directory that others
            // filled before we came.
            let file = seed.as_str().map(PathBuf::from).ok_or_else(|| invalid("`seed_file` must be a path"))?;
            plant(&connector, &file)?;
        }
        Ok(Arc::new(connector))
    }
}

fn plant(connector: &MemoryConnector, file: &Path) -> Result<()> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| invalid(format!("cannot read {}: {error}", file.display())))?;
    let seeds: Vec<Seed> =
        serde_json::from_str(&text).map_err(|error| invalid(format!("{}: {error}", file.display())))?;
    let mut keys: BTreeMap<String, ObjectKey> = BTreeMap::new();
    for seed in &seeds {
        let mut attributes = Attributes::new();
        for (name, value) in &seed.attributes {
            attributes.set(name.as_str(), vec![Value::text(value)]);
        }
        let planted = connector.seed(seed.class.as_str(), [(attributes, seed.enabled)])?;
        if let (Some(key), Some(dn)) = (planted.into_iter().next(), seed.attributes.get("dn")) {
            keys.insert(dn.clone(), key);
        }
    }
    let cx = MemoryConnector::context();
    for group in seeds.iter().filter(|seed| !seed.members.is_empty()) {
        let key = group.attributes.get("dn").and_then(|dn| keys.get(dn));
        let key = key.ok_or_else(|| invalid("a group of the seed file has no `dn`"))?;
        let members = group.members.iter().filter_map(|dn| keys.get(dn));
        let request = MembershipRequest {
            class: group.class.as_str().into(),
            group: key.clone(),
            member_class: "user".into(),
            edges: members.map(|member| Edge { member: member.clone(), add: true }).collect(),
        };
        // Content in memory answers at once: polling the call to its end blocks nobody.
        futures_util::FutureExt::now_or_never(connector.change(&cx, request))
            .ok_or_else(|| invalid("the directory did not answer at once"))??;
    }
    Ok(())
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::ConfigInvalid, message)
}
