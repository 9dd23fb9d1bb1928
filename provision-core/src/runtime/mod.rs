//! The shell: time, randomness, the process-wide runtime.

mod clock;

pub use clock::{Clock, FixedClock, Random, SeededRandom, SystemClock, SystemRandom, mint};
