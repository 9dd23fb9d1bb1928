//! Clauses 4.6 to 4.8, 4.10 and 5: creates, deletes and deltas.

use super::profile::{Bench, Profile};
use super::verdict::{Finding, Verdict, ensure, fails, skip};
use crate::connector::{
    Connector, DeleteRequest, DeleteStyle, DisableMeaning, ObjectKey, RenameRequest, UpdateRequest,
};
use crate::delta::{Change, Delta};
use crate::error::{Effect, ErrorKind};
use crate::value::{AttrName, Attributes, Value};

/// C-4.6
pub async fn create_gives_a_usable_key(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    let key = bench.create("46a").await?;
    let object = bench.read(&key).await?;
    if bench.can().unique.is_empty() {
        return Ok(());
    }
    // Another link, the same person: only the unique values are the same.
    let twin =
        crate::connector::CreateRequest { attributes: profile.attributes("46a"), ..bench.birth("46b") };
    let refused = bench.writer()?.create(&bench.cx, twin).await;
    fails("create of a taken name", refused, ErrorKind::AlreadyExists, Some(Effect::None))?;
    ensure(bench.read(&key).await? == object, || "the refused create changed the first object".to_owned())
}

/// C-4.7
pub async fn delete_is_repeatable(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    if bench.can().delete == DeleteStyle::Unsupported {
        return skip("the target deletes nothing");
    }
    let (key, other) = (bench.create("47a").await?, bench.create("47b").await?);
    for _ in 0..2 {
        let request = DeleteRequest { class: bench.class.clone(), key: key.clone() };
        bench.done(bench.writer()?.delete(&bench.cx, request).await?).await?;
        ensure(bench.find(&bench.class, &key).await?.is_none(), || "it is still there".to_owned())?;
    }
    bench.read(&other).await?;
    let again = bench.create("47a").await?;
    ensure(again.id != key.id, || format!("the id `{}` is given a second time", key.id))
}

/// C-4.8
pub async fn values_survive(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    let key = bench.create("48a").await?;
    let shape = bench.shape(&bench.class)?;
    let text = profile.text();
    let limit = shape.attribute(text.as_str()).and_then(|(_, schema)| schema.length_max);
    let long = "x".repeat(limit.unwrap_or(64 * 1024).min(64 * 1024) as usize);
    let hostile = [
        "Jos\u{e9}",
        "Jose\u{301}",
        "王小明",
        "𝔘𝔫𝔦",
        " lead",
        "trail ",
        "a,b=c+d\\e\"f<g>h;i#j",
        "x' OR '1'='1",
        "--;DROP",
        "{\"a\": [1]}",
        "=1+1",
        "@cmd",
        "a\tb",
        "a\nb",
        "*)(uid=*",
        "null",
        "0",
        "true",
        "%00",
        &long,
    ];
    for value in hostile {
        let written = Attributes::new().with(text.clone(), value);
        let delta = Delta { changes: [(text.clone(), Change::Replace(vec![value.into()]))].into() };
        bench.update(&key, delta).await?;
        bench.shows(&bench.read(&key).await?.attributes, &written)?;
    }
    if let Some(limit) = limit {
        let value = Value::text("x".repeat(limit as usize + 1));
        let delta = Delta { changes: [(text.clone(), Change::Replace(vec![value]))].into() };
        let request = UpdateRequest { class: bench.class.clone(), key: key.clone(), delta };
        let refused = bench.writer()?.update(&bench.cx, request).await;
        fails("update with a text too long", refused, ErrorKind::InvalidAttribute, Some(Effect::None))?;
    }
    let Some(set) = profile.set() else { return Ok(()) };
    let mut written = Attributes::new();
    written.set(set.clone(), (0..1000).map(|n| Value::text(format!("value {n}"))).collect());
    let delta = Delta::diff(shape, &Attributes::new(), &written);
    bench.update(&key, delta).await?;
    bench.shows(&bench.read(&key).await?.attributes, &written)
}

/// C-4.10
pub async fn repeated_create_gives_the_first_object(
    connector: &dyn Connector,
    profile: &dyn Profile,
) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    if !bench.can().idempotent_create {
        return skip("the target does not remember creates");
    }
    let key = bench.create("410a").await?;
    ensure(bench.create("410a").await?.id == key.id, || "the repetition made another object".to_owned())
}

fn one(name: AttrName, change: Change) -> Delta {
    Delta { changes: [(name, change)].into() }
}

fn texts(values: &[&str]) -> Vec<Value> {
    values.iter().map(Value::text).collect()
}

