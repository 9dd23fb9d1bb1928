//! Records of roles: what objects of targets that stand for a role belong to, as those of people do to people.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::Engine;
use super::configure::Meta;
use super::planning::Drafted;
use crate::error::{Effect, Error, ErrorKind, Result, Retry};
use crate::id::{FeedId, IdentityId, RoleName, SourceName};
use crate::model::{Employment, Identity, Link, Membership, RecordState, SourceRecord, Status, Work};
use crate::policy::{PolicyRole, PolicyVersion};
use crate::store::{self, Changes, Commit, Cursor, Expect, Record, Select, Stored, Table};
use crate::value::Zone;

/// Roles written in one commit.
const BATCH: usize = 100;
/// Records read at a time.
const PAGE: u32 = 1_000;
/// Edges of a group that are looked at: groups of two classes may have one key.
const EDGES: u32 = 10;
/// Tries against others who write the same rows.
const TRIES_MAX: u32 = 20;

/// What becomes of a role's record.
struct Kept {
    before: Option<Stored<Identity>>,
    after: Identity,
}

impl Engine {
    /// Brings the records of roles up to date with the policy that `stands`: a role gets one or keeps it, one with
    /// another name takes that of its former name along, and one that is gone is terminated, which sees its objects
    /// off. A page at a time; whoever comes next finishes what a process that dies leaves, and finds what is done.
    ///
    /// # Errors
    /// `Conflict`, retryable, when others write the same rows, or set another policy.
    pub(super) async fn keep_roles(
        &self,
        roles: &[PolicyRole],
        stands: &Expect,
        done: &Meta<PolicyVersion>,
    ) -> Result<()> {
        for _ in 0..TRIES_MAX {
            let (kept, again) = self.kept_roles(roles).await?;
            let mut whole = !again;
            for kept in kept.chunks(BATCH) {
                whole &= self.write_kept(kept, stands).await?;
            }
            if !whole {
                continue;
            }
            let mut changes = Changes::in_realm(&self.realm);
            changes.expect.push(stands.clone());
            changes.put(done)?;
            if self.store().commit(changes).await? == Commit::Committed {
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Conflict, "others keep writing the records of roles; try again")
            .with_retry(Retry::After(None))
            .with_effect(Effect::None))
    }

    /// The records that are not as the policy has them, and whether there are more once these are written.
    async fn kept_roles(&self, roles: &[PolicyRole]) -> Result<(Vec<Kept>, bool)> {
        let mut known = self.role_records().await?;
        let (mut kept, mut again) = (Vec::new(), false);
        let names: BTreeSet<&RoleName> = roles.iter().map(|role| &role.name).collect();
        for role in roles {
            let mut own = known.remove(&role.name);
            // A role of this name that was seen off gives way to the one that is called so now.
            if own.as_ref().is_none_or(|own| is_over(&own.value)) {
                let free = |former: &&RoleName| {
                    let known = known.get(*former);
                    !names.contains(former)
                        && known.is_some_and(|known| own.is_none() || !is_over(&known.value))
                };
                if let Some(former) = role.formerly.iter().find(free).cloned() {
                    if let Some(before) = own {
                        let key = format!("{} ({})", role.name.as_str(), before.value.id);
                        let after =
                            Identity { key, version: before.value.version + 1, ..before.value.clone() };
                        kept.push(Kept { before: Some(before), after });
                        // Its name is free in the next round.
                        known.remove(&former);
                        again = true;
                        continue;
                    }
                    own = known.remove(&former);
                }
            }
            let after = self.role_record(role, own.as_ref().map(|own| &own.value))?;
            if own.as_ref().is_none_or(|own| own.value != after) {
                kept.push(Kept { before: own, after });
            }
        }
        for before in known.into_values().filter(|known| !is_over(&known.value)) {
            let mut after = Identity { version: before.value.version + 1, ..before.value.clone() };
            after.employment.status = Status::Terminated;
            kept.push(Kept { before: Some(before), after });
        }
        Ok((kept, again))
    }

    /// The record of a role, from the one it has.
    fn role_record(&self, role: &PolicyRole, before: Option<&Identity>) -> Result<Identity> {
        let source = SourceName::roles();
        let attributes = role.attributes();
        let mut after = match before {
            Some(before) => before.clone(),
            None => Identity {
                id: IdentityId::from_uuid(self.inner.mint()?),
                realm: self.realm.clone(),
                attributes: attributes.clone(),
                provenance: BTreeMap::new(),
                employment: Employment::default(),
                engagements: Vec::new(),
                zone: Zone::utc(),
                source,
                key: role.name.as_str().to_owned(),
                version: 0,
                next_change_at: None,
            },
        };
        role.name.as_str().clone_into(&mut after.key);
        after.attributes = attributes;
        after.employment = Employment::default();
        if before != Some(&after) {
            after.version += 1;
        }
        Ok(after)
    }

