//! What a world is made of and what happens in it.

use super::population::{Event, Flaw};
use super::weather::Faults;
use crate::plan::Drive;

/// What a person or a machine does in a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Person(Event),
    Flaw(Flaw),
    Grant,
    Revoke,
    Extend,
    Terminate,
    Stranger,
    Edit,
    Backup,
    Restore,
    Reconcile,
    Onboard,
    Ensure,
    Halt,
    Retry,
    Kill,
    Pause,
    Jump,
    Squat,
    Outage,
}

/// What a simulation stresses. Numbers are weights unless said otherwise; 0: never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// For the report and the replay.
    pub name: &'static str,
    /// People of a source at the beginning, at least and at most.
    pub people: (u64, u64),
    /// Realms at most.
    pub realms: u64,
    /// Sources of a realm at most.
    pub sources: u64,
    /// In how many worlds of a thousand a realm has a second target.
    pub second_target: u64,
    /// Processes.
    pub processes: u64,
    /// Workers of the continuous drive in each process.
    pub workers: u32,
    /// Identities that a worker claims together.
    pub batch: u32,
    /// Times in which much happens, with hours in between.
    pub bursts: u64,
    /// What happens in each of them.
    pub deeds: u64,
    /// People to whom something happens in one feed, at least and at most.
    pub together: (u64, u64),
    /// Seconds between the bursts, at least and at most.
    pub nights: (u64, u64),
    /// Minutes that somebody thinks about a hold before deciding it, at most.
    pub thought: u64,
    /// The directory's drive; `None`: by the seed.
    pub drive: Option<Drive>,
    /// In how many worlds of a thousand accounts get passwords.
    pub passwords: u64,
    /// Disables and removals of memberships in 24 hours before somebody must approve.
    pub budget: u64,
    /// Edges of one membership request.
    pub members_per_request: u32,
    /// In how many worlds of a thousand the end of an account is its deletion.
    pub deletes: u64,
    /// How far the clock of a process is off, in seconds, at most.
    pub skew: u64,
    /// A process dies at an await, in a million.
    pub crashes: u64,
    /// What goes wrong on the way.
    pub faults: Faults,
    /// Somebody joins.
    pub join: u64,
    /// Somebody moves.
    pub moves: u64,
    /// Somebody leaves, by status.
    pub leave: u64,
    /// Somebody comes back.
    pub returns: u64,
    /// Somebody gets a last day, today or tomorrow.
    pub ends: u64,
    /// Somebody's row is gone.
    pub vanish: u64,
    /// Somebody is on leave or suspended.
    pub away: u64,
    /// A feed that is not to be believed.
    pub flawed: u64,
    /// Grants given, taken back and moved.
    pub grants: u64,
    /// An emergency termination.
    pub terminate: u64,
    /// A stranger changes the target.
    pub strangers: u64,
    /// The policy changes.
    pub edits: u64,
    /// A backup is made, or restored.
    pub backups: u64,
    /// A target is read whole.
    pub reads: u64,
    /// Somebody needs an account at once; a target is paused for a while; what failed is tried again.
    pub calls: u64,
    /// A process is killed and another one started.
    pub kills: u64,
    /// A process is stopped for longer than its leases and goes on.
    pub pauses: u64,
    /// The clock jumps.
    pub jumps: u64,
    /// A stranger makes an account that has the name of one of ours to be.
    pub squatters: u64,
    /// All processes are down for a day.
    pub outages: u64,
}

