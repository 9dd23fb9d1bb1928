//! Clauses 4.1 to 4.5 and 4.9: listings.

use std::collections::BTreeMap;

use futures_util::StreamExt;

use super::profile::{Bench, Profile, Trouble};
use super::verdict::{Finding, Verdict, ensure, fails, skip};
use crate::connector::{
    Completeness, Connector, DeleteRequest, DeleteStyle, ListEvent, ListRequest, Object, collect,
};
use crate::error::ErrorKind;
use crate::filter::{Comparison, DEPTH_MAX, Filter};
use crate::value::{AttrPath, Value};

/// C-4.1
pub async fn listing_shows_each_object_once(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    let mut made = Vec::new();
    for suffix in ["41a", "41b", "41c", "41d", "41e"] {
        made.push(bench.create(suffix).await?);
    }
    for page_size in [1, 2, 4, 1000] {
        let request = ListRequest { page_size, ..ListRequest::all(bench.class.clone()) };
        let mut listing = connector.list(&bench.cx, request)?;
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        let mut end = None;
        while let Some(event) = listing.next().await {
            ensure(end.is_none(), || "an event follows the end".to_owned())?;
            match event? {
                ListEvent::Objects(objects) => {
                    ensure(objects.len() <= page_size as usize, || "a page is larger than asked".to_owned())?;
                    objects.iter().for_each(|object| *seen.entry(object.key.id.clone()).or_default() += 1);
                }
                ListEvent::End(completeness) => end = Some(completeness),
            }
        }
        ensure(end.is_some_and(|end| end.is_complete()), || "the listing is not complete".to_owned())?;
        ensure(seen.values().all(|times| *times == 1), || "an object is listed twice".to_owned())?;
        let missing = made.iter().find(|key| !seen.contains_key(&key.id));
        ensure(missing.is_none(), || format!("{missing:?} is missing with {page_size} a page"))?;
    }
    let none = Filter::equal(profile.text(), "no object has this text");
    if pushes(&bench, &none) {
        let objects = bench.list(ListRequest::matching(bench.class.clone(), none)).await?;
        ensure(objects.is_empty(), || "an empty listing has objects".to_owned())?;
    }
    Ok(())
}

/// C-4.2
pub async fn repeated_page_token_is_an_error(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    for suffix in ["42a", "42b", "42c"] {
        bench.create(suffix).await?;
    }
    bench.provoke(Trouble::RepeatToken)?;
    let request = ListRequest { page_size: 1, ..ListRequest::all(bench.class.clone()) };
    let result = collect(connector.list(&bench.cx, request)?, 1_000_000).await;
    fails("list", result, ErrorKind::Unexpected, None).map(drop)
}

fn pushes(bench: &Bench<'_>, filter: &Filter) -> bool {
    let can = bench.can().filter;
    let below = |parts: &[Filter]| parts.iter().all(|part| pushes(bench, part));
    can.pushes(filter)
        && match filter {
            Filter::All(parts) | Filter::Any(parts) => below(parts),
            Filter::Not(part) => pushes(bench, part),
            Filter::Present(_) | Filter::Compare(..) => true,
        }
}

/// Filters over the text attribute and the naming attribute, of every form.
fn filters(profile: &dyn Profile, naming: Option<(&str, &str)>) -> Vec<Filter> {
    use Comparison::*;
    let path = AttrPath::new(profile.text());
    let compare = |comparison, literal: &str| Filter::Compare(path.clone(), comparison, Value::text(literal));
    let comparisons = [Equal, StartsWith, EndsWith, Contains, Greater, GreaterOrEqual, Less, LessOrEqual]
        .map(|comparison| {
            ["beta", "BETA", "b", "a", ""].map(|literal| compare(comparison, literal)).to_vec()
        });
    let mut filters = comparisons.concat();
    filters.extend([
        Filter::Present(path.clone()),
        Filter::Not(Box::new(Filter::Present(path.clone()))),
        Filter::Not(Box::new(compare(Equal, "beta"))),
        Filter::All(vec![]),
        Filter::Any(vec![]),
        Filter::Any(vec![compare(Equal, "beta"), compare(Equal, "gamma")]),
        Filter::All(vec![compare(Contains, "a"), Filter::Not(Box::new(compare(StartsWith, "b")))]),
        Filter::Compare(path.clone(), Equal, Value::Int(1)),
    ]);
    if let Some((name, value)) = naming {
        let path = AttrPath::new(name);
        for (comparison, literal) in [(Equal, value.to_owned()), (Equal, value.to_uppercase())] {
            filters.push(Filter::Compare(path.clone(), comparison, Value::text(literal)));
        }
        let stem = value.chars().take(4).collect::<String>();
        filters.push(Filter::Compare(path.clone(), StartsWith, Value::text(&stem)));
        let both = Filter::Compare(path, StartsWith, Value::text(stem.to_uppercase()));
        filters.push(Filter::All(vec![both, compare(Contains, "et")]));
    }
    filters
}

