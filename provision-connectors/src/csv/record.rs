//! Reads delimited records (RFC 4180) and knows where each one stands.
//!
//! The `csv` crate is faster and is what this reader is compared with in tests, but it cannot tell three things a feed
//! depends on: that the file ended inside a quote, that text follows a closing quote (the trace of a quote that
//! swallowed rows), and the line a record starts at when blank lines or CRLF come before it.

use std::io::{self, BufRead};

/// How cells are set apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    pub(super) quote: u8,
}

/// One record, in buffers that are used again for the next.
#[derive(Debug, Default)]
pub(super) struct Record {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Line the record starts at, from 1.
    pub(super) line: u64,
    /// Line the record ends at.
    pub(super) last_line: u64,
    /// A quoted cell is followed by text: the line of it and the line its quote was opened at.
    pub(super) stray: Option<Stray>,
    /// The file ended inside the quote opened at this line.
    pub(super) open_quote: Option<u64>,
    /// A line break ended the record; false only for the last one.
    pub(super) terminated: bool,
    /// The record is longer than allowed; its cells are not kept.
    pub(super) too_long: bool,
}

/// A byte that is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Undecodable {
    /// Its line.
    pub(super) line: u64,
    /// The index of its cell.
    pub(super) cell: usize,
    /// The byte.
    pub(super) byte: u8,
}

/// Text after a closing quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stray {
    /// Where the quote was opened.
    pub(super) opened: u64,
    /// Where the text is.
    pub(super) line: u64,
}

impl Record {
    /// The cells as raw bytes.
    #[cfg(test)]
    pub(super) fn raw(&self) -> Vec<Vec<u8>> {
        let mut start = 0;
        let cell = |end: &usize| {
            let cell = self.bytes.get(start..*end).unwrap_or_default().to_vec();
            start = *end;
            cell
        };
        self.ends.iter().map(cell).collect()
    }

    /// How many cells there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The record as text, or where the first byte stands that is not UTF-8.
    pub(super) fn text(&self) -> Result<Cells<'_>, Undecodable> {
        let valid = match std::str::from_utf8(&self.bytes) {
            Ok(text) => {
                // A character cut in two by a delimiter is whole again without it.
                match self.ends.iter().find(|end| !text.is_char_boundary(**end)) {
                    None => return Ok(Cells { text, ends: &self.ends }),
                    Some(end) => end.saturating_sub(1),
                }
            }
            Err(error) => error.valid_up_to(),
        };
        let before = self.bytes.get(..valid).unwrap_or_default();
        let breaks = before.iter().filter(|byte| **byte == b'\n').count();
        Err(Undecodable {
            line: self.line + breaks as u64,
            cell: self.ends.iter().filter(|end| **end <= valid).count(),
            byte: self.bytes.get(valid).copied().unwrap_or_default(),
        })
    }

    fn clear(&mut self, line: u64) {
        self.bytes.clear();
        self.ends.clear();
        (self.line, self.last_line) = (line, line);
        (self.stray, self.open_quote) = (None, None);
        (self.terminated, self.too_long) = (false, false);
    }
}

/// The cells of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cells<'a> {
    text: &'a str,
    ends: &'a [usize],
}

impl<'a> Cells<'a> {
    /// A cell by index.
    pub(super) fn get(&self, index: usize) -> Option<&'a str> {
        let end = *self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.text.get(start..end)
    }

    /// All cells, from the first.
    pub(super) fn iter(self) -> impl Iterator<Item = &'a str> {
        (0..self.ends.len()).filter_map(move |index| self.get(index))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first byte of a cell.
    CellStart,
    /// In a cell without quotes.
    Plain,
    /// Between quotes.
    Quoted,
    /// After a quote inside a quoted cell: the end of it, or the first half of a doubled quote.
    AfterQuote,
}

/// Reads records one by one; blank lines are skipped.
#[derive(Debug)]
pub(super) struct RecordReader<R> {
    input: R,
    scanner: Scanner,
}

impl<R: BufRead> RecordReader<R> {
    /// Reads from `input`; a record may hold `length_max` bytes.
    pub(super) fn new(input: R, dialect: Dialect, length_max: usize) -> Self {
        let scanner =
            Scanner { dialect, length_max, line: 1, after_cr: false, state: State::CellStart, opened: 1 };
        Self { input, scanner }
    }

    /// What is read from.
    pub(super) fn input(&self) -> &R {
        &self.input
    }

