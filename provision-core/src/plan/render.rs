//! The plan as text: stable, for people and goldens. Values are escaped; sensitive ones are not shown.

use std::fmt::Write;

use super::{Action, PlanHeader, Reason, Skip, Step};
use crate::connector::ObjectKey;
use crate::delta::Change;
use crate::id::PolicyRef;
use crate::policy::Derivation;
use crate::schema::ObjectClass;
use crate::text::escape;
use crate::value::{AttrName, Slot, Value};

/// The header: what the plan is and does, counted.
pub fn render_header(header: &PlanHeader) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "plan {} ({})", header.id, header.state.as_str());
    let policy = if header.policy.label.is_empty() { "unlabelled" } else { &header.policy.label };
    let hash: String = header.policy.hash.chars().take(12).collect();
    let _ = writeln!(out, "  as of {}, policy {} ({hash})", header.now, escape(policy));
    let _ = writeln!(out, "  {} identities, {} steps", header.identities, header.steps);
    for (target, counts) in &header.targets {
        let steps: Vec<String> = counts.steps.iter().map(|(word, count)| format!("{count} {word}")).collect();
        let skipped: Vec<String> =
            counts.skipped.iter().map(|(reason, count)| format!("{count} {}", reason.as_str())).collect();
        let steps = if steps.is_empty() { "nothing to do".to_owned() } else { steps.join(", ") };
        let _ = writeln!(out, "  {target}: {steps}");
        if !skipped.is_empty() {
            let _ = writeln!(out, "    left alone: {}", skipped.join(", "));
        }
    }
    for over in &header.over {
        let _ = writeln!(out, "  over budget: {over}");
    }
    let digest: String = header.digest.chars().take(16).collect();
    let _ = writeln!(out, "  digest {digest}");
    out
}

/// One step, with the reason of every value when `why`.
pub fn render_step(step: &Step, class: Option<&ObjectClass>, why: bool) -> String {
    let mut out = String::new();
    let key = step.key.as_ref().map(|key| format!(" {}", show_key(key))).unwrap_or_default();
    let _ =
        writeln!(out, "{:<14} {}/{}{}  for {}", step.action.word(), step.target, step.class, key, step.label);
    let hidden =
        |name: &AttrName| class.and_then(|class| class.attributes.get(name)).is_some_and(|a| a.sensitive);
    match &step.action {
        Action::Create { attributes, enabled, credential, .. } => {
            for (name, slot) in attributes.iter() {
                line(&mut out, step, name, "=", &show_slot(slot, hidden(name)), why);
            }
            if let Some(enabled) = enabled {
                let _ = writeln!(out, "    {}", if *enabled { "enabled" } else { "disabled" });
            }
            if let Some(credential) = credential {
                let change = if credential.must_change { ", to be changed at first sign-in" } else { "" };
                let _ = writeln!(
                    out,
                    "    password generated when executed ({} characters{change})",
                    credential.length
                );
            }
        }
        Action::Update { delta, outputs } => {
            for (name, change) in &delta.changes {
                let (sign, text) = show_change(change, hidden(name));
                line(&mut out, step, name, sign, &text, why);
            }
            for (name, output) in outputs {
                let text = format!("key of the object that step {} creates", escape(output.step.as_str()));
                line(&mut out, step, name, "=", &text, why);
            }
        }
        Action::Rename { naming } => {
            for (name, slot) in naming.iter() {
                line(&mut out, step, name, "=", &show_slot(slot, hidden(name)), why);
            }
        }
        Action::AddMember { group, privileged, .. } => {
            let mark = if *privileged { "  (privileged)" } else { "" };
            let _ = writeln!(out, "    into {}{mark}", escape(group));
        }
        Action::RemoveMember { group, .. } => {
            let _ = writeln!(out, "    out of {}", escape(group));
        }
        Action::Enable | Action::Disable | Action::Delete | Action::Release => {}
    }
    if why {
        for reason in step.reasons.iter().filter(|reason| reason.attribute.is_none()) {
            let _ = writeln!(out, "    because {}", show_reason(reason));
        }
    }
    out
}

/// One object left alone.
pub fn render_skip(skip: &Skip) -> String {
    format!(
        "left alone     {}/{}  for {}\n    {}: {}\n",
        skip.target,
        skip.class,
        skip.label,
        skip.reason.as_str(),
        escape(&skip.detail)
    )
}

fn line(out: &mut String, step: &Step, name: &AttrName, sign: &str, text: &str, why: bool) {
    let _ = write!(out, "    {name} {sign} {text}");
    let reason = step.reasons.iter().find(|reason| reason.attribute.as_ref() == Some(name));
    match reason {
        Some(reason) if why => {
            let _ = writeln!(out, "    <- {}", show_reason(reason));
        }
        _ => out.push('\n'),
    }
}

fn show_key(key: &ObjectKey) -> String {
    escape(key.name.as_deref().unwrap_or(&key.id))
}

fn show_values(values: &[Value], hidden: bool) -> String {
    if hidden {
        return "(not shown)".to_owned();
    }
    let shown: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    if let [one] = shown.as_slice() { one.clone() } else { format!("[{}]", shown.join(", ")) }
}

fn show_slot(slot: &Slot, hidden: bool) -> String {
    match slot {
        Slot::Null => "(no value)".to_owned(),
        Slot::Values(values) => show_values(values, hidden),
    }
}

fn show_change(change: &Change, hidden: bool) -> (&'static str, String) {
    match change {
        Change::Clear => ("=", "(no value)".to_owned()),
        Change::Replace(values) => ("=", show_values(values, hidden)),
        Change::Edit { add, remove } => {
            let part = |sign: &str, values: &[Value]| {
                if values.is_empty() {
                    String::new()
                } else {
                    format!("{sign}{}", show_values(values, hidden))
                }
            };
            let parts = [part("add ", add), part("remove ", remove)];
            (":", parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", "))
        }
    }
}

fn show_reason(reason: &Reason) -> String {
    render_derivation(&reason.derivation, &reason.because)
}

/// A derivation in words: mapping, rules or roles, inputs with their sources, note.
pub(crate) fn render_derivation(derivation: &Derivation, because: &[PolicyRef]) -> String {
    let mut parts: Vec<String> = Vec::new();
    if let Some(mapping) = &derivation.mapping {
        parts.push(mapping.to_string());
    }
    if !because.is_empty() {
        parts.push(because.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    }
    let inputs: Vec<String> = derivation
        .inputs
        .iter()
        .map(|input| match &input.source {
            Some(source) => format!("{}@{source}", input.attribute),
            None => input.attribute.to_string(),
        })
        .collect();
    if !inputs.is_empty() {
        parts.push(format!("from {}", inputs.join(", ")));
    }
    if let Some(note) = &derivation.note {
        parts.push(escape(note));
    }
    if parts.is_empty() { "the policy".to_owned() } else { parts.join("; ") }
}
