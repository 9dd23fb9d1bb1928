//! Instants, dates and zones. Our own types, so that no 0.x type is in the public API.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::error::{Error, ErrorKind, Result};

/// An instant, to the microsecond, UTC. RFC 3339 in text and JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

impl Timestamp {
    /// The first instant there is for sorting purposes: the Unix epoch.
    pub const EPOCH: Self = Self(0);

    /// From microseconds since the Unix epoch.
    pub fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// Milliseconds since the Unix epoch; 0 before it.
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0 / 1000).unwrap_or(0)
    }

    /// Later by `duration`, saturating.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The earlier of two instants, where there are any.
    pub fn earliest(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Earlier by `duration`, saturating.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// Time since `earlier`; zero if it is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Fixed-width text (`2026-11-20T08:00:00.000000Z`) that sorts as the instants do, from year 0 to 9999.
    pub fn sortable(self) -> String {
        match self.to_jiff() {
            Ok(instant) => instant.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
            Err(_) => format!("{:020}", self.0),
        }
    }

    /// The calendar date in a zone.
    pub fn date_in(self, zone: &Zone) -> Result<Date> {
        let instant = self.to_jiff()?;
        Ok(Date(instant.to_zoned(zone.to_jiff()?).date()))
    }

    /// The first instant after this one at which the calendar of the zone shows another date: the next midnight, where
    /// the clocks do nothing else. They may skip it, show it twice, or go back to the day before a minute later.
    pub fn next_date_in(self, zone: &Zone) -> Result<Self> {
        let zone = zone.to_jiff()?;
        let now = self.to_jiff()?;
        let date = now.to_zoned(zone.clone()).date();
        let beyond = |error| Error::new(ErrorKind::DataInvalid, "date out of range").with_source(error);
        let midnight = date.tomorrow().map_err(beyond)?.at(0, 0, 0, 0);
        let ambiguous = zone.to_ambiguous_timestamp(midnight);
        let latest = ambiguous.later().map_err(beyond)?;
        let moves = zone.following(now).map(|of| of.timestamp()).take_while(|at| *at <= latest);
        let midnights = [ambiguous.earlier().map_err(beyond)?, latest];
        let other = |at: &jiff::Timestamp| *at > now && at.to_zoned(zone.clone()).date() != date;
        let next = moves.chain(midnights).filter(other).min();
        Ok(Self(next.unwrap_or(latest).as_microsecond()))
    }

    fn to_jiff(self) -> Result<jiff::Timestamp> {
        jiff::Timestamp::from_microsecond(self.0)
            .map_err(|error| Error::new(ErrorKind::DataInvalid, "instant out of range").with_source(error))
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    /// Reads RFC 3339, e.g. `2026-11-20T08:00:00Z`; an offset is required.
    fn from_str(text: &str) -> Result<Self> {
        jiff::Timestamp::from_str(text).map(|instant| Self(instant.as_microsecond())).map_err(|error| {
            Error::new(
                ErrorKind::DataInvalid,
                format!("`{}` is not an RFC 3339 instant", crate::text::escape(text)),
            )
            .with_source(error)
        })
    }
}

impl TryFrom<String> for Timestamp {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(instant: Timestamp) -> Self {
        instant.to_string()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_jiff() {
            Ok(instant) => write!(f, "{instant}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A calendar date without zone: `2026-11-20`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date(jiff::civil::Date);

impl Date {
    /// A date, or `None` if there is no such day.
    pub fn new(year: i16, month: i8, day: i8) -> Option<Self> {
        jiff::civil::Date::new(year, month, day).ok().map(Self)
    }

    /// Reads `text` by a pattern of `%Y %m %d %b` and literals, e.g. `%d/%m/%Y`.
    pub fn parse_with(pattern: &str, text: &str) -> Result<Self> {
        jiff::civil::Date::strptime(pattern, text).map(Self).map_err(|error| {
            let shown = crate::text::escape(text);
            Error::new(ErrorKind::DataInvalid, format!("`{shown}` is not a date of the form `{pattern}`"))
                .with_source(error)
        })
    }

    /// The first instant of the day in the zone (the end of a gap, if the day starts in one).
    pub fn start_in(self, zone: &Zone) -> Result<Timestamp> {
        self.0
            .to_zoned(zone.to_jiff()?)
            .and_then(|zoned| zoned.start_of_day())
            .map(|zoned| Timestamp(zoned.timestamp().as_microsecond()))
            .map_err(|error| Error::new(ErrorKind::DataInvalid, "date out of range").with_source(error))
    }

    /// The first instant after the day in the zone.
    pub fn end_in(self, zone: &Zone) -> Result<Timestamp> {
        self.plus_days(1).start_in(zone)
    }

    /// The date `days` later (earlier if negative), saturating at the calendar's ends.
    #[must_use]
    pub fn plus_days(self, days: i32) -> Self {
        Self(self.0.saturating_add(jiff::Span::new().days(days.clamp(-7_000_000, 7_000_000))))
    }
}

impl FromStr for Date {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        jiff::civil::Date::from_str(text).map(Self).map_err(|error| {
            Error::new(
                ErrorKind::DataInvalid,
                format!("`{}` is not a date like 2026-11-20", crate::text::escape(text)),
            )
            .with_source(error)
        })
    }
}

impl TryFrom<String> for Date {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A time zone of the IANA database, by name: `Europe/Berlin`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(SmolStr);

impl Zone {
    /// The zone of that name; an error names it if the database has none.
    pub fn new(name: &str) -> Result<Self> {
        let zone = Self(SmolStr::new(name));
        zone.to_jiff()?;
        Ok(zone)
    }

    /// UTC.
    pub fn utc() -> Self {
        Self(SmolStr::new_static("UTC"))
    }

    /// The zone's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn to_jiff(&self) -> Result<jiff::tz::TimeZone> {
        jiff::tz::TimeZone::get(&self.0).map_err(|error| {
            let shown = crate::text::escape(&self.0);
            Error::new(ErrorKind::DataInvalid, format!("`{shown}` is not a time zone of the IANA database"))
                .with_source(error)
        })
    }
}

impl TryFrom<String> for Zone {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        Self::new(&name)
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.0.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sortable_sorts_as_the_instants_do() {
        let mut times =
            [Timestamp::from_micros(1_700_000_000_000_001), Timestamp::EPOCH, Timestamp::from_micros(5)];
        times.sort();
        let texts: Vec<_> = times.iter().map(|time| time.sortable()).collect();
        let mut sorted = texts.clone();
        sorted.sort();
        assert_eq!(texts, sorted);
        assert_eq!(texts[1], "1970-01-01T00:00:00.000005Z");
    }

    #[test]
    fn the_date_changes_when_the_clocks_say() {
        let next = |zone: &str, at: &str| {
            let next = at.parse::<Timestamp>().unwrap().next_date_in(&Zone::new(zone).unwrap()).unwrap();
            next.to_string()
        };
        assert_eq!(next("UTC", "2026-11-20T00:00:00Z"), "2026-11-21T00:00:00Z");
        assert_eq!(next("Europe/Zurich", "2026-03-28T23:00:00Z"), "2026-03-29T22:00:00Z", "23 hours");
        assert_eq!(next("America/Sao_Paulo", "2018-11-03T12:00:00Z"), "2018-11-04T03:00:00Z", "no midnight");
        assert_eq!(next("Pacific/Apia", "2011-12-29T20:00:00Z"), "2011-12-30T10:00:00Z", "no 30th");
        let news = |at: &str| next("America/St_Johns", at);
        assert_eq!(news("2010-11-07T00:00:00Z"), "2010-11-07T02:30:00Z");
        assert_eq!(news("2010-11-07T02:30:30Z"), "2010-11-07T02:31:00Z", "back to the day before");
        assert_eq!(news("2010-11-07T02:31:00Z"), "2010-11-07T03:30:00Z", "midnight again");
        assert_eq!(news("2010-11-07T03:30:00Z"), "2010-11-08T03:30:00Z");
    }

    #[test]
    fn dates_start_and_end_in_the_zone_also_where_midnight_does_not_exist() {
        // Midnight of 2018-11-04 does not exist in Sao Paulo: clocks went from 00:00 to 01:00.
        let zone = Zone::new("America/Sao_Paulo").unwrap();
        let day = Date::new(2018, 11, 4).unwrap();
        assert_eq!(day.start_in(&zone).unwrap().to_string(), "2018-11-04T03:00:00Z");
        assert_eq!(day.end_in(&zone).unwrap().to_string(), "2018-11-05T02:00:00Z");
        assert!(Zone::new("Mars/Olympus").is_err());
    }
}
