//! The commit: one transaction, at most three times to the database and back.
//!
//! 1. `begin`, and all rows that the changes name are locked, table by table in the order of their keys. The
//!    expectations are checked on what is found.
//! 2. Everything is written and committed, without waiting in between: when a statement fails, those after it do
//!    nothing and the last one rolls back.
//!
//! Rows that must not be there are inserted with a plain INSERT. Who inserts the same key at the same time makes one of
//! the two wait, and then fail; that one starts over and finds the row. A value of a unique column that somebody else
//! has makes the commit start over, too, and look for who has it before it writes: the conflict names the right put.

use futures_util::FutureExt;
use tokio_postgres::error::SqlState;

use super::PostgresStore;
use super::batch::{Batch, Holders};
use super::connection::{Session, in_order};
use super::failure::{explain, is_lost};
use super::reader::text;
use super::statement::Statement;
use crate::error::{Effect, Error, Result};
use crate::store::{Changes, Commit};

/// Attempts, when others are in the way at each of them.
const TRIES_MAX: u32 = 12;

/// How an attempt ended that did not end well.
pub(super) enum Failure {
    /// Nothing was written, and the next attempt may do better.
    Again { error: Error, look: bool },
    /// That was it.
    Final(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

impl PostgresStore {
    /// Applies changes that were admitted.
    pub(super) async fn apply(&self, realm: &str, changes: &Changes) -> Result<Commit> {
        let batch = Batch::of(realm, changes);
        let (mut tries, mut look) = (0, false);
        loop {
            tries += 1;
            match self.attempt(realm, changes, &batch, look).await {
                Ok(commit) => return Ok(commit),
                Err(Failure::Again { look: looks, .. }) if tries < TRIES_MAX => {
                    look |= looks;
                    self.connections.pause(tries - 1).await;
                }
                Err(Failure::Again { error, .. } | Failure::Final(error)) => return Err(error),
            }
        }
    }

    async fn attempt(
        &self,
        realm: &str,
        changes: &Changes,
        batch: &Batch<'_>,
        look: bool,
    ) -> Result<Commit, Failure> {
        let mut session = self.connections.session().await?;
        let locking = batch.locking(&self.schema);
        let mut writing = batch.writing(&self.schema);
        let appending = batch.appending(&self.schema);
        if !appending.is_empty() {
            writing.push(self.numbering(realm));
            writing.extend(appending);
        }
        session.at_rest = false;
        if locking.is_empty() {
            let limits = self.connections.begin();
            self.write(&mut session, Some(limits), &writing).await?;
            return Ok(Commit::Committed);
        }
        let mut requests = vec![session.run(self.connections.begin())];
        requests.extend(locking.iter().map(|statement| session.query(statement)));
        let answers = self.connections.in_time(in_order(requests)).await?;
        let mut answers = answers.into_iter();
        let begun = answers.next().transpose().map(|_| ());
        let rows: Vec<_> =
            begun.and_then(|()| answers.collect::<std::result::Result<_, _>>()).map_err(before)?;
        let locked = batch.locked(&rows)?;
        let mut conflict = batch.refused(&locked);
        if conflict.is_none() && (look || batch.is_entangled(&locked)) {
            conflict = batch.taken(self.holders(&session, batch).await?);
        }
        if conflict.is_some() || changes.is_empty() {
            self.end(session);
            return Ok(conflict.map_or(Commit::Committed, Commit::Conflict));
        }
        self.write(&mut session, None, &writing).await?;
        Ok(Commit::Committed)
    }

    /// Takes the realm's turn to append, until the end of the transaction.
    fn numbering(&self, realm: &str) -> Statement<'static> {
        Statement::new("select pg_advisory_xact_lock($1)").signed(self.lock_number("append", realm))
    }

    async fn holders(&self, session: &Session, batch: &Batch<'_>) -> Result<Holders, Failure> {
        let holding = batch.holding(&self.schema);
        let requests = holding.iter().map(|(_, _, statement)| session.query(statement)).collect();
        let answers = self.connections.in_time(in_order(requests)).await?;
        let mut holders = Holders::default();
        for ((table, column, _), answer) in holding.iter().zip(answers) {
            for row in answer.map_err(before)? {
                holders.give(*table, column, text(&row, 1)?, text(&row, 0)?);
            }
        }
        Ok(holders)
    }

    /// Ends a transaction that wrote nothing, without waiting for it: whoever uses the connection next comes after.
    pub(super) fn end(&self, mut session: Session) {
        let sent = session.run::<()>("rollback").now_or_never();
        session.at_rest = !matches!(sent, Some(Err(_)));
    }

    /// Writes and commits, without waiting in between. `begin`: the transaction begins here.
    pub(super) async fn write(
        &self,
        session: &mut Session,
        begin: Option<&str>,
        writing: &[Statement<'_>],
    ) -> Result<(), Failure> {
        if session.is_gone() {
            let error = super::failure::passing("cannot commit: the connection to the database broke");
            return Err(Failure::Again { error, look: false });
        }
        let mut requests: Vec<_> = begin.map(|sql| session.run(sql)).into_iter().collect();
        requests.extend(writing.iter().map(|statement| session.execute(statement)));
        requests.push(session.run("commit"));
        let last = requests.len();
        // From here on it may be committed without our hearing of it.
        let answers = self.connections.in_time(in_order(requests)).await;
        let answers = answers.map_err(|error| error.with_effect(Effect::Unknown))?;
        let failure =
            answers.into_iter().enumerate().find_map(|(place, answer)| Some((place, answer.err()?)));
        let Some((place, error)) = failure else {
            session.at_rest = true;
            return Ok(());
        };
        // The server said no to a statement before `commit`: it commits nothing after that.
        let refused = error.as_db_error().is_some() && place + 1 < last;
        if !refused {
            return Err(Failure::Final(explain(error, "commit").with_effect(Effect::Unknown)));
        }
        session.at_rest = !is_lost(&error);
        Err(before(error))
    }
}

/// What an error means before `commit` was answered: nothing was written.
pub(super) fn before(error: tokio_postgres::Error) -> Failure {
    let code = error.code().cloned();
    let lost = is_lost(&error);
    let error = explain(error, "commit");
    match code {
        Some(SqlState::UNIQUE_VIOLATION) => Failure::Again { error, look: true },
        Some(SqlState::T_R_DEADLOCK_DETECTED | SqlState::T_R_SERIALIZATION_FAILURE) => {
            Failure::Again { error, look: false }
        }
        // It broke while nobody looked, or now: with another connection it may be better.
        _ if lost => Failure::Again { error, look: false },
        _ => Failure::Final(error),
    }
}
