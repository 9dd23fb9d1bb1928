//! Offboarding: what a target's `on_delete` says, in the order disable, revoke, change or delete, release.

use std::collections::BTreeMap;

use super::account::Case;
use super::membership;
use crate::connector::{DeleteStyle, DisableMeaning};
use crate::delta::Delta;
use crate::id::{ClassName, Tag, TargetName};
use crate::plan::draft::Draft;
use crate::plan::{Action, BudgetKind, OnDelete, Step};
use crate::policy::RefusalReason;

/// Sees an account off.
pub(super) fn plan(case: &Case<'_>, draft: &mut Draft) {
    let Some(link) = case.link else { return };
    let gone = link.missing || link.key.is_none();
    let mut steps: Vec<Step> = Vec::new();
    if !gone {
        if deletes(case) && case.input.peopled.contains(&at_of(case)) {
            let detail = "we still have members in it: it is deleted once they are taken out";
            return draft.skip(case.input, case.at(), RefusalReason::HasMembers, detail);
        }
        match ending(case) {
            Ok(ending) => steps.extend(ending),
            Err(detail) => return draft.skip(case.input, case.at(), RefusalReason::Unsupported, detail),
        }
        steps.extend(membership::applied(case).map(|edge| membership::remove(case, edge)));
    }
    steps.push(case.step(Action::Release, Vec::new(), case.because()));
    for mut step in steps {
        step.offboarding = true;
        draft.steps.push(step);
    }
}

fn deletes(case: &Case<'_>) -> bool {
    case.facts.settings.class(&case.wanted.class).on_delete == OnDelete::Delete
}

fn at_of(case: &Case<'_>) -> (TargetName, ClassName, Tag) {
    let (target, class, tag) = case.at();
    (target.clone(), class.clone(), tag.clone())
}

/// The steps of `on_delete`, or why the target cannot do it.
fn ending(case: &Case<'_>) -> Result<Vec<Step>, String> {
    let capabilities = case.facts.discovery.capabilities.class(&case.wanted.class);
    let can_disable = capabilities.disable != DisableMeaning::Unsupported;
    let enabled = case.link.and_then(|link| link.enabled) != Some(false);
    let disable = || case.step(Action::Disable, vec![BudgetKind::Disable], case.because());
    match case.facts.settings.class(&case.wanted.class).on_delete {
        OnDelete::Disable if !can_disable => {
            Err("the target cannot disable: set `on_delete` of this class to `delete` or `update`".to_owned())
        }
        OnDelete::Disable => Ok(if enabled { vec![disable()] } else { Vec::new() }),
        OnDelete::Delete if capabilities.delete == DeleteStyle::Unsupported => {
            Err("the target cannot delete: set `on_delete` of this class to `disable` or `update`".to_owned())
        }
        OnDelete::Delete => Ok(vec![case.step(Action::Delete, vec![BudgetKind::Delete], case.because())]),
        OnDelete::Update(attributes) => {
            let Some(class) = case.facts.discovery.schema.class(&case.wanted.class) else {
                return Err("the target's schema has no such class".to_owned());
            };
            let (wanted, problems) = class.parse(&attributes);
            if let Some(problem) = problems.first() {
                return Err(format!("`on_delete` does not fit the schema: {}", problem.summary));
            }
            let mut has = case.link.map(|link| link.applied.clone()).unwrap_or_default();
            // What somebody has changed since is given anew.
            for (name, slot) in case.link.iter().flat_map(|link| link.drift.iter()) {
                has.insert(name.clone(), slot.clone());
            }
            let delta = Delta::diff(class, &has, &wanted);
            if delta.is_empty() {
                return Ok(Vec::new());
            }
            let action = Action::Update { delta, outputs: BTreeMap::new() };
            // It ends somebody's access: it is budgeted as a disable.
            Ok(vec![case.step(action, vec![BudgetKind::Disable], case.because())])
        }
    }
}
