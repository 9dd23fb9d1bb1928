//! The bundle against the schemas of the targets.

use std::collections::BTreeMap;

use provision_core::diagnostic::{Diagnostic, Severity};
use provision_core::id::{ClassName, TargetName};
use provision_core::schema::{AttributeSchema, AttributeType, Mutability, ObjectClass, Schema};

use crate::bundle::{AccountMap, Address, AttributeMap, Content, RoleGrant};
use crate::document::suggestion;
use crate::expression::{Kind, Shape};

struct Checker<'a> {
    content: &'a Content,
    found: Vec<Diagnostic>,
}

pub(super) fn check(content: &Content, schemas: &BTreeMap<TargetName, Schema>) -> Vec<Diagnostic> {
    let mut checker = Checker { content, found: Vec::new() };
    for ((target, class, _), map) in content.accounts.iter().chain(&content.role_maps) {
        if let Some(class) = checker.class(schemas, target, class, &map.id) {
            checker.account(map, class);
        }
    }
    for (name, role) in &content.roles {
        for (grant, _) in &role.grants {
            if let RoleGrant::Group { account: (target, ..), group_class, .. } = grant
                && schemas.contains_key(target)
            {
                checker.class(schemas, target, group_class, &format!("roles.{name}"));
            }
        }
    }
    checker.members(schemas);
    checker.found
}

