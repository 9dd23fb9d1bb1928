//! From texts to a bundle: all problems in one pass.

use std::collections::{BTreeMap, BTreeSet};

use provision_core::diagnostic::{Diagnostic, Severity};
use provision_core::id::NamespaceName;
use provision_core::value::AttrName;

use super::input::{self, expression, null};
use super::lookup::Lookup;
use super::role::{self, Role};
use super::rule_index::RuleIndex;
use super::table::Table;
use super::{Content, account_map, namespace, own_group, rule, table_file};
use crate::document::{Data, Fields, Node, Place, Reader, Sources};
use crate::expression::{Expression, Kind, STACK, Shape, Vocabulary};

/// Keys of a bundle.
const KEYS: &[&str] = &[
    "bundle",
    "version",
    "description",
    "locale",
    "inputs",
    "reserved",
    "lookups",
    "tables",
    "values",
    "namespaces",
    "roles",
    "rules",
    "targets",
];
/// Names that no person gets: they stand for roles of machines and mail systems, or are reserved by targets.
const RESERVED: &[&str] = &[
    "abuse",
    "admin",
    "administrator",
    "anonymous",
    "aux",
    "com1",
    "com2",
    "com3",
    "com4",
    "com5",
    "com6",
    "com7",
    "com8",
    "com9",
    "con",
    "daemon",
    "default",
    "defaultaccount",
    "everyone",
    "guest",
    "hostmaster",
    "krbtgt",
    "localhost",
    "lpt1",
    "lpt2",
    "lpt3",
    "lpt4",
    "lpt5",
    "lpt6",
    "lpt7",
    "lpt8",
    "lpt9",
    "mailer-daemon",
    "nobody",
    "noreply",
    "no-reply",
    "nul",
    "operator",
    "postmaster",
    "prn",
    "root",
    "security",
    "self",
    "service",
    "support",
    "sync",
    "sysadmin",
    "system",
    "test",
    "webmaster",
];

pub(super) fn load(files: &[(&str, &str)]) -> Result<Content, Vec<Diagnostic>> {
    if files.is_empty() {
        let remedy = "name a file, or a directory with `*.yaml` files";
        return Err(vec![Diagnostic::new(Severity::Error, "P0009", "a bundle of no files", remedy)]);
    }
    let failed = |summary: &str| {
        vec![Diagnostic::new(Severity::Error, "P0008", summary, "report this with the bundle")]
    };
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || read(files));
        match worker.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(_)) => Err(failed("the bundle could not be read: the reader failed")),
            Err(_) => Err(failed("the bundle could not be read: no thread to read it on")),
        }
    })
}

fn read(files: &[(&str, &str)]) -> Result<Content, Vec<Diagnostic>> {
    let sources = Sources::new(files);
    let mut reader = Reader::new(&sources);
    let (content, mut problems) = match merge(&mut reader) {
        Some(root) => {
            let content = sections(&mut reader, &root);
            (Some(content), reader.into_problems())
        }
        None => (None, reader.into_problems()),
    };
    match content {
        Some(mut content) if !problems.iter().any(Diagnostic::is_error) => {
            content.warnings = std::mem::take(&mut problems);
            content.sources = sources;
            Ok(content)
        }
        _ => Err(problems),
    }
}

/// The document of a bundle that has been loaded, read again from its texts.
pub(super) fn document(sources: &Sources) -> Option<Node> {
    merge(&mut Reader::new(sources))
}

/// One node of all files: each section may stand in several, as long as no name stands in two.
fn merge(reader: &mut Reader<'_>) -> Option<Node> {
    let mut merged: Vec<(Node, Node)> = Vec::new();
    let mut broken = false;
    for (file, _, text) in reader.sources.files().filter(|(_, name, _)| !table_file::is_table(name)) {
        let place = Place { file, start: 0, end: 0 };
        let node = match crate::document::read(reader.sources, file, text) {
            Ok(Some(node)) => node,
            Ok(None) => Node { place, data: Data::Map(Vec::new()) },
            Err(problem) => {
                reader.push(place, |_| *problem);
                broken = true;
                continue;
            }
        };
        let fields = reader.fields(&node, "", KEYS);
        match reader.required(&fields, "bundle") {
            Some(version) if version.text() != Some("1") => {
                let found = version.text().unwrap_or("?").chars().take(20).collect::<String>();
                let summary = format!("bundle format `{found}` is not known to this version");
                reader.error("P0007", version.place, "bundle", summary, "write `bundle: 1`");
            }
            _ => {}
        }
        for key in KEYS.iter().filter(|key| **key != "bundle") {
            let Some(found) = fields.get(key) else { continue };
            let known = merged.iter_mut().find(|(known, _)| known.text() == Some(key));
            match (known.map(|(_, node)| &mut node.data), &found.data) {
                (Some(Data::Map(into)), Data::Map(from)) => into.extend(from.iter().cloned()),
                (Some(Data::List(into)), Data::List(from)) => into.extend(from.iter().cloned()),
                (Some(_), _) => {
                    let summary = format!("`{key}` is given in two files");
                    reader.error("P0003", found.place, key, summary, "keep one of the two");
                }
                (None, _) => {
                    let text = Data::Text { text: (*key).to_owned(), plain: true };
                    merged.push((Node { place: found.place, data: text }, found.clone()));
                }
            }
        }
    }
    // After a syntax error the rest is not known: what it names would be reported as missing.
    (!broken).then_some(Node { place: Place::default(), data: Data::Map(merged) })
}

