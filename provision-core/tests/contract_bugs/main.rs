//! The suite finds planted bugs: a connector that breaks a promise is told the clause, and no other.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests may panic as tests do"
)]

mod bug;
mod connector;
mod facets;
#[path = "../contract_memory/shape.rs"]
mod shape;

use provision_core::memory::Operation;

use bug::{ALL_PLACES, Bug, OTHERS, Place, Planted, READING, WRITING};
use connector::Buggy;

/// What is broken, each clause tried on a connector of its own: what one leaves behind does not break the next.
async fn broken(bug: Bug, place: Place) -> (Vec<&'static str>, String) {
    let whole = Buggy::new(bug, place);
    let all = whole.suite().run().await;
    let (mut broken, mut told) = (Vec::new(), String::new());
    for trial in &all.trials {
        let buggy = Buggy::new(bug, place);
        let report = buggy.suite().seed(all.seed).only(trial.clause).run().await;
        if !report.broken().is_empty() {
            broken.push(trial.clause);
            told.push_str(&report.to_string());
        }
    }
    assert!(broken.iter().all(|clause| all.broken().contains(clause)), "{bug:?}: {broken:?}\n{all}");
    (broken, told)
}

async fn each_is_named(planted: &[Planted]) {
    let mut wrong = Vec::new();
    for (bug, place, clauses) in planted {
        let (broken, told) = broken(*bug, *place).await;
        if broken != *clauses {
            wrong.push(format!("{bug:?} in {place:?}: {broken:?} instead of {clauses:?}\n{told}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} bugs:\n\n{}", wrong.len(), planted.len(), wrong.join("\n"));
}

#[tokio::test]
async fn a_bug_of_reading_breaks_its_clauses_and_no_other() {
    each_is_named(READING).await;
}

#[tokio::test]
async fn a_bug_of_writing_breaks_its_clauses_and_no_other() {
    each_is_named(WRITING).await;
}

#[tokio::test]
async fn a_bug_of_the_other_facets_breaks_its_clauses_and_no_other() {
    each_is_named(OTHERS).await;
}

/// A retry inside the connector is seen by what it leaves, not by counting: the count is to show that it was one.
#[tokio::test]
async fn a_blind_retry_sends_a_second_create() {
    let buggy = Buggy::new(Bug::BlindRetry, Place::Loose);
    let report = buggy.suite().only("C-9.2").run().await;
    assert_eq!((report.broken(), buggy.shape.target.called(Operation::Create)), (vec!["C-9.2"], 2));
    assert_eq!(report.left, vec![], "both objects are removed again");
    assert_eq!(buggy.shape.target.dump("account").unwrap(), vec![]);
}

/// Whoever takes a check away, or blunts it, is told here: each clause has a bug that only it, or it too, finds.
#[tokio::test]
async fn every_clause_finds_a_bug() {
    let sound = Buggy::new(Bug::None, Place::Directory);
    let all = sound.suite().run().await.trials.into_iter().map(|trial| trial.clause).collect::<Vec<_>>();
    let planted = || [READING, WRITING, OTHERS].into_iter().flatten();
    let idle = all.iter().filter(|clause| !planted().any(|(_, _, broken)| broken.contains(clause)));
    assert_eq!(idle.collect::<Vec<_>>(), Vec::<&&str>::new(), "no bug breaks these");
}

/// Else the bugs above would prove nothing.
#[tokio::test]
async fn the_wrapper_without_a_bug_breaks_nothing() {
    for place in ALL_PLACES {
        let sound = Buggy::new(Bug::None, place);
        let report = sound.suite().run().await;
        assert_eq!(report.broken(), Vec::<&str>::new(), "{place:?}\n{report}");
        assert!(report.kept().len() >= 28, "{place:?}\n{report}");
    }
}
