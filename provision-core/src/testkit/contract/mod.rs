//! The connector contract as a suite: one function per clause of `docs/spec/connector.md`, run against any connector.
//!
//! A connector author implements [`Profile`] and calls [`hold`] from one test.

mod describe;
mod edge;
mod feed;
mod listing;
mod operation;
mod profile;
mod read;
mod sign_in;
mod verdict;
mod write;

use std::pin::Pin;

pub use profile::{Profile, Trouble};
pub use verdict::{Finding, Report, Verdict};

use crate::connector::Connector;

pub use describe::*;
pub use edge::*;
pub use feed::*;
pub use listing::*;
pub use operation::*;
pub use read::*;
pub use sign_in::*;
pub use write::*;

type Check =
    for<'a> fn(&'a dyn Connector, &'a dyn Profile) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

macro_rules! clauses {
    ($($clause:literal $check:ident),* $(,)?) => {
        &[$(($clause, |connector, profile| Box::pin($check(connector, profile)))),*]
    };
}

/// Every clause of the suite with its check, in the order of the specification.
const CLAUSES: &[(&str, Check)] = clauses! {
    "C-1.2" refused_credentials_are_told_as_such,
    "C-1.3" debug_shows_no_secret,
    "C-2.1" discover_is_stable,
    "C-2.2" reads_keep_to_the_schema,
    "C-2.3" unknown_class_is_unsupported,
    "C-2.4" absent_capability_is_refused,
    "C-3.1" get_tells_absence_from_failure,
    "C-3.2" what_was_created_is_read,
    "C-3.3" names_compare_as_declared,
    "C-4.1" listing_shows_each_object_once,
    "C-4.2" repeated_page_token_is_an_error,
    "C-4.3" filters_mean_what_they_mean_in_memory,
    "C-4.4" dropped_listing_releases_what_it_holds,
    "C-4.5" listing_survives_deletes,
    "C-4.6" create_gives_a_usable_key,
    "C-4.7" delete_is_repeatable,
    "C-4.8" values_survive,
    "C-4.9" cut_listing_is_not_complete,
    "C-4.10" repeated_create_gives_the_first_object,
    "C-5.1" delta_is_atomic,
    "C-5.2" replace_clear_and_untouched_differ,
    "C-5.3" delta_is_repeatable,
    "C-5.4" rename_keeps_the_object,
    "C-5.5" outcome_tells_the_truth,
    "C-5.6" unknown_attribute_is_refused,
    "C-5.7" write_to_a_missing_object_is_refused,
    "C-6.1" lifecycle_is_repeatable,
    "C-6.2" password_stays_secret,
    "C-7.1" edges_are_repeatable,
    "C-7.2" missing_ends_are_named,
    "C-7.3" oversized_request_is_refused,
    "C-8.1" feed_goes_on_from_its_token,
    "C-8.2" feed_tells_deletes,
    "C-8.3" foreign_token_is_refused,
    "C-9.1" deadline_and_cancellation_are_kept,
    "C-9.2" lost_response_is_unknown,
    "C-9.3" parallel_calls_do_not_mix,
    "C-9.4" rate_limit_is_told,
};

/// Runs every clause, one after another. Objects that it creates stay on the target.
pub async fn hold(connector: &dyn Connector, profile: &dyn Profile) -> Report {
    let mut report = Report::default();
    for (clause, check) in CLAUSES {
        let verdict = check(connector, profile).await;
        profile.provoke(Trouble::None);
        report.verdicts.push((*clause, verdict));
    }
    report
}
