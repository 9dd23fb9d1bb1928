//! Planted defects: believable bugs of the engine that its simulation has to find. **Test only, excluded from semver.**
//!
//! A proof that never failed proves little. With the feature `planted` a test can switch one defect on, run the same
//! laws over the same engine, and see them break; without the feature `is` is a constant `false` and every site
//! compiles to what stands without it.
//!
//! The switch is one cell per thread, the only state in this crate that is not handed over. A simulation is one thread
//! from its seed to its verdict, so the defect reaches every engine of the simulated world and none of the test that
//! runs beside it; a switch in the runtime would have to be carried to pure functions that know no runtime.

/// A bug of that name.
#[cfg_attr(not(feature = "planted"), allow(unreachable_pub, reason = "public with the feature"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Defect {
    /// A worker whose lease ended gives back and settles as if it still had it.
    StaleLeaseCommits,
    /// A dirty mark made while somebody works goes with the one before it.
    DirtyClearedAfterNewerChange,
    /// Spending is counted with the outcome instead of with the intent.
    BudgetCountedAfterWrite,
    /// The journal hears of a step with its outcome, not before its call.
    IntentNotJournalled,
    /// A create that is refused as taken takes over whoever has the name.
    AdoptionByName,
    /// Edges that meet another worker's on the same group count as done with it.
    EdgeLostInGroup,
    /// A reservation outlives its plan.
    ReservationKept,
    /// A name that was given up is given to somebody else.
    TombstoneIgnored,
    /// An attempt whose outcome is not known is repeated without looking.
    BlindRetry,
    /// A step is executed although what it was planned from has changed.
    StalePrecondition,
    /// Leavers wait until the queue of the others is empty.
    LeaverBehindQueue,
    /// A hold that was decided is approved again.
    ApprovedTwice,
    /// A write that failed leaves no trace in the history.
    AuditRowMissing,
    /// Dates that come while no process runs are not noticed by the next one.
    EndDateForgotten,
}

#[cfg(feature = "planted")]
mod switch {
    use std::cell::Cell;
    use std::marker::PhantomData;

    use super::Defect;

    thread_local! {
        static PLANTED: Cell<Option<Defect>> = const { Cell::new(None) };
    }

    impl Defect {
        /// Every defect.
        pub const ALL: [Self; 14] = [
            Self::StaleLeaseCommits,
            Self::DirtyClearedAfterNewerChange,
            Self::BudgetCountedAfterWrite,
            Self::IntentNotJournalled,
            Self::AdoptionByName,
            Self::EdgeLostInGroup,
            Self::ReservationKept,
            Self::TombstoneIgnored,
            Self::BlindRetry,
            Self::StalePrecondition,
            Self::LeaverBehindQueue,
            Self::ApprovedTwice,
            Self::AuditRowMissing,
            Self::EndDateForgotten,
        ];

        /// The name in reports.
        pub fn name(self) -> &'static str {
            match self {
                Self::StaleLeaseCommits => "stale lease commits",
                Self::DirtyClearedAfterNewerChange => "dirty flag cleared after a newer change",
                Self::BudgetCountedAfterWrite => "budget counted after the write",
                Self::IntentNotJournalled => "intent not journalled before the call",
                Self::AdoptionByName => "adoption by name",
                Self::EdgeLostInGroup => "edge lost when two workers drain a group",
                Self::ReservationKept => "reservation not released",
                Self::TombstoneIgnored => "tombstone ignored",
                Self::BlindRetry => "retry after Unknown without read-back",
                Self::StalePrecondition => "step executed though its precondition went stale",
                Self::LeaverBehindQueue => "leaver behind a full queue",
                Self::ApprovedTwice => "hold approved twice",
                Self::AuditRowMissing => "audit row missing for a failed write",
                Self::EndDateForgotten => "end date ignored after restart",
            }
        }
    }

    /// A defect at work on this thread; dropping it heals.
    #[derive(Debug)]
    #[must_use = "the defect is healed when this is dropped"]
    pub struct Planted {
        before: Option<Defect>,
        /// The switch is this thread's: the guard stays on it.
        here: PhantomData<*const ()>,
    }

    impl Drop for Planted {
        fn drop(&mut self) {
            PLANTED.set(self.before);
        }
    }

    /// Plants a defect on this thread until the guard is dropped.
    pub fn plant(defect: Defect) -> Planted {
        Planted { before: PLANTED.replace(Some(defect)), here: PhantomData }
    }

    /// Whether a defect is planted on this thread.
    pub(crate) fn is(defect: Defect) -> bool {
        PLANTED.get() == Some(defect)
    }
}

#[cfg(feature = "planted")]
pub(crate) use switch::is;
#[cfg(feature = "planted")]
pub use switch::{Planted, plant};

/// Whether a defect is planted: never, without the feature.
#[cfg(not(feature = "planted"))]
pub(crate) const fn is(_: Defect) -> bool {
    false
}