/// C-5.1
pub async fn delta_is_atomic(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    let key = bench.create("51a").await?;
    let before = bench.read(&key).await?;
    let mut delta = one(profile.text(), Change::Replace(texts(&["half"])));
    delta.changes.insert(AttrName::new("no such attribute"), Change::Replace(texts(&["x"])));
    let request = UpdateRequest { class: bench.class.clone(), key: key.clone(), delta };
    let refused = bench.writer()?.update(&bench.cx, request).await;
    fails("update, half of it wrong", refused, ErrorKind::InvalidAttribute, Some(Effect::None))?;
    ensure(bench.read(&key).await? == before, || "half of the delta was applied".to_owned())?;
    let Some(set) = profile.set() else { return Ok(()) };
    bench.update(&key, one(set.clone(), Change::Replace(texts(&["one", "two"])))).await?;
    let edit = Change::Edit { add: texts(&["three"]), remove: texts(&["one"]) };
    bench.update(&key, one(set.clone(), edit)).await?;
    let mut wanted = Attributes::new();
    wanted.set(set, texts(&["two", "three"]));
    bench.shows(&bench.read(&key).await?.attributes, &wanted)
}

/// C-5.2
pub async fn replace_clear_and_untouched_differ(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    let key = bench.create("52a").await?;
    let text = profile.text();
    let mut born = bench.read(&key).await?;
    bench.update(&key, one(text.clone(), Change::Replace(texts(&["first"])))).await?;
    let before = bench.read(&key).await?;
    born.attributes.insert(text.clone(), slot(&before.attributes, &text));
    ensure(born == before, || "a first value changed another attribute".to_owned())?;
    bench.update(&key, one(text.clone(), Change::Replace(texts(&["second"])))).await?;
    let mut after = bench.read(&key).await?;
    bench.shows(&after.attributes, &Attributes::new().with(text.clone(), "second"))?;
    after.attributes.insert(text.clone(), slot(&before.attributes, &text));
    ensure(after == before, || "an attribute outside the delta changed".to_owned())?;
    bench.update(&key, one(text.clone(), Change::Clear)).await?;
    let mut cleared = bench.read(&key).await?;
    let left = cleared.attributes.get(text.as_str()).cloned();
    ensure(left.is_none(), || format!("cleared, and still {left:?}"))?;
    cleared.attributes.insert(text.clone(), slot(&before.attributes, &text));
    ensure(cleared == before, || "a clear changed another attribute".to_owned())
}

fn slot(attributes: &Attributes, name: &AttrName) -> crate::value::Slot {
    crate::value::Slot::from_values(attributes.values(name.as_str()).to_vec())
}

/// C-5.3
pub async fn delta_is_repeatable(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    let key = bench.create("53a").await?;
    let mut delta = one(profile.text(), Change::Replace(texts(&["again"])));
    if let Some(set) = profile.set() {
        bench.update(&key, one(set.clone(), Change::Replace(texts(&["old"])))).await?;
        delta.changes.insert(set, Change::Edit { add: texts(&["new"]), remove: texts(&["old"]) });
    }
    bench.update(&key, delta.clone()).await?;
    let once = bench.read(&key).await?;
    bench.update(&key, delta).await?;
    ensure(bench.read(&key).await? == once, || "the repetition changed something".to_owned())?;
    bench.update(&key, one(profile.text(), Change::Clear)).await?;
    bench.update(&key, one(profile.text(), Change::Clear)).await?;
    bench.update(&key, Delta::new()).await.map(drop)
}

/// C-5.4
pub async fn rename_keeps_the_object(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    let (true, Some(naming)) = (bench.can().rename, profile.renamed("54b")) else {
        return skip("the target renames nothing");
    };
    let key = bench.create("54a").await?;
    bench.update(&key, one(profile.text(), Change::Replace(texts(&["kept"])))).await?;
    let rename = |key: &ObjectKey, naming: &Attributes| RenameRequest {
        class: bench.class.clone(),
        key: key.clone(),
        naming: naming.clone(),
    };
    let writer = bench.writer()?;
    let renamed = bench.done(writer.rename(&bench.cx, rename(&key, &naming)).await?).await?.key;
    ensure(renamed.id == key.id, || "the stable id changed".to_owned())?;
    let object = bench.read(&renamed).await?;
    ensure(object.key == renamed, || format!("the outcome's key {renamed:?} is not {:?}", object.key))?;
    bench.shows(&object.attributes, &naming)?;
    bench.shows(&object.attributes, &Attributes::new().with(profile.text(), "kept"))?;
    bench.done(writer.rename(&bench.cx, rename(&renamed, &naming)).await?).await?;
    ensure(bench.read(&renamed).await? == object, || "a repeated rename changed something".to_owned())?;
    // The old name is free again, and a taken one is refused.
    let mut other = bench.birth("54c");
    for (name, slot) in
        profile.attributes("54a").iter().filter(|(name, _)| naming.get(name.as_str()).is_some())
    {
        other.attributes.insert(name.clone(), slot.clone());
    }
    let other = bench.done(writer.create(&bench.cx, other).await?).await?.key;
    let taken = writer.rename(&bench.cx, rename(&other, &naming)).await;
    fails("rename to a taken name", taken, ErrorKind::AlreadyExists, Some(Effect::None)).map(drop)
}

