//! Dates and instants. Whatever depends on a zone depends on the person's, or on one written out.

use jiff::Span;
use jiff::civil;
use jiff::tz::TimeZone;
use provision_core::value::{Date, Timestamp, Zone};

use super::Kind;
use super::datum::{Datum, Failure};
use super::evaluate::{Facts, Found, bounded, needs, number, read_date, text};
use super::function::Function;

/// Longest pattern of a date, in bytes.
const PATTERN_MAX: usize = 64;
/// Directories count 100 ns from 1601 on; this is that instant, in microseconds of the Unix epoch.
const FILETIME_EPOCH: i64 = -11_644_473_600_000_000;

/// True for functions whose answer depends on the person's zone.
pub(super) fn in_zone(function: Function) -> bool {
    use Function::{Date, EndOf, FormatInstant, ParseInstant, StartOf};
    matches!(function, Date | EndOf | FormatInstant | ParseInstant | StartOf)
}

/// What is wrong with a pattern or zone that must be written out: a summary and a remedy.
pub(super) fn written_out(function: Function, second: Option<&str>) -> Option<(String, String)> {
    let pattern = |needed: &str| needed.to_owned();
    match function {
        Function::DateIn => {
            let known = second.is_some_and(|zone| Zone::new(zone).is_ok());
            let remedy = pattern("write a name of the IANA database in quotes, as in `\"Europe/Zurich\"`");
            (!known).then(|| ("`date_in` needs a time zone".to_owned(), remedy))
        }
        Function::FormatDate | Function::FormatInstant | Function::ParseDate | Function::ParseInstant => {
            let Some(written) = second else {
                let remedy = pattern("write it in quotes, as in `\"%d.%m.%Y\"`");
                return Some(("the pattern must be written out".to_owned(), remedy));
            };
            let remedy = match function {
                Function::ParseDate => "it must give year, month and day, as in `\"%d.%m.%Y\"`",
                Function::ParseInstant => {
                    "it must give a date and a time of day, as in `\"%d.%m.%Y %H:%M:%S\"`"
                }
                _ => "it has directives like `%Y`, `%m`, `%d`, `%b`, `%H`, `%M`, `%S`, and `%%`",
            };
            let summary = || "the pattern cannot be used here".to_owned();
            (!usable(function, written)).then(|| (summary(), remedy.to_owned()))
        }
        _ => None,
    }
}

/// Tries a pattern on a day of two digits everywhere: what it writes, it must read again.
fn usable(function: Function, pattern: &str) -> bool {
    let day = civil::date(2026, 11, 22);
    let time = day.at(13, 45, 36, 0);
    if pattern.len() > PATTERN_MAX {
        return false;
    }
    match function {
        Function::FormatDate => jiff::fmt::strtime::format(pattern, day).is_ok(),
        Function::ParseDate => {
            let written = jiff::fmt::strtime::format(pattern, day).unwrap_or_default();
            civil::Date::strptime(pattern, written).is_ok_and(|read| read == day)
        }
        _ => {
            let Ok(zoned) = time.to_zoned(TimeZone::UTC) else { return false };
            let Ok(written) = jiff::fmt::strtime::format(pattern, &zoned) else { return false };
            function == Function::FormatInstant
                || read_instant(pattern, &written, &TimeZone::UTC)
                    .is_some_and(|read| read.to_zoned(TimeZone::UTC).date() == day)
        }
    }
}

/// Functions of dates and instants; `None` for the others. No argument is null.
pub(super) fn call<'a>(
    function: Function,
    first: &Datum<'a>,
    rest: &[Datum<'a>],
    facts: &Facts<'a>,
) -> Option<Found<'a>> {
    let found = match function {
        Function::Date
        | Function::Day
        | Function::DaysBetween
        | Function::EndOf
        | Function::FormatDate
        | Function::Month
        | Function::MonthsBetween
        | Function::PlusDays
        | Function::PlusMonths
        | Function::StartOf
        | Function::Weekday
        | Function::Year => of_date(function, first, rest, facts),
        Function::DateIn
        | Function::FileTime
        | Function::FormatInstant
        | Function::PlusSeconds
        | Function::SecondsBetween => of_instant(function, first, rest, facts),
        Function::FromFileTime => from_filetime(first),
        Function::Instant => instant(first).map(Datum::Time),
        Function::ParseDate | Function::ParseInstant => parse(function, first, rest, facts),
        _ => return None,
    };
    Some(found)
}

