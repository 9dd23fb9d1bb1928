//! Clauses 4.6 to 4.8, 4.10 and 4.12: creates, deletes and values.

use futures_util::future::join_all;

use super::bench::Bench;
use super::edge;
use super::verdict::{Verdict, broken, ensure, fails, skip};
use crate::connector::{CreateRequest, DeleteStyle, ListRequest, ObjectKey};
use crate::delta::{Change, Delta};
use crate::error::{Effect, ErrorKind};
use crate::schema::CaseRule;
use crate::value::{Attributes, Value};

/// Texts that targets are known to change.
const HOSTILE: [&str; 24] = [
    "Jos\u{e9}",
    "Jose\u{301}",
    "王小明",
    "𝔘𝔫𝔦",
    "😀",
    " lead",
    "trail ",
    "a,b=c+d\\e\"f<g>h;i#j",
    "x' OR '1'='1",
    "--;DROP",
    "{\"a\": [1]}",
    "[\"a\"]",
    "=1+1",
    "@cmd",
    "a\tb",
    "a\nb",
    "a\r\nb",
    "*)(uid=*",
    "a|b",
    "a\\|b",
    "null",
    "0",
    "true",
    "%00",
];

/// Texts that are drawn, and their length at most.
const DRAWN: usize = 20;
const DRAWN_LENGTH: usize = 20;

/// C-4.6
pub(super) async fn create_gives_a_usable_key(bench: &Bench<'_>) -> Verdict {
    let key = bench.create("46a").await?;
    let object = bench.read(&key).await?;
    ensure(object.key.id == key.id, || format!("the key {key:?} reads {:?}", object.key))?;
    if bench.can().unique.is_empty() {
        return Ok(());
    }
    // Another link, the same person: only the unique values are the same.
    let twin = |label: &str| CreateRequest { attributes: bench.attributes("46a"), ..bench.birth(label) };
    let refused = bench.send(twin("46b")).await?;
    fails("create of a taken name", refused, ErrorKind::AlreadyExists, Some(Effect::None))?;
    let shape = bench.shape(&bench.class)?;
    for (name, schema) in bench.can().unique.iter().filter_map(|name| shape.attribute(name.as_str())) {
        let mut twin = bench.birth("46c");
        let value = object.attributes.text(name.as_str()).filter(|_| schema.case == CaseRule::Ignore);
        let Some(value) = value else { continue };
        twin.attributes.set(name.clone(), vec![Value::text(value.to_uppercase())]);
        let (refused, what) = (bench.send(twin).await?, format!("create of a taken `{name}` in upper case"));
        fails(&what, refused, ErrorKind::AlreadyExists, Some(Effect::None))?;
    }
    ensure(bench.read(&key).await? == object, || "the refused create changed the first object".to_owned())?;
    let alike = bench.like(&twin("46b")).await?.len();
    ensure(alike == 1, || format!("{alike} objects have the unique value"))?;
    // The same at once: one comes first.
    let labels = (0..8).map(|number| format!("46n{number}")).collect::<Vec<_>>();
    let race = labels
        .iter()
        .map(|label| bench.send(CreateRequest { attributes: bench.attributes("46r"), ..bench.birth(label) }));
    let mut made = 0;
    for result in join_all(race).await {
        match result? {
            Ok(outcome) => {
                bench.done(outcome).await?;
                made += 1;
            }
            refused => drop(fails("a race", refused, ErrorKind::AlreadyExists, Some(Effect::None))?),
        }
    }
    ensure(made == 1, || format!("{made} of 8 creates with one name at once succeeded"))
}

/// C-4.7
pub(super) async fn delete_is_repeatable(bench: &Bench<'_>) -> Verdict {
    bench.deletes()?;
    let (key, other) = (bench.create("47a").await?, bench.create("47b").await?);
    for _ in 0..2 {
        bench.delete(&bench.class, &key).await?;
        ensure(bench.find(&bench.class, &key).await?.is_none(), || "it is still there".to_owned())?;
    }
    bench.read(&other).await?;
    for label in ["47c", "47d"] {
        let fresh = bench.create(label).await?;
        ensure(fresh.id != key.id, || format!("the id `{}` is given a second time", key.id))?;
    }
    let birth = bench.birth("47a");
    let texts = birth.attributes.iter().flat_map(|(_, slot)| slot.values()).filter_map(Value::as_text);
    let chosen = birth.idempotency.to_string() == key.id || texts.into_iter().any(|text| text == key.id);
    if chosen || bench.can().delete != DeleteStyle::Irreversible {
        // The caller chose the id, or the name may still be the deleted object's.
        return Ok(());
    }
    let again = bench.create("47a").await?;
    ensure(again.id != key.id, || format!("the id `{}` is given a second time", key.id))
}

