//! Rules: predicates that are membership of roles.

use std::collections::{BTreeMap, BTreeSet};

use provision_core::id::PolicyRef;

use super::input::{expression, null};
use super::mapping::{STATES, State};
use super::role::{self, Role};
use super::table::{Cell, Holds, Row, Table};
use super::{Address, RoleGrant};
use crate::document::{Data, Fields, Node, Place, Reader, suggestion};
use crate::expression::{Expression, Kind, Vocabulary};

/// A rule: who fulfils it has the roles, who does not has them not.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) id: PolicyRef,
    pub(crate) place: Place,
    pub(crate) when: Expression,
    /// Who fulfils this too is excluded.
    pub(crate) unless: Option<Expression>,
    /// Where that is written.
    pub(crate) unless_place: Option<Place>,
    /// The roles it names itself.
    pub(crate) roles: Vec<(String, Place)>,
    pub(crate) state: State,
    /// The row that names the roles instead.
    pub(crate) rows: Option<RoleRows>,
}

/// Roles that stand in a row of a table.
#[derive(Clone, Debug)]
pub(crate) struct RoleRows {
    pub(crate) table: String,
    /// Gives the key of the row, or of several.
    pub(crate) key: Expression,
    /// The number of the column with the roles.
    column: usize,
    /// A key without row leaves open which roles there are; otherwise there are none.
    pub(crate) refuses: bool,
    /// The accounts that the roles of all rows concern.
    pub(crate) touches: BTreeSet<Address>,
}

impl RoleRows {
    /// The roles that a row names.
    pub(crate) fn roles<'t>(&self, row: &'t Row) -> &'t [String] {
        match row.cell(self.column) {
            Cell::List(roles) => roles,
            Cell::Text(role) => std::slice::from_ref(role),
            _ => &[],
        }
    }

    /// The roles that any row names.
    pub(crate) fn named<'t>(&self, tables: &'t BTreeMap<String, Table>) -> BTreeSet<&'t str> {
        let rows = tables.get(&self.table).into_iter().flat_map(Table::rows);
        rows.flat_map(|row| self.roles(row)).map(String::as_str).collect()
    }
}

impl Rule {
    /// Where it and its exclusion are written.
    pub(super) fn places(&self) -> Vec<(String, Place)> {
        let unless = self.unless_place.map(|place| (format!("{}.unless", self.id.as_str()), place));
        std::iter::once((self.id.as_str().to_owned(), self.place)).chain(unless).collect()
    }

    /// Notes which accounts its rows concern, now that roles are known.
    fn complete(&mut self, roles: &BTreeMap<String, Role>, tables: &BTreeMap<String, Table>) {
        let Some(rows) = &mut self.rows else { return };
        let mut open: Vec<&str> = rows.named(tables).into_iter().collect();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        while let Some((name, role)) = open.pop().and_then(|name| Some((name, roles.get(name)?))) {
            if seen.insert(name) {
                open.extend(role.includes.iter().map(|(included, _)| included.as_str()));
                rows.touches.extend(role.grants.iter().map(|(grant, _)| RoleGrant::account(grant).clone()));
            }
        }
    }
}

pub(super) fn read(
    reader: &mut Reader<'_>,
    node: &Node,
    vocabulary: &Vocabulary,
    tables: &BTreeMap<String, Table>,
) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut ids = BTreeSet::new();
    for item in reader.list(node, "rules") {
        let fields = reader.fields(item, "rules", &["id", "description", "state", "when", "unless", "roles"]);
        let id = reader.required(&fields, "id").and_then(|node| Some((node, reader.text(node, "rules")?)));
        let path = id.map_or_else(|| "rules".to_owned(), |(_, id)| format!("rules.{id}"));
        if let Some((node, id)) = id.filter(|(_, id)| !ids.insert((*id).to_owned())) {
            let summary = format!("two rules are called `{id}`");
            reader.error("P0003", node.place, &path, summary, "give each its own id");
        }
        if let Some(node) = fields.get("description") {
            reader.text(node, &path);
        }
        let state = fields.get("state").and_then(|node| reader.word(node, &format!("{path}.state"), STATES));
        let when = reader
            .required(&fields, "when")
            .and_then(|node| expression(reader, node, &format!("{path}.when"), vocabulary, Kind::Bool));
        let unless = fields
            .get("unless")
            .and_then(|node| expression(reader, node, &format!("{path}.unless"), vocabulary, Kind::Bool));
        let (mut roles, mut rows) = (Vec::new(), None);
        match reader.required(&fields, "roles") {
            Some(node) if matches!(node.data, Data::Map(_)) => {
                rows = role_rows(reader, node, &format!("{path}.roles"), vocabulary, tables);
            }
            Some(node) => {
                for item in reader.list(node, &path) {
                    if let Some(name) = reader.text(item, &path) {
                        roles.push((name.to_owned(), item.place));
                    }
                }
            }
            None => {}
        }
        if let Some(when) = when.or_else(null) {
            let place = id.map_or(item.place, |(node, _)| node.place);
            let unless_place = fields.get("unless").map(|node| node.place);
            let (id, state) = (PolicyRef::new(&path), state.unwrap_or_default());
            rules.push(Rule { id, place, when, unless, unless_place, roles, rows, state });
        }
    }
    rules
}

