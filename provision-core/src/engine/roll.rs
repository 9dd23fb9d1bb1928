//! The roll of a class: what each of our accounts showed when it was last compared, small enough to hold them all.
//!
//! An account whose fingerprint is still the same needs no look at its link and no write: a reconcile costs what has
//! changed, and a line on the roll, 33 bytes, for each account of ours.

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::Engine;
use crate::connector::{Object, ObjectKey};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ClassName, TargetName};
use crate::model::{Compared, Link, LinkState};
use crate::schema::{Mutability, ObjectClass};
use crate::store::{self, Cursor, Record, Rows, Scan, Select};

/// Links read at once.
const PAGE: u32 = 2_000;

/// A part of a SHA-256 digest: 128 bits.
type Print = [u8; 16];

/// What an account showed, as one number: equal for equal keys, state and attributes that we look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(Print);

impl Fingerprint {
    /// As it is kept with a link.
    pub(super) fn to_text(self) -> String {
        hex::encode(self.0)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut print = Print::default();
        hex::decode_to_slice(text, &mut print).ok()?;
        Some(Self(print))
    }
}

/// Takes fingerprints of the objects of a class. Another schema gives others: values may compare otherwise then.
pub(super) struct Fingerprinter<'a> {
    schema: &'a ObjectClass,
    start: Sha256,
    text: Vec<u8>,
}

impl<'a> Fingerprinter<'a> {
    pub(super) fn new(schema: &'a ObjectClass) -> Result<Self> {
        let mut start = Sha256::new();
        start.update(serde_json::to_vec(schema).map_err(unencodable)?);
        Ok(Self { schema, start, text: Vec::new() })
    }

    /// The fingerprint of what [`super::reconcile::seen`] looks at. What the target computes by itself, such as the
    /// time of the last sign-in, is not in it.
    pub(super) fn of(&mut self, object: &Object) -> Result<Fingerprint> {
        self.text.clear();
        self.note(&object.key)?;
        self.note(&object.enabled)?;
        for (name, slot) in object.attributes.iter() {
            let Some(schema) = self.schema.attributes.get(name) else { continue };
            let computed = matches!(schema.mutability, Mutability::ReadOnly | Mutability::WriteOnly);
            if computed || !schema.returned {
                continue;
            }
            self.note(name)?;
            if schema.multi && !schema.ordered && slot.values().len() > 1 {
                // A set, in whatever order it comes.
                let mut values: Vec<_> = slot.values().iter().collect();
                values.sort();
                self.note(&values)?;
            } else {
                self.note(slot)?;
            }
        }
        let mut hasher = self.start.clone();
        hasher.update(&self.text);
        Ok(Fingerprint(short(&hasher.finalize())))
    }

    fn note(&mut self, what: &impl serde::Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.text, what).map_err(unencodable)?;
        // JSON has no raw control characters: nothing can look like the end of something else.
        self.text.push(0);
        Ok(())
    }
}

/// One of our accounts.
#[derive(Clone, Copy, Debug)]
struct Line {
    object: Print,
    shown: Print,
    /// `shown` is known and nothing was written since.
    compared: bool,
    called: bool,
}

/// What the roll says of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Ours, and as it was when it was last compared.
    Same,
    /// Ours, to be compared.
    Other,
    /// Not ours, or ours only since the roll was written: then what was listed may be older than the account.
    Stranger,
}

/// The accounts of ours in one class, as they were when the roll was written.
#[derive(Debug, Default)]
pub(super) struct Roll {
    lines: Vec<Line>,
    /// Accounts that should be there.
    pub(super) active: u64,
}

/// What the roll needs to know of a link: the rest of the row is passed over.
#[derive(Deserialize)]
struct Entry {
    target: TargetName,
    class: ClassName,
    key: Option<ObjectKey>,
    state: LinkState,
    revision: u64,
    #[serde(default)]
    compared: Option<Compared>,
}

impl Roll {
    fn enter(&mut self, entry: &Entry) {
        self.active += u64::from(entry.state != LinkState::Inactive);
        let Some(key) = &entry.key else { return };
        let compared = entry.compared.as_ref().filter(|compared| compared.revision == entry.revision);
        let shown = compared.and_then(|compared| Fingerprint::parse(&compared.fingerprint));
        self.lines.push(Line {
            object: name_of(&key.id),
            shown: shown.map(|print| print.0).unwrap_or_default(),
            compared: shown.is_some(),
            called: false,
        });
    }

    /// Calls an object that the target listed.
    pub(super) fn call(&mut self, object: &str, shows: Fingerprint) -> Answer {
        match self.find(object) {
            Some(line) => {
                line.called = true;
                if line.compared && line.shown == shows.0 { Answer::Same } else { Answer::Other }
            }
            None => Answer::Stranger,
        }
    }

    /// Whether the object has a line and was not called. One that became ours later may have been listed or not.
    pub(super) fn lacks(&mut self, object: &str) -> bool {
        self.find(object).is_some_and(|line| !line.called)
    }

    /// True when every account of the roll was called.
    pub(super) fn is_full(&self) -> bool {
        self.lines.iter().all(|line| line.called)
    }

    fn find(&mut self, object: &str) -> Option<&mut Line> {
        let name = name_of(object);
        let at = self.lines.binary_search_by(|line| line.object.cmp(&name)).ok()?;
        self.lines.get_mut(at)
    }
}

