//! An explanation as text: stable, for people and goldens. Values are escaped; sensitive ones are not shown.

use std::fmt::Write;

use super::explain::{show, state_word};
use super::explanation::{
    ExplainedAccount, ExplainedGrant, ExplainedGroup, ExplainedLink, ExplainedValue, Explanation, OpenStep,
    Verdict,
};
use crate::execute::StepState;
use crate::model::{Dispute, OriginKind};
use crate::plan::Drive;
use crate::plan::render_derivation;
use crate::policy::{Derivation, Strength};
use crate::text::escape;

impl Explanation {
    /// The explanation as text.
    pub fn render(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "{}", self.label);
        let _ = writeln!(out, "  identity {}, version {}", self.identity, self.version);
        let hash: String = self.policy.hash.chars().take(12).collect();
        let _ = writeln!(
            out,
            "  as of {}, policy {} ({})",
            self.as_of,
            escape(&self.policy.label),
            escape(&hash)
        );
        match self.lifecycle_changes_at {
            Some(at) => {
                let _ = writeln!(out, "  {} until {at}", self.lifecycle.as_str());
            }
            None => {
                let _ = writeln!(out, "  {}", self.lifecycle.as_str());
            }
        }
        if let Some(at) = self.next_change_at.filter(|at| Some(*at) != self.lifecycle_changes_at) {
            let _ = writeln!(out, "  changes by the clock at {at}");
        }
        if let Some(at) = self.due_at {
            let _ = writeln!(out, "  dirty, due {at}");
        }
        self.facts(&mut out);
        for account in &self.accounts {
            account.render(&mut out);
        }
        for absence in &self.absences {
            let _ = writeln!(out, "no account on {}", absence.target);
            let _ = writeln!(out, "  because {}", escape(&absence.why));
        }
        self.waiting(&mut out);
        out
    }

    fn facts(&self, out: &mut String) {
        if !self.attributes.is_empty() {
            out.push_str("attributes\n");
        }
        for attribute in &self.attributes {
            let _ = write!(out, "  {} = {}", attribute.name, show(&attribute.value));
            match &attribute.source {
                Some(source) => {
                    let _ = writeln!(out, "  <- {source}");
                }
                None => out.push('\n'),
            }
            let lost =
                attribute.asserted.iter().filter(|said| Some(&said.source) != attribute.source.as_ref());
            for said in lost {
                let _ = writeln!(out, "    {} says {}", said.source, show(&said.value));
            }
        }
        if !self.roles.is_empty() {
            out.push_str("roles\n");
        }
        for role in &self.roles {
            let _ = writeln!(out, "  {}  <- {}", role.role, list(&role.because));
        }
        if !self.grants.is_empty() {
            out.push_str("grants\n");
        }
        for grant in &self.grants {
            grant.render(out);
        }
    }

    fn waiting(&self, out: &mut String) {
        if !self.open.is_empty() {
            out.push_str("open steps\n");
        }
        for step in &self.open {
            step.render(out);
        }
        if !self.disputes.is_empty() {
            out.push_str("disputes\n");
        }
        for dispute in &self.disputes {
            let key = Dispute::row_key(&dispute.about);
            let _ = writeln!(out, "  {}: {}", escape(&key), escape(&dispute.detail));
        }
    }
}

impl ExplainedGrant {
    fn render(&self, out: &mut String) {
        let stands = if self.stands { "stands" } else { "does not stand" };
        let _ = write!(out, "  {}  {stands}", escape(&self.grant.entitlement.key()));
        if let Some(at) = self.changes_at {
            let _ = write!(out, ", changes {at}");
        }
        let origins: Vec<String> = self
            .grant
            .origins
            .iter()
            .map(|origin| {
                let kind = match origin.kind {
                    OriginKind::Rule => "rule",
                    OriginKind::Request => "request",
                    OriginKind::Manual => "manual",
                    OriginKind::Imported => "imported",
                };
                format!("{kind} {}", origin.reference)
            })
            .collect();
        let _ = writeln!(out, "  <- {}", origins.join(", "));
    }
}

impl ExplainedAccount {
    fn render(&self, out: &mut String) {
        let _ = writeln!(out, "account {}/{}/{}", self.target, self.class, self.tag);
        let wanted = match (self.wanted, self.wanted_enabled) {
            (false, _) => "not wanted",
            (true, None) => "wanted",
            (true, Some(true)) => "wanted, enabled",
            (true, Some(false)) => "wanted, disabled",
        };
        let _ = writeln!(out, "  {wanted}");
        for derivation in &self.because {
            let _ = writeln!(out, "    because {}", why(derivation));
        }
        match &self.link {
            Some(link) => link.render(out),
            None => out.push_str("  no account yet\n"),
        }
        match (self.drive, &self.stopped) {
            (None, _) => out.push_str("  the target is not configured\n"),
            (Some(_), Some(stopped)) => {
                let _ = writeln!(out, "  nothing is written there now: {}", escape(stopped));
            }
            (Some(Drive::Observe), None) => {
                out.push_str("  nothing is written there now: the target's drive is `observe`\n");
            }
            (Some(_), None) => {}
        }
        for value in &self.values {
            value.render(out);
        }
        for group in &self.groups {
            group.render(out);
        }
        for missing in &self.not_there {
            let _ = writeln!(out, "  no {}: {}", escape(&missing.what), missing.reason.detail());
        }
        for refusal in &self.refusals {
            let about = refusal.attribute.as_ref().map(|name| format!(" `{name}`")).unwrap_or_default();
            let mapping = refusal.mapping.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
            let _ = writeln!(
                out,
                "  refused{about}{mapping}: {}: {}",
                refusal.reason.as_str(),
                escape(&refusal.detail)
            );
        }
        // A refusal becomes a skip of the same words: told once.
        let told = |skip: &&crate::plan::Skip| {
            !self.refusals.iter().any(|known| (known.reason, &known.detail) == (skip.reason, &skip.detail))
        };
        for skip in self.skips.iter().filter(told) {
            let _ = writeln!(out, "  left alone: {}: {}", skip.reason.as_str(), escape(&skip.detail));
        }
        for step in &self.steps {
            let names: Vec<String> = step.attributes.iter().map(ToString::to_string).collect();
            let about = match &step.group {
                Some(group) => format!(" {}", escape(group)),
                None if names.is_empty() => String::new(),
                None => format!(" {}", names.join(", ")),
            };
            let _ = writeln!(out, "  would {}{about}", step.action);
        }
        if self.steps.is_empty() && self.skips.is_empty() {
            out.push_str("  nothing to do\n");
        }
    }
}

