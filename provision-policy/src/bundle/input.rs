//! Attributes of identities that every bundle may read, and expressions of the bundle's text.

use crate::document::{Data, Node, Reader};
use crate::expression::{Expression, Kind, Shape, Vocabulary, parse};

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

/// Those of [`ATTRIBUTES`] that may have several values, or parts: nothing is known of their kind.
const STRUCTURED: &[&str] =
    &["addresses", "emails", "entitlements", "ims", "manager", "name", "phoneNumbers", "photos", "roles"];
/// The words for kinds of inputs.
const KINDS: &[(&str, Shape)] = &[
    ("text", Shape::of(Kind::Text)),
    ("number", Shape::of(Kind::Int)),
    ("truth", Shape::of(Kind::Bool)),
    ("date", Shape::of(Kind::Date)),
    ("instant", Shape::of(Kind::Time)),
    ("list", Shape::list(Kind::Any)),
    ("list of text", Shape::list(Kind::Text)),
    ("list of number", Shape::list(Kind::Int)),
    ("list of date", Shape::list(Kind::Date)),
];

/// What is known of the attributes that every bundle may read.
pub(super) fn built_in() -> impl Iterator<Item = (String, Shape)> {
    ATTRIBUTES.iter().map(|name| {
        let kind = if STRUCTURED.contains(name) { Kind::Any } else { Kind::Text };
        ((*name).to_owned(), Shape::of(kind))
    })
}

/// Reads `inputs`: names of attributes, or `name: kind`.
pub(super) fn inputs(reader: &mut Reader<'_>, node: &Node) -> Vec<(String, Shape)> {
    let mut inputs = Vec::new();
    for item in reader.list(node, "inputs") {
        if !matches!(item.data, Data::Map(_)) {
            let name = reader.text(item, "inputs").map(str::to_owned);
            inputs.extend(name.map(|name| (name, Shape::of(Kind::Any))));
            continue;
        }
        for (name, _, kind) in reader.entries(item, "inputs") {
            let shape = reader.word(kind, &format!("inputs.{name}"), KINDS);
            inputs.push((name.to_owned(), shape.unwrap_or(Shape::of(Kind::Any))));
        }
    }
    inputs
}

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
        Ok(expression) if wanted.admits(expression.kind) => {
            // Where only true or false is wanted, something is decided: null would decide it by accident.
            let Some(fault) = expression.undecided().filter(|_| wanted == Kind::Bool) else {
                return Some(expression);
            };
            let place = reader.sources.inside(node.place, text, fault.at, fault.length);
            reader.error(fault.code, place, path, fault.summary, fault.remedy);
            None
        }
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
