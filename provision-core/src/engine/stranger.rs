//! Objects of a target that no link of ours names: whose they are.

use std::collections::BTreeSet;

use super::Engine;
use super::asking::ask;
use super::reconcile::Listed;
use super::role_strangers::RoleFinder;
use crate::connector::{Connector, Context, Discovery, Object};
use crate::correlate::{Candidate, Evidence, Prepared};
use crate::error::Result;
use crate::execute::find_group;
use crate::id::{ClassName, IdentityId, LinkId, Tag};
use crate::ingest::known_by;
use crate::model::{
    Dispute, DisputeAbout, Identity, Link, LinkState, Membership, Name, NameState, SourceRecord, Subject,
};
use crate::onboard::{Match, Situation, correlate};
use crate::plan::{TargetSettings, is_protected};
use crate::policy::Namespace;
use crate::runtime::within;
use crate::store::{self, Changes, Commit, Record, Select, Stored};
use crate::value::{AttrName, Timestamp};

/// Tries against others who write the same rows.
const TRIES_MAX: u32 = 10;

/// What an object is to us.
pub(super) struct Told {
    pub(super) situation: Situation,
    /// The identities it belongs or may belong to.
    pub(super) identities: Vec<IdentityId>,
    /// Why.
    pub(super) detail: String,
    /// Who looks like it.
    pub(super) candidates: Vec<Candidate>,
}

impl Told {
    pub(super) fn new(situation: Situation, identities: Vec<IdentityId>, detail: impl Into<String>) -> Self {
        Self { situation, identities, detail: detail.into(), candidates: Vec::new() }
    }
}

/// What strangers are told by outside an onboarding: by the immutable id alone.
pub(super) struct Marked {
    privileged: BTreeSet<String>,
    roles: RoleFinder,
    namespaces: Vec<Namespace>,
}

/// What objects of a class are looked at with.
pub(super) struct Lookup<'a> {
    pub(super) settings: &'a TargetSettings,
    pub(super) class: &'a ClassName,
    /// Names and ids of privileged groups.
    pub(super) privileged: &'a BTreeSet<String>,
    /// Whose objects stand for roles.
    pub(super) roles: &'a RoleFinder,
    pub(super) namespaces: &'a [Namespace],
    pub(super) at: Timestamp,
    /// At an onboarding: names are taken by whomever they are, a person is asked, and everybody is planned anew.
    pub(super) rules: Option<&'a Prepared>,
    /// The store was restored from a backup: what it says is under way may have ended since.
    pub(super) restored: bool,
}

impl Lookup<'_> {
    pub(super) fn about(&self, object: &Object, candidates: &[IdentityId]) -> DisputeAbout {
        DisputeAbout::Match {
            target: self.settings.name.clone(),
            class: self.class.clone(),
            object: object.key.id.clone(),
            candidates: candidates.to_vec(),
        }
    }

    pub(super) fn marker(&self) -> Option<AttrName> {
        self.settings.class(self.class).marker
    }

    /// What a decision about an object rests on.
    pub(super) fn evidence(&self, object: &Object) -> Evidence {
        let of_rules = self.rules.map(|rules| rules.evidence(&object.attributes));
        let marker = Evidence::of(&self.marker().into_iter().collect(), &object.attributes);
        of_rules.unwrap_or_default().with(marker)
    }

    pub(super) fn is_privileged(&self, object: &Object) -> bool {
        // It is in a privileged group, or it is one.
        let is = |name: &str| self.privileged.iter().any(|known| known.to_lowercase() == name.to_lowercase());
        let own = [Some(object.key.id.as_str()), object.key.name.as_deref()];
        object.attributes.values("memberOf").iter().any(|group| self.privileged.contains(&group.to_plain()))
            || own.into_iter().flatten().any(is)
    }
}

