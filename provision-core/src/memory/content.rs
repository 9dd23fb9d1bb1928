//! What an in-memory target holds, and the entries that change it. Every change is an entry, so that a log of entries
//! replays to the same content.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::MemoryClass;
use crate::connector::ObjectKey;
use crate::id::{ClassName, LinkId};
use crate::schema::CaseRule;
use crate::value::{AttrName, Attributes, Timestamp, Value};

/// An object as kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    /// Its number: the id without decoration. Never reused.
    pub(super) number: u64,
    /// Its attributes; only ones with values.
    pub(super) attributes: Attributes,
    /// Its state, where the class has one.
    pub(super) enabled: Option<bool>,
    /// Digest of its password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) password: Option<String>,
    /// The password must be changed at the next sign-in.
    #[serde(default)]
    pub(super) must_change: bool,
    /// The link id of the create.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) link: Option<LinkId>,
}

/// One change of the content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    /// The object is so afterwards; its members are untouched.
    Put { class: ClassName, object: Stored },
    /// The object is gone; with an instant, it can be brought back for a while.
    Remove {
        class: ClassName,
        number: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Timestamp>,
    },
    /// Members of a group come and go.
    Edges { class: ClassName, group: u64, add: Vec<u64>, remove: Vec<u64> },
}

/// An object that was deleted and can be brought back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Binned {
    /// Its class.
    pub(super) class: ClassName,
    /// What it was; its memberships are gone.
    pub(super) object: Stored,
    /// When it was deleted.
    pub(super) at: Timestamp,
}

/// One row of the change feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Changed {
    /// Its place in the order of all changes, from 1.
    pub(super) sequence: u64,
    /// Class of the object.
    pub(super) class: ClassName,
    /// The object.
    pub(super) number: u64,
    /// Its name then.
    pub(super) name: Option<String>,
    /// It is gone.
    pub(super) deleted: bool,
}

/// The objects of one class, with their indexes.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pub(super) objects: BTreeMap<u64, Stored>,
    index: BTreeMap<AttrName, BTreeMap<String, BTreeSet<u64>>>,
}

impl Shelf {
    fn reindex(&mut self, class: &MemoryClass, object: &Stored, enter: bool) {
        for name in &class.indexed {
            let case = class.attributes.get(name).map_or(CaseRule::Exact, |schema| schema.case);
            for text in object.attributes.values(name.as_str()).iter().filter_map(Value::as_text) {
                let values = self.index.entry(name.clone()).or_default();
                let folded = case.fold(text);
                if enter {
                    values.entry(folded).or_default().insert(object.number);
                } else if let Some(holders) = values.get_mut(&folded) {
                    holders.remove(&object.number);
                    if holders.is_empty() {
                        values.remove(&folded);
                    }
                }
            }
        }
    }

    /// Numbers of the objects with this value; `folded` by the attribute's case rule.
    pub(super) fn holders(&self, name: &str, folded: &str) -> impl Iterator<Item = u64> {
        self.index.get(name).and_then(|values| values.get(folded)).into_iter().flatten().copied()
    }

    /// Numbers of the objects with a value that starts so; `folded` by the attribute's case rule.
    pub(super) fn starting(&self, name: &str, folded: &str) -> BTreeSet<u64> {
        let values = self.index.get(name).into_iter();
        values
            .flat_map(|values| values.range(folded.to_owned()..))
            .take_while(|(value, _)| value.starts_with(folded))
            .flat_map(|(_, holders)| holders.iter().copied())
            .collect()
    }
}

/// Everything the target holds.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) classes: BTreeMap<ClassName, MemoryClass>,
    pub(super) shelves: BTreeMap<ClassName, Shelf>,
    /// Number of the next object.
    pub(super) next: u64,
    /// How many changes there have been.
    pub(super) sequence: u64,
    /// The last of them, oldest first.
    pub(super) changes: VecDeque<Changed>,
    pub(super) changes_kept: usize,
    /// What was deleted and can be brought back, by number.
    pub(super) bin: BTreeMap<u64, Binned>,
    class_of: HashMap<u64, ClassName>,
    members: HashMap<u64, BTreeSet<u64>>,
    member_of: HashMap<u64, BTreeSet<u64>>,
    links: HashMap<LinkId, u64>,
}

impl Content {
    /// Nothing, of these classes.
    pub(super) fn new(classes: BTreeMap<ClassName, MemoryClass>, changes_kept: usize) -> Self {
        Self { classes, changes_kept, next: 1, ..Self::default() }
    }

