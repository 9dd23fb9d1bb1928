//! The shapes of target that come with the connector.

use std::collections::{BTreeMap, BTreeSet};

use super::MemoryClass;
use crate::connector::FilterSupport;
use crate::filter::Comparison;
use crate::id::ClassName;
use crate::schema::{AttributeSchema, AttributeType, CaseRule, Mutability};
use crate::value::AttrName;

/// The computed ends of memberships: `member` of a group, `memberOf` of an account.
pub(super) fn edges() -> AttributeSchema {
    AttributeSchema {
        kind: AttributeType::Reference,
        multi: true,
        mutability: Mutability::ReadOnly,
        ..AttributeSchema::default()
    }
}

fn text(length_max: u32) -> AttributeSchema {
    AttributeSchema { case: CaseRule::Ignore, length_max: Some(length_max), ..AttributeSchema::text() }
}

fn unique(schema: AttributeSchema) -> AttributeSchema {
    AttributeSchema { unique: true, ..schema }
}

fn required(schema: AttributeSchema) -> AttributeSchema {
    AttributeSchema { required: true, ..schema }
}

fn naming(schema: AttributeSchema) -> AttributeSchema {
    AttributeSchema { mutability: Mutability::Naming, ..schema }
}

fn several(schema: AttributeSchema) -> AttributeSchema {
    AttributeSchema { multi: true, ..schema }
}

fn named<const N: usize>(attributes: [(&str, AttributeSchema); N]) -> BTreeMap<AttrName, AttributeSchema> {
    attributes.into_iter().map(|(name, schema)| (AttrName::new(name), schema)).collect()
}

fn references() -> AttributeSchema {
    AttributeSchema { kind: AttributeType::Reference, ..AttributeSchema::default() }
}

fn user() -> MemoryClass {
    let attributes = named([
        ("cn", naming(required(text(64)))),
        ("company", text(64)),
        ("department", text(64)),
        ("description", several(text(1024))),
        ("displayName", text(256)),
        ("dn", naming(required(unique(text(2048))))),
        ("employeeNumber", text(512)),
        ("employeeType", text(256)),
        ("extensionAttribute10", text(1024)),
        ("givenName", text(64)),
        ("l", text(128)),
        ("mail", unique(text(256))),
        ("manager", references()),
        ("middleName", text(64)),
        ("mobile", text(64)),
        ("physicalDeliveryOfficeName", text(128)),
        ("proxyAddresses", several(text(1123))),
        ("sAMAccountName", unique(required(text(20)))),
        ("sn", text(64)),
        ("telephoneNumber", text(64)),
        ("title", text(128)),
        ("userPrincipalName", unique(text(1024))),
    ]);
    MemoryClass {
        attributes,
        names: CaseRule::Ignore,
        naming: Some(AttrName::new("dn")),
        sign_in: true,
        members: false,
        delete: true,
        read_only: false,
        changes: true,
        totals: false,
        filter: None,
        indexed: ["cn", "employeeNumber", "extensionAttribute10"].map(AttrName::new).into(),
    }
}

fn group() -> MemoryClass {
    MemoryClass {
        attributes: named([
            ("cn", naming(required(text(64)))),
            ("description", several(text(1024))),
            ("dn", naming(required(unique(text(2048))))),
        ]),
        names: CaseRule::Ignore,
        naming: Some(AttrName::new("dn")),
        sign_in: false,
        members: true,
        delete: true,
        read_only: false,
        changes: true,
        totals: false,
        filter: None,
        indexed: [AttrName::new("cn")].into(),
    }
}

/// Shaped like Active Directory.
pub(super) fn directory() -> BTreeMap<ClassName, MemoryClass> {
    [(ClassName::new("user"), user()), (ClassName::new("group"), group())].into()
}

/// Shaped like a SCIM 2.0 service (RFC 7643, RFC 7644).
pub(super) fn service() -> BTreeMap<ClassName, MemoryClass> {
    let folded = || AttributeSchema { case: CaseRule::Ignore, ..AttributeSchema::text() };
    // Services commonly look objects up by these and refuse any other filter.
    let filter = |names: &[&str]| FilterSupport {
        comparisons: [Comparison::Equal].into(),
        attributes: Some(names.iter().map(AttrName::new).collect()),
        all: true,
        any_not: false,
    };
    let class = |attributes, naming: &str, members: bool| MemoryClass {
        attributes,
        names: CaseRule::Ignore,
        naming: Some(AttrName::new(naming)),
        sign_in: !members,
        members,
        delete: true,
        read_only: false,
        changes: false,
        totals: true,
        filter: Some(filter(&[naming, "externalId"])),
        indexed: [AttrName::new("externalId")].into(),
    };
    let user = named([
        ("department", folded()),
        ("displayName", folded()),
        ("emails", several(folded())),
        ("employeeNumber", folded()),
        ("externalId", AttributeSchema::text()),
        ("familyName", folded()),
        ("givenName", folded()),
        ("locale", folded()),
        ("manager", references()),
        ("preferredLanguage", folded()),
        ("roles", several(folded())),
        ("title", folded()),
        ("userName", naming(required(unique(folded())))),
    ]);
    let group = named([("displayName", naming(required(folded()))), ("externalId", AttributeSchema::text())]);
    let (user, group) = (class(user, "userName", false), class(group, "displayName", true));
    [(ClassName::new("User"), user), (ClassName::new("Group"), group)].into()
}

/// One class of accounts, exact in case, no groups.
pub(super) fn plain() -> BTreeMap<ClassName, MemoryClass> {
    let exact = AttributeSchema::text;
    let account = MemoryClass {
        attributes: named([
            ("active_since", AttributeSchema { kind: AttributeType::Date, ..exact() }),
            ("department", exact()),
            ("displayName", exact()),
            ("emails", several(exact())),
            ("employeeNumber", exact()),
            ("familyName", exact()),
            ("givenName", exact()),
            ("manager", references()),
            ("title", exact()),
            ("userName", naming(required(unique(exact())))),
        ]),
        names: CaseRule::Exact,
        naming: Some(AttrName::new("userName")),
        sign_in: true,
        members: false,
        delete: true,
        read_only: false,
        changes: true,
        totals: false,
        filter: None,
        indexed: BTreeSet::from([AttrName::new("employeeNumber")]),
    };
    [(ClassName::new("account"), account)].into()
}
