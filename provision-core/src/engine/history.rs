//! What happened to an identity, from the audit stream.

use std::fmt::Write;

use super::Engine;
use crate::audit::AuditEntry;
use crate::delta::Change;
use crate::error::{Error, ErrorKind, Result};
use crate::id::IdentityId;
use crate::model::ActorKind;
use crate::plan::Action;
use crate::store::Stream;
use crate::text::escape;

/// Entries read at a time.
const PAGE: u32 = 1_000;
/// Entries of one identity, at most.
const ENTRIES_MAX: usize = 100_000;

impl Engine {
    /// Everything that happened to an identity, oldest first. Also for one that is gone.
    ///
    /// # Errors
    /// `StoreUnusable` when an entry cannot be read.
    pub async fn history(&self, who: IdentityId) -> Result<Vec<AuditEntry>> {
        let id = who.to_string();
        let mut history = Vec::new();
        let mut after = 0;
        loop {
            let rows =
                self.store().read_stream_by(&self.realm, Stream::Audit, "identity", &id, after, PAGE).await?;
            let Some((last, _)) = rows.last() else { return Ok(history) };
            after = *last;
            for (number, row) in &rows {
                let entry = serde_json::from_str::<AuditEntry>(&row.body).map_err(|error| {
                    Error::new(ErrorKind::StoreUnusable, "cannot read an audit entry")
                        .with_context("number", number.to_string())
                        .with_source(error)
                })?;
                history.push(entry);
            }
            if history.len() >= ENTRIES_MAX {
                return Ok(history);
            }
        }
    }
}

/// A history as text, one line per entry: when, who, what, where; the names of attributes that changed, not their
/// values; the plan; what went wrong.
pub fn render_history(history: &[AuditEntry]) -> String {
    let mut out = String::new();
    for entry in history {
        let kind = match entry.actor.kind {
            ActorKind::Person => "person",
            ActorKind::Service => "service",
            ActorKind::Engine => "engine",
        };
        let _ = write!(out, "{}  {kind}:{}  {}", entry.at, escape(&entry.actor.name), escape(&entry.event));
        if let Some(target) = &entry.target {
            let _ = write!(out, "  {target}");
            if let Some(class) = &entry.class {
                let _ = write!(out, "/{class}");
            }
        }
        if let Some(object) = &entry.object {
            let _ = write!(out, "  {}", escape(object));
        }
        let changed = changed(entry);
        if !changed.is_empty() {
            let _ = write!(out, "  [{}]", changed.join(", "));
        }
        if let Some(plan) = &entry.plan {
            let _ = write!(out, "  plan {plan}");
        }
        if let Some(error) = &entry.error {
            let _ = write!(out, "  error: {}", escape(&error.message));
        }
        if !entry.note.is_empty() {
            let _ = write!(out, "  ({})", escape(&entry.note));
        }
        out.push('\n');
    }
    out
}

/// The names of the attributes, or the group, that an entry's change is about.
fn changed(entry: &AuditEntry) -> Vec<String> {
    let Some(change) = &entry.change else { return Vec::new() };
    let Ok(action) = serde_json::from_value::<Action>(change.clone()) else { return Vec::new() };
    match action {
        Action::Create { attributes, .. } | Action::Rename { naming: attributes } => {
            attributes.iter().map(|(name, _)| name.to_string()).collect()
        }
        Action::Update { delta, outputs } => {
            let direct = delta.changes.iter().map(|(name, change)| match change {
                Change::Clear => format!("{name} cleared"),
                Change::Replace(_) | Change::Edit { .. } => name.to_string(),
            });
            direct.chain(outputs.keys().map(ToString::to_string)).collect()
        }
        Action::AddMember { group, .. } => vec![format!("into {}", escape(&group))],
        Action::RemoveMember { group, .. } => vec![format!("out of {}", escape(&group))],
        Action::Enable | Action::Disable | Action::Delete | Action::Release => Vec::new(),
    }
}
