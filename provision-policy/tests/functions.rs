//! Functions at their edges: time zones, calendars, scripts, and what refuses the account.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests fail loudly"
)]

mod support;

use provision_core::policy::RefusalReason;
use provision_core::value::Zone;
use support::{Names, account, attributes_of, evaluate, person, value};

/// What the expressions give in a zone; `!` for one that refuses the account.
fn results(zone: &str, expressions: &[&str]) -> Vec<String> {
    let expressions: Vec<String> = expressions.iter().map(|text| (*text).to_owned()).collect();
    let (bundle, kept) = attributes_of(&expressions);
    assert_eq!(kept, expressions);
    let mut zoe = person("1", &[("title", "Clerk"), ("userName", "İstanbul")]);
    zoe.attributes.set("list", vec!["a".into()]);
    zoe.zone = Zone::new(zone).unwrap();
    let evaluation = evaluate(&bundle, &zoe, &mut Names::default());
    let account = account(&evaluation, "d");
    let refused = |index: usize| {
        let refusal = account.refusals.iter().find(|refusal| {
            refusal.mapping.as_ref().is_some_and(|id| id.as_str().ends_with(&format!(".a{index}")))
        });
        refusal.is_some_and(|refusal| {
            assert!(matches!(refusal.reason, RefusalReason::ExpressionFailed | RefusalReason::Unmappable));
            true
        })
    };
    let shown = |index: usize| match refused(index) {
        true => "!".to_owned(),
        false => value(account, &format!("a{index}")),
    };
    (0..expressions.len()).map(shown).collect()
}

fn check(zone: &str, cases: &[(&str, &str)]) {
    let expressions: Vec<&str> = cases.iter().map(|(expression, _)| *expression).collect();
    for ((expression, expected), found) in cases.iter().zip(results(zone, &expressions)) {
        assert_eq!(found, *expected, "{expression} in {zone}");
    }
}

#[test]
fn days_begin_and_end_in_the_zone_of_the_person() {
    // On 2026-03-29 the clocks go from 02:00 to 03:00; on 2026-10-25 from 03:00 back to 02:00.
    check(
        "Europe/Zurich",
        &[
            ("start_of('2026-03-29')", "2026-03-28T23:00:00Z"),
            ("seconds_between(start_of('2026-03-29'), end_of('2026-03-29'))", "82800"),
            ("seconds_between(start_of('2026-10-25'), end_of('2026-10-25'))", "90000"),
            ("parse_instant('2026-03-29 02:30', '%Y-%m-%d %H:%M')", "2026-03-29T01:30:00Z"),
            ("parse_instant('2026-10-25 02:30', '%Y-%m-%d %H:%M')", "2026-10-25T00:30:00Z"),
            ("parse_instant('2026-10-25 02:30 +0100', '%Y-%m-%d %H:%M %z')", "2026-10-25T01:30:00Z"),
            ("format_instant('2026-10-25T01:30:00Z', '%d.%m. %H:%M %Z')", "25.10. 02:30 CET"),
            ("date(instant('2026-03-28T23:30:00Z'))", "2026-03-29"),
        ],
    );
    // Lebanon and Chile change their clocks at midnight: the day has no 00:00.
    check("America/Santiago", &[("start_of('2026-09-06')", "2026-09-06T04:00:00Z")]);
    check(
        "Pacific/Kiritimati",
        &[("start_of('2026-11-20')", "2026-11-19T10:00:00Z"), ("string(today)", "2026-11-20")],
    );
    check(
        "Etc/GMT+12",
        &[("start_of('2026-11-20')", "2026-11-20T12:00:00Z"), ("string(today)", "2026-11-19")],
    );
}

