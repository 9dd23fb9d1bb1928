//! Clause 5: deltas and renames.

use super::bench::Bench;
use super::describe::NOBODY;
use super::verdict::{Verdict, broken, ensure, fails, skip};
use crate::connector::{
    CreateRequest, DisableMeaning, LifecycleRequest, ListRequest, Object, ObjectKey, RenameRequest,
    UpdateRequest,
};
use crate::delta::{Change, Delta};
use crate::error::{Effect, ErrorKind};
use crate::schema::Mutability;
use crate::value::{AttrName, Attributes, Slot, Value};

/// Steps of a walk.
const STEPS: usize = 25;

fn one(name: AttrName, change: Change) -> Delta {
    Delta { changes: [(name, change)].into() }
}

fn texts(values: &[&str]) -> Vec<Value> {
    values.iter().map(Value::text).collect()
}

fn slot(attributes: &Attributes, name: &AttrName) -> Option<Slot> {
    attributes.get(name.as_str()).cloned()
}

/// C-5.1
pub(super) async fn delta_is_atomic(bench: &Bench<'_>) -> Verdict {
    bench.updates()?;
    let key = bench.create("51a").await?;
    let text = bench.profile.text();
    // Names before and after the good one, so that no order of writing them hides it.
    for wrong in ["000noSuchAttribute", "zzzNoSuchAttribute"] {
        let before = bench.read(&key).await?;
        let mut delta = one(text.clone(), Change::Replace(texts(&["half"])));
        delta.changes.insert(AttrName::new(wrong), Change::Replace(texts(&["x"])));
        let refused = bench.try_update(&key, delta).await?;
        fails("update, half of it wrong", refused, ErrorKind::InvalidAttribute, Some(Effect::None))?;
        ensure(bench.read(&key).await? == before, || "half of the delta was applied".to_owned())?;
    }
    let mut birth = bench.birth("51b");
    birth.attributes.set("noSuchAttribute", texts(&["x"]));
    let refused = bench.send(birth.clone()).await?;
    fails("create, a part of it wrong", refused, ErrorKind::InvalidAttribute, Some(Effect::None))?;
    birth.attributes.remove("noSuchAttribute");
    ensure(bench.like(&birth).await?.is_empty(), || "half of the create was done".to_owned())?;
    let Some(set) = bench.profile.set() else { return Ok(()) };
    bench.update(&key, one(set.clone(), Change::Replace(texts(&["one", "two"])))).await?;
    let edit = Change::Edit { add: texts(&["three"]), remove: texts(&["one"]) };
    bench.update(&key, one(set.clone(), edit)).await?;
    let mut wanted = Attributes::new();
    wanted.set(set, texts(&["two", "three"]));
    bench.shows(&bench.read(&key).await?.attributes, &wanted)
}

/// C-5.2
pub(super) async fn replace_clear_and_untouched_differ(bench: &Bench<'_>) -> Verdict {
    bench.updates()?;
    let key = bench.create("52a").await?;
    let text = bench.profile.text();
    let mut names = vec![text.clone()];
    names.extend(bench.profile.set());
    let mut model = Attributes::new();
    let shape = bench.shape(&bench.class)?;
    let born = bench.read(&key).await?;
    for step in 0..STEPS {
        let name = bench.chance.pick(&names).cloned().unwrap_or_else(|| text.clone());
        let multi = shape.attribute(name.as_str()).is_some_and(|(_, schema)| schema.multi);
        let change = drawn(bench, multi);
        let delta = one(name.clone(), change.clone());
        model = delta.apply(shape, &model);
        bench.update(&key, delta).await?;
        let read = bench.read(&key).await?;
        let context = |what: String| format!("step {step}, {change:?} of `{name}`: {what}");
        for name in names.iter().filter(|name| model.get(name.as_str()).is_some()) {
            let wanted = Attributes::from_iter([(name.clone(), slot(&model, name).unwrap_or(Slot::Null))]);
            if let Err(super::verdict::Finding::Broken(how)) = bench.shows(&read.attributes, &wanted) {
                return broken(context(how));
            }
            let empty = wanted.values(name.as_str()).is_empty();
            let left = read.attributes.get(name.as_str());
            ensure(!empty || left.is_none(), || context(format!("cleared, and still {left:?}")))?;
        }
        let mut rest = read.clone();
        for name in &names {
            rest.attributes.remove(name.as_str());
            if let Some(before) = slot(&born.attributes, name) {
                rest.attributes.insert(name.clone(), before);
            }
        }
        ensure(rest == born, || context(format!("something outside the delta changed: {read:?}")))?;
    }
    Ok(())
}

