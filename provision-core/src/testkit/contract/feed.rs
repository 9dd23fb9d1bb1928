//! Clause 8: change feeds.

use super::bench::Bench;
use super::profile::Trouble;
use super::verdict::{Verdict, broken, ensure, fails, skip};
use crate::connector::{ChangeEvent, ChangeFeed, ChangeFeedRequest, ChangePage, ObjectKey};
use crate::delta::{Change, Delta};
use crate::error::{ErrorKind, Result};
use crate::value::Value;

/// Most pages a feed may need here.
const PAGES_MAX: u32 = 10_000;

fn facet<'a>(bench: &Bench<'a>) -> Verdict<&'a dyn ChangeFeed> {
    match bench.connector.change_feed().filter(|_| bench.can().change_feed) {
        Some(feed) => Ok(feed),
        None => skip("the target tells no changes"),
    }
}

async fn page(bench: &Bench<'_>, token: Option<Vec<u8>>, limit: u32) -> Verdict<Result<ChangePage>> {
    let request = ChangeFeedRequest { class: bench.class.clone(), token, limit };
    Ok(facet(bench)?.changes(&bench.cx, request).await)
}

async fn now(bench: &Bench<'_>) -> Verdict<Vec<u8>> {
    let page = page(bench, None, 10).await??;
    ensure(page.events.is_empty(), || "a feed without token starts now, and told older changes".to_owned())?;
    Ok(page.token)
}

/// All changes since the token, read `limit` at a time, and the token afterwards.
async fn since(bench: &Bench<'_>, token: &[u8], limit: u32) -> Verdict<(Vec<ChangeEvent>, Vec<u8>)> {
    let mut token = token.to_vec();
    let mut events = Vec::new();
    for _ in 0..PAGES_MAX {
        let page = page(bench, Some(token), limit).await??;
        ensure(page.events.len() <= limit as usize, || {
            format!("a page of {} changes, {limit} were asked for", page.events.len())
        })?;
        events.extend(page.events);
        token = page.token;
        if !page.more {
            return Ok((events, token));
        }
    }
    broken("the feed never ends")
}

fn tells(events: &[ChangeEvent], key: &ObjectKey) -> bool {
    events.iter().any(|event| event.key.id == key.id)
}

/// C-8.1
pub(super) async fn feed_goes_on_from_its_token(bench: &Bench<'_>) -> Verdict {
    facet(bench)?;
    bench.creates()?;
    let start = now(bench).await?;
    let a = bench.create("81a").await?;
    let (first, middle) = since(bench, &start, 1).await?;
    ensure(tells(&first, &a), || "a create is not told".to_owned())?;
    let b = bench.create("81b").await?;
    let (second, end) = since(bench, &middle, 1).await?;
    ensure(tells(&second, &b), || "what came after the token is not told".to_owned())?;
    ensure(!tells(&second, &a), || "what came before the token is told again".to_owned())?;
    let (again, _) = since(bench, &start, 1000).await?;
    ensure(tells(&again, &a) && tells(&again, &b), || "an older token does not tell all since".to_owned())?;
    if bench.can().update {
        let change = Change::Replace(vec![Value::text("changed")]);
        bench.update(&a, Delta { changes: [(bench.profile.text(), change)].into() }).await?;
        let (changed, _) = since(bench, &end, 1).await?;
        ensure(tells(&changed, &a), || "an update is not told".to_owned())?;
    }
    // Several, in pages of chance: all are told, the oldest first.
    let mut made = Vec::new();
    for label in ["81c", "81d", "81e", "81f", "81g"] {
        made.push(bench.create(label).await?.id);
    }
    let drawn = u32::try_from(1 + bench.chance.below(6)).unwrap_or(1);
    for limit in [drawn, 2, 5] {
        let (events, _) = since(bench, &end, limit).await?;
        let mut told = Vec::new();
        for event in events.iter().filter(|event| made.contains(&event.key.id)) {
            if !told.contains(&event.key.id) {
                told.push(event.key.id.clone());
            }
        }
        ensure(told == made, || format!("told in pages of {limit}: {told:?} instead of {made:?}"))?;
    }
    Ok(())
}

/// C-8.2
pub(super) async fn feed_tells_deletes(bench: &Bench<'_>) -> Verdict {
    facet(bench)?;
    bench.deletes()?;
    let (key, other) = (bench.create("82a").await?, bench.create("82b").await?);
    let start = now(bench).await?;
    bench.delete(&bench.class, &key).await?;
    let (events, _) = since(bench, &start, 100).await?;
    let last = events.iter().rfind(|event| event.key.id == key.id);
    ensure(last.is_some_and(|event| event.deleted && event.object.is_none()), || {
        format!("the delete is told as {last:?}")
    })?;
    let wrong = events.iter().find(|event| event.deleted && event.key.id == other.id);
    ensure(wrong.is_none(), || "an object that stays is told as deleted".to_owned())
}

/// C-8.3
pub(super) async fn foreign_token_is_refused(bench: &Bench<'_>) -> Verdict {
    for token in ["not a token of this target", "", "0", "99999999999999"] {
        let refused = page(bench, Some(token.as_bytes().to_vec()), 10).await?;
        fails(&format!("the foreign token {token:?}"), refused, ErrorKind::Conflict, None)?;
    }
    Ok(())
}

/// C-8.4
pub(super) async fn failed_page_keeps_the_token(bench: &Bench<'_>) -> Verdict {
    facet(bench)?;
    bench.creates()?;
    let start = now(bench).await?;
    let key = bench.create("84a").await?;
    bench.provoke(Trouble::Unreachable)?;
    let failed = page(bench, Some(start.clone()), 10).await?;
    bench.profile.provoke(Trouble::None);
    fails("a page of a target that cannot be reached", failed, ErrorKind::Unavailable, None)?;
    let (events, _) = since(bench, &start, 10).await?;
    ensure(tells(&events, &key), || "what the failed page would have told is not told any more".to_owned())
}
