//! Many people with accounts, without the hours that it would take to hire them one by one: one person goes the whole
//! road, and the rows that the engine wrote for her are written again for the others, with other numbers in them.

use provision_core::connector::ObjectKey;
use provision_core::id::{IdentityId, LinkId, TargetName};
use provision_core::model::{Identity, Link, Name, SourceRecord, Subject};
use provision_core::source::{FeedEvent, FeedMode, FeedRecord, FeedSequence, RecordAction};
use provision_core::store::{self, Changes, Put, Record, Select};
use provision_core::value::{Attributes, Value};
use uuid::Uuid;

use crate::{Outcome, World};

/// People in one commit.
const BATCH: usize = 500;
/// Where the ids of the copies begin: a UUID of version 7.
const FIRST: u128 = 0x0192_0000_0000_7000_8000_0000_0000_0000;

/// The number of a person in her key, her names and everything made of them.
pub fn token(person: usize) -> String {
    // A letter that is no hexadecimal digit: ids do not look like it.
    format!("q{person:08}")
}

/// The record of a person, as a source would deliver it.
pub fn record(person: usize, title: &str) -> FeedRecord {
    let token = token(person);
    let attributes = Attributes::new()
        .with("givenName", "Ines")
        .with("familyName", format!("P{token}").as_str())
        .with("title", title)
        .with("department", "Logistics")
        .with("city", "Porto")
        .with("mobile", "+351 22 0000");
    let fingerprint = format!("{token}/{title}");
    FeedRecord {
        key: token,
        position: 1,
        attributes,
        employment: Default::default(),
        zone: None,
        action: RecordAction::Upsert,
        fingerprint,
    }
}

/// A feed of changes.
pub fn feed(number: usize, records: Vec<FeedRecord>) -> provision_core::source::Feed {
    let completeness = provision_core::connector::Completeness::Complete { proof: "all there is".to_owned() };
    let events = vec![Ok(FeedEvent::Records(records)), Ok(FeedEvent::End(completeness))];
    provision_core::source::Feed {
        name: format!("feed-{number}"),
        mode: FeedMode::Delta,
        sequence: FeedSequence { order: Some(token(number)), content: format!("content-{number}") },
        records: Box::pin(futures_util::stream::iter(events)),
    }
}

/// The rows of one person.
#[derive(Clone, Debug)]
pub struct Template {
    identity: Identity,
    record: SourceRecord,
    link: Link,
    names: Vec<Name>,
}

/// What the copies are to be like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Copies {
    /// The first who is not there yet; the template is 0.
    pub from: usize,
    /// How many people, the template and those before `from` included.
    pub count: usize,
    /// Of so many people, the first has changed and not been planned since; 0: nobody has.
    pub changed_in: usize,
}

impl World {
    /// Fills the store: person 0 is the template and has an account in the first target already. `keys`: the objects
    /// of some people, where they have any on the target.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn copy_people(
        &self,
        copies: Copies,
        targets: &[TargetName],
        keys: &[(usize, ObjectKey)],
    ) -> Outcome<()> {
        let template = self.template().await?;
        self.copy(&template, copies, targets, keys).await
    }

    /// The same, when there are copies already: of the template that was taken before the first of them.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn copy(
        &self,
        template: &Template,
        copies: Copies,
        targets: &[TargetName],
        keys: &[(usize, ObjectKey)],
    ) -> Outcome<()> {
        let mut changes = Changes::in_realm(self.engine.realm());
        for person in copies.from.max(1)..copies.count {
            let key = keys.iter().find(|(of, _)| *of == person).map(|(_, key)| key.clone());
            let moved = copies.changed_in > 0 && person % copies.changed_in == 0;
            template.copy(person, moved, targets, key, &mut changes)?;
            if person % BATCH == 0 {
                let full = std::mem::replace(&mut changes, Changes::in_realm(self.engine.realm()));
                self.store.commit(full).await?;
            }
        }
        self.store.commit(changes).await?;
        Ok(())
    }

    /// The rows of the only person.
    ///
    /// # Errors
    /// Those of the store, and when there is nobody.
    pub async fn template(&self) -> Outcome<Template> {
        Ok(Template {
            identity: self.only::<Identity>().await?.pop().ok_or("no identity")?,
            record: self.only::<SourceRecord>().await?.pop().ok_or("no record")?,
            link: self.only::<Link>().await?.pop().ok_or("no link")?,
            names: self.only::<Name>().await?,
        })
    }

    async fn only<R: Record>(&self) -> Outcome<Vec<R>> {
        let all = Select::KeyPrefix(String::new());
        let (rows, _) = store::list_by::<R>(self.store.as_ref(), self.engine.realm(), all, None, 10).await?;
        Ok(rows.into_iter().map(|stored| stored.value).collect())
    }
}

impl Template {
    fn copy(
        &self,
        person: usize,
        moved: bool,
        targets: &[TargetName],
        key: Option<ObjectKey>,
        changes: &mut Changes,
    ) -> Outcome<()> {
        let id = IdentityId::from_uuid(Uuid::from_u128(FIRST + person as u128));
        let swaps = [(token(0), token(person)), (self.identity.id.to_string(), id.to_string())];
        let mut identity = self.identity.clone();
        if moved {
            identity.attributes.set("title", vec![Value::text("Moved")]);
        }
        changes.put.push(swapped(store::put(&identity)?, &swaps));
        let record = SourceRecord { ordinal: self.record.ordinal + person as u64, ..self.record.clone() };
        changes.put.push(swapped(store::put(&record)?, &swaps));
        for name in &self.names {
            changes.put.push(swapped(store::put(name)?, &swaps));
        }
        let key = key.unwrap_or_else(|| ObjectKey::id(format!("copy-{person}")));
        for (number, target) in targets.iter().enumerate() {
            let link = Link {
                id: LinkId::from_uuid(Uuid::from_u128(FIRST + (person * 64 + number) as u128)),
                target: target.clone(),
                subject: Subject::Identity(self.identity.id),
                key: Some(key.clone()),
                ..self.link.clone()
            };
            changes.put.push(swapped(store::put(&link)?, &swaps));
        }
        Ok(())
    }
}

/// The row with other numbers in it.
fn swapped(put: Put, swaps: &[(String, String)]) -> Put {
    let swap = |text: String| swaps.iter().fold(text, |text, (from, to)| text.replace(from, to));
    let columns = put.columns.into_iter().map(|(name, value)| (name, swap(value))).collect();
    Put { table: put.table, key: swap(put.key), columns, body: swap(put.body) }
}
