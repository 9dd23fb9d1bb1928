//! Marking an identity dirty.

use crate::error::Result;
use crate::model::{Identity, Lifecycle, SourceRecord, Work};
use crate::store::{Changes, Stored};
use crate::value::Timestamp;

/// The key of an identity's work row: also the order in which names are allotted.
pub(super) fn order(identity: &Identity) -> String {
    SourceRecord::row_key(&identity.source, &identity.key)
}

/// Marks an identity dirty. A worker that holds it keeps its lease and finds a newer generation at the end.
pub(super) fn mark(
    changes: &mut Changes,
    existing: Option<Stored<Work>>,
    identity: &Identity,
    now: Timestamp,
) -> Result<()> {
    let urgent = identity.lifecycle(now)?.0 == Lifecycle::Terminated;
    match existing {
        Some(Stored { version, value }) => changes.replace(
            version,
            &Work { generation: value.generation.saturating_add(1), urgent, due_at: now, ..value },
        ),
        None => changes.insert(&Work {
            realm: identity.realm.clone(),
            identity: identity.id,
            order: order(identity),
            generation: 1,
            urgent,
            due_at: now,
            lease: None,
            fence: 0,
        }),
    }
}
