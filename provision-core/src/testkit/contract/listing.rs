//! Clauses 4.1, 4.2, 4.4, 4.5, 4.9 and 4.11: listings.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt;

use super::bench::Bench;
use super::profile::Trouble;
use super::verdict::{Verdict, broken, ensure, fails};
use crate::connector::{Completeness, ListEvent, ListRequest, Listing, ObjectKey, collect};
use crate::error::ErrorKind;
use crate::value::{AttrName, Value};

/// Most empty pages in a row.
const EMPTY_MAX: u32 = 10_000;

/// What a whole listing showed: each object once, in pages no larger than asked, and its end.
async fn drained(mut listing: Listing, page_size: u32) -> Verdict<(Vec<ObjectKey>, Completeness)> {
    let mut seen = BTreeSet::new();
    let mut keys = Vec::new();
    let mut end = None;
    let mut empty = 0;
    while let Some(event) = listing.next().await {
        ensure(end.is_none(), || "an event follows the end".to_owned())?;
        match event? {
            ListEvent::Objects(objects) => {
                ensure(objects.len() <= page_size as usize, || {
                    format!("a page of {} objects, {page_size} were asked for", objects.len())
                })?;
                empty = if objects.is_empty() { empty + 1 } else { 0 };
                ensure(empty < EMPTY_MAX, || "the listing goes on without objects".to_owned())?;
                for object in objects {
                    ensure(seen.insert(object.key.id.clone()), || {
                        format!("`{}` is listed twice with {page_size} a page", object.key.id)
                    })?;
                    keys.push(object.key);
                }
            }
            ListEvent::End(completeness) => end = Some(completeness),
        }
    }
    match end {
        Some(completeness) => Ok((keys, completeness)),
        None => broken("the listing stops without an end"),
    }
}

/// C-4.1
pub(super) async fn listing_shows_each_object_once(bench: &Bench<'_>) -> Verdict {
    let made = bench.some(&["41a", "41b", "41c", "41d", "41e"]).await?;
    let all = bench.list(ListRequest::all(bench.class.clone())).await?.len();
    let edges = [1, 2, 4, all.saturating_sub(1), all, all + 1, 1 + bench.chance.below(all), 1000];
    for page_size in bench.chance.shuffled(edges.to_vec()) {
        let page_size = u32::try_from(page_size.max(1)).unwrap_or(u32::MAX);
        let request = ListRequest { page_size, ..ListRequest::all(bench.class.clone()) };
        let (keys, end) = drained(bench.listing(request)?, page_size).await?;
        ensure(end.is_complete(), || format!("the listing is not complete: {end:?}"))?;
        let missing = made.iter().find(|key| !keys.iter().any(|seen| seen.id == key.id));
        ensure(missing.is_none(), || format!("{missing:?} is missing with {page_size} a page"))?;
        ensure(keys.len() == all, || format!("{} objects with {page_size} a page, else {all}", keys.len()))?;
    }
    if bench.profile.provoke(Trouble::Unreachable) {
        let listing = bench.connector.list(&bench.cx, ListRequest::all(bench.class.clone()));
        ensure(listing.is_ok(), || "a listing does I/O before it is polled".to_owned())?;
    }
    Ok(())
}

/// C-4.2
pub(super) async fn repeated_page_token_is_an_error(bench: &Bench<'_>) -> Verdict {
    bench.some(&["42a", "42b", "42c"]).await?;
    let all = bench.list(ListRequest::all(bench.class.clone())).await?.len();
    bench.provoke(Trouble::RepeatToken)?;
    let request = ListRequest { page_size: 1, ..ListRequest::all(bench.class.clone()) };
    // Enough to show the loop.
    match collect(bench.listing(request)?, 3 * all + 10).await {
        Ok((objects, _)) if objects.len() > 3 * all => {
            broken(format!("a loop: {} objects listed, there are {all}", objects.len()))
        }
        result => fails("list", result, ErrorKind::Unexpected, None).map(drop),
    }
}

