//! A target that is a file: it lists what the file holds, in pages, and does nothing else.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use provision_core::connector::{
    Capabilities, ClassCapabilities, Completeness, Connector, ConnectorInfo, Context, Discovery, GetRequest,
    ListEvent, ListRequest, Listing, Object, ObjectKey,
};
use provision_core::schema::{AttributeSchema, ObjectClass, Schema};
use provision_core::value::{Attributes, Value};
use provision_core::{Error, ErrorKind, Result};

use crate::Outcome;

/// Objects of a page.
const PAGE: usize = 1_000;
/// The columns of [`crate::write_csv`] after the id.
const COLUMNS: [&str; 8] =
    ["givenName", "familyName", "title", "department", "city", "mobile", "start", "status"];

/// Lists whatever file it is told to show.
#[derive(Debug)]
pub struct Listed(Arc<Mutex<PathBuf>>);

impl Listed {
    /// A target that shows the file which stands there at the time of the listing.
    pub fn new(file: Arc<Mutex<PathBuf>>) -> Self {
        Self(file)
    }

    /// The objects of a file written by [`crate::write_csv`].
    ///
    /// # Errors
    /// A file that cannot be opened.
    pub fn objects(file: &Path) -> Outcome<impl Iterator<Item = Outcome<Object>> + use<>> {
        let records = csv::Reader::from_path(file)?.into_records();
        Ok(records.map(|record| Ok(object(&record?))))
    }

    fn path(&self) -> PathBuf {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn object(record: &csv::StringRecord) -> Object {
    let mut fields = record.iter();
    let key = ObjectKey::id(fields.next().unwrap_or_default());
    let mut attributes = Attributes::new();
    for (name, value) in COLUMNS.iter().zip(fields) {
        attributes.set(*name, vec![Value::text(value)]);
    }
    Object { class: "user".into(), key, attributes, enabled: Some(true) }
}

fn unreadable(error: csv::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "cannot read the file of the target").with_source(error)
}

#[async_trait]
impl Connector for Listed {
    fn info(&self) -> ConnectorInfo {
        let config_schema = serde_json::Value::Object(Default::default());
        ConnectorInfo { kind: "listed".to_owned(), version: "1".to_owned(), config_schema }
    }

    async fn check(&self, _cx: &Context) -> Result<()> {
        Ok(())
    }

    async fn discover(&self, _cx: &Context) -> Result<Discovery> {
        let mut class = ObjectClass::default();
        class.attributes.extend(COLUMNS.map(|name| (name.into(), AttributeSchema::text())));
        let mut discovery = Discovery { schema: Schema::default(), capabilities: Capabilities::default() };
        discovery.schema.classes.insert("user".into(), class);
        let can = ClassCapabilities { list_complete: true, ..ClassCapabilities::default() };
        discovery.capabilities.classes.insert("user".into(), can);
        Ok(discovery)
    }

    async fn get(&self, _cx: &Context, _request: GetRequest) -> Result<Option<Object>> {
        Err(Error::new(ErrorKind::Unsupported, "the file is only listed"))
    }

    fn list(&self, _cx: &Context, _request: ListRequest) -> Result<Listing> {
        let mut records = csv::Reader::from_path(self.path()).map_err(unreadable)?.into_records();
        let mut ended = false;
        let pages = std::iter::from_fn(move || {
            if ended {
                return None;
            }
            let page: std::result::Result<Vec<Object>, csv::Error> =
                records.by_ref().take(PAGE).map(|record| record.map(|record| object(&record))).collect();
            Some(match page {
                Ok(page) if page.is_empty() => {
                    ended = true;
                    let proof = "end of the file".to_owned();
                    Ok(ListEvent::End(Completeness::Complete { proof }))
                }
                Ok(page) => Ok(ListEvent::Objects(page)),
                Err(error) => {
                    ended = true;
                    Err(unreadable(error))
                }
            })
        });
        Ok(Box::pin(futures_util::stream::iter(pages)))
    }
}