fn drawn(bench: &Bench<'_>, multi: bool) -> Change {
    let chance = &bench.chance;
    let few = |most: usize| {
        let words = ["one", "two", "three", "four", "five"].map(Value::text).to_vec();
        chance.shuffled(words).into_iter().take(most).collect::<Vec<_>>()
    };
    match chance.below(if multi { 4 } else { 2 }) {
        0 => Change::Clear,
        1 => Change::Replace(if multi { few(1 + chance.below(3)) } else { vec![Value::text(chance.word())] }),
        _ => {
            let mut words = few(4);
            let remove = words.split_off(chance.below(5));
            Change::Edit { add: words, remove }
        }
    }
}

/// C-5.3
pub(super) async fn delta_is_repeatable(bench: &Bench<'_>) -> Verdict {
    bench.updates()?;
    let key = bench.create("53a").await?;
    let mut delta = one(bench.profile.text(), Change::Replace(texts(&["again"])));
    if let Some(set) = bench.profile.set() {
        bench.update(&key, one(set.clone(), Change::Replace(texts(&["old", "other"])))).await?;
        delta.changes.insert(set, Change::Edit { add: texts(&["new"]), remove: texts(&["old"]) });
    }
    bench.update(&key, delta.clone()).await?;
    let once = bench.read(&key).await?;
    bench.update(&key, delta).await?;
    ensure(bench.read(&key).await? == once, || "the repetition changed something".to_owned())?;
    bench.update(&key, Delta::new()).await?;
    ensure(bench.read(&key).await? == once, || "an empty delta changed something".to_owned())?;
    bench.update(&key, one(bench.profile.text(), Change::Clear)).await?;
    let cleared = bench.read(&key).await?;
    bench.update(&key, one(bench.profile.text(), Change::Clear)).await?;
    ensure(bench.read(&key).await? == cleared, || "an idle clear changed something".to_owned())
}

/// The object without its name and what the target computes.
fn nameless(bench: &Bench<'_>, object: &Object, naming: &Attributes) -> Verdict<Object> {
    let shape = bench.shape(&bench.class)?;
    let mut rest = object.clone();
    rest.key.name = None;
    let named = |name: &AttrName| {
        let computed = shape.attribute(name.as_str()).map(|(_, schema)| schema.mutability);
        let naming = naming.iter().filter_map(|(name, _)| shape.attribute(name.as_str()));
        let is_named = naming.into_iter().any(|(known, _)| known == name);
        is_named || matches!(computed, Some(Mutability::Naming))
    };
    rest.attributes = rest
        .attributes
        .iter()
        .filter(|(name, _)| !named(name))
        .map(|(name, slot)| (name.clone(), slot.clone()))
        .collect();
    Ok(rest)
}

