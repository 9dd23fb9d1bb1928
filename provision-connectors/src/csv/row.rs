//! Rows: from a header to a layout, from cells to a record.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use provision_core::diagnostic::{Diagnostic, Severity};
use provision_core::model::{Employment, Status};
use provision_core::source::{FeedRecord, RecordAction};
use provision_core::value::{AttrName, Attributes, Date, Slot, Value, Zone};
use sha2::{Digest, Sha256};

use super::cell::{clean, is_mojibake, is_rounded_number};
use super::config::{CellType, ColumnConfig, EmptyCell, SourceConfig};
use super::error::{self, shown};
use super::header::Header;
use super::record::Cells;

/// One attribute and where it comes from.
#[derive(Debug)]
struct Mapped {
    attribute: AttrName,
    index: usize,
    column: String,
    split: Option<String>,
    kind: CellType,
}

/// Column indexes of a header, and what the cells mean.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    config: &'a SourceConfig,
    key: usize,
    mapped: Vec<Mapped>,
    start: Option<usize>,
    end: Option<usize>,
    status: Option<usize>,
    zone: Option<usize>,
    op: Option<usize>,
    /// Every index above, once: what a fingerprint covers.
    used: Vec<usize>,
    statuses: HashMap<String, Status>,
    ops: HashMap<String, RecordAction>,
    seed: Sha256,
    /// Used again for every row.
    hashed: Vec<u8>,
    zones: HashMap<String, Option<Zone>>,
    warned: HashSet<(&'static str, usize)>,
}

/// Bytes of a fingerprint: 128 bits of SHA-256. Equal ones mean that a row is unchanged.
const FINGERPRINT_BYTES: usize = 16;

/// Most different zone names remembered; a file has a handful.
const ZONES_MAX: usize = 4096;

/// A row under work: where it is, and what is wrong with it.
struct Row<'a, 'b> {
    cells: Cells<'a>,
    file: &'b str,
    line: u64,
    problems: &'b mut Vec<Diagnostic>,
}

impl<'a> Row<'a, '_> {
    fn problem(&mut self, code: &str, column: &str, summary: String, remedy: &str) {
        let problem = error::at_line(Severity::Error, code, summary, remedy, self.file, self.line);
        self.problems.push(problem.at_path(column));
    }

    /// A cell, cleaned; empty where the column is not configured.
    fn cell(&self, index: Option<usize>) -> Cow<'a, str> {
        clean(index.and_then(|index| self.cells.get(index)).unwrap_or_default())
    }
}

impl<'a> Layout<'a> {
    /// Finds every configured column, or tells all that are missing.
    pub(super) fn resolve(config: &'a SourceConfig, header: &Header) -> Result<Self, Vec<Diagnostic>> {
        let mut missing = Vec::new();
        let mut find = |column: &str, used_by: &str| match header.index(column) {
            Some(index) => index,
            None => {
                missing.push(header.missing(column, used_by));
                0
            }
        };
        let key = find(&config.key, "key");
        let mut mapped = Vec::with_capacity(config.columns.len());
        for (attribute, column) in &config.columns {
            let (split, kind) = match column {
                ColumnConfig::Name(_) => (None, CellType::Text),
                ColumnConfig::Detail(detail) => (detail.split.clone(), detail.kind),
            };
            let name = column.column();
            mapped.push(Mapped {
                attribute: attribute.clone(),
                index: find(name, &format!("columns.{attribute}")),
                column: name.to_owned(),
                split,
                kind,
            });
        }
        let employment = &config.employment;
        let start = employment.start.as_deref().map(|column| find(column, "employment.start"));
        let end = employment.end.as_deref().map(|column| find(column, "employment.end"));
        let status = employment.status.as_deref().map(|column| find(column, "employment.status"));
        let zone = config.zone.as_deref().map(|column| find(column, "zone"));
        let op = config.op.as_ref().map(|op| find(&op.column, "op.column"));
        if !missing.is_empty() {
            return Err(missing);
        }
        let mut used = vec![key];
        used.extend(mapped.iter().map(|mapped| mapped.index));
        used.extend([start, end, status, zone, op].into_iter().flatten());
        used.sort_unstable();
        used.dedup();
        let ops = config.op.iter().flat_map(|op| spellings(&op.map)).collect();
        let mut seed = Sha256::new();
        seed.update(config.meaning());
        Ok(Self {
            config,
            key,
            mapped,
            start,
            end,
            status,
            zone,
            op,
            used,
            statuses: statuses(config),
            ops,
            seed,
            hashed: Vec::new(),
            zones: HashMap::new(),
            warned: HashSet::new(),
        })
    }

