//! What the benches share: a population, a policy, a world on SQLite, and the way results are shown.
//!
//! Both benches report *ratios* against a plain competitor that runs in the same process, on the same data and disk,
//! interleaved round by round: absolute times say more about the machine than about the code.

pub mod child;
pub mod counted;
pub mod listed;
pub mod matrix;
mod measure;
mod people;
pub mod pg_rows;
mod policy;
pub mod population;
pub mod postgres;
pub mod report;
mod rows;
mod sink;
mod world;

pub use measure::{Spent, Table, median, peak_memory_kib, seconds, thousands, timed};
pub use people::{People, scatter, write_csv};
pub use policy::BenchPolicy;
pub use rows::{Written, insert_all, open_like, position, written_since};
pub use sink::Sink;
pub use world::{REALM, SOURCE, TARGET, World, WorldOptions};

/// How a bench fails: any error, shown and no more.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How large a bench runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// The sizes the table names; several rounds.
    Full,
    /// Tiny, one round, to see that the bench works.
    Smoke,
}

impl Size {
    /// `--smoke` asks for the small size. `--bench`, which Cargo adds, says nothing; other words are for the bench.
    pub fn asked(arguments: &[String]) -> Self {
        if arguments.iter().any(|argument| argument == "--smoke") { Self::Smoke } else { Self::Full }
    }
}

/// Fails the bench when what it measured is not what it was meant to measure.
///
/// # Errors
/// When the two differ.
pub fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: T, wanted: T) -> Outcome<()> {
    if found == wanted { Ok(()) } else { Err(format!("{what}: {found:?} instead of {wanted:?}").into()) }
}

/// The number after an option, where it is given: `--rows 5000`.
pub fn number_of(arguments: &[String], option: &str) -> Option<usize> {
    let at = arguments.iter().position(|argument| argument == option)?;
    arguments.get(at + 1)?.parse().ok()
}

/// Runs a bench on a runtime with as many threads as the machine has cores.
///
/// # Errors
/// When there can be no runtime, and what the bench fails with.
pub fn run<T>(bench: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(bench)
}