/// C-5.4
pub(super) async fn rename_keeps_the_object(bench: &Bench<'_>) -> Verdict {
    bench.creates()?;
    let (true, Some(naming)) = (bench.can().rename, bench.renamed("54b")) else {
        return skip("the target renames nothing");
    };
    let key = bench.create("54a").await?;
    if bench.can().update {
        let mut delta = one(bench.profile.text(), Change::Replace(texts(&["kept"])));
        if let Some(set) = bench.profile.set() {
            delta.changes.insert(set, Change::Replace(texts(&["kept", "too"])));
        }
        bench.update(&key, delta).await?;
    }
    if let Some(group) = bench.can_group("54g").await? {
        super::edge::change(bench, &group, &[(&key, true)]).await??;
        bench.settle().await;
    }
    let before = bench.read(&key).await?;
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
    let (was, is) = (nameless(bench, &before, &naming)?, nameless(bench, &object, &naming)?);
    ensure(was == is, || format!("outside the name, {was:?} became {is:?}"))?;
    bench.done(writer.rename(&bench.cx, rename(&renamed, &naming)).await?).await?;
    ensure(bench.read(&renamed).await? == object, || "a repeated rename changed something".to_owned())?;
    let unique = bench.can().unique;
    let shape = bench.shape(&bench.class)?;
    let is_unique =
        |name: &AttrName| shape.attribute(name.as_str()).is_some_and(|(known, _)| unique.contains(known));
    if !naming.iter().any(|(name, _)| is_unique(name)) {
        return Ok(());
    }
    // The old name is free again, and a taken one is refused.
    let mut other = bench.birth("54c");
    let old = bench.attributes("54a");
    for (name, slot) in old.iter().filter(|(name, _)| naming.get(name.as_str()).is_some()) {
        other.attributes.insert(name.clone(), slot.clone());
    }
    let other = bench.born(other).await?;
    let taken = writer.rename(&bench.cx, rename(&other, &naming)).await;
    fails("rename to a taken name", taken, ErrorKind::AlreadyExists, Some(Effect::None))?;
    ensure(bench.read(&renamed).await? == object, || "the refused rename changed the other object".to_owned())
}

/// C-5.5
pub(super) async fn outcome_tells_the_truth(bench: &Bench<'_>) -> Verdict {
    bench.creates()?;
    let born = bench.done(bench.send(bench.birth("55a")).await??).await?;
    let mut outcomes = vec![born.clone()];
    let mut read = bench.read(&born.key).await?;
    agrees(&read, &born)?;
    if bench.can().update {
        let mut delta = one(bench.profile.text(), Change::Replace(texts(&["  Mixed Case  "])));
        if let Some(set) = bench.profile.set() {
            delta.changes.insert(set, Change::Replace(texts(&["B", "a"])));
        }
        for delta in [delta, one(bench.profile.text(), Change::Clear)] {
            let done = bench.update(&born.key, delta).await?;
            read = bench.read(&born.key).await?;
            agrees(&read, &done)?;
            outcomes.push(done);
        }
    }
    if bench.can().disable != DisableMeaning::Unsupported {
        let request = LifecycleRequest { class: bench.class.clone(), key: born.key.clone(), enabled: false };
        let done = bench.done(bench.lifecycle()?.set(&bench.cx, request).await?).await?;
        read = bench.read(&born.key).await?;
        agrees(&read, &done)?;
    }
    Ok(())
}

fn agrees(read: &Object, done: &crate::connector::WriteDone) -> Verdict {
    ensure(done.key == read.key, || {
        format!("the outcome's key {:?} is not the object's {:?}", done.key, read.key)
    })?;
    for (name, slot) in done.observed.iter().flat_map(Attributes::iter) {
        let found = read.attributes.get(name.as_str());
        ensure(found == Some(slot) || (found.is_none() && *slot == Slot::Null), || {
            format!("the outcome tells `{name}` as {slot:?}, a read says {found:?}")
        })?;
    }
    for (name, change) in &done.side_effects.changes {
        let mut found = read.attributes.values(name.as_str()).to_vec();
        found.sort();
        let happened = match change {
            Change::Clear => found.is_empty(),
            Change::Replace(values) => {
                let mut wanted = values.clone();
                wanted.sort();
                found == wanted
            }
            Change::Edit { add, remove } => {
                add.iter().all(|value| found.contains(value))
                    && !remove.iter().any(|value| found.contains(value))
            }
        };
        ensure(happened, || {
            format!("the side effect told of `{name}` did not happen: {change:?}, a read says {found:?}")
        })?;
    }
    Ok(())
}