/// C-5.5
pub async fn outcome_tells_the_truth(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    let key = bench.create("55a").await?;
    let written = "  Mixed Case  ";
    let done = bench.update(&key, one(profile.text(), Change::Replace(texts(&[written])))).await?;
    let read = bench.read(&key).await?;
    ensure(done.key == read.key, || "the outcome's key is not the object's".to_owned())?;
    if let Some(observed) = done.observed {
        for (name, slot) in observed.iter() {
            ensure(read.attributes.get(name.as_str()) == Some(slot), || {
                format!(
                    "the outcome tells `{name}` as {slot:?}, a read says {:?}",
                    read.attributes.get(name.as_str())
                )
            })?;
        }
    }
    for (name, change) in done.side_effects.changes {
        let wanted = match change {
            Change::Clear => Vec::new(),
            Change::Replace(values) => values,
            Change::Edit { .. } => continue,
        };
        ensure(read.attributes.values(name.as_str()) == wanted, || {
            format!("the side effect told of `{name}` did not happen")
        })?;
    }
    Ok(())
}

/// C-5.6
pub async fn unknown_attribute_is_refused(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    let name = "noSuchAttribute";
    let mut birth = bench.birth("56a");
    birth.attributes.set(name, texts(&["x"]));
    let refused = bench.writer()?.create(&bench.cx, birth).await;
    let error = fails("create", refused, ErrorKind::InvalidAttribute, Some(Effect::None))?;
    ensure(error.to_string().contains(name), || format!("the error does not name it: {error}"))?;
    let key = bench.create("56a").await?;
    let mut deltas = vec![(name.to_owned(), one(AttrName::new(name), Change::Replace(texts(&["x"]))))];
    let shape = bench.shape(&bench.class)?;
    let fixed = shape.attributes.iter().filter(|(_, schema)| {
        matches!(schema.mutability, crate::schema::Mutability::ReadOnly | crate::schema::Mutability::Naming)
    });
    deltas.extend(fixed.map(|(name, _)| (name.as_str().to_owned(), one(name.clone(), Change::Clear))));
    for (name, delta) in deltas {
        let holds_nothing = bench.read(&key).await?.attributes.values(&name).is_empty();
        let known = shape.attribute(&name).is_some();
        if known && holds_nothing {
            continue;
        }
        let request = UpdateRequest { class: bench.class.clone(), key: key.clone(), delta };
        let refused = bench.writer()?.update(&bench.cx, request).await;
        let error = fails("update", refused, ErrorKind::InvalidAttribute, Some(Effect::None))?;
        ensure(error.to_string().contains(&name), || format!("the error does not name `{name}`: {error}"))?;
    }
    Ok(())
}

/// C-5.7
pub async fn write_to_a_missing_object_is_refused(
    connector: &dyn Connector,
    profile: &dyn Profile,
) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    let (cx, class) = (&bench.cx, bench.class.clone());
    let key = ObjectKey::id("no such object");
    let nothing = Some(Effect::None);
    let writer = bench.writer()?;
    if bench.can().update {
        let delta = one(profile.text(), Change::Replace(texts(&["x"])));
        let request = UpdateRequest { class: class.clone(), key: key.clone(), delta };
        fails("update", writer.update(cx, request).await, ErrorKind::NotFound, nothing)?;
    }
    if let (true, Some(naming)) = (bench.can().rename, profile.renamed("57a")) {
        let request = RenameRequest { class: class.clone(), key: key.clone(), naming };
        fails("rename", writer.rename(cx, request).await, ErrorKind::NotFound, nothing)?;
    }
    if bench.can().disable != DisableMeaning::Unsupported {
        let lifecycle = bench.lifecycle()?;
        let request = crate::connector::LifecycleRequest { class: class.clone(), key, enabled: false };
        fails("lifecycle", lifecycle.set(cx, request).await, ErrorKind::NotFound, nothing)?;
    }
    let listed = bench.list(crate::connector::ListRequest::all(class)).await?;
    let made_up = listed.iter().any(|object| object.key.id == "no such object");
    if made_up { Err(Finding::Broken("a refused write made an object".to_owned())) } else { Ok(()) }
}
