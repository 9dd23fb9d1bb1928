//! The bench: a connector and its profile, ready to be tried, and the account of what was made there.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::chance::Chance;
use super::patience::pause;
use super::profile::{Profile, Trouble};
use super::suite::Configured;
use super::verdict::{Finding, Verdict, broken, ensure, skip};
use crate::connector::{
    ClassCapabilities, Connector, Context, CreateRequest, DeleteRequest, DeleteStyle, DisableMeaning,
    Discovery, GetRequest, LifecycleFacet, ListRequest, Listing, MembershipFacet, Object, ObjectKey, Outcome,
    PollRequest, UpdateRequest, WriteDone, Writer, collect,
};
use crate::delta::Delta;
use crate::error::{Effect, Result};
use crate::id::{ClassName, LinkId, RealmId};
use crate::schema::ObjectClass;
use crate::value::{AttrName, Attributes, Slot};

/// Most polls for the end of a pending write, and how many of them do not wait.
const POLLS_MAX: u32 = 1000;
const EAGER_POLLS: u32 = 20;
const POLL_PAUSE: Duration = Duration::from_millis(50);

/// Most objects that a listing may bring.
pub(super) const OBJECTS_MAX: usize = 1_000_000;

/// An object that the suite made and could not remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Its class.
    pub class: ClassName,
    /// Its id; nothing when a create may have made it and it cannot be looked for.
    pub id: Option<String>,
    /// Why it is left.
    pub why: String,
}

/// What a create made.
#[derive(Clone, Debug)]
enum Made {
    /// This object.
    Object(ClassName, ObjectKey),
    /// Perhaps an object like this: the call was dropped, or its answer was lost.
    Perhaps(Box<CreateRequest>),
    Nothing,
}

/// A connector and its profile, ready to be tried.
#[derive(Debug)]
pub(super) struct Bench<'a> {
    pub(super) connector: &'a dyn Connector,
    pub(super) profile: &'a dyn Profile,
    pub(super) configured: Option<&'a Configured>,
    pub(super) cx: Context,
    pub(super) class: ClassName,
    pub(super) discovery: Discovery,
    pub(super) chance: Chance,
    tag: String,
    made: Mutex<Vec<Made>>,
}

impl std::fmt::Debug for dyn Profile + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Profile")
    }
}

impl<'a> Bench<'a> {
    pub(super) async fn new(
        connector: &'a dyn Connector,
        profile: &'a dyn Profile,
        configured: Option<&'a Configured>,
        chance: Chance,
    ) -> Verdict<Self> {
        let cx = Context::new(RealmId::new("contract"), "contract");
        let discovery = connector.discover(&cx).await?;
        let (class, tag) = (profile.class(), chance.tag());
        let made = Mutex::default();
        Ok(Self { connector, profile, configured, cx, class, discovery, chance, tag, made })
    }

    pub(super) fn can(&self) -> ClassCapabilities {
        self.discovery.capabilities.class(&self.class)
    }

    pub(super) fn shape(&self, class: &ClassName) -> Verdict<&ObjectClass> {
        let missing = || Finding::Broken(format!("the schema lacks the class `{class}`"));
        self.discovery.schema.class(class).ok_or_else(missing)
    }

