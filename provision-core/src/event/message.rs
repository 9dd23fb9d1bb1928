//! An event on its way out: with the number and the id by which it is told from all others.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::Event;
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::id::RealmId;
use crate::store::Row;

/// An event as sinks get it. Its JSON is what goes over the wire:
///
/// ```
/// # use provision_core::event::EventMessage;
/// let text = r#"{"id":"acme/5f2c/17","number":17,"epoch":"5f2c","realm":"acme","at":"2026-01-01T00:00:00Z",
///     "event":"account.created","identity":null,"target":"directory","plan":null}"#;
/// let message: EventMessage = serde_json::from_str(text)?;
/// assert_eq!((message.number, message.event.event.as_str()), (17, "account.created"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventMessage {
    /// `REALM/EPOCH/NUMBER`: the same however often the event is sent, and no other event's.
    pub id: String,
    /// The number of the event in its realm: it grows, with gaps.
    pub number: u64,
    /// The epoch of the store. A store that was restored has another one: its numbers begin again where the backup
    /// ends, and would else be taken for those of events that were sent before.
    pub epoch: String,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

impl EventMessage {
    /// The message of an outbox row.
    pub(crate) fn of(realm: &RealmId, epoch: &str, number: u64, row: &Row) -> Result<Self> {
        let event: Event = serde_json::from_str(&row.body).map_err(|error| {
            Error::new(ErrorKind::StoreUnusable, "cannot read an event of the outbox")
                .with_context("number", number.to_string())
                .with_effect(Effect::None)
                .with_source(error)
        })?;
        let id = format!("{}/{}/{number}", token(realm.as_str()), token(epoch));
        Ok(Self { id, number, epoch: epoch.to_owned(), event })
    }

    /// Whose order the event is part of: those of one identity are sent one after the other, and so are those of a
    /// realm that are about no identity.
    pub fn order(&self) -> (&RealmId, Option<crate::id::IdentityId>) {
        (&self.event.realm, self.event.identity)
    }

    /// The JSON of the message.
    ///
    /// # Errors
    /// `Unexpected` when it cannot be encoded.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| {
            Error::new(ErrorKind::Unexpected, "cannot encode an event")
                .with_effect(Effect::None)
                .with_source(error)
        })
    }
}

/// A text as one token of letters, digits, `-` and `_`: any other byte becomes `=` and two hexadecimal digits, and an
/// empty text `=`. No two texts have the same token, and a token has no separator, wildcard, space or line end.
pub fn token(text: &str) -> String {
    if text.is_empty() {
        return "=".to_owned();
    }
    let mut token = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            token.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(token, "={byte:02X}");
        }
    }
    token
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::token;

    #[test]
    fn a_token_never_breaks_out() {
        assert_eq!(token("acme-eu_1"), "acme-eu_1");
        assert_eq!(token("a.b"), "a=2Eb");
        assert_eq!(token("> *\r\n"), "=3E=20=2A=0D=0A");
        assert_eq!(token("a=2Eb"), "a=3D2Eb");
        assert_eq!(token(""), "=");
    }

    proptest! {
        #[test]
        fn tokens_are_apart_and_plain(one in any::<String>(), two in any::<String>()) {
            prop_assert_eq!(one == two, token(&one) == token(&two));
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'=');
            prop_assert!(!token(&one).is_empty() && token(&one).bytes().all(plain));
        }
    }
}