    /// Reads the next record; false at the end.
    pub(super) fn read(&mut self, record: &mut Record) -> io::Result<bool> {
        record.clear(self.scanner.line);
        self.scanner.state = State::CellStart;
        loop {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                return Ok(self.scanner.finish(record));
            }
            let (used, done) = self.scanner.take_all(chunk, record);
            self.input.consume(used);
            if done {
                return Ok(true);
            }
        }
    }
}

/// Where the reader stands, byte by byte.
#[derive(Debug)]
struct Scanner {
    dialect: Dialect,
    length_max: usize,
    line: u64,
    after_cr: bool,
    state: State,
    /// Line of the last quote that opened a cell.
    opened: u64,
}

impl Scanner {
    /// Takes bytes up to the end of the record: how many, and whether it is done.
    fn take_all(&mut self, chunk: &[u8], record: &mut Record) -> (usize, bool) {
        let mut rest = chunk;
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            if self.take(*byte, record) {
                return (chunk.len() - rest.len(), true);
            }
            // What cannot end a cell is taken at once.
            if let Some((text, after)) =
                rest.split_at_checked(self.run(rest)).filter(|(text, _)| !text.is_empty())
            {
                record.push_all(text, self.length_max);
                self.after_cr = false;
                rest = after;
            }
        }
        (chunk.len(), false)
    }

    /// How many bytes from here are text of the present cell whatever follows.
    fn run(&self, bytes: &[u8]) -> usize {
        let end = match self.state {
            State::Plain => self.dialect.delimiter,
            State::Quoted => self.dialect.quote,
            State::CellStart | State::AfterQuote => return 0,
        };
        let special = |byte: &u8| *byte == end || *byte == b'\n' || *byte == b'\r';
        bytes.iter().position(special).unwrap_or(bytes.len())
    }

    /// Takes a byte into the record; true when the record is done.
    #[inline]
    fn take(&mut self, byte: u8, record: &mut Record) -> bool {
        let lf_of_crlf = byte == b'\n' && self.after_cr;
        self.after_cr = byte == b'\r';
        let breaks = matches!(byte, b'\n' | b'\r');
        if breaks && !lf_of_crlf {
            self.line += 1;
        }
        if self.state == State::Quoted {
            if byte == self.dialect.quote {
                self.state = State::AfterQuote;
                record.last_line = self.line;
            } else {
                record.push(byte, self.length_max);
            }
            return false;
        }
        if breaks {
            if record.ends.is_empty() && record.bytes.is_empty() && self.state == State::CellStart {
                // A blank line, or the second half of a CRLF.
                (record.line, record.last_line) = (self.line, self.line);
                return false;
            }
            record.end_cell();
            record.terminated = true;
            return true;
        }
        record.last_line = self.line;
        self.state = match self.state {
            _ if byte == self.dialect.delimiter => {
                record.end_cell();
                State::CellStart
            }
            State::CellStart if byte == self.dialect.quote => {
                self.opened = self.line;
                State::Quoted
            }
            State::AfterQuote if byte == self.dialect.quote => {
                record.push(byte, self.length_max);
                State::Quoted
            }
            before => {
                if before == State::AfterQuote && record.stray.is_none() {
                    record.stray = Some(Stray { opened: self.opened, line: self.line });
                }
                record.push(byte, self.length_max);
                State::Plain
            }
        };
        false
    }

    /// The end of the file: what was begun is a record.
    fn finish(&self, record: &mut Record) -> bool {
        if record.ends.is_empty() && record.bytes.is_empty() && self.state == State::CellStart {
            return false;
        }
        if self.state == State::Quoted {
            record.open_quote = Some(self.opened);
            record.last_line = self.line;
        }
        record.end_cell();
        true
    }
}

impl Record {
    fn push(&mut self, byte: u8, length_max: usize) {
        if self.bytes.len() < length_max {
            self.bytes.push(byte);
        } else {
            self.too_long = true;
        }
    }

    fn push_all(&mut self, bytes: &[u8], length_max: usize) {
        match bytes.get(..length_max.saturating_sub(self.bytes.len())) {
            Some(fits) if bytes.len() > fits.len() => {
                self.bytes.extend_from_slice(fits);
                self.too_long = true;
            }
            _ => self.bytes.extend_from_slice(bytes),
        }
    }

