//! Reconciling: reading a target whole and noting where it differs from what it showed after our last write.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Engine;
use super::pages::Pages;
use super::roll::{Answer, Fingerprinter, Roll};
use crate::audit::AuditEntry;
use crate::connector::{Completeness, Context, Discovery, ListRequest, Object};
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::id::{ClassName, IdentityId, TargetName};
use crate::model::{Actor, Compared, ConfiguredTarget, Identity, Link, LinkState, Work};
use crate::plan::{OnDelete, TargetSettings};
use crate::runtime::Operation;
use crate::schema::{AttributeSchema, Mutability, ObjectClass};
use crate::store::{self, Changes, Commit, Record, Select, Stored};
use crate::value::{AttrName, Attributes, Slot, Timestamp, Value};

/// Tries against others who write the same rows.
const TRIES_MAX: u32 = 10;
/// Objects compared in one commit.
const PAGE: usize = 500;
/// Most of the managed accounts that may be missing before the reading is not believed, in percent.
const MISSING_PERCENT_MAX: u64 = 10;
/// That many may always be missing.
const MISSING_ALWAYS: u64 = 5;

/// What a reconcile found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconcileReport {
    /// The target.
    pub target: TargetName,
    /// When.
    pub at: Timestamp,
    /// Whether the listing was whole. Absence counts only then.
    pub completeness: Completeness,
    /// Objects read.
    pub objects: u64,
    /// Accounts of ours among them.
    pub linked: u64,
    /// Accounts whose attributes or state differ from what we last saw.
    pub drifted: u64,
    /// Accounts of ours that are gone.
    pub missing: u64,
    /// Absences that were not believed: too many at once.
    pub doubted: u64,
    /// Accounts that were nobody's when the target was onboarded and carry the immutable id of somebody who has become
    /// known since: linked now.
    #[serde(default)]
    pub found: u64,
    /// Accounts that were seen off and are there again, or enabled again: not ours any more, and for a person to look
    /// at.
    #[serde(default)]
    pub revived: u64,
}

/// A class that is listed whole.
pub(super) struct Listed<'a> {
    pub(super) settings: &'a TargetSettings,
    pub(super) class: &'a ClassName,
    pub(super) schema: &'a ObjectClass,
    /// How old what is listed may be.
    pub(super) visible_after: Duration,
    /// The store was restored from a backup, and the target not onboarded since.
    pub(super) restored: bool,
}

impl<'a> Listed<'a> {
    /// A class as its target describes it.
    pub(super) fn of(
        settings: &'a TargetSettings,
        class: &'a ClassName,
        discovery: &Discovery,
        schema: &'a ObjectClass,
        restored: bool,
    ) -> Self {
        let visible_after = discovery.capabilities.class(class).visible_after;
        Self { settings, class, schema, visible_after, restored }
    }
}

impl Listed<'_> {
    /// Those that carry an immutable id.
    fn marked(&self, mut objects: Vec<Object>) -> Vec<Object> {
        let marker = self.settings.class(self.class).marker;
        objects.retain(|object| {
            marker.as_ref().is_some_and(|name| object.attributes.first(name.as_str()).is_some())
        });
        objects
    }
}

impl ReconcileReport {
    /// A report of nothing read yet.
    pub(super) fn begun(target: &TargetName, at: Timestamp) -> Self {
        Self {
            target: target.clone(),
            at,
            completeness: Completeness::Complete { proof: "every class was listed".to_owned() },
            objects: 0,
            linked: 0,
            drifted: 0,
            missing: 0,
            doubted: 0,
            found: 0,
            revived: 0,
        }
    }
}

