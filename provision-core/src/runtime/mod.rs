//! The shell: time, randomness, authorization, progress, and the process-wide [`Runtime`].

mod authorizer;
mod clock;
mod deadline;
pub(crate) mod meter;
mod progress;
#[allow(clippy::module_inception, reason = "the folder and its main noun share the name of the design")]
mod runtime;
mod skew;
mod wake;

pub use authorizer::{AllowAll, Authorizer, CautiousAuthorizer, Operation, denied};
#[cfg(feature = "postgres")]
pub(crate) use clock::Moment;
pub use clock::{Clock, FixedClock, Random, SeededRandom, SystemClock, SystemRandom, mint};
pub(crate) use deadline::within;
pub use progress::{Progress, ProgressState};
pub(crate) use runtime::Inner;
pub use runtime::{Runtime, RuntimeBuilder};
