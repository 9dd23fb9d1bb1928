//! People with several engagements: access is the union, attributes are those of the engagement that leads.

use std::borrow::Cow;

use provision_core::model::{Identity, Lifecycle};
use provision_core::policy::PolicyInput;
use provision_core::value::Timestamp;

use super::facts;
use crate::bundle::Content;
use crate::expression::Facts;

/// Somebody with several engagements, at an instant.
#[derive(Debug)]
pub(super) struct Engaged {
    /// The person as the engagements make them together.
    person: Identity,
    /// The person as each engagement alone makes them, where it stands, and its name.
    each: Vec<(Identity, Lifecycle, String)>,
}

impl Engaged {
    /// `None` for everybody else.
    pub(super) fn of(input: &PolicyInput<'_>) -> Option<Self> {
        let identity = input.identity;
        if identity.engagements.is_empty() {
            return None;
        }
        // With a date that cannot be read, all of them count: none is taken for over.
        let counting = identity.engagements_at(input.now).unwrap_or_else(|_| {
            identity.engagements.iter().map(|engagement| (engagement, input.lifecycle)).collect()
        });
        let each = counting
            .into_iter()
            .map(|(engagement, lifecycle)| (identity.seen_in(engagement), lifecycle, engagement.order()));
        let each = each.collect();
        let person = identity.as_of(input.now).map_or_else(|_| identity.clone(), Cow::into_owned);
        Some(Self { person, each })
    }

    /// The input with the person.
    pub(super) fn input<'a>(&'a self, input: &PolicyInput<'a>) -> PolicyInput<'a> {
        PolicyInput { identity: &self.person, ..*input }
    }

    /// The facts that rules look at, each with the name of its engagement.
    pub(super) fn views<'a>(
        &'a self,
        content: &'a Content,
        input: &PolicyInput<'a>,
    ) -> impl Iterator<Item = (Facts<'a>, &'a str)> {
        let input = *input;
        self.each.iter().map(move |(identity, lifecycle, name)| {
            let seen = PolicyInput { identity, lifecycle: *lifecycle, ..input };
            (facts(content, &seen), name.as_str())
        })
    }

    /// The next midnight of each: `today` is another day then.
    pub(super) fn midnights(&self, now: Timestamp) -> impl Iterator<Item = Option<Timestamp>> {
        self.each.iter().map(move |(identity, ..)| now.next_date_in(&identity.zone).ok())
    }
}
