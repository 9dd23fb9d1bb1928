//! The bugs that are planted, and the clauses that name them.

/// What a connector does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Nothing: the wrapper itself is sound.
    None,
    /// The factory takes any configuration.
    ConfigNotChecked,
    /// Refused credentials look like an unreachable target.
    RefusedIsUnavailable,
    /// What is discovered depends on how often it was asked for.
    DiscoveryDiffers,
    /// A create forgets the state.
    StateForgottenAtCreate,
    /// A listing that is dropped keeps its connection.
    ListingLeaks,
    /// The link's id is not sent along.
    LinkNotSent,
    /// A deleted object stays a member.
    DeletedStaysMember,
    /// A delta of nothing is refused.
    EmptyDeltaRefused,
    /// A request that is too large is cut into pieces, quietly.
    OversizedIsSplit,
    /// The feed tells the newest first.
    FeedNewestFirst,
    /// The feed does not say that there is more.
    FeedForgetsMore,
    /// A foreign token starts now.
    ForeignTokenIsNow,
    /// Calls at the same time share a variable.
    AnswersMix,
    /// An unreachable target looks like one without the object.
    ErrorsReadAsAbsence,
    /// The last object of a full page is lost.
    ListingLosesObjects,
    /// Only the first page is read.
    FirstPageOnly,
    /// A page token that comes back is followed again.
    StuckPageToken,
    /// A listing that was cut claims to be whole.
    CutListingIsComplete,
    /// A listing takes ids first and then reads each object, and fails over one that is gone.
    ListingFailsOverVanished,
    /// Pages are places in the list, which move when objects before them go.
    PagesMoveWithDeletes,
    /// The attributes asked for are ignored.
    AttributesIgnored,
    /// A listing shows nulls.
    NullsInListings,
    /// Filters are ignored.
    FiltersIgnored,
    /// Of several matches, the first is returned.
    FirstMatchOnly,
    /// A star in a literal goes to the target as its wildcard.
    UnescapedFilter,
    /// Of a conjunction, the target is asked for the first part, and the rest is forgotten.
    ResidualLost,
    /// An unknown class is an empty one.
    UnknownClassIsEmpty,
    /// A name that is taken gives the other's object.
    AdoptsByName,
    /// A name that is taken is reported as a success, with an id made up.
    DuplicateIsSuccess,
    /// A case-exact id is folded.
    ExactIdFolded,
    /// A create of unknown outcome is sent again.
    BlindRetry,
    /// Deleting what is gone is an error.
    DeleteNotRepeatable,
    /// Texts are trimmed by the connector.
    TrimsText,
    /// An update clears what is outside the delta.
    UpdateReplacesAll,
    /// Attributes are changed one by one.
    UpdateNotAtomic,
    /// A cleared text is written as an empty one.
    NullAsEmptyText,
    /// The outcome of a rename carries the old key.
    OldKeyAfterRename,
    /// A rename loses other changes.
    RenameLosesChanges,
    /// The outcome makes up what it observed.
    ObservedMadeUp,
    /// Errors do not state their effect.
    EffectNotStated,
    /// A lost answer is told as nothing done.
    LostIsNone,
    /// A password that is refused is in the error.
    PasswordInError,
    /// `Debug` shows the last password.
    PasswordInDebug,
    /// Disabling does nothing.
    DisableIgnored,
    /// A declared capability has no facet.
    FacetMissing,
    /// A declared capability has a facet that refuses everything.
    CapabilityNotImplemented,
    /// A capability that is not declared is there.
    CapabilityNotDeclared,
    /// A missing account fails the whole request.
    MissingMemberFailsAll,
    /// Removing one member removes all.
    RemovesAllMembers,
    /// Adding members replaces the list.
    ReplacesMembers,
    /// The list of members is read, changed and written back.
    MembersReadAndWritten,
    /// The feed forgets deletes.
    FeedForgetsDeletes,
    /// An error of the feed is an empty page.
    FeedErrorIsEmptyPage,
    /// A token is used up by a call that failed.
    TokenAdvancedOnError,
    /// Deadlines are ignored.
    DeadlineIgnored,
    /// A call that is dropped keeps its connection.
    ConnectionLeaks,
    /// The waiting time is dropped.
    WaitingTimeDropped,
    /// A ticket is forgotten when its end was told.
    TicketForgotten,
}

/// The shape of the target that the bug is planted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Directory,
    Plain,
    Service,
    /// Nothing is unique there.
    Loose,
    /// Writes are answered later.
    Late,
    /// Creates are remembered.
    Remembering,
    /// A service whose deletes can be undone.
    Bin,
}

/// Every place.
pub(crate) const ALL_PLACES: [Place; 7] = [
    Place::Directory,
    Place::Plain,
    Place::Service,
    Place::Loose,
    Place::Late,
    Place::Remembering,
    Place::Bin,
];

/// A bug, where it is planted, and exactly the clauses that it breaks.
pub(crate) type Planted = (Bug, Place, &'static [&'static str]);

