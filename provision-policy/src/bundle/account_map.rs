//! Policy maps: how the accounts of one class and tag on one target come to be and get their values.

use std::collections::{BTreeMap, BTreeSet};

use provision_core::id::{NamespaceName, PolicyRef};
use provision_core::policy::{CredentialPolicy, Strength};
use provision_core::value::AttrName;

use super::input::expression;
use super::name_pattern::{self, NameGroup};
use super::own_group;
use super::{Address, account_address};
use crate::document::{Data, Fields, Node, Place, Reader};
use crate::evaluation::Inputs;
use crate::expression::{Expression, Kind, Reads, Vocabulary};

/// The policy map of one (target, class, tag).
#[derive(Clone, Debug)]
pub(crate) struct AccountMap {
    pub(crate) id: String,
    pub(crate) exists: Option<Condition>,
    pub(crate) enabled: Option<Condition>,
    /// The account is there this many days before the first day; `None`: from the first day on.
    pub(crate) lead_days: Option<u32>,
    pub(crate) credential: Option<CredentialPolicy>,
    pub(crate) names: Vec<NameGroup>,
    pub(crate) attributes: Vec<(AttrName, Vec<Mapping>)>,
    /// Some expression reads `roles`.
    pub(crate) reads_roles: bool,
}

/// What an account depends on besides its roles.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub(crate) id: PolicyRef,
    pub(crate) holds: Expression,
    pub(crate) inputs: Inputs,
}

/// One line of a policy map.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    pub(crate) id: PolicyRef,
    pub(crate) strength: Strength,
    pub(crate) value: Expression,
    pub(crate) when: Option<Expression>,
    pub(crate) when_null: WhenNull,
    pub(crate) inputs: Inputs,
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
            reads_roles: false,
        }
    }

    /// Notes what conditions, mappings and patterns read, now that the shared values and the slots are known.
    pub(super) fn complete(&mut self, shared: &[Expression], attributes: &[AttrName]) {
        let reads = |expressions: &[&Expression]| {
            let mut reads = Reads::default();
            expressions.iter().for_each(|expression| reads.extend(&expression.reads_all(shared)));
            reads
        };
        let mut reads_roles = false;
        self.each_expression(&mut |expression| reads_roles |= expression.reads.roles);
        self.reads_roles = reads_roles;
        for condition in self.exists.iter_mut().chain(&mut self.enabled) {
            condition.inputs = Inputs::new(&condition.id, &[], reads(&[&condition.holds]), attributes);
        }
        for pattern in self.names.iter_mut().flat_map(|group| &mut group.patterns) {
            let parts = pattern.parts.iter().map(|part| &part.value);
            let expressions: Vec<&Expression> = pattern.scope.iter().chain(parts).collect();
            pattern.inputs = Inputs::new(&pattern.id, &[], reads(&expressions), attributes);
        }
        for mapping in self.attributes.iter_mut().flat_map(|(_, mappings)| mappings) {
            let default = match &mapping.when_null {
                WhenNull::Default(default) => Some(&**default),
                _ => None,
            };
            let own: Vec<&Expression> =
                [Some(&mapping.value), mapping.when.as_ref(), default].into_iter().flatten().collect();
            let reads = reads(&own);
            let used = reads.shared.iter().filter_map(|index| shared.get(*index));
            let texts: Vec<&str> = own.iter().copied().chain(used).map(|used| used.text.as_str()).collect();
            mapping.inputs = Inputs::new(&mapping.id, &texts, reads.clone(), attributes);
        }
    }

    /// True when the attribute is a generated name.
    pub(crate) fn generates(&self, attribute: &str) -> bool {
        self.names.iter().any(|group| group.has(attribute))
    }

    /// Every expression of the map.
    pub(super) fn each_expression(&self, visit: &mut dyn FnMut(&Expression)) {
        self.exists.iter().chain(&self.enabled).for_each(|condition| visit(&condition.holds));
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
    pub(super) accounts: BTreeMap<Address, AccountMap>,
    /// Maps of classes whose objects stand for roles.
    pub(super) roles: BTreeMap<Address, AccountMap>,
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
            let Some((class, tag)) = account_address::class_and_tag(class) else {
                let remedy = "write `class`, or `class#tag` for one of several accounts of a person";
                reader.error("P0067", key.place, &path, format!("`{class}` is no class with a tag"), remedy);
                continue;
            };
            let address = (target.into(), class, tag);
            if maps.accounts.contains_key(&address) || maps.roles.contains_key(&address) {
                let summary = "the accounts of this class and tag are mapped already";
                reader.error("P0003", key.place, &path, summary, "keep one of the two");
                continue;
            }
            maps.places.insert(path.clone(), key.place);
            if let Some(map) = own_group::map(reader, node, &path, &address.2, vocabulary, &mut maps.places) {
                maps.roles.insert(address, map);
                continue;
            }
            let account = account(reader, node, &path, vocabulary, namespaces, &mut maps.places);
            maps.accounts.insert(address, account);
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
        let path = fields.path_of(key);
        let holds = fields.get(key).and_then(|node| expression(reader, node, &path, &known, Kind::Bool))?;
        Some(Condition { id: PolicyRef::new(path), holds, inputs: Inputs::default() })
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
        inputs: Inputs::default(),
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
