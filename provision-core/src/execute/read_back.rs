//! Reading back: after an unknown outcome, only the target can tell.

use super::Ended;
use super::call::key_of;
use super::lane::Lane;
use super::wave::Begun;
use crate::connector::{GetRequest, ListRequest, Object, collect};
use crate::delta::Delta;
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::filter::Filter;
use crate::plan::Action;
use crate::schema::ObjectClass;
use crate::value::Attributes;

impl Lane<'_> {
    /// Whether the step's effect is on the target already: an ending if so, `None` if it certainly is not.
    ///
    /// # Errors
    /// When the target cannot be read: then nothing is known and nothing may be sent.
    pub(super) async fn read_back(&self, begun: &Begun) -> Result<Option<Ended>> {
        let step = &begun.step;
        match &step.action {
            Action::Create { attributes, lookup: Some(lookup), credential, .. } => {
                let Some(object) = self.find_one(begun, lookup).await? else { return Ok(None) };
                if !self.may_adopt(&object.key) {
                    return Ok(Some(protected()));
                }
                // An intent does not prove that anything was sent: an object with other values was there before.
                if !same(&self.class(begun), &object, attributes) {
                    return Ok(Some(there(object, true)));
                }
                let renewed = match credential {
                    Some(policy) => self.renew_credential(begun, &object.key, policy).await?,
                    None => false,
                };
                let mut ended = there(object, false);
                if let Ended::Done { renewed: told, .. } = &mut ended {
                    *told = renewed;
                }
                Ok(Some(ended))
            }
            // The target answers a repetition of our id with the first result: sending again is the read.
            Action::Create { .. } if self.create_is_identified(begun) => Ok(None),
            Action::Create { .. } => Ok(Some(Ended::Disputed(
                "the answer to the create was lost and the target has no immutable id to find the object by: look \
                 whether it is there, then relink it or have it created again"
                    .to_owned(),
            ))),
            // Edges and releases may simply be repeated.
            Action::AddMember { .. } | Action::RemoveMember { .. } | Action::Release => Ok(None),
            Action::Delete => Ok(match self.read(begun).await? {
                None => Some(Ended::done(None, None)),
                Some(_) => None,
            }),
            Action::Enable | Action::Disable => {
                let wanted = step.action == Action::Enable;
                Ok(self.read(begun).await?.filter(|object| object.enabled == Some(wanted)).map(|o| there(o, false)))
            }
            Action::Update { delta, outputs } => {
                // The value of an output is not in the step: an update with one is repeated.
                if !outputs.is_empty() {
                    return Ok(None);
                }
                let class = self.class(begun);
                let done = |object: &Object| same(&class, object, &delta.apply(&class, &object.attributes));
                Ok(self.read(begun).await?.filter(done).map(|object| there(object, false)))
            }
            Action::Rename { naming } => {
                let class = self.class(begun);
                let done = |object: &Object| same(&class, object, naming);
                Ok(self.read(begun).await?.filter(done).map(|object| there(object, false)))
            }
        }
    }

    /// Finds the object of a create by our immutable id. Adopts it if it may be adopted.
    pub(super) async fn find_by_marker(
        &self,
        begun: &Begun,
        lookup: Option<&Filter>,
    ) -> Result<Option<Ended>> {
        let Some(lookup) = lookup else { return Ok(None) };
        let Some(object) = self.find_one(begun, lookup).await? else { return Ok(None) };
        if !self.may_adopt(&object.key) {
            return Ok(Some(protected()));
        }
        Ok(Some(there(object, true)))
    }

    /// Planted (adoption by name): whoever has a unique value of a refused create.
    pub(super) async fn find_by_name(&self, begun: &Begun, attributes: &Attributes) -> Result<Ended> {
        let unique = &self.discovery().capabilities.class(&begun.step.class).unique;
        for name in unique {
            for value in attributes.values(name.as_str()) {
                if let Some(object) =
                    self.find_one(begun, &Filter::equal(name.clone(), value.clone())).await?
                {
                    return Ok(there(object, true));
                }
            }
        }
        Ok(Ended::Disputed("nobody has the name".to_owned()))
    }

    async fn find_one(&self, begun: &Begun, lookup: &Filter) -> Result<Option<Object>> {
        let class = self.class(begun);
        let support = self.discovery().capabilities.class(&begun.step.class).filter;
        let split = lookup.clone().split(&|part| support.pushes(part));
        let mut request = ListRequest::all(begun.step.class.clone());
        request.filter = split.pushed;
        let listing = self.connector.list(&self.context(begun), request)?;
        // Without push-down the whole class is read: bounded, and told as such.
        let (objects, completeness) =
            self.within(begun, collect(listing, 100_000)).await.map_err(unchanged)?;
        let mut found: Vec<Object> = objects
            .into_iter()
            .filter(|object| {
                split.residual.as_ref().is_none_or(|rest| rest.matches(&class, &object.attributes))
            })
            .collect();
        match (found.pop(), found.is_empty()) {
            (None, _) if completeness.is_complete() => Ok(None),
            (None, _) => {
                Err(unchanged(Error::new(ErrorKind::Unavailable, "the lookup did not read everything")))
            }
            (Some(one), true) => Ok(Some(one)),
            (Some(_), false) => Err(unchanged(Error::new(
                ErrorKind::Conflict,
                "several objects carry this person's immutable id; remove it from all but one",
            ))),
        }
    }

    async fn read(&self, begun: &Begun) -> Result<Option<Object>> {
        let request = GetRequest { class: begun.step.class.clone(), key: key_of(begun)? };
        self.within(begun, self.connector.get(&self.context(begun), request)).await
    }

    fn class(&self, begun: &Begun) -> ObjectClass {
        self.discovery().schema.class(&begun.step.class).cloned().unwrap_or_default()
    }
}