/// C-4.3
pub async fn filters_mean_what_they_mean_in_memory(
    connector: &dyn Connector,
    profile: &dyn Profile,
) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    for (suffix, text) in [("43a", "alpha"), ("43b", "beta"), ("43c", "Beta"), ("43d", "gamma"), ("43e", "")]
    {
        let mut birth = bench.birth(suffix);
        match text {
            "" => drop(birth.attributes.remove(profile.text().as_str())),
            text => birth.attributes.set(profile.text(), vec![text.into()]),
        }
        bench.done(bench.writer()?.create(&bench.cx, birth).await?).await?;
    }
    let shape = bench.shape(&bench.class)?.clone();
    let everyone = bench.list(ListRequest::all(bench.class.clone())).await?;
    let sample = profile.attributes("43a");
    let naming = shape.naming.as_ref().and_then(|name| Some((name.as_str(), sample.text(name.as_str())?)));
    let ids = |objects: &[Object]| objects.iter().map(|object| object.key.id.clone()).collect::<Vec<_>>();
    for filter in filters(profile, naming) {
        let mut wanted = everyone.clone();
        wanted.retain(|object| filter.matches(&shape, &object.attributes));
        let split = filter.clone().split(&|part| bench.can().filter.pushes(part));
        let request = ListRequest { filter: split.pushed, ..ListRequest::all(bench.class.clone()) };
        let mut found = bench.list(request).await?;
        found.retain(|object| {
            split.residual.as_ref().is_none_or(|filter| filter.matches(&shape, &object.attributes))
        });
        let (mut wanted, mut found) = (ids(&wanted), ids(&found));
        wanted.sort();
        found.sort();
        ensure(found == wanted, || format!("{filter:?} finds {found:?} instead of {wanted:?}"))?;
        if !pushes(&bench, &filter) {
            let request = ListRequest::matching(bench.class.clone(), filter);
            let refused = connector.list(&bench.cx, request).map(drop);
            fails("list with an undeclared filter", refused, ErrorKind::Unsupported, None)?;
        }
    }
    let deep = (0..=DEPTH_MAX).fold(Filter::All(vec![]), |inner, _| Filter::Not(Box::new(inner)));
    let refused = connector.list(&bench.cx, ListRequest::matching(bench.class.clone(), deep)).map(drop);
    fails("list with a filter nested too deep", refused, ErrorKind::Unsupported, None).map(drop)
}

/// C-4.4
pub async fn dropped_listing_releases_what_it_holds(
    connector: &dyn Connector,
    profile: &dyn Profile,
) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    let key = bench.create("44a").await?;
    bench.create("44b").await?;
    // More than any pool of connections would bear.
    for _ in 0..200 {
        let request = ListRequest { page_size: 1, ..ListRequest::all(bench.class.clone()) };
        let mut listing = connector.list(&bench.cx, request)?;
        let first = listing.next().await.transpose()?;
        ensure(first.is_some(), || "the listing is empty".to_owned())?;
        drop(listing);
    }
    bench.read(&key).await.map(drop)
}

/// C-4.5
pub async fn listing_survives_deletes(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    if bench.can().delete == DeleteStyle::Unsupported {
        return skip("the target deletes nothing");
    }
    let mut made = Vec::new();
    for suffix in ["45a", "45b", "45c", "45d"] {
        made.push(bench.create(suffix).await?);
    }
    let request = ListRequest { page_size: 1, ..ListRequest::all(bench.class.clone()) };
    let mut listing = connector.list(&bench.cx, request)?;
    let mut seen = Vec::new();
    let mut stayed = made.clone();
    while let Some(event) = listing.next().await {
        let ListEvent::Objects(objects) = event? else { continue };
        seen.extend(objects.into_iter().map(|object| object.key));
        // Deletes the object just seen and one not yet seen.
        for place in [0, 1] {
            if seen.iter().any(|key| made.contains(key)) && stayed.len() > 2 {
                let key = stayed.remove(place);
                let request = DeleteRequest { class: bench.class.clone(), key };
                bench.done(bench.writer()?.delete(&bench.cx, request).await?).await?;
            }
        }
    }
    ensure(stayed.len() == 2, || "the listing never showed the new objects".to_owned())?;
    let missing = stayed.iter().find(|key| !seen.contains(key));
    ensure(missing.is_none(), || format!("{missing:?} was not deleted and is not listed"))
}

/// C-4.9
pub async fn cut_listing_is_not_complete(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    bench.create("49a").await?;
    bench.create("49b").await?;
    bench.provoke(Trouble::CutListing)?;
    let request = ListRequest { page_size: 1, ..ListRequest::all(bench.class.clone()) };
    match collect(connector.list(&bench.cx, request)?, 1_000_000).await {
        Ok((_, Completeness::Complete { proof })) => {
            Err(Finding::Broken(format!("a cut listing claims to be complete: {proof}")))
        }
        Ok((_, Completeness::Partial { .. })) | Err(_) => Ok(()),
    }
}