impl Engine {
    /// One object, in one commit. `None`: somebody else wrote one of its rows at the same time.
    async fn take_one(&self, lookup: &Lookup<'_>, object: &Object) -> Result<Option<Told>> {
        let mut changes = Changes::in_realm(&self.realm);
        let told = if lookup.rules.is_some() {
            // Read first: a decision that is made from here on changes this row, and this commit is refused.
            let key = Dispute::row_key(&lookup.about(object, &[]));
            let known = store::get::<Dispute>(self.store(), &self.realm, &key).await?;
            let told = self.match_of(lookup, object).await?;
            ask(&mut changes, lookup, object, told, known, &self.realm)?
        } else {
            self.only_unlinked(lookup, self.match_of(lookup, object).await?).await?
        };
        let mut owner = None;
        match told.situation {
            Situation::Linked => {
                if let Some(id) = told.identities.first() {
                    self.link(&mut changes, lookup, object, *id).await?;
                    if lookup.rules.is_none() {
                        self.mark_in(&mut changes, &[*id]).await?;
                    }
                    owner = Some(*id);
                }
            }
            Situation::Known => owner = told.identities.first().copied(),
            Situation::Disputed | Situation::Unmatched | Situation::Protected => {}
        }
        if lookup.rules.is_some() || told.situation == Situation::Linked {
            self.take_names(&mut changes, lookup, object, owner).await?;
        }
        if changes.is_empty() {
            return Ok(Some(told));
        }
        if let Commit::Conflict(conflict) = self.store().commit(changes).await? {
            tracing::debug!(?conflict, "another writer has taken one of the object's rows");
            return Ok(None);
        }
        Ok(Some(told))
    }

    /// One object, as long as others keep writing its rows, within reason.
    pub(super) async fn take_with_patience(
        &self,
        lookup: &Lookup<'_>,
        object: &Object,
    ) -> Result<Option<Told>> {
        for _ in 0..TRIES_MAX {
            let taken = self.take_one(lookup, object).await?;
            if taken.is_some() {
                return Ok(taken);
            }
        }
        Ok(None)
    }

    /// What strangers are told by that carry an immutable id.
    pub(super) async fn marked(
        &self,
        settings: &TargetSettings,
        connector: &dyn Connector,
        discovery: &Discovery,
    ) -> Result<Marked> {
        let privileged = self.privileged(settings, connector, discovery).await?;
        let roles = self.role_finder(settings, false).await?;
        Ok(Marked { privileged, roles, namespaces: self.namespaces() })
    }

    /// The namespaces of the policy; none where there is no policy.
    pub(super) fn namespaces(&self) -> Vec<Namespace> {
        self.inner.policy(&self.realm).map(|policy| policy.namespaces().to_vec()).unwrap_or_default()
    }

    /// Links those of the listed strangers that carry somebody's immutable id, and says how many. Somebody who has left
    /// before they became known is seen off by their account all the same.
    pub(super) async fn take_strangers(
        &self,
        listed: &Listed<'_>,
        known: &Marked,
        objects: &[Object],
        at: Timestamp,
    ) -> Result<u64> {
        let lookup = Lookup {
            settings: listed.settings,
            class: listed.class,
            privileged: &known.privileged,
            roles: &known.roles,
            namespaces: &known.namespaces,
            at,
            rules: None,
            restored: false,
        };
        let mut found = 0;
        for object in objects {
            let taken = self.take_with_patience(&lookup, object).await?;
            found += u64::from(taken.is_some_and(|told| told.situation == Situation::Linked));
        }
        Ok(found)
    }

    /// Outside an onboarding: whoever has no link at all gets one, and nothing else is said. A listing may be older
    /// than what we did, and an account of ours that is on its way is nobody's question.
    async fn only_unlinked(&self, lookup: &Lookup<'_>, told: Told) -> Result<Told> {
        let unlinked = match (told.situation, told.identities.first()) {
            (Situation::Linked, Some(id)) => {
                self.main_link(lookup.settings, lookup.class, *id).await?.is_none()
            }
            _ => false,
        };
        Ok(if unlinked { told } else { Told::new(Situation::Known, Vec::new(), "") })
    }

