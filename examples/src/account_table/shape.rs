//! What the tables hold, in the words of the connector contract.

use provision_core::connector::{
    Capabilities, ClassCapabilities, DeleteStyle, DisableMeaning, Discovery, FilterSupport, Object, ObjectKey,
};
use provision_core::id::ClassName;
use provision_core::schema::{AttributeSchema, Mutability, ObjectClass, Schema};
use provision_core::value::Attributes;
use provision_core::{Effect, Error, ErrorKind, Result};
use tokio_postgres::Row;

pub(super) const ACCOUNT: &str = "account";
pub(super) const TEAM: &str = "team";
/// Columns of an account that are attributes; the first is the number that HR issued.
pub(super) const COLUMNS: [&str; 4] = ["number", "login", "name", "title"];
/// Edges of one request.
const EDGES_MAX: u32 = 100;

pub(super) fn team() -> ClassName {
    TEAM.into()
}

/// The class of that name.
pub(super) fn class_of(name: &ClassName) -> Result<ObjectClass> {
    let text = AttributeSchema::text;
    match name.as_str() {
        ACCOUNT => {
            let number = AttributeSchema {
                required: true,
                unique: true,
                mutability: Mutability::CreateOnly,
                ..text()
            };
            let login = AttributeSchema { unique: true, ..text() };
            let attributes = [("number", number), ("login", login), ("name", text()), ("title", text())];
            let attributes = attributes.map(|(name, schema)| (name.into(), schema)).into();
            Ok(ObjectClass { attributes, ..ObjectClass::default() })
        }
        TEAM => {
            let name =
                AttributeSchema { required: true, unique: true, mutability: Mutability::Naming, ..text() };
            let attributes = [("name".into(), name)].into();
            Ok(ObjectClass { attributes, naming: Some("name".into()), ..ObjectClass::default() })
        }
        _ => {
            Err(Error::new(ErrorKind::Unsupported, "there are accounts and teams only")
                .with_effect(Effect::None))
        }
    }
}

/// Classes, and what can be done with them.
pub(super) fn discovery() -> Discovery {
    let read = ClassCapabilities {
        list_complete: true,
        page_size_max: 1_000,
        filter: FilterSupport::full(),
        ..ClassCapabilities::default()
    };
    let account = ClassCapabilities {
        create: true,
        update: true,
        delete: DeleteStyle::Irreversible,
        disable: DisableMeaning::BlocksSignIn,
        unique: ["number".into(), "login".into()].into(),
        ..read.clone()
    };
    let team = ClassCapabilities { members: true, members_per_request: EDGES_MAX, ..read };
    let names = [ACCOUNT, TEAM].map(ClassName::new);
    let classes = names.iter().filter_map(|name| Some((name.clone(), class_of(name).ok()?))).collect();
    let capabilities = Capabilities { classes: names.into_iter().zip([account, team]).collect() };
    Discovery { schema: Schema { classes }, capabilities }
}

/// The id of an account; one that nobody has where it is no number.
pub(super) fn id_of(id: &str) -> i64 {
    id.parse().unwrap_or(-1)
}

/// A row as an object.
pub(super) fn object(class: &ClassName, row: &Row) -> Result<Object> {
    let odd = |error| Error::new(ErrorKind::Unexpected, "a row is not as it should be").with_source(error);
    let mut attributes = Attributes::new();
    if class.as_str() == TEAM {
        let name: String = row.try_get("name").map_err(odd)?;
        let key = ObjectKey { id: name.clone(), name: Some(name.clone()) };
        return Ok(Object {
            class: class.clone(),
            key,
            attributes: attributes.with("name", name),
            enabled: None,
        });
    }
    for column in COLUMNS {
        if let Some(value) = row.try_get::<_, Option<String>>(column).map_err(odd)? {
            attributes = attributes.with(column, value);
        }
    }
    let id: i64 = row.try_get("id").map_err(odd)?;
    let enabled = Some(row.try_get("enabled").map_err(odd)?);
    Ok(Object { class: class.clone(), key: ObjectKey::id(id.to_string()), attributes, enabled })
}