fn of_date<'a>(function: Function, first: &Datum<'a>, rest: &[Datum<'a>], facts: &Facts<'a>) -> Found<'a> {
    let zone = &facts.identity.zone;
    let date = match first {
        Datum::Time(instant) if function == Function::Date => instant.date_in(zone).map_err(beyond)?,
        other => date(other)?,
    };
    let other = || rest.first().map_or(Ok(date), self::date);
    let amount = || rest.first().map_or(Ok(0), number);
    Ok(match function {
        Function::Date => Datum::Date(date),
        Function::Day => Datum::Int(civil(date)?.day().into()),
        Function::Month => Datum::Int(civil(date)?.month().into()),
        Function::Year => Datum::Int(civil(date)?.year().into()),
        Function::Weekday => Datum::Int(civil(date)?.weekday().to_monday_one_offset().into()),
        Function::PlusDays => added(date, Span::new().try_days(amount()?))?,
        Function::PlusMonths => added(date, Span::new().try_months(amount()?))?,
        Function::DaysBetween => {
            let days = civil(date)?.until(civil(other()?)?).map_err(beyond)?.get_days();
            Datum::Int(days.into())
        }
        Function::MonthsBetween => Datum::Int(months(civil(date)?, civil(other()?)?)),
        Function::StartOf => Datum::Time(date.start_in(zone).map_err(beyond)?),
        Function::EndOf => Datum::Time(date.end_in(zone).map_err(beyond)?),
        _ => return format(rest, |pattern| jiff::fmt::strtime::format(pattern, civil(date).ok()?).ok()),
    })
}

fn of_instant<'a>(function: Function, first: &Datum<'a>, rest: &[Datum<'a>], facts: &Facts<'a>) -> Found<'a> {
    let instant = instant(first)?;
    let micros = instant.as_micros();
    Ok(match function {
        Function::DateIn => {
            let zone = Zone::new(rest.first().map_or(Ok(""), |zone| text(zone, "`date_in`"))?);
            Datum::Date(zone.and_then(|zone| instant.date_in(&zone)).map_err(beyond)?)
        }
        Function::FileTime => {
            let ticks = micros.checked_sub(FILETIME_EPOCH).and_then(|micros| micros.checked_mul(10));
            Datum::Int(ticks.filter(|ticks| *ticks > 0).ok_or_else(out_of_range)?)
        }
        Function::PlusSeconds => {
            let seconds = rest.first().map_or(Ok(0), number)?.checked_mul(1_000_000);
            Datum::Time(at(seconds.and_then(|seconds| micros.checked_add(seconds)))?)
        }
        Function::SecondsBetween => {
            let later = rest.first().map_or(Ok(instant), self::instant)?.as_micros();
            Datum::Int(later.checked_sub(micros).ok_or_else(out_of_range)? / 1_000_000)
        }
        _ => {
            let zone = TimeZone::get(facts.identity.zone.as_str()).map_err(beyond)?;
            let zoned = jiff::Timestamp::from_microsecond(micros).map_err(beyond)?.to_zoned(zone);
            return format(rest, |pattern| jiff::fmt::strtime::format(pattern, &zoned).ok());
        }
    })
}

fn format<'a>(rest: &[Datum<'_>], write: impl FnOnce(&str) -> Option<String>) -> Found<'a> {
    let pattern = rest.first().map_or(Ok(""), |pattern| text(pattern, "a pattern"))?;
    bounded(write(pattern).ok_or_else(|| Failure::failed("the date cannot be written by this pattern"))?)
}

