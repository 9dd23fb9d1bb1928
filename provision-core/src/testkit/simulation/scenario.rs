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
            ..Self::everyday()
        }
    }

    /// Processes stop beyond their leases and go on, while people change.
    pub fn leases() -> Self {
        Self { processes: 3, deeds: 10, join: 5, moves: 20, pauses: 12, ..Self::calm("leases") }
    }

    /// People change again while somebody works on them.
    pub fn restless() -> Self {
        Self { people: (6, 12), deeds: 30, join: 5, moves: 40, away: 10, ..Self::calm("restless") }
    }

    /// Many leave at once, and there are several processes to see to it.
    pub fn exodus() -> Self {
        Self {
            people: (12, 16),
            processes: 4,
            batch: 1,
            deeds: 16,
            budget: 3,
            leave: 30,
            join: 6,
            ..Self::calm("exodus")
        }
    }

    /// Answers are lost and processes die.
    pub fn lossy() -> Self {
        let faults = Faults { lost_answer: 150, lost_request: 50, detached: 100, ..CALM };
        Self { crashes: 1_000, faults, join: 20, moves: 20, ..Self::calm("lossy") }
    }

    /// Strangers have the names that newcomers would get.
    pub fn strangers() -> Self {
        Self { people: (1, 4), deeds: 20, join: 20, strangers: 40, ..Self::calm("strangers") }
    }

    /// Several processes fill the same few groups.
    pub fn crowds() -> Self {
        let faults = Faults { contended: 1_000, ..CALM };
        Self {
            people: (12, 18),
            processes: 4,
            batch: 2,
            deeds: 14,
            members_per_request: 2,
            faults,
            moves: 30,
            edits: 6,
            ..Self::calm("crowds")
        }
    }

    /// Few names, plans that nobody applies, weeks that pass.
    pub fn namesakes() -> Self {
        Self {
            people: (2, 5),
            bursts: 5,
            deeds: 12,
            nights: (90_000, 900_000),
            drive: Some(Drive::Review),
            budget: 1,
            deletes: 1_000,
            join: 20,
            moves: 20,
            leave: 15,
            returns: 3,
            kills: 10,
            ..Self::calm("namesakes")
        }
    }

    /// Reviewed plans that are older than what they are made of.
    pub fn reviews() -> Self {
        Self {
            drive: Some(Drive::Review),
            deeds: 24,
            join: 10,
            moves: 30,
            leave: 8,
            returns: 8,
            ..Self::calm("reviews")
        }
    }

    /// The policy changes for many, and somebody leaves meanwhile.
    pub fn queue() -> Self {
        Self { people: (30, 40), bursts: 2, deeds: 10, batch: 1, leave: 20, edits: 20, ..Self::calm("queue") }
    }

    /// More leaves than one may take away, and several who decide.
    pub fn boards() -> Self {
        Self {
            people: (8, 12),
            processes: 4,
            deeds: 16,
            thought: 5,
            budget: 1,
            leave: 30,
            join: 10,
            ..Self::calm("boards")
        }
    }

    /// Last days come while nobody runs.
    pub fn nights() -> Self {
        Self {
            people: (6, 10),
            processes: 1,
            bursts: 4,
            deeds: 14,
            ends: 20,
            kills: 20,
            jumps: 20,
            ..Self::calm("nights")
        }
    }

    /// Every scenario.
    pub(super) fn scenarios() -> [Self; 11] {
        [
            Self::leases(),
            Self::restless(),
            Self::exodus(),
            Self::lossy(),
            Self::strangers(),
            Self::crowds(),
            Self::namesakes(),
            Self::reviews(),
            Self::queue(),
            Self::boards(),
            Self::nights(),
        ]
    }
}
