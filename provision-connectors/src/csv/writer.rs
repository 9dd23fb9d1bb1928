//! The writing facets.

use async_trait::async_trait;
use provision_core::Result;
use provision_core::connector::{
    Context, CreateRequest, DeleteRequest, LifecycleFacet, LifecycleRequest, Outcome, RenameRequest,
    UpdateRequest, Writer,
};
use provision_core::id::ClassName;

use super::change::Change;
use super::connector::CsvConnector;
use super::error::{self, unsupported};
use super::schema::Shape;

impl Shape {
    /// Refuses a class that the table does not hold.
    pub(super) fn check_class(&self, class: &ClassName) -> Result<()> {
        if *class == self.class_name {
            return Ok(());
        }
        Err(unsupported(format!("the table holds rows of class `{}`, not `{class}`", self.class_name)))
    }
}

#[async_trait]
impl Writer for CsvConnector {
    async fn create(&self, cx: &Context, request: CreateRequest) -> Result<Outcome> {
        self.desk.shape.check_class(&request.class)?;
        self.desk.in_time(cx)?;
        if request.password.is_some() {
            return Err(unsupported("a password is never written to a file"));
        }
        if self.desk.shape.enabled.is_none() && request.enabled == Some(false) {
            return Err(unsupported("the table has no `enabled_column`"));
        }
        let change = Change::Create {
            key: request.idempotency.to_string(),
            attributes: request.attributes,
            enabled: request.enabled.unwrap_or(true),
        };
        self.desk.submit(cx, change).await
    }

    async fn update(&self, cx: &Context, request: UpdateRequest) -> Result<Outcome> {
        self.desk.shape.check_class(&request.class)?;
        self.desk.in_time(cx)?;
        self.desk.submit(cx, Change::Update { key: request.key, delta: request.delta }).await
    }

    async fn rename(&self, cx: &Context, request: RenameRequest) -> Result<Outcome> {
        self.desk.shape.check_class(&request.class)?;
        self.desk.in_time(cx)?;
        let Some(naming) = &self.desk.shape.class.naming else {
            return Err(unsupported("the table has no naming attribute"));
        };
        if let Some((other, _)) = request.naming.iter().find(|(name, _)| *name != naming) {
            return Err(error::invalid_attribute(
                other.as_str(),
                "a rename changes the naming attribute alone",
            ));
        }
        self.desk.submit(cx, Change::Rename { key: request.key, naming: request.naming }).await
    }

    async fn delete(&self, cx: &Context, request: DeleteRequest) -> Result<Outcome> {
        self.desk.shape.check_class(&request.class)?;
        self.desk.in_time(cx)?;
        self.desk.submit(cx, Change::Delete { key: request.key }).await
    }
}

#[async_trait]
impl LifecycleFacet for CsvConnector {
    async fn set(&self, cx: &Context, request: LifecycleRequest) -> Result<Outcome> {
        self.desk.shape.check_class(&request.class)?;
        self.desk.in_time(cx)?;
        if self.desk.shape.enabled.is_none() {
            return Err(unsupported("the table has no `enabled_column`"));
        }
        self.desk.submit(cx, Change::Enable { key: request.key, enabled: request.enabled }).await
    }
}
