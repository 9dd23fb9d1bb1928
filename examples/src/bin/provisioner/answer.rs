//! What a command answers, and the exit code that says it to a script.

use std::process::ExitCode;

use provision_core::diagnostic::Diagnostic;
use provision_core::{Error, ErrorKind};
use provision_examples::screen::{say, warn};
use serde::Serialize;
use serde_json::{Value, json};

use crate::secrets::Secrets;

/// Exit codes, as `--help` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Clean = 0,
    Error = 1,
    Pending = 2,
    Held = 3,
    Unsuccessful = 4,
    BadConfiguration = 5,
    EndedAtOnce = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A command's answer: for people and for scripts.
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) json: Value,
    pub(crate) exit: Exit,
}

impl Answer {
    pub(crate) fn new(text: impl Into<String>, json: impl Serialize, exit: Exit) -> Result<Self, Failure> {
        let json = serde_json::to_value(json)
            .map_err(|error| Failure::new(Exit::Error, format!("the answer is no JSON: {error}")))?;
        Ok(Self { text: text.into(), json, exit })
    }

    pub(crate) fn print(&self, json: bool, secrets: &Secrets) {
        let text = if json { pretty(&self.json) } else { self.text.trim_end().to_owned() };
        say(secrets.scrub(&text));
    }
}

/// Why a command has no answer.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    message: String,
    json: Value,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { exit, json: json!({ "message": message }), message }
    }

    /// Wrong configuration or usage.
    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self::new(Exit::BadConfiguration, message)
    }

    /// Problems of a policy.
    pub(crate) fn problems(problems: &[Diagnostic]) -> Self {
        let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let message = text.join("\n");
        Self { exit: Exit::BadConfiguration, json: json!({ "problems": problems }), message }
    }

    pub(crate) fn print(&self, json: bool, secrets: &Secrets) {
        warn(secrets.scrub(&self.message));
        if json {
            say(secrets.scrub(&pretty(&json!({ "error": self.json }))));
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match error.kind() {
            ErrorKind::ConfigInvalid => Exit::BadConfiguration,
            _ => Exit::Error,
        };
        let json = serde_json::to_value(error.record()).unwrap_or(Value::Null);
        Self { exit, message: format!("error: {}", error.report()), json }
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
