//! The lint that never lets a plan touch what is protected: our own principal, break-glass accounts.

use std::collections::BTreeSet;

use crate::connector::ObjectKey;
use crate::id::{ClassName, Tag, TargetName};
use crate::plan::PlanInput;
use crate::plan::draft::Draft;
use crate::policy::RefusalReason;

/// Drops the steps on protected objects.
pub(in crate::plan) fn pass(input: &PlanInput<'_>, draft: &mut Draft) {
    let mut dropped: BTreeSet<(TargetName, ClassName, Tag)> = BTreeSet::new();
    draft.steps.retain(|step| {
        let protected = input.targets.get(&step.target).is_some_and(|facts| {
            step.key.as_ref().is_some_and(|key| is_protected(&facts.settings.protected, key))
        });
        if protected {
            dropped.insert((step.target.clone(), step.class.clone(), step.tag.clone()));
        }
        !protected
    });
    for (target, class, tag) in dropped {
        let detail = "the object is protected in the target's settings: it is never changed";
        draft.skip(input, (&target, &class, &tag), RefusalReason::Protected, detail);
    }
}

/// Whether an object is named in `protected`, by id or by name, case ignored.
pub(crate) fn is_protected(protected: &BTreeSet<String>, key: &ObjectKey) -> bool {
    let names = [Some(key.id.as_str()), key.name.as_deref()];
    names
        .into_iter()
        .flatten()
        .any(|name| protected.iter().any(|known| known.to_lowercase() == name.to_lowercase()))
}
