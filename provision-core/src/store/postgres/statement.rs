//! SQL of the tables and streams, with what it binds. Statements have no names, so that a pooler may run each
//! transaction on another connection.

use std::borrow::Cow;

use tokio_postgres::types::{ToSql, Type};

use super::text::written;
use crate::store::admission::above_prefix;
use crate::store::{Append, Cursor, MARK, Put, Select, Stream, Table};

/// A value to bind, and its type.
type Bind<'a> = (Box<dyn ToSql + Sync + Send + 'a>, Type);

/// SQL with everything it binds.
pub(super) struct Statement<'a> {
    pub(super) sql: String,
    pub(super) binds: Vec<Bind<'a>>,
}

impl<'a> Statement<'a> {
    /// SQL that binds nothing yet.
    pub(super) fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), binds: Vec::new() }
    }

    /// Binds a text.
    pub(super) fn text(mut self, text: &'a str) -> Self {
        self.push_text(written(text));
        self
    }

    /// Binds a text of its own.
    pub(super) fn owned_text(mut self, text: String) -> Self {
        self.binds.push((Box::new(text), Type::TEXT));
        self
    }

    /// Binds several texts as one array.
    pub(super) fn texts(mut self, texts: impl IntoIterator<Item = &'a str>) -> Self {
        let texts: Vec<Cow<'a, str>> = texts.into_iter().map(written).collect();
        self.binds.push((Box::new(texts), Type::TEXT_ARRAY));
        self
    }

    /// Binds a number; PostgreSQL's end at 2^63-1.
    pub(super) fn number(mut self, number: u64) -> Self {
        self.binds.push((Box::new(i64::try_from(number).unwrap_or(i64::MAX)), Type::INT8));
        self
    }

    /// Binds a signed number.
    pub(super) fn signed(mut self, number: i64) -> Self {
        self.binds.push((Box::new(number), Type::INT8));
        self
    }

    fn push_text(&mut self, text: Cow<'a, str>) {
        self.binds.push((Box::new(text), Type::TEXT));
    }

    /// Binds an array with one entry for each row: its value of a column.
    fn column<T>(
        &mut self,
        rows: &[&'a T],
        column: &str,
        of: impl Fn(&'a T) -> &'a [(&'static str, String)],
    ) {
        let value =
            |row: &&'a T| of(row).iter().find(|(name, _)| *name == column).map(|(_, value)| written(value));
        let values: Vec<Option<Cow<'a, str>>> = rows.iter().map(value).collect();
        self.binds.push((Box::new(values), Type::TEXT_ARRAY));
    }

    /// Adds a text to bind; the place of it in the SQL.
    fn place(&mut self, text: Cow<'a, str>) -> String {
        self.push_text(text);
        format!("${}", self.binds.len())
    }
}

/// The schema the tables are in, as it stands in SQL.
#[derive(Clone, Debug)]
pub(super) struct Schema {
    name: String,
}

impl Schema {
    /// A schema whose name was checked.
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    /// The name without quotes.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Something in the schema.
    pub(super) fn of(&self, name: &str) -> String {
        format!("\"{}\".\"{name}\"", self.name)
    }

    /// key, version and body of keys.
    pub(super) fn get<'a>(&self, realm: &'a str, table: Table, keys: &'a [String]) -> Statement<'a> {
        let sql = "select key, version, body from {} where realm = $1 and key = any($2)";
        let sql = sql.replace("{}", &self.of(table.name()));
        Statement::new(sql).text(realm).texts(keys.iter().map(String::as_str))
    }

    /// key and mark of keys.
    pub(super) fn marks<'a>(&self, realm: &'a str, table: Table, keys: &'a [String]) -> Statement<'a> {
        let name = self.of(table.name());
        let sql = format!("select key, \"{MARK}\" from {name} where realm = $1 and key = any($2)");
        Statement::new(sql).text(realm).texts(keys.iter().map(String::as_str))
    }

    /// A page of keys and marks.
    pub(super) fn scan_marks<'a>(
        &self,
        realm: &'a str,
        table: Table,
        select: &'a Select,
        after: Option<&'a Cursor>,
        limit: u32,
    ) -> Statement<'a> {
        let mut page = Statement::new("").text(realm);
        let (condition, order, _) = condition(&mut page, table, select, after);
        let mark = if table.has_mark() { format!("\"{MARK}\"") } else { "null::text".to_owned() };
        page.sql = format!(
            "select key, {mark} from {} where realm = $1 and {condition} order by {order} limit {limit}",
            self.of(table.name())
        );
        page
    }

    /// key, version, body and the cursor's column of a page, and of one row more.
    pub(super) fn scan<'a>(
        &self,
        realm: &'a str,
        table: Table,
        (select, after): (&'a Select, Option<&'a Cursor>),
        limit: u32,
    ) -> Statement<'a> {
        let mut page = Statement::new("").text(realm);
        let (condition, order, column) = condition(&mut page, table, select, after);
        let column = column.map_or_else(|| "''".to_owned(), |column| format!("\"{column}\""));
        let name = self.of(table.name());
        page.sql = format!(
            "select key, version, body, {column}, 1::bigint from {name} where realm = $1 and {condition} \
             order by {order} limit {}",
            u64::from(limit) + 1
        );
        page
    }

    /// The same for each of several values of a column, and the number of the value, from 1. A statement for each value
    /// would be parsed and planned for each.
    pub(super) fn scan_each<'a>(
        &self,
        realm: &'a str,
        table: Table,
        (column, values): (&'static str, impl IntoIterator<Item = &'a str>),
        limit: u32,
    ) -> Statement<'a> {
        let sql = format!(
            "select found.key, found.version, found.body, '', wanted.number \
             from unnest($2) with ordinality as wanted (value, number) cross join lateral \
             (select key, version, body from {} where realm = $1 and \"{column}\" = wanted.value \
             order by key limit {}) as found order by wanted.number, found.key",
            self.of(table.name()),
            u64::from(limit) + 1
        );
        Statement::new(sql).text(realm).texts(values)
    }

    /// How many rows a select has.
    pub(super) fn count<'a>(&self, realm: &'a str, table: Table, select: &'a Select) -> Statement<'a> {
        let mut count = Statement::new("").text(realm);
        let (condition, _, _) = condition(&mut count, table, select, None);
        let name = self.of(table.name());
        count.sql = format!("select count(*) from {name} where realm = $1 and {condition}");
        count
    }

    /// Rows of several pages, one page after the other, each locked unless somebody else has it; at most so many.
    pub(super) fn claim<'a>(
        &self,
        realm: &'a str,
        table: Table,
        selects: &'a [(Select, Option<Cursor>)],
        limit: u32,
    ) -> Statement<'a> {
        let mut claim = Statement::new("").text(realm);
        let (mut parts, mut all, mut left) = (Vec::new(), Vec::new(), limit.to_string());
        for (number, (select, after)) in selects.iter().enumerate() {
            let (condition, order, column) = condition(&mut claim, table, select, after.as_ref());
            let column = column.map_or_else(|| "''".to_owned(), |column| format!("\"{column}\""));
            parts.push(format!(
                "page{number} as materialized (select {number} as page, {column} as value, key, version, body from {} \
                 where realm = $1 and {condition} order by {order} limit {left} for update skip locked)",
                self.of(table.name())
            ));
            left = format!("(select greatest(0, {left} - count(*)) from page{number})");
            all.push(format!("select * from page{number}"));
        }
        claim.sql = format!(
            "with {} select key, version, body from ({}) as found order by page, value, key",
            parts.join(", "),
            all.join(" union all ")
        );
        claim
    }

    /// number and body of a page of a stream.
    pub(super) fn read_stream<'a>(
        &self,
        realm: &'a str,
        stream: Stream,
        by: Option<(&'static str, &'a str)>,
        after: u64,
        limit: u32,
    ) -> Statement<'a> {
        let mut page = Statement::new("").text(realm).number(after);
        let mut filter = String::new();
        if let Some((column, value)) = by {
            filter = format!(" and \"{column}\" = {}", page.place(written(value)));
        }
        page.sql = format!(
            "select number, body from {} where realm = $1 and number > $2{filter} order by number limit {limit}",
            self.of(stream.name())
        );
        page
    }

    /// key, version and some columns of rows, each locked until the end of the transaction, in the order of the keys.
    pub(super) fn lock<'a>(
        &self,
        realm: &'a str,
        table: Table,
        keys: impl IntoIterator<Item = &'a str>,
        columns: impl IntoIterator<Item = &'static str>,
        for_write: bool,
    ) -> Statement<'a> {
        let columns: String = columns.into_iter().map(|column| format!(", \"{column}\"")).collect();
        let mode = if for_write { "update" } else { "share" };
        let name = self.of(table.name());
        let sql = format!(
            "select key, version{columns} from {name} where realm = $1 and key = any($2) order by key for {mode}"
        );
        Statement::new(sql).text(realm).texts(keys)
    }

    /// key and value of the rows that have one of these values of a column.
    pub(super) fn holders<'a>(
        &self,
        realm: &'a str,
        table: Table,
        column: &'static str,
        values: impl IntoIterator<Item = &'a str>,
    ) -> Statement<'a> {
        let name = self.of(table.name());
        let sql = format!("select key, \"{column}\" from {name} where realm = $1 and \"{column}\" = any($2)");
        Statement::new(sql).text(realm).texts(values)
    }

    /// Inserts rows that say nothing, where there must be none: they are deleted by the same commit, and keep others
    /// from inserting theirs until it ends.
    pub(super) fn place_holders<'a>(
        &self,
        realm: &'a str,
        table: Table,
        keys: impl IntoIterator<Item = &'a str>,
    ) -> Statement<'a> {
        let name = self.of(table.name());
        let sql = format!(
            "insert into {name} (realm, key, version, body) select $1, key, 0, '' from unnest($2) as k (key)"
        );
        Statement::new(sql).text(realm).texts(keys)
    }

    /// Deletes keys.
    pub(super) fn delete<'a>(
        &self,
        realm: &'a str,
        table: Table,
        keys: impl IntoIterator<Item = &'a str>,
    ) -> Statement<'a> {
        let sql = format!("delete from {} where realm = $1 and key = any($2)", self.of(table.name()));
        Statement::new(sql).text(realm).texts(keys)
    }

    /// Inserts rows; replaces them whole where they are there, unless they are `fresh`: then that is an error.
    pub(super) fn put<'a>(
        &self,
        realm: &'a str,
        table: Table,
        puts: &[&'a Put],
        fresh: bool,
    ) -> Statement<'a> {
        let mut put = Statement::new("").text(realm).texts(puts.iter().map(|put| put.key.as_str()));
        let (mut columns, mut updates) = (String::new(), String::new());
        for column in table.columns() {
            put.column(puts, column, |put| &put.columns);
            columns.push_str(&format!("\"{column}\", "));
            updates.push_str(&format!("\"{column}\" = excluded.\"{column}\", "));
        }
        put = put.texts(puts.iter().map(|put| put.body.as_str()));
        let name = self.of(table.name());
        let conflict = match fresh {
            true => String::new(),
            false => format!(
                " on conflict (realm, key) do update set {updates}version = held.version + 1, body = excluded.body"
            ),
        };
        put.sql = format!(
            "insert into {name} as held (realm, key, {columns}version, body) select $1, key, {columns}1, body \
             from unnest({}) as put (key, {columns}body){conflict}",
            arrays(put.binds.len())
        );
        put
    }

    /// Deletes the rows of a stream up to a number.
    pub(super) fn trim<'a>(&self, realm: &'a str, stream: Stream, number: u64) -> Statement<'a> {
        let sql = format!("delete from {} where realm = $1 and number <= $2", self.of(stream.name()));
        Statement::new(sql).text(realm).number(number)
    }

    /// Appends rows to a stream, numbered in the order given.
    pub(super) fn append<'a>(&self, realm: &'a str, stream: Stream, rows: &[&'a Append]) -> Statement<'a> {
        let mut append = Statement::new("").text(realm);
        let mut columns = String::new();
        for index in stream.indexes() {
            append.column(rows, index.name, |row| &row.columns);
            columns.push_str(&format!("\"{}\", ", index.name));
        }
        append = append.texts(rows.iter().map(|row| row.body.as_str()));
        append.sql = format!(
            "insert into {} (realm, {columns}body) select $1, {columns}body \
             from unnest({}) with ordinality as given ({columns}body, place) order by place",
            self.of(stream.name()),
            arrays(append.binds.len())
        );
        append
    }
}