impl Checker<'_> {
    fn error(&mut self, code: &str, id: &str, summary: String, remedy: String) {
        self.report(Severity::Error, code, id, summary, remedy);
    }

    fn report(&mut self, severity: Severity, code: &str, id: &str, summary: String, remedy: String) {
        let diagnostic = Diagnostic::new(severity, code, summary, remedy).at_path(id);
        self.found.push(match self.content.locate(id) {
            Some(span) => diagnostic.at(span),
            None => diagnostic,
        });
    }

    fn class<'s>(
        &mut self,
        schemas: &'s BTreeMap<TargetName, Schema>,
        target: &TargetName,
        class: &ClassName,
        id: &str,
    ) -> Option<&'s ObjectClass> {
        let Some(schema) = schemas.get(target) else {
            let known = suggestion(target.as_str(), schemas.keys().map(TargetName::as_str));
            let remedy = meant(known, "configure the target, or remove it here");
            self.error("P0040", id, format!("target `{target}` is not configured"), remedy);
            return None;
        };
        let found = schema.class(class);
        if found.is_none() {
            let known = suggestion(class.as_str(), schema.classes.keys().map(ClassName::as_str));
            let remedy = meant(known, "use a class of the target's schema");
            self.error("P0041", id, format!("target `{target}` has no class `{class}`"), remedy);
        }
        found
    }

    fn account(&mut self, map: &AccountMap, class: &ObjectClass) {
        let mut mapped: Vec<&str> = Vec::new();
        for pattern in map.names.iter().flat_map(|group| &group.patterns) {
            let id = pattern.id.as_str();
            let Some((known, schema)) = self.attribute(class, pattern.attribute.as_str(), id) else {
                continue;
            };
            mapped.push(known);
            let longest = pattern.max + pattern.suffix.chars().count();
            if let Some(limit) = schema.length_max.filter(|limit| longest > *limit as usize) {
                let summary =
                    format!("names of up to {longest} characters do not fit: `{known}` takes {limit}");
                self.error("P0046", id, summary, "lower `max`".to_owned());
            }
            self.fits(id, known, schema, Shape::of(Kind::Text));
        }
        for attribute in &map.attributes {
            // What is not active gives a required attribute no value.
            mapped.extend(self.mapped(attribute, class).filter(|_| attribute.is_active()));
        }
        let naming = class.naming.iter().map(|name| name.as_str()).find(|name| !mapped.contains(name));
        if let Some(name) = naming {
            let shown = provision_core::text::escape(name);
            let summary = format!("`{shown}` names the objects of this class and is not mapped");
            self.report(
                Severity::Warning,
                "P0047",
                &map.id,
                summary,
                format!("add `{shown}` under `attributes`"),
            );
        }
        for (name, schema) in &class.attributes {
            let missing = schema.required && schema.mutability != Mutability::ReadOnly;
            if missing && !mapped.contains(&name.as_str()) {
                let summary = format!("`{name}` is required by the target and not mapped");
                self.error("P0044", &map.id, summary, format!("add `{name}` under `attributes`"));
            }
        }
    }

    /// Checks the mappings of one attribute, drafts as well; its name in the schema's spelling.
    fn mapped<'s>(&mut self, map: &AttributeMap, class: &'s ObjectClass) -> Option<&'s str> {
        let id = map.id.as_str();
        let (known, schema) = self.attribute(class, map.attribute.as_str(), id)?;
        if map.each && !schema.multi {
            let summary = format!("`{known}` takes one value, and several mappings together give more");
            self.error(
                "P0051",
                id,
                summary,
                "write a list, of which the first that counts is taken".to_owned(),
            );
        } else if map.takes_away() && (!schema.multi || schema.ordered) {
            let summary = format!("`{known}` is no set: values that nobody gives are not taken out of it");
            self.error("P0051", id, summary, "remove `range`, `foreign` and `remove`".to_owned());
        }
        for mapping in map.all() {
            let id = mapping.id.as_str();
            self.fits(id, known, schema, mapping.value.shape);
            let size = mapping.value.constant().map_or(0, |text| text.chars().count());
            if let Some(limit) = schema.length_max.filter(|limit| size > *limit as usize) {
                let summary = format!("a text of {size} characters does not fit: `{known}` takes {limit}");
                self.error("P0046", id, summary, "shorten it".to_owned());
            }
        }
        Some(known)
    }

    /// What namespaces list as members must be there, or their names would be overlooked.
    fn members(&mut self, schemas: &BTreeMap<TargetName, Schema>) {
        for namespace in &self.content.namespaces {
            let id = format!("namespaces.{}", namespace.name.as_str());
            for member in &namespace.members {
                let here = |address: &Address| (&address.0, &address.1) == (&member.target, &member.class);
                let mut maps = self.content.accounts.iter().filter(|(address, _)| here(address));
                if maps.any(|(_, map)| map.generates(member.attribute.as_str())) {
                    continue;
                }
                if let Some(class) = self.class(schemas, &member.target, &member.class, &id)
                    && class.attribute(member.attribute.as_str()).is_none()
                {
                    self.unknown(class, member.attribute.as_str(), &id);
                }
            }
        }
    }

    fn unknown(&mut self, class: &ObjectClass, name: &str, id: &str) {
        let known = suggestion(name, class.attributes.keys().map(|name| name.as_str()));
        let remedy = meant(known, "use an attribute of the class's schema");
        let shown = provision_core::text::escape(name);
        self.error("P0042", id, format!("the target has no attribute `{shown}`"), remedy);
    }

    fn attribute<'s>(
        &mut self,
        class: &'s ObjectClass,
        name: &str,
        id: &str,
    ) -> Option<(&'s str, &'s AttributeSchema)> {
        let Some((known, schema)) = class.attribute(name) else {
            self.unknown(class, name, id);
            return None;
        };
        if schema.mutability == Mutability::ReadOnly {
            let summary = format!("`{known}` is computed by the target and cannot be written");
            self.error("P0043", id, summary, "remove the mapping".to_owned());
        }
        Some((known.as_str(), schema))
    }

    fn fits(&mut self, id: &str, name: &str, schema: &AttributeSchema, shape: Shape) {
        use AttributeType::{Bool, Bytes, Date, Int, Record, Reference, Text, Time};
        let one = |kind: Kind| match kind {
            Kind::Any | Kind::Null => true,
            Kind::List => false,
            Kind::Text => !matches!(schema.kind, Bytes | Record | Reference),
            Kind::Bool => matches!(schema.kind, Bool | Text),
            Kind::Int => matches!(schema.kind, Int | Text),
            Kind::Date => matches!(schema.kind, Date | Text | Time),
            Kind::Time => matches!(schema.kind, Time | Text),
            Kind::Account => matches!(schema.kind, Reference | Text),
        };
        let fits = match shape.kind {
            Kind::List => schema.multi && one(shape.item),
            kind => one(kind),
        };
        if fits {
            return;
        }
        let many = if schema.multi { "values" } else { "one value" };
        let wanted = format!("{many} of type {:?}", schema.kind).to_lowercase();
        let summary = format!("`{name}` takes {wanted}, the mapping gives {}", shape.describe());
        self.error("P0045", id, summary, "correct the mapping".to_owned());
    }
}

fn meant(known: Option<&str>, otherwise: &str) -> String {
    known.map_or_else(|| otherwise.to_owned(), |known| format!("did you mean `{known}`?"))
}
