//! Any identity at all: evaluation ends, and what it yields keeps the promises of the bundle.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests fail loudly"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use provision_core::model::Identity;
use provision_core::policy::{NoNames, Policy, PolicyInput};
use provision_core::value::{Slot, Timestamp, Value, Zone};
use provision_policy::Bundle;
use support::grammar::Dice;
use support::{Names, account, evaluate, person, value};

const NAMES: &[&str] = &[
    "Smith",
    "smith",
    "O'Neil-Núñez",
    "王",
    "Żółć",
    "de la Cruz",
    "",
    "x",
    "Иванов",
    "...",
    "Ng, OU=x",
    "admin",
    "\u{202e}a",
    "Wolfeschlegelsteinhausenbergerdorff",
    "e\u{301}",
    "김",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(NAMES).prop_map(str::to_owned),
        1 => "\\PC{0,30}",
        1 => any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn names_fit_are_unique_and_the_rest_is_refused(
        people in prop::collection::vec((text(), text(), prop::option::of(text()), any::<bool>()), 1..20)
    ) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bundles/active_directory.yaml");
        let bundle = Bundle::load_path(path).unwrap();
        let mut names = Names::default();
        let (mut logins, mut mails, mut dns) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for (index, (given, family, title, known)) in people.iter().enumerate() {
            let department = if *known { "Sales" } else { given };
            let mut who = person(
                &index.to_string(),
                &[("givenName", given), ("familyName", family), ("department", department)],
            );
            if let Some(title) = title {
                who.attributes.set("title", vec![title.as_str().into(), family.as_str().into()]);
            }
            let evaluation = evaluate(&bundle, &who, &mut names);
            let directory = account(&evaluation, "directory");
            prop_assert!(directory.exists);
            if !directory.refusals.is_empty() {
                continue;
            }
            let (login, mail) = (value(directory, "sAMAccountName"), value(directory, "mail"));
            prop_assert!((1..=20).contains(&login.len()), "{}", login);
            prop_assert!(login.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()), "{}", login);
            prop_assert!(logins.insert(login.clone()), "{} twice", login);
            let local = mail.strip_suffix("@mycompany.com").unwrap();
            prop_assert!((1..=64).contains(&local.len()), "{}", mail);
            prop_assert!(!local.starts_with('.') && !local.ends_with('.') && !local.contains(".."), "{}", mail);
            prop_assert!(mails.insert(mail.clone()), "{} twice", mail);
            prop_assert!(dns.insert(value(directory, "dn").to_lowercase()));
        }
    }
}

/// Anything at all for an attribute: absent, null, one value or several, also of kinds that nobody declared.
fn anything(dice: &mut Dice) -> Option<Slot> {
    let one = |dice: &mut Dice| match dice.roll(9) {
        0 => Value::Bool(dice.roll(2) == 0),
        1 => Value::Int([0, -1, 7, i64::MIN, i64::MAX][dice.roll(5)]),
        2 => Value::Date(["0001-01-01", "2026-11-20", "9999-12-31"][dice.roll(3)].parse().unwrap()),
        3 => Value::Time(Timestamp::from_micros(
            [i64::MIN, -1, 0, 1_795_000_000_000_000, i64::MAX][dice.roll(5)],
        )),
        4 => Value::Record(BTreeMap::from([("value".into(), Value::text(dice.pick(NAMES)))])),
        5 => Value::Bytes(vec![0xff, 0]),
        _ => Value::text(dice.pick(NAMES)),
    };
    match dice.roll(8) {
        0 | 1 => None,
        2 => Some(Slot::Null),
        3 => Some(Slot::from_values((0..dice.roll(4)).map(|_| one(dice)).collect())),
        _ => Some(Slot::from_values(vec![one(dice)])),
    }
}

/// A person with any data, dates and zone.
fn stranger(dice: &mut Dice, inputs: &[&str]) -> Identity {
    let mut who = person(dice.pick(NAMES), &[]);
    for name in inputs {
        if let Some(slot) = anything(dice) {
            who.attributes.insert(*name, slot);
        }
    }
    let date = |dice: &mut Dice| {
        let written = dice.pick(&["", "0001-01-01", "2011-12-30", "2026-11-20", "2026-11-27", "9999-12-31"]);
        written.parse().ok()
    };
    who.employment.start = date(dice);
    who.employment.end = date(dice);
    who.zone = Zone::new(dice.pick(&["UTC", "Pacific/Kiritimati", "Etc/GMT+12", "Europe/Zurich"])).unwrap();
    who
}

/// `IDENTITIES=1000000` for the long run.
#[test]
fn whatever_an_identity_holds_evaluation_ends_with_an_answer() {
    let number =
        |name: &str, otherwise: u64| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    let (seed, count) = (number("SEED", 20_261_120), number("IDENTITIES", 5_000));
    println!("seed {seed}, {count} identities");
    let root = env!("CARGO_MANIFEST_DIR");
    let paths = ["tests/bundles/active_directory.yaml", "../examples/data/bundle"];
    let bundles = paths.map(|path| Bundle::load_path(format!("{root}/{path}")).unwrap());
    let inputs = [
        "givenName",
        "familyName",
        "givenNameRomanized",
        "department",
        "title",
        "userType",
        "displayName",
        "manager",
        "mobile",
        "location",
        "costCenter",
        "locale",
        "emails",
        "middleName",
    ];
    let mut dice = Dice(seed);
    let (mut given, mut refused) = (0_u64, 0_u64);
    for _ in 0..count {
        let who = stranger(&mut dice, &inputs);
        let now = Timestamp::from_micros([0, 1_795_000_000_000_000, 253_402_300_799_000_000][dice.roll(3)]);
        let Ok((lifecycle, _)) = who.lifecycle(now) else { continue };
        for bundle in &bundles {
            let input =
                PolicyInput { identity: &who, lifecycle, now, grants: &[], proposed: dice.roll(2) == 0 };
            let evaluation = bundle.evaluate(&input, &mut NoNames);
            assert_eq!(evaluation, bundle.evaluate(&input, &mut NoNames), "twice the same for {who:?}");
            assert!(evaluation.next_change_at.is_none_or(|at| at > now), "{who:?}");
            for account in evaluation.accounts.iter().filter(|account| account.exists) {
                given += 1;
                refused += u64::from(!account.refusals.is_empty());
                let told = account.refusals.iter().all(|refusal| !refusal.detail.is_empty());
                assert!(told && !account.because.is_empty(), "no reason for {account:?}");
                let sorted = account.values.is_sorted_by_key(|value| value.attribute.as_str());
                assert!(sorted, "in the order of the attributes: {account:?}");
            }
        }
    }
    // Nonsense is refused, and not everything is nonsense.
    assert!(given > count / 10 && refused > 0 && refused < given, "{given} accounts, {refused} refused");
}
