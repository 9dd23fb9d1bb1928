//! Text that PostgreSQL cannot hold as it is: it refuses the character NUL.
//!
//! NUL and the character after it (U+0001) are written as two characters each. Order, equality and "starts with" of the
//! written texts are those of the texts, so that indexes answer as if nothing had happened. Neither character occurs in
//! JSON, or in anything a person sees in a row.

use std::borrow::Cow;

const SPECIAL: [char; 2] = ['\0', '\u{1}'];

/// The text as it is written.
pub(super) fn written(text: &str) -> Cow<'_, str> {
    if !text.contains(SPECIAL) {
        return Cow::Borrowed(text);
    }
    let mut written = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\0' => written.push_str("\u{1}\u{1}"),
            '\u{1}' => written.push_str("\u{1}\u{2}"),
            other => written.push(other),
        }
    }
    Cow::Owned(written)
}

/// The text that was written.
pub(super) fn read(written: String) -> String {
    if !written.contains('\u{1}') {
        return written;
    }
    let mut text = String::with_capacity(written.len());
    let mut characters = written.chars();
    while let Some(character) = characters.next() {
        match (character, character == '\u{1}') {
            (_, true) if characters.next() == Some('\u{1}') => text.push('\0'),
            (_, true) => text.push('\u{1}'),
            (other, false) => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{read, written};

    proptest! {
        #[test]
        fn written_text_compares_as_the_text(
            left in "[\u{0}-\u{3}a-c]{0,6}", right in "[\u{0}-\u{3}a-c]{0,6}"
        ) {
            let (first, second) = (written(&left), written(&right));
            prop_assert!(!first.contains('\0'));
            prop_assert_eq!(read(first.clone().into_owned()), left.clone());
            prop_assert_eq!(first.cmp(&second), left.cmp(&right));
            prop_assert_eq!(first.starts_with(&*second), left.starts_with(&right));
        }
    }
}
