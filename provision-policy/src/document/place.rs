//! Places in the texts of a bundle.

use provision_core::diagnostic::Span;

/// Longest line that a diagnostic shows.
const LINE_MAX: usize = 240;

/// A range of one file: where a node was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Number of the file.
    pub(crate) file: usize,
    /// First byte.
    pub(crate) start: usize,
    /// The byte after the last.
    pub(crate) end: usize,
}

/// The texts of a bundle, to show places in.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    files: Vec<(String, String)>,
}

impl Sources {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        Self { files: files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect() }
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = (usize, &str, &str)> {
        self.files.iter().enumerate().map(|(index, (name, text))| (index, name.as_str(), text.as_str()))
    }

    /// The text of a place as it stands in the file.
    fn raw(&self, place: Place) -> &str {
        self.files.get(place.file).and_then(|(_, text)| text.get(place.start..place.end)).unwrap_or_default()
    }

    /// A place as a diagnostic shows it.
    pub(crate) fn span(&self, place: Place) -> Span {
        let Some((name, text)) = self.files.get(place.file) else {
            return Span::default();
        };
        let before = text.get(..place.start.min(text.len())).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = text.get(line_start..).unwrap_or_default().lines().next().unwrap_or_default();
        let lead = before.get(line_start..).unwrap_or_default().chars().count();
        let shown = lead + 1 < LINE_MAX;
        let width = self.raw(place).lines().next().unwrap_or_default().trim_end().chars().count();
        Span {
            file: name.clone(),
            line: u32::try_from(before.matches('\n').count() + 1).unwrap_or(u32::MAX),
            column: u32::try_from(lead + 1).unwrap_or(u32::MAX),
            length: if shown { u32::try_from(width.clamp(1, LINE_MAX - lead)).unwrap_or(1) } else { 1 },
            text: if shown { line.chars().take(LINE_MAX).collect() } else { String::new() },
        }
    }

    /// The place of characters `at .. at + length` of the scalar `value` written at `place`. Quotes, escapes and
    /// folded lines are stepped over by aligning the value with what stands in the file.
    pub(crate) fn inside(&self, place: Place, value: &str, at: usize, length: usize) -> Place {
        let raw = self.raw(place);
        let quoted = raw.starts_with(['"', '\'']);
        let mut raw_chars = raw.char_indices().skip(usize::from(quoted));
        let mut start = None;
        let mut end = None;
        for (index, wanted) in value.chars().enumerate() {
            let Some((byte, found)) = raw_chars.find(|(_, c)| *c == wanted || wanted.is_whitespace()) else {
                break;
            };
            if index == at {
                start = Some(byte);
            }
            if index >= at && index < at + length.max(1) {
                end = Some(byte + found.len_utf8());
            }
        }
        match (start, end) {
            (Some(start), Some(end)) => {
                Place { file: place.file, start: place.start + start, end: place.start + end }
            }
            _ => place,
        }
    }
}
