//! Names: what the end of a step makes of reservations.

use std::collections::BTreeSet;

use super::lane::Lane;
use super::settle::Batch;
use super::wave::Begun;
use crate::delta::Change;
use crate::engine::purpose_of;
use crate::error::Result;
use crate::model::{Name, NameState};
use crate::plan::{Action, Step};
use crate::store::{self, Record, Select, Stored, Table};
use crate::value::Attributes;

impl Lane<'_> {
    /// Reservations become names held; a release makes them tombstones; a rename gives up the old name.
    pub(super) fn settle_names(&self, batch: &mut Batch, step: &Step) -> Result<()> {
        if !settles_names(step) {
            return Ok(());
        }
        let names = batch.names.get(&step.identity).map_or(&[][..], Vec::as_slice);
        let purpose = purpose_of(step);
        let ours: Vec<&Stored<Name>> =
            names.iter().filter(|name| name.value.purpose.starts_with(&purpose)).collect();
        // What was written is the account's name, whichever plan reserved it last.
        let is_ours = |name: &Name| match &name.state {
            NameState::Reserved { plan, .. } => *plan == self.header.id || writes(step, &purpose, name),
            _ => false,
        };
        let mut revived: BTreeSet<&str> = BTreeSet::new();
        for name in &ours {
            let state = match (&step.action, &name.value.state) {
                (Action::Release, NameState::Held) => NameState::Tombstone { since: batch.now },
                (Action::Release, _) => continue,
                (_, NameState::Reserved { .. }) if is_ours(&name.value) => NameState::Held,
                (Action::Rename { .. }, NameState::Held)
                    if ours
                        .iter()
                        .any(|new| is_ours(&new.value) && new.value.purpose == name.value.purpose) =>
                {
                    NameState::Tombstone { since: batch.now }
                }
                // A return: the name that was given up with the account is in use again.
                (_, NameState::Tombstone { .. })
                    if !step.offboarding
                        && revived.insert(&name.value.purpose)
                        && !ours.iter().any(|other| {
                            other.value.purpose == name.value.purpose && is_in_use(&other.value)
                        }) =>
                {
                    NameState::Held
                }
                _ => continue,
            };
            let changed = Name { state, ..name.value.clone() };
            batch.changes.put(&changed)?;
        }
        Ok(())
    }

    /// An adopted account keeps its names: they become the person's, and what the plan had reserved is free again.
    pub(super) async fn adopt_names(
        &self,
        batch: &mut Batch,
        begun: &Begun,
        observed: &Attributes,
    ) -> Result<()> {
        let (store, realm) = (self.engine.store(), &self.engine.realm);
        let names = batch.names.get(&begun.step.identity).cloned().unwrap_or_default();
        let policy = self.engine.inner.policy(realm)?;
        let purpose = purpose_of(&begun.step);
        for Stored { version, value: name } in names {
            let reserved = matches!(&name.state, NameState::Reserved { plan, .. } if *plan == self.header.id);
            let Some(attribute) = name.purpose.strip_prefix(&purpose).filter(|_| reserved) else { continue };
            let space =
                policy.namespaces().iter().find(|space| space.name == name.namespace && !space.scoped);
            let has = observed.text(attribute).zip(space).map(|(has, space)| Name {
                name: has.to_owned(),
                folded: space.case.fold(has),
                state: NameState::Held,
                ..name.clone()
            });
            let held = Name { state: NameState::Held, ..name.clone() };
            let Some(has) = has.filter(|has| has.key() != name.key()) else {
                batch.changes.replace(version, &held)?;
                continue;
            };
            match store::get::<Name>(store, realm, &has.key()).await? {
                Some(known) if known.value.owner.is_some_and(|owner| Some(owner) != name.owner) => {
                    batch.changes.replace(version, &held)?;
                    continue;
                }
                Some(known) => batch.changes.replace(known.version, &has)?,
                None => batch.changes.insert(&has)?,
            }
            batch.changes.delete.push((Table::Name, name.key()));
        }
        Ok(())
    }

    /// The names of a refused create that the target really has: recorded as foreign, so that the next plan goes on.
    pub(super) async fn name_taken(&self, batch: &mut Batch, begun: &Begun) -> Result<()> {
        let select = Select::Equal("owner", begun.step.identity.to_string());
        let (names, _) =
            store::list_by::<Name>(self.engine.store(), &self.engine.realm, select, None, 10_000).await?;
        let purpose = purpose_of(&begun.step);
        let reserved =
            |name: &Name| matches!(&name.state, NameState::Reserved { plan, .. } if *plan == self.header.id);
        for name in names.into_iter().map(|name| name.value) {
            let Some(attribute) = name.purpose.strip_prefix(&purpose).filter(|_| reserved(&name)) else {
                continue;
            };
            // Where it cannot be asked, the refusal is the answer.
            if self.is_taken(begun, attribute, &name.name).await.unwrap_or(true) {
                batch.changes.put(&Name {
                    owner: None,
                    purpose: String::new(),
                    state: NameState::Foreign,
                    ..name
                })?;
            } else {
                batch.changes.delete.push((Table::Name, name.key()));
            }
        }
        Ok(())
    }

    async fn is_taken(&self, begun: &Begun, attribute: &str, name: &str) -> Result<bool> {
        let filter = crate::filter::Filter::equal(attribute, name);
        let support = self.discovery().capabilities.class(&begun.step.class).filter;
        if !support.pushes(&filter) {
            // It cannot be asked: the refusal is the answer.
            return Ok(true);
        }
        let mut cx = self.context(begun);
        cx.deadline = Some(self.engine.now().plus(self.timeout()));
        let request = crate::connector::ListRequest::matching(begun.step.class.clone(), filter);
        let listing = self.connector.list(&cx, request)?;
        let (clock, found) = (self.engine.inner.clock.as_ref(), crate::connector::collect(listing, 10));
        let (objects, _) = crate::runtime::within(clock, self.timeout(), found).await?;
        Ok(!objects.is_empty())
    }
}

/// A name that an account has, or that a plan is about to give it.
fn is_in_use(name: &Name) -> bool {
    matches!(name.state, NameState::Held | NameState::Reserved { .. })
}

/// Whether the end of a step may change what its names are.
pub(super) fn settles_names(step: &Step) -> bool {
    matches!(
        step.action,
        Action::Create { .. }
            | Action::Rename { .. }
            | Action::Release
            | Action::Update { .. }
            | Action::Enable
    )
}

/// Whether a step writes this name to the attribute it was reserved for.
fn writes(step: &Step, purpose: &str, name: &Name) -> bool {
    let Some(attribute) = name.purpose.strip_prefix(purpose) else { return false };
    let values = match &step.action {
        Action::Create { attributes, .. } => attributes.values(attribute),
        Action::Rename { naming } => naming.values(attribute),
        Action::Update { delta, .. } => match delta.changes.get(attribute) {
            Some(Change::Replace(values)) => values.as_slice(),
            Some(Change::Edit { add, .. }) => add.as_slice(),
            _ => &[],
        },
        _ => &[],
    };
    values.iter().any(|value| value.to_plain() == name.name)
}
