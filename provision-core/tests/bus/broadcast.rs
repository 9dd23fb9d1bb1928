//! Events inside the process.

use futures_util::{FutureExt, StreamExt};
use provision_core::event::Heard;
use provision_core::id::RealmId;
use provision_core::store::{Changes, Expect, Table};

use crate::fixture::{builder, commit, event, memory};

#[tokio::test]
async fn a_listener_hears_what_is_committed_and_nothing_of_what_is_refused() {
    let runtime = builder(&memory()).build();
    commit(&runtime, "acme", Some(1), "before").await;
    let mut events = runtime.events();
    let mut refused = Changes::in_realm(&RealmId::new("acme"));
    refused.expect.push(Expect::Version { table: Table::Meta, key: "no".into(), version: 1 });
    refused.append.push(event("acme", None, "refused", runtime.clock().now()).append().unwrap());
    runtime.store().commit(refused).await.unwrap();
    commit(&runtime, "acme", Some(1), "account.created").await;
    let Some(Heard::Event(heard)) = events.next().await else { panic!("nothing is heard") };
    assert_eq!((heard.event.as_str(), heard.realm.as_str()), ("account.created", "acme"));
    assert!(events.next().now_or_never().is_none(), "one event, once");
}

#[tokio::test]
async fn a_slow_listener_is_told_how_many_it_missed_and_goes_on() {
    let runtime = builder(&memory()).build();
    let mut events = runtime.events();
    for number in 0..1_030 {
        commit(&runtime, "acme", None, &format!("n{number}")).await;
    }
    assert_eq!(events.next().await, Some(Heard::Missed(6)));
    let heard: Vec<Heard> = events.take(1_024).collect().await;
    let names = heard.iter().map(|heard| match heard {
        Heard::Event(event) => event.event.clone(),
        Heard::Missed(count) => panic!("{count} more are missed"),
    });
    let heard: Vec<String> = names.collect();
    let expected: Vec<String> = (6..1_030).map(|number| format!("n{number}")).collect();
    assert_eq!(heard, expected);
}
