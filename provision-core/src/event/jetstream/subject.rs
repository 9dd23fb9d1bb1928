//! Subjects: what may be one, and what one covers.

use crate::error::{Effect, Error, ErrorKind, Result};
use crate::event::{EventMessage, token};

/// The longest prefix in bytes: with a realm and an event a subject stays well below what servers take.
const PREFIX_MAX: usize = 200;

/// The subject of an event: `PREFIX.REALM.EVENT`, where the realm is one token and the event as many as its name has
/// parts. Whatever is in the names, nothing of it is a separator or a wildcard.
pub(super) fn subject_of(prefix: &str, message: &EventMessage) -> String {
    let mut subject = format!("{prefix}.{}", token(message.event.realm.as_str()));
    for part in message.event.event.split('.') {
        subject.push('.');
        subject.push_str(&token(part));
    }
    subject
}

/// Checks a prefix: tokens with dots between, without wildcards.
pub(super) fn check_prefix(prefix: &str) -> Result<()> {
    let plain = |part: &str| !part.is_empty() && part.chars().all(is_plain);
    if prefix.len() <= PREFIX_MAX && prefix.split('.').all(plain) && !prefix.starts_with('$') {
        return Ok(());
    }
    Err(invalid(
        "a prefix of subjects is words with dots between, of printable ASCII without `*` and `>`",
        prefix,
    ))
}

/// Checks the name of a stream or a consumer.
pub(super) fn check_name(name: &str) -> Result<()> {
    if !name.is_empty()
        && name.len() <= PREFIX_MAX
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_=".contains(c))
    {
        return Ok(());
    }
    Err(invalid("the name of a stream or consumer is made of letters, digits, `-`, `_` and `=`", name))
}

fn is_plain(c: char) -> bool {
    c.is_ascii_graphic() && !matches!(c, '*' | '>' | '.')
}

fn invalid(message: &str, value: &str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, message).with_context("value", value).with_effect(Effect::None)
}

/// Whether a stream that listens to `pattern` gets everything below a prefix.
pub(super) fn covers(pattern: &str, prefix: &str) -> bool {
    let mut wanted = prefix.split('.');
    for part in pattern.split('.') {
        match (part, wanted.next()) {
            (">", _) => return true,
            ("*", Some(_)) => {}
            (part, Some(wanted)) if part == wanted => {}
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::value::Timestamp;

    #[test]
    fn names_never_break_out_of_their_tokens() {
        let message = |realm: &str, event: &str| EventMessage {
            id: String::new(),
            number: 1,
            epoch: String::new(),
            event: Event {
                realm: realm.into(),
                at: Timestamp::EPOCH,
                event: event.to_owned(),
                identity: None,
                target: None,
                plan: None,
            },
        };
        assert_eq!(subject_of("p.q", &message("acme", "account.created")), "p.q.acme.account.created");
        assert_eq!(subject_of("p", &message("a.b > *", "x. .>")), "p.a=2Eb=20=3E=20=2A.x.=20.=3E");
        assert_eq!(subject_of("p", &message("", "")), "p.=.=");
    }

    #[test]
    fn prefixes_and_names_are_checked() {
        for good in ["events", "a.b-c_1"] {
            check_prefix(good).unwrap();
        }
        for bad in ["", ".", "a.", "a..b", "a.*", ">", "a b", "é", "$JS.API", "a\r\nb"] {
            assert!(check_prefix(bad).is_err(), "{bad:?}");
        }
        check_name("EVENTS_1").unwrap();
        for bad in ["", "a.b", "a b", "a/b", "*", ">"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_pattern_covers_what_is_below_a_prefix() {
        for pattern in [">", "a.>", "a.b.>", "*.b.>", "a.*.>"] {
            assert!(covers(pattern, "a.b"), "{pattern}");
        }
        for pattern in ["a.b", "a.b.*", "a.c.>", "b.>", "a.b.c.>", "a.b.*.*"] {
            assert!(!covers(pattern, "a.b"), "{pattern}");
        }
    }
}
