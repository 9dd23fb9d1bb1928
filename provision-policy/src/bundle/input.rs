//! Attributes of identities that every bundle may read, and expressions of the bundle's text.

use crate::document::{Node, Reader};
use crate::expression::{Expression, Kind, Vocabulary, parse};

/// SCIM core and enterprise attributes, those of `name` also on their own, and their romanised forms.
pub(super) const ATTRIBUTES: &[&str] = &[
    "addresses",
    "costCenter",
    "department",
    "displayName",
    "division",
    "emails",
    "employeeNumber",
    "entitlements",
    "externalId",
    "familyName",
    "familyNameRomanized",
    "formatted",
    "givenName",
    "givenNameRomanized",
    "honorificPrefix",
    "honorificSuffix",
    "ims",
    "locale",
    "manager",
    "middleName",
    "middleNameRomanized",
    "name",
    "nickName",
    "organization",
    "phoneNumbers",
    "photos",
    "preferredLanguage",
    "profileUrl",
    "roles",
    "timezone",
    "title",
    "userName",
    "userType",
];

/// Stands for an expression that is faulty, so that what depends on it is still checked.
pub(super) fn null() -> Option<Expression> {
    parse("null", &Vocabulary::default()).ok()
}

/// Reads an expression that gives `wanted`.
pub(super) fn expression(
    reader: &mut Reader<'_>,
    node: &Node,
    path: &str,
    known: &Vocabulary,
    wanted: Kind,
) -> Option<Expression> {
    let text = reader.text(node, path)?;
    match parse(text, known) {
        Ok(expression) if wanted.admits(expression.kind) => Some(expression),
        Ok(expression) => {
            let summary = format!("expected {}, this gives {}", wanted.name(), expression.kind.name());
            reader.error("P0026", node.place, path, summary, "correct the expression");
            None
        }
        Err(faults) => {
            for fault in faults {
                let place = reader.sources.inside(node.place, text, fault.at, fault.length);
                reader.error(fault.code, place, path, fault.summary, fault.remedy);
            }
            None
        }
    }
}
