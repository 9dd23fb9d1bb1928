//! Reading a plan: what is left alone, then a few people's steps with the reason of every value.

use std::collections::{BTreeMap, BTreeSet};

use provision_core::Result;
use provision_core::engine::Engine;
use provision_core::id::IdentityId;
use provision_core::plan::{Action, PlanHeader, Skip, Step, render_skip, render_step};
use provision_core::policy::RefusalReason;
use provision_core::schema::ObjectClass;
use provision_core::text::escape;

use super::Stage;
use super::day::Stories;
use crate::screen::say;

/// A plan's steps and skips, whole: 500 people fit into memory. A host reads chunk by chunk.
pub(super) struct Contents {
    steps: Vec<Step>,
    skips: Vec<Skip>,
}

impl Contents {
    pub(super) async fn read(engine: &Engine, header: &PlanHeader) -> Result<Self> {
        let (mut steps, mut skips) = (Vec::new(), Vec::new());
        for number in 0..header.chunks {
            if let Some(chunk) = engine.plan_steps(header.id, number).await? {
                steps.extend(chunk.steps);
                skips.extend(chunk.skips);
            }
        }
        Ok(Self { steps, skips })
    }
}

/// Steps shown in full for one person.
const FULL: usize = 2;

impl Stage<'_> {
    pub(super) async fn show_plan(&self, contents: &Contents, stories: Stories) -> Result<()> {
        self.show_skips(&contents.skips);
        if stories.is_empty() {
            return Ok(());
        }
        say("");
        say("A few of them, with the reason of every value:");
        for (key, why) in stories {
            let Some(identity) = self.person(key).await? else { continue };
            self.show_person(contents, identity, why).await?;
        }
        Ok(())
    }

    fn show_skips(&self, skips: &[Skip]) {
        let mut by_reason: BTreeMap<RefusalReason, Vec<&Skip>> = BTreeMap::new();
        for skip in skips {
            by_reason.entry(skip.reason).or_default().push(skip);
        }
        for (reason, skips) in by_reason {
            let people: BTreeSet<&str> = skips.iter().map(|skip| skip.label.as_str()).collect();
            say("");
            say(self.screen.yellow(&format!("Left alone, {}: {} people", reason.as_str(), people.len())));
            let mut shown: BTreeSet<&str> = BTreeSet::new();
            for skip in skips {
                if shown.len() < 3 && shown.insert(&skip.label) {
                    say(format!("  {} on {}: {}", skip.label, skip.target, escape(&skip.detail)));
                }
            }
            if people.len() > shown.len() {
                say(self.screen.dim(&format!("  and {} more", people.len() - shown.len())));
            }
        }
    }

    async fn show_person(&self, contents: &Contents, identity: IdentityId, why: &str) -> Result<()> {
        let steps: Vec<&Step> = contents.steps.iter().filter(|step| step.identity == identity).collect();
        let skips = contents.skips.iter().filter(|skip| skip.identity == identity);
        let label =
            steps.first().map(|step| &step.label).or_else(|| skips.clone().map(|skip| &skip.label).next());
        let Some(label) = label else { return Ok(()) };
        say("");
        say(format!("{} {}", self.screen.bold(label), self.screen.dim(&format!("({why})"))));
        // What says most first: the directory's account, then its other steps, then the badge.
        let mut ordered = steps;
        ordered.sort_by_key(|step| (step.target.as_str() != "directory", rank(&step.action)));
        for (number, step) in ordered.iter().enumerate() {
            let class = self.class_of(step).await?;
            let text = render_step(step, class.as_ref(), number < FULL);
            let text = if number < FULL { text } else { one_line(&text) };
            // The headline says for whom.
            let text = text.replacen(&format!("  for {label}"), "", 1);
            for line in self.screen.step(&text).lines() {
                say(format!("  {line}"));
            }
        }
        for skip in skips {
            let text = render_skip(skip).replacen(&format!("  for {label}"), "", 1);
            for line in self.screen.step(&text).lines() {
                say(format!("  {line}"));
            }
        }
        Ok(())
    }

    /// The schema of a step's class: tells which values are not shown.
    async fn class_of(&self, step: &Step) -> Result<Option<ObjectClass>> {
        let target = self.engine.target(&step.target).await?.value;
        Ok(target.discovery.and_then(|discovery| discovery.schema.classes.get(&step.class).cloned()))
    }
}

fn rank(action: &Action) -> u8 {
    match action {
        Action::Create { .. } => 0,
        Action::Disable | Action::Enable => 1,
        Action::Rename { .. } => 2,
        Action::Update { .. } => 3,
        Action::AddMember { .. } | Action::RemoveMember { .. } => 4,
        Action::Delete => 5,
        Action::Release => 6,
    }
}

/// The first line, and a group's name from the second.
fn one_line(text: &str) -> String {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let group =
        lines.next().map(str::trim).filter(|line| line.starts_with("into ") || line.starts_with("out of "));
    match group {
        Some(group) => format!("{first}  {group}\n"),
        None => format!("{first}\n"),
    }
}
