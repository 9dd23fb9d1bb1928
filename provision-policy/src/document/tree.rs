//! From text to nodes, within limits.

use provision_core::diagnostic::{Diagnostic, Severity};
use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, Span};
use sha2::{Digest, Sha256};

use super::{Place, Sources};

/// Longest file, in bytes.
pub(crate) const FILE_MAX: usize = 4 * 1024 * 1024;
/// Most parser events (starts, scalars, ends) of a file.
const NODES_MAX: usize = 600_000;
/// Deepest nesting.
const DEPTH_MAX: usize = 32;

/// A node and where it was written.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) data: Data,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    /// Nothing, `~` or `null`.
    Null,
    /// A scalar; `plain` when it was written without quotes.
    Text { text: String, plain: bool },
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order written.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The scalar's text.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Text { text, .. } => Some(text),
            _ => None,
        }
    }

    /// What a key of a mapping holds.
    pub(crate) fn entry(&self, key: &str) -> Option<&Self> {
        match &self.data {
            Data::Map(entries) => {
                entries.iter().find(|(name, _)| name.text() == Some(key)).map(|(_, node)| node)
            }
            _ => None,
        }
    }

    /// SHA-256 over the content: comments, layout, key order and the cut into files do not count.
    pub(crate) fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        feed(self, &mut hasher);
        hex::encode(hasher.finalize())
    }

    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.data {
            Data::Null => "nothing",
            Data::Text { .. } => "text",
            Data::List(_) => "a list",
            Data::Map(_) => "a mapping",
        }
    }
}

/// A collection that is not closed yet.
enum Open {
    List(Place, Vec<Node>),
    Map(Place, Vec<(Node, Node)>, Option<Node>),
}

/// Reads one file of the sources; `None` for an empty file. The first syntax error ends it.
pub(crate) fn read(sources: &Sources, file: usize, text: &str) -> Result<Option<Node>, Box<Diagnostic>> {
    let refuse = |place: Place, summary: &str, remedy: &str| {
        Err(Box::new(Diagnostic::new(Severity::Error, "P0002", summary, remedy).at(sources.span(place))))
    };
    let top = Place { file, start: 0, end: 0 };
    if text.len() > FILE_MAX {
        return refuse(top, "the file is larger than 4 MiB", "split the bundle into several files");
    }
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    let mut nodes = 0_usize;
    let mut options = Options::default();
    options.emit_anchor_events = true;
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = match event {
            Ok(found) => found,
            Err(error) => {
                let at = byte_of(text, error.marker().index(), error.marker().byte_offset());
                let place = Place { file, start: at, end: at + 1 };
                let summary = format!("not YAML: {}", error.info());
                let problem = Diagnostic::new(Severity::Error, "P0001", summary, "correct the syntax here");
                return Err(Box::new(problem.at(sources.span(place))));
            }
        };
        let place = place_of(file, text, &span);
        nodes += 1;
        if nodes > NODES_MAX || open.len() > DEPTH_MAX {
            return refuse(place, "the file has too many or too deeply nested entries", "simplify it");
        }
        if matches!(event, Event::Anchor(..)) || event.is_alias() || event.tag().is_some() {
            let remedy = "write the value out; share expressions under `values`";
            return refuse(place, "anchors, aliases and tags are not supported", remedy);
        }
        match event {
            Event::DocumentStart(..) if root.is_some() => {
                return refuse(place, "a second document in one file", "use one file per document");
            }
            Event::Scalar(text, style, ..) => add(&mut open, &mut root, scalar(place, &text, style)),
            Event::SequenceStart(..) => open.push(Open::List(place, Vec::new())),
            Event::MappingStart(..) => open.push(Open::Map(place, Vec::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(node) = open.pop().map(close) {
                    add(&mut open, &mut root, node);
                }
            }
            _ => {}
        }
    }
    Ok(root)
}

fn scalar(place: Place, text: &str, style: ScalarStyle) -> Node {
    let plain = style == ScalarStyle::Plain;
    let data = match text {
        "" | "~" | "null" if plain => Data::Null,
        text => Data::Text { text: text.to_owned(), plain },
    };
    Node { place, data }
}

fn close(open: Open) -> Node {
    match open {
        Open::List(place, items) => Node { place, data: Data::List(items) },
        Open::Map(place, entries, _) => Node { place, data: Data::Map(entries) },
    }
}

fn add(open: &mut [Open], root: &mut Option<Node>, node: Node) {
    match open.last_mut() {
        Some(Open::List(_, items)) => items.push(node),
        Some(Open::Map(_, entries, key)) => match key.take() {
            Some(known) => entries.push((known, node)),
            None => *key = Some(node),
        },
        None => *root = Some(node),
    }
}

fn place_of(file: usize, text: &str, span: &Span) -> Place {
    match span.byte_range() {
        Some(range) => Place { file, start: range.start, end: range.end.max(range.start) },
        None => {
            let start = byte_of(text, span.start.index(), None);
            Place { file, start, end: start }
        }
    }
}

/// The byte of the character with that number.
fn byte_of(text: &str, index: usize, known: Option<usize>) -> usize {
    known.unwrap_or_else(|| text.char_indices().nth(index).map_or(text.len(), |(byte, _)| byte))
}

fn feed(node: &Node, hasher: &mut Sha256) {
    let mut add = |kind: &[u8], length: usize| {
        hasher.update(kind);
        hasher.update((length as u64).to_be_bytes());
    };
    match &node.data {
        Data::Null => add(b"n", 0),
        Data::Text { text, .. } => {
            add(b"t", text.len());
            hasher.update(text.as_bytes());
        }
        Data::List(items) => {
            add(b"l", items.len());
            items.iter().for_each(|item| feed(item, hasher));
        }
        Data::Map(entries) => {
            add(b"m", entries.len());
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.text().cmp(&b.text()));
            for (key, value) in entries {
                feed(key, hasher);
                feed(value, hasher);
            }
        }
    }
}
