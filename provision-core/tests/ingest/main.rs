//! From feeds to identities, on both stores.
#![cfg(test)]

#[cfg(feature = "sqlite")]
mod concurrent;
mod correlation;
mod dispute;
mod engagements;
mod fixture;
mod hold;
mod incomplete;
mod law;
mod lifecycle;
mod precedence;
mod resume;
mod sequence;
#[cfg(feature = "sqlite")]
mod upgrade;