impl ExplainedLink {
    fn render(&self, out: &mut String) {
        let _ = write!(out, "  link {}", state_word(self.state));
        match &self.key {
            Some(key) => {
                let name = key.name.as_deref().filter(|name| *name != key.id);
                let name = name.map(|name| format!(" ({})", escape(name))).unwrap_or_default();
                let _ = write!(out, ", object {}{name}", escape(&key.id));
            }
            None => out.push_str(", no object"),
        }
        match self.enabled {
            Some(true) => out.push_str(", enabled"),
            Some(false) => out.push_str(", disabled"),
            None => {}
        }
        if self.missing {
            out.push_str(", missing on the target");
        }
        out.push('\n');
    }
}

impl ExplainedValue {
    fn render(&self, out: &mut String) {
        let desired = match (&self.desired, &self.refers_to) {
            _ if self.sensitive => "(not shown)".to_owned(),
            (Some(slot), _) => show(slot),
            (None, Some(key)) => format!("the account of `{}`", escape(key)),
            (None, None) => "(not known)".to_owned(),
        };
        let strength = match self.strength {
            Strength::CreateOnly => "create_only",
            Strength::Weak => "weak",
            Strength::Normal => "normal",
            Strength::Strong => "strong",
        };
        let _ = writeln!(out, "  {} = {desired}", self.attribute);
        let _ = writeln!(out, "    {strength}  <- {}", why(&self.derivation));
        if !self.derivation.overridden.is_empty() {
            let _ = writeln!(out, "    instead of {}", list(&self.derivation.overridden));
        }
        let differs = |slot: &crate::value::Slot| Some(slot) != self.desired.as_ref();
        if let Some(applied) = self.applied.as_ref().filter(|slot| differs(slot)) {
            let _ = writeln!(out, "    last written {}", show(applied));
        }
        if let Some(observed) = self.observed.as_ref().filter(|slot| differs(slot)) {
            let _ = writeln!(out, "    the target showed {}", show(observed));
        }
        if let Some(drift) = &self.drift {
            let _ = writeln!(out, "    the target now shows {}", show(drift));
        }
        match &self.verdict {
            Verdict::InPlace => out.push_str("    in place\n"),
            Verdict::WouldChange => out.push_str("    would change\n"),
            Verdict::LeftAlone { why, .. } => {
                let _ = writeln!(out, "    left alone: {}", escape(why));
            }
        }
    }
}

impl ExplainedGroup {
    fn render(&self, out: &mut String) {
        let state = match (&self.verdict, self.wanted) {
            (Verdict::InPlace, _) => "in place".to_owned(),
            (Verdict::WouldChange, true) => "would be added".to_owned(),
            (Verdict::WouldChange, false) => {
                "would be taken away: no rule, role or grant gives it any more".to_owned()
            }
            (Verdict::LeftAlone { why, .. }, true) => format!("wanted, left alone: {}", escape(why)),
            (Verdict::LeftAlone { why, .. }, false) => format!("not wanted, left alone: {}", escape(why)),
        };
        let mark = if self.privileged { " (privileged)" } else { "" };
        let because =
            if self.because.is_empty() { String::new() } else { format!("  <- {}", list(&self.because)) };
        let _ = writeln!(out, "  group {}{mark}: {state}{because}", escape(&self.group));
    }
}

impl OpenStep {
    fn render(&self, out: &mut String) {
        let state = match &self.state {
            StepState::Intent => "announced, outcome not known yet".to_owned(),
            StepState::Waiting { until } => format!("waits for its next attempt at {until}"),
            StepState::Pending { until, .. } => format!("the target works on it; asked again at {until}"),
            StepState::Failed => "failed".to_owned(),
            StepState::Disputed => "a person must decide".to_owned(),
            StepState::Done => "done".to_owned(),
            StepState::Skipped { why } => format!("not tried: {}", escape(why)),
        };
        let _ = writeln!(
            out,
            "  {} of plan {}: {state} ({} attempts)",
            escape(self.step.as_str()),
            self.plan,
            self.attempts
        );
        if let Some(error) = &self.error {
            let _ = writeln!(out, "    {}", escape(&error.message));
        }
    }
}

/// Ids in a row.
fn list(ids: &[crate::id::PolicyRef]) -> String {
    if ids.is_empty() {
        return "the policy".to_owned();
    }
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A derivation in words.
fn why(derivation: &Derivation) -> String {
    render_derivation(derivation, &[])
}
