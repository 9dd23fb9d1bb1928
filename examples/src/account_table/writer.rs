//! Writes of accounts.

use async_trait::async_trait;
use provision_core::connector::*;
use provision_core::value::Attributes;
use provision_core::{Effect, Error, ErrorKind, Result};
use tokio_postgres::types::ToSql;

use super::shape::{ACCOUNT, COLUMNS, class_of, id_of};
use super::{AccountTable, link, refused};

/// The attributes as columns take them, by the schema.
fn columns(attributes: &Attributes) -> Result<Vec<Option<String>>> {
    let (row, problems) = class_of(&ACCOUNT.into())?.parse(attributes);
    if let Some(problem) = problems.first() {
        return Err(refused(ErrorKind::InvalidAttribute, &problem.summary));
    }
    Ok(COLUMNS.map(|column| row.text(column).map(str::to_owned)).into())
}

impl AccountTable {
    /// Sends a statement that changes accounts; the rows it gives back.
    pub(super) async fn write(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>> {
        let client = self.link.client().await?;
        let done = client.query(sql, parameters).await;
        let rows = done.map_err(|error| link::told(error, Effect::Unknown))?;
        self.travel().await;
        Ok(rows)
    }
}

fn accounts_only(class: &provision_core::id::ClassName) -> Result<()> {
    match class.as_str() {
        ACCOUNT => Ok(()),
        _ => Err(refused(ErrorKind::Unsupported, "teams are made by somebody else")),
    }
}

fn missing() -> Error {
    refused(ErrorKind::NotFound, "there is no such account")
}

#[async_trait]
impl Writer for AccountTable {
    async fn create(&self, cx: &Context, request: CreateRequest) -> Result<Outcome> {
        accounts_only(&request.class)?;
        let row = columns(&request.attributes)?;
        let [Some(number), login, name, title] = row.as_slice() else {
            return Err(refused(ErrorKind::InvalidAttribute, "`number` must have a value"));
        };
        self.there(cx, &request.class).await?;
        let sql = "insert into account (number, login, name, title, enabled) values ($1, $2, $3, $4, $5) returning id";
        let enabled = request.enabled.unwrap_or(true);
        let rows = self.write(sql, &[number, login, name, title, &enabled]).await?;
        let id: i64 = rows.first().and_then(|row| row.try_get(0).ok()).unwrap_or_default();
        Ok(Outcome::done(ObjectKey::id(id.to_string())))
    }

    async fn update(&self, cx: &Context, request: UpdateRequest) -> Result<Outcome> {
        accounts_only(&request.class)?;
        self.there(cx, &request.class).await?;
        let before = self.one(&request.class, &request.key.id).await?.ok_or_else(missing)?.attributes;
        let after = columns(&request.delta.apply(&class_of(&request.class)?, &before))?;
        let before = columns(&before)?;
        // Only what changes is written: others may change the rest.
        let id = id_of(&request.key.id);
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&id];
        let mut set = Vec::new();
        for ((column, before), after) in COLUMNS.iter().zip(&before).zip(&after) {
            if before == after {
                continue;
            }
            if *column == "number" {
                return Err(refused(ErrorKind::InvalidAttribute, "`number` never changes"));
            }
            parameters.push(after);
            set.push(format!("{column} = ${}", parameters.len()));
        }
        if !set.is_empty() {
            let sql = format!("update account set {} where id = $1 returning id", set.join(", "));
            self.write(&sql, &parameters).await?.first().ok_or_else(missing)?;
        }
        Ok(Outcome::done(request.key))
    }

    async fn rename(&self, cx: &Context, request: RenameRequest) -> Result<Outcome> {
        self.there(cx, &request.class).await?;
        Err(refused(ErrorKind::Unsupported, "accounts have no name apart from their attributes"))
    }

    async fn delete(&self, cx: &Context, request: DeleteRequest) -> Result<Outcome> {
        accounts_only(&request.class)?;
        self.there(cx, &request.class).await?;
        self.write("delete from account where id = $1", &[&id_of(&request.key.id)]).await?;
        Ok(Outcome::done(request.key))
    }
}

#[async_trait]
impl LifecycleFacet for AccountTable {
    async fn set(&self, cx: &Context, request: LifecycleRequest) -> Result<Outcome> {
        accounts_only(&request.class)?;
        self.there(cx, &request.class).await?;
        let sql = "update account set enabled = $2 where id = $1 returning id";
        let rows = self.write(sql, &[&id_of(&request.key.id), &request.enabled]).await?;
        rows.first().ok_or_else(missing)?;
        Ok(Outcome::done(request.key))
    }
}
