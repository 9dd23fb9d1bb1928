//! The whole road on real components: feed, identity, policy, plan, journal, target.

mod apply;
mod world;
