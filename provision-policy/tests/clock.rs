//! Evaluation between now and `next_change_at` is one and the same, whatever the policy reads of the clock.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests fail loudly"
)]

mod support;

use std::time::Duration;

use provision_core::id::Tag;
use provision_core::model::{Employment, Entitlement, Grant, Identity, Origin, OriginKind, Status, Validity};
use provision_core::policy::{Evaluation, NoNames, Policy, PolicyInput};
use provision_core::value::{Date, Timestamp, Value, Zone};
use provision_policy::Bundle;
use support::grammar::Dice;
use support::person;

/// Zones, each with days around which their clocks do something.
const PLACES: [(&str, &[&str]); 12] = [
    ("Europe/Zurich", &["2026-03-29", "2026-10-25", "2026-12-31"]),
    ("America/New_York", &["2026-03-08", "2026-11-01"]),
    // Skipped the 30th.
    ("Pacific/Apia", &["2011-12-30", "2011-12-31", "2026-11-20"]),
    // Half an hour.
    ("Australia/Lord_Howe", &["2026-04-05", "2026-10-04"]),
    // At midnight: the day begins at one, or an hour of it comes twice.
    ("America/Sao_Paulo", &["2018-11-04", "2018-02-18"]),
    ("America/Havana", &["2026-03-08", "2026-11-01"]),
    ("Asia/Kathmandu", &["2026-02-28"]),
    ("Etc/GMT+12", &["2026-11-20"]),
    ("Etc/GMT-14", &["2026-11-20"]),
    ("Pacific/Kiritimati", &["1994-12-31"]),
    ("Pacific/Kwajalein", &["1993-08-21"]),
    // A minute after midnight, back to the day before.
    ("America/St_Johns", &["2010-11-07", "2011-03-13"]),
];

const HOUR: u64 = 3_600_000_000;

struct Story {
    dice: Dice,
    zone: Zone,
    day: Date,
}

impl Story {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let (zone, days) = PLACES[dice.roll(PLACES.len())];
        let day = days[dice.roll(days.len())].parse().unwrap();
        Self { dice, zone: Zone::new(zone).unwrap(), day }
    }

    fn date(&mut self) -> Date {
        let days = i32::try_from(self.dice.roll(13)).unwrap() - 6;
        self.day.plus_days(days)
    }

    fn instant(&mut self) -> Timestamp {
        let first = self.day.plus_days(-4).start_in(&self.zone).unwrap();
        // Often on the full hour, where things happen.
        let hours = u64::try_from(self.dice.roll(9 * 24)).unwrap() * HOUR;
        let more = [0, 1, 60_000_000, 1_800_000_000, 3_599_999_999][self.dice.roll(5)];
        first.plus(Duration::from_micros(hours + more))
    }

    /// An expression that is a date or an instant for everybody.
    fn moment(&mut self) -> String {
        let date = self.date();
        match self.dice.roll(7) {
            0 => format!("'\"{date}\"'"),
            1 => format!("'\"{}\"'", self.instant()),
            2 => format!("'has(user.first) ? user.first : date(\"{date}\")'"),
            3 => format!("'first_nonempty(user.at, start_of(\"{date}\"))'"),
            4 => format!("'end_of(\"{date}\")'"),
            5 => {
                let (days, at) =
                    (i32::try_from(self.dice.roll(5)).unwrap() - 2, self.dice.pick(&["start", "end"]));
                format!("{{ date: 'date(\"{date}\")', offset_days: {days}, at: {at} }}")
            }
            _ => "'plus_days(today, 1)'".to_owned(),
        }
    }

    fn condition(&mut self) -> String {
        let date = self.date();
        match self.dice.roll(7) {
            0 => "'lifecycle == \"active\"'".to_owned(),
            1 => format!("'today >= date(\"{date}\")'"),
            2 => "'has(user.first) && days_between(today, user.first) < 2'".to_owned(),
            3 => format!("'weekday(today) == {}'", self.dice.roll(7) + 1),
            4 => "'lifecycle != \"terminated\" && value.day > 5'".to_owned(),
            5 => "'has(user.at) && end_of(today) > user.at'".to_owned(),
            _ => "'true'".to_owned(),
        }
    }

    fn mapping(&mut self) -> String {
        let mut keys =
            format!("value: {}", self.dice.pick(&["key", "'string(today)'", "'string(end_of(today))'"]));
        if self.dice.roll(2) == 0 {
            keys.push_str(&format!(", when: {}", self.condition()));
        }
        if self.dice.roll(2) == 0 {
            keys.push_str(&format!(", from: {}", self.moment()));
        }
        if self.dice.roll(2) == 0 {
            keys.push_str(&format!(", until: {}", self.moment()));
        }
        if self.dice.roll(6) == 0 {
            keys.push_str(", exclusive: true");
        }
        if self.dice.roll(8) == 0 {
            keys.push_str(&format!(", state: {}", self.dice.pick(&["draft", "proposed"])));
        }
        format!("{{ {keys} }}")
    }

    fn policy(&mut self) -> String {
        let mut text = "bundle: 1\nversion: a\ninputs: [first: date, at: instant]\nvalues: { day: day(today) }\n\
                        roles:\n  r: { grants: [{ account: d/u }] }\n  s: { grants: [{ group: g, on: d/u }] }\nrules:\n"
            .to_owned();
        for (id, role) in [("a", "r"), ("b", "r"), ("c", "s")] {
            let (when, unless) = (self.condition(), self.condition());
            let unless = if self.dice.roll(3) == 0 { format!(", unless: {unless}") } else { String::new() };
            text.push_str(&format!("  - {{ id: {id}, when: {when}{unless}, roles: [{role}] }}\n"));
        }
        text.push_str("targets:\n  d:\n    u:\n");
        for key in ["exists", "enabled"] {
            if self.dice.roll(3) == 0 {
                text.push_str(&format!("      {key}: {}\n", self.condition()));
            }
        }
        if self.dice.roll(2) == 0 {
            text.push_str(&format!("      pre_hire: {{ lead_days: {} }}\n", self.dice.roll(5)));
        }
        text.push_str("      attributes:\n");
        for attribute in ["a", "b", "c"] {
            let several: Vec<String> = (0..=self.dice.roll(3)).map(|_| self.mapping()).collect();
            let (open, close) = if self.dice.roll(2) == 0 { ("{ each: [", "] }") } else { ("[", "]") };
            text.push_str(&format!("        {attribute}: {open}{}{close}\n", several.join(", ")));
        }
        // Most of the time nothing reads `today`: then only real changes may wake the person.
        if self.dice.roll(3) > 0 {
            text = text.replace("'string(today)'", "key").replace("'string(end_of(today))'", "key");
            text = text
                .replace("plus_days(today, 1)", "\"2020-01-01\"")
                .replace("today", "date(\"2026-11-20\")");
        }
        text
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.dice.roll(2) == 0).then(|| make(self))
    }

    fn who(&mut self) -> Identity {
        let mut who = person("1", &[]);
        who.zone = self.zone.clone();
        if let Some(first) = self.maybe(Self::date) {
            who.attributes.set("first", vec![Value::Date(first)]);
        }
        if let Some(at) = self.maybe(Self::instant) {
            who.attributes.set("at", vec![Value::Time(at)]);
        }
        let status = [Status::Active, Status::Active, Status::OnLeave][self.dice.roll(3)];
        who.employment = Employment { start: self.maybe(Self::date), end: self.maybe(Self::date), status };
        who
    }

    fn grants(&mut self, who: &Identity) -> Vec<Grant> {
        let (target, class, tag) = ("d".into(), "u".into(), Tag::main());
        let account = Entitlement::Account { target, class, tag };
        let (target, class, tag) = ("d".into(), "u".into(), Tag::main());
        let group = Entitlement::Group { target, class, tag, group: "h".to_owned() };
        let mut grants = Vec::new();
        for entitlement in [account, group].into_iter().take(self.dice.roll(3)) {
            let origins = (0..=self.dice.roll(2)).map(|number| Origin {
                kind: OriginKind::Request,
                reference: format!("request-{number}").into(),
                validity: Validity { from: self.maybe(Self::instant), until: self.maybe(Self::instant) },
            });
            let origins = origins.collect();
            grants.push(Grant { realm: "main".into(), identity: who.id, entitlement, origins });
        }
        grants
    }
}

