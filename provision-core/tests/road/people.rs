//! Populations for property tests: few enough names that they collide, all kinds of standing.

use proptest::prelude::*;
use provision_core::model::Status;

use crate::world::{Person, person};

fn status() -> impl Strategy<Value = Status> {
    prop_oneof![
        6 => Just(Status::Active),
        1 => Just(Status::OnLeave),
        1 => Just(Status::Suspended),
        2 => Just(Status::Terminated),
    ]
}

type Parts = (usize, usize, usize, Option<usize>, Status);

fn parts() -> impl Strategy<Value = Parts> {
    (0..4usize, 0..3usize, 0..3usize, prop::option::of(0..12usize), status())
}

fn made(number: usize, (given, family, department, manager, status): Parts, of: usize) -> Person {
    let given = ["Jane", "John ", "Zoë", "王"][given];
    let family = ["Smith", "Müller", "Kim"][family];
    let department = ["Sales", "Finance", "Research"][department];
    let mut made = person(&format!("{number:03}"), given, family, department);
    made.manager = manager.filter(|manager| *manager < of && *manager != number).map(|m| format!("{m:03}"));
    made.status = status;
    made
}

/// A population.
pub(crate) fn population(most: usize) -> impl Strategy<Value = Vec<Person>> {
    prop::collection::vec(parts(), 1..=most).prop_map(|all| {
        let of = all.len();
        all.into_iter().enumerate().map(|(number, parts)| made(number, parts, of)).collect()
    })
}

/// The same population on two days; the second may have newcomers too.
pub(crate) fn two_days(most: usize) -> impl Strategy<Value = (Vec<Person>, Vec<Person>)> {
    let second = prop::collection::vec((any::<bool>(), parts()), most + 2);
    (population(most), second).prop_map(move |(first, second)| {
        let of = first.len() + 1;
        let day_two = second.into_iter().take(of).enumerate().map(|(number, (changes, parts))| {
            match first.get(number) {
                Some(known) if !changes => known.clone(),
                _ => made(number, parts, of),
            }
        });
        (first.clone(), day_two.collect())
    })
}