fn protected() -> Ended {
    Ended::Disputed("the object that carries this person's id is protected".to_owned())
}

/// A lookup changes nothing.
fn unchanged(error: Error) -> Error {
    error.with_effect(Effect::None)
}

fn there(object: Object, found: bool) -> Ended {
    Ended::Done {
        key: Some(object.key),
        observed: Some(object.attributes),
        enabled: object.enabled,
        read_back: true,
        found,
        filled: crate::value::Attributes::new(),
        renewed: false,
    }
}

/// Whether the object has these values already, as far as the target shows them.
fn same(class: &ObjectClass, object: &Object, wanted: &crate::value::Attributes) -> bool {
    let changes = Delta::diff(class, &object.attributes, wanted).changes;
    changes.keys().all(|name| {
        class.attributes.get(name).is_none_or(|schema| {
            !schema.returned
                || match (object.attributes.get(name.as_str()), wanted.get(name.as_str())) {
                    (Some(is), Some(wanted)) => schema.same_slot(is, wanted),
                    (None, Some(wanted)) => wanted.values().is_empty(),
                    _ => true,
                }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::workbench::{Workbench, create};
    use super::*;
    use crate::connector::ObjectKey;
    use crate::memory::{Fault, FaultRule, Faults, Operation};
    use crate::schema::{AttributeSchema, CaseRule};

    fn class() -> ObjectClass {
        let mail = AttributeSchema { case: CaseRule::Ignore, ..AttributeSchema::text() };
        let secret = AttributeSchema { returned: false, ..AttributeSchema::text() };
        let attributes = [("title", AttributeSchema::text()), ("mail", mail), ("secret", secret)];
        ObjectClass {
            attributes: attributes.into_iter().map(|(name, schema)| (name.into(), schema)).collect(),
            ..ObjectClass::default()
        }
    }

    #[test]
    fn an_object_is_as_wanted_when_all_that_it_shows_is() {
        let is = |shows: Attributes, wanted: Attributes| {
            let object = Object {
                class: "user".into(),
                key: ObjectKey::id("object-1"),
                attributes: shows,
                enabled: None,
            };
            same(&class(), &object, &wanted)
        };
        let with = |name: &str, value: &str| Attributes::new().with(name, value);
        assert!(is(with("title", "Clerk"), with("title", "Clerk")));
        assert!(!is(with("title", "Clerk"), with("title", "Engineer")));
        assert!(!is(Attributes::new(), with("title", "Engineer")), "it has none");
        assert!(is(with("mail", "A@b"), with("mail", "a@B")), "the same by the attribute's rule");
        assert!(is(with("title", "Clerk"), Attributes::new()), "nothing was wanted of it");
        assert!(is(Attributes::new(), Attributes::new().with_null("title")), "none is none");
        assert!(!is(with("title", "Clerk"), Attributes::new().with_null("title")));
        assert!(is(Attributes::new(), with("secret", "s")), "the target never shows it");
        assert!(is(with("title", "Clerk"), with("title", "Clerk").with("unheard-of", "x")));
        assert!(
            !is(with("mail", "a@b").with("title", "x"), with("mail", "a@b").with("title", "y")),
            "all of them"
        );
    }

    #[tokio::test]
    async fn a_list_that_was_not_read_whole_proves_nothing() {
        let bench = Workbench::new().await;
        let begun = bench.begun(create(Attributes::new()));
        let lookup = Filter::equal("employeeNumber", "1");
        let found = async || bench.lane().find_by_marker(&begun, Some(&lookup)).await;
        assert!(found().await.unwrap().is_none());
        let names =
            [("sAMAccountName", "jane"), ("cn", "Jane"), ("dn", "CN=Jane,DC=test"), ("employeeNumber", "1")];
        let jane = names.into_iter().fold(Attributes::new(), |all, (name, value)| all.with(name, value));
        bench.connector.seed("user", [(jane, Some(true))]).unwrap();
        assert!(found().await.unwrap().is_some());
        let truncate = FaultRule::always(Operation::List, Fault::Truncate(0));
        bench.connector.set_faults(Faults { seed: 0, rules: vec![truncate] });
        let error = found().await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None));
    }
}
