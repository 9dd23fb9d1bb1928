//! Creates, updates, renames, deletes, enables and disables.

use async_trait::async_trait;

use super::content::{Binned, Content, Entry, Stored};
use super::credential::{accept, digest};
use super::fault::{About, Operation};
use super::target::{Target, Turn, not_found, refuse};
use super::{MemoryClass, MemoryConnector};
use crate::connector::{
    Context, CreateRequest, DeleteRequest, LifecycleFacet, LifecycleRequest, Object, ObjectKey, Outcome,
    PollRequest, RenameRequest, UpdateRequest, Writer,
};
use crate::delta::{Change, Delta};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ClassName, LinkId};
use crate::schema::{Mutability, ObjectClass};
use crate::value::{AttrName, Attributes, Secret, Value};

/// Most values an attribute may have.
const VALUES_MAX: usize = 10_000;

/// Longest text or octet value, in bytes.
const VALUE_BYTES_MAX: usize = 1024 * 1024;

/// What a new object is made of.
struct Birth<'a> {
    class: &'a ClassName,
    attributes: &'a Attributes,
    enabled: Option<bool>,
    link: Option<LinkId>,
    password: Option<&'a Secret>,
}

impl Target {
    pub(super) fn seed(
        &self,
        class: &ClassName,
        objects: impl IntoIterator<Item = (Attributes, Option<bool>)>,
    ) -> Result<Vec<ObjectKey>> {
        let keys = {
            let mut content = self.content()?;
            let create = |(attributes, enabled): (Attributes, Option<bool>)| {
                let birth = Birth { class, attributes: &attributes, enabled, link: None, password: None };
                let (number, _) = self.create(&mut content, &birth)?;
                Ok(content.key(class, number))
            };
            objects.into_iter().map(create).collect::<Result<Vec<_>>>()
        };
        self.flush()?;
        keys
    }

    pub(super) fn dump(&self, class: &ClassName) -> Result<Vec<Object>> {
        let content = self.content()?;
        let shelf = content.shelves.get(class);
        let objects = shelf.into_iter().flat_map(|shelf| shelf.objects.values());
        Ok(objects.map(|stored| self.view(&content, class, stored, true)).collect())
    }

    /// Creates an object; its number, and its attributes by the request alone.
    fn create(&self, content: &mut Content, birth: &Birth<'_>) -> Result<(u64, Attributes)> {
        let class = self.class(birth.class)?;
        let sign_in = content.classes.get(birth.class).is_some_and(|class| class.sign_in);
        let asked = parsed(class, birth.attributes)?;
        for (name, _) in asked.iter() {
            writable(class, name, |mutability| mutability != Mutability::ReadOnly)?;
        }
        let attributes = self.keep(&asked);
        self.admit(content, birth.class, &attributes, None)?;
        if birth.enabled.is_some() && !sign_in {
            return Err(refuse(ErrorKind::Unsupported, "objects of this class are not enabled or disabled"));
        }
        let number = content.next;
        let password = match birth.password {
            Some(password) => {
                accept(&self.config, sign_in, password)?;
                Some(digest(number, password))
            }
            None => None,
        };
        let enabled = sign_in.then(|| birth.enabled.unwrap_or(true));
        let object = Stored { number, attributes, enabled, password, must_change: false, link: birth.link };
        self.write(content, &Entry::Put { class: birth.class.clone(), object })?;
        Ok((number, asked))
    }

