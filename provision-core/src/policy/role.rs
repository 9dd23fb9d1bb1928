//! Roles that objects of targets stand for: what the policy says of them.

use std::collections::BTreeMap;

use crate::id::RoleName;
use crate::value::{AttrName, Attributes, Value};

/// A role that objects of targets stand for: its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRole {
    /// The role.
    pub name: RoleName,
    /// What it is for.
    pub description: Option<String>,
    /// What its author noted of it.
    pub labels: BTreeMap<String, String>,
    /// Names it had before: what stood for one of them stands for this role now.
    pub formerly: Vec<RoleName>,
}

impl PolicyRole {
    /// The role as attributes of its record.
    pub(crate) fn attributes(&self) -> Attributes {
        let mut attributes = Attributes::new().with("name", self.name.as_str());
        if let Some(description) = &self.description {
            attributes.set("description", vec![Value::text(description)]);
        }
        if !self.labels.is_empty() {
            let labels = self.labels.iter().map(|(name, text)| (AttrName::new(name), Value::text(text)));
            attributes.set("labels", vec![Value::Record(labels.collect())]);
        }
        attributes
    }
}
