//! Policy maps: how the accounts of one class on one target come to be and get their values.

use std::collections::{BTreeMap, BTreeSet};

use provision_core::id::{ClassName, NamespaceName, PolicyRef, TargetName};
use provision_core::policy::{CredentialPolicy, Strength};
use provision_core::value::AttrName;

use super::input::expression;
use super::name_pattern::{self, NameGroup};
use super::own_group;
use crate::document::{Data, Fields, Node, Place, Reader};
use crate::expression::{Expression, Kind, Reads, Vocabulary};

/// The policy map of one (target, class).
#[derive(Clone, Debug)]
pub(crate) struct AccountMap {
    pub(crate) id: String,
    pub(crate) exists: Option<Expression>,
    pub(crate) enabled: Option<Expression>,
    /// The account is there this many days before the first day; `None`: from the first day on.
    pub(crate) lead_days: Option<u32>,
    pub(crate) credential: Option<CredentialPolicy>,
    pub(crate) names: Vec<NameGroup>,
    pub(crate) attributes: Vec<(AttrName, Vec<Mapping>)>,
}

/// One line of a policy map.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    pub(crate) id: PolicyRef,
    pub(crate) strength: Strength,
    pub(crate) value: Expression,
    pub(crate) when: Option<Expression>,
    pub(crate) when_null: WhenNull,
    /// Everything it reads, shared values included.
    pub(crate) reads: Reads,
}

/// What a mapping does when its value is null.
#[derive(Clone, Debug)]
pub(crate) enum WhenNull {
    /// Clears the attribute.
    Clear,
    /// Leaves it alone.
    Keep,
    /// Refuses the account.
    Refuse,
    /// Uses another value.
    Default(Box<Expression>),
}

impl AccountMap {
    /// A map that says nothing.
    pub(super) fn empty(path: &str) -> Self {
        Self {
            id: path.to_owned(),
            exists: None,
            enabled: None,
            lead_days: None,
            credential: None,
            names: Vec::new(),
            attributes: Vec::new(),
        }
    }

    /// Notes what mappings and patterns read, now that the shared values are known.
    pub(super) fn complete(&mut self, shared: &[Expression]) {
        let add = |reads: &mut Reads, expression: &Expression| reads.extend(&expression.reads_all(shared));
        for pattern in self.names.iter_mut().flat_map(|group| &mut group.patterns) {
            let expressions = pattern.scope.iter().chain(pattern.parts.iter().map(|part| &part.value));
            expressions.for_each(|expression| add(&mut pattern.reads, expression));
        }
        for mapping in self.attributes.iter_mut().flat_map(|(_, mappings)| mappings) {
            add(&mut mapping.reads, &mapping.value);
            mapping.when.iter().for_each(|when| add(&mut mapping.reads, when));
            if let WhenNull::Default(default) = &mapping.when_null {
                add(&mut mapping.reads, default);
            }
        }
    }

    /// True when the attribute is a generated name.
    pub(crate) fn generates(&self, attribute: &str) -> bool {
        self.names.iter().any(|group| group.has(attribute))
    }

    /// Every expression of the map.
    pub(super) fn each_expression(&self, visit: &mut dyn FnMut(&Expression)) {
        self.exists.iter().chain(&self.enabled).for_each(&mut *visit);
        for pattern in self.names.iter().flat_map(|group| &group.patterns) {
            pattern.scope.iter().for_each(&mut *visit);
            pattern.parts.iter().for_each(|part| visit(&part.value));
        }
        for mapping in self.attributes.iter().flat_map(|(_, mappings)| mappings) {
            visit(&mapping.value);
            mapping.when.iter().for_each(&mut *visit);
            if let WhenNull::Default(default) = &mapping.when_null {
                visit(default);
            }
        }
    }
}

/// The words for strengths.
pub(super) const STRENGTHS: &[(&str, Strength)] = &[
    ("strong", Strength::Strong),
    ("normal", Strength::Normal),
    ("weak", Strength::Weak),
    ("create_only", Strength::CreateOnly),
];

/// What reading the maps adds to the bundle.
#[derive(Debug, Default)]
pub(super) struct Maps {
    pub(super) accounts: BTreeMap<(TargetName, ClassName), AccountMap>,
    /// Maps of classes whose objects stand for roles.
    pub(super) roles: BTreeMap<(TargetName, ClassName), AccountMap>,
    pub(super) places: BTreeMap<String, Place>,
}

pub(super) fn read(
    reader: &mut Reader<'_>,
    node: &Node,
    vocabulary: &Vocabulary,
    namespaces: &BTreeSet<NamespaceName>,
) -> Maps {
    let mut maps = Maps::default();
    for (target, _, classes) in reader.entries(node, "targets") {
        for (class, key, node) in reader.entries(classes, &format!("targets.{target}")) {
            let path = format!("targets.{target}.{class}");
            if target.contains('/') || class.contains('/') {
                reader.error("P0006", key.place, &path, "names of targets and classes hold no `/`", "rename");
            }
            maps.places.insert(path.clone(), key.place);
            if let Some(map) = own_group::map(reader, node, &path, vocabulary, &mut maps.places) {
                maps.roles.insert((target.into(), class.into()), map);
                continue;
            }
            let account = account(reader, node, &path, vocabulary, namespaces, &mut maps.places);
            maps.accounts.insert((target.into(), class.into()), account);
        }
    }
    maps
}