    /// The record of a row. `None`: it cannot be used, and `problems` says why. Warnings are in `problems` too, each
    /// kind once per column.
    pub(super) fn record(
        &mut self,
        cells: Cells<'_>,
        file: &str,
        line: u64,
        problems: &mut Vec<Diagnostic>,
    ) -> Option<FeedRecord> {
        let mut row = Row { cells, file, line, problems };
        let config = self.config;
        let key = self.key(&mut row);
        let action = self.action(&mut row);
        if action == RecordAction::Remove {
            // A tombstone needs its key alone.
            let usable = !row.problems.iter().any(Diagnostic::is_error);
            return usable.then(|| FeedRecord {
                fingerprint: self.fingerprint(cells),
                key,
                position: line,
                attributes: Attributes::new(),
                employment: Employment::default(),
                zone: None,
                action,
            });
        }
        let mut attributes = Vec::with_capacity(self.mapped.len());
        for mapped in &self.mapped {
            if let Some(slot) = slot(config, mapped, &mut row, &mut self.warned) {
                attributes.push((mapped.attribute.clone(), slot));
            }
        }
        let date = |row: &mut Row<'_, '_>, index: Option<usize>, column: &Option<String>| {
            let cell = row.cell(index);
            if cell.is_empty() || config.null_token.as_deref() == Some(&cell) {
                return None;
            }
            date(config, row, column.as_deref().unwrap_or_default(), &cell)
        };
        let start = date(&mut row, self.start, &config.employment.start);
        let end = date(&mut row, self.end, &config.employment.end).filter(|end| !is_open_end(*end));
        let status = self.status(&mut row);
        let zone = self.zone(&mut row);
        if row.problems.iter().any(Diagnostic::is_error) {
            return None;
        }
        Some(FeedRecord {
            fingerprint: self.fingerprint(cells),
            key,
            position: line,
            attributes: attributes.into_iter().collect(),
            employment: Employment { start, end, status },
            zone,
            action,
        })
    }

    fn key(&self, row: &mut Row<'_, '_>) -> String {
        let column = self.config.key.as_str();
        let key = row.cell(Some(self.key)).into_owned();
        if key.is_empty() || self.config.null_token.as_deref() == Some(&key) {
            row.problem(
                error::NO_KEY,
                column,
                "the row has no key".to_owned(),
                "give every row the immutable id of its person",
            );
        } else if is_rounded_number(&key) {
            row.problem(
                error::ROUNDED_KEY,
                column,
                format!("the key {} is a number that a spreadsheet rounded", shown(&key)),
                "export the file again without opening it in a spreadsheet, or format the column as text",
            );
        } else {
            check_text(row, column, &key);
        }
        key
    }

    fn action(&self, row: &mut Row<'_, '_>) -> RecordAction {
        let (Some(index), Some(op)) = (self.op, &self.config.op) else { return RecordAction::Upsert };
        let cell = row.cell(Some(index));
        self.ops.get(cell.as_ref()).or_else(|| self.ops.get(&fold(&cell))).copied().unwrap_or_else(|| {
            let known = op.map.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            row.problem(
                error::UNKNOWN_OP,
                &op.column,
                format!("unknown operation {}; known: {known}", shown(&cell)),
                "add it to `op.map` as `upsert` or `remove`",
            );
            RecordAction::Upsert
        })
    }

