//! Names and ids. Each is a type of its own, so that a target's name is never passed as a source's.

use std::fmt;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use uuid::Uuid;

use crate::error::{Effect, Error, ErrorKind, Result};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(SmolStr);

        impl $name {
            /// The name as given.
            pub fn new(name: impl AsRef<str>) -> Self {
                Self(SmolStr::new(name.as_ref()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&crate::text::escape(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0.as_str())
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self::new(name)
            }
        }

        impl From<String> for $name {
            fn from(name: String) -> Self {
                Self::new(name)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// An isolated tenant of the host. Every record belongs to one.
    RealmId
);
name!(
    /// The name of a configured target.
    TargetName
);
name!(
    /// The name of a configured source.
    SourceName
);
name!(
    /// The name of an object class of a target's schema.
    ClassName
);
name!(
    /// Tells several accounts of one person on one target apart; `main` unless there are several.
    Tag
);
name!(
    /// The name of a role of the policy bundle.
    RoleName
);
name!(
    /// The name of a space in which generated names are unique.
    NamespaceName
);
name!(
    /// The id of a mapping, rule or role in the policy, as the bundle spells it. Kept in derivations.
    PolicyRef
);
name!(
    /// A step's id: derived from what it does, the same on every machine.
    StepId
);

impl RealmId {
    /// The realm that is kept for what belongs to no tenant: the processes that share a store, the sinks of its events,
    /// commands that were set aside. It is listed nowhere, and nothing can be done in it through an engine.
    pub fn reserved() -> Self {
        Self::new(":provision")
    }

    /// Whether a host's realm cannot have this name.
    pub fn is_reserved(&self) -> bool {
        // Processes had their rows in the second one: a store may still have one of a process that is gone.
        matches!(self.as_str(), ":provision" | "$nodes")
    }

    /// Refuses a name that a host's realm cannot have.
    pub(crate) fn admit(&self) -> Result<()> {
        if !self.is_reserved() {
            return Ok(());
        }
        let message = "this name of a realm is kept for what belongs to none: give another";
        Err(Error::new(ErrorKind::ConfigInvalid, message)
            .with_context("realm", self.as_str())
            .with_effect(Effect::None))
    }
}

impl SourceName {
    /// The source that is kept for the roles of the policy: what is known of the roles that objects of targets stand
    /// for. No host has a source of this name.
    pub fn roles() -> Self {
        Self::new(":roles")
    }

    /// Whether a host's source cannot have this name.
    pub fn is_reserved(&self) -> bool {
        self.as_str().starts_with(':')
    }
}

impl Tag {
    /// The tag of the only account a person has on a target.
    pub fn main() -> Self {
        Self::new("main")
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps an id minted elsewhere.
            pub fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            /// Reads the hyphenated form.
            pub fn parse(text: &str) -> Option<Self> {
                Uuid::parse_str(text).ok().map(Self)
            }

            /// The id as a UUID.
            pub fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    };
}

id!(
    /// An identity: a person or a service.
    IdentityId
);
id!(
    /// A link between an identity and an object on a target.
    LinkId
);
id!(
    /// A plan.
    PlanId
);
id!(
    /// A feed: one delivery of a source.
    FeedId
);
id!(
    /// A hold: work that waits for approval.
    HoldId
);
