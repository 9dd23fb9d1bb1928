//! What the suite must know of a target to try it, and the bench it works at.

use crate::connector::{
    ClassCapabilities, Connector, Context, CreateRequest, Discovery, GetRequest, LifecycleFacet, ListRequest,
    MembershipFacet, Object, ObjectKey, Outcome, PollRequest, UpdateRequest, WriteDone, Writer, collect,
};
use crate::delta::Delta;
use crate::id::{ClassName, LinkId, RealmId};
use crate::schema::ObjectClass;
use crate::value::{AttrName, Attributes, Secret, Value};

use super::verdict::{Finding, Verdict, ensure, skip};

/// A trouble that a profile can make at its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// None: the target behaves again.
    None,
    /// Our service account's credentials are refused.
    RefuseCredentials,
    /// The target cannot be reached.
    Unreachable,
    /// Listings repeat a page token.
    RepeatToken,
    /// Listings end in the middle, and the target shows it.
    CutListing,
    /// The next create is done and its answer is lost.
    LoseCreate,
    /// Requests are refused as too many; the target names a waiting time.
    RateLimit,
}

/// What the suite must know of a target. A suffix is at most ten ASCII letters and digits; objects with different
/// suffixes share no unique value.
pub trait Profile: Send + Sync {
    /// The class of accounts to try.
    fn class(&self) -> ClassName;

    /// Attributes that a create accepts, naming ones included.
    fn attributes(&self, suffix: &str) -> Attributes;

    /// A single-valued text attribute that takes any text and may be cleared.
    fn text(&self) -> AttrName;

    /// A multi-valued text attribute without order that may be cleared.
    fn set(&self) -> Option<AttrName> {
        None
    }

    /// The naming attributes of an object of another name.
    fn renamed(&self, _suffix: &str) -> Option<Attributes> {
        None
    }

    /// A group for memberships of the class, to be created.
    fn group(&self, _suffix: &str) -> Option<(ClassName, Attributes)> {
        None
    }

    /// A password that the target accepts, or one that its rules refuse.
    fn password(&self, _acceptable: bool) -> Option<Secret> {
        None
    }

    /// A secret of the connector's configuration.
    fn planted_secret(&self) -> Option<String> {
        None
    }

    /// How a written value comes back; `None`: it never does.
    fn shown(&self, _name: &AttrName, value: &Value) -> Option<Value> {
        Some(value.clone())
    }

    /// Makes a trouble, until told `None`; false when it cannot.
    fn provoke(&self, _trouble: Trouble) -> bool {
        false
    }
}

/// Most polls for the end of a pending write.
const POLLS_MAX: u32 = 1000;

/// A connector and its profile, ready to be tried.
#[derive(Clone)]
pub(super) struct Bench<'a> {
    pub(super) connector: &'a dyn Connector,
    pub(super) profile: &'a dyn Profile,
    pub(super) cx: Context,
    pub(super) class: ClassName,
    pub(super) discovery: Discovery,
}

impl<'a> Bench<'a> {
    pub(super) async fn new(connector: &'a dyn Connector, profile: &'a dyn Profile) -> Verdict<Self> {
        let cx = Context::new(RealmId::new("contract"), "contract");
        let discovery = connector.discover(&cx).await?;
        Ok(Self { connector, profile, cx, class: profile.class(), discovery })
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

    /// Skips the clause when the trouble cannot be made.
    pub(super) fn provoke(&self, trouble: Trouble) -> Verdict {
        if self.profile.provoke(trouble) { Ok(()) } else { skip("the target cannot be provoked so") }
    }

    /// The create of the object with that suffix.
    pub(super) fn birth(&self, suffix: &str) -> CreateRequest {
        self.birth_of(&self.class, self.profile.attributes(suffix), suffix)
    }

    fn birth_of(&self, class: &ClassName, attributes: Attributes, suffix: &str) -> CreateRequest {
        let mut bytes = [0x41; 16];
        for (byte, letter) in bytes.iter_mut().zip(suffix.bytes()) {
            *byte = letter;
        }
        let has_state =
            self.discovery.capabilities.class(class).disable != crate::connector::DisableMeaning::Unsupported;
        CreateRequest {
            class: class.clone(),
            attributes,
            enabled: has_state.then_some(true),
            idempotency: LinkId::from_uuid(uuid::Uuid::from_bytes(bytes)),
            password: None,
        }
    }

    /// Waits for the end of a write.
    pub(super) async fn done(&self, mut outcome: Outcome) -> Verdict<WriteDone> {
        for _ in 0..POLLS_MAX {
            match outcome {
                Outcome::Done(done) => return Ok(done),
                Outcome::Pending { ticket } => {
                    outcome = self.writer()?.poll(&self.cx, PollRequest { ticket }).await?;
                }
            }
        }
        Err(Finding::Broken("a pending write never ends".to_owned()))
    }

    pub(super) async fn create(&self, suffix: &str) -> Verdict<ObjectKey> {
        if !self.can().create {
            return skip("the target creates nothing");
        }
        let outcome = self.writer()?.create(&self.cx, self.birth(suffix)).await?;
        Ok(self.done(outcome).await?.key)
    }

    pub(super) async fn create_group(&self, suffix: &str) -> Verdict<(ClassName, ObjectKey)> {
        let Some((class, attributes)) = self.profile.group(suffix) else {
            return skip("the target has no groups");
        };
        let birth = self.birth_of(&class, attributes, suffix);
        let outcome = self.writer()?.create(&self.cx, birth).await?;
        Ok((class, self.done(outcome).await?.key))
    }

    pub(super) async fn update(&self, key: &ObjectKey, delta: Delta) -> Verdict<WriteDone> {
        if !self.can().update {
            return skip("the target updates nothing");
        }
        let request = UpdateRequest { class: self.class.clone(), key: key.clone(), delta };
        let outcome = self.writer()?.update(&self.cx, request).await?;
        self.done(outcome).await
    }

    pub(super) async fn find(&self, class: &ClassName, key: &ObjectKey) -> Verdict<Option<Object>> {
        let request = GetRequest { class: class.clone(), key: key.clone() };
        Ok(self.connector.get(&self.cx, request).await?)
    }

    pub(super) async fn read(&self, key: &ObjectKey) -> Verdict<Object> {
        let missing = || Finding::Broken(format!("`{}` is not found", key.id));
        self.find(&self.class, key).await?.ok_or_else(missing)
    }

    /// A whole listing.
    pub(super) async fn list(&self, request: ListRequest) -> Verdict<Vec<Object>> {
        let listing = self.connector.list(&self.cx, request)?;
        let (objects, completeness) = collect(listing, 1_000_000).await?;
        ensure(completeness.is_complete(), || format!("the listing is not complete: {completeness:?}"))?;
        Ok(objects)
    }

    /// `read` must hold what was written, as the target shows it.
    pub(super) fn shows(&self, read: &Attributes, written: &Attributes) -> Verdict {
        let shape = self.shape(&self.class)?;
        for (name, slot) in written.iter() {
            let Some((name, schema)) = shape.attribute(name.as_str()) else { continue };
            let wanted = slot.values().iter().filter_map(|value| self.profile.shown(name, value));
            let wanted = crate::value::Slot::from_values(wanted.collect());
            let found = crate::value::Slot::from_values(read.values(name.as_str()).to_vec());
            ensure(schema.same_slot(&found, &wanted), || {
                format!("`{name}` is {found:?}, {wanted:?} was written")
            })?;
        }
        Ok(())
    }
}
