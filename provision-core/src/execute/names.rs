//! Names: what the end of a step makes of reservations.

use std::cmp::Reverse;
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
        let mut ours: Vec<&Stored<Name>> =
            names.iter().filter(|name| name.value.purpose.starts_with(&purpose)).collect();
        // What was written is the account's name, whichever plan reserved it last.
        let is_ours = |name: &Name| match &name.state {
            NameState::Reserved { plan, .. } => *plan == self.header.id || writes(step, &purpose, name),
            _ => false,
        };
        let given_up_last = |name: &Stored<Name>| match &name.value.state {
            NameState::Tombstone { since } => Reverse(*since),
            _ => Reverse(batch.now),
        };
        ours.sort_by_key(|name| given_up_last(name));
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
                            other.value.purpose == name.value.purpose
                                && (other.value.state == NameState::Held || is_ours(&other.value))
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
            // A name that a returning person had before is as taken as a new one.
            let had = !reserved(&name) && writes(&begun.step, &purpose, &name);
            let Some(attribute) = name.purpose.strip_prefix(&purpose).filter(|_| had || reserved(&name))
            else {
                continue;
            };
            // Where it cannot be asked, the refusal is the answer; of a name that somebody had, an answer is needed.
            if self.is_taken(begun, attribute, &name.name).await.unwrap_or(!had) {
                batch.changes.put(&Name {
                    owner: None,
                    purpose: String::new(),
                    state: NameState::Foreign,
                    ..name
                })?;
            } else if !had {
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

#[cfg(test)]
mod tests {
    use super::super::workbench::{Workbench, add_member, create, jane, now, step};
    use super::*;
    use crate::delta::Delta;
    use crate::id::PlanId;
    use crate::value::Value;

    const LOGIN: &str = "directory/user/main/login";

    fn ours(bench: &Workbench) -> NameState {
        NameState::Reserved { plan: bench.header.id, until: now() }
    }

    fn anothers() -> NameState {
        NameState::Reserved { plan: PlanId::from_uuid(uuid::Uuid::from_u128(101)), until: now() }
    }

    fn given_up() -> NameState {
        NameState::Tombstone { since: now().minus(std::time::Duration::from_secs(60)) }
    }

    fn name(bench: &Workbench, text: &str, purpose: &str, state: NameState) -> Name {
        Name {
            realm: bench.engine.realm().clone(),
            namespace: "login".into(),
            scope: String::new(),
            name: text.to_owned(),
            folded: text.to_owned(),
            owner: Some(jane()),
            purpose: purpose.to_owned(),
            state,
        }
    }

    /// What the end of a step makes of names: those that change, with their new states.
    fn settled(bench: &Workbench, step: &Step, names: &[Name]) -> Vec<(String, NameState)> {
        let mut batch = bench.batch(&bench.begun(Action::Enable));
        let stored = names.iter().map(|value| Stored { version: 1, value: value.clone() });
        batch.names.insert(jane(), stored.collect());
        bench.lane().settle_names(&mut batch, step).unwrap();
        let put = batch.changes.put.iter().map(|put| serde_json::from_str::<Name>(&put.body).unwrap());
        put.map(|name| (name.name, name.state)).collect()
    }

    fn login(value: &str) -> Attributes {
        Attributes::new().with("login", value)
    }

    #[tokio::test]
    async fn a_reservation_becomes_a_name_that_is_held() {
        let bench = Workbench::new().await;
        let made = step(create(login("jane")));
        let held = |state| settled(&bench, &made, &[name(&bench, "jane", LOGIN, state)]);
        assert_eq!(held(ours(&bench)), [("jane".to_owned(), NameState::Held)]);
        assert_eq!(held(anothers()), [("jane".to_owned(), NameState::Held)], "it was written");
        assert_eq!(held(NameState::Held), []);
        let unwritten = [name(&bench, "joan", LOGIN, anothers())];
        assert_eq!(settled(&bench, &made, &unwritten), [], "another plan may still write it");
        let elsewhere = [name(&bench, "jane", "app/user/main/login", ours(&bench))];
        assert_eq!(settled(&bench, &made, &elsewhere), [], "that account is not there yet");
        let edge = step(add_member("staff"));
        assert_eq!(settled(&bench, &edge, &[name(&bench, "jane", LOGIN, ours(&bench))]), []);
    }

    #[tokio::test]
    async fn a_release_gives_up_what_is_held_and_nothing_else() {
        let bench = Workbench::new().await;
        let names = [
            name(&bench, "jane", LOGIN, NameState::Held),
            name(&bench, "joan", LOGIN, ours(&bench)),
            name(&bench, "old", "directory/user/main/alias", given_up()),
        ];
        let tombstone = NameState::Tombstone { since: now() };
        assert_eq!(settled(&bench, &step(Action::Release), &names), [("jane".to_owned(), tombstone)]);
    }

    #[tokio::test]
    async fn a_rename_gives_up_the_name_that_the_new_one_replaces() {
        let bench = Workbench::new().await;
        let alias = "directory/user/main/alias";
        let rename = step(Action::Rename { naming: login("joan") });
        let names = [
            name(&bench, "jane", LOGIN, NameState::Held),
            name(&bench, "joan", LOGIN, ours(&bench)),
            name(&bench, "j", alias, NameState::Held),
        ];
        let tombstone = NameState::Tombstone { since: now() };
        let wanted = [("jane".to_owned(), tombstone.clone()), ("joan".to_owned(), NameState::Held)];
        assert_eq!(settled(&bench, &rename, &names), wanted);
        let reserved_by_another = name(&bench, "joan", LOGIN, anothers());
        let names = [names[0].clone(), reserved_by_another];
        assert_eq!(settled(&bench, &rename, &names), wanted, "it was written");
        assert_eq!(settled(&bench, &rename, &names[..1]), [], "there is no other name");
        let update = step(Action::Update { delta: Delta::new(), outputs: Default::default() });
        let names = [names[0].clone(), name(&bench, "joan", LOGIN, ours(&bench))];
        assert_eq!(settled(&bench, &update, &names), [("joan".to_owned(), NameState::Held)]);
    }

    #[tokio::test]
    async fn a_name_that_was_given_up_is_in_use_again_after_a_return() {
        let bench = Workbench::new().await;
        let enable = step(Action::Enable);
        let old = |text: &str| name(&bench, text, LOGIN, given_up());
        let held = |text: &str| (text.to_owned(), NameState::Held);
        assert_eq!(settled(&bench, &enable, &[old("jane")]), [held("jane")]);
        assert_eq!(settled(&bench, &enable, &[old("jane"), old("joan")]), [held("jane")], "one, not both");
        let names = [old("jane"), name(&bench, "joan", LOGIN, NameState::Held)];
        assert_eq!(settled(&bench, &enable, &names), [], "another one is in use");
        let names = [old("jane"), name(&bench, "joan", LOGIN, anothers())];
        assert_eq!(settled(&bench, &enable, &names), [held("jane")], "a plan left that over");
        let alias = "directory/user/main/alias";
        let names = [old("jane"), name(&bench, "j", alias, NameState::Held)];
        assert_eq!(settled(&bench, &enable, &names), [held("jane")], "an alias is no login");
        let mut leaving = Step::clone(&enable);
        leaving.offboarding = true;
        assert_eq!(settled(&bench, &leaving, &[old("jane")]), []);
    }

    #[tokio::test]
    async fn a_name_is_written_by_the_step_that_carries_it() {
        let bench = Workbench::new().await;
        let jane = name(&bench, "jane", LOGIN, anothers());
        let update = |change: Change| {
            let delta = Delta { changes: [("login".into(), change)].into() };
            Action::Update { delta, outputs: Default::default() }
        };
        let purpose = "directory/user/main/";
        let wrote = |action: Action| writes(&step(action), purpose, &jane);
        let values = || vec![Value::text("other"), Value::text("jane")];
        assert!(wrote(create(login("jane"))));
        assert!(!wrote(create(login("joan"))));
        assert!(wrote(Action::Rename { naming: login("jane") }));
        assert!(!wrote(Action::Rename { naming: Attributes::new().with("alias", "jane") }));
        assert!(wrote(update(Change::Replace(values()))));
        assert!(wrote(update(Change::Edit { add: values(), remove: Vec::new() })));
        assert!(!wrote(update(Change::Edit { add: Vec::new(), remove: values() })));
        assert!(!wrote(update(Change::Clear)));
        assert!(!wrote(Action::Enable));
        assert!(!writes(&step(create(login("jane"))), "app/user/main/", &jane), "it is another account's");
    }
}