impl Engine {
    /// Lists a target whole and compares it with our links. Nothing is written to the target; what drifted becomes
    /// dirty, and the next plan says what is done about it. An account that is gone is noted, never created anew by
    /// itself. An account that was seen off and is there again, or enabled again, is told and left alone. An account
    /// that carries the immutable id of somebody who became known after the onboarding is linked.
    ///
    /// A store restored from a backup does not know the accounts created since: there the report says what was seen,
    /// and the target stays stopped until it has been onboarded again.
    ///
    /// # Errors
    /// As the connector's `check`. A listing that breaks off, or whose next page does not come within the target's
    /// `timeout_seconds`, is not an error but a report that is not complete: then no absence counts.
    pub async fn reconcile(&self, actor: &Actor, name: &TargetName) -> Result<ReconcileReport> {
        self.authorize(actor, Operation::Observe)?;
        let discovery = self.check(name).await?;
        let target = self.target(name).await?.value;
        let connector = self.inner.connector(&self.realm, &target.settings)?;
        let mut report = ReconcileReport::begun(name, self.now());
        let restored = target.is_restored(&self.store().epoch().await?);
        let mut known = None;
        for class in target.settings.classes.keys() {
            let Some(schema) = discovery.schema.class(class) else { continue };
            let cx = Context::new(self.realm.clone(), format!("reconcile/{}", name.as_str()));
            let listed = Listed::of(&target.settings, class, &discovery, schema, restored);
            // Written before the listing: what is ours only since then is no concern of this reading.
            let mut roll = self.roll(name, class).await?;
            let mut prints = Fingerprinter::new(schema)?;
            let listing = connector.list(&cx, ListRequest::all(class.clone()))?;
            let mut pages = Pages::of(self.inner.clock.as_ref(), &target.settings, listing);
            let mut crowded = false;
            while let Some(objects) = pages.next().await {
                let called = call(&mut roll, &mut prints, objects, &mut report)?;
                crowded |= !self.compare(&listed, called.ours, &mut report).await?;
                let strangers = listed.marked(called.strangers);
                if strangers.is_empty() || restored || !target.onboarded.contains(class) {
                    continue;
                }
                let known = match &mut known {
                    Some(known) => known,
                    none => none.insert(self.marked(&target.settings, connector.as_ref(), &discovery).await?),
                };
                report.found += self.take_strangers(&listed, known, &strangers, report.at).await?;
            }
            let mut end = pages.end();
            if crowded {
                // Not compared means not seen: nothing may count as missing.
                let reason = "others kept changing the links of a page".to_owned();
                end = Completeness::Partial { reason };
            }
            if end.is_complete() {
                self.note_missing(&listed, &mut roll, &mut report).await?;
            } else {
                report.completeness = end;
            }
        }
        self.finish_reconcile(actor, &report).await?;
        Ok(report)
    }

    /// Compares a page with the links of its objects. False when others kept changing them, so that a part of the page
    /// was not compared.
    pub(super) async fn compare(
        &self,
        listed: &Listed<'_>,
        objects: Vec<Object>,
        report: &mut ReconcileReport,
    ) -> Result<bool> {
        let mut compared = true;
        for objects in objects.chunks(PAGE) {
            compared &= self.compare_page(listed, objects, report).await?;
        }
        Ok(compared)
    }