    /// Refuses attributes that an object of the class cannot have: missing, dangling or taken values.
    fn admit(
        &self,
        content: &Content,
        class: &ClassName,
        attributes: &Attributes,
        own: Option<u64>,
    ) -> Result<()> {
        let shape = self.class(class)?;
        for (name, schema) in &shape.attributes {
            let values = attributes.values(name.as_str());
            if schema.required && values.is_empty() {
                return Err(bad(name, "must have a value"));
            }
            let references = values.iter().filter_map(|value| match value {
                Value::Reference(object) => Some(object),
                _ => None,
            });
            for object in references {
                let known = content.find(&object.class, &object.key).is_some();
                // What the object already holds may have gone; a new reference must point at something.
                let held = own.and_then(|own| content.shelves.get(class)?.objects.get(&own));
                let held = held.is_some_and(|held| {
                    held.attributes.values(name.as_str()).contains(&Value::Reference(object.clone()))
                });
                if !known && !held {
                    return Err(bad(name, "refers to an object that is not there")
                        .with_context("reference", object.key.clone()));
                }
            }
            let taken = |text: &str| {
                let shelf = content.shelves.get(class);
                let folded = schema.case.fold(text);
                shelf.is_some_and(|shelf| {
                    shelf.holders(name.as_str(), &folded).any(|holder| Some(holder) != own)
                })
            };
            if schema.unique && values.iter().filter_map(Value::as_text).any(taken) {
                return Err(refuse(ErrorKind::AlreadyExists, format!("the value of `{name}` is taken"))
                    .with_context("attribute", name.as_str()));
            }
        }
        Ok(())
    }

    /// Gives an object other attributes, if they are others.
    fn rewrite(
        &self,
        content: &mut Content,
        class: &ClassName,
        stored: Stored,
        after: &Attributes,
    ) -> Result<()> {
        let attributes = self.keep(after);
        if attributes == stored.attributes {
            return Ok(());
        }
        self.admit(content, class, &attributes, Some(stored.number))?;
        let object = Stored { attributes, ..stored };
        self.write(content, &Entry::Put { class: class.clone(), object })
    }

    fn update(&self, turn: &Turn, request: &UpdateRequest) -> Result<Outcome> {
        let mut content = self.content()?;
        let class = self.class(&request.class)?;
        let stored = self.found(&content, &request.class, &request.key)?;
        let delta = spelled_delta(class, &request.delta)?;
        let asked = delta.apply(class, &stored.attributes);
        let changed = asked.iter().filter(|(name, _)| delta.changes.contains_key(*name));
        parsed(class, &changed.map(|(name, slot)| (name.clone(), slot.clone())).collect())?;
        for name in delta.changes.keys() {
            let same = asked.values(name.as_str()) == stored.attributes.values(name.as_str());
            writable(class, name, |mutability| {
                same || matches!(mutability, Mutability::ReadWrite | Mutability::WriteOnly)
            })?;
        }
        let number = stored.number;
        self.rewrite(&mut content, &request.class, stored, &asked)?;
        Ok(self.outcome(&content, &request.class, number, turn, Some(&asked)))
    }

    fn rename(&self, turn: &Turn, request: &RenameRequest) -> Result<Outcome> {
        let mut content = self.content()?;
        let class = self.class(&request.class)?;
        if class.naming.is_none() {
            return Err(refuse(ErrorKind::Unsupported, "objects of this class have no name to change"));
        }
        let stored = self.found(&content, &request.class, &request.key)?;
        let naming = parsed(class, &request.naming)?;
        let mut asked = stored.attributes.clone();
        for (name, slot) in naming.iter() {
            writable(class, name, |mutability| mutability == Mutability::Naming)?;
            asked.insert(name.clone(), slot.clone());
        }
        let number = stored.number;
        self.rewrite(&mut content, &request.class, stored, &asked)?;
        Ok(self.outcome(&content, &request.class, number, turn, Some(&asked)))
    }

    /// Refuses writes to a class that is only read.
    fn writable(&self, class: &ClassName) -> Result<()> {
        let content = self.content()?;
        match self.shape(&content, class)?.read_only {
            true => Err(refuse(ErrorKind::Unsupported, "objects of this class are only read")),
            false => Ok(()),
        }
    }

    /// Deletes an object; into the bin, where the target has one.
    fn remove(&self, content: &mut Content, class: ClassName, number: u64) -> Result<()> {
        let window = std::time::Duration::from_secs(self.config.delete_window_s);
        let now = self.now();
        content.bin.retain(|_, binned| now.since(binned.at) <= window);
        let at = (!window.is_zero()).then_some(now);
        self.write(content, &Entry::Remove { class, number, at })
    }

