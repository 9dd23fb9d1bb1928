//! The one error of the crate. It answers three questions: what kind, may I retry, did anything change.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Result of the crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, for code that must choose. New kinds may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// An object with this key or this unique value is already there.
    AlreadyExists,
    /// The configuration is wrong; the message names the field.
    ConfigInvalid,
    /// A precondition no longer holds, or somebody else was faster.
    Conflict,
    /// The data of a feed, file or record is wrong.
    DataInvalid,
    /// An attribute of the request is unknown, read-only or badly typed.
    InvalidAttribute,
    /// The object is not there. Never used for "could not read".
    NotFound,
    /// Our service account may not do this.
    PermissionDenied,
    /// The target's rules refuse this value (password policy, reserved name).
    PolicyRejected,
    /// Too many requests; see [`Retry::After`].
    RateLimited,
    /// The store cannot be used (disk full, newer schema, corrupt file).
    StoreUnusable,
    /// Our service account's credentials were refused.
    Unauthenticated,
    /// The other side cannot be reached or does not answer.
    Unavailable,
    /// Anything else: a broken promise of a connector, a bug.
    Unexpected,
    /// This target cannot do this.
    Unsupported,
}

/// Did the write change anything on the other side?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Known: nothing changed.
    None,
    /// Known: the change is there.
    Applied,
    /// Not known (a timeout after the request was sent). Only a read can tell.
    Unknown,
}

/// May the same request be sent again?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// No: the answer would be the same.
    Never,
    /// Yes; not before the given time, where the other side named one.
    After(Option<Duration>),
}

/// An error with kind, retry advice and effect. One pointer wide.
///
/// `Display` prints the message alone, never the source: print a chain with [`Error::report`].
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    retry: Retry,
    effect: Option<Effect>,
    message: String,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind`. Kinds that pass by themselves (`Unavailable`, `RateLimited`) start as retryable.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retry = match kind {
            ErrorKind::Unavailable | ErrorKind::RateLimited => Retry::After(None),
            _ => Retry::Never,
        };
        Self(Box::new(Inner {
            kind,
            retry,
            effect: None,
            message: message.into(),
            context: Vec::new(),
            source: None,
        }))
    }

    /// States what the failed write did on the other side.
    #[must_use]
    pub fn with_effect(mut self, effect: Effect) -> Self {
        self.0.effect = Some(effect);
        self
    }

    /// States whether and when to try again.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Adds a fact a reader needs: `("target", "directory")`.
    #[must_use]
    pub fn with_context(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.context.push((name, value.into()));
        self
    }

    /// Keeps the cause for [`std::error::Error::source`].
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same request may be sent again.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// Whether the failed write changed anything. A write that did not say is [`Effect::Unknown`].
    pub fn effect(&self) -> Effect {
        self.0.effect.unwrap_or(Effect::Unknown)
    }

    /// The effect as stated, or `None` where the author stated none.
    pub fn effect_stated(&self) -> Option<Effect> {
        self.0.effect
    }

    /// The message without its context.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// True for [`ErrorKind::NotFound`].
    pub fn is_not_found(&self) -> bool {
        self.0.kind == ErrorKind::NotFound
    }

    /// The parts that go into the journal and over the wire to a remote agent; the source chain is flattened.
    pub fn record(&self) -> ErrorRecord {
        let retry_after_ms = match self.0.retry {
            Retry::After(Some(after)) => Some(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
            _ => None,
        };
        ErrorRecord {
            kind: self.0.kind,
            effect: self.effect(),
            retryable: self.0.retry != Retry::Never,
            retry_after_ms,
            message: self.report(),
        }
    }

    /// The message, its context and every cause, one line.
    pub fn report(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for (index, (name, value)) in self.0.context.iter().enumerate() {
            let open = if index == 0 { " (" } else { ", " };
            write!(f, "{open}{name} `{}`", crate::text::escape(value))?;
        }
        if !self.0.context.is_empty() {
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("effect", &self.0.effect)
            .field("retry", &self.0.retry)
            .field("report", &self.report())
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// An [`Error`] as data: what the journal keeps and a remote agent sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorRecord {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// What it did on the other side.
    pub effect: Effect,
    /// Whether the same request may be sent again.
    pub retryable: bool,
    /// The other side's own waiting time, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// Message with context and causes.
    pub message: String,
}

impl From<ErrorRecord> for Error {
    fn from(record: ErrorRecord) -> Self {
        let retry = match (record.retryable, record.retry_after_ms) {
            (false, _) => Retry::Never,
            (true, after) => Retry::After(after.map(Duration::from_millis)),
        };
        Self::new(record.kind, record.message).with_effect(record.effect).with_retry(retry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_is_one_pointer_wide_and_defaults_to_unknown_effect() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        assert_eq!(Error::new(ErrorKind::Unexpected, "x").effect(), Effect::Unknown);
    }

    #[test]
    fn report_prints_each_message_once() {
        let inner = Error::new(ErrorKind::Unavailable, "connection refused");
        let outer = Error::new(ErrorKind::Unexpected, "cannot list")
            .with_context("target", "ad\n")
            .with_source(inner);
        assert_eq!(outer.to_string(), "cannot list (target `ad\\n`)");
        assert_eq!(outer.report(), "cannot list (target `ad\\n`): connection refused");
    }

    #[test]
    fn record_round_trips_what_the_journal_needs() {
        let error = Error::new(ErrorKind::RateLimited, "slow down")
            .with_effect(Effect::None)
            .with_retry(Retry::After(Some(Duration::from_secs(2))));
        let back = Error::from(error.record());
        assert_eq!((back.kind(), back.effect(), back.retry()), (error.kind(), error.effect(), error.retry()));
    }
}
