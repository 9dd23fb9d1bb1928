//! Rules: predicates that are membership of roles.

use std::collections::BTreeSet;

use provision_core::id::PolicyRef;

use super::input::{expression, null};
use super::mapping::{STATES, State};
use crate::document::{Node, Place, Reader};
use crate::expression::{Expression, Kind, Vocabulary};

/// A rule: who fulfils it has the roles, who does not has them not.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) id: PolicyRef,
    pub(crate) place: Place,
    pub(crate) when: Expression,
    /// Who fulfils this too is excluded.
    pub(crate) unless: Option<Expression>,
    pub(crate) roles: Vec<(String, Place)>,
    pub(crate) state: State,
}

pub(super) fn read(reader: &mut Reader<'_>, node: &Node, vocabulary: &Vocabulary) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut ids = BTreeSet::new();
    for item in reader.list(node, "rules") {
        let fields = reader.fields(item, "rules", &["id", "description", "state", "when", "unless", "roles"]);
        let id = reader.required(&fields, "id").and_then(|node| Some((node, reader.text(node, "rules")?)));
        let path = id.map_or_else(|| "rules".to_owned(), |(_, id)| format!("rules.{id}"));
        if let Some((node, id)) = id.filter(|(_, id)| !ids.insert((*id).to_owned())) {
            let summary = format!("two rules are called `{id}`");
            reader.error("P0003", node.place, &path, summary, "give each its own id");
        }
        if let Some(node) = fields.get("description") {
            reader.text(node, &path);
        }
        let state = fields.get("state").and_then(|node| reader.word(node, &format!("{path}.state"), STATES));
        let when = reader
            .required(&fields, "when")
            .and_then(|node| expression(reader, node, &format!("{path}.when"), vocabulary, Kind::Bool));
        let unless = fields
            .get("unless")
            .and_then(|node| expression(reader, node, &format!("{path}.unless"), vocabulary, Kind::Bool));
        let mut roles = Vec::new();
        if let Some(node) = reader.required(&fields, "roles") {
            for item in reader.list(node, &path) {
                if let Some(name) = reader.text(item, &path) {
                    roles.push((name.to_owned(), item.place));
                }
            }
        }
        if let Some(when) = when.or_else(null) {
            let place = id.map_or(item.place, |(node, _)| node.place);
            let (id, state) = (PolicyRef::new(&path), state.unwrap_or_default());
            rules.push(Rule { id, place, when, unless, roles, state });
        }
    }
    rules
}