impl Engine {
    /// Writes the roll of a class.
    pub(super) async fn roll(&self, target: &TargetName, class: &ClassName) -> Result<Roll> {
        let mut roll = Roll::default();
        let mut page = Some(self.roll_page(target, class, None).await?);
        while let Some(rows) = page {
            // The store reads the next page while we enter this one.
            let ahead = async {
                match rows.next.clone() {
                    Some(after) => self.roll_page(target, class, Some(after)).await.map(Some),
                    None => Ok(None),
                }
            };
            let entered = async {
                for row in &rows.rows {
                    let entry = store::decode_part::<Entry>(Link::TABLE, row)?;
                    // A key does not tell where a name with a slash ends.
                    if &entry.target == target && &entry.class == class {
                        roll.enter(&entry);
                    }
                }
                Ok(())
            };
            (page, _) = futures_util::future::try_join(ahead, entered).await?;
        }
        roll.lines.sort_unstable_by_key(|line| line.object);
        Ok(roll)
    }

    /// Links in the order of their keys: the order they are stored in.
    async fn roll_page(&self, target: &TargetName, class: &ClassName, after: Option<Cursor>) -> Result<Rows> {
        let select = Select::KeyPrefix(format!("{}/{}/", target.as_str(), class.as_str()));
        let (realm, table) = (self.realm.clone(), Link::TABLE);
        self.store().scan(&Scan { realm, table, select, after, limit: PAGE }).await
    }
}

/// An id of any length in few bytes.
fn name_of(object: &str) -> Print {
    short(&Sha256::digest(object))
}

fn unencodable(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Unexpected, "cannot encode what an account showed").with_source(error)
}

fn short(digest: &[u8]) -> Print {
    let mut print = Print::default();
    for (to, from) in print.iter_mut().zip(digest) {
        *to = *from;
    }
    print
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::AttributeSchema;
    use crate::value::{Attributes, Value};

    fn class() -> ObjectClass {
        let mut class = ObjectClass::default();
        class.attributes.insert("mail".into(), AttributeSchema::text());
        class.attributes.insert("phones".into(), AttributeSchema { multi: true, ..AttributeSchema::text() });
        class.attributes.insert(
            "titles".into(),
            AttributeSchema { multi: true, ordered: true, ..AttributeSchema::text() },
        );
        class.attributes.insert(
            "lastSeen".into(),
            AttributeSchema { mutability: Mutability::ReadOnly, ..AttributeSchema::text() },
        );
        class
    }

    fn object(attributes: Attributes) -> Object {
        Object { class: "user".into(), key: ObjectKey::id("7"), attributes, enabled: Some(true) }
    }

    fn print(class: &ObjectClass, object: &Object) -> Fingerprint {
        Fingerprinter::new(class).unwrap().of(object).unwrap()
    }

    fn texts(values: &[&str]) -> Vec<Value> {
        values.iter().map(|value| Value::text(*value)).collect()
    }

    #[test]
    fn a_fingerprint_tells_everything_we_look_at_and_nothing_else() {
        let class = class();
        let shown = |change: &dyn Fn(&mut Object)| {
            let mut attributes = Attributes::new().with("mail", "a@x").with("lastSeen", "today");
            attributes.set("phones", texts(&["1", "2"]));
            attributes.set("titles", texts(&["1", "2"]));
            let mut object = object(attributes);
            change(&mut object);
            print(&class, &object)
        };
        let first = shown(&|_| {});
        let same: [&dyn Fn(&mut Object); 3] = [
            &|object| object.attributes.set("phones", texts(&["2", "1"])),
            &|object| object.attributes.set("lastSeen", texts(&["tomorrow"])),
            &|object| object.attributes.set("unheardOf", texts(&["x"])),
        ];
        assert!(same.iter().all(|change| shown(change) == first));
        let other: [&dyn Fn(&mut Object); 7] = [
            &|object| object.attributes.set("mail", texts(&["A@x"])),
            &|object| object.attributes.set("mail", texts(&["a@x\0"])),
            &|object| object.attributes.set("phones", texts(&["1"])),
            &|object| object.attributes.set("titles", texts(&["2", "1"])),
            &|object| object.enabled = Some(false),
            &|object| object.enabled = None,
            &|object| object.key.name = Some("seven".to_owned()),
        ];
        let mut prints: Vec<String> = other.iter().map(|change| shown(change).to_text()).collect();
        prints.push(first.to_text());
        prints.sort();
        prints.dedup();
        assert_eq!(prints.len(), 8);
        let mut ignoring = class.clone();
        ignoring.attributes.insert(
            "mail".into(),
            AttributeSchema { case: crate::schema::CaseRule::Ignore, ..AttributeSchema::text() },
        );
        let object = object(Attributes::new().with("mail", "a@x"));
        assert_ne!(print(&class, &object), print(&ignoring, &object), "values compare otherwise now");
    }

    #[test]
    fn a_line_that_was_written_since_is_compared_again() {
        let shows = print(&class(), &object(Attributes::new()));
        let entry = |object: &str, compared: Option<u64>| Entry {
            target: "t".into(),
            class: "user".into(),
            key: Some(ObjectKey::id(object)),
            state: LinkState::Active,
            revision: 3,
            compared: compared.map(|revision| Compared { fingerprint: shows.to_text(), revision }),
        };
        let mut roll = Roll::default();
        roll.enter(&entry("a", Some(3)));
        roll.enter(&entry("b", Some(2)));
        roll.enter(&entry("c", None));
        roll.lines.sort_unstable_by_key(|line| line.object);
        assert_eq!(roll.call("a", shows), Answer::Same);
        assert_eq!(roll.call("b", shows), Answer::Other);
        assert!(!roll.is_full() && !roll.lacks("b") && roll.lacks("c"));
        assert_eq!(roll.call("c", shows), Answer::Other);
        assert_eq!(roll.call("d", shows), Answer::Stranger);
        assert!(roll.is_full() && !roll.lacks("d"));
    }
}