fn sections(reader: &mut Reader<'_>, root: &Node) -> Content {
    let fields = reader.fields(root, "", KEYS);
    let mut places = BTreeMap::new();
    let label = match reader.required(&fields, "version") {
        Some(node) => reader.text(node, "version").unwrap_or_default().to_owned(),
        None => String::new(),
    };
    if let Some(node) = fields.get("description") {
        reader.text(node, "description");
    }
    let locale = fields.get("locale").and_then(|node| reader.text(node, "locale")).map(str::to_owned);
    let inputs = fields.get("inputs").map(|node| input::inputs(reader, node)).unwrap_or_default();
    let mut vocabulary = Vocabulary::default();
    vocabulary.attributes.extend(input::built_in());
    vocabulary.attributes.extend(inputs);
    let lookups = lookups(reader, &fields, &mut places);
    let defaults = lookups.iter().map(|(name, lookup)| (name.clone(), lookup.default.is_some()));
    vocabulary.lookups = defaults.collect();
    let tables = tables(reader, &fields, &lookups, &mut places);
    vocabulary.tables = tables.iter().map(|(name, table)| (name.clone(), table.known())).collect();
    let shared = values(reader, &fields, &mut vocabulary, &mut places);
    let mut namespaces = namespace::read(reader, &fields, &mut places);
    let names: BTreeSet<NamespaceName> = namespaces.keys().cloned().collect();
    let roles = roles(reader, &fields, &mut places);
    let mut rules =
        fields.get("rules").map(|node| rule::read(reader, node, &vocabulary, &tables)).unwrap_or_default();
    places.extend(rules.iter().flat_map(rule::Rule::places));
    let maps = fields
        .get("targets")
        .map(|node| account_map::read(reader, node, &vocabulary, &names))
        .unwrap_or_default();
    places.extend(maps.places);
    rule::check(reader, &mut rules, &roles, &tables);
    role::check(reader, &roles, &maps.accounts.keys().cloned().collect());
    let role_maps = own_group::check(reader, &roles, maps.roles);
    let mut accounts = maps.accounts;
    let inputs: Vec<AttrName> = vocabulary.attributes.into_keys().map(Into::into).collect();
    accounts.values_mut().for_each(|account| account.complete(&shared, &inputs));
    namespace::members(&mut namespaces, &accounts);
    let slot = |name: &str| inputs.binary_search_by(|known| known.as_str().cmp(name)).ok();
    let rule_index = RuleIndex::new(&rules, &shared, slot);
    let reserved = reserved(reader, &fields);
    let mut content = Content {
        label,
        hash: digest(root, &tables),
        locale,
        reserved_counters: reserved.iter().flat_map(|word| counters(word)).collect(),
        reserved,
        lookups,
        tables,
        shared,
        inputs: inputs.into_iter().map(|name| (super::first_letters(&name), name)).collect(),
        namespaces: namespaces.into_values().collect(),
        roles,
        rules,
        rule_index,
        accounts,
        role_maps,
        sources: Sources::new(&[]),
        places,
        warnings: Vec::new(),
        reads_today: false,
    };
    review(reader, &mut content);
    content
}

fn reserved(reader: &mut Reader<'_>, fields: &Fields<'_>) -> BTreeSet<String> {
    let own = fields.get("reserved").map(|node| reader.texts(node, "reserved")).unwrap_or_default();
    let built_in = RESERVED.iter().map(|word| (*word).to_owned());
    built_in.chain(own.iter().map(|word| word.to_lowercase())).collect()
}

/// The numbers a text ends with: 42 and 2 of `b42`.
fn counters(word: &str) -> impl Iterator<Item = u32> {
    let digits = word.len() - word.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    (1..=digits).filter_map(|count| word.get(word.len() - count..)?.parse().ok())
}

fn lookups(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    places: &mut BTreeMap<String, Place>,
) -> BTreeMap<String, Lookup> {
    let Some(node) = fields.get("lookups") else { return BTreeMap::new() };
    let mut lookups = BTreeMap::new();
    for (name, key, node) in reader.entries(node, "lookups") {
        let path = format!("lookups.{name}");
        lookups.insert(name.to_owned(), Lookup::read(reader, node, &path));
        places.insert(path, key.place);
    }
    lookups
}

