//! A connector of your own: a phone book kept in a JSON file. Run it with `cargo run --example custom_connector`.
//!
//! A connector translates and nothing else: it never maps, matches, retries or decides. What it must keep to is
//! numbered in `docs/spec/connector.md`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::stream;
use provision_core::connector::{
    Capabilities, ClassCapabilities, Completeness, Connector, ConnectorInfo, Context, CreateRequest,
    DeleteRequest, DeleteStyle, Discovery, FilterSupport, GetRequest, ListEvent, ListRequest, Listing,
    Object, ObjectKey, Outcome, RenameRequest, UpdateRequest, Writer,
};
use provision_core::plan::TargetSettings;
use provision_core::schema::{AttributeSchema, Mutability, ObjectClass, Schema};
use provision_core::value::{AttrName, Attributes};
use provision_core::{Effect, Error, ErrorKind, Result};
use provision_examples::{company, tour};
use provision_policy::Bundle;

/// A phone book. An entry's key is the number HR issued.
#[derive(Debug)]
struct PhoneBook {
    file: PathBuf,
    /// One call at a time reads, changes and writes the file.
    turn: Mutex<()>,
}

type Entries = BTreeMap<String, Attributes>;

impl PhoneBook {
    fn class() -> ObjectClass {
        let id = AttributeSchema {
            required: true,
            unique: true,
            mutability: Mutability::CreateOnly,
            ..AttributeSchema::text()
        };
        let text = AttributeSchema::text;
        let attributes = [("employeeNumber", id), ("name", text()), ("phone", text())];
        let attributes = attributes.into_iter().map(|(name, schema)| (AttrName::new(name), schema));
        ObjectClass { attributes: attributes.collect(), ..ObjectClass::default() }
    }

    fn read(&self) -> Result<Entries> {
        match std::fs::read(&self.file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| broken(&error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Entries::new()),
            Err(error) => Err(broken(&error)),
        }
    }

    /// Reads, changes and writes the file whole; a reader never sees half of it.
    fn change<T>(&self, change: impl FnOnce(&mut Entries) -> Result<T>) -> Result<T> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = self.read()?;
        let result = change(&mut entries)?;
        let text = serde_json::to_vec_pretty(&entries).map_err(|error| broken(&error))?;
        let beside = self.file.with_extension("new");
        std::fs::write(&beside, text).map_err(|error| broken(&error))?;
        // Nobody knows whether a rename that failed has happened: the engine will look.
        std::fs::rename(&beside, &self.file).map_err(|error| broken(&error).with_effect(Effect::Unknown))?;
        Ok(result)
    }
}

/// Every error of a write says what it did: nothing, unless another effect is stated.
fn refused(kind: ErrorKind, why: &str) -> Error {
    Error::new(kind, why).with_effect(Effect::None)
}

fn broken(error: &dyn std::error::Error) -> Error {
    refused(ErrorKind::Unavailable, &format!("the phone book's file: {error}"))
}

fn object(id: &str, attributes: Attributes) -> Object {
    Object { class: "entry".into(), key: ObjectKey::id(id), attributes, enabled: None }
}

#[async_trait]
impl Connector for PhoneBook {
    fn info(&self) -> ConnectorInfo {
        let config_schema = serde_json::json!({"type": "object", "properties": {"path": {"type": "string"}}});
        ConnectorInfo { kind: "phone-book".to_owned(), version: "1".to_owned(), config_schema }
    }

    async fn check(&self, _cx: &Context) -> Result<()> {
        self.read().map(|_| ())
    }

    async fn discover(&self, _cx: &Context) -> Result<Discovery> {
        let can = ClassCapabilities {
            create: true,
            update: true,
            delete: DeleteStyle::Irreversible,
            list_complete: true,
            page_size_max: u32::MAX,
            filter: FilterSupport::full(),
            unique: ["employeeNumber".into()].into(),
            ..ClassCapabilities::default()
        };
        Ok(Discovery {
            schema: Schema { classes: [("entry".into(), Self::class())].into() },
            capabilities: Capabilities { classes: [("entry".into(), can)].into() },
        })
    }

