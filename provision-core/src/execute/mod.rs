//! The executor: journals the intent, makes one attempt, journals the outcome. It decides nothing.

mod journal;

pub use journal::{JournalEntry, StepState};
