//! Periods of mappings: their bounds as instants.

use provision_core::value::{Date, Timestamp, Zone};

use crate::bundle::{Bound, Period};
use crate::expression::{Datum, Facts, Failure, Traced, evaluate};

/// Whether `now` is inside: from the first bound on, and before the second.
pub(super) fn holds<'f>(period: &'f Period, now: Timestamp, facts: &Facts<'f>) -> Result<bool, Failure> {
    let after = |bound: &'f Option<Bound>| -> Result<Option<bool>, Failure> {
        bound.as_ref().map(|bound| Ok(instant(bound, facts)? <= now)).transpose()
    };
    // Both are looked at: a faulty one is a fault whatever the other says.
    let (begun, ended) = (after(&period.from)?, after(&period.until)?);
    Ok(begun != Some(false) && ended != Some(true))
}

/// Its bounds.
pub(super) fn bounds<'f>(
    period: &'f Period,
    facts: &Facts<'f>,
) -> impl Iterator<Item = Result<Timestamp, Failure>> {
    period.from.iter().chain(&period.until).map(move |bound| instant(bound, facts))
}

/// A bound as an instant: a date is its start or its end in the person's zone.
fn instant<'f>(bound: &'f Bound, facts: &Facts<'f>) -> Result<Timestamp, Failure> {
    let zone = &facts.identity.zone;
    let found = evaluate(&bound.value, facts, &mut Traced::new())?;
    let date = match (found, bound.days) {
        (Datum::Date(date), _) => date,
        (Datum::Time(instant), None) => return Ok(instant),
        (Datum::Time(instant), Some(_)) => instant.date_in(zone).map_err(beyond)?,
        (Datum::Text(text), days) => match text.parse::<Date>().ok().filter(|date| date.to_string() == *text)
        {
            Some(date) => date,
            None => {
                let instant: Timestamp = text.parse().map_err(|_| {
                    let shown = provision_core::text::escape(&text.chars().take(60).collect::<String>());
                    Failure::failed(format!("`{shown}` is neither a date like 2026-11-20 nor an instant"))
                })?;
                if days.is_none() {
                    return Ok(instant);
                }
                instant.date_in(zone).map_err(beyond)?
            }
        },
        (other, _) => {
            return Err(Failure::failed(format!("expected a date or an instant, found {}", other.kind())));
        }
    };
    let date = date.plus_days(bound.days.unwrap_or(0));
    edge(date, bound.end, zone).map_err(beyond)
}

fn edge(date: Date, end: bool, zone: &Zone) -> provision_core::Result<Timestamp> {
    if end { date.end_in(zone) } else { date.start_in(zone) }
}

fn beyond(_: provision_core::Error) -> Failure {
    Failure::failed("the date is beyond the calendar")
}
