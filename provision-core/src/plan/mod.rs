//! Plans: immutable, ordered steps with preconditions and reasons, made by a pure planner.

mod budget;
mod draft;
mod guard;
mod header;
mod input;
mod names;
mod pass;
mod planner;
mod render;
mod settings;
mod spending;
mod step;

pub use budget::{Budget, BudgetKind, Budgets};
pub use draft::{Draft, LeftAttribute, WaitingMember, WaitingReference};
pub use guard::{Allowance, over_budget};
pub use header::{PlanChunk, PlanHeader, PlanState, Planned, Scope, Skip, TargetCounts};
pub use input::{PlanInput, ReferenceKey, Resolved, TargetFacts, role_reference};
pub use names::{NameIndex, StemQuery};
pub use planner::plan_identity;
pub(crate) use render::render_derivation;
pub use render::{render_header, render_skip, render_step};
pub use settings::{ClassSettings, Drive, OnDelete, PaceSettings, RetrySchedule, TargetSettings};
pub use spending::Spending;
pub use step::{Action, OutputRef, Precondition, Reason, Step};

pub(crate) use draft::step_id;
pub(crate) use names::{in_use, may_take};
pub(crate) use pass::attributes_reference as reference_action;
pub(crate) use pass::member_budgets;
pub(crate) use pass::protected as is_protected;
pub(crate) use planner::digest_steps;
