//! What the suite must know of a target to try it.

use crate::id::ClassName;
use crate::value::{AttrName, Attributes, Secret, Value};

/// A trouble that a profile can make at its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// None: the target behaves again.
    None,
    /// Our service account's credentials are refused.
    RefuseCredentials,
    /// The target cannot be reached, by any call.
    Unreachable,
    /// Listings repeat a page token.
    RepeatToken,
    /// Listings end in the middle, and the target shows it.
    CutListing,
    /// The next create is done and its answer is lost.
    LoseCreate,
    /// Requests are refused as too many; the target names a waiting time.
    RateLimit,
}

/// What the suite must know of a target. A suffix is at most ten lower case ASCII letters and digits; objects with
/// different suffixes share no unique value.
pub trait Profile: Send + Sync {
    /// The class of accounts to try.
    fn class(&self) -> ClassName;

    /// Attributes that a create accepts, naming ones included.
    fn attributes(&self, suffix: &str) -> Attributes;

    /// A single-valued text attribute that takes any text and may be cleared.
    fn text(&self) -> AttrName;

    /// A multi-valued text attribute without order that may be cleared.
    fn set(&self) -> Option<AttrName> {
        None
    }

    /// The naming attributes of an object of another name.
    fn renamed(&self, _suffix: &str) -> Option<Attributes> {
        None
    }

    /// A group for memberships of the class, to be created.
    fn group(&self, _suffix: &str) -> Option<(ClassName, Attributes)> {
        None
    }

    /// A password that the target accepts, or one that its rules refuse.
    fn password(&self, _acceptable: bool) -> Option<Secret> {
        None
    }

    /// A secret of the connector's configuration.
    fn planted_secret(&self) -> Option<String> {
        None
    }

    /// How a written value comes back; `None`: it never does.
    fn shown(&self, _name: &AttrName, value: &Value) -> Option<Value> {
        Some(value.clone())
    }

    /// Makes a trouble, until told `None`; false when it cannot.
    fn provoke(&self, _trouble: Trouble) -> bool {
        false
    }
}