    fn status(&self, row: &mut Row<'_, '_>) -> Status {
        let (Some(index), Some(column)) = (self.status, &self.config.employment.status) else {
            return Status::Active;
        };
        let cell = row.cell(Some(index));
        let known = self.statuses.get(cell.as_ref()).or_else(|| self.statuses.get(&fold(&cell)));
        known.copied().unwrap_or_else(|| {
            let map = &self.config.employment.status_map;
            let known = match map.is_empty() {
                true => "active, on_leave, suspended, terminated".to_owned(),
                false => map.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
            };
            row.problem(
                error::UNKNOWN_STATUS,
                column,
                format!("unknown status {}; known: {known}", shown(&cell)),
                "add it to `employment.status_map`",
            );
            Status::Active
        })
    }

    fn zone(&mut self, row: &mut Row<'_, '_>) -> Option<Zone> {
        let (index, column) = (self.zone?, self.config.zone.as_deref()?);
        let cell = row.cell(Some(index));
        if cell.is_empty() || self.config.null_token.as_deref() == Some(&cell) {
            return None;
        }
        let zone = match self.zones.get(cell.as_ref()) {
            Some(known) => known.clone(),
            None => {
                if self.zones.len() >= ZONES_MAX {
                    self.zones.clear();
                }
                let zone = Zone::new(&cell).ok();
                self.zones.insert(cell.clone().into_owned(), zone.clone());
                zone
            }
        };
        if zone.is_none() {
            row.problem(
                error::UNKNOWN_ZONE,
                column,
                format!("{} is not a time zone of the IANA database", shown(&cell)),
                "use names like `Europe/Berlin`, or leave the cell empty",
            );
        }
        zone
    }

    /// Hash of the raw cells in use. Lengths come first, so that `ab|c` and `a|bc` differ.
    fn fingerprint(&mut self, cells: Cells<'_>) -> String {
        // Gathered first: many small pieces cost the hash more than their copy.
        self.hashed.clear();
        for index in &self.used {
            let cell = cells.get(*index).unwrap_or_default();
            self.hashed.extend_from_slice(&(cell.len() as u64).to_le_bytes());
            self.hashed.extend_from_slice(cell.as_bytes());
        }
        let digest = self.seed.clone().chain_update(&self.hashed).finalize();
        let mut text = [0; 2 * FINGERPRINT_BYTES];
        // Cannot fail: the text has two digits for each byte.
        let _ = hex::encode_to_slice(digest.get(..FINGERPRINT_BYTES).unwrap_or_default(), &mut text);
        std::str::from_utf8(&text).unwrap_or_default().to_owned()
    }
}

fn statuses(config: &SourceConfig) -> HashMap<String, Status> {
    let map = &config.employment.status_map;
    if !map.is_empty() {
        return spellings(map).collect();
    }
    let words = [
        ("active", Status::Active),
        ("on_leave", Status::OnLeave),
        ("suspended", Status::Suspended),
        ("terminated", Status::Terminated),
    ];
    words.into_iter().map(|(word, status)| (word.to_owned(), status)).collect()
}

/// A map's cells as written, which most rows have, and folded.
fn spellings<T: Copy>(map: &BTreeMap<String, T>) -> impl Iterator<Item = (String, T)> {
    map.iter().flat_map(|(cell, meaning)| [(fold(cell), *meaning), (cell.clone(), *meaning)])
}

fn fold(cell: &str) -> String {
    cell.trim().to_lowercase()
}

