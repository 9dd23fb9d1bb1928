//! Which account is meant: `target/class`, or `target/class#tag` for one of several accounts of a person.

use provision_core::id::{ClassName, Tag};

use super::Address;
use crate::document::{Node, Reader};

/// Reads `class` or `class#tag`; without a tag the main account is meant.
pub(crate) fn class_and_tag(text: &str) -> Option<(ClassName, Tag)> {
    let (class, tag) = match text.split_once('#') {
        Some((class, tag)) => (class, Tag::new(tag)),
        None => (text, Tag::main()),
    };
    let sound = !class.is_empty() && !tag.as_str().is_empty() && !tag.as_str().contains(['#', '/']);
    sound.then(|| (ClassName::new(class), tag))
}

/// Reads `target/class` or `target/class#tag`.
pub(crate) fn read(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<Address> {
    let text = reader.text(node, path)?;
    let found = text.split_once('/').filter(|(target, _)| !target.is_empty()).and_then(|(target, rest)| {
        let (class, tag) = class_and_tag(rest)?;
        Some((target.into(), class, tag))
    });
    if found.is_none() {
        reader.wrong(node, path, "`target/class`");
    }
    found
}

/// An account as the bundle writes it.
pub(crate) fn text((target, class, tag): &Address) -> String {
    match *tag == Tag::main() {
        true => format!("{}/{}", target.as_str(), class.as_str()),
        false => format!("{}/{}#{}", target.as_str(), class.as_str(), tag.as_str()),
    }
}