#[test]
fn months_are_as_long_as_they_are() {
    check(
        "UTC",
        &[
            ("plus_months(date('2024-01-31'), 1)", "2024-02-29"),
            ("plus_months(date('2024-02-29'), 12)", "2025-02-28"),
            ("plus_months(date('2024-03-31'), -1)", "2024-02-29"),
            ("plus_days(date('2024-02-28'), 2)", "2024-03-01"),
            ("months_between('2024-01-31', '2024-02-29')", "1"),
            ("months_between('2024-01-31', '2024-03-30')", "1"),
            ("months_between('2024-02-29', '2025-02-28')", "12"),
            ("months_between('2025-02-28', '2024-02-29')", "-12"),
            ("days_between('2024-02-28', '2024-03-01')", "2"),
            ("days_between('2024-03-01', '2024-02-28')", "-2"),
            ("weekday(date('2024-02-29'))", "4"),
            ("weekday(date('2026-11-22'))", "7"),
            ("date('2023-02-29')", "!"),
            ("parse_date('31.02.2026', '%d.%m.%Y')", "!"),
            ("parse_date('1.2.2026 ', '%d.%m.%Y')", "!"),
            ("parse_date('1.2.2026', '%d.%m.%Y')", "2026-02-01"),
            ("plus_days(date('9999-12-31'), 1)", "!"),
            ("plus_months(today, 9223372036854775807)", "!"),
            ("plus_seconds(start_of(today), 9223372036854775807)", "!"),
        ],
    );
}

#[test]
fn directories_count_from_1601() {
    check(
        "UTC",
        &[
            ("filetime(instant('1601-01-01T00:00:01Z'))", "10000000"),
            ("filetime(instant('1600-12-31T23:59:59Z'))", "!"),
            ("string(from_filetime(116444736000000000))", "1970-01-01T00:00:00Z"),
            ("string(from_filetime(0))", "(clear)"),
            ("string(from_filetime(9223372036854775807))", "(clear)"),
            ("string(from_filetime(9223372036854775806))", "!"),
        ],
    );
}

#[test]
fn characters_are_what_a_reader_sees() {
    check(
        "UTC",
        &[
            ("left_bytes('e\\u0301a', 2)", "(clear)"),
            ("left_bytes('e\\u0301a', 3)", "e\u{301}"),
            ("left_bytes('👩‍👩‍👧x', 10)", "(clear)"),
            ("mid('e\\u0301bc', 1, 1)", "b"),
            ("index_of('e\\u0301b', 'b')", "1"),
            ("pad_left('e\\u0301', 3, '.')", "..e\u{301}"),
            ("pad_left('abc', 2, '.')", "abc"),
            ("pad_left('a', 4, 'xy')", "xyxa"),
            ("pad_left('a', 4, '')", "!"),
            ("left('abc', -1)", "!"),
            ("title_case('éCOLE d’ART')", "École D’art"),
            ("without_marks('Żółć İ Ǻ')", "Zołc I A"),
            ("ascii('Şükrü', 'de')", "Suekrue"),
            ("ascii('王')", "!"),
            ("lower(user.userName, 'tr')", "istanbul"),
            ("size(lower(user.userName))", "9"),
            ("fold('İ') == fold('i\\u0307')", "true"),
            ("fold('ΑΣ') == fold('ας')", "true"),
            ("fold('ﬁ') == fold('FI')", "true"),
            ("fold('ı') == fold('I')", "false"),
        ],
    );
}

#[test]
fn lists_and_conversions() {
    check(
        "UTC",
        &[
            // An input declared as a list is one, also with a single value.
            ("user.list[0]", "a"),
            ("kind(user.list)", "list"),
            ("unique(['b', 'a', 'b', ''])", "b | a"),
            ("size(unique([1, '1', true, 'true', null, null]))", "5"),
            ("split('a,,b', ',').size()", "3"),
            ("split('abc', '')", "abc"),
            ("size(words(' ,a;; b', ',; '))", "2"),
            ("int(' 12 ')", "12"),
            ("int('1.5')", "!"),
            ("int('99999999999999999999')", "!"),
            ("bool('yes')", "!"),
            ("bool(0)", "false"),
            ("capture('abc', '(x)?b')", "b"),
            ("capture('abc', '(x)?b', '1')", "(clear)"),
            ("replace_matches('aXbX', 'x|X', '$$')", "a$b$"),
            ("replace_matches('2026-11', '(?P<y>[0-9]+)-([0-9]+)', '${2}/${y}')", "11/2026"),
            ("kind(user.nickName)", "null"),
            ("kind(start_of(today))", "instant"),
            ("lookup('d', user.nickName)", "none"),
        ],
    );
}
