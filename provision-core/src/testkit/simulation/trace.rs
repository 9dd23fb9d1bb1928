//! What happened, in order: the last lines as text, everything as a digest.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;

use super::lock;
use crate::value::Timestamp;

/// Lines kept unless a profile says otherwise.
const LINES: usize = 400;

#[derive(Debug)]
struct Lines {
    digest: u64,
    kept: VecDeque<String>,
    most: usize,
}

/// The trace of one run.
#[derive(Debug)]
pub(super) struct Trace(Mutex<Lines>);

impl Trace {
    pub(super) fn new(whole: bool) -> Self {
        let most = if whole { usize::MAX } else { LINES };
        Self(Mutex::new(Lines { digest: 0xCBF2_9CE4_8422_2325, kept: VecDeque::new(), most }))
    }

    /// Adds a line.
    pub(super) fn note(&self, at: Timestamp, line: fmt::Arguments<'_>) {
        let line = format!("{at} {line}");
        let mut lines = lock(&self.0);
        for byte in line.bytes() {
            lines.digest = (lines.digest ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
        }
        if lines.kept.len() >= lines.most {
            lines.kept.pop_front();
        }
        lines.kept.push_back(line);
    }

    /// Adds a number to the digest alone.
    pub(super) fn count(&self, number: u64) {
        let mut lines = lock(&self.0);
        lines.digest = (lines.digest ^ number).wrapping_mul(0x100_0000_01B3).rotate_left(5);
    }

    /// The digest so far.
    pub(super) fn digest(&self) -> String {
        format!("{:016x}", lock(&self.0).digest)
    }

    /// The lines that are kept.
    pub(super) fn lines(&self) -> Vec<String> {
        lock(&self.0).kept.iter().cloned().collect()
    }
}
