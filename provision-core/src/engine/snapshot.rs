//! What the planner needs to know of a batch of identities, read from the store.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use crate::connector::ObjectKey;
use crate::error::Result;
use crate::execute::JournalEntry;
use crate::id::{ClassName, IdentityId, PlanId, SourceName, Tag, TargetName};
use crate::ingest::PersonKey;
use crate::model::{
    Dispute, DisputeAbout, Grant, Identity, Lifecycle, Link, Membership, Name, SourceRecord, Subject,
};
use crate::plan::{OnDelete, ReferenceKey, Resolved, TargetFacts, role_reference};
use crate::policy::{DesiredSlot, Evaluation};
use crate::store::{self, Record, Scan, Select, Stored};
use crate::value::{AttrName, Timestamp};

/// Rows of one kind that one identity may have.
const ROWS_MAX: u32 = 10_000;

/// Everything known of one identity.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) identity: Identity,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) next_change_at: Option<Timestamp>,
    pub(crate) grants: Vec<Grant>,
    pub(crate) links: Vec<Link>,
    pub(crate) memberships: Vec<Membership>,
    pub(crate) names: Vec<Name>,
    pub(crate) open: BTreeSet<(TargetName, ClassName, Tag)>,
    pub(crate) disputed: BTreeSet<(TargetName, ClassName)>,
    /// Of a role: its groups that we still have members in.
    pub(crate) peopled: BTreeSet<(TargetName, ClassName, Tag)>,
}

/// Classes of targets where an open match concerns an identity.
pub(crate) type Matches = BTreeMap<IdentityId, BTreeSet<(TargetName, ClassName)>>;

/// What the references of evaluations come to.
#[derive(Debug, Default)]
pub(crate) struct References {
    /// By the identity that refers.
    pub(crate) resolved: BTreeMap<IdentityId, BTreeMap<ReferenceKey, Resolved>>,
    /// Who refers to somebody who has left: woken by the account of a return.
    pub(crate) gone: BTreeSet<(IdentityId, IdentityId)>,
    /// Who refers to somebody of whom nothing is known, by the row that their record would have.
    pub(crate) unknown: BTreeSet<(IdentityId, String)>,
}

impl Engine {
    /// Reads what is known of identities. `plan`: open steps of this plan do not count.
    pub(crate) async fn snapshot(
        &self,
        identities: Vec<Identity>,
        now: Timestamp,
        plan: Option<PlanId>,
        disputes: &Matches,
    ) -> Result<Vec<Known>> {
        let mut scans = Vec::with_capacity(identities.len() * 4);
        for identity in &identities {
            let id = identity.id.to_string();
            scans.push(self.scan::<Grant>("identity", &id));
            scans.push(self.scan::<Link>("identity", &id));
            scans.push(self.scan::<Name>("owner", &id));
            scans.push(self.scan::<JournalEntry>("identity", &id));
        }
        let pages = self.store().scan_all(&scans).await?;
        let mut known = Vec::with_capacity(identities.len());
        for (identity, rows) in identities.into_iter().zip(pages.chunks(4)) {
            let [grants, links, names, journal] = rows else { continue };
            let (lifecycle, next_change_at) = identity.lifecycle(now)?;
            // Which of several engagements leads may be another than when the identity was written.
            let seen = if let Cow::Owned(seen) = identity.as_of(now)? { Some(seen) } else { None };
            let identity = seen.unwrap_or(identity);
            let open = records::<JournalEntry>(journal)?
                .into_iter()
                .filter(|entry| Some(entry.plan) != plan)
                // A leaver's access does not wait for a change of his that has had no effect yet.
                .filter(|entry| lifecycle != Lifecycle::Terminated || !entry.is_idle())
                .filter_map(|entry| entry.account())
                .collect();
            known.push(Known {
                lifecycle,
                next_change_at,
                grants: records(grants)?,
                links: records(links)?,
                memberships: Vec::new(),
                names: records(names)?,
                open,
                disputed: disputes.get(&identity.id).cloned().unwrap_or_default(),
                peopled: BTreeSet::new(),
                identity,
            });
        }
        self.load_memberships(&mut known).await?;
        self.load_peopled(&mut known).await?;
        Ok(known)
    }

    /// The names that identities own; those that own none are left out.
    pub(crate) async fn names_of(
        &self,
        identities: &BTreeSet<IdentityId>,
    ) -> Result<BTreeMap<IdentityId, Vec<Stored<Name>>>> {
        self.rows_of("owner", identities).await
    }