fn parse<'a>(function: Function, first: &Datum<'a>, rest: &[Datum<'a>], facts: &Facts<'a>) -> Found<'a> {
    let written = text(first, "a pattern")?;
    let pattern = rest.first().map_or(Ok(""), |pattern| text(pattern, "a pattern"))?;
    let wrong = || {
        let shown = provision_core::text::escape(super::letters::left(written, 40));
        Failure::failed(format!("`{shown}` is not of the form `{pattern}`"))
    };
    if function == Function::ParseDate {
        return Date::parse_with(pattern, written).map(Datum::Date).map_err(|_| wrong());
    }
    let zone = TimeZone::get(facts.identity.zone.as_str()).map_err(beyond)?;
    let read = read_instant(pattern, written, &zone).ok_or_else(wrong)?;
    Ok(Datum::Time(Timestamp::from_micros(read.as_microsecond())))
}

/// An instant by a pattern; without an offset in the text it is a time of day in the zone. A time that the clocks
/// skip is read as the one after the gap, a time that comes twice as the first.
fn read_instant(pattern: &str, written: &str, zone: &TimeZone) -> Option<jiff::Timestamp> {
    if let Ok(read) = jiff::Timestamp::strptime(pattern, written) {
        return Some(read);
    }
    let local = civil::DateTime::strptime(pattern, written).ok()?;
    Some(local.to_zoned(zone.clone()).ok()?.timestamp())
}

fn from_filetime<'a>(ticks: &Datum<'_>) -> Found<'a> {
    Ok(match number(ticks)? {
        // Both stand for never.
        0 | i64::MAX => Datum::Null,
        ticks => Datum::Time(at((ticks / 10).checked_add(FILETIME_EPOCH))?),
    })
}

/// A date; texts are read as ISO 8601.
fn date(datum: &Datum<'_>) -> Result<Date, Failure> {
    match datum {
        Datum::Date(date) => Ok(*date),
        Datum::Text(text) => read_date(text),
        other => Err(needs("the function", Kind::Date, other)),
    }
}

/// An instant; texts are read as RFC 3339.
fn instant(datum: &Datum<'_>) -> Result<Timestamp, Failure> {
    match datum {
        Datum::Time(instant) => Ok(*instant),
        Datum::Text(text) => {
            let read: Timestamp = text
                .parse()
                .map_err(|_| Failure::failed("the text is not an instant like 2026-11-20T08:00:00Z"))?;
            at(Some(read.as_micros()))
        }
        other => Err(needs("the function", Kind::Time, other)),
    }
}

/// An instant of the calendar.
fn at(micros: Option<i64>) -> Result<Timestamp, Failure> {
    let micros = micros.filter(|micros| jiff::Timestamp::from_microsecond(*micros).is_ok());
    micros.map(Timestamp::from_micros).ok_or_else(out_of_range)
}

fn civil(date: Date) -> Result<civil::Date, Failure> {
    date.to_string().parse().map_err(beyond)
}

fn added<'a>(date: Date, span: Result<Span, jiff::Error>) -> Found<'a> {
    let found = civil(date)?.checked_add(span.map_err(beyond)?).map_err(beyond)?;
    Date::new(found.year(), found.month(), found.day()).map(Datum::Date).ok_or_else(out_of_range)
}

/// Whole months from one date to another; negative when the other is earlier.
fn months(from: civil::Date, to: civil::Date) -> i64 {
    if from > to {
        return -months(to, from);
    }
    let count = |date: civil::Date| i64::from(date.year()) * 12 + i64::from(date.month());
    // The last day of a short month completes a month begun on a later day.
    let short = to.day() < from.day() && to.day() < to.days_in_month();
    count(to) - count(from) - i64::from(short)
}

fn out_of_range() -> Failure {
    Failure::failed("the date is beyond the calendar")
}

fn beyond<E>(_: E) -> Failure {
    out_of_range()
}
