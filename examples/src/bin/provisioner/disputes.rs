//! Matches that a person must decide.

use provision_core::correlate::Candidate;
use provision_core::engine::Decision;
use provision_core::model::{Dispute, DisputeAbout};
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
        text.push_str(&candidates(host, &dispute.candidates).await?);
    }
    if disputes.is_empty() {
        text.push_str("no dispute is open\n");
    }
    Answer::new(text, json!({ "disputes": disputes }), Exit::Clean)
}

/// Who it may be, one to a line: the score, what gives it, what rules them out.
pub(crate) async fn candidates(host: &Host, candidates: &[Candidate]) -> Result<String, Failure> {
    let mut text = String::new();
    for candidate in candidates {
        let id = candidate.identity.to_string();
        // Somebody who is gone since has no name any more.
        let label = host.engine.find(&id).await.map_or(id, |identity| identity.label());
        text.push_str(&format!("    {label}: {candidate}\n"));
    }
    Ok(text)
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
    let text = match &dispute.about {
        DisputeAbout::Match { .. } => "decided: make a plan to see what follows\n",
        DisputeAbout::Record { .. } | DisputeAbout::Correlation { .. } => {
            "decided: it holds from the record's next delivery\n"
        }
    };
    Answer::new(text, json!({ "dispute": dispute }), Exit::Clean)
}
