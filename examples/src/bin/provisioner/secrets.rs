//! Secrets: resolved from the environment when a connector is built, kept out of everything that is printed.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use provision_core::value::Secret;
use provision_core::{Error, ErrorKind, Result};
use serde_json::Value;

/// The secrets resolved so far.
#[derive(Debug, Default)]
pub(crate) struct Secrets(Mutex<Vec<Secret>>);

impl Secrets {
    /// A connector's configuration with every `${env:NAME}` replaced. What is stored, planned and logged keeps the
    /// references.
    pub(crate) fn resolve(&self, config: &Value) -> Result<Value> {
        Ok(match config {
            Value::String(text) => Value::String(self.resolve_text(text)?),
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.resolve(item)).collect::<Result<_>>()?)
            }
            Value::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| Ok((name.clone(), self.resolve(value)?)));
                Value::Object(fields.collect::<Result<_>>()?)
            }
            other => other.clone(),
        })
    }

    /// A text that is a secret as a whole, with every `${env:NAME}` replaced.
    pub(crate) fn secret(&self, text: &str) -> Result<Secret> {
        let secret = self.resolve_text(text)?;
        self.remember(secret.clone());
        Ok(Secret::new(secret))
    }

    /// A text with every `${env:NAME}` replaced; what they stand for is kept out of what is printed.
    pub(crate) fn resolve_text(&self, text: &str) -> Result<String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${env:") {
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| Error::new(ErrorKind::ConfigInvalid, "a `${env:` has no closing brace"))?;
            let value = std::env::var(name).map_err(|_| {
                Error::new(
                    ErrorKind::ConfigInvalid,
                    "an environment variable that the configuration names is not set",
                )
                .with_context("variable", name)
            })?;
            out.push_str(before);
            out.push_str(&value);
            self.remember(value);
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn remember(&self, value: String) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !value.is_empty() && !known.iter().any(|secret| secret.expose() == value) {
            known.push(Secret::new(value));
            // Longer ones first: a secret within another must not leave the rest of it readable.
            known.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        }
    }

    /// The text without secrets, should a connector's message hold one.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().fold(text.to_owned(), |text, secret| text.replace(secret.expose(), "[secret]"))
    }
}

/// Standard error, scrubbed line by line.
#[derive(Clone, Debug)]
pub(crate) struct Scrubbed(pub(crate) Arc<Secrets>);

impl Write for Scrubbed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = self.0.scrub(&String::from_utf8_lossy(bytes));
        std::io::stderr().lock().write_all(text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().lock().flush()
    }
}