/// The places of arrays: all but the first, which is the realm.
fn arrays(binds: usize) -> String {
    let places: Vec<String> = (2..=binds).map(|place| format!("${place}")).collect();
    places.join(", ")
}

/// What a select asks for after a cursor, as SQL that one index answers in order: the condition beside the realm, the
/// order, and the column that is part of the cursor.
fn condition<'a>(
    statement: &mut Statement<'a>,
    table: Table,
    select: &'a Select,
    after: Option<&'a Cursor>,
) -> (String, String, Option<&'static str>) {
    let by_key = || "key".to_owned();
    match select {
        Select::KeyPrefix(prefix) => {
            let (operator, from) = match after {
                Some(cursor) if cursor.key >= *prefix => (">", cursor.key.as_str()),
                _ => (">=", prefix.as_str()),
            };
            let sql = format!(
                "key {operator} {}{}",
                statement.place(written(from)),
                below(statement, "key", prefix)
            );
            (sql, by_key(), None)
        }
        Select::Equal(column, value) => {
            let mut sql = format!("\"{column}\" = {}", statement.place(written(value)));
            if let Some(cursor) = after {
                sql.push_str(&format!(" and key > {}", statement.place(written(&cursor.key))));
            }
            (sql, by_key(), None)
        }
        Select::AtMost(column, most) => {
            let from = from(statement, column, "", after);
            let sql = format!("{from} and \"{column}\" <= {}", statement.place(written(most)));
            (sql, column_order(table, column), Some(column))
        }
        Select::ColumnPrefix(column, prefix) => {
            let from = from(statement, column, prefix, after);
            let sql = format!("{from}{}", below(statement, &format!("\"{column}\""), prefix));
            (sql, column_order(table, column), Some(column))
        }
    }
}

fn from<'a>(
    statement: &mut Statement<'a>,
    column: &'static str,
    least: &'a str,
    after: Option<&'a Cursor>,
) -> String {
    match after {
        Some(cursor) if cursor.column.as_str() >= least => {
            let value = statement.place(written(&cursor.column));
            format!("(\"{column}\", key) > ({value}, {})", statement.place(written(&cursor.key)))
        }
        _ => format!("\"{column}\" >= {}", statement.place(written(least))),
    }
}

/// Ends a range where texts do not start with the prefix any more.
pub(super) fn below(statement: &mut Statement<'_>, column: &str, prefix: &str) -> String {
    match above_prefix(&written(prefix)) {
        Some(above) => format!(" and {column} < {}", statement.place(Cow::Owned(above))),
        None => String::new(),
    }
}

/// The index of a unique column has no key: the column alone is an order.
fn column_order(table: Table, column: &str) -> String {
    let unique = table.indexes().iter().any(|index| index.unique && index.name == column);
    if unique { format!("\"{column}\"") } else { format!("\"{column}\", key") }
}
