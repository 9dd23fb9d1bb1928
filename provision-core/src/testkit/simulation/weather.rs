//! How slow and how broken the way to the store and to the targets is.

use std::sync::Mutex;
use std::time::Duration;

use super::clock::Time;
use super::dice::Dice;
use super::lock;

/// The chances of a world, in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// A call never reaches the target.
    pub refused: u64,
    /// A write is done and its answer is lost.
    pub lost_answer: u64,
    /// A write is lost on the way, and nobody says so before the deadline.
    pub lost_request: u64,
    /// A write goes on after its caller died or stopped waiting.
    pub detached: u64,
    /// The target asks for a pause.
    pub rate_limited: u64,
    /// A membership request that meets another one on the same group is refused.
    pub contended: u64,
    /// A listing says that it is not whole, stops without a word, or fails.
    pub broken_listing: u64,
    /// The store is busy: nothing was written.
    pub store_busy: u64,
}

/// The weather of a world.
#[derive(Debug)]
pub(super) struct Weather {
    pub(super) time: Time,
    pub(super) dice: Dice,
    faults: Mutex<Faults>,
}

impl Weather {
    /// Nothing goes wrong yet.
    pub(super) fn new(time: Time, dice: Dice) -> Self {
        Self { time, dice, faults: Mutex::default() }
    }

    pub(super) fn faults(&self) -> Faults {
        *lock(&self.faults)
    }

    /// From now on so much goes wrong.
    pub(super) fn set(&self, faults: Faults) {
        *lock(&self.faults) = faults;
    }

    /// The edge of a call to the store: others may go first.
    pub(super) async fn near(&self) {
        match self.dice.below(8) {
            0..=3 => {}
            4..=6 => self.time.sleep(Duration::from_micros(self.dice.between(1, 200))).await,
            _ => self.time.sleep(Duration::from_millis(self.dice.between(1, 40))).await,
        }
    }

    /// The edge of a call to a target: it takes its time.
    pub(super) async fn far(&self) {
        let millis = match self.dice.below(20) {
            0 => self.dice.between(500, 2_000),
            1..=5 => self.dice.between(50, 300),
            _ => self.dice.between(1, 20),
        };
        self.time.sleep(Duration::from_millis(millis)).await;
    }
}
