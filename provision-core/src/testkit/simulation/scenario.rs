//! Worlds in which one thing happens more often than it does every day.

use super::profile::Profile;
use super::weather::Faults;
use crate::plan::Drive;

const STILL: Faults = Faults {
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
    fn still(name: &'static str) -> Self {
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
            faults: STILL,
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
    pub fn stops() -> Self {
        let faults = Faults { lost_answer: 400, ..STILL };
        let people = Self { people: (4, 8), join: 10, moves: 20, ..Self::still("stops") };
        Self { processes: 3, bursts: 2, deeds: 8, pauses: 20, faults, ..people }
    }

    /// People change again while somebody works on them.
    pub fn restless() -> Self {
        let still = Self::still("restless");
        Self { people: (4, 6), bursts: 1, deeds: 40, together: (2, 4), moves: 40, away: 20, ..still }
    }

    /// Many leave at once, and there are several processes to see to it.
    pub fn exodus() -> Self {
        let still = Self::still("exodus");
        let people = Self { people: (10, 12), together: (4, 6), leave: 30, ..still };
        Self { processes: 4, batch: 1, bursts: 2, deeds: 4, budget: 3, ..people }
    }

    /// Answers are lost and processes die.
    pub fn lossy() -> Self {
        let faults = Faults { lost_answer: 150, lost_request: 50, detached: 100, ..STILL };
        Self { crashes: 1_000, bursts: 2, faults, join: 20, moves: 20, ..Self::still("lossy") }
    }

    /// Strangers take names that newcomers were about to get.
    pub fn squatters() -> Self {
        let still = Self { drive: Some(Drive::Review), ..Self::still("squatters") };
        Self { people: (2, 4), bursts: 2, deeds: 12, join: 20, squatters: 40, ..still }
    }

    /// Several processes fill the same few groups.
    pub fn crowds() -> Self {
        let faults = Faults { contended: 1_000, ..STILL };
        let people = Self { people: (8, 12), together: (3, 5), moves: 30, ..Self::still("crowds") };
        Self {
            processes: 2,
            workers: 3,
            batch: 2,
            bursts: 2,
            deeds: 4,
            members_per_request: 2,
            faults,
            ..people
        }
    }

    /// Few names, plans that nobody applies, weeks that pass.
    pub fn namesakes() -> Self {
        let still =
            Self { drive: Some(Drive::Review), budget: 1, deletes: 1_000, ..Self::still("namesakes") };
        let people = Self { people: (2, 5), join: 30, moves: 5, leave: 30, returns: 3, ..still };
        Self { bursts: 4, deeds: 8, together: (2, 4), nights: (700_000, 900_000), kills: 20, ..people }
    }

    /// Reviewed plans that are older than what they are made of.
    pub fn reviews() -> Self {
        let still = Self { drive: Some(Drive::Review), ..Self::still("reviews") };
        Self { bursts: 1, deeds: 24, join: 10, moves: 30, leave: 8, returns: 8, ..still }
    }

    /// The policy changes for many, and somebody leaves meanwhile.
    pub fn queue() -> Self {
        let people = Self { people: (14, 18), leave: 20, edits: 20, ..Self::still("queue") };
        Self { processes: 1, batch: 1, bursts: 1, deeds: 8, ..people }
    }

    /// More leaves than one may take away, and several who decide.
    pub fn boards() -> Self {
        let people = Self { people: (5, 8), leave: 30, join: 10, ..Self::still("boards") };
        Self { processes: 4, bursts: 2, deeds: 10, thought: 5, budget: 1, ..people }
    }

    /// Last days come while nobody runs.
    pub fn outages() -> Self {
        let still = Self::still("outages");
        Self { people: (4, 6), bursts: 1, deeds: 8, together: (1, 1), ends: 20, outages: 20, ..still }
    }

    /// Every one of these.
    pub fn scenarios() -> [Self; 11] {
        [
            Self::stops(),
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
