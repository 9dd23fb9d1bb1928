//! Lookups: data that expressions read by key.

use std::collections::BTreeMap;

use crate::document::{Data, Node, Reader};

/// A table from keys to texts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lookup {
    pub(crate) rows: BTreeMap<String, String>,
    /// For keys without a row, and for no key at all.
    pub(crate) default: Option<String>,
}

impl Lookup {
    pub(super) fn read(reader: &mut Reader<'_>, node: &Node, path: &str) -> Self {
        let fields = reader.fields(node, path, &["map", "default"]);
        let mut lookup = Self::default();
        if let Some(map) = reader.required(&fields, "map") {
            let path = fields.path_of("map");
            for (key, _, value) in reader.entries(map, &path) {
                if let Some(text) = reader.text(value, &path) {
                    lookup.rows.insert(key.to_owned(), text.to_owned());
                }
            }
        }
        if let Some(default) = fields.get("default").filter(|node| !matches!(node.data, Data::Null)) {
            lookup.default = reader.text(default, &fields.path_of("default")).map(str::to_owned);
        }
        lookup
    }
}
