//! Clause 9: how every call behaves under deadlines, lost answers, company and limits.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::bench::Bench;
use super::describe::NOBODY;
use super::patience::{polled, within};
use super::profile::Trouble;
use super::verdict::{Finding, Verdict, broken, ensure, fails, skip};
use crate::connector::{
    ChangeFeedRequest, Context, CredentialRequest, DeleteRequest, DeleteStyle, DisableMeaning, GetRequest,
    LifecycleRequest, ListRequest, ObjectKey, Outcome, PollRequest, RenameRequest, UpdateRequest, collect,
};
use crate::delta::{Change, Delta};
use crate::error::{Effect, Error, ErrorKind, Result, Retry};
use crate::value::{Attributes, Timestamp, Value};

/// Calls that are dropped: more than any pool of connections would bear.
const DROPPED: usize = 150;

/// Longest time before a drop, in microseconds.
const DROP_AFTER: usize = 2000;

/// C-9.1
pub(super) async fn deadline_and_cancellation_are_kept(bench: &Bench<'_>) -> Verdict {
    let keys = bench.some(&["91a", "91b"]).await?;
    let Some(key) = keys.first() else { return Ok(()) };
    late_calls_do_nothing(bench, key).await?;
    for number in 0..DROPPED {
        // Polled a few times or for a moment, then dropped: what was begun may be done or not, and nothing is held.
        let polls = 1 + bench.chance.below(4);
        let time = Duration::from_micros(bench.chance.below(DROP_AFTER) as u64);
        let call = dropped_call(bench, key, number);
        if number % 2 == 0 {
            let _ = polled(polls, call).await;
        } else {
            let _ = within(time, call).await;
        }
    }
    for key in &keys {
        bench.read(key).await?;
    }
    bench.list(ListRequest::all(bench.class.clone())).await?;
    if bench.can().create { bench.create("91z").await.map(drop) } else { Ok(()) }
}

/// One of the calls that are dropped: creates are few, as they leave something to remove.
async fn dropped_call(bench: &Bench<'_>, key: &ObjectKey, number: usize) {
    let all = || ListRequest { page_size: 1, ..ListRequest::all(bench.class.clone()) };
    match number % 5 {
        0 if number.is_multiple_of(25) && bench.can().create => {
            let _ = bench.send(bench.birth(&format!("91n{number}"))).await;
        }
        0 | 1 if bench.updates().is_ok() => {
            let change = Change::Replace(vec![Value::text(format!("dropped {number}"))]);
            let delta = Delta { changes: [(bench.profile.text(), change)].into() };
            let _ = bench.try_update(key, delta).await;
        }
        2 => {
            let _ = bench.listed(all()).await;
        }
        _ => {
            let _ = bench.find(&bench.class, key).await;
        }
    }
}