    async fn get(&self, _cx: &Context, request: GetRequest) -> Result<Option<Object>> {
        Ok(self.read()?.remove(&request.key.id).map(|attributes| object(&request.key.id, attributes)))
    }

    fn list(&self, _cx: &Context, request: ListRequest) -> Result<Listing> {
        let entries = self.read()?;
        let matches = |attributes: &Attributes| {
            request.filter.as_ref().is_none_or(|filter| filter.matches(&Self::class(), attributes))
        };
        let found = entries.into_iter().filter(|(_, attributes)| matches(attributes));
        let found = found.map(|(id, attributes)| object(&id, attributes)).collect();
        // Absence counts only because the listing says how it knows that it is whole.
        let end = Completeness::Complete { proof: "the file was read to its end".to_owned() };
        Ok(Box::pin(stream::iter([Ok(ListEvent::Objects(found)), Ok(ListEvent::End(end))])))
    }

    fn writer(&self) -> Option<&dyn Writer> {
        Some(self)
    }
}

#[async_trait]
impl Writer for PhoneBook {
    async fn create(&self, _cx: &Context, request: CreateRequest) -> Result<Outcome> {
        let id = request.attributes.text("employeeNumber").unwrap_or_default().to_owned();
        if id.is_empty() {
            return Err(refused(ErrorKind::InvalidAttribute, "an entry needs an `employeeNumber`"));
        }
        self.change(|entries| match entries.contains_key(&id) {
            true => Err(refused(ErrorKind::AlreadyExists, "there is an entry of that number")),
            false => {
                entries.insert(id.clone(), request.attributes);
                Ok(Outcome::done(ObjectKey::id(id)))
            }
        })
    }

    async fn update(&self, _cx: &Context, request: UpdateRequest) -> Result<Outcome> {
        self.change(|entries| match entries.get_mut(&request.key.id) {
            None => Err(refused(ErrorKind::NotFound, "there is no such entry")),
            Some(attributes) => {
                *attributes = request.delta.apply(&Self::class(), attributes);
                Ok(Outcome::done(request.key))
            }
        })
    }

    async fn rename(&self, _cx: &Context, _request: RenameRequest) -> Result<Outcome> {
        Err(refused(ErrorKind::Unsupported, "entries have no name apart from their number"))
    }

    async fn delete(&self, _cx: &Context, request: DeleteRequest) -> Result<Outcome> {
        self.change(|entries| {
            entries.remove(&request.key.id);
            Ok(Outcome::done(request.key))
        })
    }
}

const POLICY: &str = r#"
bundle: 1
version: phone-book
inputs: [mobile]
roles:
  staff: { grants: [{ account: phones/entry }] }
rules:
  - { id: everybody, when: 'lifecycle == "active" && !empty(user.mobile)', roles: [staff] }
targets:
  phones:
    entry:
      attributes:
        employeeNumber: { value: key, strength: create_only }
        name: user.displayName
        phone: user.mobile
"#;

#[tokio::main]
async fn main() -> Result<()> {
    let policy = Bundle::load(&[("policy.yaml", POLICY)])
        .map_err(|problems| Error::new(ErrorKind::ConfigInvalid, format!("{problems:?}")))?;
    let clock = tour::clock()?;
    // Registering the kind is all it takes.
    let registry = company::registry(&clock).with_connector("phone-book", |config| {
        let path = config.get("path").and_then(serde_json::Value::as_str);
        let path = path.ok_or_else(|| Error::new(ErrorKind::ConfigInvalid, "`path` must name a file"))?;
        Ok(Arc::new(PhoneBook { file: path.into(), turn: Mutex::new(()) }))
    });
    let config = serde_json::json!({ "path": tour::folder()?.join("phones.json") });
    let target = TargetSettings { config, ..TargetSettings::new("phones", "phone-book") };
    tour::tour(clock, registry, Arc::new(policy), target, "entry").await
}
