//! The whole road on real components: feed, identity, policy, plan, journal, target.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking, helper functions included"
)]

mod apply;
mod brownfield;
mod crash;
mod engagements;
mod golden;
mod group;
mod laws;
mod maps;
mod meeting;
mod names;
mod onboarding;
mod outcomes;
mod people;
mod planner;
mod planted;
mod reconcile;
mod review_execute;
mod review_marks;
mod review_planning;
mod review_reading;
mod role_groups;
mod tagged;
mod view;
mod wire;
mod world;
