//! Connections: a pool, and the rule that one that was given up in the middle of something is not used again.

use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, NoTls, Row};

use super::address::Address;
use super::failure::{explain, explain_pool, is_lost, misconfigured, passing};
use super::options::PostgresOptions;
use super::statement::Statement;
use crate::error::Result;
use crate::runtime::Clock;

/// Reads that meet a connection that broke while nobody looked are asked again so often.
const READ_TRIES: u32 = 3;
/// What the network may take beside a statement's own time.
const GRACE: Duration = Duration::from_secs(5);

/// What answers a statement: its rows, and how many rows it changed.
pub(super) type Answer<T> = std::result::Result<T, tokio_postgres::Error>;

/// The connections of a store.
pub(super) struct Connections {
    pool: Pool,
    clock: Arc<dyn Clock>,
    /// Begins a transaction, with its limits.
    begin: String,
    limit: Duration,
}

impl Connections {
    /// A pool that connects when asked.
    pub(super) fn new(address: &Address, options: &PostgresOptions, clock: Arc<dyn Clock>) -> Result<Self> {
        let settings = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = match address.tls.clone() {
            Some(tls) => Manager::from_config(address.config.clone(), tls, settings),
            None => Manager::from_config(address.config.clone(), NoTls, settings),
        };
        let wait = Some(options.connect_timeout);
        let pool = Pool::builder(manager)
            .max_size(options.connections.max(1))
            .timeouts(Timeouts { wait, create: wait, recycle: wait })
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| misconfigured("the pool of connections cannot be made").with_source(error))?;
        let begin = format!(
            "begin isolation level read committed read write; set local statement_timeout = {}; \
             set local lock_timeout = {}; set local idle_in_transaction_session_timeout = {}",
            options.statement_timeout.as_millis(),
            options.lock_timeout.as_millis(),
            options.statement_timeout.as_millis(),
        );
        Ok(Self { pool, clock, begin, limit: options.statement_timeout + GRACE })
    }

    /// The statements that begin a transaction.
    pub(super) fn begin(&self) -> &str {
        &self.begin
    }

    /// A connection nobody else has.
    pub(super) async fn session(&self) -> Result<Session> {
        let connection = self.pool.get().await.map_err(explain_pool)?;
        Ok(Session { connection: Some(connection), at_rest: true })
    }

    /// What the work comes to, unless it takes longer than any statement may.
    pub(super) async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            done = work => Ok(done),
            () = self.clock.deadline(self.limit) => {
                Err(passing("the database did not answer in time: check it, and the network to it"))
            }
        }
    }

    /// Lets a moment pass that grows with each try.
    pub(super) async fn pause(&self, tries: u32) {
        self.clock.deadline(Duration::from_millis(u64::from(tries) * 5)).await;
    }

    /// The rows of a statement that only reads.
    pub(super) async fn read(&self, statement: Statement<'_>, doing: &str) -> Result<Vec<Row>> {
        let mut rows = self.read_all(vec![statement], doing).await?;
        Ok(rows.pop().unwrap_or_default())
    }

    /// The rows of several statements that only read, asked together.
    pub(super) async fn read_all(
        &self,
        statements: Vec<Statement<'_>>,
        doing: &str,
    ) -> Result<Vec<Vec<Row>>> {
        let mut tries = 1;
        loop {
            let mut session = self.session().await?;
            session.at_rest = false;
            let requests = statements.iter().map(|statement| session.query(statement)).collect();
            let answers = self.in_time(in_order(requests)).await?;
            session.at_rest = true;
            match answers.into_iter().collect::<Answer<Vec<_>>>() {
                Ok(rows) => return Ok(rows),
                Err(error) if is_lost(&error) && tries < READ_TRIES => tries += 1,
                Err(error) => return Err(explain(error, doing)),
            }
        }
    }

    /// Closes everything that is not in use.
    pub(super) fn close(&self) {
        self.pool.close();
    }
}

/// A connection. It goes back to the pool if it is at rest; else it is closed, which ends its transaction.
pub(super) struct Session {
    connection: Option<Object>,
    pub(super) at_rest: bool,
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.at_rest
            && let Some(connection) = self.connection.take()
        {
            drop(Object::take(connection));
        }
    }
}

pub(super) type Request<'a, T> = Pin<Box<dyn Future<Output = Answer<T>> + Send + 'a>>;

impl Session {
    fn client(&self) -> Option<&Client> {
        self.connection.as_ref().map(|connection| connection.deref().deref())
    }

    /// True when the connection is known to be gone: nothing can be sent.
    pub(super) fn is_gone(&self) -> bool {
        self.client().is_none_or(Client::is_closed)
    }

    /// Asks for the rows of a statement.
    pub(super) fn query<'a>(&'a self, statement: &'a Statement<'_>) -> Request<'a, Vec<Row>> {
        Box::pin(async move {
            let Some(client) = self.client() else { return Ok(Vec::new()) };
            client.query_typed(&statement.sql, &binds(statement)).await
        })
    }

    /// Asks for the changes of a statement.
    pub(super) fn execute<'a>(&'a self, statement: &'a Statement<'_>) -> Request<'a, u64> {
        Box::pin(async move {
            let Some(client) = self.client() else { return Ok(0) };
            client.execute_typed(&statement.sql, &binds(statement)).await
        })
    }

    /// Runs statements that bind nothing and answer nothing.
    pub(super) fn run<'a, T: Default>(&'a self, sql: &'a str) -> Request<'a, T> {
        Box::pin(async move {
            let Some(client) = self.client() else { return Ok(T::default()) };
            client.batch_execute(sql).await.map(|()| T::default())
        })
    }
}

fn binds<'a>(statement: &'a Statement<'_>) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    statement.binds.iter().map(|(value, kind)| (&**value as &(dyn ToSql + Sync), kind.clone())).collect()
}

enum Asked<'a, T> {
    Waiting(Request<'a, T>),
    Answered(Answer<T>),
}

/// Sends requests one after the other without waiting for answers in between, and waits for all answers.
pub(super) async fn in_order<T>(requests: Vec<Request<'_, T>>) -> Vec<Answer<T>> {
    let mut asked: Vec<Asked<'_, T>> = requests.into_iter().map(Asked::Waiting).collect();
    std::future::poll_fn(|context| {
        let mut all = Poll::Ready(());
        for asked in &mut asked {
            if let Asked::Waiting(request) = asked {
                match request.as_mut().poll(context) {
                    Poll::Ready(answer) => *asked = Asked::Answered(answer),
                    Poll::Pending => all = Poll::Pending,
                }
            }
        }
        all
    })
    .await;
    let answers = asked.into_iter().filter_map(|asked| match asked {
        Asked::Answered(answer) => Some(answer),
        Asked::Waiting(_) => None,
    });
    answers.collect()
}
