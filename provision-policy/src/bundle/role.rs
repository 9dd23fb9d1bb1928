//! Roles: named bundles of entitlements, which may include other roles.

use std::collections::{BTreeMap, BTreeSet};

use provision_core::id::{ClassName, PolicyRef};

use super::own_group::{self, OwnGroup};
use super::{Address, account_address};
use crate::document::{Node, Place, Reader, suggestion};

/// A role.
#[derive(Clone, Debug)]
pub(crate) struct Role {
    pub(crate) id: PolicyRef,
    pub(crate) place: Place,
    pub(crate) includes: Vec<(String, Place)>,
    pub(crate) grants: Vec<(RoleGrant, Place)>,
    /// What objects that stand for it are made from.
    pub(crate) own: OwnGroup,
}

/// What a role grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RoleGrant {
    Account {
        account: Address,
    },
    Group {
        account: Address,
        group: String,
        group_class: ClassName,
        privileged: bool,
    },
    /// The group that stands for the role itself.
    Own {
        account: Address,
        group_class: ClassName,
        privileged: bool,
    },
}

impl RoleGrant {
    /// The account it concerns.
    pub(crate) fn account(&self) -> &Address {
        match self {
            Self::Account { account } | Self::Group { account, .. } | Self::Own { account, .. } => account,
        }
    }
}

impl Role {
    pub(super) fn read(reader: &mut Reader<'_>, place: Place, node: &Node, path: &str) -> Self {
        let fields = reader.fields(node, path, &["description", "labels", "formerly", "includes", "grants"]);
        let own = OwnGroup::read(reader, &fields);
        let id = PolicyRef::new(path);
        let mut role = Self { id, place, includes: Vec::new(), grants: Vec::new(), own };
        if let Some(node) = fields.get("includes") {
            let path = fields.path_of("includes");
            for item in reader.list(node, &path) {
                if let Some(name) = reader.text(item, &path) {
                    role.includes.push((name.to_owned(), item.place));
                }
            }
        }
        if let Some(node) = fields.get("grants") {
            let path = fields.path_of("grants");
            for item in reader.list(node, &path) {
                role.grants.extend(grant(reader, item, &path).map(|grant| (grant, item.place)));
            }
        }
        role
    }
}

fn grant(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<RoleGrant> {
    let fields =
        reader.fields(node, path, &["account", "group", "own_group", "on", "group_class", "privileged"]);
    if fields.get("own_group").is_some() {
        return own_group::grant(reader, node, &fields, path);
    }
    match (fields.get("account"), fields.get("group")) {
        (Some(account), None) => {
            for key in ["on", "group_class", "privileged"] {
                if let Some(extra) = fields.get(key) {
                    let summary = format!("`{key}` belongs to a `group` grant");
                    reader.error("P0004", extra.place, path, summary, "remove it");
                }
            }
            account_address::read(reader, account, path).map(|account| RoleGrant::Account { account })
        }
        (None, Some(group)) => {
            let on = reader.required(&fields, "on").and_then(|on| account_address::read(reader, on, path));
            let group = reader.text(group, path)?.to_owned();
            let class = fields.get("group_class").and_then(|node| reader.text(node, path));
            let privileged = fields.get("privileged").and_then(|node| reader.boolean(node, path));
            Some(RoleGrant::Group {
                account: on?,
                group,
                group_class: class.unwrap_or("group").into(),
                privileged: privileged.unwrap_or(false),
            })
        }
        _ => {
            let remedy =
                "write `account: target/class`, or `group: ..` or `own_group: ..` with `on: target/class`";
            reader.error("P0005", node.place, path, "a grant is an account or a group", remedy);
            None
        }
    }
}

/// Reports a role that is named and not there.
pub(super) fn known(
    reader: &mut Reader<'_>,
    roles: &BTreeMap<String, Role>,
    name: &str,
    place: Place,
    path: &str,
) {
    if !roles.contains_key(name) {
        let remedy = match suggestion(name, roles.keys().map(String::as_str)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "define it under `roles`".to_owned(),
        };
        reader.error("P0010", place, path, format!("unknown role `{name}`"), remedy);
    }
}

/// Checks what roles name: other roles without a circle, and accounts that are mapped.
pub(super) fn check(reader: &mut Reader<'_>, roles: &BTreeMap<String, Role>, accounts: &BTreeSet<Address>) {
    for (name, role) in roles {
        let path = format!("roles.{name}");
        for (included, place) in &role.includes {
            known(reader, roles, included, *place, &path);
        }
        for (grant, place) in &role.grants {
            if accounts.contains(grant.account()) {
                continue;
            }
            let written = account_address::text(grant.account());
            let mapped: Vec<_> = accounts.iter().map(account_address::text).collect();
            let remedy = match suggestion(&written, mapped.iter().map(String::as_str)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "map it under `targets`".to_owned(),
            };
            reader.error("P0013", *place, &path, format!("`{written}` is not mapped"), remedy);
        }
    }
    circles(reader, roles);
}

/// Reports each circle of roles once, at its first role by name.
fn circles(reader: &mut Reader<'_>, roles: &BTreeMap<String, Role>) {
    // Take away, again and again, roles that include nothing that is left; what stays lies on a circle or leads to one.
    let mut open: BTreeMap<&str, usize> = BTreeMap::new();
    let mut includers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, role) in roles {
        let included = role.includes.iter().filter(|(included, _)| roles.contains_key(included));
        open.insert(name, included.clone().count());
        for (included, _) in included {
            includers.entry(included).or_default().push(name);
        }
    }
    let mut done: Vec<&str> = open.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect();
    while let Some(name) = done.pop() {
        open.remove(name);
        for includer in includers.get(name).into_iter().flatten() {
            if let Some(count) = open.get_mut(includer) {
                *count -= 1;
                if *count == 0 {
                    done.push(includer);
                }
            }
        }
    }
    while let Some(start) = open.keys().next().copied() {
        let mut walk: Vec<&str> = Vec::new();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut at = Some(start);
        while let Some(name) = at.filter(|name| seen.insert(name)) {
            walk.push(name);
            let role = roles.get(name);
            at = role.and_then(|role| {
                role.includes.iter().map(|(name, _)| name.as_str()).find(|name| open.contains_key(name))
            });
        }
        for name in &walk {
            open.remove(name);
        }
        // Without a way on, this role led to a circle that is reported already.
        let Some(entry) = at else { continue };
        let circle: Vec<&str> = walk.iter().copied().skip_while(|name| *name != entry).collect();
        let names: Vec<_> = circle.iter().chain([&entry]).take(20).map(|name| format!("`{name}`")).collect();
        let place = roles.get(entry).map_or_else(Place::default, |role| role.place);
        let summary = format!("roles include each other: {}", names.join(" > "));
        reader.error("P0014", place, &format!("roles.{entry}"), summary, "remove one of the `includes`");
    }
}
