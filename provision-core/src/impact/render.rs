//! An impact as text: stable, for people and goldens. Values are escaped; sensitive ones are not shown.

use std::fmt::Write;

use super::{AccountDifference, AttributeDifference, Impact, ImpactOnOne, Turn};
use crate::id::PolicyRef;
use crate::policy::{DesiredSlot, PolicyVersion, Strength};
use crate::text::escape;
use crate::value::Value;

impl Impact {
    /// The impact as text.
    pub fn render(&self) -> String {
        let mut out = String::new();
        let version = |version: &PolicyVersion| {
            let hash: String = version.hash.chars().take(12).collect();
            format!("{} ({})", escape(&version.label), escape(&hash))
        };
        let _ =
            writeln!(out, "policy {} -> {}, as of {}", version(&self.from), version(&self.to), self.as_of);
        let _ = writeln!(
            out,
            "{} identities read, {} touched by the edit, {} decided differently",
            self.read, self.touched, self.differing
        );
        self.totals(&mut out);
        if self.beyond > 0 {
            let _ = writeln!(out, "{} changes more, of entries too many to list", self.beyond);
        }
        if !self.people.is_empty() {
            out.push_str("people\n");
        }
        self.people.iter().for_each(|one| one.render(&mut out));
        if self.more_people > 0 {
            let _ = writeln!(out, "and {} people more", self.more_people);
        }
        if self.roles_differing > 0 {
            let _ = writeln!(out, "{} roles whose groups change", self.roles_differing);
        }
        if self.differing + self.roles_differing > 0 {
            out.push_str(
                "names that are held stay; a name shown as new is a first candidate and may be taken\n",
            );
        } else {
            out.push_str("nothing changes for anybody\n");
        }
        out
    }

    fn totals(&self, out: &mut String) {
        let mut section = |title: &str, lines: Vec<String>| {
            if !lines.is_empty() {
                let _ = writeln!(out, "{title}");
            }
            for line in lines {
                let _ = writeln!(out, "  {line}");
            }
        };
        let both = |gained: u64, lost: u64| format!("+{gained} -{lost}");
        let accounts = self.accounts.iter();
        section(
            "accounts",
            accounts
                .map(|of| format!("{}/{} {}: {}", of.target, of.class, of.change.as_str(), of.count))
                .collect(),
        );
        let roles = self.roles.iter();
        section("roles", roles.map(|of| format!("{}: {}", of.role, both(of.gained, of.lost))).collect());
        let rules = self.rules.iter();
        section("by rule", rules.map(|of| format!("{}: {}", of.rule, both(of.gained, of.lost))).collect());
        let groups = self.groups.iter();
        section(
            "groups",
            groups
                .map(|of| format!("{} {}: {}", of.target, escape(&of.group), both(of.gained, of.lost)))
                .collect(),
        );
        let attributes = self.attributes.iter();
        section(
            "attributes",
            attributes
                .map(|of| format!("{}/{} {}: {}", of.target, of.class, of.attribute, of.count))
                .collect(),
        );
        let mappings = self.mappings.iter();
        section("by mapping", mappings.map(|of| format!("{}: {}", of.mapping, of.count)).collect());
        let refusals = self.refusals.iter();
        section(
            "refused",
            refusals
                .map(|of| {
                    format!("{}/{} {}: {}", of.target, of.class, of.reason.as_str(), both(of.gained, of.lost))
                })
                .collect(),
        );
    }
}

impl ImpactOnOne {
    fn render(&self, out: &mut String) {
        let _ = writeln!(out, "  {}", self.label);
        for role in &self.difference.roles {
            let _ = writeln!(out, "    {} role {}{}", sign(role.turn), role.role, by(&role.because));
        }
        self.difference.accounts.iter().for_each(|account| account.render(out));
    }
}

impl AccountDifference {
    fn render(&self, out: &mut String) {
        let at = format!("{}/{}", self.target, self.class);
        if let Some(change) = self.change {
            let _ = writeln!(out, "    {} account {at}{}", change.as_str(), by(&self.because));
        }
        for value in &self.attributes {
            let mapping = value.mapping.as_slice();
            let _ = writeln!(out, "    {at} {}: {}{}", value.attribute, value.shown(), by(mapping));
        }
        for group in &self.groups {
            let name = escape(&group.group);
            let _ =
                writeln!(out, "    {} group {} {name}{}", sign(group.turn), self.target, by(&group.because));
        }
        for found in &self.refusals {
            let refusal = &found.refusal;
            let about = refusal.attribute.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
            let verb = match found.turn {
                Turn::Gained => "refused",
                Turn::Lost => "no longer refused",
            };
            let (reason, detail) = (refusal.reason.as_str(), escape(&refusal.detail));
            let _ = writeln!(out, "    {at}{about} {verb}: {reason}: {detail}");
        }
    }
}

impl AttributeDifference {
    fn shown(&self) -> String {
        let slot = |slot: &Option<DesiredSlot>| match slot {
            _ if self.sensitive => "(not shown)".to_owned(),
            None | Some(DesiredSlot::Withdrawn { stays: Some(_) }) => "(left alone)".to_owned(),
            Some(DesiredSlot::Withdrawn { stays: None }) => "(withdrawn)".to_owned(),
            Some(DesiredSlot::AccountOf { key }) => format!("the account of `{}`", escape(key)),
            Some(DesiredSlot::Known(slot)) => {
                let values: Vec<String> =
                    slot.values().iter().map(|value: &Value| format!("{value:?}")).collect();
                match values.as_slice() {
                    [] => "(no value)".to_owned(),
                    [one] => one.clone(),
                    _ => format!("[{}]", values.join(", ")),
                }
            }
        };
        match self.strength {
            (Some(from), Some(to)) if self.from == self.to => format!("{} -> {}", word(from), word(to)),
            _ => format!("{} -> {}", slot(&self.from), slot(&self.to)),
        }
    }
}

fn word(strength: Strength) -> &'static str {
    match strength {
        Strength::CreateOnly => "create_only",
        Strength::Weak => "weak",
        Strength::Normal => "normal",
        Strength::Strong => "strong",
    }
}

fn sign(turn: Turn) -> &'static str {
    match turn {
        Turn::Gained => "+",
        Turn::Lost => "-",
    }
}

fn by(ids: &[PolicyRef]) -> String {
    if ids.is_empty() {
        return String::new();
    }
    format!("  <- {}", ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}
