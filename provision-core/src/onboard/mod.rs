//! Onboarding: what a target that already has accounts looks like to us, before anything is written.

mod correlate;
mod report;

pub use correlate::{Match, correlate};
pub use report::{OnboardingReport, OnboardingRow, Situation};
