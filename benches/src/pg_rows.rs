//! What the engine wrote into PostgreSQL, and the same rows written with nothing but `unnest`.

use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use crate::Outcome;

/// Tables that an apply writes rows of.
const TABLES: [&str; 3] = ["journal", "link", "name"];
/// Streams that it appends to.
const STREAMS: [&str; 2] = ["audit", "outbox"];
/// Rows of one transaction of the competitor.
const BATCH: usize = 1_000;

/// Rows of one table, by column, as text.
#[derive(Clone, Debug)]
pub struct PgWritten {
    insert: String,
    columns: Vec<Vec<Option<String>>>,
}

impl PgWritten {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.columns.first().map_or(0, Vec::len)
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all texts.
    pub fn bytes(&self) -> usize {
        self.columns.iter().flatten().flatten().map(String::len).sum()
    }
}

/// How far the streams are: what comes later is not counted before.
///
/// # Errors
/// Those of the database.
pub async fn pg_position(client: &Client) -> Outcome<Vec<i64>> {
    let mut last = Vec::new();
    for stream in STREAMS {
        let sql = format!("select coalesce(max(number), 0) from {stream}");
        last.push(client.query_one(&sql, &[]).await?.get(0));
    }
    Ok(last)
}

/// The rows of an apply: journal, links and names as they are at the end, and what the streams got since `position`.
///
/// # Errors
/// Those of the database.
pub async fn pg_written_since(client: &Client, position: &[i64]) -> Outcome<Vec<PgWritten>> {
    let mut written = Vec::new();
    for name in TABLES {
        written.push(read(client, name, "true").await?);
    }
    for (name, after) in STREAMS.iter().zip(position) {
        written.push(read(client, name, &format!("number > {after}")).await?);
    }
    Ok(written)
}

async fn read(client: &Client, table: &str, filter: &str) -> Outcome<PgWritten> {
    // A number that the database gives is given again.
    let sql = "select column_name::text, data_type::text from information_schema.columns \
               where table_schema = current_schema() and table_name = $1 and is_identity = 'NO' \
               order by ordinal_position";
    let told = client.query(sql, &[&table]).await?;
    let names: Vec<(String, String)> = told.iter().map(|row| (row.get(0), row.get(1))).collect();
    let list = |of: &dyn Fn(usize, &(String, String)) -> String| -> String {
        names.iter().enumerate().map(|(place, name)| of(place, name)).collect::<Vec<_>>().join(", ")
    };
    let wanted = list(&|_, (name, _)| format!("\"{name}\"::text"));
    let found = client.query(&format!("select {wanted} from {table} where {filter}"), &[]).await?;
    let mut columns = vec![Vec::with_capacity(found.len()); names.len()];
    for row in &found {
        for (place, column) in columns.iter_mut().enumerate() {
            column.push(row.get::<_, Option<String>>(place));
        }
    }
    let insert = format!(
        "insert into {table} ({}) select {} from unnest({}) as row ({})",
        list(&|_, (name, _)| format!("\"{name}\"")),
        list(&|_, (name, kind)| format!("row.\"{name}\"::{kind}")),
        list(&|place, _| format!("${}::text[]", place + 1)),
        list(&|_, (name, _)| format!("\"{name}\"")),
    );
    Ok(PgWritten { insert, columns })
}

/// Inserts rows into empty tables: one prepared statement per table, 1,000 rows per transaction.
///
/// # Errors
/// Those of the database.
pub async fn pg_insert_all(client: &Client, written: &[PgWritten]) -> Outcome<()> {
    for table in written {
        let statement = client.prepare(&table.insert).await?;
        for first in (0..table.len()).step_by(BATCH) {
            let last = (first + BATCH).min(table.len());
            let part: Vec<&[Option<String>]> =
                table.columns.iter().filter_map(|column| column.get(first..last)).collect();
            let binds: Vec<&(dyn ToSql + Sync)> =
                part.iter().map(|column| column as &(dyn ToSql + Sync)).collect();
            client.execute(&statement, &binds).await?;
        }
    }
    Ok(())
}
