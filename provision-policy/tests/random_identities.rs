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

use std::collections::BTreeSet;

use proptest::prelude::*;
use provision_policy::Bundle;
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
