//! A connector of your own: a phone book in a JSON file. A connector translates: it never maps, matches, retries or
//! decides. `docs/spec/connector.md` numbers its duties.

use std::sync::Arc;

use async_trait::async_trait;
use provision_core::connector::*;
use provision_core::plan::TargetSettings;
use provision_core::schema::{AttributeSchema, Mutability, ObjectClass, Schema};
use provision_core::value::Attributes;
use provision_core::{Effect, Error, ErrorKind, Result};
use provision_examples::{company, json_table::JsonTable, tour};
use provision_policy::Bundle;

/// A phone book. An entry's key is the number HR issued.
#[derive(Debug)]
struct PhoneBook(JsonTable);

fn class() -> ObjectClass {
    let text = AttributeSchema::text;
    let id = AttributeSchema { required: true, unique: true, mutability: Mutability::CreateOnly, ..text() };
    let attributes = [("employeeNumber".into(), id), ("name".into(), text()), ("phone".into(), text())];
    ObjectClass { attributes: attributes.into(), ..ObjectClass::default() }
}

fn object((id, attributes): (String, Attributes)) -> Object {
    Object { class: "entry".into(), key: ObjectKey::id(id), attributes, enabled: None }
}

/// Every error of a write says what it did: here nothing, ever.
fn refused(kind: ErrorKind, why: &str) -> Error {
    Error::new(kind, why).with_effect(Effect::None)
}

#[async_trait]
impl Connector for PhoneBook {
    fn info(&self) -> ConnectorInfo {
        let config_schema = serde_json::json!({"type": "object", "properties": {"path": {"type": "string"}}});
        ConnectorInfo { kind: "phone-book".to_owned(), version: "1".to_owned(), config_schema }
    }

    async fn check(&self, _cx: &Context) -> Result<()> {
        self.0.read().map(drop)
    }

    async fn discover(&self, _cx: &Context) -> Result<Discovery> {
        let can = ClassCapabilities {
            create: true,
            update: true,
            delete: DeleteStyle::Irreversible,
            list_complete: true,
            page_size_max: u32::MAX,
            filter: FilterSupport::full(),
            // The key of the table: two creates of one number cannot both succeed.
            unique: ["employeeNumber".into()].into(),
            ..ClassCapabilities::default()
        };
        let schema = Schema { classes: [("entry".into(), class())].into() };
        Ok(Discovery { schema, capabilities: Capabilities { classes: [("entry".into(), can)].into() } })
    }

    async fn get(&self, _cx: &Context, request: GetRequest) -> Result<Option<Object>> {
        Ok(self.0.read()?.remove_entry(&request.key.id).map(object))
    }

    fn list(&self, _cx: &Context, request: ListRequest) -> Result<Listing> {
        let mut rows = self.0.read()?;
        rows.retain(|_, row| request.filter.as_ref().is_none_or(|filter| filter.matches(&class(), row)));
        // Absence counts only because the listing says how it knows that it is whole.
        let end = Completeness::Complete { proof: "the file was read to its end".to_owned() };
        let events = [ListEvent::Objects(rows.into_iter().map(object).collect()), ListEvent::End(end)];
        Ok(Box::pin(futures_util::stream::iter(events.map(Ok))))
    }

    fn writer(&self) -> Option<&dyn Writer> {
        Some(self)
    }
}

#[async_trait]
impl Writer for PhoneBook {
    async fn create(&self, _cx: &Context, request: CreateRequest) -> Result<Outcome> {
        let id = request.attributes.text("employeeNumber").unwrap_or_default().to_owned();
        self.0.change(|rows| match rows.contains_key(&id) {
            true => Err(refused(ErrorKind::AlreadyExists, "there is an entry of that number")),
            false => Ok(rows.insert(id.clone(), request.attributes)),
        })?;
        Ok(Outcome::done(ObjectKey::id(id)))
    }

    async fn update(&self, _cx: &Context, request: UpdateRequest) -> Result<Outcome> {
        self.0.change(|rows| {
            let row = rows.get_mut(&request.key.id);
            let row = row.ok_or_else(|| refused(ErrorKind::NotFound, "there is no such entry"))?;
            *row = request.delta.apply(&class(), row);
            Ok(())
        })?;
        Ok(Outcome::done(request.key))
    }

    async fn rename(&self, _cx: &Context, _request: RenameRequest) -> Result<Outcome> {
        Err(refused(ErrorKind::Unsupported, "entries have no name apart from their number"))
    }

    async fn delete(&self, _cx: &Context, request: DeleteRequest) -> Result<Outcome> {
        self.0.change(|rows| Ok(rows.remove(&request.key.id)))?;
        Ok(Outcome::done(request.key))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let policy = Bundle::load_path(company::data().join("phone-book.yaml"))
        .map_err(|problems| Error::new(ErrorKind::ConfigInvalid, format!("{problems:?}")))?;
    let (clock, file) = (tour::clock()?, tour::folder()?.join("phones.json"));
    // Registering the kind is all it takes.
    let registry = company::registry(&clock)
        .with_connector("phone-book", move |_| Ok(Arc::new(PhoneBook(JsonTable::new(&file)))));
    tour::tour(clock, registry, Arc::new(policy), TargetSettings::new("phones", "phone-book"), "entry").await
}