    pub(super) fn writer(&self) -> Verdict<&'a dyn Writer> {
        self.connector.writer().map_or_else(|| skip("the connector does not write"), Ok)
    }

    pub(super) fn lifecycle(&self) -> Verdict<&'a dyn LifecycleFacet> {
        self.connector.lifecycle().map_or_else(|| skip("the connector has no lifecycle facet"), Ok)
    }

    pub(super) fn membership(&self) -> Verdict<&'a dyn MembershipFacet> {
        self.connector.membership().map_or_else(|| skip("the connector has no membership facet"), Ok)
    }

    /// Skips the clause where accounts cannot be created.
    pub(super) fn creates(&self) -> Verdict {
        if self.can().create { Ok(()) } else { skip("the target creates nothing") }
    }

    /// Skips the clause where accounts cannot be created and changed.
    pub(super) fn updates(&self) -> Verdict {
        self.creates()?;
        if self.can().update { Ok(()) } else { skip("the target updates nothing") }
    }

    /// Skips the clause where accounts cannot be created and deleted.
    pub(super) fn deletes(&self) -> Verdict {
        self.creates()?;
        if self.can().delete == DeleteStyle::Unsupported {
            skip("the target deletes nothing")
        } else {
            Ok(())
        }
    }

    /// Skips the clause when the trouble cannot be made.
    pub(super) fn provoke(&self, trouble: Trouble) -> Verdict {
        if self.profile.provoke(trouble) { Ok(()) } else { skip("the target cannot be provoked so") }
    }

    /// The profile's suffix for a label of at most five letters and digits.
    pub(super) fn suffix(&self, label: &str) -> String {
        format!("{}{label}", self.tag)
    }

    pub(super) fn attributes(&self, label: &str) -> Attributes {
        self.profile.attributes(&self.suffix(label))
    }

    pub(super) fn renamed(&self, label: &str) -> Option<Attributes> {
        self.profile.renamed(&self.suffix(label))
    }

    /// The create of the account with that label.
    pub(super) fn birth(&self, label: &str) -> CreateRequest {
        self.birth_of(&self.class, self.attributes(label), label)
    }

    pub(super) fn birth_of(&self, class: &ClassName, attributes: Attributes, label: &str) -> CreateRequest {
        let mut bytes = [0x41; 16];
        for (byte, letter) in bytes.iter_mut().zip(self.suffix(label).bytes()) {
            *byte = letter;
        }
        let has_state = self.discovery.capabilities.class(class).disable != DisableMeaning::Unsupported;
        CreateRequest {
            class: class.clone(),
            attributes,
            enabled: has_state.then_some(true),
            idempotency: LinkId::from_uuid(uuid::Uuid::from_bytes(bytes)),
            password: None,
        }
    }

    fn made(&self) -> MutexGuard<'_, Vec<Made>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a create. Whatever becomes of it is removed at the end.
    pub(super) async fn send(&self, birth: CreateRequest) -> Verdict<Result<Outcome>> {
        self.send_in(&self.cx, birth).await
    }

    /// The same, in another context.
    pub(super) async fn send_in(&self, cx: &Context, birth: CreateRequest) -> Verdict<Result<Outcome>> {
        let writer = self.writer()?;
        let place = {
            let mut made = self.made();
            made.push(Made::Perhaps(Box::new(birth.clone())));
            made.len() - 1
        };
        let class = birth.class.clone();
        let result = writer.create(cx, birth).await;
        let known = match &result {
            Ok(Outcome::Done(done)) => Some(Made::Object(class, done.key.clone())),
            Err(error) if error.effect_stated() == Some(Effect::None) => Some(Made::Nothing),
            Ok(Outcome::Pending { .. }) | Err(_) => None,
        };
        if let (Some(known), Some(entry)) = (known, self.made().get_mut(place)) {
            *entry = known;
        }
        Ok(result)
    }

    /// At the end, whatever is like this create is removed, though only one object of it may be known.
    pub(super) fn look_for(&self, birth: &CreateRequest) {
        self.made().push(Made::Perhaps(Box::new(birth.clone())));
    }

    /// Waits for the end of a write, and until reads show it.
    pub(super) async fn done(&self, mut outcome: Outcome) -> Verdict<WriteDone> {
        for polls in 0..POLLS_MAX {
            match outcome {
                Outcome::Done(done) => {
                    self.settle().await;
                    return Ok(done);
                }
                Outcome::Pending { ticket } => {
                    if polls >= EAGER_POLLS {
                        pause(POLL_PAUSE).await;
                    }
                    outcome = self.writer()?.poll(&self.cx, PollRequest { ticket }).await?;
                }
            }
        }
        broken("a pending write never ends")
    }

    /// Waits until reads show what was written.
    pub(super) async fn settle(&self) {
        let classes = self.discovery.capabilities.classes.values();
        let longest = classes.map(|can| can.visible_after).max().unwrap_or_default();
        if !longest.is_zero() {
            pause(longest).await;
        }
    }

    /// Creates the account with that label.
    pub(super) async fn create(&self, label: &str) -> Verdict<ObjectKey> {
        self.creates()?;
        self.born(self.birth(label)).await
    }

    /// The key of a create that must succeed.
    pub(super) async fn born(&self, birth: CreateRequest) -> Verdict<ObjectKey> {
        let class = birth.class.clone();
        let key = self.done(self.send(birth).await??).await?.key;
        self.made().push(Made::Object(class, key.clone()));
        Ok(key)
    }

    /// Accounts with these labels; where the target creates nothing, as many that are there.
    pub(super) async fn some(&self, labels: &[&str]) -> Verdict<Vec<ObjectKey>> {
        let mut keys = Vec::with_capacity(labels.len());
        if self.can().create {
            for label in labels {
                keys.push(self.create(label).await?);
            }
            return Ok(keys);
        }
        let there = self.list(ListRequest::all(self.class.clone())).await?;
        if there.len() < labels.len() {
            return skip("the target creates nothing and holds too few objects to try");
        }
        keys.extend(there.into_iter().take(labels.len()).map(|object| object.key));
        Ok(keys)
    }

    pub(super) async fn create_group(&self, label: &str) -> Verdict<(ClassName, ObjectKey)> {
        let Some((class, attributes)) = self.profile.group(&self.suffix(label)) else {
            return skip("the target has no groups");
        };
        let key = self.born(self.birth_of(&class, attributes, label)).await?;
        Ok((class, key))
    }

    pub(super) async fn update(&self, key: &ObjectKey, delta: Delta) -> Verdict<WriteDone> {
        self.updates()?;
        let outcome = self.try_update(key, delta).await??;
        self.done(outcome).await
    }

    /// Sends an update as it is.
    pub(super) async fn try_update(&self, key: &ObjectKey, delta: Delta) -> Verdict<Result<Outcome>> {
        let request = UpdateRequest { class: self.class.clone(), key: key.clone(), delta };
        Ok(self.writer()?.update(&self.cx, request).await)
    }

    pub(super) async fn delete(&self, class: &ClassName, key: &ObjectKey) -> Verdict<WriteDone> {
        let request = DeleteRequest { class: class.clone(), key: key.clone() };
        self.done(self.writer()?.delete(&self.cx, request).await?).await
    }

    pub(super) async fn find(&self, class: &ClassName, key: &ObjectKey) -> Verdict<Option<Object>> {
        let request = GetRequest { class: class.clone(), key: key.clone() };
        Ok(self.connector.get(&self.cx, request).await?)
    }

    pub(super) async fn read(&self, key: &ObjectKey) -> Verdict<Object> {
        let missing = || Finding::Broken(format!("`{}` is not found", key.id));
        self.find(&self.class, key).await?.ok_or_else(missing)
    }

    /// A listing as the connector gives it.
    pub(super) fn listing(&self, request: ListRequest) -> Verdict<Listing> {
        Ok(self.connector.list(&self.cx, request)?)
    }

    /// What comes of a listing, whether it is refused at the call or at the first poll.
    pub(super) async fn listed(&self, request: ListRequest) -> Result<Vec<Object>> {
        Ok(collect(self.connector.list(&self.cx, request)?, OBJECTS_MAX).await?.0)
    }

    /// A whole listing.
    pub(super) async fn list(&self, request: ListRequest) -> Verdict<Vec<Object>> {
        let (objects, completeness) = collect(self.listing(request)?, OBJECTS_MAX).await?;
        ensure(completeness.is_complete(), || format!("the listing is not complete: {completeness:?}"))?;
        Ok(objects)
    }

    /// Objects of the target that the create may have made.
    pub(super) async fn like(&self, birth: &CreateRequest) -> Verdict<Vec<Object>> {
        let mut objects = self.list(ListRequest::all(birth.class.clone())).await?;
        let shape = self.shape(&birth.class)?;
        let mut telling = self.discovery.capabilities.class(&birth.class).unique;
        telling.extend(shape.naming.clone());
        telling.retain(|name| !birth.attributes.values(name.as_str()).is_empty());
        let every = telling.is_empty();
        let names = if every {
            birth.attributes.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()
        } else {
            telling.into_iter().collect()
        };
        let same = |object: &Object, name: &AttrName| {
            let one = |slot: Slot| Attributes::from_iter([(name.clone(), slot)]);
            let wanted = Slot::from_values(birth.attributes.values(name.as_str()).to_vec());
            self.shows_of(&birth.class, &object.attributes, &one(wanted)).is_ok()
        };
        objects.retain(|object| {
            if every {
                names.iter().all(|name| same(object, name))
            } else {
                names.iter().any(|name| same(object, name))
            }
        });
        Ok(objects)
    }

    /// `read` must hold what was written to an account, as the target shows it.
    pub(super) fn shows(&self, read: &Attributes, written: &Attributes) -> Verdict {
        self.shows_of(&self.class, read, written)
    }

    fn shows_of(&self, class: &ClassName, read: &Attributes, written: &Attributes) -> Verdict {
        let shape = self.shape(class)?;
        for (name, slot) in written.iter() {
            let Some((name, schema)) = shape.attribute(name.as_str()) else { continue };
            let wanted = slot.values().iter().filter_map(|value| self.profile.shown(name, value));
            let wanted = Slot::from_values(wanted.collect());
            let found = Slot::from_values(read.values(name.as_str()).to_vec());
            ensure(schema.same_slot(&found, &wanted), || {
                format!("`{name}` is {found:?}, {wanted:?} was written")
            })?;
        }
        Ok(())
    }

    /// Removes what was made, the last first. Tells what is left.
    pub(super) async fn clear(&self) -> Vec<Leftover> {
        self.profile.provoke(Trouble::None);
        let made = std::mem::take(&mut *self.made());
        let mut left = Vec::new();
        let mut gone: Vec<(ClassName, String)> = Vec::new();
        for entry in made.into_iter().rev() {
            let objects = match entry {
                Made::Nothing => continue,
                Made::Object(class, key) => vec![(class, key)],
                Made::Perhaps(birth) => match self.like(&birth).await {
                    Ok(found) => found.into_iter().map(|object| (object.class, object.key)).collect(),
                    Err(finding) => {
                        let why =
                            format!("a create may have made one, and looking for it failed: {finding:?}");
                        left.push(Leftover { class: birth.class, id: None, why });
                        continue;
                    }
                },
            };
            for (class, key) in objects {
                if gone.iter().any(|(known, id)| *known == class && *id == key.id) {
                    continue;
                }
                if let Err(why) = self.remove(&class, &key).await {
                    left.push(Leftover { class: class.clone(), id: Some(key.id.clone()), why });
                }
                gone.push((class, key.id));
            }
        }
        left
    }

    async fn remove(&self, class: &ClassName, key: &ObjectKey) -> Result<(), String> {
        if self.discovery.capabilities.class(class).delete == DeleteStyle::Unsupported {
            return Err("the target deletes nothing".to_owned());
        }
        let told = |finding| match finding {
            Finding::Broken(how) | Finding::NotApplicable(how) => how,
        };
        self.delete(class, key).await.map_err(told)?;
        match self.find(class, key).await.map_err(told)? {
            Some(_) => Err("it is still there after its delete".to_owned()),
            None => Ok(()),
        }
    }
}
