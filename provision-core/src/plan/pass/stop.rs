//! Targets that are not written to: drive `observe`, paused, quarantined, store restored.

use std::collections::BTreeMap;

use crate::id::{ClassName, Tag, TargetName};
use crate::plan::draft::Draft;
use crate::plan::{Drive, PlanInput};
use crate::policy::RefusalReason;

/// Turns the steps of such targets into skips, unless the plan is a preview.
pub(in crate::plan) fn pass(input: &PlanInput<'_>, draft: &mut Draft) {
    if input.preview {
        return;
    }
    let mut dropped: BTreeMap<(TargetName, ClassName, Tag), (String, Vec<&'static str>)> = BTreeMap::new();
    draft.steps.retain(|step| {
        let Some(facts) = input.targets.get(&step.target) else { return false };
        let why = match (&facts.stopped, facts.settings.drive) {
            (Some(why), _) => why.clone(),
            (None, Drive::Observe) => "the target's drive is `observe`".to_owned(),
            (None, Drive::Review | Drive::Enforce) => return true,
        };
        let at = (step.target.clone(), step.class.clone(), step.tag.clone());
        dropped.entry(at).or_insert_with(|| (why, Vec::new())).1.push(step.action.word());
        false
    });
    for ((target, class, tag), (why, words)) in dropped {
        let detail = format!("{why}; would {}", words.join(", "));
        draft.skip(input, (&target, &class, &tag), RefusalReason::Observed, detail);
    }
    draft.waiting.retain(|waiting| {
        input
            .targets
            .get(&waiting.target)
            .is_some_and(|facts| facts.stopped.is_none() && facts.settings.drive != Drive::Observe)
    });
}