/// The slot of a mapped attribute; `None`: absent, or a problem that was noted.
fn slot(
    config: &SourceConfig,
    mapped: &Mapped,
    row: &mut Row<'_, '_>,
    warned: &mut HashSet<(&'static str, usize)>,
) -> Option<Slot> {
    let cells = row.cells;
    let cell = clean(cells.get(mapped.index).unwrap_or_default());
    if config.null_token.as_deref() == Some(cell.as_ref()) {
        return Some(Slot::Null);
    }
    if cell.is_empty() {
        return (config.empty == EmptyCell::Null).then_some(Slot::Null);
    }
    if !check_text(row, &mapped.column, &cell) {
        return None;
    }
    if is_mojibake(&cell) && warned.insert((error::MOJIBAKE, mapped.index)) {
        let warning = error::at_line(
            Severity::Warning,
            error::MOJIBAKE,
            format!("{} looks like UTF-8 that was read as Windows-1252", shown(&cell)),
            "check how the file was exported; this is shown once per column",
            row.file,
            row.line,
        );
        row.problems.push(warning.at_path(mapped.column.as_str()));
    }
    let Some(separator) = &mapped.split else {
        return value(config, mapped, row, &cell).map(|value| Slot::Values(vec![value]));
    };
    let mut values = Vec::new();
    for part in cell.split(separator.as_str()).map(clean).filter(|part| !part.is_empty()) {
        let value = value(config, mapped, row, &part)?;
        if !values.contains(&value) {
            values.push(value);
        }
    }
    Some(Slot::from_values(values))
}

fn value(config: &SourceConfig, mapped: &Mapped, row: &mut Row<'_, '_>, cell: &str) -> Option<Value> {
    let value = match mapped.kind {
        CellType::Text => return Some(Value::text(cell)),
        CellType::Date => return date(config, row, &mapped.column, cell).map(Value::Date),
        CellType::Int => cell.parse().ok().map(Value::Int),
        CellType::Bool => match fold(cell).as_str() {
            "true" | "1" => Some(Value::Bool(true)),
            "false" | "0" => Some(Value::Bool(false)),
            _ => None,
        },
    };
    if value.is_none() {
        let (wanted, remedy) = match mapped.kind {
            CellType::Int => ("a whole number", "correct the cell, or map the column without `type: int`"),
            _ => ("true, false, 1 or 0", "correct the cell, or map the column without `type: bool`"),
        };
        row.problem(error::BAD_VALUE, &mapped.column, format!("{} is not {wanted}", shown(cell)), remedy);
    }
    value
}

/// Refuses text that is known to be damaged.
fn check_text(row: &mut Row<'_, '_>, column: &str, cell: &str) -> bool {
    if cell.is_ascii() && !cell.as_bytes().contains(&0) {
        return true;
    }
    if cell.contains('\u{FFFD}') {
        row.problem(
            error::LOST_CHARACTER,
            column,
            format!(
                "{} holds the replacement character: a letter was lost before the file was written",
                shown(cell)
            ),
            "export the file again in UTF-8",
        );
        return false;
    }
    if cell.contains('\0') {
        let summary = format!("{} holds a NUL", shown(cell));
        row.problem(error::NUL, column, summary, "remove it where the file is made");
        return false;
    }
    true
}

fn date(config: &SourceConfig, row: &mut Row<'_, '_>, column: &str, cell: &str) -> Option<Date> {
    let parsed = match config.date_formats.as_slice() {
        [] => cell.parse().ok(),
        formats => formats.iter().find_map(|format| Date::parse_with(format, cell).ok()),
    };
    let plausible = parsed.filter(|date| Date::new(1900, 1, 1).is_some_and(|first| *date >= first));
    if plausible.is_none() {
        let forms = match config.date_formats.as_slice() {
            [] => "2026-11-20".to_owned(),
            formats => formats.join(", "),
        };
        let (summary, remedy) = if parsed.is_some() {
            (format!("{} is a date before 1900", shown(cell)), "write the year with four digits")
        } else if cell.len() == 5 && cell.bytes().all(|byte| byte.is_ascii_digit()) {
            let summary = format!("{} is a spreadsheet's day number, not a date ({forms})", shown(cell));
            (summary, "format the column as text dates before exporting")
        } else {
            (
                format!("{} is not a date ({forms})", shown(cell)),
                "correct the cell, or declare its form in `date_formats`",
            )
        };
        row.problem(error::BAD_DATE, column, summary, remedy);
    }
    plausible
}

/// HR systems write a day of the year 9999 where there is no last day.
fn is_open_end(date: Date) -> bool {
    Date::new(9999, 1, 1).is_some_and(|first| date >= first)
}
