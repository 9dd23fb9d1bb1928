//! The codes of feed problems, and the errors of files.

use std::path::Path;

use provision_core::connector::Context;
use provision_core::diagnostic::{Diagnostic, Severity, Span};
use provision_core::runtime::{Clock, SystemClock};
use provision_core::text::escape;
use provision_core::{Effect, Error, ErrorKind, Result, Retry};

/// The file holds nothing.
pub(super) const EMPTY_FILE: &str = "F0001";
/// A byte that the encoding does not know, or an encoding that contradicts the byte order mark.
pub(super) const ENCODING: &str = "F0002";
/// The header looks as if it used another delimiter.
pub(super) const DELIMITER: &str = "F0003";
/// Two columns of one name.
pub(super) const DUPLICATE_HEADER: &str = "F0004";
/// A mapped column is not in the header.
pub(super) const MISSING_COLUMN: &str = "F0005";
/// A quote that was opened swallows rows.
pub(super) const OPEN_QUOTE: &str = "F0006";
/// More rows than the source may have.
pub(super) const TOO_MANY_ROWS: &str = "F0007";
/// More unusable rows than a feed may have.
pub(super) const TOO_MANY_PROBLEMS: &str = "F0008";
/// The file was written to while it was read.
pub(super) const FILE_CHANGED: &str = "F0009";
/// The system could not read the file.
pub(super) const UNREADABLE: &str = "F0010";

/// A row with more or fewer cells than the header.
pub(super) const RAGGED: &str = "F0020";
/// A row without key.
pub(super) const NO_KEY: &str = "F0021";
/// A cell that is no date of a declared form.
pub(super) const BAD_DATE: &str = "F0022";
/// A status that the map does not have.
pub(super) const UNKNOWN_STATUS: &str = "F0023";
/// An operation that the map does not have.
pub(super) const UNKNOWN_OP: &str = "F0024";
/// A zone that the IANA database does not have.
pub(super) const UNKNOWN_ZONE: &str = "F0025";
/// A row longer than allowed.
pub(super) const LONG_ROW: &str = "F0026";
/// Text after the closing quote of a cell.
pub(super) const STRAY_QUOTE: &str = "F0027";
/// A character that was lost before the file was written.
pub(super) const LOST_CHARACTER: &str = "F0028";
/// A key that a spreadsheet turned into a rounded number.
pub(super) const ROUNDED_KEY: &str = "F0029";
/// Text that looks decoded with the wrong encoding.
pub(super) const MOJIBAKE: &str = "F0030";
/// A cell that is not of the declared type.
pub(super) const BAD_VALUE: &str = "F0031";
/// A NUL in a cell.
pub(super) const NUL: &str = "F0032";
/// A row after the trailer.
pub(super) const AFTER_TRAILER: &str = "F0033";

/// Most characters of a cell that a message shows.
const SHOWN_MAX: usize = 60;

/// A cell as a message shows it: cut, in backticks; hidden characters are escaped when the diagnostic is printed.
pub(super) fn shown(cell: &str) -> String {
    let mut text = cell.chars().take(SHOWN_MAX).collect::<String>();
    if cell.chars().nth(SHOWN_MAX).is_some() {
        text.push('…');
    }
    format!("`{text}`")
}

/// A problem at a line of the file. The row's text is not repeated: it is about people, and messages reach logs.
pub(super) fn at_line(
    severity: Severity,
    code: &str,
    summary: impl Into<String>,
    remedy: impl Into<String>,
    file: &str,
    line: u64,
) -> Diagnostic {
    Diagnostic::new(severity, code, summary, remedy).at(Span {
        file: file.to_owned(),
        line: u32::try_from(line).unwrap_or(u32::MAX),
        ..Span::default()
    })
}

/// The error that ends a feed, from the diagnostic that says why.
pub(super) fn abort(diagnostic: &Diagnostic) -> Error {
    let mut error = Error::new(
        ErrorKind::DataInvalid,
        format!("{} [{}]; fix: {}", escape(&diagnostic.summary), diagnostic.code, escape(&diagnostic.remedy)),
    );
    if let Some(span) = &diagnostic.span {
        error = error.with_context("file", span.file.clone());
        if span.line > 0 {
            error = error.with_context("line", span.line.to_string());
        }
    }
    error
}

/// The kind a failed system call stands for.
pub(super) fn kind_of(error: &std::io::Error) -> ErrorKind {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
            ErrorKind::PermissionDenied
        }
        std::io::ErrorKind::NotFound
        | std::io::ErrorKind::IsADirectory
        | std::io::ErrorKind::NotADirectory => ErrorKind::ConfigInvalid,
        _ => ErrorKind::Unavailable,
    }
}

/// A failed system call on a file, with what was tried.
pub(super) fn io(doing: &str, path: &Path, error: std::io::Error) -> Error {
    let kind = kind_of(&error);
    Error::new(kind, format!("cannot {doing}"))
        .with_context("path", path.display().to_string())
        .with_source(error)
}

/// An error of the configuration, naming the field.
pub(super) fn config(field: &str, message: impl AsRef<str>) -> Error {
    Error::new(ErrorKind::ConfigInvalid, format!("`{field}`: {}", message.as_ref())).with_effect(Effect::None)
}

/// An attribute of a request that cannot be written; nothing was.
pub(super) fn invalid_attribute(name: &str, message: impl AsRef<str>) -> Error {
    Error::new(ErrorKind::InvalidAttribute, message.as_ref())
        .with_context("attribute", name)
        .with_effect(Effect::None)
}

/// Something a table cannot do; nothing was done.
pub(super) fn unsupported(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unsupported, message).with_effect(Effect::None)
}

/// Refuses a call whose deadline has passed (C-9.1).
pub(super) fn in_time(cx: &Context) -> Result<()> {
    match cx.deadline {
        Some(deadline) if SystemClock.now() >= deadline => {
            let error = Error::new(ErrorKind::Unavailable, "the deadline has passed");
            Err(error.with_effect(Effect::None))
        }
        _ => Ok(()),
    }
}

/// A worker thread that ended without an answer.
pub(super) fn stopped(effect: Effect) -> Error {
    Error::new(ErrorKind::Unexpected, "the file worker stopped without an answer").with_effect(effect)
}

/// Another process holds the lock for too long.
pub(super) fn busy(path: &Path) -> Error {
    Error::new(ErrorKind::Unavailable, "another process writes this file and does not let go of its lock")
        .with_context("lock", path.display().to_string())
        .with_effect(Effect::None)
        .with_retry(Retry::After(None))
}