    pub(super) fn restore(&self, key: &ObjectKey) -> Result<()> {
        {
            let mut content = self.content()?;
            let window = std::time::Duration::from_secs(self.config.delete_window_s);
            let now = self.now();
            let number = super::content::number(&key.id);
            let binned = number.and_then(|number| content.bin.get(&number)).cloned();
            let Some(binned) = binned.filter(|binned| now.since(binned.at) <= window) else {
                return Err(refuse(ErrorKind::NotFound, "no deleted object of that key can be brought back"));
            };
            self.admit(&content, &binned.class, &binned.object.attributes, None)?;
            let Binned { class, object, .. } = binned;
            self.write(&mut content, &Entry::Put { class, object })?;
        }
        self.flush()
    }

    pub(super) fn found(&self, content: &Content, class: &ClassName, key: &ObjectKey) -> Result<Stored> {
        content.find(class, &key.id).cloned().ok_or_else(|| not_found(class, key))
    }

    pub(super) fn shape<'a>(&self, content: &'a Content, class: &ClassName) -> Result<&'a MemoryClass> {
        self.class(class)?;
        content.classes.get(class).ok_or_else(|| refuse(ErrorKind::Unsupported, "no such class"))
    }
}

fn about<'a>(operation: Operation, class: &'a ClassName, key: &'a ObjectKey) -> About<'a> {
    About { operation, class: Some(class), key: Some(&key.id), attributes: None }
}

#[async_trait]
impl Writer for MemoryConnector {
    async fn create(&self, cx: &Context, request: CreateRequest) -> Result<Outcome> {
        let about = About {
            operation: Operation::Create,
            class: Some(&request.class),
            key: None,
            attributes: Some(&request.attributes),
        };
        let turn = self.target.begin(cx, about).await?;
        self.target.writable(&request.class)?;
        let outcome = {
            let mut content = self.target.content()?;
            let remembers = self.target.config.idempotent_create;
            let known = content.by_link(&request.class, request.idempotency).map(|stored| stored.number);
            match known.filter(|_| remembers) {
                Some(number) => self.target.outcome(&content, &request.class, number, &turn, None),
                None => {
                    let birth = Birth {
                        class: &request.class,
                        attributes: &request.attributes,
                        enabled: request.enabled,
                        link: remembers.then_some(request.idempotency),
                        password: request.password.as_ref(),
                    };
                    let (number, asked) = self.target.create(&mut content, &birth)?;
                    self.target.outcome(&content, &request.class, number, &turn, Some(&asked))
                }
            }
        };
        self.target.answer(self.target.settle(&turn, outcome).await?)
    }

    async fn update(&self, cx: &Context, request: UpdateRequest) -> Result<Outcome> {
        let turn = self.target.begin(cx, about(Operation::Update, &request.class, &request.key)).await?;
        self.target.writable(&request.class)?;
        let outcome = self.target.update(&turn, &request)?;
        self.target.answer(self.target.settle(&turn, outcome).await?)
    }

    async fn rename(&self, cx: &Context, request: RenameRequest) -> Result<Outcome> {
        let turn = self.target.begin(cx, about(Operation::Rename, &request.class, &request.key)).await?;
        self.target.writable(&request.class)?;
        let outcome = self.target.rename(&turn, &request)?;
        self.target.answer(self.target.settle(&turn, outcome).await?)
    }

    async fn delete(&self, cx: &Context, request: DeleteRequest) -> Result<Outcome> {
        let turn = self.target.begin(cx, about(Operation::Delete, &request.class, &request.key)).await?;
        {
            let mut content = self.target.content()?;
            let shape = self.target.shape(&content, &request.class)?;
            if !shape.delete || shape.read_only {
                return Err(refuse(ErrorKind::Unsupported, "objects of this class cannot be deleted"));
            }
            let number = content.find(&request.class, &request.key.id).map(|stored| stored.number);
            if let Some(number) = number {
                self.target.remove(&mut content, request.class, number)?;
            }
        }
        self.target.answer(self.target.settle(&turn, Outcome::done(request.key)).await?)
    }

