//! Typed rows.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Cursor, Put, Row, Scan, Select, Store, Table};
use crate::error::{Error, ErrorKind, Result};
use crate::id::RealmId;

/// A type that is kept as rows of one table.
pub trait Record: Serialize + DeserializeOwned + Send + Sync {
    /// The table.
    const TABLE: Table;

    /// The row's key in its realm.
    fn key(&self) -> String;

    /// The indexed columns that have a value.
    fn columns(&self) -> Vec<(&'static str, String)>;
}

/// A record with the version it was read at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored<T> {
    /// The version.
    pub version: u64,
    /// The record.
    pub value: T,
}

/// Makes a record a row to write.
pub fn put<R: Record>(record: &R) -> Result<Put> {
    let body = serde_json::to_string(record).map_err(|error| {
        Error::new(ErrorKind::Unexpected, format!("cannot encode a row of `{}`", R::TABLE.name()))
            .with_source(error)
    })?;
    Ok(Put { table: R::TABLE, key: record.key(), columns: record.columns(), body })
}

/// Reads a record from a row.
pub fn decode<R: Record>(row: &Row) -> Result<Stored<R>> {
    let value = serde_json::from_str(&row.body).map_err(|error| unreadable(R::TABLE, row, error))?;
    Ok(Stored { version: row.version, value })
}

/// Reads a part of a record: fields that the part does not name are passed over, not built.
pub(crate) fn decode_part<T: DeserializeOwned>(table: Table, row: &Row) -> Result<T> {
    serde_json::from_str(&row.body).map_err(|error| unreadable(table, row, error))
}

fn unreadable(table: Table, row: &Row, error: serde_json::Error) -> Error {
    Error::new(ErrorKind::StoreUnusable, format!("cannot read a row of `{}`", table.name()))
        .with_context("key", row.key.clone())
        .with_source(error)
}

/// One record by key.
pub async fn get<R: Record>(store: &dyn Store, realm: &RealmId, key: &str) -> Result<Option<Stored<R>>> {
    let mut rows = store.get(realm, R::TABLE, &[key.to_owned()]).await?;
    rows.pop().flatten().map(|row| decode(&row)).transpose()
}

/// Records by key, in the order of the keys.
pub async fn get_many<R: Record>(
    store: &dyn Store,
    realm: &RealmId,
    keys: &[String],
) -> Result<Vec<Option<Stored<R>>>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let rows = store.get(realm, R::TABLE, keys).await?;
    rows.into_iter().map(|row| row.map(|row| decode(&row)).transpose()).collect()
}

/// A page of records.
pub async fn list_by<R: Record>(
    store: &dyn Store,
    realm: &RealmId,
    select: Select,
    after: Option<Cursor>,
    limit: u32,
) -> Result<(Vec<Stored<R>>, Option<Cursor>)> {
    let rows = store.scan(&Scan { realm: realm.clone(), table: R::TABLE, select, after, limit }).await?;
    let records = rows.rows.iter().map(decode).collect::<Result<Vec<_>>>()?;
    Ok((records, rows.next))
}

/// How many records a select has.
pub async fn count_by<R: Record>(store: &dyn Store, realm: &RealmId, select: Select) -> Result<u64> {
    store.count(realm, R::TABLE, &select).await
}
