//! Clause 4.3: filters, drawn and fixed ones.

use super::bench::Bench;
use super::chance::Chance;
use super::verdict::{Verdict, ensure, fails, skip};
use crate::connector::{FilterSupport, ListRequest, Object};
use crate::error::ErrorKind;
use crate::filter::{Comparison, DEPTH_MAX, Filter};
use crate::value::{AttrName, AttrPath, Value};

use Comparison::*;

const COMPARISONS: [Comparison; 8] =
    [Equal, StartsWith, EndsWith, Contains, Greater, GreaterOrEqual, Less, LessOrEqual];

/// Texts with a meaning in some target's own syntax.
const HOSTILE: [&str; 10] =
    ["*", "a*", "be%a", "be_a", "\\", "o'hara", "\"", "a)(uid=*", "x' OR '1'='1", "b\" or title pr"];

/// How many filters are drawn.
const DRAWN: usize = 40;

/// Whether the target evaluates the whole filter.
fn pushes(can: &FilterSupport, filter: &Filter) -> bool {
    let below = |parts: &[Filter]| parts.iter().all(|part| pushes(can, part));
    can.pushes(filter)
        && match filter {
            Filter::All(parts) | Filter::Any(parts) => below(parts),
            Filter::Not(part) => pushes(can, part),
            Filter::Present(_) | Filter::Compare(..) => true,
        }
}

fn compare(name: &AttrName, comparison: Comparison, literal: &str) -> Filter {
    Filter::Compare(AttrPath::new(name.clone()), comparison, Value::text(literal))
}

/// Filters over the text attribute and the naming attribute, of every form.
fn fixed(text: &AttrName, naming: Option<(&AttrName, &str)>) -> Vec<Filter> {
    let path = AttrPath::new(text.clone());
    let compare_text = |comparison, literal: &str| compare(text, comparison, literal);
    let comparisons = COMPARISONS
        .map(|comparison| ["beta", "BETA", "b", "a", ""].map(|literal| compare_text(comparison, literal)));
    let mut filters = comparisons.concat();
    filters.extend(HOSTILE.map(|literal| compare_text(Equal, literal)));
    filters.extend(HOSTILE.map(|literal| compare_text(StartsWith, literal)));
    filters.extend(HOSTILE.map(|literal| compare_text(Contains, literal)));
    filters.extend([
        Filter::Present(path.clone()),
        Filter::Not(Box::new(Filter::Present(path.clone()))),
        Filter::Not(Box::new(compare_text(Equal, "beta"))),
        compare_text(Equal, "no object has this text"),
        Filter::All(vec![]),
        Filter::Any(vec![]),
        Filter::Any(vec![compare_text(Equal, "beta"), compare_text(Equal, "gamma")]),
        Filter::All(vec![compare_text(Contains, "a"), Filter::Not(Box::new(compare_text(StartsWith, "b")))]),
        Filter::Compare(path, Equal, Value::Int(1)),
    ]);
    if let Some((name, value)) = naming {
        let upper = value.to_uppercase();
        let stem = value.chars().take(4).collect::<String>();
        filters.extend([
            compare(name, Equal, value),
            compare(name, Equal, &upper),
            compare(name, StartsWith, &stem),
            Filter::All(vec![compare(name, Equal, value), compare_text(Equal, "no object has this text")]),
            Filter::All(vec![compare_text(Contains, "et"), compare(name, StartsWith, &stem.to_uppercase())]),
        ]);
    }
    filters
}

/// A filter of chance, nested `depth` levels at most.
fn drawn(chance: &Chance, names: &[AttrName], literals: &[String], depth: usize) -> Filter {
    let parts = |most: usize| {
        let parts =
            (0..chance.below(most + 1)).map(|_| drawn(chance, names, literals, depth.saturating_sub(1)));
        parts.collect::<Vec<_>>()
    };
    let name = chance.pick(names).cloned().unwrap_or_else(|| AttrName::new(""));
    match chance.below(if depth > 1 { 10 } else { 5 }) {
        0 => Filter::Present(AttrPath::new(name)),
        1..=4 => {
            let comparison = chance.pick(&COMPARISONS).copied().unwrap_or(Equal);
            compare(&name, comparison, chance.pick(literals).map(String::as_str).unwrap_or_default())
        }
        5 | 6 => Filter::All(parts(3)),
        7 | 8 => Filter::Any(parts(3)),
        _ => Filter::Not(Box::new(drawn(chance, names, literals, depth - 1))),
    }
}