    async fn match_of(&self, lookup: &Lookup<'_>, object: &Object) -> Result<Told> {
        let Lookup { settings, class, .. } = *lookup;
        let row = format!("{}/{}/{}", settings.name.as_str(), class.as_str(), object.key.id);
        let (known, _) =
            store::list_by::<Link>(self.store(), &self.realm, Select::Equal("object", row), None, 1).await?;
        if let Some(link) = known.first() {
            let identity = link.value.subject.identity();
            return Ok(Told::new(Situation::Known, identity.into_iter().collect(), ""));
        }
        if is_protected(&settings.protected, &object.key) {
            return Ok(Told::new(Situation::Protected, Vec::new(), "named in the target's `protected`"));
        }
        let marker = lookup.marker();
        let marker = marker.as_ref().and_then(|marker| object.attributes.first(marker.as_str()));
        let by_marker = match marker {
            Some(value) if lookup.roles.has(class) => self.role_by_name(&value.to_plain()).await?,
            Some(value) => self.by_key(&value.to_plain()).await?,
            None => Vec::new(),
        };
        let privileged = lookup.is_privileged(object);
        let (verdict, why) = match lookup.roles.has(class) {
            true => lookup.roles.verdict(class, object),
            false => self.by_rules(lookup, object, &by_marker).await?,
        };
        let managed = settings.domain_managed;
        let told = match correlate(&by_marker, marker.is_some(), &verdict, &why, managed, privileged) {
            Match::Definite(id) => self.told_of(lookup, object, id).await?,
            Match::Disputed(candidates, why) => Told::new(Situation::Disputed, candidates, why),
            Match::None => Told::new(Situation::Unmatched, Vec::new(), "matches nobody"),
        };
        Ok(Told { candidates: verdict.candidates, ..told })
    }

    /// What an object is that belongs to an identity.
    async fn told_of(&self, lookup: &Lookup<'_>, object: &Object, id: IdentityId) -> Result<Told> {
        let link = self.main_link(lookup.settings, lookup.class, id).await?.map(|stored| stored.value);
        let (situation, detail) = match link.as_ref().map(|link| (&link.key, link.revision)) {
            _ if link.as_ref().is_some_and(|link| link.state == LinkState::Inactive) => (
                Situation::Disputed,
                "the person's account was seen off; taking this one is for a person to say",
            ),
            // A link whose object is gone takes the one that is there.
            None | Some((None, 1..)) => (Situation::Linked, ""),
            // A restored store does not know how the create that it believes under way has ended.
            Some((None, 0)) if lookup.restored => (Situation::Linked, ""),
            // A create of ours has begun, and its own road finds the object.
            Some((None, 0)) => (Situation::Known, ""),
            // Linked by somebody else a moment ago.
            Some((Some(key), _)) if key.id == object.key.id => (Situation::Known, ""),
            Some((Some(_), _)) => (Situation::Disputed, "the person has another account there already"),
        };
        Ok(Told::new(situation, vec![id], detail))
    }

    async fn main_link(
        &self,
        settings: &TargetSettings,
        class: &ClassName,
        id: IdentityId,
    ) -> Result<Option<Stored<Link>>> {
        let key = Link::row_key(&settings.name, class, &Tag::main(), &Subject::Identity(id));
        store::get::<Link>(self.store(), &self.realm, &key).await
    }

    /// Links an object: by a new link, or by one whose object is gone.
    async fn link(
        &self,
        changes: &mut Changes,
        lookup: &Lookup<'_>,
        object: &Object,
        identity: IdentityId,
    ) -> Result<()> {
        let Lookup { settings, class, at, .. } = *lookup;
        let known = self.main_link(settings, class, identity).await?;
        let (id, revision) = match &known {
            Some(known) => (known.value.id, known.value.revision + 1),
            None => (LinkId::from_uuid(self.inner.mint()?), 1),
        };
        let subject = Subject::Identity(identity);
        let mut link =
            Link::new(id, self.realm.clone(), settings.name.clone(), class.clone(), Tag::main(), subject);
        link.key = Some(object.key.clone());
        link.enabled = object.enabled;
        link.observed = object.attributes.clone();
        link.observed_at = Some(at);
        link.revision = revision;
        match known {
            Some(known) => {
                self.forget_edges(changes, known.value.id).await?;
                changes.replace(known.version, &link)
            }
            None => changes.insert(&link),
        }
    }

