//! The connector contract as a suite: one function per clause of `docs/spec/connector.md`, run against any connector.
//!
//! A connector author implements [`Profile`] and calls [`Suite::assert_kept`] from one test:
//!
//! ```no_run
//! # use provision_core::testkit::contract::{Profile, Suite};
//! # async fn contract(connector: impl provision_core::connector::Connector, profile: impl Profile) {
//! Suite::new(&connector, &profile).at_least(30).assert_kept().await;
//! # }
//! ```
//!
//! Which trials a clause makes follows from the declared capabilities; where a power is not declared, using it must be
//! refused. Names, values, filters and orders are drawn from a seed that the report prints. Objects that the suite
//! makes are removed again after each clause, as far as the target lets it; the report says what is left.

mod bench;
mod chance;
mod change;
mod describe;
mod edge;
mod feed;
mod filters;
mod junit;
mod listing;
mod operation;
mod patience;
mod profile;
mod read;
mod report;
mod sign_in;
mod suite;
mod verdict;
mod write;

use std::pin::Pin;

pub use bench::Leftover;
pub use profile::{Profile, Trouble};
pub use report::{Report, Trial};
pub use suite::{Suite, hold};
pub use verdict::{Finding, Verdict};

use bench::Bench;
use change::*;
use describe::*;
use edge::*;
use feed::*;
use filters::*;
use listing::*;
use operation::*;
use read::*;
use sign_in::*;
use write::*;

type Check = for<'a> fn(&'a Bench<'a>) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// A clause that the suite tries.
struct Clause {
    id: &'static str,
    /// What is expected, in a line.
    promise: &'static str,
    check: Check,
}

macro_rules! clauses {
    ($($id:literal $check:ident $promise:literal)*) => {
        &[$(Clause { id: $id, promise: $promise, check: |bench| Box::pin($check(bench)) }),*]
    };
}

/// Every clause of the suite with its check, in the order of the specification.
const CLAUSES: &[Clause] = clauses! {
    "C-1.1" wrong_configuration_is_named
        "the factory answers a wrong configuration with `ConfigInvalid` that names the field"
    "C-1.2" refused_credentials_are_told_as_such
        "`check` answers `Unauthenticated` when the target refuses our service account"
    "C-1.3" debug_shows_no_secret
        "no `Debug` of the connector or a request shows a secret"
    "C-2.1" discover_is_stable
        "`discover` is equal twice, survives serialization, and its schema has every class"
    "C-2.2" reads_keep_to_the_schema
        "what a read returns is in the schema, of its type, readable and not null"
    "C-2.3" unknown_class_is_unsupported
        "a call for a class that is not in the schema is refused with `Unsupported`"
    "C-2.4" absent_capability_is_refused
        "a declared capability has its facet; an undeclared one is refused with `Unsupported`"
    "C-2.5" declared_capability_works
        "a call of a declared capability is not refused with `Unsupported`"
    "C-3.1" get_tells_absence_from_failure
        "`get` answers `None` if and only if the target said that there is no such object"
    "C-3.2" what_was_written_is_read
        "what a create or update wrote is read back after `visible_after`, under the outcome's key"
    "C-3.3" names_compare_as_declared
        "attribute names and values of unique attributes compare as the schema declares"
    "C-4.1" listing_shows_each_object_once
        "a listing shows each object exactly once, whatever the page size, and ends with one `End`"
    "C-4.2" repeated_page_token_is_an_error
        "a page token that comes back ends the listing with an error"
    "C-4.3" filters_mean_what_they_mean_in_memory
        "a pushed filter with its residual selects what the whole filter selects in memory; others are refused"
    "C-4.4" dropped_listing_releases_what_it_holds
        "a listing that is dropped releases what it holds"
    "C-4.5" listing_survives_deletes
        "objects deleted during a listing neither fail it nor hide others"
    "C-4.6" create_gives_a_usable_key
        "a create's key is accepted by `get`; a taken unique value is refused with `AlreadyExists`"
    "C-4.7" delete_is_repeatable
        "a repeated delete succeeds; no id is given a second time"
    "C-4.8" values_survive
        "values survive as they are; a text longer than declared is refused, not cut"
    "C-4.9" cut_listing_is_not_complete
        "a listing that was cut, or could not be read, does not claim to be complete"
    "C-4.10" repeated_create_gives_the_first_object
        "with `idempotent_create`, a repeated create is answered with the first object"
    "C-4.11" listing_shows_the_attributes_asked_for
        "a listing that asks for attributes shows those and no others"
    "C-4.12" deleted_object_is_shown_nowhere
        "a deleted object is in no listing and no membership, though it can be brought back"
    "C-5.1" delta_is_atomic
        "a delta is applied whole or not at all"
    "C-5.2" replace_clear_and_untouched_differ
        "replace, clear and untouched are three things: what is outside the delta stays"
    "C-5.3" delta_is_repeatable
        "a repeated delta, an idle clear and an empty delta succeed and change nothing"
    "C-5.4" rename_keeps_the_object
        "a rename keeps the id and everything outside the naming attributes, and tells the new name"
    "C-5.5" outcome_tells_the_truth
        "`observed` and `side_effects` agree with a read"
    "C-5.6" unknown_attribute_is_refused
        "an attribute that is unknown or not changed so is refused with `InvalidAttribute` that names it"
    "C-5.7" write_to_a_missing_object_is_refused
        "a write to an object that is not there is refused with `NotFound` and makes none"
    "C-6.1" lifecycle_is_repeatable
        "the state reads back, setting it again succeeds, and no attribute is lost"
    "C-6.2" password_stays_secret
        "a password is in no read, outcome or error; a bad one is refused with `PolicyRejected`"
    "C-7.1" edges_are_repeatable
        "one outcome per edge, repeatable, and no other edge changes"
    "C-7.2" missing_ends_are_named
        "a missing group is `NotFound`; a missing account fails its own edge only"
    "C-7.3" oversized_request_is_refused
        "a request of more than `members_per_request` edges is refused with `Unsupported`"
    "C-8.1" feed_goes_on_from_its_token
        "a feed tells every change after its token, oldest first, in pages no larger than asked"
    "C-8.2" feed_tells_deletes
        "a delete is told as such, with the object's id"
    "C-8.3" foreign_token_is_refused
        "a foreign token is answered with `Conflict`"
    "C-8.4" failed_page_keeps_the_token
        "a page that cannot be read is an error, and its token tells the same changes afterwards"
    "C-9.1" deadline_and_cancellation_are_kept
        "a late call ends with `Unavailable` and does nothing; a dropped call holds nothing"
    "C-9.2" lost_response_is_unknown
        "a lost answer is `Unavailable` with effect `Unknown`; sending again makes no second object"
    "C-9.3" parallel_calls_do_not_mix
        "parallel calls neither mix, nor block, nor share an id"
    "C-9.4" rate_limit_is_told
        "too many requests are `RateLimited`, effect `None`, with the target's waiting time"
    "C-9.5" pending_write_can_be_asked_for
        "a `Pending` ticket is answered until the end and after it; a foreign one is refused"
};
