//! Commands about the whole: status, verify, backup.

use std::path::Path;

use provision_core::text::escape;
use serde_json::json;

use crate::answer::{Answer, Exit, Failure};
use crate::host::Host;

/// Where everything stands.
pub(crate) async fn status(host: &Host) -> Result<Answer, Failure> {
    let status = host.engine.status().await?;
    Answer::new(status.render(), &status, Exit::Clean)
}

/// Whether the history is whole.
pub(crate) async fn verify(host: &Host) -> Result<Answer, Failure> {
    let verdict = host.engine.verify().await?;
    let (word, exit) = match &verdict.broken {
        None => (host.screen.green("whole"), Exit::Clean),
        Some(why) => (host.screen.red(&format!("BROKEN: {}", escape(why))), Exit::Error),
    };
    let text = format!("{} entries in {} seals: {word}\n", verdict.entries, verdict.seals);
    let json = json!({
        "seals": verdict.seals, "entries": verdict.entries, "unsealed": verdict.unsealed, "broken": verdict.broken,
    });
    Answer::new(text, json, exit)
}

/// A consistent copy of the store.
pub(crate) async fn backup(host: &Host, file: &Path) -> Result<Answer, Failure> {
    host.engine.backup(file).await?;
    let shown = file.display().to_string();
    Answer::new(format!("written to {shown}\n"), json!({ "file": shown }), Exit::Clean)
}
