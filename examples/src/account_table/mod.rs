//! A target for demonstrations that many processes can use at once: accounts and teams in a PostgreSQL database
//! ([`TABLES`]).
//!
//! Every call is one statement, or two that may be repeated. Without TLS: for a database on the same machine.

mod link;
mod membership;
mod shape;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use provision_core::connector::*;
use provision_core::id::ClassName;
use provision_core::runtime::Clock;
use provision_core::{Effect, Error, ErrorKind, Result};
use serde::Deserialize;

use self::link::Link;
use self::shape::{ACCOUNT, class_of, discovery, team};

/// The tables. Teams are rows that somebody else puts there.
pub const TABLES: &str = "
create table account (
  id bigint generated always as identity primary key, number text not null unique, login text unique,
  name text, title text, enabled boolean not null);
create table team (name text primary key);
create table member (
  team text references team, account bigint references account on delete cascade, primary key (team, account));
";

/// The kind it is registered under.
pub const KIND: &str = "account-table";

/// Where the tables are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// `postgres://user:password@host:port/database`.
    url: String,
    /// How long a call takes, in milliseconds, on the way there and back: to play a target that is far away.
    #[serde(default)]
    latency_ms: u64,
}

/// Accounts and teams in tables.
#[derive(Clone, Debug)]
pub struct AccountTable {
    link: Arc<Link>,
    clock: Arc<dyn Clock>,
    latency: Duration,
}

/// The factory. No I/O.
pub fn factory(
    clock: Arc<dyn Clock>,
) -> impl Fn(&serde_json::Value) -> Result<Arc<dyn Connector>> + Send + Sync + 'static {
    move |config| {
        let settings: Settings = serde_json::from_value(config.clone()).map_err(|error| {
            Error::new(ErrorKind::ConfigInvalid, format!("configuration of the account table: {error}"))
        })?;
        let latency = Duration::from_millis(settings.latency_ms);
        Ok(Arc::new(AccountTable::new(&settings.url, Arc::clone(&clock), latency)?))
    }
}

impl AccountTable {
    /// The tables of a database. No I/O.
    ///
    /// # Errors
    /// `ConfigInvalid` for an address that is none.
    pub fn new(url: &str, clock: Arc<dyn Clock>, latency: Duration) -> Result<Self> {
        Ok(Self { link: Arc::new(Link::new(url)?), clock, latency })
    }

    /// The way to the target; then the call may still begin if its time is not over.
    async fn there(&self, cx: &Context, class: &ClassName) -> Result<()> {
        class_of(class)?;
        self.travel().await;
        match cx.deadline {
            Some(deadline) if self.clock.now() >= deadline => {
                Err(refused(ErrorKind::Unavailable, "the deadline has passed"))
            }
            _ => Ok(()),
        }
    }

    /// The way there, or back.
    async fn travel(&self) {
        if !self.latency.is_zero() {
            self.clock.sleep(self.latency / 2).await;
        }
    }

    /// Objects of a class by id after `last`, at most `limit`.
    async fn read(&self, class: &ClassName, last: Option<&str>, limit: i64) -> Result<Vec<Object>> {
        let client = self.link.client().await?;
        let rows = if class.as_str() == ACCOUNT {
            let sql = "select id, number, login, name, title, enabled from account where id > $1 order by id limit $2";
            client.query(sql, &[&last.map_or(0, shape::id_of), &limit]).await
        } else {
            let sql = "select name from team where name > $1 order by name limit $2";
            client.query(sql, &[&last.unwrap_or_default(), &limit]).await
        };
        rows.map_err(|error| link::told(error, Effect::None))?
            .iter()
            .map(|row| shape::object(class, row))
            .collect()
    }

    async fn one(&self, class: &ClassName, id: &str) -> Result<Option<Object>> {
        let client = self.link.client().await?;
        let row = if class.as_str() == ACCOUNT {
            let sql = "select id, number, login, name, title, enabled from account where id = $1";
            client.query_opt(sql, &[&shape::id_of(id)]).await
        } else {
            client.query_opt("select name from team where name = $1", &[&id]).await
        };
        let row = row.map_err(|error| link::told(error, Effect::None))?;
        row.map(|row| shape::object(class, &row)).transpose()
    }
}

#[async_trait]
impl Connector for AccountTable {
    fn info(&self) -> ConnectorInfo {
        let config_schema = serde_json::json!({
            "type": "object", "required": ["url"],
            "properties": {"url": {"type": "string", "writeOnly": true}, "latency_ms": {"type": "integer"}},
        });
        ConnectorInfo { kind: KIND.to_owned(), version: "1".to_owned(), config_schema }
    }

    async fn check(&self, _cx: &Context) -> Result<()> {
        self.read(&team(), None, 1).await.map(drop)
    }

    async fn discover(&self, _cx: &Context) -> Result<Discovery> {
        Ok(discovery())
    }

    async fn get(&self, cx: &Context, request: GetRequest) -> Result<Option<Object>> {
        self.there(cx, &request.class).await?;
        let found = self.one(&request.class, &request.key.id).await?;
        self.travel().await;
        Ok(found)
    }

    fn list(&self, cx: &Context, request: ListRequest) -> Result<Listing> {
        class_of(&request.class)?;
        request.filter.as_ref().map_or(Ok(()), |filter| filter.check())?;
        Ok(paged(Pages { table: self.clone(), cx: cx.clone(), request }))
    }

    fn writer(&self) -> Option<&dyn Writer> {
        Some(self)
    }

    fn membership(&self) -> Option<&dyn MembershipFacet> {
        Some(self)
    }

    fn lifecycle(&self) -> Option<&dyn LifecycleFacet> {
        Some(self)
    }
}

struct Pages {
    table: AccountTable,
    cx: Context,
    request: ListRequest,
}

#[async_trait]
impl PageSource for Pages {
    /// The last id of the page before.
    type Token = String;

    async fn page(&self, token: Option<&String>) -> Result<Page<String>> {
        let (table, request) = (&self.table, &self.request);
        table.there(&self.cx, &request.class).await?;
        let size = i64::from(request.page_size.max(1));
        let mut objects = table.read(&request.class, token.map(String::as_str), size).await?;
        let full = i64::try_from(objects.len()).unwrap_or(i64::MAX) == size;
        let next = objects.last().map(|object| object.key.id.clone()).filter(|_| full);
        let class = class_of(&request.class)?;
        objects.retain(|object| {
            request.filter.as_ref().is_none_or(|filter| filter.matches(&class, &object.attributes))
        });
        for object in objects.iter_mut() {
            if let Some(asked) = &request.attributes {
                let kept = object.attributes.iter().filter(|(name, _)| asked.contains(*name));
                object.attributes = kept.map(|(name, slot)| (name.clone(), slot.clone())).collect();
            }
        }
        table.travel().await;
        Ok(Page { objects, next, total: None })
    }
}

/// A call that changed nothing.
fn refused(kind: ErrorKind, why: &str) -> Error {
    Error::new(kind, why).with_effect(Effect::None)
}