    fn end_cell(&mut self) {
        // A row of delimiters alone must not grow without bound either.
        if self.ends.len() < CELLS_MAX {
            self.ends.push(self.bytes.len());
        } else {
            self.too_long = true;
        }
    }
}

/// Most cells of a record.
const CELLS_MAX: usize = 16_384;

/// Writes one cell, in quotes where it needs them.
pub(super) fn write_cell(out: &mut Vec<u8>, cell: &str, dialect: Dialect) {
    let special =
        |byte: &u8| *byte == dialect.delimiter || *byte == dialect.quote || matches!(*byte, b'\n' | b'\r');
    if !cell.as_bytes().iter().any(special) {
        out.extend_from_slice(cell.as_bytes());
        return;
    }
    out.push(dialect.quote);
    for byte in cell.bytes() {
        if byte == dialect.quote {
            out.push(byte);
        }
        out.push(byte);
    }
    out.push(dialect.quote);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COMMA: Dialect = Dialect { delimiter: b',', quote: b'"' };

    fn read_all(text: &[u8]) -> Vec<(u64, u64, Vec<Vec<u8>>)> {
        // A tiny buffer, so that every state meets the end of one.
        let mut reader = RecordReader::new(io::BufReader::with_capacity(3, text), COMMA, 1 << 20);
        let mut record = Record::default();
        let mut out = Vec::new();
        while reader.read(&mut record).unwrap() {
            out.push((record.line, record.last_line, record.raw()));
        }
        out
    }

    #[test]
    fn lines_are_right_after_crlf_blank_lines_and_quoted_breaks() {
        let read = read_all(b"a,b\r\n\r\n\n1,\"x\r\ny\"\r\n2,z");
        let lines = read.iter().map(|(first, last, _)| (*first, *last)).collect::<Vec<_>>();
        assert_eq!(lines, [(1, 1), (4, 5), (6, 6)]);
        assert_eq!(read[1].2, [b"1".to_vec(), b"x\r\ny".to_vec()]);
    }

    #[test]
    fn open_and_stray_quotes_are_told_with_their_lines() {
        let mut reader = RecordReader::new(&b"h\n\"a\nb\" c\n\"never\nclosed"[..], COMMA, 1 << 20);
        let mut record = Record::default();
        assert!(reader.read(&mut record).unwrap() && reader.read(&mut record).unwrap());
        assert_eq!(record.stray, Some(Stray { opened: 2, line: 3 }));
        assert!(reader.read(&mut record).unwrap());
        assert_eq!((record.open_quote, record.terminated), (Some(4), false));
        assert!(!reader.read(&mut record).unwrap());
    }

    #[test]
    fn a_long_record_is_cut_and_the_next_one_is_whole() {
        let mut reader = RecordReader::new(&b"aaaaaaaaaa\nb\n"[..], COMMA, 4);
        let mut record = Record::default();
        assert!(reader.read(&mut record).unwrap() && record.too_long);
        assert!(reader.read(&mut record).unwrap());
        assert_eq!((record.too_long, record.raw()), (false, vec![b"b".to_vec()]));
    }

    #[test]
    fn a_character_cut_by_a_delimiter_is_not_text() {
        let mut reader = RecordReader::new(&b"\xC3,\xA9\n"[..], COMMA, 100);
        let mut record = Record::default();
        assert!(reader.read(&mut record).unwrap());
        assert!(record.text().is_err());
    }

    proptest! {
        #[test]
        fn reads_what_the_csv_crate_writes(rows in prop::collection::vec(
            prop::collection::vec("[a,\"\r\n é]{0,6}", 2..5), 0..8))
        {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let read = read_all(&writer.into_inner().unwrap());
            let cells = read.into_iter().map(|(_, _, cells)| cells).collect::<Vec<_>>();
            let wanted = rows.iter().map(|row| row.iter().map(|c| c.clone().into_bytes()).collect::<Vec<_>>());
            prop_assert_eq!(cells, wanted.collect::<Vec<_>>());
        }

        #[test]
        fn the_csv_crate_reads_what_we_write(row in prop::collection::vec("[a,\"\r\n é']{0,6}", 2..5)) {
            let mut out = Vec::new();
            for (index, cell) in row.iter().enumerate() {
                if index > 0 { out.push(b','); }
                write_cell(&mut out, cell, COMMA);
            }
            out.push(b'\n');
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&out[..]);
            let read = reader.records().next().unwrap().unwrap();
            prop_assert_eq!(read.iter().collect::<Vec<_>>(), row.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
}