impl Profile {
    /// A bit of everything.
    pub fn everyday() -> Self {
        Self {
            name: "everyday",
            people: (3, 8),
            realms: 2,
            sources: 2,
            second_target: 400,
            processes: 2,
            workers: 1,
            batch: 4,
            bursts: 3,
            deeds: 7,
            together: (1, 2),
            nights: (600, 36_000),
            thought: 0,
            drive: None,
            passwords: 300,
            budget: 3,
            members_per_request: 3,
            deletes: 300,
            skew: 30,
            crashes: 150,
            faults: Faults {
                refused: 30,
                lost_answer: 40,
                lost_request: 30,
                detached: 150,
                rate_limited: 15,
                contended: 0,
                broken_listing: 20,
                store_busy: 1,
            },
            join: 10,
            moves: 16,
            leave: 8,
            returns: 8,
            ends: 5,
            vanish: 3,
            away: 4,
            flawed: 8,
            grants: 10,
            terminate: 2,
            strangers: 6,
            edits: 3,
            backups: 3,
            reads: 3,
            calls: 6,
            kills: 6,
            pauses: 4,
            jumps: 6,
            squatters: 0,
            outages: 0,
        }
    }

    /// The profile of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().chain(Self::scenarios()).find(|profile| profile.name == name)
    }

    /// Every profile.
    pub fn all() -> Vec<Self> {
        vec![
            Self::everyday(),
            Self::group_lanes(),
            Self::budgets(),
            Self::holds(),
            Self::leases(),
            Self::returns(),
            Self::restores(),
            Self::end_dates(),
            Self::full_queue(),
            Self::names(),
            Self::lost_answers(),
            Self::haste(),
        ]
    }

    /// A life in which people only join, move, leave and come back, and nothing goes wrong.
    fn calm(name: &'static str) -> Self {
        Self {
            name,
            realms: 1,
            sources: 1,
            second_target: 0,
            crashes: 0,
            faults: Faults::default(),
            flawed: 0,
            grants: 0,
            terminate: 0,
            strangers: 0,
            edits: 0,
            backups: 0,
            reads: 0,
            calls: 0,
            kills: 0,
            pauses: 0,
            jumps: 0,
            ..Self::everyday()
        }
    }

    /// Several processes drain the same few groups.
    pub fn group_lanes() -> Self {
        Self {
            drive: Some(Drive::Enforce),
            people: (8, 14),
            processes: 3,
            workers: 2,
            batch: 2,
            members_per_request: 2,
            grants: 20,
            edits: 6,
            kills: 4,
            crashes: 300,
            faults: Self::everyday().faults,
            budget: 30,
            ..Self::calm("group-lanes")
        }
    }

    /// Many leavers, little budget, several processes.
    pub fn budgets() -> Self {
        Self {
            drive: Some(Drive::Enforce),
            people: (8, 12),
            processes: 3,
            workers: 2,
            batch: 1,
            budget: 2,
            leave: 30,
            vanish: 10,
            returns: 10,
            join: 6,
            moves: 6,
            bursts: 4,
            jumps: 4,
            crashes: 300,
            faults: Self::everyday().faults,
            ..Self::calm("budgets")
        }
    }

    /// Plans over budget wait for one of several people who approve at the same time.
    pub fn holds() -> Self {
        Self { processes: 3, budget: 1, pauses: 2, name: "holds", ..Self::budgets() }
    }

    /// Processes stop for longer than their leases and go on.
    pub fn leases() -> Self {
        Self {
            drive: Some(Drive::Enforce),
            processes: 3,
            workers: 2,
            batch: 3,
            pauses: 25,
            kills: 8,
            crashes: 200,
            faults: Self::everyday().faults,
            moves: 25,
            ..Self::calm("leases")
        }
    }

    /// People leave and come back, quickly.
    pub fn returns() -> Self {
        Self {
            people: (3, 6),
            leave: 30,
            returns: 40,
            vanish: 10,
            terminate: 6,
            deletes: 500,
            budget: 20,
            crashes: 200,
            faults: Self::everyday().faults,
            ..Self::calm("returns")
        }
    }

    /// Backups are made and restored.
    pub fn restores() -> Self {
        Self { backups: 20, join: 20, crashes: 100, budget: 20, second_target: 500, ..Self::calm("restores") }
    }

    /// Last days and the ends of grants come, also while nobody runs.
    pub fn end_dates() -> Self {
        Self {
            ends: 30,
            grants: 20,
            kills: 15,
            jumps: 15,
            bursts: 4,
            crashes: 300,
            budget: 20,
            ..Self::calm("end-dates")
        }
    }

    /// More work than the workers can do, and leavers in it.
    pub fn full_queue() -> Self {
        Self {
            drive: Some(Drive::Enforce),
            people: (12, 18),
            processes: 1,
            batch: 1,
            leave: 20,
            edits: 30,
            moves: 40,
            pauses: 10,
            budget: 30,
            ..Self::calm("full-queue")
        }
    }

    /// Many people of few names, who leave and whose accounts are deleted; strangers with the same names.
    pub fn names() -> Self {
        Self {
            people: (6, 12),
            join: 40,
            leave: 15,
            deletes: 1_000,
            strangers: 20,
            second_target: 1_000,
            budget: 30,
            crashes: 300,
            faults: Self::everyday().faults,
            ..Self::calm("names")
        }
    }

    /// The network loses every fifth request or answer.
    pub fn lost_answers() -> Self {
        Self {
            faults: Faults {
                refused: 50,
                lost_answer: 200,
                lost_request: 100,
                detached: 300,
                rate_limited: 20,
                contended: 300,
                broken_listing: 50,
                store_busy: 0,
            },
            second_target: 700,
            passwords: 500,
            kills: 5,
            crashes: 400,
            budget: 20,
            ..Self::calm("lost-answers")
        }
    }

    /// People change while they are being worked on.
    pub fn haste() -> Self {
        Self {
            drive: Some(Drive::Enforce),
            people: (2, 4),
            processes: 3,
            workers: 2,
            batch: 4,
            deeds: 25,
            moves: 50,
            grants: 20,
            budget: 30,
            crashes: 100,
            faults: Faults { lost_answer: 60, ..Self::everyday().faults },
            ..Self::calm("haste")
        }
    }

    pub(super) fn deeds(&self) -> Vec<(u64, Deed)> {
        let mut deeds = vec![
            (self.join, Deed::Person(Event::Join)),
            (self.moves, Deed::Person(Event::Move)),
            (self.leave, Deed::Person(Event::Leave)),
            (self.returns, Deed::Person(Event::Return)),
            (self.ends, Deed::Person(Event::EndSoon)),
            (self.vanish, Deed::Person(Event::Vanish)),
            (self.away, Deed::Person(Event::Away)),
            (self.grants, Deed::Grant),
            (self.grants / 2, Deed::Revoke),
            (self.grants / 3, Deed::Extend),
            (self.terminate, Deed::Terminate),
            (self.strangers, Deed::Stranger),
            (self.edits, Deed::Edit),
            (self.backups, Deed::Backup),
            (self.backups, Deed::Restore),
            (self.reads, Deed::Reconcile),
            (self.reads / 2, Deed::Onboard),
            (self.calls, Deed::Ensure),
            (self.calls / 3, Deed::Halt),
            (self.calls / 3, Deed::Retry),
            (self.kills, Deed::Kill),
            (self.pauses, Deed::Pause),
            (self.jumps, Deed::Jump),
            (self.squatters, Deed::Squat),
            (self.outages, Deed::Outage),
        ];
        let flaws = [
            Flaw::Empty,
            Flaw::Half,
            Flaw::Partial,
            Flaw::Broken,
            Flaw::WithoutEnd,
            Flaw::Cleared,
            Flaw::Replay,
            Flaw::Massacre,
        ];
        deeds.extend(flaws.map(|flaw| (self.flawed, Deed::Flaw(flaw))));
        // The other weights are in proportion to all flaws together.
        for (weight, deed) in &mut deeds {
            if !matches!(deed, Deed::Flaw(_)) {
                *weight *= flaws.len() as u64;
            }
        }
        deeds
    }
}