fn values(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    vocabulary: &mut Vocabulary,
    places: &mut BTreeMap<String, Place>,
) -> Vec<Expression> {
    let Some(node) = fields.get("values") else { return Vec::new() };
    let mut shared: Vec<Expression> = Vec::new();
    let entries = reader.entries(node, "values");
    for (name, key, node) in entries {
        let path = format!("values.{name}");
        // A faulty one still takes its number, so that those who use it are not reported as well.
        let found = expression(reader, node, &path, vocabulary, Kind::Any);
        let faulty = found.is_none();
        let mut found = found.or_else(null);
        if let Some(expression) = found.as_mut() {
            let used: Vec<_> = expression.reads.shared.iter().copied().collect();
            for reads in used.into_iter().filter_map(|index| shared.get(index)).map(|used| used.reads.clone())
            {
                expression.reads.extend(&reads);
            }
        }
        let shape = found.as_ref().filter(|_| !faulty).map_or(Shape::of(Kind::Any), |found| found.shape);
        shared.extend(found);
        places.insert(path, key.place);
        vocabulary.shared.insert(name.to_owned(), (shared.len().saturating_sub(1), shape));
    }
    shared
}

fn tables(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    lookups: &BTreeMap<String, Lookup>,
    places: &mut BTreeMap<String, Place>,
) -> BTreeMap<String, Table> {
    let Some(node) = fields.get("tables") else { return BTreeMap::new() };
    let mut tables = BTreeMap::new();
    for (name, key, node) in reader.entries(node, "tables") {
        let path = format!("tables.{name}");
        if lookups.contains_key(name) {
            let summary = format!("a lookup is called `{name}` too");
            reader.error("P0003", key.place, &path, summary, "give one of the two another name");
        }
        if name.contains([':', '[', ']']) {
            reader.error("P0006", key.place, &path, "names of tables hold no `:`, `[` and `]`", "rename");
        }
        tables.insert(name.to_owned(), Table::read(reader, node, &path));
        places.insert(path, key.place);
    }
    tables
}

/// The hash of the bundle: of what its tables hold, wherever and however that is written.
fn digest(root: &Node, tables: &BTreeMap<String, Table>) -> String {
    let Data::Map(entries) = &root.data else { return root.digest() };
    if tables.is_empty() {
        return root.digest();
    }
    let text =
        |text: &str| Node { place: root.place, data: Data::Text { text: text.to_owned(), plain: true } };
    let canonical = tables.iter().map(|(name, table)| (text(name), table.canonical())).collect();
    let mut entries: Vec<(Node, Node)> =
        entries.iter().filter(|(key, _)| key.text() != Some("tables")).cloned().collect();
    entries.push((text("tables"), Node { place: root.place, data: Data::Map(canonical) }));
    Node { place: root.place, data: Data::Map(entries) }.digest()
}

fn roles(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    places: &mut BTreeMap<String, Place>,
) -> BTreeMap<String, Role> {
    let Some(node) = fields.get("roles") else { return BTreeMap::new() };
    let mut roles = BTreeMap::new();
    for (name, key, node) in reader.entries(node, "roles") {
        let path = format!("roles.{name}");
        roles.insert(name.to_owned(), Role::read(reader, key.place, node, &path));
        places.insert(path, key.place);
    }
    roles
}

/// Looks at every expression once; warns of what nothing uses.
fn review(reader: &mut Reader<'_>, content: &mut Content) {
    let mut used: BTreeSet<String> = BTreeSet::new();
    let mut today = false;
    let mut add = |expression: &Expression| {
        today |= expression.reads.today;
        used.extend(
            expression
                .reads
                .lookups
                .iter()
                .flat_map(|name| [format!("lookups.{name}"), format!("tables.{name}")]),
        );
    };
    content.shared.iter().for_each(&mut add);
    for rule in &content.rules {
        add(&rule.when);
        rule.unless.iter().for_each(&mut add);
        rule.rows.iter().for_each(|rows| add(&rows.key));
    }
    let maps = content.accounts.values().chain(content.role_maps.values());
    maps.for_each(|account| account.each_expression(&mut add));
    let included = content.roles.values().flat_map(|role| &role.includes);
    let given = content.rules.iter().flat_map(|rule| &rule.roles);
    let rows = content.rules.iter().filter_map(|rule| rule.rows.as_ref());
    for rows in rows {
        used.insert(format!("tables.{}", rows.table));
        used.extend(rows.named(&content.tables).into_iter().map(|role| format!("roles.{role}")));
    }
    used.extend(included.chain(given).map(|(role, _)| format!("roles.{role}")));
    for group in content.accounts.values().flat_map(|account| &account.names) {
        used.extend(
            group.patterns.iter().map(|pattern| format!("namespaces.{}", pattern.namespace.as_str())),
        );
    }
    content.reads_today = today;
    // Besides errors this would only repeat them: a faulty rule uses nothing.
    if reader.has_errors() {
        return;
    }
    for (id, place) in &content.places {
        let section = id.split('.').next().unwrap_or_default();
        if !matches!(section, "lookups" | "tables" | "roles" | "namespaces") || used.contains(id) {
            continue;
        }
        let name = id.split_once('.').map_or("", |(_, name)| name);
        let summary = format!("`{name}` is not used");
        reader.report(Severity::Warning, "P0030", *place, id, summary, "use it or remove it");
    }
}
