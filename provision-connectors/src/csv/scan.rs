//! One pass over a feed's file: bytes to events, in constant memory.

use std::fs::File;
use std::path::Path;

use provision_core::connector::Completeness;
use provision_core::diagnostic::{Diagnostic, Severity};
use provision_core::source::{FeedEvent, FeedMode, FeedRecord};
use provision_core::{Error, ErrorKind, Result};

use super::cell::clean;
use super::config::SourceConfig;
use super::encoding::{Encoding, Utf8Reader};
use super::error::{self, at_line};
use super::file::Stamp;
use super::header::Header;
use super::record::{Cells, Record, RecordReader, Undecodable};
use super::row::Layout;

/// Records handed over at once: few enough that the allocator gives out and takes back their list without more ado.
const BATCH: usize = 200;

/// Takes the events; false when nobody wants more.
pub(super) type Sink<'a> = &'a mut dyn FnMut(FeedEvent) -> bool;

/// Why a pass ended early.
enum Stop {
    /// Nothing of the feed may be used.
    Abort(Vec<Diagnostic>),
    /// Nobody reads on.
    Unwanted,
}

impl From<Diagnostic> for Stop {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Abort(vec![diagnostic])
    }
}

/// Reads the file and hands its records to `sink`, ending with `End`.
///
/// # Errors
/// `DataInvalid` when nothing of the feed may be used; each reason went to the sink as a problem before.
pub(super) fn scan(config: &SourceConfig, path: &Path, hashed: Stamp, sink: Sink<'_>) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut pass = Pass { config, name: &name, sink, batch: Vec::new(), problems: 0, rows: 0, dropped: 0 };
    match pass.run(path, hashed) {
        Ok(()) | Err(Stop::Unwanted) => Ok(()),
        Err(Stop::Abort(reasons)) => {
            let error = match reasons.first() {
                Some(first) => error::abort(first),
                None => Error::new(ErrorKind::DataInvalid, "the feed cannot be used"),
            };
            for reason in reasons {
                sink(FeedEvent::Problem(reason));
            }
            Err(error)
        }
    }
}

struct Pass<'a> {
    config: &'a SourceConfig,
    name: &'a str,
    sink: Sink<'a>,
    batch: Vec<FeedRecord>,
    problems: u64,
    rows: u64,
    dropped: u64,
}

/// What the trailer said.
struct Trailer {
    count: Option<u64>,
    followed: bool,
}

