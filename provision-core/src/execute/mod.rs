//! The executor: journals the intent, makes one attempt, journals the outcome. It decides nothing: every value and
//! every order is in the plan, or is the named output of an earlier step.

mod call;
mod company;
mod credential;
mod doubt;
mod edges;
mod ending;
mod gathered;
mod group_lane;
mod history;
mod journal;
mod lane;
mod names;
mod order;
mod pacing;
mod read_back;
mod settle;
mod skip;
mod spending;
mod stranded;
mod unit;
mod wave;
#[cfg(test)]
mod workbench;

pub(crate) use company::{Bringing, Company};
pub use credential::CredentialDelivery;
pub(crate) use edges::find_group;
pub(crate) use group_lane::GroupLanes;
pub use journal::{JournalEntry, StepState};
pub(crate) use lane::Lane;
pub(crate) use pacing::{Paced, Pacers};
use unit::{Ended, Unit, units};