fn account(
    reader: &mut Reader<'_>,
    node: &Node,
    path: &str,
    vocabulary: &Vocabulary,
    namespaces: &BTreeSet<NamespaceName>,
    places: &mut BTreeMap<String, Place>,
) -> AccountMap {
    let allowed = ["description", "of", "exists", "enabled", "pre_hire", "credential", "names", "attributes"];
    let fields = reader.fields(node, path, &allowed);
    let mut known = vocabulary.clone();
    known.roles = true;
    let condition = |reader: &mut Reader<'_>, key: &str| {
        fields.get(key).and_then(|node| expression(reader, node, &fields.path_of(key), &known, Kind::Bool))
    };
    let exists = condition(reader, "exists");
    let enabled = condition(reader, "enabled");
    let mut account = AccountMap { exists, enabled, ..AccountMap::empty(path) };
    if let Some(node) = fields.get("pre_hire") {
        let path = fields.path_of("pre_hire");
        let inner = reader.fields(node, &path, &["lead_days"]);
        let days = reader.required(&inner, "lead_days");
        account.lead_days = days.and_then(|days| reader.number(days, &inner.path_of("lead_days"), 0, 366));
    }
    account.credential =
        fields.get("credential").map(|node| credential(reader, node, &fields.path_of("credential")));
    if let Some(node) = fields.get("names") {
        account.names =
            name_pattern::read(reader, node, &fields.path_of("names"), &mut known, namespaces, places);
    }
    if let Some(node) = fields.get("attributes") {
        attributes(reader, node, &fields, &known, &mut account, places);
    }
    account
}

fn credential(reader: &mut Reader<'_>, node: &Node, path: &str) -> CredentialPolicy {
    let fields = reader.fields(node, path, &["length", "must_change"]);
    let mut credential = CredentialPolicy::default();
    if let Some(length) = fields.get("length").and_then(|node| reader.number(node, path, 8, 256)) {
        credential.length = length;
    }
    if let Some(change) = fields.get("must_change").and_then(|node| reader.boolean(node, path)) {
        credential.must_change = change;
    }
    credential
}

pub(super) fn attributes(
    reader: &mut Reader<'_>,
    node: &Node,
    fields: &Fields<'_>,
    known: &Vocabulary,
    account: &mut AccountMap,
    places: &mut BTreeMap<String, Place>,
) {
    let path = fields.path_of("attributes");
    for (name, key, node) in reader.entries(node, &path) {
        let id = format!("{path}.{name}");
        places.insert(id.clone(), key.place);
        if account.generates(name) {
            let summary = format!("`{name}` is generated under `names` already");
            reader.error("P0003", key.place, &id, summary, "keep one of the two");
        }
        let mappings = match &node.data {
            Data::List(items) => {
                let mut mappings = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    let id = format!("{id}[{index}]");
                    places.insert(id.clone(), item.place);
                    mappings.extend(mapping(reader, item, &id, known));
                }
                mappings
            }
            _ => mapping(reader, node, &id, known).into_iter().collect(),
        };
        account.attributes.push((AttrName::new(name), mappings));
    }
    account.attributes.sort_by(|(a, _), (b, _)| a.cmp(b));
}

/// Reads a mapping: an expression, or a mapping with `value` and how it is used.
fn mapping(reader: &mut Reader<'_>, node: &Node, id: &str, known: &Vocabulary) -> Option<Mapping> {
    let plain = |value| Mapping {
        id: PolicyRef::new(id),
        strength: Strength::Normal,
        value,
        when: None,
        when_null: WhenNull::Clear,
        reads: Reads::default(),
    };
    if !matches!(node.data, Data::Map(_)) {
        return expression(reader, node, id, known, Kind::Any).map(plain);
    }
    let fields = reader.fields(node, id, &["value", "strength", "when", "when_null"]);
    let value = reader
        .required(&fields, "value")
        .and_then(|node| expression(reader, node, &fields.path_of("value"), known, Kind::Any));
    let when = fields
        .get("when")
        .and_then(|node| expression(reader, node, &fields.path_of("when"), known, Kind::Bool));
    let strength = fields.get("strength").and_then(|node| reader.word(node, id, STRENGTHS));
    let when_null = fields.get("when_null").and_then(|node| when_null(reader, node, id, known));
    let mut mapping = plain(value?);
    mapping.when = when;
    mapping.strength = strength.unwrap_or_default();
    mapping.when_null = when_null.unwrap_or(WhenNull::Clear);
    Some(mapping)
}

fn when_null(reader: &mut Reader<'_>, node: &Node, path: &str, known: &Vocabulary) -> Option<WhenNull> {
    if let Data::Map(_) = &node.data {
        let fields = reader.fields(node, path, &["default"]);
        let default = reader.required(&fields, "default")?;
        return expression(reader, default, path, known, Kind::Any).map(Box::new).map(WhenNull::Default);
    }
    let word = reader.word(node, path, &[("clear", 0), ("keep", 1), ("refuse", 2)])?;
    Some(match word {
        0 => WhenNull::Clear,
        1 => WhenNull::Keep,
        _ => WhenNull::Refuse,
    })
}