/// C-4.4
pub(super) async fn dropped_listing_releases_what_it_holds(bench: &Bench<'_>) -> Verdict {
    let keys = bench.some(&["44a", "44b"]).await?;
    // More than any pool of connections would bear.
    for _ in 0..200 {
        let request = ListRequest { page_size: 1, ..ListRequest::all(bench.class.clone()) };
        let mut listing = bench.listing(request)?;
        let first = listing.next().await.transpose()?;
        ensure(first.is_some(), || "the listing is empty".to_owned())?;
        drop(listing);
    }
    for key in keys {
        bench.read(&key).await?;
    }
    Ok(())
}

/// C-4.5
pub(super) async fn listing_survives_deletes(bench: &Bench<'_>) -> Verdict {
    bench.deletes()?;
    let mut made = Vec::new();
    for label in ["45a", "45b", "45c", "45d", "45e", "45f"] {
        made.push(bench.create(label).await?);
    }
    let request = ListRequest { page_size: 1, ..ListRequest::all(bench.class.clone()) };
    let mut listing = bench.listing(request)?;
    let mut seen: Vec<ObjectKey> = Vec::new();
    let mut stayed = bench.chance.shuffled(made.clone());
    while let Some(event) = listing.next().await {
        let ListEvent::Objects(objects) = event? else { continue };
        seen.extend(objects.into_iter().map(|object| object.key));
        // At each of our own that shows, two go: one that was shown, and one that was not.
        if stayed.len() <= 2 || !seen.last().is_some_and(|key| made.contains(key)) {
            continue;
        }
        for shown in [true, false] {
            let place = stayed.iter().position(|key| seen.contains(key) == shown);
            if let Some(place) = place.filter(|_| stayed.len() > 2) {
                bench.delete(&bench.class, &stayed.remove(place)).await?;
            }
        }
    }
    ensure(stayed.len() == 2, || "the listing never showed the new objects".to_owned())?;
    let missing = stayed.iter().find(|key| !seen.contains(key));
    ensure(missing.is_none(), || format!("{missing:?} was not deleted and is not listed"))
}

/// C-4.9
pub(super) async fn cut_listing_is_not_complete(bench: &Bench<'_>) -> Verdict {
    bench.some(&["49a", "49b"]).await?;
    let request = ListRequest { page_size: 1, ..ListRequest::all(bench.class.clone()) };
    let mut tried = false;
    for trouble in [Trouble::CutListing, Trouble::Unreachable] {
        if !bench.profile.provoke(trouble) {
            continue;
        }
        tried = true;
        let listing = bench.connector.list(&bench.cx, request.clone());
        let ended = match listing {
            Ok(listing) => collect(listing, super::bench::OBJECTS_MAX).await,
            Err(error) => Err(error),
        };
        bench.profile.provoke(Trouble::None);
        if let Ok((_, Completeness::Complete { proof })) = ended {
            return broken(format!("{trouble:?}: the listing claims to be complete: {proof}"));
        }
    }
    if tried { Ok(()) } else { super::verdict::skip("the target cannot be provoked so") }
}

/// C-4.11
pub(super) async fn listing_shows_the_attributes_asked_for(bench: &Bench<'_>) -> Verdict {
    bench.creates()?;
    let text = bench.profile.text();
    let mut birth = bench.birth("411a");
    birth.attributes.set(text.clone(), vec![Value::text("asked for")]);
    let key = bench.born(birth).await?;
    let whole = bench.read(&key).await?;
    let names = whole.attributes.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let some = bench.chance.shuffled(names).into_iter().take(2);
    let wanted = some.chain([text]).collect::<BTreeSet<AttrName>>();
    for attributes in [wanted, BTreeSet::new()] {
        let request =
            ListRequest { attributes: Some(attributes.clone()), ..ListRequest::all(bench.class.clone()) };
        let listed = bench.list(request).await?;
        let Some(object) = listed.into_iter().find(|object| object.key.id == key.id) else {
            return broken("the object is not listed");
        };
        ensure((&object.key, object.enabled) == (&whole.key, whole.enabled), || {
            format!("key or state are {:?}, {:?}", object.key, object.enabled)
        })?;
        let asked = |name: &AttrName| attributes.contains(name);
        let wanted = whole.attributes.iter().filter(|(name, _)| asked(name)).collect::<BTreeMap<_, _>>();
        let found = object.attributes.iter().collect::<BTreeMap<_, _>>();
        ensure(found == wanted, || {
            format!("asked for {attributes:?}, {found:?} came instead of {wanted:?}")
        })?;
    }
    Ok(())
}
