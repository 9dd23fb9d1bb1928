//! Plans: immutable, ordered steps with preconditions and reasons, made by a pure planner.

mod budget;
mod header;
mod settings;
mod spending;
mod step;

pub use budget::{Budget, BudgetKind, Budgets};
pub use header::{PlanChunk, PlanHeader, PlanState, Planned, Scope, Skip, TargetCounts};
pub use settings::{ClassSettings, Drive, OnDelete, RetrySchedule, TargetSettings};
pub use spending::Spending;
pub use step::{Action, OutputRef, Precondition, Reason, Step};
