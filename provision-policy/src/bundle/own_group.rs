//! Groups that stand for roles: what a role says of itself, the policy maps of their classes, the grants of membership.

use std::collections::BTreeMap;

use provision_core::id::Tag;
use provision_core::policy::Authority;
use provision_core::value::AttrName;

use super::account_map::{self, AccountMap};
use super::attribute_map::AttributeMap;
use super::role::{Role, RoleGrant};
use super::{Address, account_address};
use crate::document::{Fields, Node, Place, Reader, suggestion};
use crate::expression::{Kind, Shape, Subject, Vocabulary};

/// The attributes of a role, in order: the number of each is that of its slot.
pub(crate) const ATTRIBUTES: &[&str] = &["description", "labels", "name"];
/// Characters of a role's description that a target may be sent.
const DESCRIPTION_MAX: usize = 4096;
/// Former names and labels of a role.
const ENTRIES_MAX: usize = 100;

/// What objects that stand for a role are made from.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnGroup {
    pub(crate) description: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) formerly: Vec<(String, Place)>,
}

impl OwnGroup {
    pub(super) fn read(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Self {
        let mut own = Self::default();
        if let Some(node) = fields.get("description") {
            own.description = reader.text(node, &fields.path_of("description")).map(str::to_owned);
        }
        if let Some(node) = fields.get("labels") {
            let path = fields.path_of("labels");
            for (name, _, node) in reader.entries(node, &path) {
                let text = reader.text(node, &format!("{path}.{name}")).map(str::to_owned);
                own.labels.extend(text.map(|text| (name.to_owned(), text)));
            }
            crowded(reader, node, &path, own.labels.len());
        }
        if let Some(node) = fields.get("formerly") {
            let path = fields.path_of("formerly");
            for item in reader.list(node, &path) {
                let name = reader.text(item, &path).map(str::to_owned);
                own.formerly.extend(name.map(|name| (name, item.place)));
            }
            crowded(reader, node, &path, own.formerly.len());
        }
        own
    }

    /// The description, if it is of any use.
    pub(crate) fn shown(&self) -> Option<String> {
        let text = self.description.as_deref().map(str::trim).filter(|text| !text.is_empty());
        text.map(|text| text.chars().take(DESCRIPTION_MAX).collect())
    }
}

impl Role {
    /// Some group stands for the role.
    pub(crate) fn owns_group(&self) -> bool {
        self.grants.iter().any(|(grant, _)| matches!(grant, RoleGrant::Own { .. }))
    }
}

fn crowded(reader: &mut Reader<'_>, node: &Node, path: &str, count: usize) {
    if count > ENTRIES_MAX {
        let summary = format!("{count} entries; {ENTRIES_MAX} are the most");
        reader.error("P0006", node.place, path, summary, "keep fewer");
    }
}

/// Reads the grant `own_group: target/class`.
pub(super) fn grant(
    reader: &mut Reader<'_>,
    node: &Node,
    fields: &Fields<'_>,
    path: &str,
) -> Option<RoleGrant> {
    for key in ["account", "group", "group_class"] {
        if let Some(extra) = fields.get(key) {
            let summary = format!("`{key}` does not go with `own_group`, which says which group it is");
            reader.error("P0004", extra.place, path, summary, "remove one of the two");
        }
    }
    let own = fields.get("own_group").and_then(|own| account_address::read(reader, own, path));
    let on = reader.required(fields, "on").and_then(|on| account_address::read(reader, on, path));
    let privileged = fields.get("privileged").and_then(|node| reader.boolean(node, path));
    let ((group_target, group_class, tag), account) = own.zip(on)?;
    let target = &account.0;
    if tag != Tag::main() {
        let summary = format!("a role has one group of a class, and `{tag}` tells accounts of people apart");
        reader.error("P0074", node.place, path, summary, "name the class without a tag");
        return None;
    }
    if group_target != *target {
        let summary = format!("an account on `{target}` cannot be a member of a group on `{group_target}`");
        reader.error("P0070", node.place, path, summary, "name one target in both");
        return None;
    }
    Some(RoleGrant::Own { account, group_class, privileged: privileged.unwrap_or(false) })
}

/// Reads a policy map of a class whose objects stand for roles; `None`: it is of people.
pub(super) fn map(
    reader: &mut Reader<'_>,
    node: &Node,
    (path, authority): (&str, Authority),
    tag: &Tag,
    vocabulary: &Vocabulary,
    places: &mut BTreeMap<String, Place>,
) -> Option<AccountMap> {
    let of = node.entry("of")?;
    let role = reader.word(of, &format!("{path}.of"), &[("role", true), ("identity", false)]);
    if role == Some(false) {
        return None;
    }
    if *tag != Tag::main() {
        let summary = format!("a role has one group of a class, and `{tag}` tells accounts of people apart");
        reader.error("P0074", of.place, path, summary, "name the class without a tag");
    }
    let fields = reader.fields(node, path, &["description", "of", "authority", "attributes"]);
    if let Some(node) = fields.get("description") {
        reader.text(node, &fields.path_of("description"));
    }
    let shape = |name: &str| {
        let kind = if name == "labels" { Kind::Any } else { Kind::Text };
        (name.to_owned(), Shape::of(kind))
    };
    let known = Vocabulary {
        attributes: ATTRIBUTES.iter().map(|name| shape(name)).collect(),
        lookups: vocabulary.lookups.clone(),
        tables: vocabulary.tables.clone(),
        subject: Subject::Role,
        ..Vocabulary::default()
    };
    let mut map = AccountMap::empty(path);
    map.authority = account_map::stated_authority(reader, &fields, authority);
    if let Some(node) = fields.get("attributes") {
        account_map::attributes(reader, node, &fields, &known, &mut map, places);
    }
    for mapping in map.attributes.iter().flat_map(AttributeMap::all) {
        if mapping.value.kind == Kind::Account
            && let Some(place) = places.get(mapping.id.as_str())
        {
            let summary = "`account_of` names an account of a person, and this is of roles";
            reader.error("P0073", *place, mapping.id.as_str(), summary, "give it a value of the role");
        }
    }
    Some(map)
}

/// Checks what roles say of their own groups: that these are mapped, and that former names are nobody's. Gives the maps
/// with what their mappings read noted.
pub(super) fn check(
    reader: &mut Reader<'_>,
    roles: &BTreeMap<String, Role>,
    mut maps: BTreeMap<Address, AccountMap>,
) -> BTreeMap<Address, AccountMap> {
    let attributes: Vec<AttrName> = ATTRIBUTES.iter().map(AttrName::new).collect();
    maps.values_mut().for_each(|map| map.complete(&[], &attributes));
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, role) in roles {
        let path = format!("roles.{name}");
        for (grant, place) in &role.grants {
            let RoleGrant::Own { account, group_class, .. } = grant else { continue };
            let group = (account.0.clone(), group_class.clone(), Tag::main());
            if maps.contains_key(&group) {
                continue;
            }
            let written = account_address::text(&group);
            let mapped: Vec<_> = maps.keys().map(account_address::text).collect();
            let remedy = match suggestion(&written, mapped.iter().map(String::as_str)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "map it under `targets`, with `of: role`".to_owned(),
            };
            let summary = format!("`{written}` is not mapped as a class of groups that stand for roles");
            reader.error("P0071", *place, &path, summary, remedy);
        }
        for (former, place) in &role.own.formerly {
            let summary = match taken.insert(former, name) {
                _ if roles.contains_key(former) => format!("`{former}` is a role, and no former name of one"),
                Some(other) if other != name => format!("`{former}` is a former name of `{other}` already"),
                Some(_) => format!("`{former}` is given twice"),
                None => continue,
            };
            reader.error("P0072", *place, &format!("{path}.formerly"), summary, "correct it or remove it");
        }
    }
    maps
}
