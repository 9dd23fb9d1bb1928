//! The store in memory: for tests, previews and hosts that keep nothing.

/// A store whose rows live in this process.
#[derive(Debug)]
pub struct MemoryStore;