    async fn poll(&self, cx: &Context, request: PollRequest) -> Result<Outcome> {
        self.target.in_time(cx)?;
        self.target.late.poll(&request.ticket, self.target.config.pending_polls)
    }
}

#[async_trait]
impl LifecycleFacet for MemoryConnector {
    async fn set(&self, cx: &Context, request: LifecycleRequest) -> Result<Outcome> {
        let turn = self.target.begin(cx, about(Operation::Lifecycle, &request.class, &request.key)).await?;
        let outcome = {
            let mut content = self.target.content()?;
            let shape = self.target.shape(&content, &request.class)?;
            if !shape.sign_in || shape.read_only {
                return Err(refuse(
                    ErrorKind::Unsupported,
                    "objects of this class are not enabled or disabled",
                ));
            }
            let stored = self.target.found(&content, &request.class, &request.key)?;
            let number = stored.number;
            if stored.enabled != Some(request.enabled) {
                let object = Stored { enabled: Some(request.enabled), ..stored };
                self.target.write(&mut content, &Entry::Put { class: request.class.clone(), object })?;
            }
            self.target.outcome(&content, &request.class, number, &turn, None)
        };
        self.target.answer(self.target.settle(&turn, outcome).await?)
    }
}

fn bad(name: &AttrName, problem: &str) -> Error {
    refuse(ErrorKind::InvalidAttribute, format!("`{name}` {problem}"))
        .with_context("attribute", name.as_str())
}

fn writable(class: &ObjectClass, name: &AttrName, may: impl Fn(Mutability) -> bool) -> Result<()> {
    match class.attributes.get(name) {
        Some(schema) if !may(schema.mutability) => Err(bad(name, "cannot be written so")),
        _ => Ok(()),
    }
}

/// The attributes in the schema's spelling and types; every problem is in the error.
fn parsed(class: &ObjectClass, raw: &Attributes) -> Result<Attributes> {
    let (parsed, problems) = class.parse(raw);
    if let Some(first) = problems.first() {
        let all = problems.iter().map(|problem| problem.summary.as_str()).collect::<Vec<_>>().join("; ");
        let path = first.path.clone().unwrap_or_default();
        return Err(refuse(ErrorKind::InvalidAttribute, all).with_context("attribute", path));
    }
    for (name, slot) in parsed.iter() {
        let long = |value: &Value| match value {
            Value::Text(text) => text.len() > VALUE_BYTES_MAX,
            Value::Bytes(bytes) => bytes.len() > VALUE_BYTES_MAX,
            _ => false,
        };
        if slot.values().len() > VALUES_MAX || slot.values().iter().any(long) {
            return Err(bad(name, "is larger than the target takes"));
        }
    }
    Ok(parsed)
}

/// The delta in the schema's spelling and types.
fn spelled_delta(class: &ObjectClass, delta: &Delta) -> Result<Delta> {
    let mut spelled = Delta::new();
    for (name, change) in &delta.changes {
        let Some((known, schema)) = class.attribute(name.as_str()) else {
            return Err(bad(name, "is not an attribute of the class"));
        };
        let values = |values: &[Value]| -> Result<Vec<Value>> {
            // One by one: how many there may be counts for the result only.
            let parse = |value: &Value| {
                let one = Attributes::new().with(known.clone(), value.clone());
                parsed(class, &one).map(|one| one.values(known.as_str()).to_vec())
            };
            Ok(values.iter().map(parse).collect::<Result<Vec<_>>>()?.concat())
        };
        let change = match change {
            Change::Clear => Change::Clear,
            Change::Replace(new) => Change::Replace(values(new)?),
            Change::Edit { .. } if schema.ordered => {
                return Err(bad(known, "has an order: its list is replaced, not edited"));
            }
            Change::Edit { add, remove } => Change::Edit { add: values(add)?, remove: values(remove)? },
        };
        if spelled.changes.insert(known.clone(), change).is_some() {
            return Err(bad(known, "is changed twice"));
        }
    }
    Ok(spelled)
}
