//! A YAML text as a tree of nodes that know where they were written.
//!
//! The subset is what policy needs: mappings, lists and scalars. Anchors, aliases, tags and several documents in one
//! file are refused, and so is everything beyond fixed sizes: a hostile file costs a bounded amount of work.

mod fields;
mod place;
mod tree;

pub(crate) use fields::{Fields, Reader, suggestion};
pub(crate) use place::{Place, Sources};
pub(crate) use tree::{Data, FILE_MAX, Node, read};
