//! Matches that a person must decide.

use provision_core::engine::Decision;
use provision_core::model::Dispute;
use provision_core::text::escape;
use serde_json::json;

use crate::answer::{Answer, Exit, Failure};
use crate::arguments::DecideArguments;
use crate::host::Host;

/// Open disputes.
pub(crate) async fn list(host: &Host) -> Result<Answer, Failure> {
    let disputes = host.engine.disputes().await?;
    let mut text = String::new();
    for dispute in &disputes {
        text.push_str(&format!(
            "{}  {}\n",
            escape(&Dispute::row_key(&dispute.about)),
            escape(&dispute.detail)
        ));
    }
    if disputes.is_empty() {
        text.push_str("no dispute is open\n");
    }
    Answer::new(text, json!({ "disputes": disputes }), Exit::Clean)
}

/// Decides one; its people are planned anew.
pub(crate) async fn decide(host: &Host, arguments: &DecideArguments) -> Result<Answer, Failure> {
    let decision = match &arguments.choice.link {
        Some(person) => {
            let identity = host.engine.find(person).await?.id;
            match &arguments.object {
                Some(object) => Decision::LinkTo { identity, object: object.clone() },
                None => Decision::Link { identity },
            }
        }
        None if arguments.choice.not_the_same => Decision::NotTheSame,
        None if arguments.choice.create_again => Decision::CreateAgain,
        None => Decision::Accept,
    };
    let dispute = host.engine.decide(&host.actor, &arguments.dispute, decision).await?;
    Answer::new("decided: make a plan to see what follows\n", json!({ "dispute": dispute }), Exit::Clean)
}
