//! The passes of the planner.

pub(super) mod account;
pub(super) mod attributes;
pub(super) mod marker;
pub(super) mod membership;
pub(super) mod offboarding;
pub(super) mod order;
pub(super) mod protect;
mod sets;
pub(super) mod stop;
mod update;
mod withdrawal;

pub(crate) use attributes::reference_action as attributes_reference;
pub(crate) use membership::budgets as member_budgets;
pub(crate) use protect::is_protected as protected;