/// Bugs of what reads.
pub(crate) const READING: &[Planted] = &[
    (Bug::ConfigNotChecked, Place::Directory, &["C-1.1"]),
    (Bug::RefusedIsUnavailable, Place::Directory, &["C-1.2"]),
    (Bug::DiscoveryDiffers, Place::Directory, &["C-2.1"]),
    (Bug::ListingLeaks, Place::Directory, &["C-4.4"]),
    (Bug::ErrorsReadAsAbsence, Place::Directory, &["C-3.1", "C-9.1"]),
    (Bug::ListingLosesObjects, Place::Directory, &["C-4.1", "C-4.3", "C-4.5"]),
    (Bug::FirstPageOnly, Place::Directory, &["C-4.1", "C-4.2", "C-4.3", "C-4.5", "C-4.9"]),
    (Bug::StuckPageToken, Place::Directory, &["C-4.2"]),
    (Bug::CutListingIsComplete, Place::Directory, &["C-4.9"]),
    (Bug::ListingFailsOverVanished, Place::Directory, &["C-4.5"]),
    (Bug::PagesMoveWithDeletes, Place::Directory, &["C-4.5"]),
    (Bug::AttributesIgnored, Place::Directory, &["C-4.11"]),
    (Bug::NullsInListings, Place::Directory, &["C-2.2"]),
    (Bug::FiltersIgnored, Place::Directory, &["C-4.3"]),
    (Bug::FirstMatchOnly, Place::Directory, &["C-4.3"]),
    (Bug::UnescapedFilter, Place::Directory, &["C-4.3"]),
    (Bug::UnescapedFilter, Place::Plain, &["C-4.3"]),
    (Bug::ResidualLost, Place::Directory, &["C-4.3"]),
    (Bug::ResidualLost, Place::Service, &["C-4.3"]),
    (Bug::UnknownClassIsEmpty, Place::Directory, &["C-2.3"]),
];

/// Bugs of what writes an object.
pub(crate) const WRITING: &[Planted] = &[
    (Bug::StateForgottenAtCreate, Place::Directory, &["C-3.2"]),
    (Bug::LinkNotSent, Place::Remembering, &["C-4.10", "C-9.2"]),
    (Bug::DeletedStaysMember, Place::Bin, &["C-4.12"]),
    (Bug::EmptyDeltaRefused, Place::Directory, &["C-5.3"]),
    (Bug::AdoptsByName, Place::Directory, &["C-4.6"]),
    (Bug::DuplicateIsSuccess, Place::Directory, &["C-4.6"]),
    (Bug::DuplicateIsSuccess, Place::Service, &["C-4.6"]),
    (Bug::ExactIdFolded, Place::Plain, &["C-3.3"]),
    (Bug::BlindRetry, Place::Loose, &["C-9.2"]),
    (Bug::BlindRetry, Place::Directory, &["C-9.2"]),
    (Bug::DeleteNotRepeatable, Place::Directory, &["C-4.7"]),
    (Bug::TrimsText, Place::Directory, &["C-4.8"]),
    (Bug::UpdateReplacesAll, Place::Directory, &["C-5.2"]),
    (Bug::UpdateNotAtomic, Place::Directory, &["C-5.1"]),
    (Bug::NullAsEmptyText, Place::Directory, &["C-5.2"]),
    (Bug::OldKeyAfterRename, Place::Directory, &["C-5.4"]),
    (Bug::RenameLosesChanges, Place::Directory, &["C-5.4"]),
    (Bug::ObservedMadeUp, Place::Directory, &["C-5.5"]),
    (
        Bug::EffectNotStated,
        Place::Directory,
        &[
            "C-2.3", "C-2.4", "C-4.6", "C-4.8", "C-5.1", "C-5.4", "C-5.6", "C-5.7", "C-6.2", "C-7.2",
            "C-7.3", "C-9.1", "C-9.2", "C-9.4", "C-9.5",
        ],
    ),
    (Bug::LostIsNone, Place::Directory, &["C-9.2"]),
];

/// Bugs of the other facets, and of every call.
pub(crate) const OTHERS: &[Planted] = &[
    (Bug::OversizedIsSplit, Place::Directory, &["C-7.3"]),
    (Bug::FeedNewestFirst, Place::Directory, &["C-8.1"]),
    (Bug::FeedForgetsMore, Place::Directory, &["C-8.1"]),
    (Bug::ForeignTokenIsNow, Place::Directory, &["C-8.3"]),
    (Bug::AnswersMix, Place::Directory, &["C-9.3"]),
    (Bug::PasswordInError, Place::Directory, &["C-6.2"]),
    (Bug::PasswordInDebug, Place::Directory, &["C-1.3"]),
    (Bug::DisableIgnored, Place::Directory, &["C-6.1"]),
    (Bug::FacetMissing, Place::Directory, &["C-2.4"]),
    (Bug::CapabilityNotImplemented, Place::Directory, &["C-2.5", "C-5.5", "C-5.7", "C-6.1", "C-9.1"]),
    (Bug::CapabilityNotDeclared, Place::Directory, &["C-2.4"]),
    (Bug::MissingMemberFailsAll, Place::Directory, &["C-7.2"]),
    (Bug::RemovesAllMembers, Place::Directory, &["C-7.1"]),
    (Bug::RemovesAllMembers, Place::Service, &["C-7.1"]),
    (Bug::ReplacesMembers, Place::Directory, &["C-7.1"]),
    (Bug::MembersReadAndWritten, Place::Directory, &["C-7.1"]),
    (Bug::FeedForgetsDeletes, Place::Directory, &["C-8.2"]),
    (Bug::FeedErrorIsEmptyPage, Place::Directory, &["C-8.4", "C-9.1"]),
    (Bug::TokenAdvancedOnError, Place::Directory, &["C-8.4"]),
    (Bug::DeadlineIgnored, Place::Directory, &["C-9.1"]),
    (Bug::ConnectionLeaks, Place::Directory, &["C-9.1"]),
    (Bug::WaitingTimeDropped, Place::Directory, &["C-9.4"]),
    (Bug::TicketForgotten, Place::Late, &["C-9.5"]),
];
