//! Engagements: the positions of a person who has several at the same time.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Employment, Identity, Lifecycle, SourceRecord};
use crate::error::Result;
use crate::id::SourceName;
use crate::value::{AttrName, Attributes, Date, Timestamp, Zone};

/// One of several engagements of a person: a row of a source of its own, with its own dates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engagement {
    /// The source of the row.
    pub source: SourceName,
    /// The row's key there.
    pub key: String,
    /// The person as this row and the records of other sources describe them, without the other engagements.
    pub attributes: Attributes,
    /// Which source each attribute came from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub provenance: BTreeMap<AttrName, SourceName>,
    /// When it begins and ends.
    pub employment: Employment,
    /// The zone its dates are read in.
    pub zone: Zone,
}

impl Engagement {
    /// Where it stands at `now`, and when that changes by itself.
    ///
    /// # Errors
    /// A date beyond the calendar.
    pub fn lifecycle(&self, now: Timestamp) -> Result<(Lifecycle, Option<Timestamp>)> {
        self.employment.at(now, &self.zone)
    }

    /// `source/key`: how reasons name it.
    pub fn order(&self) -> String {
        SourceRecord::row_key(&self.source, &self.key)
    }
}

/// Where an engagement comes in the order at an instant: those that stand, suspended ones, those to come, the nearest
/// first, those that are over; among equals as they were ranked at ingest.
type Turn = (u8, Option<Date>);

fn turn(engagement: &Engagement, now: Timestamp) -> Result<(Turn, Lifecycle)> {
    let (lifecycle, _) = engagement.lifecycle(now)?;
    let turn = match lifecycle {
        Lifecycle::Active | Lifecycle::OnLeave => (0, None),
        // Access that is barred is not used through another engagement.
        Lifecycle::Suspended => (1, None),
        Lifecycle::PreHire => (2, engagement.employment.start),
        Lifecycle::Terminated => (3, None),
    };
    Ok((turn, lifecycle))
}

/// The lifecycle of a person with these engagements: active while one is.
pub(super) fn together(engagements: &[Engagement], now: Timestamp) -> Result<(Lifecycle, Option<Timestamp>)> {
    let rank = |lifecycle: &Lifecycle| match lifecycle {
        Lifecycle::Active => 0,
        Lifecycle::OnLeave => 1,
        Lifecycle::Suspended => 2,
        Lifecycle::PreHire => 3,
        Lifecycle::Terminated => 4,
    };
    let mut stands = Lifecycle::Terminated;
    let mut next = None;
    for engagement in engagements {
        let (lifecycle, changes) = engagement.lifecycle(now)?;
        if rank(&lifecycle) < rank(&stands) {
            stands = lifecycle;
        }
        next = Timestamp::earliest(next, changes);
    }
    Ok((stands, next))
}

impl Identity {
    /// The engagements whose access counts at `now`, each with where it stands: those that stand, or where none does
    /// the suspended ones, or those that begin first. None for a person with a single one, who is described by the
    /// identity alone.
    ///
    /// # Errors
    /// A date beyond the calendar.
    pub fn engagements_at(&self, now: Timestamp) -> Result<Vec<(&Engagement, Lifecycle)>> {
        let mut all = self.in_turn(now)?;
        // Of those to come only the nearest: the others give nothing before their own first day.
        let first = all.first().map(|(turn, ..)| *turn);
        all.retain(|(turn, ..)| Some(*turn) == first);
        Ok(all.into_iter().map(|(_, lifecycle, engagement)| (engagement, lifecycle)).collect())
    }

    fn in_turn(&self, now: Timestamp) -> Result<Vec<(Turn, Lifecycle, &Engagement)>> {
        let with_turn = |engagement| turn(engagement, now).map(|(turn, stands)| (turn, stands, engagement));
        let mut all = self.engagements.iter().map(with_turn).collect::<Result<Vec<_>>>()?;
        all.sort_by_key(|(turn, ..)| *turn);
        Ok(all)
    }

