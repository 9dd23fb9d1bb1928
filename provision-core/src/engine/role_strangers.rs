//! Objects of a target that no link of ours names, of the classes that stand for roles: which role's they may be.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use crate::connector::Object;
use crate::correlate::{ClassCorrelation, Outcome, Verdict};
use crate::error::Result;
use crate::id::{ClassName, IdentityId, SourceName};
use crate::model::SourceRecord;
use crate::plan::TargetSettings;
use crate::policy::PolicyInput;
use crate::store;
use crate::value::AttrName;

/// Roles by the values that the policy gives to what their objects are recognised by. Grows with the roles of the
/// bundle.
#[derive(Default)]
pub(super) struct RoleFinder {
    /// The classes whose objects stand for roles, and what these are recognised by.
    classes: BTreeMap<ClassName, BTreeSet<AttrName>>,
    by_value: BTreeMap<(ClassName, AttrName, String), Vec<IdentityId>>,
}

impl RoleFinder {
    /// Whether objects of a class stand for roles, and so for nobody.
    pub(super) fn has(&self, class: &ClassName) -> bool {
        self.classes.contains_key(class)
    }

    /// What an object's name, and what its class correlates by, say of it.
    pub(super) fn verdict(&self, class: &ClassName, object: &Object) -> (Verdict, String) {
        let found: Vec<IdentityId> = self.roles_of(class, object).into_iter().collect();
        let outcome = match found.as_slice() {
            [one] => Outcome::Match(*one),
            // Two roles whose groups are to have one name: neither gets this one by itself.
            _ => Outcome::None,
        };
        (Verdict { outcome, candidates: Vec::new() }, String::new())
    }

    /// The roles whose object this may be, by its name or by what the class correlates by.
    pub(super) fn roles_of(&self, class: &ClassName, object: &Object) -> BTreeSet<IdentityId> {
        let mut found = BTreeSet::new();
        for attribute in self.classes.get(class).into_iter().flatten() {
            for value in object.attributes.values(attribute.as_str()) {
                let key = (class.clone(), attribute.clone(), value.to_plain().to_lowercase());
                found.extend(self.by_value.get(&key).into_iter().flatten());
            }
        }
        found
    }
}

impl Engine {
    /// The role with this name.
    pub(super) async fn role_by_name(&self, name: &str) -> Result<Vec<IdentityId>> {
        let row = SourceRecord::row_key(&SourceName::roles(), name);
        let record = store::get::<SourceRecord>(self.store(), &self.realm, &row).await?;
        Ok(record.into_iter().map(|record| record.value.identity).collect())
    }

    /// What tells whose the objects of roles are: the class's naming attribute, and the attributes it correlates by,
    /// each by the value that the policy gives it. Without `values`: which classes these are, and no more.
    pub(super) async fn role_finder(&self, settings: &TargetSettings, values: bool) -> Result<RoleFinder> {
        let mut finder = RoleFinder::default();
        let Ok(policy) = self.inner.policy(&self.realm) else { return Ok(finder) };
        let here = policy.role_classes().into_iter().filter(|(target, _)| *target == settings.name);
        let classes: Vec<ClassName> = here.map(|(_, class)| class).collect();
        if classes.is_empty() {
            return Ok(finder);
        }
        let target = self.target(&settings.name).await?.value;
        for class in &classes {
            let schema = target.discovery.as_ref().and_then(|discovery| discovery.schema.class(class));
            let naming = schema.and_then(|schema| schema.naming.clone());
            // Rules of more than one attribute weigh what people have.
            let by = match settings.class(class).correlate {
                ClassCorrelation::Pairs(by) => by.into_keys().chain(naming).collect(),
                ClassCorrelation::Scored(_) => naming.into_iter().collect(),
            };
            finder.classes.insert(class.clone(), by);
        }
        if !values {
            return Ok(finder);
        }
        let now = self.now();
        for (role, record) in self.role_records().await? {
            let identity = record.value;
            let (lifecycle, _) = identity.lifecycle(now)?;
            let input = PolicyInput { identity: &identity, lifecycle, now, grants: &[], proposed: false };
            let wanted = policy.evaluate_role(&role, &input).accounts.into_iter();
            for account in wanted.filter(|account| account.exists && account.target == settings.name) {
                for value in account.values {
                    let Some(slot) = value.slot.known() else { continue };
                    for text in slot.values() {
                        let text = text.to_plain().to_lowercase();
                        let key = (account.class.clone(), value.attribute.clone(), text);
                        finder.by_value.entry(key).or_default().push(identity.id);
                    }
                }
            }
        }
        Ok(finder)
    }
}
