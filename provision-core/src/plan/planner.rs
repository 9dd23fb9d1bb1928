//! The planner: passes over one identity, each `fn(&Input, &mut Draft)`. Synchronous and deterministic.

use super::draft::Draft;
use super::pass::{account, order, protect, stop};
use super::{PlanInput, Step};

/// Plans one identity.
///
/// The same input gives the same draft, byte for byte (law 1). Names come with the evaluation; nothing here reads a
/// clock, a store or a target.
pub fn plan_identity(input: &PlanInput<'_>) -> Draft {
    let mut draft = Draft::default();
    for pass in [account::pass, protect::pass, stop::pass, order::pass] {
        pass(input, &mut draft);
    }
    draft
}

/// Adds the canonical form of steps to a digest: independent of chunks and workers.
pub(crate) fn digest_steps(hasher: &mut sha2::Sha256, steps: &[Step]) -> crate::Result<()> {
    use sha2::Digest;
    for step in steps {
        let text = serde_json::to_vec(step).map_err(|error| {
            crate::Error::new(crate::ErrorKind::Unexpected, "cannot encode a step").with_source(error)
        })?;
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(&text);
    }
    Ok(())
}
