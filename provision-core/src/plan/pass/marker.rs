//! Markers of several accounts of one person: none may be taken for that of another one.

use super::account::Case;
use crate::id::Tag;
use crate::policy::{DesiredAccount, DesiredSlot};
use crate::value::AttrName;

/// Why the marker of an account could be taken for that of another account of the same person: who looks an object
/// up by its marker adopts what it finds. That of an account with a tag ends with `#tag`, the main one's does not.
pub(super) fn unsafe_of(case: &Case<'_>) -> Option<String> {
    let (target, class, tag) = case.at();
    if !case.wanted.exists {
        return None;
    }
    let others = case.input.evaluation.accounts.iter();
    let others = others.filter(|other| (&other.target, &other.class) == (target, class) && other.tag != *tag);
    let mut others = others.peekable();
    if *tag == Tag::main() {
        others.peek()?;
    }
    let marker = case.facts.settings.class(class).marker?;
    let values = values_of(case.wanted, &marker);
    if *tag != Tag::main() {
        let fault = values.iter().any(|value| !ends_with(value, tag));
        return fault.then(|| {
            let tag = tag.as_str();
            format!("the marker `{marker}` must end with `#{tag}` here, or it could be taken for the main account's")
        });
    }
    let taken = others.find(|other| values.iter().any(|value| ends_with(value, &other.tag)))?;
    let tag = taken.tag.as_str();
    Some(format!("the marker `{marker}` of the main account ends with `#{tag}`, which marks another account"))
}

/// The values that an account shall have in its marker; a reference is no marker.
fn values_of(account: &DesiredAccount, marker: &AttrName) -> Vec<String> {
    let same = |name: &AttrName| name.as_str().eq_ignore_ascii_case(marker.as_str());
    let wanted = account.values.iter().filter(|value| same(&value.attribute));
    wanted
        .flat_map(|value| match &value.slot {
            DesiredSlot::Known(slot) => slot.values().iter().map(|value| value.to_plain()).collect(),
            DesiredSlot::AccountOf { .. } => vec![String::new()],
            DesiredSlot::Withdrawn { .. } => Vec::new(),
        })
        .collect()
}

/// `1042#admin`, for the tag `admin`.
fn ends_with(value: &str, tag: &Tag) -> bool {
    let rest = value.strip_suffix(tag.as_str()).and_then(|rest| rest.strip_suffix('#'));
    rest.is_some_and(|rest| !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_with_a_tag_says_whose_and_which() {
        let admin = Tag::new("admin");
        assert!(ends_with("1042#admin", &admin) && ends_with("a#b#admin", &admin));
        for other in ["1042", "#admin", "1042#ADMIN", "1042admin", "1042#admin2", ""] {
            assert!(!ends_with(other, &admin), "{other}");
        }
    }
}
