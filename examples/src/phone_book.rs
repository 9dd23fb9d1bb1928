//! A connector of your own, whole: a phone book in a JSON file. A connector translates: it never maps, matches, retries
//! or decides. `docs/spec/connector.md` numbers its duties, and `examples/tests/phone_book.rs` holds it to them.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use provision_core::connector::*;
use provision_core::id::ClassName;
use provision_core::runtime::Clock;
use provision_core::schema::{AttributeSchema, Mutability, ObjectClass, Schema};
use provision_core::value::{Attributes, Slot};
use provision_core::{Effect, Error, ErrorKind, Result};

use crate::json_table::JsonTable;

/// A phone book. An entry's key is the number HR issued.
#[derive(Clone, Debug)]
pub struct PhoneBook {
    table: Arc<JsonTable>,
    clock: Arc<dyn Clock>,
}

/// The attribute that is the key.
const KEY: &str = "employeeNumber";

fn class() -> ObjectClass {
    let text = AttributeSchema::text;
    let id = AttributeSchema { required: true, unique: true, mutability: Mutability::CreateOnly, ..text() };
    let attributes = [(KEY.into(), id), ("name".into(), text()), ("phone".into(), text())];
    ObjectClass { attributes: attributes.into(), ..ObjectClass::default() }
}

/// Every error of a write says what it did: here nothing, ever.
fn refused(kind: ErrorKind, why: &str) -> Error {
    Error::new(kind, why).with_effect(Effect::None)
}

/// The row as the schema takes it, without nulls: an attribute without value is absent.
fn row(attributes: &Attributes) -> Result<Attributes> {
    let (row, problems) = class().parse(attributes);
    match problems.first() {
        Some(problem) => Err(refused(ErrorKind::InvalidAttribute, &problem.summary)),
        None => Ok(row
            .iter()
            .filter(|(_, slot)| **slot != Slot::Null)
            .map(|(n, s)| (n.clone(), s.clone()))
            .collect()),
    }
}

impl PhoneBook {
    /// The phone book in this file; made by the first entry. No I/O.
    pub fn new(file: &Path, clock: Arc<dyn Clock>) -> Self {
        Self { table: Arc::new(JsonTable::new(file)), clock }
    }

    /// What holds for every call: the class is known, and the deadline has not passed.
    fn admit(&self, cx: &Context, class: &ClassName) -> Result<()> {
        match cx.deadline {
            _ if *class != "entry".into() => {
                Err(refused(ErrorKind::Unsupported, "the phone book holds entries only"))
            }
            Some(deadline) if self.clock.now() >= deadline => {
                Err(refused(ErrorKind::Unavailable, "the deadline has passed"))
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Connector for PhoneBook {
    fn info(&self) -> ConnectorInfo {
        let config_schema = serde_json::json!({"type": "object", "properties": {"path": {"type": "string"}}});
        ConnectorInfo { kind: "phone-book".to_owned(), version: "1".to_owned(), config_schema }
    }

    async fn check(&self, _cx: &Context) -> Result<()> {
        self.table.read().map(drop)
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
            unique: [KEY.into()].into(),
            ..ClassCapabilities::default()
        };
        let schema = Schema { classes: [("entry".into(), class())].into() };
        Ok(Discovery { schema, capabilities: Capabilities { classes: [("entry".into(), can)].into() } })
    }

    async fn get(&self, cx: &Context, request: GetRequest) -> Result<Option<Object>> {
        self.admit(cx, &request.class)?;
        Ok(self.table.read()?.remove_entry(&request.key.id).map(object))
    }

    fn list(&self, cx: &Context, request: ListRequest) -> Result<Listing> {
        self.admit(cx, &request.class)?;
        request.filter.as_ref().map_or(Ok(()), |filter| filter.check())?;
        // Nothing is read before the listing is polled. `paged` guards the pages and says how the end is known.
        Ok(paged(Pages { book: self.clone(), cx: cx.clone(), request }))
    }

    fn writer(&self) -> Option<&dyn Writer> {
        Some(self)
    }
}

fn object((id, attributes): (String, Attributes)) -> Object {
    Object { class: "entry".into(), key: ObjectKey::id(id), attributes, enabled: None }
}

struct Pages {
    book: PhoneBook,
    cx: Context,
    request: ListRequest,
}

#[async_trait]
impl PageSource for Pages {
    /// The last key of the page before: entries that go meanwhile move nothing.
    type Token = String;

    async fn page(&self, token: Option<&String>) -> Result<Page<String>> {
        self.book.admit(&self.cx, &self.request.class)?;
        let (filter, asked) = (&self.request.filter, &self.request.attributes);
        let mut rows = self.book.table.read()?.into_iter().filter(|(id, row)| {
            token.is_none_or(|last| id > last)
                && filter.as_ref().is_none_or(|filter| filter.matches(&class(), row))
        });
        let size = usize::try_from(self.request.page_size.max(1)).unwrap_or(usize::MAX);
        let mut objects = rows.by_ref().take(size).map(object).collect::<Vec<_>>();
        let last = objects.last().map(|object| object.key.id.clone());
        for object in objects.iter_mut().filter(|_| asked.is_some()) {
            let kept = object
                .attributes
                .iter()
                .filter(|(name, _)| asked.as_ref().is_some_and(|asked| asked.contains(*name)));
            object.attributes = kept.map(|(name, slot)| (name.clone(), slot.clone())).collect();
        }
        Ok(Page { objects, next: last.filter(|_| rows.next().is_some()), total: None })
    }
}

#[async_trait]
impl Writer for PhoneBook {
    async fn create(&self, cx: &Context, request: CreateRequest) -> Result<Outcome> {
        self.admit(cx, &request.class)?;
        let row = row(&request.attributes)?;
        let id = row.text(KEY).unwrap_or_default().to_owned();
        if id.is_empty() {
            return Err(refused(ErrorKind::InvalidAttribute, "`employeeNumber` must have a value"));
        }
        self.table.change(|rows| match rows.contains_key(&id) {
            true => Err(refused(ErrorKind::AlreadyExists, "there is an entry of that number")),
            false => Ok(rows.insert(id.clone(), row)),
        })?;
        Ok(Outcome::done(ObjectKey::id(id)))
    }

    async fn update(&self, cx: &Context, request: UpdateRequest) -> Result<Outcome> {
        self.admit(cx, &request.class)?;
        self.table.change(|rows| {
            let before = rows.get_mut(&request.key.id);
            let before = before.ok_or_else(|| refused(ErrorKind::NotFound, "there is no such entry"))?;
            // The whole delta or nothing of it.
            let after = row(&request.delta.apply(&class(), before))?;
            if after.values(KEY) != before.values(KEY) {
                return Err(refused(ErrorKind::InvalidAttribute, "`employeeNumber` never changes"));
            }
            *before = after;
            Ok(())
        })?;
        Ok(Outcome::done(request.key))
    }

    async fn rename(&self, cx: &Context, request: RenameRequest) -> Result<Outcome> {
        self.admit(cx, &request.class)?;
        Err(refused(ErrorKind::Unsupported, "entries have no name apart from their number"))
    }

    async fn delete(&self, cx: &Context, request: DeleteRequest) -> Result<Outcome> {
        self.admit(cx, &request.class)?;
        self.table.change(|rows| Ok(rows.remove(&request.key.id)))?;
        Ok(Outcome::done(request.key))
    }
}