/// Every call whose deadline has passed must end with `Unavailable`, and a write must have done nothing.
async fn late_calls_do_nothing(bench: &Bench<'_>, key: &ObjectKey) -> Verdict {
    let late = Context { deadline: Some(Timestamp::EPOCH), ..bench.cx.clone() };
    let (connector, can, class) = (bench.connector, bench.can(), &bench.class);
    let get = || GetRequest { class: class.clone(), key: key.clone() };
    let before = bench.read(key).await?;
    fails("get after its deadline", connector.get(&late, get()).await, ErrorKind::Unavailable, None)?;
    let listed = match connector.list(&late, ListRequest::all(class.clone())) {
        Ok(listing) => collect(listing, super::bench::OBJECTS_MAX).await,
        Err(error) => Err(error),
    };
    fails("list after its deadline", listed, ErrorKind::Unavailable, None)?;
    let mut writes: Vec<(&str, Result<()>)> = Vec::new();
    // What the suite did not make is not written to, not even too late.
    if let Some(writer) = connector.writer().filter(|_| can.create) {
        if can.update {
            let change = Change::Replace(vec![Value::text("too late")]);
            let delta = Delta { changes: [(bench.profile.text(), change)].into() };
            let request = UpdateRequest { class: class.clone(), key: key.clone(), delta };
            writes.push(("update", writer.update(&late, request).await.map(drop)));
        }
        if let (true, Some(naming)) = (can.rename, bench.renamed("91r")) {
            let request = RenameRequest { class: class.clone(), key: key.clone(), naming };
            writes.push(("rename", writer.rename(&late, request).await.map(drop)));
        }
        if can.delete != DeleteStyle::Unsupported {
            let request = DeleteRequest { class: class.clone(), key: key.clone() };
            writes.push(("delete", writer.delete(&late, request).await.map(drop)));
        }
    }
    if let (true, Some(facet)) =
        (can.create && can.disable != DisableMeaning::Unsupported, connector.lifecycle())
    {
        let request = LifecycleRequest { class: class.clone(), key: key.clone(), enabled: false };
        writes.push(("lifecycle", facet.set(&late, request).await.map(drop)));
    }
    if let (true, Some(facet), Some(password)) =
        (can.create && can.credential, connector.credential(), bench.profile.password(true))
    {
        let request =
            CredentialRequest { class: class.clone(), key: key.clone(), password, must_change: false };
        writes.push(("credential", facet.set_password(&late, request).await.map(drop)));
    }
    if can.create && connector.writer().is_some() {
        writes.push(("create", bench.send_in(&late, bench.birth("91l")).await?.map(drop)));
    }
    for (what, result) in writes {
        let what = format!("{what} after its deadline");
        fails(&what, result, ErrorKind::Unavailable, Some(Effect::None))?;
    }
    if let (true, Some(feed)) = (can.change_feed, connector.change_feed()) {
        let request = ChangeFeedRequest { class: class.clone(), token: None, limit: 1 };
        fails(
            "changes after its deadline",
            feed.changes(&late, request).await,
            ErrorKind::Unavailable,
            None,
        )?;
    }
    ensure(bench.read(key).await? == before, || "a write after its deadline was done".to_owned())?;
    if can.create {
        let made = bench.like(&bench.birth("91l")).await?;
        ensure(made.is_empty(), || "a create after its deadline was done".to_owned())?;
    }
    Ok(())
}

/// C-9.2
pub(super) async fn lost_response_is_unknown(bench: &Bench<'_>) -> Verdict {
    bench.creates()?;
    let birth = bench.birth("92a");
    bench.provoke(Trouble::LoseCreate)?;
    bench.look_for(&birth);
    let lost = bench.send(birth.clone()).await?;
    bench.profile.provoke(Trouble::None);
    fails("create whose answer is lost", lost, ErrorKind::Unavailable, Some(Effect::Unknown))?;
    bench.settle().await;
    let made = bench.like(&birth).await?.len();
    ensure(made == 1, || format!("{made} objects were made by one create whose answer was lost"))?;
    let can = bench.can();
    if !can.idempotent_create && can.unique.is_empty() {
        // The target makes a second object, as declared: nobody may send it again.
        return Ok(());
    }
    match bench.send(birth.clone()).await? {
        Ok(outcome) => drop(bench.done(outcome).await?),
        // What a taken name is answered with is C-4.6's.
        Err(error) => ensure(!can.idempotent_create, || format!("sent again: {}", error.report()))?,
    }
    let made = bench.like(&birth).await?.len();
    ensure(made == 1, || format!("{made} objects after the create was sent again"))
}