    /// What is known of roles, by name. As many as bundles have had.
    pub(super) async fn role_records(&self) -> Result<BTreeMap<RoleName, Stored<Identity>>> {
        let (mut known, mut cursor): (_, Option<Cursor>) = (BTreeMap::new(), None);
        loop {
            let prefix = SourceRecord::row_key(&SourceName::roles(), "");
            let select = Select::ColumnPrefix("source_key", prefix);
            let (page, next) =
                store::list_by::<Identity>(self.store(), &self.realm, select, cursor, PAGE).await?;
            known.extend(page.into_iter().map(|stored| (RoleName::new(&stored.value.key), stored)));
            cursor = next;
            if cursor.is_none() {
                return Ok(known);
            }
        }
    }

    /// Writes records with their dirty marks. False when others wrote one of the rows.
    async fn write_kept(&self, kept: &[Kept], stands: &Expect) -> Result<bool> {
        let mut changes = Changes::in_realm(&self.realm);
        changes.expect.push(stands.clone());
        let orders: Vec<String> = kept.iter().map(|kept| kept.after.order()).collect();
        let records = store::get_many::<SourceRecord>(self.store(), &self.realm, &orders).await?;
        let work = store::get_many::<Work>(self.store(), &self.realm, &orders).await?;
        let now = self.now();
        for ((kept, record), work) in kept.iter().zip(records).zip(work) {
            let after = &kept.after;
            match &kept.before {
                Some(before) => changes.replace(before.version, after)?,
                None => changes.insert(after)?,
            }
            let former = kept.before.as_ref().map(|before| before.value.order());
            if let Some(former) = former.filter(|former| *former != after.order()) {
                if let Some(work) = store::get::<Work>(self.store(), &self.realm, &former).await? {
                    let (table, key) = (Table::Work, former.clone());
                    changes.expect.push(Expect::Version { table, key, version: work.version });
                    changes.delete::<Work>(former.clone());
                }
                changes.delete::<SourceRecord>(former);
            }
            let row = source_record(after);
            match record {
                Some(record) => changes.replace(record.version, &row)?,
                None => changes.insert(&row)?,
            }
            Work::mark(&mut changes, work, after, after.has_left(now)?, now)?;
        }
        Ok(self.store().commit(changes).await? == Commit::Committed)
    }

    /// Tells those who wait for the groups of roles that are there. The work of a role is not done before: whoever dies
    /// in between leaves it dirty.
    pub(super) async fn wake_members(&self, drafted: &[Drafted]) -> Result<()> {
        for known in drafted.iter().map(|drafted| &drafted.known) {
            let there = known.links.iter().any(|link| link.is_referable());
            if there && known.identity.role().is_some() {
                self.wake_waiting(known.identity.id).await?;
            }
        }
        Ok(())
    }

    /// The group of a role was found missing, and another takes its place: what we wrote of memberships in it is said
    /// of nothing, and everybody is looked at for the new one. True when `changes` note that.
    pub(super) async fn forget_members(&self, changes: &mut Changes, link: &Link) -> Result<bool> {
        let (Some(id), Some(key), true) = (link.subject.identity(), &link.key, link.missing) else {
            return Ok(false);
        };
        if self.identity(id).await?.is_none_or(|identity| identity.role().is_none()) {
            return Ok(false);
        }
        let mut cursor = None;
        loop {
            let select = Select::Equal("edge_group", format!("{}/{}", link.target.as_str(), key.id));
            let (page, next) =
                store::list_by::<Membership>(self.store(), &self.realm, select, cursor, PAGE).await?;
            let mut forgotten = Changes::in_realm(&self.realm);
            for edge in page.into_iter().filter(|edge| edge.value.group_class == link.class) {
                forgotten.delete::<Membership>(edge.value.key());
            }
            if !forgotten.is_empty() {
                self.commit(forgotten).await?;
            }
            cursor = next;
            if cursor.is_none() {
                self.note_marking(changes)?;
                return Ok(true);
            }
        }
    }

    /// Of roles: their groups that we have members in still, and have written.
    pub(super) async fn load_peopled(&self, known: &mut [super::snapshot::Known]) -> Result<()> {
        for known in known.iter_mut().filter(|known| known.identity.role().is_some()) {
            for link in &known.links {
                let Some(key) = &link.key else { continue };
                let select = Select::Equal("edge_group", format!("{}/{}", link.target.as_str(), key.id));
                let (edges, _) =
                    store::list_by::<Membership>(self.store(), &self.realm, select, None, EDGES).await?;
                let ours = |edge: &Membership| edge.applied && edge.group_class == link.class;
                if edges.iter().any(|edge| ours(&edge.value)) {
                    known.peopled.insert((link.target.clone(), link.class.clone(), link.tag.clone()));
                }
            }
        }
        Ok(())
    }
}

/// Whether the role's objects are seen off.
fn is_over(role: &Identity) -> bool {
    role.employment.status == Status::Terminated
}

/// The row by which a role is found from its name.
fn source_record(role: &Identity) -> SourceRecord {
    // No two rows of a source have one number, nor do the row of a name and that of the next.
    let digest = Sha256::digest(role.key.as_bytes());
    let ordinal = digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
    SourceRecord {
        realm: role.realm.clone(),
        source: role.source.clone(),
        key: role.key.clone(),
        identity: role.id,
        attributes: role.attributes.clone(),
        employment: role.employment,
        zone: None,
        fingerprint: String::new(),
        ordinal,
        state: RecordState::Present,
        feed: FeedId::from_uuid(uuid::Uuid::nil()),
    }
}
