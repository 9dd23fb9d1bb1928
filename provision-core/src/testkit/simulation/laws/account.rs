//! Laws 4, 5, 6 and 10: whoever is there has one account and it is right; whoever is gone has lost it; nobody else has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::ledger::{Ask, Entry};
use super::super::lock;
use super::super::network::Site;
use super::super::policy::{DIRECTORY, groups, title};
use super::super::population::Person;
use super::super::realm::Realm;
use super::super::verdict::Violation;
use super::super::world::World;
use super::all;
use crate::connector::Object;
use crate::engine::Engine;
use crate::error::Result;
use crate::model::{Employment, Entitlement, Grant, Identity, Lifecycle, Link, LinkState, Status, Subject};
use crate::plan::OnDelete;
use crate::value::{Timestamp, Value};

/// What the laws are checked against.
struct Case<'a> {
    world: &'a World,
    realm: &'a Realm,
    site: &'a Site,
    now: Timestamp,
    version: u32,
    entries: Vec<Entry>,
    groups: BTreeMap<String, String>,
    found: &'a mut Vec<Violation>,
}

pub(super) async fn check(
    world: &Arc<World>,
    realm: &Realm,
    engine: &Engine,
    found: &mut Vec<Violation>,
) -> Result<()> {
    let identities: Vec<Identity> = all(engine).await?;
    let grants: Vec<Grant> = all(engine).await?;
    let links: Vec<Link> = all(engine).await?;
    let people: BTreeMap<String, Person> = lock(&realm.populations)
        .iter()
        .flat_map(|population| population.people.iter().map(|(key, person)| (key.clone(), person.clone())))
        .collect();
    for site in realm.sites.values() {
        let groups = site.target.dump("group").unwrap_or_default();
        let named = |group: Object| (group.key.id.clone(), group.key.name.unwrap_or(group.key.id));
        let mut case = Case {
            world,
            realm,
            site,
            now: world.time.now(),
            version: realm.version.load(Ordering::SeqCst),
            entries: site.ledger.entries(),
            groups: groups.into_iter().map(named).collect(),
            found: &mut *found,
        };
        case.links(&links, &identities)?;
        let objects = case.by_key()?;
        for person in people.values() {
            let identity = identities.iter().find(|identity| identity.key == person.key);
            let theirs = objects.get(&person.key).map(Vec::as_slice).unwrap_or_default();
            case.person(person, identity, theirs, &grants);
        }
        for key in objects.keys().filter(|key| !people.contains_key(*key)) {
            case.broken(4, format!("an account carries the key {key} of nobody"));
        }
        case.never_left(&people);
    }
    Ok(())
}