/// C-9.3
pub(super) async fn parallel_calls_do_not_mix(bench: &Bench<'_>) -> Verdict {
    bench.updates()?;
    let deletes = bench.can().delete != DeleteStyle::Unsupported;
    let work = (0..50).map(|number| async move {
        let label = format!("93n{number}");
        let key = bench.create(&label).await?;
        bench.shows(&bench.read(&key).await?.attributes, &bench.attributes(&label))?;
        let own = format!("of {number}");
        let change = Change::Replace(vec![Value::text(&own)]);
        bench.update(&key, Delta { changes: [(bench.profile.text(), change)].into() }).await?;
        let listed = bench.list(ListRequest::all(bench.class.clone())).await?;
        ensure(listed.iter().any(|object| object.key.id == key.id), || "a listing lacks it".to_owned())?;
        let object = bench.read(&key).await?;
        ensure(object.key.id == key.id, || "a read is answered with another object".to_owned())?;
        bench.shows(&object.attributes, &Attributes::new().with(bench.profile.text(), own))?;
        if deletes && number % 5 == 0 {
            bench.delete(&bench.class, &key).await?;
            ensure(bench.find(&bench.class, &key).await?.is_none(), || {
                "deleted, and still there".to_owned()
            })?;
        }
        Ok::<_, Finding>(key.id)
    });
    let mut ids = join_all(work).await.into_iter().collect::<Verdict<Vec<_>>>()?;
    ids.sort();
    ids.dedup();
    ensure(ids.len() == 50, || "two objects have one id".to_owned())
}

/// C-9.4
pub(super) async fn rate_limit_is_told(bench: &Bench<'_>) -> Verdict {
    let keys = bench.some(&["94a"]).await?;
    bench.provoke(Trouble::RateLimit)?;
    let waits = |error: Error| {
        ensure(matches!(error.retry(), Retry::After(Some(_))), || {
            format!("the waiting time is not told: {:?}", error.retry())
        })
    };
    for key in keys {
        let request = GetRequest { class: bench.class.clone(), key };
        let result = bench.connector.get(&bench.cx, request).await;
        waits(fails("get", result, ErrorKind::RateLimited, None)?)?;
    }
    let listed = bench.listed(ListRequest::all(bench.class.clone())).await;
    waits(fails("list", listed, ErrorKind::RateLimited, None)?)?;
    if !bench.can().create {
        return Ok(());
    }
    let refused = bench.send(bench.birth("94b")).await?;
    waits(fails("create", refused, ErrorKind::RateLimited, Some(Effect::None))?)
}

/// C-9.5
pub(super) async fn pending_write_can_be_asked_for(bench: &Bench<'_>) -> Verdict {
    let writer = bench.writer()?;
    let poll = |ticket: &str| writer.poll(&bench.cx, PollRequest { ticket: ticket.to_owned() });
    match poll(NOBODY).await {
        Ok(outcome) => return broken(format!("a foreign ticket is answered: {outcome:?}")),
        Err(error) => {
            let kinds = [ErrorKind::NotFound, ErrorKind::Unsupported];
            ensure(kinds.contains(&error.kind()) && error.effect_stated() == Some(Effect::None), || {
                format!("a foreign ticket: {error:?}")
            })?;
        }
    }
    bench.creates()?;
    let Outcome::Pending { ticket } = bench.send(bench.birth("95a")).await?? else {
        return skip("the target answers no write with `Pending`");
    };
    let first = bench.done(Outcome::Pending { ticket: ticket.clone() }).await?;
    bench.read(&first.key).await?;
    for _ in 0..2 {
        let again = poll(&ticket).await?;
        ensure(again == Outcome::Done(first.clone()), || {
            format!("asked again after the end: {again:?} instead of {first:?}")
        })?;
    }
    let alike = bench.like(&bench.birth("95a")).await?.len();
    ensure(alike == 1, || format!("{alike} objects were made"))?;
    // Dropped while it is asked for: the ticket is good as before.
    if bench.can().update {
        let change = Change::Replace(vec![Value::text("later")]);
        let delta = Delta { changes: [(bench.profile.text(), change)].into() };
        let outcome = bench.try_update(&first.key, delta).await??;
        if let Outcome::Pending { ticket } = &outcome {
            let _ = poll(ticket).now_or_never();
        }
        bench.done(outcome).await?;
        let read = bench.read(&first.key).await?;
        bench.shows(&read.attributes, &Attributes::new().with(bench.profile.text(), "later"))?;
    }
    Ok(())
}
