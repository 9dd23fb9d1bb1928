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
    let why = |target: &TargetName| match input.targets.get(target) {
        None => Some("the target is not configured".to_owned()),
        Some(facts) => match (&facts.stopped, facts.settings.drive) {
            (Some(why), _) => Some(why.clone()),
            (None, Drive::Observe) => Some("the target's drive is `observe`".to_owned()),
            (None, Drive::Review | Drive::Enforce) => None,
        },
    };
    let mut dropped: BTreeMap<(TargetName, ClassName, Tag), (String, Vec<&'static str>)> = BTreeMap::new();
    let mut drop = |target: &TargetName, class: &ClassName, tag: &Tag, word: &'static str| {
        let Some(why) = why(target) else { return false };
        let at = (target.clone(), class.clone(), tag.clone());
        dropped.entry(at).or_insert_with(|| (why, Vec::new())).1.push(word);
        true
    };
    draft.steps.retain(|step| !drop(&step.target, &step.class, &step.tag, step.action.word()));
    // A reference that waits would become an update.
    draft.waiting.retain(|waiting| !drop(&waiting.target, &waiting.class, &waiting.tag, "update"));
    for ((target, class, tag), (why, words)) in dropped {
        let detail = format!("{why}; would {}", words.join(", "));
        draft.skip(input, (&target, &class, &tag), RefusalReason::Observed, detail);
    }
}