/// C-4.8
pub(super) async fn values_survive(bench: &Bench<'_>) -> Verdict {
    bench.updates()?;
    let key = bench.create("48a").await?;
    let shape = bench.shape(&bench.class)?;
    let text = bench.profile.text();
    let limit = shape.attribute(text.as_str()).and_then(|(_, schema)| schema.length_max);
    let most = limit.unwrap_or(64 * 1024).min(64 * 1024) as usize;
    let mut texts = HOSTILE.map(str::to_owned).to_vec();
    texts.extend((0..DRAWN).map(|_| bench.chance.text(DRAWN_LENGTH)));
    texts.push("x".repeat(most));
    texts.retain(|text| text.chars().count() <= most);
    let replace = |values: Vec<Value>| Delta { changes: [(text.clone(), Change::Replace(values))].into() };
    for value in &texts {
        let written = Attributes::new().with(text.clone(), value.as_str());
        bench.update(&key, replace(vec![Value::text(value)])).await?;
        bench.shows(&bench.read(&key).await?.attributes, &written)?;
    }
    for (label, value) in ["48b", "48c", "48d"].into_iter().zip(bench.chance.shuffled(texts.clone())) {
        let mut birth = bench.birth(label);
        birth.attributes.set(text.clone(), vec![Value::text(&value)]);
        let written = birth.attributes.clone();
        let born = bench.born(birth).await?;
        bench.shows(&bench.read(&born).await?.attributes, &written)?;
    }
    if let Some(limit) = limit {
        let before = bench.read(&key).await?;
        let refused =
            bench.try_update(&key, replace(vec![Value::text("x".repeat(limit as usize + 1))])).await?;
        fails("update with a text too long", refused, ErrorKind::InvalidAttribute, Some(Effect::None))?;
        ensure(bench.read(&key).await? == before, || "the refused text was written".to_owned())?;
    }
    let Some(set) = bench.profile.set() else { return Ok(()) };
    texts.pop();
    for values in [texts, (0..1000).map(|n| format!("value {n}")).collect()] {
        let mut written = Attributes::new();
        written.set(set.clone(), values.iter().map(Value::text).collect());
        let before = bench.read(&key).await?.attributes;
        bench.update(&key, Delta::diff(shape, &before, &written)).await?;
        bench.shows(&bench.read(&key).await?.attributes, &written)?;
    }
    Ok(())
}

/// C-4.10
pub(super) async fn repeated_create_gives_the_first_object(bench: &Bench<'_>) -> Verdict {
    bench.creates()?;
    if !bench.can().idempotent_create {
        return skip("the target does not remember creates");
    }
    let key = bench.create("410a").await?;
    ensure(bench.create("410a").await?.id == key.id, || "the repetition made another object".to_owned())?;
    let alike = bench.like(&bench.birth("410a")).await?.len();
    ensure(alike == 1, || format!("{alike} objects were made"))?;
    // Another link is another object, though all else is the same, unless that is taken.
    if bench.can().unique.is_empty() {
        let attributes = bench.attributes("410a");
        let other = bench.born(CreateRequest { attributes, ..bench.birth("410b") }).await?;
        ensure(other.id != key.id, || "another link was answered with the first object".to_owned())?;
    }
    if bench.can().delete == DeleteStyle::Irreversible {
        bench.delete(&bench.class, &key).await?;
        let reborn = bench.create("410a").await?;
        bench.read(&reborn).await?;
    }
    Ok(())
}

/// C-4.12
pub(super) async fn deleted_object_is_shown_nowhere(bench: &Bench<'_>) -> Verdict {
    bench.deletes()?;
    if let DeleteStyle::Reversible { window } = bench.can().delete {
        ensure(!window.is_zero(), || "the delete is reversible for no time at all".to_owned())?;
    }
    let (gone, stays) = (bench.create("412a").await?, bench.create("412b").await?);
    let group = match bench.can_group("412g").await? {
        Some(group) => {
            edge::change(bench, &group, &[(&gone, true), (&stays, true)]).await??;
            bench.settle().await;
            Some(group)
        }
        None => None,
    };
    bench.delete(&bench.class, &gone).await?;
    let shown = |keys: Vec<ObjectKey>| keys.into_iter().map(|key| key.id).collect::<Vec<_>>();
    let listed = bench.list(ListRequest::all(bench.class.clone())).await?;
    let listed = shown(listed.into_iter().map(|object| object.key).collect());
    ensure(listed.contains(&stays.id), || "the other object is not listed".to_owned())?;
    ensure(!listed.contains(&gone.id), || "a deleted object is listed".to_owned())?;
    ensure(bench.find(&bench.class, &gone).await?.is_none(), || "a deleted object is read".to_owned())?;
    let Some(group) = group else { return Ok(()) };
    match edge::members(bench, &group, &[&stays]).await? {
        Some(members) if members != [stays.id.clone()] => {
            broken(format!("the members are {members:?} after {} was deleted", gone.id))
        }
        _ => Ok(()),
    }
}
