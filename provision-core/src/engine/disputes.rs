//! Disputes: matches that a person must decide.

use super::Engine;
use crate::error::Result;
use crate::model::Dispute;
use crate::store::{self, Select};

/// Open disputes returned at once.
const DISPUTES_MAX: usize = 10_000;

impl Engine {
    /// Open disputes, at most 10,000, in the order of their keys.
    pub async fn disputes(&self) -> Result<Vec<Dispute>> {
        let mut disputes = Vec::new();
        let mut cursor = None;
        loop {
            let select = Select::Equal("state", "open".to_owned());
            let (page, next) =
                store::list_by::<Dispute>(self.store(), &self.realm, select, cursor, 1_000).await?;
            disputes.extend(page.into_iter().map(|stored| stored.value));
            cursor = next;
            if cursor.is_none() || disputes.len() >= DISPUTES_MAX {
                return Ok(disputes);
            }
        }
    }
}
