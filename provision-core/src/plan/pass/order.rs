//! Order: which step needs which, inside one identity. A failure stops only what depends on it (law 9).

use crate::id::StepId;
use crate::plan::draft::Draft;
use crate::plan::{Action, PlanInput, Step};

/// The place of an action among the steps of one account.
fn rank(action: &Action) -> u8 {
    match action {
        Action::Disable => 0,
        Action::Create { .. } => 1,
        Action::Rename { .. } => 2,
        Action::RemoveMember { .. } => 3,
        Action::Update { .. } => 4,
        Action::Delete => 5,
        Action::Enable => 6,
        Action::AddMember { .. } => 7,
        Action::Release => 8,
    }
}

/// Sorts the steps and fills in what each needs.
pub(in crate::plan) fn pass(_input: &PlanInput<'_>, draft: &mut Draft) {
    draft.steps.sort_by(|a, b| {
        let place = |step: &Step| {
            (!step.offboarding, step.target.clone(), step.class.clone(), step.tag.clone(), rank(&step.action))
        };
        place(a).cmp(&place(b)).then_with(|| a.id.cmp(&b.id))
    });
    let all: Vec<Step> = draft.steps.clone();
    for step in &mut draft.steps {
        let account = |other: &&Step| {
            (&other.target, &other.class, &other.tag) == (&step.target, &step.class, &step.tag)
                && other.id != step.id
        };
        step.needs = all
            .iter()
            .filter(account)
            .filter(|other| needs(step, other))
            .map(|other| other.id.clone())
            .collect::<Vec<StepId>>();
    }
}

fn needs(step: &Step, other: &Step) -> bool {
    match (&step.action, &other.action) {
        (Action::Release, _) => true,
        (Action::Delete, Action::RemoveMember { .. } | Action::Disable) => true,
        (Action::Create { .. }, _) => false,
        (_, Action::Create { .. }) => true,
        // The name is part of the key on many targets: the other changes use the new one.
        (Action::Update { .. } | Action::Enable | Action::AddMember { .. }, Action::Rename { .. }) => true,
        // Nobody signs in with yesterday's values.
        (Action::Enable, Action::Update { .. }) => true,
        _ => false,
    }
}
