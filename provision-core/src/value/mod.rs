//! Values and three-state attributes.

mod attributes;
mod kind;
mod secret;
mod time;

pub use attributes::{AttrName, AttrPath, Attributes, Slot};
pub use kind::{ObjectRef, Value};
pub use secret::Secret;
pub use time::{Date, Timestamp, Zone};
