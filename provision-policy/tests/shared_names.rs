//! Many people of one name: what the index remembers changes nothing but the time it takes.
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

use provision_core::id::{IdentityId, PlanId, RealmId};
use provision_core::model::Lifecycle;
use provision_core::plan::NameIndex;
use provision_core::policy::{Evaluation, NameAllocator, NameRequest, NameResult, Policy, PolicyInput};
use provision_policy::Bundle;
use support::{account, now, person, value};

/// Some counters give reserved names, and one in the middle of nowhere does.
const BUNDLE: &str = r#"
bundle: 1
version: a
reserved: [smith3, Smith10, smith11, 2smith, smith250]
namespaces: { login: {}, mail: {} }
roles: { r: { grants: [account: d/u] } }
rules: [{ id: all, when: 'true', roles: [r] }]
targets:
  d:
    u:
      names:
        - login: { namespace: login, max: 7, allow: a-z0-9, parts: [user.familyName] }
          mail:
            namespace: mail
            allow: a-z0-9
            suffix: "@x.org"
            separator: "."
            parts: [user.givenName, user.familyName]
      attributes: {}
"#;

/// The index as it is without memory: every search begins with the first candidate.
struct Forgetful(NameIndex);

impl NameAllocator for Forgetful {
    fn allocate(
        &mut self,
        requests: &[NameRequest],
        candidates: &mut dyn FnMut(u32) -> Option<Vec<String>>,
    ) -> NameResult {
        self.0.allocate(requests, candidates)
    }
}

fn index(bundle: &Bundle) -> NameIndex {
    let plan = PlanId::from_uuid(uuid::Uuid::from_u128(1));
    NameIndex::new(
        &RealmId::new("main"),
        bundle.namespaces(),
        plan,
        now(),
        now().plus(Duration::from_secs(3_600)),
    )
}

/// A person of a name that many have, or of one that is the beginning of it.
fn named(number: u128) -> provision_core::model::Identity {
    let family = if number % 7 == 6 { "Smit" } else { "Smith" };
    let mut who = person(&number.to_string(), &[("givenName", "Jo"), ("familyName", family)]);
    who.id = IdentityId::from_uuid(uuid::Uuid::from_u128(number + 1));
    who
}

fn evaluate(
    who: &provision_core::model::Identity,
    evaluated: &mut dyn FnMut(&PolicyInput<'_>) -> (Evaluation, bool),
) -> (String, String) {
    let lifecycle = Lifecycle::Active;
    let input = PolicyInput { identity: who, lifecycle, now: now(), grants: &[], proposed: false };
    loop {
        let (evaluation, done) = evaluated(&input);
        if done {
            let account = account(&evaluation, "d");
            assert_eq!(account.refusals, []);
            return (value(account, "login"), value(account, "mail"));
        }
    }
}

/// Looks up what is wanted; true when nothing was.
fn covered(index: &mut NameIndex) -> bool {
    let wanted = index.take_wanted();
    let none = wanted.is_empty();
    wanted.into_iter().for_each(|query| index.cover(query, []));
    none
}

#[test]
fn an_index_that_remembers_gives_the_names_of_one_that_does_not() {
    let bundle = Bundle::load(&[("a.yaml", BUNDLE)]).unwrap();
    let (mut quick, mut slow) = (index(&bundle), Forgetful(index(&bundle)));
    let mut all = Vec::new();
    for number in 0..400 {
        let who = named(number);
        let quickly = evaluate(&who, &mut |input| {
            quick.begin(who.id, Vec::new());
            (bundle.evaluate(input, &mut quick), covered(&mut quick))
        });
        let slowly = evaluate(&who, &mut |input| {
            slow.0.begin(who.id, Vec::new());
            (bundle.evaluate(input, &mut slow), covered(&mut slow.0))
        });
        assert_eq!(quickly, slowly, "person {number}");
        all.push(quickly);
    }
    let logins: Vec<&str> = all.iter().take(9).map(|(login, _)| login.as_str()).collect();
    // The counter is shared: smith3 is reserved, and nobody's address has a 3 either.
    assert_eq!(
        logins,
        ["smith", "smith2", "smith4", "smith5", "smith6", "smith7", "smit", "smith8", "smith9"]
    );
    assert!(all.iter().all(|(login, _)| !["smith3", "smith10", "smith11"].contains(&login.as_str())));
    let last = all.iter().rev().find(|(_, mail)| mail.starts_with("jo.smith")).unwrap();
    assert!(last.0.len() == 7 && last.1.ends_with("@x.org"), "{last:?}");
}

#[test]
fn who_is_evaluated_again_keeps_the_name() {
    let bundle = Bundle::load(&[("a.yaml", BUNDLE)]).unwrap();
    let mut index = index(&bundle);
    let mut names = Vec::new();
    for number in [0, 1, 1, 1, 2] {
        let who = named(number);
        names.push(
            evaluate(&who, &mut |input| {
                index.begin(who.id, Vec::new());
                (bundle.evaluate(input, &mut index), covered(&mut index))
            })
            .0,
        );
    }
    assert_eq!(names, ["smith", "smith2", "smith2", "smith2", "smith4"]);
}
