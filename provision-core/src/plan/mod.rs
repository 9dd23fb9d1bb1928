//! Plans: immutable, ordered steps with preconditions and reasons, made by a pure planner.

mod budget;
mod settings;
mod step;

pub use budget::{Budget, BudgetKind, Budgets};
pub use settings::{ClassSettings, Drive, OnDelete, RetrySchedule, TargetSettings};
pub use step::{Action, OutputRef, Precondition, Reason, Step};
