//! What a store that was restored from a backup says of edges: they may have been taken away since.

use super::Engine;
use crate::connector::Object;
use crate::error::Result;
use crate::id::{ClassName, TargetName};
use crate::model::Membership;
use crate::store::{self, Changes, Commit, Record, Scan, Select, Stored};

/// Tries against others who write the same rows.
const TRIES_MAX: u32 = 10;
/// Edges of one account.
const EDGES_MAX: u32 = 10_000;

impl Engine {
    /// The edges of a page's accounts are not relied on any more: the next plan adds those that are wanted once more,
    /// which changes nothing where they are there still, and removes the others. False when others kept changing them.
    ///
    /// Edges that were added between the backup and its restore stay unknown: nothing tells them from those of others.
    pub(super) async fn doubt_edges(
        &self,
        target: &TargetName,
        class: &ClassName,
        objects: &[Object],
    ) -> Result<bool> {
        for _ in 0..TRIES_MAX {
            let links = self.links_of(target, class, objects).await?;
            let scans: Vec<Scan> = links
                .values()
                .map(|link| Scan {
                    realm: self.realm.clone(),
                    table: Membership::TABLE,
                    select: Select::Equal("link", link.value.id.to_string()),
                    after: None,
                    limit: EDGES_MAX,
                })
                .collect();
            let mut changes = Changes::in_realm(&self.realm);
            for page in self.store().scan_all(&scans).await? {
                for row in &page.rows {
                    let Stored { version, value } = store::decode::<Membership>(row)?;
                    if value.applied && value.desired {
                        changes.replace(version, &Membership { desired: false, ..value })?;
                    }
                }
            }
            if changes.is_empty() || self.store().commit(changes).await? == Commit::Committed {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
