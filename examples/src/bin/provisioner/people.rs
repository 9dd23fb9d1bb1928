//! Commands about one person.

use std::collections::BTreeMap;

use provision_core::engine::{ExplainOptions, render_history};
use provision_core::text::escape;
use serde_json::json;

use crate::answer::{Answer, Exit, Failure};
use crate::host::Host;

/// Why a person has what they have, with the places in the bundle.
pub(crate) async fn explain(host: &Host, person: &str, options: &ExplainOptions) -> Result<Answer, Failure> {
    let identity = host.engine.find(person).await?;
    let explanation = host.engine.explain(identity.id, options).await?;
    let mut places = BTreeMap::new();
    for id in explanation.policy_ids() {
        if let Some(span) = host.bundle.source_of(&id) {
            places.insert(id, format!("{}:{}", span.file, span.line));
        }
    }
    let mut text = explanation.render();
    if !places.is_empty() {
        text.push_str("written at\n");
    }
    for (id, place) in &places {
        text.push_str(&format!("  {id}  {}\n", escape(place)));
    }
    let mut answer = Answer::new(text, &explanation, Exit::Clean)?;
    if let Some(fields) = answer.json.as_object_mut() {
        fields.insert("places".to_owned(), json!(places));
    }
    Ok(answer)
}

/// What was done for a person.
pub(crate) async fn history(host: &Host, person: &str) -> Result<Answer, Failure> {
    let identity = host.engine.find(person).await?;
    let entries = host.engine.history(identity.id).await?;
    Answer::new(render_history(&entries), json!({ "identity": identity.id, "entries": entries }), Exit::Clean)
}