    /// The edges of a link that is given another object are those of the former one: nothing is known of the new one's.
    pub(super) async fn forget_edges(&self, changes: &mut Changes, link: LinkId) -> Result<()> {
        let mut cursor = None;
        loop {
            let select = Select::Equal("link", link.to_string());
            let (edges, next) =
                store::list_by::<Membership>(self.store(), &self.realm, select, cursor, 1_000).await?;
            for edge in edges {
                changes.delete::<Membership>(edge.value.key());
            }
            cursor = next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    /// The names an object takes: held by its owner, or foreign.
    async fn take_names(
        &self,
        changes: &mut Changes,
        lookup: &Lookup<'_>,
        object: &Object,
        owner: Option<IdentityId>,
    ) -> Result<()> {
        let Lookup { settings, class, namespaces, .. } = *lookup;
        let mut names: Vec<Name> = Vec::new();
        // A scoped name means nothing without its scope, which only the policy knows: the create's refusal covers it.
        for namespace in namespaces.iter().filter(|namespace| !namespace.scoped) {
            let here = |member: &&crate::policy::NamespaceMember| {
                member.target == settings.name && member.class == *class
            };
            for member in namespace.members.iter().filter(here) {
                for value in object.attributes.values(member.attribute.as_str()) {
                    let name = value.to_plain();
                    let purpose = format!(
                        "{}/{}/main/{}",
                        settings.name.as_str(),
                        class.as_str(),
                        member.attribute.as_str()
                    );
                    names.push(Name {
                        realm: self.realm.clone(),
                        namespace: namespace.name.clone(),
                        scope: String::new(),
                        folded: namespace.case.fold(&name),
                        name,
                        owner,
                        purpose: if owner.is_some() { purpose } else { String::new() },
                        state: if owner.is_some() { NameState::Held } else { NameState::Foreign },
                    });
                }
            }
        }
        let keys: Vec<String> = names.iter().map(Record::key).collect();
        let known = store::get_many::<Name>(self.store(), &self.realm, &keys).await?;
        for (name, known) in names.iter().zip(known) {
            match known {
                None if !changes.put.iter().any(|put| put.table == Name::TABLE && put.key == name.key()) => {
                    changes.insert(name)?;
                }
                // It was nobody's when it was seen first.
                Some(known) if owner.is_some() && known.value.owner.is_none() => {
                    changes.replace(known.version, name)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The privileged groups by name and by id.
    pub(super) async fn privileged(
        &self,
        settings: &TargetSettings,
        connector: &dyn Connector,
        discovery: &Discovery,
    ) -> Result<BTreeSet<String>> {
        let mut known = settings.privileged_groups.clone();
        let classes = discovery.capabilities.classes.iter().filter(|(_, class)| class.members);
        let cx = Context::new(self.realm.clone(), format!("onboard/{}", settings.name.as_str()));
        let limit = std::time::Duration::from_secs(u64::from(settings.timeout_seconds.max(1)));
        for (class, _) in classes {
            for name in &settings.privileged_groups {
                let found = find_group(connector, discovery, &cx, class, name);
                match within(self.inner.clock.as_ref(), limit, found).await {
                    Ok(key) => known.extend([key.id]),
                    Err(error) if error.is_not_found() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(known)
    }

    /// The identities whose record in any source has this key, or who are known by it where rows are engagements.
    async fn by_key(&self, key: &str) -> Result<Vec<IdentityId>> {
        let sources = self.sources().await?;
        let (mut keys, mut people) = (Vec::new(), Vec::new());
        for source in &sources {
            let row_key = SourceRecord::row_key(&source.settings.name, key);
            if source.settings.engagements.is_none() {
                keys.push(row_key);
                continue;
            }
            let values = [key.to_owned()];
            let known = known_by(self.store(), &self.realm, &source.settings, &values).await?;
            people.extend(known.into_iter().flatten());
            // Made before its rows were engagements: known by the key of its row.
            let select = Select::Equal("source_key", row_key);
            let (found, _) = store::list_by::<Identity>(self.store(), &self.realm, select, None, 1).await?;
            people.extend(found.into_iter().map(|found| found.value.id));
        }
        let records = store::get_many::<SourceRecord>(self.store(), &self.realm, &keys).await?;
        let mut found: Vec<IdentityId> =
            records.into_iter().flatten().map(|record| record.value.identity).chain(people).collect();
        found.sort();
        found.dedup();
        Ok(found)
    }
}
