//! The claim: rows are locked as they are found, and those that somebody else has locked are passed over.

use super::PostgresStore;
use super::commit::{Failure, before};
use super::connection::in_order;
use super::reader::row;
use crate::error::{Error, Result};
use crate::store::admission::admit_select;
use crate::store::{Claim, Put, Take};

/// Attempts on connections that turn out to be broken.
const TRIES_MAX: u32 = 3;
/// The rows are read in the order of their index, up to the limit. After many were marked at once, the database still
/// believes that there are few, and would read and sort all of them for each claim.
const IN_ORDER: &str = "; set local enable_seqscan = off; set local enable_bitmapscan = off; \
    set local enable_sort = off; set local enable_incremental_sort = off; set local jit = off";

impl PostgresStore {
    /// Takes rows that nobody else is taking: two times to the database and back.
    pub(super) async fn take(&self, claim: &Claim, take: Take<'_>) -> Result<Vec<Put>> {
        for (select, _) in &claim.pages {
            admit_select(claim.table, select)?;
        }
        if claim.limit == 0 || claim.pages.is_empty() {
            return Ok(Vec::new());
        }
        let mut tries = 0;
        loop {
            tries += 1;
            match self.try_to_take(claim, take).await {
                Ok(taken) => return Ok(taken),
                Err(Failure::Again { .. }) if tries < TRIES_MAX => self.connections.pause(tries).await,
                Err(Failure::Again { error, .. } | Failure::Final(error)) => return Err(error),
            }
        }
    }

    async fn try_to_take(&self, claim: &Claim, take: Take<'_>) -> std::result::Result<Vec<Put>, Failure> {
        let realm = claim.realm.as_str();
        let mut session = self.connections.session().await?;
        session.at_rest = false;
        let statement = self.schema.claim(realm, claim.table, &claim.pages, claim.limit);
        let begin = format!("{}{IN_ORDER}", self.connections.begin());
        let asked = in_order(vec![session.run(&begin), session.query(&statement)]);
        let mut found = Vec::new();
        for answer in self.connections.in_time(asked).await? {
            found.extend(answer.map_err(before)?);
        }
        let taken = found.iter().map(|found| take(&row(found)?)).collect::<Result<Vec<Put>, Error>>();
        let taken = match taken {
            Ok(taken) if !taken.is_empty() => taken,
            nothing => {
                self.end(session);
                return Ok(nothing?);
            }
        };
        {
            let puts: Vec<&Put> = taken.iter().collect();
            let writing = [self.schema.put(realm, claim.table, &puts, false)];
            self.write(&mut session, None, &writing).await?;
        }
        Ok(taken)
    }
}
