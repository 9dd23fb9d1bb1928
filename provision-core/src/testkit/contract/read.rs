//! Clause 3: reading one object.

use super::bench::Bench;
use super::describe::NOBODY;
use super::profile::Trouble;
use super::verdict::{Verdict, ensure, fails};
use crate::connector::{
    CreateRequest, DeleteStyle, DisableMeaning, GetRequest, ListRequest, Object, ObjectKey,
};
use crate::delta::{Change, Delta};
use crate::error::ErrorKind;
use crate::schema::CaseRule;
use crate::value::{AttrName, Attributes, Value};

/// Ids that no object has, and that a target's own syntax could take for more.
const STRANGE_IDS: [&str; 8] =
    [NOBODY, "*", "*)(objectClass=*", "' OR '1'='1", "%", "../..", "a,b=c", "?filter=x&y=z#"];

/// C-3.1
pub(super) async fn get_tells_absence_from_failure(bench: &Bench<'_>) -> Verdict {
    for id in STRANGE_IDS {
        let get = GetRequest { class: bench.class.clone(), key: ObjectKey::id(id) };
        match bench.connector.get(&bench.cx, get).await {
            Ok(found) => ensure(found.is_none(), || format!("an object was made up for `{id}`: {found:?}"))?,
            // No object can have such an id: to say so is an answer too, where it is no absence.
            Err(error) => ensure(id != NOBODY && error.kind() == ErrorKind::InvalidAttribute, || {
                format!("get of `{id}`: {:?}: {}", error.kind(), error.report())
            })?,
        }
    }
    let keys = bench.some(&["31a", "31b"]).await?;
    for key in &keys {
        ensure(bench.read(key).await?.key.id == key.id, || format!("`{}` is answered with another", key.id))?;
    }
    if bench.can().create && bench.can().delete != DeleteStyle::Unsupported {
        let gone = bench.create("31c").await?;
        bench.delete(&bench.class, &gone).await?;
        let found = bench.find(&bench.class, &gone).await?;
        ensure(found.is_none(), || "a deleted object is still read".to_owned())?;
    }
    if !bench.profile.provoke(Trouble::Unreachable) {
        return Ok(());
    }
    for key in keys.into_iter().chain([ObjectKey::id(NOBODY)]) {
        let request = GetRequest { class: bench.class.clone(), key };
        let result = bench.connector.get(&bench.cx, request).await;
        fails("get from a target that cannot be reached", result, ErrorKind::Unavailable, None)?;
    }
    Ok(())
}

/// C-3.2
pub(super) async fn what_was_written_is_read(bench: &Bench<'_>) -> Verdict {
    bench.creates()?;
    let states = match bench.can().disable {
        DisableMeaning::Unsupported => vec![None],
        _ => vec![Some(true), Some(false)],
    };
    for (enabled, label) in states.into_iter().zip(["32a", "32b"]) {
        let written = CreateRequest { enabled, ..bench.birth(label) };
        let key = bench.born(written.clone()).await?;
        let object = bench.read(&key).await?;
        ensure(object.key == key, || format!("the key read is {:?}, of the create {key:?}", object.key))?;
        bench.shows(&object.attributes, &written.attributes)?;
        ensure(object.enabled == enabled, || {
            format!("enabled is {:?}, {enabled:?} was written", object.enabled)
        })?;
        let listed = bench.list(ListRequest::all(bench.class.clone())).await?;
        let listed = listed.into_iter().find(|listed| listed.key == key);
        ensure(listed.is_some_and(|listed| listed.enabled == enabled), || {
            "a listing does not show it, or in another state".to_owned()
        })?;
        if bench.can().update {
            let text = bench.chance.word();
            let change = Change::Replace(vec![Value::text(&text)]);
            let delta = Delta { changes: [(bench.profile.text(), change)].into() };
            let changed = bench.update(&key, delta).await?.key;
            let object = bench.read(&changed).await?;
            ensure(object.key == changed, || {
                format!("the key read is {:?}, of the update {changed:?}", object.key)
            })?;
            bench.shows(&object.attributes, &Attributes::new().with(bench.profile.text(), text))?;
        }
    }
    Ok(())
}

/// C-3.3
pub(super) async fn names_compare_as_declared(bench: &Bench<'_>) -> Verdict {
    bench.creates()?;
    let shape = bench.shape(&bench.class)?;
    let sample = bench.attributes("33a");
    let upper = sample.iter().map(|(name, slot)| (AttrName::new(name.as_str().to_uppercase()), slot.clone()));
    let birth = CreateRequest { attributes: upper.collect(), ..bench.birth("33a") };
    let created = bench.send(birth).await?;
    match shape.names {
        CaseRule::Ignore => {
            let key = bench.done(created?).await?.key;
            bench.shows(&bench.read(&key).await?.attributes, &sample)?;
        }
        CaseRule::Exact => {
            fails("create with other spellings", created, ErrorKind::InvalidAttribute, None)?;
            bench.create("33a").await?;
        }
    }
    let unique = bench.can().unique;
    let mut others = ["33b", "33c", "33d", "33e", "33f", "33g"].into_iter();
    for (name, schema) in unique.iter().filter_map(|name| shape.attribute(name.as_str())) {
        let Some(value) = sample.text(name.as_str()) else { continue };
        let upper = value.to_uppercase();
        if upper == value || upper.to_lowercase() != value.to_lowercase() {
            continue;
        }
        let Some(label) = others.next() else { break };
        let mut birth = bench.birth(label);
        birth.attributes.set(name.clone(), vec![Value::text(&upper)]);
        let created = bench.send(birth).await?;
        if schema.case == CaseRule::Ignore {
            // What a taken value is answered with is C-4.6's; here it must be taken.
            if let Ok(outcome) = created {
                bench.done(outcome).await?;
            }
            let listed = bench.list(ListRequest::all(bench.class.clone())).await?;
            let same = |object: &&Object| {
                object.attributes.text(name.as_str()).is_some_and(|found| schema.case.eq(found, value))
            };
            let found = listed.iter().filter(same).count();
            ensure(found == 1, || format!("{found} objects have `{value}` as `{name}`, in some case"))?;
            continue;
        }
        // Exact: another value, another object, and neither is taken for the other.
        let second = bench.done(created?).await?.key;
        let listed = bench.list(ListRequest::all(bench.class.clone())).await?;
        for wanted in [value, upper.as_str()] {
            let mut found =
                listed.iter().filter(|object| object.attributes.text(name.as_str()) == Some(wanted));
            let (object, another) = (found.next(), found.next());
            let Some(object) = object.filter(|_| another.is_none()) else {
                return ensure(false, || format!("not one object has `{wanted}` as `{name}`: {second:?}"));
            };
            let read = bench.read(&object.key).await?;
            ensure(read.attributes.text(name.as_str()) == Some(wanted), || {
                format!("`{}` is listed with `{wanted}` and read with {:?}", object.key.id, read.attributes)
            })?;
        }
    }
    Ok(())
}
