//! Changes: what a write does to the table in memory.

use std::sync::Arc;

use provision_core::connector::{ObjectKey, Outcome, WriteDone};
use provision_core::delta::{self, Delta};
use provision_core::value::{AttrName, Attributes, Slot};
use provision_core::{Effect, Error, ErrorKind, Result};

use super::error;
use super::schema::Shape;
use super::table::{Row, Table};

/// A change of the table.
#[derive(Debug)]
pub(super) enum Change {
    Create { key: String, attributes: Attributes, enabled: bool },
    Update { key: ObjectKey, delta: Delta },
    Rename { key: ObjectKey, naming: Attributes },
    Delete { key: ObjectKey },
    Enable { key: ObjectKey, enabled: bool },
}

impl Shape {
    /// Applies one change to the table. Tells the outcome, and whether the file must be written for it.
    pub(super) fn apply(&self, table: &mut Table, change: Change) -> Result<(Outcome, bool)> {
        match change {
            Change::Create { key, attributes, enabled } => self.create(table, key, &attributes, enabled),
            Change::Update { key, delta } => self.update(table, &key, &delta),
            Change::Rename { key, naming } => {
                let changes = naming.iter().map(|(name, slot)| (name.clone(), replace_with(slot))).collect();
                self.edit(table, &key, &Delta { changes }, true)
            }
            Change::Delete { key } => {
                let Some((position, _)) = table.find_key(self, &key.id) else {
                    return Ok((Outcome::done(key), false));
                };
                table.remove(self, position);
                Ok((Outcome::done(key), true))
            }
            Change::Enable { key, enabled } => self.enable(table, &key, enabled),
        }
    }

    fn create(
        &self,
        table: &mut Table,
        link: String,
        attributes: &Attributes,
        enabled: bool,
    ) -> Result<(Outcome, bool)> {
        let parsed = self.parse(attributes)?;
        self.check_required(&parsed)?;
        if self.key_attribute.is_none()
            && let Some((_, row)) = table.find_key(self, &link)
        {
            // The link's row is there: this is the create of before, sent again.
            return Ok((self.done(row)?, false));
        }
        let mut cells = vec![String::new(); self.header.len()];
        self.fill(&mut cells, &parsed);
        if self.key_attribute.is_none() {
            set(&mut cells, Some(self.key), super::cell::mark(link, self.formulas));
        }
        set(&mut cells, self.enabled, enabled.to_string());
        let row: Row = cells.into();
        table.insert(self, Arc::clone(&row)).map_err(|taken| self.taken(taken.column))?;
        Ok((self.done(&row)?, true))
    }

    fn update(&self, table: &mut Table, key: &ObjectKey, delta: &Delta) -> Result<(Outcome, bool)> {
        self.edit(table, key, delta, false)
    }

    /// Changes attributes of a row; naming ones only in a rename.
    fn edit(
        &self,
        table: &mut Table,
        key: &ObjectKey,
        delta: &Delta,
        rename: bool,
    ) -> Result<(Outcome, bool)> {
        if let Some(unknown) = delta.changes.keys().find(|name| !self.class.attributes.contains_key(*name)) {
            return Err(error::invalid_attribute(
                unknown.as_str(),
                "the table has no column for this attribute",
            ));
        }
        let (position, row) = table.find_key(self, &key.id).ok_or_else(|| not_found(key))?;
        let before = self.attributes_of(row)?;
        let after = self.parse(&delta.apply(&self.class, &before))?;
        let fixed = |name: &AttrName| {
            Some(name) == self.key_attribute.as_ref() || (!rename && Some(name) == self.class.naming.as_ref())
        };
        let differs = |name: &&AttrName| before.values(name.as_str()) != after.values(name.as_str());
        if let Some(name) = delta.changes.keys().filter(|name| fixed(name)).find(differs) {
            let why = if Some(name) == self.key_attribute.as_ref() {
                "the key of a row never changes"
            } else {
                "a naming attribute changes by rename only"
            };
            return Err(error::invalid_attribute(name.as_str(), why));
        }
        self.check_required(&after)?;
        let mut cells = row.to_vec();
        self.fill(&mut cells, &after);
        if cells.as_slice() == &**row {
            return Ok((self.done(row)?, false));
        }
        let row: Row = cells.into();
        table.put(self, position, Arc::clone(&row)).map_err(|taken| self.taken(taken.column))?;
        Ok((self.done(&row)?, true))
    }

    fn enable(&self, table: &mut Table, key: &ObjectKey, enabled: bool) -> Result<(Outcome, bool)> {
        let (position, row) = table.find_key(self, &key.id).ok_or_else(|| not_found(key))?;
        let mut cells = row.to_vec();
        set(&mut cells, self.enabled, enabled.to_string());
        if cells.as_slice() == &**row {
            return Ok((self.done(row)?, false));
        }
        let row: Row = cells.into();
        table.put(self, position, Arc::clone(&row)).map_err(|taken| self.taken(taken.column))?;
        Ok((self.done(&row)?, true))
    }

    fn parse(&self, attributes: &Attributes) -> Result<Attributes> {
        let (parsed, problems) = self.class.parse(attributes);
        match problems.into_iter().next() {
            None => Ok(parsed),
            Some(problem) => {
                let name = problem.path.clone().unwrap_or_default();
                Err(error::invalid_attribute(&name, problem.summary))
            }
        }
    }

    fn check_required(&self, attributes: &Attributes) -> Result<()> {
        let required = self.class.attributes.iter().filter(|(_, schema)| schema.required);
        for (name, _) in required {
            let is_key = Some(name) == self.key_attribute.as_ref();
            let blank_key = is_key && attributes.text(name.as_str()) == Some("");
            if attributes.values(name.as_str()).is_empty() || blank_key {
                return Err(error::invalid_attribute(name.as_str(), "a required attribute has no value"));
            }
        }
        Ok(())
    }

    fn fill(&self, cells: &mut [String], attributes: &Attributes) {
        for column in &self.attributes {
            let cell = self.to_cell(column, attributes.get(column.name.as_str()));
            set(cells, Some(column.index), cell);
        }
    }

    fn done(&self, row: &Row) -> Result<Outcome> {
        Ok(Outcome::Done(WriteDone {
            key: self.key_of(row),
            observed: Some(self.attributes_of(row)?),
            side_effects: Delta::new(),
        }))
    }

    fn taken(&self, column: usize) -> Error {
        let name = self.header.get(column).map(String::as_str).unwrap_or_default();
        Error::new(ErrorKind::AlreadyExists, "another row has this value of a unique column")
            .with_context("column", name)
            .with_effect(Effect::None)
    }
}

fn set(cells: &mut [String], index: Option<usize>, cell: String) {
    if let Some(place) = index.and_then(|index| cells.get_mut(index)) {
        *place = cell;
    }
}

fn replace_with(slot: &Slot) -> delta::Change {
    match slot {
        Slot::Null => delta::Change::Clear,
        Slot::Values(values) => delta::Change::Replace(values.clone()),
    }
}

fn not_found(key: &ObjectKey) -> Error {
    Error::new(ErrorKind::NotFound, "no row has this key")
        .with_context("key", key.id.clone())
        .with_effect(Effect::None)
}
