//! The tables and streams of the store.

#[cfg(doc)]
use crate::id::RealmId;

/// An indexed column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexSpec {
    /// The column's name.
    pub name: &'static str,
    /// No two rows of a realm may have the same value.
    pub unique: bool,
    /// Realms are found by it: it says when a row wants to be looked at ([`super::Store::due_realms`]).
    pub across: bool,
}

const fn plain(name: &'static str) -> IndexSpec {
    IndexSpec { name, unique: false, across: false }
}

const fn unique(name: &'static str) -> IndexSpec {
    IndexSpec { name, unique: true, across: false }
}

const fn across(name: &'static str) -> IndexSpec {
    IndexSpec { name, unique: false, across: true }
}

macro_rules! tables {
    ($kind:ident: $doc:literal { $($(#[$item:meta])* $name:ident = $text:literal [$($index:expr),*];)* }) => {
        #[doc = $doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $kind {
            $($(#[$item])* $name,)*
        }

        impl $kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name in the database.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// The indexed columns.
            pub fn indexes(self) -> &'static [IndexSpec] {
                match self {
                    $(Self::$name => const { &[$($index),*] },)*
                }
            }
        }
    };
}

tables!(Table: "A table of rows." {
    /// Configured targets.
    Target = "target" [];
    /// Configured sources.
    Source = "source" [];
    /// Onboardings of targets, one per target: the report.
    Onboarding = "onboarding" [];
    /// Feeds: one row per delivery.
    Feed = "feed" [plain("source"), plain("content")];
    /// Staged changes of a feed that is not yet promoted.
    FeedChange = "feed_change" [plain("feed")];
    /// Source records.
    SourceRecord = "source_record" [plain("identity"), plain("source"), unique("ordinal")];
    /// Identities.
    Identity = "identity" [unique("source_key"), across("next_change_at")];
    /// Correlation values of identities.
    IdentityKey = "identity_key" [plain("identity")];
    /// Stored grants.
    Grant = "grant_" [plain("identity"), plain("target")];
    /// Links.
    Link = "link" [plain("identity"), unique("object"), plain("target")];
    /// Memberships.
    Membership = "membership" [plain("link"), plain("edge_group")];
    /// Names: reserved, held, tombstones.
    Name = "name" [plain("owner"), plain("plan")];
    /// Dirty identities.
    Work = "work" [across("due"), plain("ready"), plain("fence"), plain("identity")];
    /// Plan headers.
    Plan = "plan" [plain("state")];
    /// Plan chunks.
    PlanChunk = "plan_chunk" [plain("plan")];
    /// Intents and outcomes of steps.
    Journal = "journal" [plain("open"), plain("identity"), plain("plan")];
    /// Holds.
    Hold = "hold" [plain("state")];
    /// Disputes.
    Dispute = "dispute" [plain("state"), plain("target")];
    /// Budget spending, in hourly buckets.
    Spending = "spending" [plain("target")];
    /// References that wait for another identity's account.
    Waiting = "waiting" [plain("waits_for")];
    /// Leases of schedules, groups and the sealer.
    Lease = "lease" [plain("fence")];
    /// The processes that share the store; of the realm that is kept for them ([`RealmId::reserved`]).
    Node = "node" [];
    /// How far calls to a target, or with a credential, are given out to nodes.
    Pace = "pace" [];
    /// Seals of the audit stream.
    Seal = "seal" [];
    /// Answers to idempotent requests.
    Request = "request" [];
    /// Anything there is one of: counters, the last complete cycle of a target.
    Meta = "meta" [across("due")];
});

tables!(Stream: "A stream of rows that are only appended, and deleted from the beginning where it may be trimmed." {
    /// What happened, for `history` and `verify`.
    Audit = "audit" [plain("identity"), plain("plan")];
    /// Events for the host.
    Outbox = "outbox" [plain("identity")];
});

/// The column of a table that is kept beside the key in an index of its own, so that it is read without the row
/// ([`Store::marks`](super::Store::marks)). Nothing is selected by it.
pub const MARK: &str = "mark";

impl Stream {
    /// Whether rows may be deleted from its beginning. The audit is kept whole: its seals prove it.
    pub fn may_be_trimmed(self) -> bool {
        matches!(self, Self::Outbox)
    }
}

impl Table {
    /// Whether the rows of the table may have a [`MARK`].
    pub fn has_mark(self) -> bool {
        matches!(self, Self::SourceRecord)
    }

    /// Every column that a row may give, in the order in which they are written.
    pub(super) fn columns(self) -> impl Iterator<Item = &'static str> + Clone {
        self.indexes().iter().map(|index| index.name).chain(self.has_mark().then_some(MARK))
    }
}
