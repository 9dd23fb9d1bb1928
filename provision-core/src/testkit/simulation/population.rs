//! The people of one source as they really are, and the feeds that tell of them.

use std::collections::{BTreeMap, BTreeSet};

use super::dice::Dice;
use super::policy::stem;
use crate::connector::Completeness;
use crate::id::SourceName;
use crate::model::{Employment, Lifecycle, Status};
use crate::source::{Feed, FeedEvent, FeedMode, FeedRecord, FeedSequence, RecordAction};
use crate::value::{Attributes, Date, Slot, Timestamp, Zone};

const GIVEN: [&str; 5] = ["Jane", "John ", "Zoë", "王", "Jo"];
const FAMILY: [&str; 4] = ["Smith", "Müller", "Kim", "Ng"];
/// The departments.
pub(super) const DEPARTMENTS: [&str; 3] = ["Sales", "Finance", "Research"];

/// The end of the key of somebody who never changes and comes last: a feed without them is not believed.
pub(super) const CANARY: &str = "999";

/// A person as the source has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) key: String,
    pub(super) given: String,
    pub(super) family: String,
    pub(super) department: String,
    pub(super) manager: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) end: Option<Date>,
    pub(super) status: Status,
    /// There is a row of them.
    pub(super) listed: bool,
    /// What names may be made of: every name they had since they came.
    pub(super) stems: BTreeSet<String>,
    /// They were to lose something at some time: nobody may wonder that they did.
    pub(super) left_once: bool,
}

impl Person {
    fn record(&self, position: u64) -> FeedRecord {
        let mut attributes = Attributes::new()
            .with("givenName", self.given.as_str())
            .with("familyName", self.family.as_str())
            .with("department", self.department.as_str());
        for (name, value) in [("manager", &self.manager), ("phone", &self.phone)] {
            match value {
                Some(value) => attributes.set(name, vec![value.as_str().into()]),
                None => attributes.insert(name, Slot::Null),
            }
        }
        let employment = Employment { start: None, end: self.end, status: self.status };
        FeedRecord {
            key: self.key.clone(),
            position,
            fingerprint: format!("{attributes:?} {employment:?}"),
            attributes,
            employment,
            zone: None,
            action: RecordAction::Upsert,
        }
    }

    /// Where the person stands at an instant, by the source's own words.
    pub(super) fn lifecycle(&self, now: Timestamp) -> Lifecycle {
        if !self.listed || self.status == Status::Terminated {
            return Lifecycle::Terminated;
        }
        let over = |end: Date| end.end_in(&Zone::utc()).is_ok_and(|end| end <= now);
        match self.status {
            _ if self.end.is_some_and(over) => Lifecycle::Terminated,
            Status::OnLeave => Lifecycle::OnLeave,
            Status::Suspended => Lifecycle::Suspended,
            Status::Active | Status::Terminated => Lifecycle::Active,
        }
    }
}

/// A delivery, as text on its way: it can be handed over again after a crash.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) number: u64,
    pub(super) records: Vec<FeedRecord>,
    pub(super) end: Ending,
}

/// How a delivery ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Whole,
    Partial,
    Broken,
    WithoutEnd,
}

impl Delivery {
    /// The feed of it.
    pub(super) fn feed(&self) -> Feed {
        let mut events: Vec<crate::Result<FeedEvent>> =
            self.records.chunks(4).map(|part| Ok(FeedEvent::Records(part.to_vec()))).collect();
        match self.end {
            Ending::Whole => {
                let proof = "end of file".to_owned();
                events.push(Ok(FeedEvent::End(Completeness::Complete { proof })));
            }
            Ending::Partial => {
                let reason = "rows were left out".to_owned();
                events.push(Ok(FeedEvent::End(Completeness::Partial { reason })));
            }
            Ending::Broken => {
                events.push(Err(crate::Error::new(crate::ErrorKind::Unavailable, "the source broke off")
                    .with_effect(crate::Effect::None)))
            }
            Ending::WithoutEnd => {}
        }
        Feed {
            name: format!("feed-{}", self.number),
            mode: FeedMode::Full,
            sequence: FeedSequence {
                order: Some(format!("{:06}", self.number)),
                content: format!("content-{}", self.number),
            },
            records: Box::pin(futures_util::stream::iter(events)),
        }
    }
}

/// The people of one source.
#[derive(Debug)]
pub(super) struct Population {
    pub(super) source: SourceName,
    prefix: char,
    pub(super) people: BTreeMap<String, Person>,
    hired: u64,
    feeds: u64,
    /// Deliveries that nobody has taken for good yet.
    pub(super) outbox: Vec<Delivery>,
    /// Deliveries that were made.
    pub(super) sent: Vec<Delivery>,
}

/// What can happen to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Join,
    Move,
    Leave,
    Return,
    EndSoon,
    Vanish,
    Away,
}

/// What can be wrong with a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Empty,
    Half,
    Partial,
    Broken,
    WithoutEnd,
    Cleared,
    Replay,
    Massacre,
}