    /// Rows by the identity that one of their columns names: all in one read.
    pub(crate) async fn rows_of<R: Record>(
        &self,
        column: &'static str,
        identities: &BTreeSet<IdentityId>,
    ) -> Result<BTreeMap<IdentityId, Vec<Stored<R>>>> {
        if identities.is_empty() {
            return Ok(BTreeMap::new());
        }
        let scans: Vec<Scan> =
            identities.iter().map(|identity| self.scan::<R>(column, &identity.to_string())).collect();
        let pages = self.store().scan_all(&scans).await?;
        let mut found = BTreeMap::new();
        for (identity, page) in identities.iter().zip(&pages).filter(|(_, page)| !page.rows.is_empty()) {
            let rows = page.rows.iter().map(store::decode::<R>).collect::<Result<Vec<_>>>()?;
            found.insert(*identity, rows);
        }
        Ok(found)
    }

    fn scan<R: Record>(&self, column: &'static str, value: &str) -> Scan {
        let select = Select::Equal(column, value.to_owned());
        Scan { realm: self.realm.clone(), table: R::TABLE, select, after: None, limit: ROWS_MAX }
    }

    async fn load_memberships(&self, known: &mut [Known]) -> Result<()> {
        let links: Vec<(usize, String)> = known
            .iter()
            .enumerate()
            .flat_map(|(index, known)| known.links.iter().map(move |link| (index, link.id.to_string())))
            .collect();
        let scans: Vec<Scan> = links.iter().map(|(_, link)| self.scan::<Membership>("link", link)).collect();
        let pages = self.store().scan_all(&scans).await?;
        for ((index, _), rows) in links.into_iter().zip(&pages) {
            if let Some(known) = known.get_mut(index) {
                known.memberships.extend(records::<Membership>(rows)?);
            }
        }
        Ok(())
    }

    /// Open matches by the identities they concern. Read once for a plan, not for each chunk of it.
    pub(super) async fn open_matches(&self) -> Result<Matches> {
        let mut open = Matches::new();
        let mut cursor = None;
        loop {
            let select = Select::Equal("state", "open".to_owned());
            let (page, next) =
                store::list_by::<Dispute>(self.store(), &self.realm, select, cursor, 1_000).await?;
            for dispute in page {
                if let DisputeAbout::Match { target, class, candidates, .. } = dispute.value.about {
                    for candidate in candidates {
                        open.entry(candidate).or_default().insert((target.clone(), class.clone()));
                    }
                }
            }
            cursor = next;
            if cursor.is_none() {
                return Ok(open);
            }
        }
    }

    /// Resolves the references of evaluations to keys of accounts. Nobody waits for the account of somebody who has
    /// left, and where leavers are deleted it is not there: the same plan takes it away before anything could refer to
    /// it. Such a reference is unknown until the return.
    pub(crate) async fn resolve_references(
        &self,
        evaluated: &[(&Identity, &Evaluation)],
        facts: &BTreeMap<TargetName, TargetFacts>,
        now: Timestamp,
    ) -> Result<References> {
        let Asked { mut asked, groups } = Asked::by(evaluated);
        let to = self.referred_to(evaluated, &groups, &mut asked).await?;
        let deletes = |target: &TargetName, class: &ClassName| {
            facts.get(target).is_some_and(|facts| facts.settings.class(class).on_delete == OnDelete::Delete)
        };
        let link_keys: Vec<String> = asked
            .iter()
            .zip(&to)
            .map(|((_, (_, target, class), _), to)| match to {
                Some(to) => Link::row_key(target, class, &Tag::main(), &Subject::Identity(*to)),
                None => String::new(),
            })
            .collect();
        let links = store::get_many::<Link>(self.store(), &self.realm, &link_keys).await?;
        let lost: Vec<Option<ObjectKey>> =
            links.iter().map(|link| link.as_ref().and_then(lost_key)).collect();
        let keys: Vec<Option<ObjectKey>> = links
            .into_iter()
            .map(|link| link.filter(|link| link.value.is_referable()).and_then(|link| link.value.key))
            .collect();
        let asked_of = asked.iter().zip(&to).zip(&keys);
        let may_have_left = asked_of
            .filter(|(((_, (_, target, class), _), _), key)| key.is_none() || deletes(target, class))
            .filter_map(|((_, to), _)| *to);
        let left = self.left(may_have_left.collect(), now).await?;
        let mut references = References::default();
        for ((((identity, reference, row), to), key), lost) in asked.into_iter().zip(to).zip(keys).zip(lost) {
            let group = groups.contains(&reference);
            let deleted = deletes(&reference.1, &reference.2) && to.is_some_and(|to| left.contains(&to));
            let value = match (to, key.filter(|_| !deleted)) {
                (None, _) => {
                    references.unknown.insert((identity, row));
                    Resolved::Unknown
                }
                (Some(to), Some(key)) if group => Resolved::Group(to, key),
                (Some(_), Some(key)) => Resolved::Key(key),
                (Some(to), None) if left.contains(&to) => {
                    references.gone.insert((identity, to));
                    Resolved::Unknown
                }
                (Some(to), None) => match lost.filter(|_| group) {
                    Some(key) => Resolved::Missing(to, key),
                    None => Resolved::Later(to),
                },
            };
            references.resolved.entry(identity).or_default().insert(reference, value);
        }
        Ok(references)
    }