/// What is decided, without when it changes.
fn decided(
    bundle: &Bundle,
    who: &Identity,
    grants: &[Grant],
    now: Timestamp,
) -> (Evaluation, Option<Timestamp>) {
    let (lifecycle, _) = who.lifecycle(now).unwrap();
    let input = PolicyInput { identity: who, lifecycle, now, grants, proposed: false };
    let mut evaluation = bundle.evaluate(&input, &mut NoNames);
    let next = evaluation.next_change_at.take();
    (evaluation, next)
}

/// Goes from change to change and looks at instants between; how many changes changed something.
fn walk(seed: u64) -> (u32, u32) {
    let mut story = Story::new(seed);
    let text = story.policy();
    let bundle = Bundle::load(&[("policy.yaml", &text)])
        .unwrap_or_else(|problems| panic!("{seed}: {}\n{text}", problems[0]));
    let who = story.who();
    let grants = story.grants(&who);
    let end = story.day.plus_days(9).start_in(&story.zone).unwrap();
    let mut now = story.day.plus_days(-9).start_in(&story.zone).unwrap();
    let (mut changes, mut wakes) = (0, 0);
    while now < end {
        let (before, next) = decided(&bundle, &who, &grants, now);
        let until = next.map_or(end, |next| next.min(end));
        assert!(next.is_none_or(|next| next > now), "seed {seed}: {next:?} at {now}");
        let span = until.since(now);
        let mut between: Vec<Timestamp> =
            (0..12).map(|_| now.plus(span.mul_f64(0.001 * story.dice.roll(1000) as f64))).collect();
        between.extend([now.plus(Duration::from_micros(1)), until.minus(Duration::from_micros(1))]);
        // The days, as clocks on walls have them.
        between.extend((-9..9).filter_map(|days| story.day.plus_days(days).start_in(&story.zone).ok()));
        for at in between.into_iter().filter(|at| (now..until).contains(at)) {
            let (then, later) = decided(&bundle, &who, &grants, at);
            assert_eq!(
                then,
                before,
                "seed {seed}: at {at}, between {now} and {next:?} in {}\n{text}",
                story.zone.as_str()
            );
            assert_eq!(later, next, "seed {seed}: at {at}, between {now} and {next:?}\n{text}");
        }
        now = until;
        wakes += 1;
        changes += u32::from(decided(&bundle, &who, &grants, now).0 != before);
    }
    (changes, wakes)
}

#[test]
fn between_now_and_the_next_change_nothing_changes() {
    let (first, stories) = match std::env::var("CLOCK_SEED") {
        Ok(seed) => (seed.parse().unwrap(), 1),
        Err(_) => (20_261_120, 600),
    };
    let (mut changes, mut wakes) = (0, 0);
    for seed in first..first + stories {
        let (changed, woken) = walk(seed);
        changes += changed;
        wakes += woken;
    }
    println!("seeds from {first}: {changes} changes, {wakes} wakes");
    assert!(stories == 1 || changes > 1000, "{changes} changes, {wakes} wakes");
}