impl Population {
    pub(super) fn new(source: &str, prefix: char) -> Self {
        let canary = Person {
            key: format!("{prefix}{CANARY}"),
            given: "Canary".to_owned(),
            family: "Bird".to_owned(),
            department: "Sales".to_owned(),
            manager: None,
            phone: None,
            end: None,
            status: Status::Active,
            listed: true,
            stems: [stem("Canary", "Bird")].into(),
            left_once: false,
        };
        Self {
            source: source.into(),
            prefix,
            people: BTreeMap::from([(canary.key.clone(), canary)]),
            hired: 0,
            feeds: 0,
            outbox: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// Lets something happen to somebody.
    pub(super) fn happen(&mut self, event: Event, dice: &Dice, now: Timestamp) -> Option<String> {
        if event == Event::Join {
            return Some(self.join(dice));
        }
        let active = |person: &&Person| {
            person.lifecycle(now) == Lifecycle::Active
                && person.end.is_none()
                && !person.key.ends_with(CANARY)
        };
        let gone = |person: &&Person| person.lifecycle(now) == Lifecycle::Terminated;
        let away = |person: &&Person| matches!(person.status, Status::OnLeave | Status::Suspended);
        let candidates: Vec<String> = match event {
            Event::Return => {
                self.people.values().filter(|p| gone(p) || away(p)).map(|p| p.key.clone()).collect()
            }
            _ => self.people.values().filter(active).map(|p| p.key.clone()).collect(),
        };
        let key = dice.pick(&candidates)?.clone();
        let colleagues: Vec<String> = self.people.keys().filter(|other| **other != key).cloned().collect();
        let person = self.people.get_mut(&key)?;
        match event {
            Event::Join => {}
            Event::Move => match dice.below(4) {
                0 => {
                    person.family = (*dice.pick(&FAMILY)?).to_owned();
                    person.stems.insert(stem(&person.given, &person.family));
                }
                1 => person.manager = dice.pick(&colleagues).cloned(),
                2 => person.phone = dice.per_mille(500).then(|| format!("+49 {}", dice.below(100))),
                _ => person.department = (*dice.pick(&DEPARTMENTS)?).to_owned(),
            },
            Event::Leave => person.status = Status::Terminated,
            Event::Return => {
                (person.status, person.end, person.listed) = (Status::Active, None, true);
            }
            Event::EndSoon => {
                let today = now.date_in(&Zone::utc()).ok()?;
                person.end = Some(today.plus_days(i32::try_from(dice.below(2)).unwrap_or(0)));
            }
            Event::Vanish => person.listed = false,
            Event::Away => {
                person.status = if dice.per_mille(500) { Status::OnLeave } else { Status::Suspended };
            }
        }
        person.left_once |= !matches!(event, Event::Move | Event::Join | Event::Return);
        Some(format!("{event:?} {key}"))
    }

    fn join(&mut self, dice: &Dice) -> String {
        self.hired += 1;
        let key = format!("{}{:03}", self.prefix, self.hired);
        let colleagues: Vec<String> = self.people.keys().cloned().collect();
        let pick = |from: &[&str]| dice.pick(from).copied().unwrap_or_default().to_owned();
        let (given, family) = (pick(&GIVEN), pick(&FAMILY));
        let person = Person {
            key: key.clone(),
            stems: [stem(&given, &family)].into(),
            given,
            family,
            department: pick(&DEPARTMENTS),
            manager: dice.per_mille(500).then(|| dice.pick(&colleagues).cloned()).flatten(),
            phone: dice.per_mille(500).then(|| format!("+49 {}", dice.below(100))),
            end: None,
            status: Status::Active,
            listed: true,
            left_once: false,
        };
        self.people.insert(key.clone(), person);
        format!("Join {key}")
    }

    fn records(&self) -> Vec<FeedRecord> {
        let listed = self.people.values().filter(|person| person.listed);
        (1..).zip(listed).map(|(position, person)| person.record(position)).collect()
    }

    /// Sends everything as it is.
    pub(super) fn deliver(&mut self) {
        self.feeds += 1;
        let records = self.records();
        let delivery = Delivery { number: self.feeds, records, end: Ending::Whole };
        self.sent.push(delivery.clone());
        self.outbox.push(delivery);
    }

    /// Sends something else than what is.
    pub(super) fn deliver_flawed(&mut self, flaw: Flaw, dice: &Dice) {
        if flaw == Flaw::Replay {
            self.outbox.extend(dice.pick(&self.sent).cloned());
            return;
        }
        self.feeds += 1;
        let mut records = self.records();
        let mut end = Ending::Whole;
        match flaw {
            Flaw::Empty => records.clear(),
            Flaw::Half => records.truncate(records.len() / 2),
            Flaw::Partial => {
                records.truncate(records.len() * 2 / 3);
                end = Ending::Partial;
            }
            Flaw::Broken => end = Ending::Broken,
            Flaw::WithoutEnd => {
                records.truncate(records.len() / 2);
                end = Ending::WithoutEnd;
            }
            Flaw::Cleared => {
                for record in &mut records {
                    record.attributes.insert("department", Slot::Null);
                    record.fingerprint.push_str(" cleared");
                }
            }
            Flaw::Massacre => {
                for record in &mut records {
                    record.employment.status = Status::Terminated;
                    record.fingerprint.push_str(" terminated");
                }
            }
            Flaw::Replay => {}
        }
        self.outbox.push(Delivery { number: self.feeds, records, end });
    }
}
