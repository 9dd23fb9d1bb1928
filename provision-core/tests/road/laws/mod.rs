//! The laws of the architecture, each a test named after its number.

mod absence;
mod answers;
mod budget;
mod cost;
mod ending;
pub(crate) mod faults;
mod history;
mod order;
mod origins;
mod planning;
pub(crate) mod secrets;