impl Pass<'_> {
    fn run(&mut self, path: &Path, hashed: Stamp) -> Result<(), Stop> {
        let file = File::open(path).map_err(|error| self.unreadable(0, &error))?;
        self.unchanged(Stamp::of(&file), hashed)?;
        let dialect =
            self.config.dialect().map_err(|error| self.fatal(error::UNREADABLE, error.message(), "", 0))?;
        let input =
            Utf8Reader::open(file, self.config.encoding).map_err(|error| self.unreadable(0, &error))?;
        let input = input.map_err(|told| self.fatal(error::ENCODING, told.summary, told.remedy, 1))?;
        let mut reader = RecordReader::new(input, dialect, self.config.row_length_max as usize);
        let mut record = Record::default();
        if !self.next(&mut reader, &mut record, 0)? {
            let remedy = "ask for the file again; a full file has a header at least";
            return Err(self.fatal(error::EMPTY_FILE, "the file is empty", remedy, 0).into());
        }
        if record.too_long {
            let limit = self.config.row_length_max;
            let summary = format!("the header is longer than {limit} bytes");
            return Err(self
                .fatal(error::DELIMITER, summary, "check that this is a delimited text file", 1)
                .into());
        }
        let cells = record.text().map_err(|at| self.undecodable(at, None))?;
        let header = Header::read(cells, self.name, record.line, dialect.delimiter).map_err(Stop::Abort)?;
        let mut layout = Layout::resolve(self.config, &header).map_err(Stop::Abort)?;
        let (trailer, truncated) = self.rows(&mut reader, &mut record, &header, &mut layout)?;
        self.unchanged(Stamp::open(path), hashed)?;
        let end = self.completeness(trailer.as_ref(), truncated);
        self.flush()?;
        self.send(FeedEvent::End(end))
    }

    /// Reads every row. Tells the trailer, if there was one, and whether the last row was cut.
    fn rows(
        &mut self,
        reader: &mut RecordReader<Utf8Reader<File>>,
        record: &mut Record,
        header: &Header,
        layout: &mut Layout<'_>,
    ) -> Result<(Option<Trailer>, bool), Stop> {
        let mut trailer: Option<Trailer> = None;
        let mut cut = false;
        let mut problems = Vec::new();
        while self.next(reader, record, header.width())? {
            let cells = record.text().map_err(|at| self.undecodable(at, Some(header)))?;
            if let Some(trailer) = &mut trailer {
                if !trailer.followed {
                    let summary = "a row follows the trailer";
                    let problem = self.row_problem(
                        error::AFTER_TRAILER,
                        summary,
                        "end the file with its trailer",
                        record,
                    );
                    self.problem(problem)?;
                }
                trailer.followed = true;
                continue;
            }
            if let Some(count) = self.trailer(cells) {
                trailer = Some(Trailer { count, followed: false });
                continue;
            }
            self.rows += 1;
            if self.rows > self.config.rows_max {
                let summary = format!("the file has more than {} rows", self.config.rows_max);
                return Err(self
                    .fatal(error::TOO_MANY_ROWS, summary, "raise `rows_max` if that is right", record.line)
                    .into());
            }
            if let Some(problem) = self.misshapen(record, header) {
                cut = !record.terminated && record.len() < header.width();
                self.dropped += 1;
                self.problem(problem)?;
                continue;
            }
            let made = layout.record(cells, self.name, record.line, &mut problems);
            for problem in problems.drain(..) {
                self.problem(problem)?;
            }
            match made {
                Some(made) => {
                    self.batch.push(made);
                    if self.batch.len() >= BATCH {
                        self.flush()?;
                    }
                }
                None => self.dropped += 1,
            }
        }
        Ok((trailer, cut))
    }

    /// Reads the next record and refuses what makes all that follows doubtful.
    fn next(
        &mut self,
        reader: &mut RecordReader<Utf8Reader<File>>,
        record: &mut Record,
        width: usize,
    ) -> Result<bool, Stop> {
        let more = reader.read(record).map_err(|error| self.unreadable(record.line, &error))?;
        if !record.terminated && reader.input().malformed() {
            let remedy = "ask for the file again, or correct `encoding`";
            let summary = "the text holds bytes that its encoding does not know";
            return Err(self.fatal(error::ENCODING, summary, remedy, record.last_line).into());
        }
        if !more {
            return Ok(false);
        }
        let remedy = "close the quote, or double a quote that belongs to the text";
        let (opened, why) = if let Some(opened) = record.open_quote {
            (opened, "and never closed: it swallows the rest of the file".to_owned())
        } else if let Some(stray) = record.stray.filter(|stray| stray.opened != stray.line) {
            (stray.opened, format!("and ends before more text in line {}: it swallows rows", stray.line))
        } else if record.last_line - record.line >= u64::from(self.config.row_lines_max) {
            let limit = self.config.row_lines_max;
            (
                record.line,
                format!("and its row is longer than {limit} lines (`row_lines_max`): it swallows rows"),
            )
        } else if record.last_line > record.line && swallows(record, width, self.config.delimiter) {
            (record.line, "and holds lines that are rows themselves: it swallows rows".to_owned())
        } else {
            return Ok(true);
        };
        let summary = format!("a quote is opened here {why}");
        Err(self.fatal(error::OPEN_QUOTE, summary, remedy, opened).into())
    }

    /// What is wrong with the shape of a row.
    fn misshapen(&self, record: &Record, header: &Header) -> Option<Diagnostic> {
        let (have, want) = (record.len(), header.width());
        if record.too_long {
            let summary = format!("the row is longer than {} bytes", self.config.row_length_max);
            let remedy = "shorten it, or raise `row_length_max`";
            return Some(self.row_problem(error::LONG_ROW, summary, remedy, record));
        }
        if record.stray.is_some() {
            let remedy = "double a quote that belongs to the text";
            return Some(self.row_problem(
                error::STRAY_QUOTE,
                "text follows a closing quote",
                remedy,
                record,
            ));
        }
        if have == want {
            return None;
        }
        let last = if have < want {
            header.name(have.saturating_sub(1))
        } else {
            header.name(want.saturating_sub(1))
        };
        let summary = format!("the row has {have} cells and the header {want}");
        let remedy = if have > want {
            "put cells that hold the delimiter in quotes"
        } else {
            "give every row a cell for each column, empty if need be"
        };
        let problem = self.row_problem(error::RAGGED, summary, remedy, record);
        Some(problem.at_path(last))
    }

    /// The count of a trailer row; `None`: the row is no trailer.
    fn trailer(&self, cells: Cells<'_>) -> Option<Option<u64>> {
        let trailer = self.config.trailer.as_ref()?;
        if clean(cells.get(0)?) != trailer.first.as_str() {
            return None;
        }
        let index = (trailer.count as usize).checked_sub(1)?;
        Some(cells.get(index).and_then(|cell| clean(cell).parse().ok()))
    }

    fn completeness(&self, trailer: Option<&Trailer>, truncated: bool) -> Completeness {
        let rows = self.rows;
        let partial = |reason: String| Completeness::Partial { reason };
        if truncated {
            return partial(format!("the last row is cut off after {rows} rows: the file is truncated"));
        }
        let mut proof = format!("{rows} rows, end of file");
        if self.config.trailer.is_some() {
            match trailer {
                None => return partial(format!("{rows} rows and no trailer: the file may be truncated")),
                Some(Trailer { followed: true, .. }) => return partial("rows follow the trailer".to_owned()),
                Some(Trailer { count: None, .. }) => return partial("the trailer has no count".to_owned()),
                Some(Trailer { count: Some(count), .. }) if *count != rows => {
                    return partial(format!("{rows} rows, and the trailer counts {count}"));
                }
                Some(Trailer { count: Some(count), .. }) => proof = format!("{rows} rows, trailer {count}"),
            }
        }
        if let Some(expected) = self.config.expected_rows {
            if expected != rows {
                return partial(format!("{rows} rows, {expected} expected"));
            }
            proof = format!("{rows} rows, {expected} expected");
        }
        if rows < self.config.min_rows {
            return partial(format!("{rows} rows, at least {} expected", self.config.min_rows));
        }
        if rows == 0 && self.config.mode == FeedMode::Full {
            return partial("the file has a header and no rows".to_owned());
        }
        if self.dropped > 0 {
            // Whose rows they are is not always known: nobody may count as absent.
            return partial(format!("{} of {rows} rows could not be used", self.dropped));
        }
        Completeness::Complete { proof }
    }

    fn problem(&mut self, problem: Diagnostic) -> Result<(), Stop> {
        if problem.is_error() {
            self.problems += 1;
        }
        let line = problem.span.as_ref().map_or(0, |span| u64::from(span.line));
        // Records before the problem go first, so that events keep the order of the file.
        self.flush()?;
        self.send(FeedEvent::Problem(problem))?;
        if self.problems > u64::from(self.config.problems_max) {
            let summary = format!("more than {} problems", self.config.problems_max);
            let remedy = "correct the file, or raise `problems_max`";
            return Err(self.fatal(error::TOO_MANY_PROBLEMS, summary, remedy, line).into());
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Stop> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        self.send(FeedEvent::Records(batch))
    }

    fn send(&mut self, event: FeedEvent) -> Result<(), Stop> {
        if (self.sink)(event) { Ok(()) } else { Err(Stop::Unwanted) }
    }

    fn unchanged(&self, now: std::io::Result<Stamp>, hashed: Stamp) -> Result<(), Stop> {
        if now.map_err(|error| self.unreadable(0, &error))? == hashed {
            return Ok(());
        }
        let remedy = "let the sender write beside the file and rename it when it is whole; then read again";
        Err(self.fatal(error::FILE_CHANGED, "the file changed while it was read", remedy, 0).into())
    }

    fn undecodable(&self, at: Undecodable, header: Option<&Header>) -> Diagnostic {
        let (encoding, remedy) = match self.config.encoding {
            None | Some(Encoding::Utf8) => (
                "UTF-8",
                "declare `encoding: windows-1252` if the file comes from an old Windows program, or ask for UTF-8",
            ),
            Some(_) => ("text of the declared encoding", "correct `encoding`"),
        };
        let summary = format!("byte 0x{:02X} is not {encoding}", at.byte);
        let problem = self.fatal(error::ENCODING, summary, remedy, at.line);
        match header {
            Some(header) => problem.at_path(header.name(at.cell)),
            None => problem,
        }
    }

    fn unreadable(&self, line: u64, error: &std::io::Error) -> Diagnostic {
        let summary = format!("the file cannot be read: {error}");
        self.fatal(error::UNREADABLE, summary, "check the path and its permissions", line)
    }

    fn fatal(&self, code: &str, summary: impl Into<String>, remedy: &str, line: u64) -> Diagnostic {
        at_line(Severity::Error, code, summary, remedy, self.name, line)
    }

    fn row_problem(
        &self,
        code: &str,
        summary: impl Into<String>,
        remedy: &str,
        record: &Record,
    ) -> Diagnostic {
        at_line(Severity::Error, code, summary, remedy, self.name, record.line)
    }
}

/// Whether a cell of several lines holds a line with as many delimiters as a row of this file has.
fn swallows(record: &Record, width: usize, delimiter: char) -> bool {
    let Ok(cells) = record.text() else { return false };
    width >= 3
        && cells.iter().any(|cell| {
            let lines = cell.split('\n').collect::<Vec<_>>();
            let inner = lines.iter().skip(1).take(lines.len().saturating_sub(2));
            inner.into_iter().any(|line| line.matches(delimiter).count() + 1 == width)
        })
}