/// Reads `{ table, key, column, missing }`.
fn role_rows(
    reader: &mut Reader<'_>,
    node: &Node,
    path: &str,
    vocabulary: &Vocabulary,
    tables: &BTreeMap<String, Table>,
) -> Option<RoleRows> {
    let fields = reader.fields(node, path, &["table", "key", "column", "missing"]);
    let key = reader
        .required(&fields, "key")
        .and_then(|node| expression(reader, node, &fields.path_of("key"), vocabulary, Kind::Any));
    let missing = fields.get("missing");
    let refuses = missing
        .and_then(|node| reader.word(node, &fields.path_of("missing"), &[("refuse", true), ("none", false)]));
    let named = reader.required(&fields, "table");
    let (name, table) = named.and_then(|node| table_of(reader, node, &fields, tables))?;
    let column = reader.required(&fields, "column")?;
    let path = fields.path_of("column");
    let text = reader.text(column, &path)?;
    let number = match table.column(text) {
        Some((number, Holds::List | Holds::Text)) => Some(number),
        Some(_) => {
            let summary = format!("the column `{text}` does not hold names of roles");
            reader.error("P0068", column.place, &path, summary, "declare it as `list` or `text`");
            None
        }
        None => {
            let summary = format!("table `{name}` has no column `{text}`");
            reader.error("P0061", column.place, &path, summary, table.meant(text));
            None
        }
    };
    Some(RoleRows {
        table: name,
        key: key.or_else(null)?,
        column: number?,
        refuses: refuses.unwrap_or(true),
        touches: BTreeSet::new(),
    })
}

fn table_of<'t>(
    reader: &mut Reader<'_>,
    node: &Node,
    fields: &Fields<'_>,
    tables: &'t BTreeMap<String, Table>,
) -> Option<(String, &'t Table)> {
    let path = fields.path_of("table");
    let name = reader.text(node, &path)?;
    let found = tables.get(name);
    if found.is_none() {
        let remedy = match suggestion(name, tables.keys().map(String::as_str)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "define it under `tables`".to_owned(),
        };
        reader.error("P0060", node.place, &path, format!("unknown table `{name}`"), remedy);
    }
    Some((name.to_owned(), found?))
}

/// Reports roles that rules and rows name and that are not there.
pub(super) fn check(
    reader: &mut Reader<'_>,
    rules: &mut [Rule],
    roles: &BTreeMap<String, Role>,
    tables: &BTreeMap<String, Table>,
) {
    for rule in rules.iter() {
        for (role, place) in &rule.roles {
            role::known(reader, roles, role, *place, rule.id.as_str());
        }
    }
    check_rows(reader, rules, roles, tables);
    rules.iter_mut().for_each(|rule| rule.complete(roles, tables));
}

/// Looks at each column once, whichever rules read it.
fn check_rows(
    reader: &mut Reader<'_>,
    rules: &[Rule],
    roles: &BTreeMap<String, Role>,
    tables: &BTreeMap<String, Table>,
) {
    let mut seen: BTreeSet<(&str, usize)> = BTreeSet::new();
    for rows in rules.iter().filter_map(|rule| rule.rows.as_ref()) {
        let Some(table) = tables.get(&rows.table).filter(|_| seen.insert((&rows.table, rows.column))) else {
            continue;
        };
        let path = format!("tables.{}", rows.table);
        for row in table.rows() {
            for role in rows.roles(row) {
                role::known(reader, roles, role, row.place_of(rows.column), &path);
            }
        }
    }
}