impl Case<'_> {
    fn broken(&mut self, law: u32, what: String) {
        let what = format!("{}/{}: {what}", self.realm.id, self.site.name);
        self.found.push(Violation { law, what });
    }

    fn class(&self) -> &'static str {
        if self.site.name.as_str() == DIRECTORY { "user" } else { "account" }
    }

    /// Our accounts by the key that they carry.
    fn by_key(&mut self) -> Result<BTreeMap<String, Vec<Object>>> {
        let mut objects: BTreeMap<String, Vec<Object>> = BTreeMap::new();
        for object in self.site.target.dump(self.class())? {
            if let Some(key) = object.attributes.text("employeeNumber") {
                objects.entry(key.to_owned()).or_default().push(object);
            }
        }
        let twice: Vec<String> = objects
            .iter()
            .filter(|(_, of)| of.len() > 1)
            .map(|(key, of)| format!("{key} has {of:?}"))
            .collect();
        for what in twice {
            self.broken(4, format!("more than one account: {what}"));
        }
        Ok(objects)
    }

    /// A link stands for an object that is there, is its person's and is nobody else's.
    fn links(&mut self, links: &[Link], identities: &[Identity]) -> Result<()> {
        let objects: BTreeMap<String, Object> =
            self.site.target.dump(self.class())?.into_iter().map(|o| (o.key.id.clone(), o)).collect();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        for link in links.iter().filter(|link| link.target == self.site.name) {
            let Some(key) = &link.key else { continue };
            if !seen.insert(key.id.as_str()) {
                self.broken(4, format!("two links to the object {}", key.id));
            }
            let Subject::Identity(id) = &link.subject else { continue };
            let owner = identities.iter().find(|identity| identity.id == *id).map(|i| i.key.as_str());
            match objects.get(&key.id) {
                Some(object) => {
                    let carries = object.attributes.text("employeeNumber");
                    if carries != owner {
                        self.broken(
                            4,
                            format!("{owner:?} is linked to {}, which carries {carries:?}", key.id),
                        );
                    }
                }
                None if link.state == LinkState::Active && !link.missing => {
                    self.broken(4, format!("{owner:?} is linked to {}, which is not there", key.id));
                }
                None => {}
            }
        }
        Ok(())
    }

    fn person(&mut self, person: &Person, identity: Option<&Identity>, theirs: &[Object], grants: &[Grant]) {
        let Some(identity) = identity else {
            // Whoever came and went between two feeds, or between a backup and its restore, was never told: an account
            // that was made for them stands in the onboarding's report as one of nobody.
            let restored = !lock(&self.world.forgotten).is_empty();
            if !person.listed && (theirs.is_empty() || restored) {
                return;
            }
            return self.broken(5, format!("{} was told by a feed and is nobody", person.key));
        };
        let lifecycle = self.lifecycle(person, identity);
        match (lifecycle, theirs.first()) {
            (Lifecycle::Terminated | Lifecycle::PreHire, None) => {}
            (Lifecycle::Terminated | Lifecycle::PreHire, Some(account)) => self.ended(person, account),
            (_, None) => self.broken(5, format!("{} is {lifecycle:?} and has no account", person.key)),
            (_, Some(account)) => {
                let active = lifecycle == Lifecycle::Active;
                if account.enabled != Some(active) {
                    let is = account.enabled;
                    self.broken(
                        5,
                        format!("{} is {lifecycle:?} and the account's enabled is {is:?}", person.key),
                    );
                }
                self.values(person, account);
                if self.site.name.as_str() == DIRECTORY {
                    self.memberships(person, identity, account, grants);
                }
            }
        }
    }

    /// Where the person stands: by the source, unless an emergency termination came after its last change.
    fn lifecycle(&mut self, person: &Person, identity: &Identity) -> Lifecycle {
        let told = person.lifecycle(self.now);
        let known = identity.lifecycle(self.now).map_or(told, |(lifecycle, _)| lifecycle);
        let emergency = identity.employment.status == Status::Terminated && person.left_once;
        if known != told && !emergency {
            let what = format!("{} is {told:?} by the source and {known:?} to us", person.key);
            self.broken(5, what);
        }
        let _: Employment = identity.employment;
        if emergency { Lifecycle::Terminated } else { told }
    }

    fn ended(&mut self, person: &Person, account: &Object) {
        let settings = self.realm.settings.iter().find(|settings| settings.name == self.site.name);
        let class = settings.map(|settings| settings.class(&self.class().into()));
        if class.is_some_and(|class| class.on_delete == OnDelete::Delete) {
            return self.broken(5, format!("{} is gone and the account is not deleted", person.key));
        }
        if account.enabled != Some(false) {
            self.broken(5, format!("{} is gone and the account is enabled", person.key));
        }
        for group in self.groups_of(account) {
            if self.is_ours(&account.key.id, &group) {
                self.broken(10, format!("{} is gone and still in {group}", person.key));
            }
        }
    }

    fn values(&mut self, person: &Person, account: &Object) {
        let login = if self.site.name.as_str() == DIRECTORY { "sAMAccountName" } else { "userName" };
        let (family, title) = (person.family.as_str(), title(self.version));
        let mut wanted: Vec<(&str, Option<&str>)> = vec![
            ("givenName", Some(person.given.as_str())),
            ("department", Some(person.department.as_str())),
            ("title", Some(title.as_str())),
        ];
        if self.site.name.as_str() == DIRECTORY {
            wanted.push(("sn", Some(family)));
            wanted.push(("telephoneNumber", person.phone.as_deref()));
        } else {
            wanted.push(("familyName", Some(family)));
        }
        for (name, wanted) in wanted {
            let is = account.attributes.text(name);
            if is.map(str::trim) != wanted.map(str::trim) {
                let key = &person.key;
                self.broken(5, format!("{key}: {name} is {is:?}, the source says {wanted:?}"));
            }
        }
        let is = account.attributes.text(login).unwrap_or_default();
        let counted = |stem: &String| {
            is.strip_prefix(stem.as_str()).is_some_and(|n| n.chars().all(|c| c.is_ascii_digit()))
        };
        if !person.stems.iter().any(counted) {
            self.broken(5, format!("{}: {login} is {is}, made of {:?}", person.key, person.stems));
        }
    }

    fn groups_of(&self, account: &Object) -> BTreeSet<String> {
        let values = account.attributes.values("memberOf").iter();
        let id = |value: &Value| match value {
            Value::Reference(object) => self.groups.get(&object.key).cloned(),
            _ => None,
        };
        values.filter_map(id).collect()
    }

    /// The last who changed the edge were we. A restored store does not know the edges it forgot.
    fn is_ours(&self, account: &str, group: &str) -> bool {
        let last = self.entries.iter().rev().find(|entry| {
            entry.object.as_deref() == Some(account)
                && entry.changed
                && matches!(&entry.ask, Ask::Edge { group: known, .. } if known == group)
        });
        !self.site.is_strange_edge(account, group)
            && last.is_some_and(|entry| !self.world.is_forgotten(entry.at))
    }

    fn memberships(&mut self, person: &Person, identity: &Identity, account: &Object, grants: &[Grant]) {
        let mut wanted: BTreeSet<String> = groups(self.version, &person.department).into_iter().collect();
        for grant in grants.iter().filter(|grant| grant.identity == identity.id) {
            if let (Entitlement::Group { group, .. }, (true, _)) = (&grant.entitlement, grant.at(self.now)) {
                wanted.insert(group.clone());
            }
        }
        let is = self.groups_of(account);
        let id = account.key.id.clone();
        for group in wanted.difference(&is) {
            if !self.site.is_strange_edge(&id, group) {
                self.broken(10, format!("{} should be in {group} and is not", person.key));
            }
        }
        for group in is.difference(&wanted) {
            if self.is_ours(&id, group) {
                let origins: Vec<_> = grants
                    .iter()
                    .filter(|grant| grant.identity == identity.id)
                    .flat_map(|grant| &grant.origins)
                    .map(|origin| origin.validity)
                    .collect();
                let key = &person.key;
                self.broken(10, format!("{key} is in {group} and nothing gives that; grants {origins:?}"));
            }
        }
    }

    /// Whoever was always there lost nothing, whatever a feed left out.
    fn never_left(&mut self, people: &BTreeMap<String, Person>) {
        let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
        for entry in &self.entries {
            if let (Ask::Create { attributes, .. }, Some(object)) = (&entry.ask, &entry.object)
                && let Some(key) = attributes.text("employeeNumber")
            {
                owners.insert(object, key);
            }
        }
        let mut lost = Vec::new();
        for entry in self.entries.iter().filter(|entry| entry.changed) {
            let takes = matches!(&entry.ask, Ask::Delete | Ask::Set { enabled: false });
            let owner = entry.object.as_deref().and_then(|object| owners.get(object));
            let stayed = owner.and_then(|key| people.get(*key)).is_some_and(|person| !person.left_once);
            if takes && stayed {
                lost.push(format!("{owner:?} never left and lost {:?} at {}", entry.ask, entry.at));
            }
        }
        for what in lost {
            self.broken(6, what);
        }
    }
}
