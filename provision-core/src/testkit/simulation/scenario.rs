//! Worlds in which one thing happens more often than it does every day.

use super::profile::Profile;
use super::weather::Faults;
use crate::plan::Drive;

const CALM: Faults = Faults {
    refused: 0,
    lost_answer: 0,
    lost_request: 0,
    detached: 0,
    rate_limited: 0,
    contended: 0,
    broken_listing: 0,
    store_busy: 0,
};

impl Profile {
    /// One realm, one source, one target that is written to without a review; nothing goes wrong by itself and
    /// nothing happens.
    fn calm(name: &'static str) -> Self {
        Self {
            name,
            realms: 1,
            sources: 1,
            second_target: 0,
            drive: Some(Drive::Enforce),
            passwords: 0,
            budget: 1_000,
            skew: 0,
            crashes: 0,
            faults: CALM,
            join: 0,
            moves: 0,
            leave: 0,
            returns: 0,
            ends: 0,
            vanish: 0,
            away: 0,
            flawed: 0,
            grants: 0,
            terminate: 0,
            strangers: 0,
            edits: 0,
            backups: 0,
            reads: 0,
            kills: 0,
            pauses: 0,
            jumps: 0,
            squatters: 0,
            outages: 0,
            ..Self::everyday()
        }
    }

    /// Processes stop beyond their leases and go on, while people change.
    pub fn leases() -> Self {
        let calm = Self::calm("leases");
        Self { people: (4, 8), processes: 3, bursts: 2, deeds: 8, join: 10, moves: 20, pauses: 20, ..calm }
    }

    /// People change again while somebody works on them.
    pub fn restless() -> Self {
        let calm = Self::calm("restless");
        Self { people: (4, 6), bursts: 1, deeds: 40, together: (2, 4), moves: 40, away: 20, ..calm }
    }

    /// Many leave at once, and there are several processes to see to it.
    pub fn exodus() -> Self {
        let calm = Self::calm("exodus");
        let people = Self { people: (10, 12), together: (4, 6), leave: 30, ..calm };
        Self { processes: 4, batch: 1, bursts: 2, deeds: 4, budget: 3, ..people }
    }

    /// Answers are lost and processes die.
    pub fn lossy() -> Self {
        let faults = Faults { lost_answer: 150, lost_request: 50, detached: 100, ..CALM };
        Self { crashes: 1_000, bursts: 2, faults, join: 20, moves: 20, ..Self::calm("lossy") }
    }

    /// Strangers take names that newcomers were about to get.
    pub fn squatters() -> Self {
        let calm = Self { drive: Some(Drive::Review), ..Self::calm("squatters") };
        Self { people: (2, 4), bursts: 2, deeds: 12, join: 20, squatters: 40, ..calm }
    }

    /// Several processes fill the same few groups.
    pub fn crowds() -> Self {
        let faults = Faults { contended: 1_000, ..CALM };
        let people = Self { people: (8, 12), together: (3, 5), moves: 30, ..Self::calm("crowds") };
        Self { processes: 4, batch: 2, bursts: 2, deeds: 4, members_per_request: 2, faults, ..people }
    }

    /// Few names, plans that nobody applies, weeks that pass.
    pub fn namesakes() -> Self {
        let calm = Self { drive: Some(Drive::Review), budget: 1, deletes: 1_000, ..Self::calm("namesakes") };
        let people = Self { people: (2, 5), join: 20, moves: 20, leave: 15, returns: 3, ..calm };
        Self { bursts: 5, deeds: 12, nights: (90_000, 900_000), kills: 10, ..people }
    }

    /// Reviewed plans that are older than what they are made of.
    pub fn reviews() -> Self {
        let calm = Self { drive: Some(Drive::Review), ..Self::calm("reviews") };
        Self { bursts: 1, deeds: 24, join: 10, moves: 30, leave: 8, returns: 8, ..calm }
    }

    /// The policy changes for many, and somebody leaves meanwhile.
    pub fn queue() -> Self {
        let people = Self { people: (14, 18), leave: 20, edits: 20, ..Self::calm("queue") };
        Self { processes: 1, batch: 1, bursts: 1, deeds: 8, ..people }
    }

    /// More leaves than one may take away, and several who decide.
    pub fn boards() -> Self {
        let people = Self { people: (5, 8), leave: 30, join: 10, ..Self::calm("boards") };
        Self { processes: 4, bursts: 2, deeds: 10, thought: 5, budget: 1, ..people }
    }

    /// Last days come while nobody runs.
    pub fn outages() -> Self {
        let calm = Self::calm("outages");
        Self { people: (4, 6), bursts: 1, deeds: 8, together: (1, 1), ends: 20, outages: 20, ..calm }
    }

    /// Every scenario.
    pub(super) fn scenarios() -> [Self; 11] {
        [
            Self::leases(),
            Self::restless(),
            Self::exodus(),
            Self::lossy(),
            Self::squatters(),
            Self::crowds(),
            Self::namesakes(),
            Self::reviews(),
            Self::queue(),
            Self::boards(),
            Self::outages(),
        ]
    }
}