    async fn compare_page(
        &self,
        listed: &Listed<'_>,
        objects: &[Object],
        report: &mut ReconcileReport,
    ) -> Result<bool> {
        let mut prints = Fingerprinter::new(listed.schema)?;
        for _ in 0..TRIES_MAX {
            let found = self.links_of(&listed.settings.name, listed.class, objects).await?;
            let mut changes = Changes::in_realm(&self.realm);
            let mut drifted: Vec<IdentityId> = Vec::new();
            let mut revived = 0;
            for object in objects {
                let Some(stored) = found.get(&object.key.id) else { continue };
                // The page may be older than our write.
                if known_at(&stored.value, listed.visible_after) > Some(report.at) {
                    continue;
                }
                let (mut link, drifts) = seen(listed.schema, &stored.value, object, report.at);
                let fingerprint = prints.of(object)?.to_text();
                link.compared = Some(Compared { fingerprint, revision: link.revision });
                match is_revived(listed, &stored.value, &link) {
                    // What a restored store calls seen off may have come back and left once more since.
                    true if listed.restored => link.state = LinkState::Leaving,
                    true => {
                        revived += 1;
                        changes.append.push(told("account.revived", &link, report.at).append()?);
                    }
                    false => {}
                }
                if drifts && link.state != LinkState::Inactive {
                    drifted.extend(link.subject.identity());
                }
                changes.replace(stored.version, &link)?;
            }
            self.mark_in(&mut changes, &drifted).await?;
            if self.store().commit(changes).await? == Commit::Committed {
                report.drifted += drifted.len() as u64;
                report.revived += revived;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds dirty marks to the commit that makes the change they are about: one is not there without the other.
    pub(super) async fn mark_in(&self, changes: &mut Changes, identities: &[IdentityId]) -> Result<()> {
        let mut keys: Vec<String> = identities.iter().map(ToString::to_string).collect();
        keys.sort();
        keys.dedup();
        let found = store::get_many::<Identity>(self.store(), &self.realm, &keys).await?;
        let found: Vec<Identity> = found.into_iter().flatten().map(|stored| stored.value).collect();
        let keys: Vec<String> = found.iter().map(Identity::order).collect();
        let known = store::get_many::<Work>(self.store(), &self.realm, &keys).await?;
        let now = self.now();
        for (identity, known) in found.iter().zip(known) {
            let urgent = identity.has_left(now).unwrap_or(false);
            Work::mark(changes, known, identity, urgent, now)?;
        }
        Ok(())
    }

    pub(super) async fn links_of(
        &self,
        target: &TargetName,
        class: &ClassName,
        objects: &[Object],
    ) -> Result<BTreeMap<String, Stored<Link>>> {
        let scans: Vec<store::Scan> = objects
            .iter()
            .map(|object| {
                let row = format!("{}/{}/{}", target.as_str(), class.as_str(), object.key.id);
                let (realm, table) = (self.realm.clone(), store::Table::Link);
                store::Scan { realm, table, select: Select::Equal("object", row), after: None, limit: 1 }
            })
            .collect();
        let mut found = BTreeMap::new();
        for (object, rows) in objects.iter().zip(self.store().scan_all(&scans).await?) {
            if let Some(row) = rows.rows.first() {
                found.insert(object.key.id.clone(), store::decode::<Link>(row)?);
            }
        }
        Ok(found)
    }

    /// After a complete listing: active accounts of ours that it did not hold. Many at once are not believed.
    async fn note_missing(
        &self,
        listed: &Listed<'_>,
        roll: &mut Roll,
        report: &mut ReconcileReport,
    ) -> Result<()> {
        if roll.is_full() {
            return Ok(());
        }
        let (name, class) = (&listed.settings.name, listed.class);
        let (mut missing, active, mut cursor) = (0, roll.active, None);
        let select = Select::Equal("target", format!("{}/{}", name.as_str(), class.as_str()));
        let at = report.at;
        let mut gone: Vec<Stored<Link>> = Vec::new();
        loop {
            let (page, next) =
                store::list_by::<Link>(self.store(), &self.realm, select.clone(), cursor, 1_000).await?;
            for stored in page {
                let lacking = stored.value.key.as_ref().is_some_and(|key| roll.lacks(&key.id));
                if lacking && is_missing(&stored.value, at, listed.visible_after) {
                    missing += 1;
                    gone.push(stored);
                }
            }
            // Beyond the limit nothing is believed: no need to keep them.
            gone.truncate(100_000);
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        let limit = MISSING_ALWAYS.max(active * MISSING_PERCENT_MAX / 100);
        if missing > limit {
            report.doubted += missing;
            tracing::warn!(
                target = name.as_str(),
                missing,
                active,
                "too many accounts are missing: not believed"
            );
            return Ok(());
        }
        for stored in gone.into_iter().filter(|stored| !stored.value.missing) {
            report.missing += u64::from(self.note_one_missing(stored, at, listed.visible_after).await?);
        }
        Ok(())
    }

    /// False when the account was written meanwhile: then it is not missing.
    async fn note_one_missing(
        &self,
        mut stored: Stored<Link>,
        at: Timestamp,
        visible_after: Duration,
    ) -> Result<bool> {
        let row = stored.value.key();
        for _ in 0..TRIES_MAX {
            let identity = stored.value.subject.identity();
            let revision = stored.value.revision + 1;
            // What is gone differs in nothing: it is counted once.
            let drift = Attributes::new();
            let link = Link { missing: true, drift, revision, last_plan: None, ..stored.value };
            let mut changes = Changes::in_realm(&self.realm);
            changes.replace(stored.version, &link)?;
            changes.append.push(told("account.missing", &link, at).append()?);
            self.mark_in(&mut changes, identity.as_slice()).await?;
            if self.store().commit(changes).await? == Commit::Committed {
                return Ok(true);
            }
            match store::get::<Link>(self.store(), &self.realm, &row).await? {
                Some(again) if is_missing(&again.value, at, visible_after) && !again.value.missing => {
                    stored = again
                }
                _ => return Ok(false),
            }
        }
        Err(Error::new(ErrorKind::Conflict, "others keep changing the link of a missing account")
            .with_effect(Effect::None))
    }

    async fn finish_reconcile(&self, actor: &Actor, report: &ReconcileReport) -> Result<()> {
        for _ in 0..TRIES_MAX {
            let Stored { version, value } = self.target(&report.target).await?;
            let mut changes = Changes::in_realm(&self.realm);
            if report.completeness.is_complete() && report.doubted == 0 {
                let managed = report.linked + report.found;
                let mut epoch = value.epoch.clone();
                // Another epoch stays: a restored store does not know whose the accounts are that were created since.
                if epoch.is_none() && value.onboarded_at.is_some() {
                    epoch = Some(self.store().epoch().await?);
                }
                changes.replace(version, &ConfiguredTarget { managed, epoch, ..value })?;
            }
            let mut entry = AuditEntry::new(&self.realm, report.at, actor, "target.reconciled");
            entry.target = Some(report.target.clone());
            entry.note = format!(
                "{} objects, {} linked, {} found, {} drifted, {} revived, {} missing, {} doubted",
                report.objects,
                report.linked,
                report.found,
                report.drifted,
                report.revived,
                report.missing,
                report.doubted
            );
            changes.append.push(entry.append()?);
            if self.store().commit(changes).await? == Commit::Committed {
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Conflict, "others keep changing the target's row")
            .with_effect(Effect::None))
    }
}

/// A page after the call.
struct Called {
    /// Ours, to be compared.
    ours: Vec<Object>,
    strangers: Vec<Object>,
}

/// Calls a page: leaves the objects that are to be compared, and those that are not ours.
fn call(
    roll: &mut Roll,
    prints: &mut Fingerprinter<'_>,
    mut objects: Vec<Object>,
    report: &mut ReconcileReport,
) -> Result<Called> {
    report.objects += objects.len() as u64;
    let mut called = Called { ours: Vec::new(), strangers: Vec::new() };
    for object in objects.drain(..) {
        let answer = roll.call(&object.key.id, prints.of(&object)?);
        report.linked += u64::from(answer != Answer::Stranger);
        match answer {
            Answer::Same => {}
            Answer::Other => called.ours.push(object),
            Answer::Stranger => called.strangers.push(object),
        }
    }
    Ok(called)
}

/// What the history is told of an account.
fn told(event: &str, link: &Link, at: Timestamp) -> AuditEntry {
    let mut entry = AuditEntry::new(&link.realm, at, &Actor::engine(), event);
    entry.identity = link.subject.identity();
    entry.target = Some(link.target.clone());
    entry.object = link.key.as_ref().map(|key| key.id.clone());
    entry
}

/// Whether an account that was seen off is there again, is enabled again, or has not what `on_delete` gave it.
fn is_revived(listed: &Listed<'_>, before: &Link, now: &Link) -> bool {
    let changed = match &listed.settings.class(listed.class).on_delete {
        OnDelete::Update(given) => given.iter().any(|(name, _)| now.drift.get(name.as_str()).is_some()),
        OnDelete::Disable | OnDelete::Delete => false,
    };
    let is_back = before.missing && now.enabled != Some(false);
    let is_enabled = before.enabled != Some(true) && now.enabled == Some(true);
    before.state == LinkState::Inactive && (is_back || is_enabled || changed)
}

/// When what a link says of its object was last known to be so, as far as reads may show it: what we wrote is shown
/// only `visible_after` later.
fn known_at(link: &Link, visible_after: Duration) -> Option<Timestamp> {
    link.observed_at.max(link.written_at.map(|at| at.plus(visible_after)))
}

/// Whether a complete listing that began at `at` should have held the link's object and did not.
fn is_missing(link: &Link, at: Timestamp, visible_after: Duration) -> bool {
    link.key.is_some() && link.state != LinkState::Inactive && known_at(link, visible_after) < Some(at)
}

/// Whether a set shows the same values besides ours as when we last looked.
fn same_foreign(
    schema: &AttributeSchema,
    link: &Link,
    name: &AttrName,
    (written, is): (&Slot, &Slot),
) -> bool {
    let others = |slot: &Slot| {
        let ours = |value: &&Value| written.values().iter().any(|own| schema.same(own, value));
        slot.values()
            .iter()
            .filter(|value| !ours(value))
            .map(|value| schema.folded(value))
            .collect::<BTreeSet<_>>()
    };
    let seen = link.drift.get(name.as_str()).or_else(|| link.observed.get(name.as_str()));
    seen.map(others).unwrap_or_default() == others(is)
}

/// Of the values that the target insisted on, those that it still shows.
fn still_shown(
    schema: &ObjectClass,
    object: &Object,
    name: &AttrName,
    slot: &Slot,
) -> Option<(AttrName, Slot)> {
    let attribute = schema.attributes.get(name)?;
    let shown = object.attributes.values(name.as_str());
    let there = |value: &&Value| shown.iter().any(|known| attribute.same(known, value));
    let still: Vec<Value> = slot.values().iter().filter(there).cloned().collect();
    (!still.is_empty()).then(|| (name.clone(), Slot::Values(still)))
}

/// Notes what we never wrote, because the account had it when it was adopted: whether a change of it matters, the
/// policy says. True when something of it changed.
fn adopted(schema: &ObjectClass, link: &Link, now: &mut Link, object: &Object) -> bool {
    let mut drifts = false;
    for (name, attribute) in &schema.attributes {
        let ours = link.applied.get(name.as_str()).is_some();
        let writable = !matches!(attribute.mutability, Mutability::ReadOnly | Mutability::WriteOnly);
        if ours || !writable || !attribute.returned {
            continue;
        }
        let is = object.attributes.get(name.as_str()).cloned().unwrap_or(Slot::Null);
        // Once the object has been compared, an attribute that was not there had no value.
        let seen = match link.observed.get(name.as_str()) {
            None if link.compared.is_some() => Some(&Slot::Null),
            seen => seen,
        };
        if seen.is_some_and(|seen| !attribute.same_slot(seen, &is)) {
            now.observed.insert(name.clone(), is);
            drifts = true;
        }
    }
    drifts
}

/// The link after its object was seen, and whether the object drifted.
///
/// What the target showed after our write is the measure, so a target that normalises does not drift. A value it
/// never showed yet is the measure from now on; where it differs from what we wrote, it is written once more.
fn seen(schema: &ObjectClass, link: &Link, object: &Object, at: Timestamp) -> (Link, bool) {
    let mut now = link.clone();
    now.observed_at = Some(at);
    now.missing = false;
    let mut drifts = link.missing;
    // Of what is not shown any more, nobody knows whether it differs.
    now.drift = Attributes::new();
    for (name, written) in link.applied.iter() {
        let Some(attribute) = schema.attributes.get(name).filter(|attribute| attribute.returned) else {
            continue;
        };
        let is = object.attributes.get(name.as_str()).cloned().unwrap_or(Slot::Null);
        let set = attribute.multi && !attribute.ordered;
        let lacks = |is: &Slot| {
            written.values().iter().any(|value| !is.values().iter().any(|known| attribute.same(known, value)))
        };
        let differs = match link.observed.get(name.as_str()) {
            // Values that others added to a set are theirs.
            _ if set => lacks(&is),
            Some(seen) => !attribute.same_slot(seen, &is),
            None => !attribute.same_slot(written, &is),
        };
        if differs && !attribute.same_slot(written, &is) {
            drifts |= link.drift.get(name.as_str()) != Some(&is);
            now.drift.insert(name.clone(), is.clone());
        } else {
            drifts |= link.drift.get(name.as_str()).is_some();
        }
        // Whether values of others matter, the policy says.
        if set && !lacks(&is) {
            drifts |= !same_foreign(attribute, link, name, (written, &is));
            now.observed.insert(name.clone(), is);
        // Exactly what we wrote is the best measure there is.
        } else if link.observed.get(name.as_str()).is_none() || attribute.same_slot(written, &is) {
            now.observed.insert(name.clone(), is);
        }
    }
    now.insisted =
        link.insisted.iter().filter_map(|(name, slot)| still_shown(schema, object, name, slot)).collect();
    drifts |= adopted(schema, link, &mut now, object);
    for (name, slot) in object.attributes.iter() {
        if now.observed.get(name.as_str()).is_none() {
            now.observed.insert(name.clone(), slot.clone());
        }
    }
    if object.enabled.is_some() && object.enabled != link.enabled {
        now.enabled = object.enabled;
        drifts = true;
    }
    if now.key.as_ref() != Some(&object.key) {
        now.key = Some(object.key.clone());
    }
    if drifts {
        now.revision += 1;
        now.last_plan = None;
    }
    (now, drifts)
}