    /// Makes the change.
    pub(super) fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Put { class, object } => self.put(class, object.clone()),
            Entry::Remove { class, number, at } => self.remove(class, *number, *at),
            Entry::Edges { class, group, add, remove } => {
                for member in remove {
                    self.edge(*group, *member, false);
                }
                for member in add {
                    self.edge(*group, *member, true);
                }
                self.changed(class, *group, false, self.name(class, *group));
            }
        }
    }

    /// Places an object without telling the change feed.
    pub(super) fn place(&mut self, class: &ClassName, object: Stored) {
        let Some(shape) = self.classes.get(class) else { return };
        let shelf = self.shelves.entry(class.clone()).or_default();
        if let Some(before) = shelf.objects.remove(&object.number) {
            shelf.reindex(shape, &before, false);
        }
        shelf.reindex(shape, &object, true);
        self.next = self.next.max(object.number + 1);
        self.class_of.insert(object.number, class.clone());
        self.bin.remove(&object.number);
        if let Some(link) = object.link {
            self.links.insert(link, object.number);
        }
        shelf.objects.insert(object.number, object);
    }

    fn put(&mut self, class: &ClassName, object: Stored) {
        let number = object.number;
        self.place(class, object);
        self.changed(class, number, false, self.name(class, number));
    }

    fn remove(&mut self, class: &ClassName, number: u64, at: Option<Timestamp>) {
        let name = self.name(class, number);
        let (Some(shape), Some(shelf)) = (self.classes.get(class), self.shelves.get_mut(class)) else {
            return;
        };
        let Some(object) = shelf.objects.remove(&number) else { return };
        shelf.reindex(shape, &object, false);
        self.class_of.remove(&number);
        if let Some(link) = object.link {
            self.links.remove(&link);
        }
        for group in self.member_of.remove(&number).unwrap_or_default() {
            self.edge(group, number, false);
        }
        for member in self.members.remove(&number).unwrap_or_default() {
            self.member_of.entry(member).or_default().remove(&number);
        }
        if let Some(at) = at {
            self.bin.insert(number, Binned { class: class.clone(), object, at });
        }
        self.changed(class, number, true, name);
    }

    /// Adds or removes an edge without telling the change feed.
    pub(super) fn edge(&mut self, group: u64, member: u64, add: bool) {
        let members = self.members.entry(group).or_default();
        let groups = self.member_of.entry(member).or_default();
        if add {
            members.insert(member);
            groups.insert(group);
        } else {
            members.remove(&member);
            groups.remove(&group);
        }
    }

    fn changed(&mut self, class: &ClassName, number: u64, deleted: bool, name: Option<String>) {
        self.sequence += 1;
        let sequence = self.sequence;
        self.changes.push_back(Changed { sequence, class: class.clone(), number, name, deleted });
        while self.changes.len() > self.changes_kept {
            self.changes.pop_front();
        }
    }

    /// The object with that id.
    pub(super) fn find(&self, class: &ClassName, id: &str) -> Option<&Stored> {
        self.shelves.get(class)?.objects.get(&number(id)?)
    }

    /// The object created for that link.
    pub(super) fn by_link(&self, class: &ClassName, link: LinkId) -> Option<&Stored> {
        self.shelves.get(class)?.objects.get(self.links.get(&link)?)
    }

    /// The class of an object that exists.
    pub(super) fn class_of(&self, number: u64) -> Option<&ClassName> {
        self.class_of.get(&number)
    }

    /// Members of a group.
    pub(super) fn members(&self, group: u64) -> impl Iterator<Item = u64> {
        self.members.get(&group).into_iter().flatten().copied()
    }

    /// Groups with members.
    pub(super) fn groups(&self) -> impl Iterator<Item = (u64, &BTreeSet<u64>)> {
        self.members.iter().map(|(group, members)| (*group, members))
    }

    /// Groups of a member.
    pub(super) fn groups_of(&self, member: u64) -> impl Iterator<Item = u64> {
        self.member_of.get(&member).into_iter().flatten().copied()
    }

    /// Whether the edge is there.
    pub(super) fn is_member(&self, group: u64, member: u64) -> bool {
        self.members.get(&group).is_some_and(|members| members.contains(&member))
    }

    fn name(&self, class: &ClassName, number: u64) -> Option<String> {
        let naming = self.classes.get(class)?.naming.as_ref()?;
        let object = self.shelves.get(class)?.objects.get(&number)?;
        object.attributes.text(naming.as_str()).map(str::to_owned)
    }

    /// The key of an object.
    pub(super) fn key(&self, class: &ClassName, object: u64) -> ObjectKey {
        ObjectKey { id: id(object), name: self.name(class, object) }
    }
}

/// The id of an object.
pub(super) fn id(number: u64) -> String {
    format!("m-{number:06}")
}

/// The number of an id; `None` for an id that we never give.
pub(super) fn number(text: &str) -> Option<u64> {
    let number = text.strip_prefix("m-")?.parse().ok()?;
    (id(number) == text).then_some(number)
}
