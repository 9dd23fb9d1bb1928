//! Clause 8: change feeds.

use super::profile::{Bench, Profile};
use super::verdict::{Finding, Verdict, ensure, fails, skip};
use crate::connector::{
    ChangeEvent, ChangeFeed, ChangeFeedRequest, Connector, DeleteRequest, DeleteStyle, ObjectKey,
};
use crate::error::ErrorKind;

/// Most pages a feed may need here.
const PAGES_MAX: u32 = 10_000;

fn facet<'a>(bench: &Bench<'a>) -> Verdict<&'a dyn ChangeFeed> {
    match bench.connector.change_feed().filter(|_| bench.can().change_feed) {
        Some(feed) => Ok(feed),
        None => skip("the target tells no changes"),
    }
}

async fn now(bench: &Bench<'_>) -> Verdict<Vec<u8>> {
    let request = ChangeFeedRequest { class: bench.class.clone(), token: None, limit: 10 };
    let page = facet(bench)?.changes(&bench.cx, request).await?;
    ensure(page.events.is_empty(), || "a feed without token starts now, and told older changes".to_owned())?;
    Ok(page.token)
}

/// All changes since the token, read `limit` at a time, and the token afterwards.
async fn since(bench: &Bench<'_>, token: &[u8], limit: u32) -> Verdict<(Vec<ChangeEvent>, Vec<u8>)> {
    let mut token = token.to_vec();
    let mut events = Vec::new();
    for _ in 0..PAGES_MAX {
        let request = ChangeFeedRequest { class: bench.class.clone(), token: Some(token), limit };
        let page = facet(bench)?.changes(&bench.cx, request).await?;
        ensure(page.events.len() <= limit as usize, || "a page is larger than asked".to_owned())?;
        events.extend(page.events);
        token = page.token;
        if !page.more {
            return Ok((events, token));
        }
    }
    Err(Finding::Broken("the feed never ends".to_owned()))
}

fn tells(events: &[ChangeEvent], key: &ObjectKey) -> bool {
    events.iter().any(|event| event.key.id == key.id)
}

/// C-8.1
pub async fn feed_goes_on_from_its_token(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    let start = now(&bench).await?;
    let a = bench.create("81a").await?;
    let (first, middle) = since(&bench, &start, 1).await?;
    ensure(tells(&first, &a), || "a create is not told".to_owned())?;
    let b = bench.create("81b").await?;
    let (second, end) = since(&bench, &middle, 1).await?;
    ensure(tells(&second, &b), || "what came after the token is not told".to_owned())?;
    ensure(!tells(&second, &a), || "what came before the token is told again".to_owned())?;
    let (again, _) = since(&bench, &start, 1000).await?;
    ensure(tells(&again, &a) && tells(&again, &b), || "an older token does not tell all since".to_owned())?;
    let (nothing, _) = since(&bench, &end, 10).await?;
    ensure(nothing.is_empty(), || "changes are told that nobody made".to_owned())
}

/// C-8.2
pub async fn feed_tells_deletes(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    facet(&bench)?;
    if bench.can().delete == DeleteStyle::Unsupported {
        return skip("the target deletes nothing");
    }
    let key = bench.create("82a").await?;
    let start = now(&bench).await?;
    let request = DeleteRequest { class: bench.class.clone(), key: key.clone() };
    bench.done(bench.writer()?.delete(&bench.cx, request).await?).await?;
    let (events, _) = since(&bench, &start, 100).await?;
    let last = events.iter().rfind(|event| event.key.id == key.id);
    ensure(last.is_some_and(|event| event.deleted && event.object.is_none()), || {
        format!("the delete is told as {last:?}")
    })
}

/// C-8.3
pub async fn foreign_token_is_refused(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    let token = Some(b"not a token of this target".to_vec());
    let request = ChangeFeedRequest { class: bench.class.clone(), token, limit: 10 };
    let refused = facet(&bench)?.changes(&bench.cx, request).await;
    fails("a foreign token", refused, ErrorKind::Conflict, None).map(drop)
}
