//! Commands about what waits for approval.

use provision_core::id::HoldId;
use provision_core::model::{Hold, HoldOf};
use provision_core::text::escape;
use serde_json::json;

use crate::answer::{Answer, Exit, Failure};
use crate::feeds;
use crate::host::Host;

/// What waits.
pub(crate) async fn list(host: &Host) -> Result<Answer, Failure> {
    let holds = host.engine.holds().await?;
    let mut text: String = holds.iter().map(shown).collect();
    let exit = if holds.is_empty() { Exit::Clean } else { Exit::Held };
    if holds.is_empty() {
        text.push_str("nothing is held\n");
    }
    Answer::new(text, json!({ "holds": holds }), exit)
}

fn shown(hold: &Hold) -> String {
    let of = match &hold.of {
        HoldOf::Feed { source, .. } => format!("a feed of {source}"),
        HoldOf::Plan { plan } => format!("plan {plan}"),
    };
    let mut text =
        format!("{} ({}): {of}, asked for by {}\n", hold.id, hold.state.as_str(), escape(&hold.author.name));
    for reason in &hold.reasons {
        text.push_str(&format!("  because {}\n", escape(reason)));
    }
    let counts: Vec<String> =
        hold.counts.iter().map(|(what, count)| format!("{count} {}", escape(what))).collect();
    text.push_str(&format!("  it would do: {}\n  digest {}\n", counts.join(", "), hold.digest));
    text
}

/// Approves a hold; a feed is taken over at once, a plan waits for `apply`.
pub(crate) async fn approve(host: &Host, hold: &str, digest: &str) -> Result<Answer, Failure> {
    let hold = host.engine.approve(&host.actor, parsed(hold)?, digest).await?;
    match &hold.of {
        HoldOf::Plan { plan } => {
            let text = format!("approved; carry it out with: apply {plan}\n");
            Answer::new(text, json!({ "hold": hold, "outcome": null }), Exit::Clean)
        }
        HoldOf::Feed { .. } => {
            let outcome = host.engine.promote(&host.actor, hold.id).await?;
            let text = format!("approved: {}", feeds::shown(host, &outcome));
            Answer::new(text, json!({ "hold": hold, "outcome": outcome }), Exit::Clean)
        }
    }
}

/// Rejects a hold.
pub(crate) async fn reject(host: &Host, hold: &str) -> Result<Answer, Failure> {
    let hold = host.engine.reject(&host.actor, parsed(hold)?).await?;
    Answer::new(format!("{}: rejected\n", hold.id), json!({ "hold": hold }), Exit::Clean)
}

fn parsed(text: &str) -> Result<HoldId, Failure> {
    HoldId::parse(text).ok_or_else(|| Failure::configuration("error: that is no hold's id"))
}
