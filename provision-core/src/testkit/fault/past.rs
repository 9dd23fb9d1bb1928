//! What objects looked like before the writes that went through the layer: reads can be stale. Writes that go around
//! the layer are not known here.

use std::collections::BTreeMap;
use std::time::Duration;

use super::layer::{Shared, Turn};
use super::request::{Answer, Request};
use crate::connector::{Context, GetRequest, Object, ObjectKey, Outcome};
use crate::error::{Effect, Result};
use crate::id::ClassName;
use crate::memory::{Fault, Faults};
use crate::value::Timestamp;

type Id = (ClassName, String);

/// Former states of objects, no older than the longest staleness that a rule asks for.
#[derive(Debug, Default)]
pub(super) struct Past {
    longest: Duration,
    /// By object, oldest first: until when it looked so, and how; `None`: it was not there.
    states: BTreeMap<Id, Vec<(Timestamp, Option<Object>)>>,
}

impl Past {
    pub(super) fn for_rules(faults: &Faults) -> Self {
        let mut past = Self::default();
        past.keep_for(faults);
        past
    }

    /// Remembers as long as these faults need it.
    pub(super) fn keep_for(&mut self, faults: &Faults) {
        let longest = faults.rules.iter().filter_map(|rule| match rule.fault {
            Fault::Stale(millis) => Some(millis),
            _ => None,
        });
        self.longest = Duration::from_millis(longest.max().unwrap_or(0));
        if self.longest.is_zero() {
            self.states.clear();
        }
    }

    fn remember(&mut self, id: Id, until: Timestamp, state: Option<Object>) {
        let oldest = until.minus(self.longest);
        self.states.retain(|_, states| {
            states.retain(|(until, _)| *until > oldest);
            !states.is_empty()
        });
        self.states.entry(id).or_default().push((until, state));
    }

    /// How the object looked at that instant, where that is not how it looks now.
    pub(super) fn at(&self, class: &ClassName, id: &str, then: Timestamp) -> Option<&Option<Object>> {
        let states = self.states.get(&(class.clone(), id.to_owned()))?;
        states.iter().find(|(until, _)| *until > then).map(|(_, state)| state)
    }

    /// Every object of the class that looked otherwise at that instant, by id.
    pub(super) fn all_at(&self, class: &ClassName, then: Timestamp) -> BTreeMap<String, Option<Object>> {
        let of_class = self.states.iter().filter(|((known, _), _)| known == class);
        of_class
            .filter_map(|((_, id), states)| {
                let (_, state) = states.iter().find(|(until, _)| *until > then)?;
                Some((id.clone(), state.clone()))
            })
            .collect()
    }
}

impl Shared {
    /// The instant that a stale read shows, with the rule that asks for it.
    pub(super) fn stale_since(&self, turn: &Turn) -> Option<(usize, Fault, Timestamp)> {
        let (rule, fault) = turn.find(|fault| matches!(fault, Fault::Stale(_)))?;
        let Fault::Stale(millis) = fault else { return None };
        Some((rule, fault, self.clock.now().minus(Duration::from_millis(millis))))
    }

    /// The answer of a target that has not heard of the last writes.
    pub(super) fn stale(&self, turn: &Turn, request: &Request) -> Option<Answer> {
        let Request::Get(request) = request else { return None };
        let (rule, fault, then) = self.stale_since(turn)?;
        let state = self.state().past.at(&request.class, &request.key.id, then).cloned()?;
        self.note(turn, rule, fault);
        Some(Answer::Object(state))
    }

    /// The object as it is before a write, where somebody may want to see it later.
    pub(super) async fn before(&self, cx: &Context, request: &Request) -> Option<Option<Object>> {
        if self.state().past.longest.is_zero() || !request.operation().writes() {
            return None;
        }
        let (class, key) = (request.class()?.clone(), request.key()?.clone());
        self.inner.get(cx, GetRequest { class, key }).await.ok()
    }

    /// Remembers what a write has changed.
    pub(super) fn remember(
        &self,
        request: &Request,
        before: Option<Option<Object>>,
        answer: &Result<Answer>,
    ) {
        let Some(class) = request.class().cloned() else { return };
        let mut state = self.state();
        if state.past.longest.is_zero() {
            return;
        }
        let now = self.clock.now();
        match (request, answer) {
            (Request::Create(_), Ok(Answer::Outcome(Outcome::Done(done)))) => {
                let ObjectKey { id, .. } = &done.key;
                state.past.remember((class, id.clone()), now, None);
            }
            (_, Err(error)) if error.effect() == Effect::None => {}
            _ => {
                if let (Some(before), Some(key)) = (before, request.key()) {
                    state.past.remember((class, key.id.clone()), now, before);
                }
            }
        }
    }
}