    /// Whom references mean, and the rows that would tell it of those whom nobody knows: a record's; or where the
    /// source's rows are engagements, that of the value by which its people are known.
    async fn referred_to(
        &self,
        evaluated: &[(&Identity, &Evaluation)],
        groups: &BTreeSet<ReferenceKey>,
        asked: &mut [(IdentityId, ReferenceKey, String)],
    ) -> Result<Vec<Option<IdentityId>>> {
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let engaged: BTreeMap<SourceName, AttrName> = self
            .sources()
            .await?
            .into_iter()
            .filter_map(|source| Some((source.settings.name, source.settings.engagements?.person)))
            .collect();
        if !engaged.is_empty() {
            let sources: BTreeMap<IdentityId, &SourceName> =
                evaluated.iter().map(|(identity, _)| (identity.id, &identity.source)).collect();
            let of_people = asked.iter_mut().filter(|(_, reference, _)| !groups.contains(reference));
            for (from, (key, ..), row) in of_people {
                let source = sources.get(from).and_then(|source| engaged.get_key_value(*source));
                if let Some((source, person)) = source {
                    *row = PersonKey::row_key(source, person, key.trim());
                }
            }
        }
        let is_person = |(.., row): &&(IdentityId, ReferenceKey, String)| PersonKey::is_key(row);
        let of_people: Vec<String> = asked.iter().filter(is_person).map(|(.., row)| row.clone()).collect();
        let people = store::get_many::<PersonKey>(self.store(), &self.realm, &of_people).await?;
        let of_records: Vec<String> =
            asked.iter().filter(|one| !is_person(one)).map(|(.., row)| row.clone()).collect();
        let records = store::get_many::<SourceRecord>(self.store(), &self.realm, &of_records).await?;
        let (mut people, mut records) = (people.into_iter(), records.into_iter());
        let next = |one: &(IdentityId, ReferenceKey, String)| match is_person(&one) {
            true => people.next().flatten().and_then(|found| found.value.identities.first().copied()),
            false => records.next().flatten().map(|found| found.value.identity),
        };
        Ok(asked.iter().map(next).collect())
    }

    /// Those of the identities that have left.
    async fn left(&self, who: BTreeSet<IdentityId>, now: Timestamp) -> Result<BTreeSet<IdentityId>> {
        let keys: Vec<String> = who.iter().map(ToString::to_string).collect();
        let found = store::get_many::<Identity>(self.store(), &self.realm, &keys).await?;
        let mut left = BTreeSet::new();
        for identity in found.into_iter().flatten() {
            if identity.value.has_left(now)? {
                left.insert(identity.value.id);
            }
        }
        Ok(left)
    }
}

/// What evaluations refer to.
struct Asked {
    /// Who refers, to what, and the row of the record that it is of.
    asked: Vec<(IdentityId, ReferenceKey, String)>,
    /// Those that are the objects of roles.
    groups: BTreeSet<ReferenceKey>,
}

impl Asked {
    fn by(evaluated: &[(&Identity, &Evaluation)]) -> Self {
        let (mut asked, mut groups) = (Vec::new(), BTreeSet::new());
        for (identity, evaluation) in evaluated {
            for account in evaluation.accounts.iter().filter(|account| account.exists) {
                for value in &account.values {
                    if let DesiredSlot::AccountOf { key } = &value.slot {
                        let reference = (key.clone(), account.target.clone(), account.class.clone());
                        asked.push((identity.id, reference, SourceRecord::row_key(&identity.source, key)));
                    }
                }
                for (role, group) in account.groups.iter().filter_map(|of| of.of.as_ref().zip(Some(of))) {
                    let reference = role_reference(role, &account.target, &group.class);
                    let row = reference.0.clone();
                    groups.insert(reference.clone());
                    asked.push((identity.id, reference, row));
                }
            }
        }
        Self { asked, groups }
    }
}

/// The key of an object that was found missing.
fn lost_key(link: &Stored<Link>) -> Option<ObjectKey> {
    link.value.key.clone().filter(|_| link.value.missing)
}

fn records<R: Record>(rows: &store::Rows) -> Result<Vec<R>> {
    rows.rows.iter().map(|row| store::decode::<R>(row).map(|stored| stored.value)).collect()
}