    /// The identity as its engagements make it at `now`: attributes are those of the first that counts, what it leaves
    /// absent is as the next says. Without several engagements it is the identity itself.
    ///
    /// # Errors
    /// A date beyond the calendar.
    pub fn as_of(&self, now: Timestamp) -> Result<Cow<'_, Self>> {
        if self.engagements.is_empty() {
            return Ok(Cow::Borrowed(self));
        }
        let counting = self.engagements_at(now)?;
        let mut seen = self.clone();
        seen.attributes = Attributes::new();
        seen.provenance.clear();
        for (engagement, _) in &counting {
            for (name, slot) in engagement.attributes.iter() {
                if seen.attributes.get(name.as_str()).is_none() {
                    seen.attributes.insert(name.clone(), slot.clone());
                    if let Some(source) = engagement.provenance.get(name) {
                        seen.provenance.insert(name.clone(), source.clone());
                    }
                }
            }
        }
        if let Some((first, _)) = counting.first() {
            seen.employment = first.employment;
            seen.zone = first.zone.clone();
        }
        Ok(Cow::Owned(seen))
    }

    /// The identity as one of its engagements alone describes it.
    pub fn seen_in(&self, engagement: &Engagement) -> Self {
        Self {
            attributes: engagement.attributes.clone(),
            provenance: engagement.provenance.clone(),
            employment: engagement.employment,
            zone: engagement.zone.clone(),
            engagements: Vec::new(),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{IdentityId, RealmId};
    use crate::model::Status;

    fn engagement(key: &str, dates: [Option<&str>; 2], attributes: &[(&str, &str)]) -> Engagement {
        let date = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        let mut all = Attributes::new();
        for (name, value) in attributes {
            all = if value.is_empty() { all.with_null(*name) } else { all.with(*name, *value) };
        }
        Engagement {
            source: "hr".into(),
            key: key.to_owned(),
            provenance: all.iter().map(|(name, _)| (name.clone(), "hr".into())).collect(),
            attributes: all,
            employment: Employment { start: date(dates[0]), end: date(dates[1]), status: Status::Active },
            zone: Zone::utc(),
        }
    }

    fn jane(engagements: Vec<Engagement>) -> Identity {
        Identity {
            id: IdentityId::from_uuid(uuid::Uuid::from_u128(1)),
            realm: RealmId::new("test"),
            attributes: Attributes::new(),
            provenance: BTreeMap::new(),
            employment: Employment::default(),
            engagements,
            zone: Zone::utc(),
            source: "hr".into(),
            key: "7".to_owned(),
            version: 1,
            next_change_at: None,
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_person_is_active_while_one_engagement_is_and_wakes_at_every_date() {
        let jane = jane(vec![
            engagement("1", [Some("2026-01-01"), Some("2026-03-31")], &[]),
            engagement("2", [Some("2026-06-01"), Some("2026-12-31")], &[]),
            engagement("3", [Some("2026-02-01"), Some("2026-02-10")], &[]),
        ]);
        for (now, lifecycle, next) in [
            ("2025-12-01T00:00:00Z", Lifecycle::PreHire, Some("2026-01-01T00:00:00Z")),
            ("2026-01-01T00:00:00Z", Lifecycle::Active, Some("2026-02-01T00:00:00Z")),
            ("2026-02-05T00:00:00Z", Lifecycle::Active, Some("2026-02-11T00:00:00Z")),
            ("2026-03-01T00:00:00Z", Lifecycle::Active, Some("2026-04-01T00:00:00Z")),
            ("2026-04-01T00:00:00Z", Lifecycle::PreHire, Some("2026-06-01T00:00:00Z")),
            ("2026-06-01T00:00:00Z", Lifecycle::Active, Some("2027-01-01T00:00:00Z")),
            ("2027-01-01T00:00:00Z", Lifecycle::Terminated, None),
        ] {
            assert_eq!(jane.lifecycle(at(now)).unwrap(), (lifecycle, next.map(at)), "{now}");
        }
    }

    #[test]
    fn attributes_are_those_of_the_first_that_stands_and_what_it_leaves_open_of_the_next() {
        let jane = jane(vec![
            engagement("1", [None, Some("2026-03-31")], &[("title", "Clerk"), ("room", ""), ("only", "old")]),
            engagement("2", [Some("2026-02-01"), None], &[("title", "Cook"), ("room", "3"), ("phone", "5")]),
        ]);
        let shown = |now: &str| {
            let seen = jane.as_of(at(now)).unwrap();
            let text = |name: &str| match seen.attributes.get(name) {
                None => "-".to_owned(),
                Some(slot) => slot.values().first().map_or("null".to_owned(), |value| value.to_plain()),
            };
            (["title", "room", "only", "phone"].map(text), seen.employment.end)
        };
        let end = "2026-03-31".parse().ok();
        assert_eq!(shown("2026-01-01T00:00:00Z"), (["Clerk", "null", "old", "-"].map(str::to_owned), end));
        assert_eq!(shown("2026-02-01T00:00:00Z"), (["Clerk", "null", "old", "5"].map(str::to_owned), end));
        assert_eq!(shown("2026-04-01T00:00:00Z"), (["Cook", "3", "-", "5"].map(str::to_owned), None));
    }

    #[test]
    fn an_identity_of_an_earlier_version_reads_and_one_without_engagements_is_written_as_before() {
        let body = serde_json::to_string(&jane(Vec::new())).unwrap();
        assert!(!body.contains("engagements"), "{body}");
        let read: Identity = serde_json::from_str(&body).unwrap();
        assert_eq!(read, jane(Vec::new()));
        let several = jane(vec![engagement("1", [None, None], &[("title", "Clerk")])]);
        let body = serde_json::to_string(&several).unwrap();
        assert_eq!(serde_json::from_str::<Identity>(&body).unwrap(), several);
    }
}
