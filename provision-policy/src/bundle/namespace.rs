//! Namespaces: where a generated name must be unique.

use std::collections::BTreeMap;

use provision_core::id::NamespaceName;
use provision_core::policy::{Namespace, NamespaceMember};
use provision_core::schema::CaseRule;

use super::{AccountMap, Address};
use crate::document::{Data, Fields, Node, Place, Reader};

/// Reads the section `namespaces`.
pub(super) fn read(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    places: &mut BTreeMap<String, Place>,
) -> BTreeMap<NamespaceName, Namespace> {
    let Some(node) = fields.get("namespaces") else { return BTreeMap::new() };
    let mut namespaces = BTreeMap::new();
    for (name, key, node) in reader.entries(node, "namespaces") {
        let path = format!("namespaces.{name}");
        let inner = reader.fields(node, &path, &["description", "case", "reuse_after_days", "members"]);
        let case = inner.get("case").and_then(|node| {
            reader.word(node, &path, &[("ignore", CaseRule::Ignore), ("exact", CaseRule::Exact)])
        });
        let reuse = inner.get("reuse_after_days").filter(|node| !matches!(node.data, Data::Null));
        let reuse_after_days = reuse.and_then(|node| reader.number(node, &path, 0, 36_500));
        let mut members = Vec::new();
        if let Some(node) = inner.get("members") {
            for item in reader.list(node, &path) {
                members.extend(member(reader, item, &path));
            }
        }
        let name = NamespaceName::new(name);
        let case = case.unwrap_or(CaseRule::Ignore);
        namespaces.insert(name.clone(), Namespace { name, case, members, scoped: false, reuse_after_days });
        places.insert(path, key.place);
    }
    namespaces
}

fn member(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<NamespaceMember> {
    let fields = reader.fields(node, path, &["target", "class", "attribute"]);
    let mut text = |key: &str| reader.required(&fields, key).and_then(|node| reader.text(node, path));
    let (target, class, attribute) = (text("target"), text("class"), text("attribute"));
    Some(NamespaceMember { target: target?.into(), class: class?.into(), attribute: attribute?.into() })
}

/// An attribute whose names are generated in a namespace belongs to it without being listed.
pub(super) fn members(
    namespaces: &mut BTreeMap<NamespaceName, Namespace>,
    accounts: &BTreeMap<Address, AccountMap>,
) {
    for ((target, class, _), account) in accounts {
        for pattern in account.names.iter().flat_map(|group| &group.patterns) {
            let Some(namespace) = namespaces.get_mut(&pattern.namespace) else { continue };
            let member = NamespaceMember {
                target: target.clone(),
                class: class.clone(),
                attribute: pattern.attribute.clone(),
            };
            namespace.scoped |= pattern.scope.is_some();
            if !namespace.members.contains(&member) {
                namespace.members.push(member);
            }
        }
    }
}
