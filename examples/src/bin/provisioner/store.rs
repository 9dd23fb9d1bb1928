//! Commands about the whole: status, verify, backup.

use std::path::Path;

use provision_core::event::SinkStatus;
use provision_core::text::escape;
use serde_json::json;

use crate::answer::{Answer, Exit, Failure};
use crate::host::Host;

/// Where everything stands: the realm, its events, and the processes that share the store.
pub(crate) async fn status(host: &Host) -> Result<Answer, Failure> {
    let status = host.engine.status().await?;
    let overview = host.runtime.status().await?;
    let mut text = status.render();
    text.extend(status.sinks.iter().map(sink));
    let set_aside = host.runtime.count_set_aside().await?;
    if set_aside > 0 {
        text.push_str(&format!("{set_aside} commands of the bus are set aside: see `commands`\n"));
    }
    let shared = !overview.nodes.is_empty()
        || overview.realms.iter().any(|realm| !realm.leases.is_empty() || !realm.pauses.is_empty());
    if shared {
        text.push_str(&overview.render());
    }
    let mut answer = Answer::new(text, &status, Exit::Clean)?;
    if let Some(fields) = answer.json.as_object_mut() {
        fields.insert("overview".to_owned(), json!(overview));
        fields.insert("commands_set_aside".to_owned(), json!(set_aside));
    }
    Ok(answer)
}

/// How far events have come.
fn sink(sink: &SinkStatus) -> String {
    let mut text =
        format!("events to {}: sent up to {}, {} wait", escape(&sink.sink), sink.sent, sink.unsent);
    if let Some(since) = sink.unsent_since {
        text.push_str(&format!(", the oldest since {since}"));
    }
    if let Some(error) = &sink.error {
        text.push_str(&format!("; failed {} times: {}", sink.failures, escape(&error.message)));
    }
    text.push('\n');
    text
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
