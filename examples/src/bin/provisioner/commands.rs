//! Commands from the bus that were set aside.

use provision_core::event::SetAside;
use provision_core::text::escape;
use serde_json::json;

use crate::answer::{Answer, Exit, Failure};
use crate::arguments::CommandsArguments;
use crate::host::Host;

/// Characters of a message that are shown.
const SHOWN: usize = 160;

/// Shows them, or decides one.
pub(crate) async fn commands(host: &Host, arguments: &CommandsArguments) -> Result<Answer, Failure> {
    if let Some(id) = &arguments.retry {
        let outcome = host.runtime.retry_command(&host.actor, id).await?;
        let text = match outcome.changed {
            true => "accepted: make a plan to see what follows\n",
            false => "accepted: it was so before\n",
        };
        return Answer::new(text, json!({ "outcome": outcome }), Exit::Clean);
    }
    if let Some(id) = &arguments.drop {
        host.runtime.drop_command(&host.actor, id).await?;
        return Answer::new("dropped\n", json!({ "dropped": id }), Exit::Clean);
    }
    let count = host.runtime.count_set_aside().await?;
    let commands = host.runtime.commands_set_aside(None, arguments.limit).await?;
    let mut text: String = commands.iter().map(shown).collect();
    let rest = count.saturating_sub(u64::try_from(commands.len()).unwrap_or(u64::MAX));
    if commands.is_empty() {
        text.push_str("no command is set aside\n");
    } else if rest > 0 {
        text.push_str(&format!("and {rest} more\n"));
    }
    Answer::new(text, json!({ "count": count, "commands": commands }), Exit::Clean)
}

fn shown(aside: &SetAside) -> String {
    let says: String = aside.payload.chars().take(SHOWN).collect();
    format!(
        "{}  {} on {}\n  because {}\n  it says {}\n",
        escape(&aside.id),
        aside.at,
        escape(&aside.subject),
        escape(&aside.reason.message),
        escape(&says)
    )
}