/// C-4.3
pub(super) async fn filters_mean_what_they_mean_in_memory(bench: &Bench<'_>) -> Verdict {
    let (text, set) = (bench.profile.text(), bench.profile.set());
    // Two share a text: who finds one must find the other. One has none.
    let words = ["alpha", "beta", "Beta", "gamma", "beta", ""].map(str::to_owned);
    let labels = ["43a", "43b", "43c", "43d", "43e", "43f", "43g", "43h", "43i", "43j", "43k"];
    let hostile = HOSTILE.map(str::to_owned).to_vec();
    let more = bench.chance.shuffled(hostile).into_iter().take(4).chain([bench.chance.word()]);
    let words = words.into_iter().chain(more).collect::<Vec<_>>();
    if bench.can().create {
        for (label, word) in labels.into_iter().zip(&words) {
            let mut birth = bench.birth(label);
            match word.as_str() {
                "" => drop(birth.attributes.remove(text.as_str())),
                word => birth.attributes.set(text.clone(), vec![Value::text(word)]),
            }
            if let Some(set) = &set {
                let values = vec![Value::text(word), Value::text(bench.chance.word())];
                birth.attributes.set(set.clone(), if word.is_empty() { Vec::new() } else { values });
            }
            bench.born(birth).await?;
        }
    }
    let shape = bench.shape(&bench.class)?;
    let everyone = bench.list(ListRequest::all(bench.class.clone())).await?;
    if everyone.is_empty() {
        return skip("the target creates nothing and holds nothing to select from");
    }
    let sample = bench.attributes("43a");
    let naming = shape.naming.as_ref().and_then(|name| Some((name, sample.text(name.as_str())?)));
    let mut filters = fixed(&text, naming);
    let names = [Some(text.clone()), set, naming.map(|(name, _)| name.clone())];
    let names = names.into_iter().flatten().collect::<Vec<_>>();
    let mut literals = words.clone();
    literals.extend(HOSTILE.map(str::to_owned));
    literals.extend(naming.map(|(_, value)| value.to_owned()));
    filters.extend((0..DRAWN).map(|_| drawn(&bench.chance, &names, &literals, 3)));
    for filter in bench.chance.shuffled(filters) {
        selects(bench, filter, &everyone).await?;
    }
    let deep = (0..=DEPTH_MAX).fold(Filter::All(vec![]), |inner, _| Filter::Not(Box::new(inner)));
    let refused = bench.listed(ListRequest::matching(bench.class.clone(), deep)).await;
    fails("list with a filter nested too deep", refused, ErrorKind::Unsupported, None).map(drop)
}

/// The filter selects the same here and there; one that is not declared is refused.
async fn selects(bench: &Bench<'_>, filter: Filter, everyone: &[Object]) -> Verdict {
    let shape = bench.shape(&bench.class)?;
    let ids = |objects: &[Object], kept: &dyn Fn(&Object) -> bool| {
        let mut ids = objects
            .iter()
            .filter(|object| kept(object))
            .map(|object| object.key.id.clone())
            .collect::<Vec<_>>();
        ids.sort();
        ids
    };
    let can = bench.can().filter;
    let wanted = ids(everyone, &|object| filter.matches(shape, &object.attributes));
    let split = filter.clone().split(&|part| can.pushes(part));
    let page_size = match &split.pushed {
        Some(_) => bench.chance.pick(&[1, 2, 3, 500]).copied().unwrap_or(500),
        None => 500,
    };
    let request = ListRequest { filter: split.pushed, page_size, ..ListRequest::all(bench.class.clone()) };
    let found = bench.list(request).await?;
    let found = ids(&found, &|object| {
        split.residual.as_ref().is_none_or(|residual| residual.matches(shape, &object.attributes))
    });
    ensure(found == wanted, || format!("{filter:?} finds {found:?} instead of {wanted:?}"))?;
    if pushes(&can, &filter) {
        return Ok(());
    }
    let refused = bench.listed(ListRequest::matching(bench.class.clone(), filter.clone())).await;
    fails(&format!("list with the undeclared filter {filter:?}"), refused, ErrorKind::Unsupported, None)
        .map(drop)
}
