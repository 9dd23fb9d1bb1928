//! Who asks.

use serde::{Deserialize, Serialize};

/// What kind of actor asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// A person.
    Person,
    /// A program of the host.
    Service,
    /// The engine itself (schedules, the continuous drive).
    Engine,
}

/// Who asks for a change. Recorded with every write; the host's `Authorizer` decides what it may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Kind of actor.
    pub kind: ActorKind,
    /// The host's name for it.
    pub name: String,
}

impl Actor {
    /// A person, by the host's name.
    pub fn person(name: impl Into<String>) -> Self {
        Self { kind: ActorKind::Person, name: name.into() }
    }

    /// A program of the host.
    pub fn service(name: impl Into<String>) -> Self {
        Self { kind: ActorKind::Service, name: name.into() }
    }

    /// The engine.
    pub fn engine() -> Self {
        Self { kind: ActorKind::Engine, name: "engine".to_owned() }
    }
}
