//! Policy maps: how the accounts of one class and tag on one target come to be and get their values.

use std::collections::{BTreeMap, BTreeSet};

use provision_core::id::{NamespaceName, PolicyRef};
use provision_core::policy::{Authority, CredentialPolicy, Strength};
use provision_core::value::AttrName;

use super::attribute_map::{self, AttributeMap};
use super::input::expression;
use super::name_pattern::{self, NameGroup};
use super::own_group;
use super::{Address, account_address};
use crate::document::{Fields, Node, Place, Reader};
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
    /// How far the attributes of accounts that are there are kept right.
    pub(crate) authority: Authority,
    pub(crate) attributes: Vec<AttributeMap>,
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

impl AccountMap {
    /// A map that says nothing.
    pub(super) fn empty(path: &str) -> Self {
        Self {
            id: path.to_owned(),
            exists: None,
            enabled: None,
            lead_days: None,
            credential: None,
            authority: Authority::default(),
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
        self.attributes.iter_mut().for_each(|attribute| attribute.complete(shared, attributes));
    }

    /// How many values an account has at the most.
    pub(crate) fn wanted(&self) -> usize {
        self.names.iter().map(|group| group.patterns.len()).sum::<usize>() + self.attributes.len()
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
        for mapping in self.attributes.iter().flat_map(AttributeMap::all) {
            mapping.each_expression(visit);
        }
    }
}

/// The words for authority.
const AUTHORITIES: &[(&str, Authority)] =
    &[("observe", Authority::Observe), ("assist", Authority::Assist), ("enforce", Authority::Enforce)];

/// The strength of mappings that do not say.
fn unstated(authority: Authority) -> Strength {
    if authority == Authority::Enforce { Strength::Strong } else { Strength::Normal }
}

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
        let entries = reader.entries(classes, &format!("targets.{target}"));
        // A policy map is a mapping and this is a word: a class may have the name all the same.
        let is_line = |(name, _, node): &(&str, &Node, &Node)| *name == "authority" && node.text().is_some();
        let line = entries.iter().copied().find(is_line);
        let authority = line
            .and_then(|(_, _, node)| reader.word(node, &format!("targets.{target}.authority"), AUTHORITIES))
            .unwrap_or_default();
        for (class, key, node) in entries.into_iter().filter(|entry| !is_line(entry)) {
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
            let given = (path.as_str(), authority);
            if let Some(map) = own_group::map(reader, node, given, &address.2, vocabulary, &mut maps.places) {
                maps.roles.insert(address, map);
                continue;
            }
            let account = account(reader, node, given, vocabulary, namespaces, &mut maps.places);
            maps.accounts.insert(address, account);
        }
    }
    maps
}

fn account(
    reader: &mut Reader<'_>,
    node: &Node,
    (path, authority): (&str, Authority),
    vocabulary: &Vocabulary,
    namespaces: &BTreeSet<NamespaceName>,
    places: &mut BTreeMap<String, Place>,
) -> AccountMap {
    let allowed = [
        "description",
        "of",
        "exists",
        "enabled",
        "pre_hire",
        "credential",
        "authority",
        "names",
        "attributes",
    ];
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
    account.authority = stated_authority(reader, &fields, authority);
    if let Some(node) = fields.get("names") {
        let given = (fields.path_of("names"), unstated(account.authority));
        account.names = name_pattern::read(reader, node, given, &mut known, namespaces, places);
    }
    if let Some(node) = fields.get("attributes") {
        attributes(reader, node, &fields, &known, &mut account, places);
    }
    account
}

/// The authority of a map; `authority` where it does not say.
pub(super) fn stated_authority(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    authority: Authority,
) -> Authority {
    let stated = fields.get("authority");
    let stated = stated.and_then(|node| reader.word(node, &fields.path_of("authority"), AUTHORITIES));
    stated.unwrap_or(authority)
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
        let strength = unstated(account.authority);
        account.attributes.push(attribute_map::read(reader, node, (name, &id), known, strength, places));
    }
    account.attributes.sort_by(|a, b| a.attribute.cmp(&b.attribute));
}