/// C-5.6
pub(super) async fn unknown_attribute_is_refused(bench: &Bench<'_>) -> Verdict {
    bench.creates()?;
    let name = "noSuchAttribute";
    let mut birth = bench.birth("56a");
    birth.attributes.set(name, texts(&["x"]));
    let refused = bench.send(birth).await?;
    let error = fails("create", refused, ErrorKind::InvalidAttribute, Some(Effect::None))?;
    ensure(error.to_string().contains(name), || format!("the error does not name it: {error}"))?;
    let key = bench.create("56a").await?;
    if !bench.can().update {
        return Ok(());
    }
    let mut deltas = vec![(name.to_owned(), one(AttrName::new(name), Change::Replace(texts(&["x"]))))];
    let shape = bench.shape(&bench.class)?;
    let fixed = shape.attributes.iter().filter(|(_, schema)| {
        matches!(schema.mutability, Mutability::ReadOnly | Mutability::Naming | Mutability::CreateOnly)
    });
    deltas.extend(fixed.map(|(name, _)| (name.as_str().to_owned(), one(name.clone(), Change::Clear))));
    for (name, delta) in deltas {
        let before = bench.read(&key).await?;
        let known = shape.attribute(&name).is_some();
        if known && before.attributes.values(&name).is_empty() {
            continue;
        }
        let refused = bench.try_update(&key, delta).await?;
        let error =
            fails(&format!("update of `{name}`"), refused, ErrorKind::InvalidAttribute, Some(Effect::None))?;
        ensure(error.to_string().contains(&name), || format!("the error does not name `{name}`: {error}"))?;
        ensure(bench.read(&key).await? == before, || format!("the refused change of `{name}` was made"))?;
    }
    Ok(())
}

/// C-5.7
pub(super) async fn write_to_a_missing_object_is_refused(bench: &Bench<'_>) -> Verdict {
    let (cx, class) = (&bench.cx, bench.class.clone());
    let mut missing = vec![ObjectKey::id(NOBODY)];
    if bench.deletes().is_ok() {
        let gone = bench.create("57g").await?;
        bench.delete(&class, &gone).await?;
        missing.push(gone);
    }
    let nothing = Some(Effect::None);
    let writer = bench.writer()?;
    for key in &missing {
        if bench.can().update {
            let delta = one(bench.profile.text(), Change::Replace(texts(&["x"])));
            let request = UpdateRequest { class: class.clone(), key: key.clone(), delta };
            fails("update", writer.update(cx, request).await, ErrorKind::NotFound, nothing)?;
        }
        if let (true, Some(naming)) = (bench.can().rename, bench.renamed("57a")) {
            let request = RenameRequest { class: class.clone(), key: key.clone(), naming };
            fails("rename", writer.rename(cx, request).await, ErrorKind::NotFound, nothing)?;
        }
        if bench.can().disable != DisableMeaning::Unsupported {
            let request = LifecycleRequest { class: class.clone(), key: key.clone(), enabled: false };
            fails("lifecycle", bench.lifecycle()?.set(cx, request).await, ErrorKind::NotFound, nothing)?;
        }
    }
    let listed = bench.list(ListRequest::all(class)).await?;
    let made_up = listed.iter().find(|object| missing.iter().any(|key| key.id == object.key.id));
    ensure(made_up.is_none(), || format!("a refused write made {made_up:?}"))?;
    let named = bench.renamed("57a").map(|attributes| CreateRequest { attributes, ..bench.birth("57a") });
    match named {
        Some(birth) => {
            ensure(bench.like(&birth).await?.is_empty(), || "a refused rename made an object".to_owned())
        }
        None => Ok(()),
    }
}
