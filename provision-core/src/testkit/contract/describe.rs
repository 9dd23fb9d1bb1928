//! Clauses 1 and 2: what a connector says of itself and of its target.

use super::bench::Bench;
use super::profile::Trouble;
use super::verdict::{Verdict, broken, ensure, fails, skip};
use crate::connector::{
    ChangeFeedRequest, ClassCapabilities, CredentialRequest, DeleteRequest, DeleteStyle, DisableMeaning,
    GetRequest, LifecycleRequest, ListRequest, MembershipRequest, ObjectKey, RenameRequest, UpdateRequest,
};
use crate::delta::{Change, Delta};
use crate::error::{Effect, ErrorKind, Result};
use crate::id::ClassName;
use crate::schema::{AttributeType, Mutability};
use crate::value::{Attributes, Secret, Value};

/// The key of no object.
pub(super) const NOBODY: &str = "no such object";

/// C-1.1
pub(super) async fn wrong_configuration_is_named(bench: &Bench<'_>) -> Verdict {
    let Some(configured) = bench.configured else {
        return skip("the suite was not given the factory");
    };
    for (field, config) in &configured.wrong {
        match (configured.factory)(config) {
            Ok(_) => {
                return broken(format!("a configuration whose `{field}` is wrong is accepted: {config}"));
            }
            Err(error) => {
                ensure(error.kind() == ErrorKind::ConfigInvalid, || {
                    format!("a wrong `{field}`: {:?}: {}", error.kind(), error.report())
                })?;
                let told = error.report();
                ensure(told.contains(field), || format!("the error does not name `{field}`: {told}"))?;
                let secret = bench.profile.planted_secret();
                ensure(secret.is_none_or(|secret| !told.contains(&secret)), || {
                    format!("the error of a wrong `{field}` shows the configuration's secret")
                })?;
            }
        }
    }
    ensure(!configured.wrong.is_empty(), || "the suite was given no wrong configuration".to_owned())?;
    bench.connector.check(&bench.cx).await?;
    Ok(())
}

/// C-1.2
pub(super) async fn refused_credentials_are_told_as_such(bench: &Bench<'_>) -> Verdict {
    bench.connector.check(&bench.cx).await?;
    bench.provoke(Trouble::RefuseCredentials)?;
    fails("check", bench.connector.check(&bench.cx).await, ErrorKind::Unauthenticated, None)?;
    bench.profile.provoke(Trouble::None);
    Ok(bench.connector.check(&bench.cx).await?)
}

/// C-1.3
pub(super) async fn debug_shows_no_secret(bench: &Bench<'_>) -> Verdict {
    let connector = bench.connector;
    let mut secrets: Vec<String> = bench.profile.planted_secret().into_iter().collect();
    if let (true, Some(password), Some(facet)) =
        (bench.can().credential && bench.can().create, bench.profile.password(true), connector.credential())
    {
        let key = bench.create("13a").await?;
        secrets.push(password.expose().to_owned());
        let request = CredentialRequest { class: bench.class.clone(), key, password, must_change: false };
        let told = format!("{request:?}");
        ensure(secrets.iter().all(|secret| !told.contains(secret)), || {
            "the request's Debug shows it".to_owned()
        })?;
        bench.done(facet.set_password(&bench.cx, request).await?).await?;
    }
    if secrets.is_empty() {
        return skip("the target has no secrets");
    }
    let mut told = format!("{connector:?} {connector:#?} {:?}", connector.info());
    if let Some(facet) = connector.credential() {
        told.push_str(&format!("{facet:?} {facet:#?}"));
    }
    if let Some(writer) = connector.writer() {
        told.push_str(&format!("{writer:?} {writer:#?}"));
    }
    ensure(secrets.iter().all(|secret| !told.contains(secret)), || {
        "the connector's Debug shows a secret".to_owned()
    })
}

/// C-2.1
pub(super) async fn discover_is_stable(bench: &Bench<'_>) -> Verdict {
    let again = bench.connector.discover(&bench.cx).await?;
    ensure(again == bench.discovery, || "two calls differ".to_owned())?;
    let through = serde_json::to_value(&again).and_then(serde_json::from_value);
    ensure(through.is_ok_and(|through: crate::connector::Discovery| through == again), || {
        "it does not survive serialization".to_owned()
    })?;
    for (name, can) in &again.capabilities.classes {
        let shape = bench.shape(name)?;
        let strange = can.unique.iter().find(|unique| !shape.attributes.contains_key(*unique));
        ensure(strange.is_none(), || {
            format!("`{name}` declares {strange:?} unique, which the schema lacks")
        })?;
    }
    bench.shape(&bench.class).map(drop)
}

/// C-2.2
pub(super) async fn reads_keep_to_the_schema(bench: &Bench<'_>) -> Verdict {
    if bench.can().create {
        let mut birth = bench.birth("22a");
        birth.attributes.set(bench.profile.text(), vec![Value::text("a text")]);
        if let Some(set) = bench.profile.set() {
            birth.attributes.set(set, vec![Value::text("one"), Value::text("two")]);
        }
        bench.born(birth).await?;
    }
    let key = bench.some(&["22b"]).await?;
    bench.can_group("22g").await?;
    let mut objects = Vec::new();
    for class in bench.discovery.capabilities.classes.keys() {
        let listed = bench.list(ListRequest::all(class.clone())).await?;
        ensure(listed.iter().all(|object| object.class == *class), || {
            format!("a listing of `{class}` brings objects of another class")
        })?;
        objects.extend(listed);
    }
    for key in key {
        objects.push(bench.read(&key).await?);
    }
    objects.iter().try_for_each(|object| keeps_to_the_schema(bench, object))
}

fn keeps_to_the_schema(bench: &Bench<'_>, object: &crate::connector::Object) -> Verdict {
    let shape = bench.shape(&object.class)?;
    for (name, slot) in object.attributes.iter() {
        let Some(schema) = shape.attributes.get(name) else {
            return broken(format!("`{name}` is not in the schema, in this spelling"));
        };
        let readable = schema.returned && schema.mutability != Mutability::WriteOnly;
        ensure(readable, || format!("`{name}` comes back against the schema"))?;
        ensure(!slot.values().is_empty(), || format!("`{name}` is null in a read"))?;
        ensure(schema.multi || slot.values().len() == 1, || format!("`{name}` has several values"))?;
        ensure(slot.values().iter().all(|value| is_of(schema.kind, value)), || {
            format!("`{name}` is not of its type: {slot:?}")
        })?;
    }
    Ok(())
}

fn is_of(kind: AttributeType, value: &Value) -> bool {
    kind == match value {
        Value::Bool(_) => AttributeType::Bool,
        Value::Int(_) => AttributeType::Int,
        Value::Text(_) => AttributeType::Text,
        Value::Bytes(_) => AttributeType::Bytes,
        Value::Date(_) => AttributeType::Date,
        Value::Time(_) => AttributeType::Time,
        Value::Reference(_) => AttributeType::Reference,
        Value::Record(_) => AttributeType::Record,
    }
}

/// The powers over one class, each with a call about an object that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    Update,
    Rename,
    Delete,
    Lifecycle,
    Credential,
    Membership,
    Changes,
}

impl Power {
    const ALL: [Self; 7] = [
        Self::Update,
        Self::Rename,
        Self::Delete,
        Self::Lifecycle,
        Self::Credential,
        Self::Membership,
        Self::Changes,
    ];

    fn declared(self, can: &ClassCapabilities) -> bool {
        match self {
            Self::Update => can.update,
            Self::Rename => can.rename,
            Self::Delete => can.delete != DeleteStyle::Unsupported,
            Self::Lifecycle => can.disable != DisableMeaning::Unsupported,
            Self::Credential => can.credential,
            Self::Membership => can.members,
            Self::Changes => can.change_feed,
        }
    }

    /// Calls it; nothing where the connector has no such facet.
    async fn call(self, bench: &Bench<'_>, class: &ClassName) -> Option<Result<()>> {
        let (cx, class, key) = (&bench.cx, class.clone(), ObjectKey::id(NOBODY));
        let connector = bench.connector;
        Some(match self {
            Self::Update => {
                let change = Change::Replace(vec![Value::text("x")]);
                let delta = Delta { changes: [(bench.profile.text(), change)].into() };
                connector.writer()?.update(cx, UpdateRequest { class, key, delta }).await.map(drop)
            }
            Self::Rename => {
                let naming = bench.renamed("24r").unwrap_or_else(|| bench.attributes("24r"));
                connector.writer()?.rename(cx, RenameRequest { class, key, naming }).await.map(drop)
            }
            Self::Delete => connector.writer()?.delete(cx, DeleteRequest { class, key }).await.map(drop),
            Self::Lifecycle => {
                let request = LifecycleRequest { class, key, enabled: false };
                connector.lifecycle()?.set(cx, request).await.map(drop)
            }
            Self::Credential => {
                let password = bench.profile.password(true);
                let password = password.unwrap_or_else(|| Secret::new("Correct horse 7 battery"));
                let request = CredentialRequest { class, key, password, must_change: false };
                connector.credential()?.set_password(cx, request).await.map(drop)
            }
            Self::Membership => {
                let member_class = bench.class.clone();
                let request = MembershipRequest { class, group: key, member_class, edges: Vec::new() };
                connector.membership()?.change(cx, request).await.map(drop)
            }
            Self::Changes => {
                let request = ChangeFeedRequest { class, token: None, limit: 1 };
                connector.change_feed()?.changes(cx, request).await.map(drop)
            }
        })
    }
}

/// C-2.3
pub(super) async fn unknown_class_is_unsupported(bench: &Bench<'_>) -> Verdict {
    let class = ClassName::new("no-such-class");
    let get = GetRequest { class: class.clone(), key: ObjectKey::id("1") };
    fails("get", bench.connector.get(&bench.cx, get).await, ErrorKind::Unsupported, None)?;
    let listed = bench.listed(ListRequest::all(class.clone())).await;
    fails("list", listed, ErrorKind::Unsupported, None)?;
    for power in Power::ALL {
        if let Some(result) = power.call(bench, &class).await {
            let effect = (power != Power::Changes).then_some(Effect::None);
            fails(&format!("{power:?}"), result, ErrorKind::Unsupported, effect)?;
        }
    }
    if bench.connector.writer().is_none() {
        return Ok(());
    }
    let birth = bench.birth_of(&class, Attributes::new(), "23a");
    fails("create", bench.send(birth).await?, ErrorKind::Unsupported, Some(Effect::None)).map(drop)
}

/// C-2.4
pub(super) async fn absent_capability_is_refused(bench: &Bench<'_>) -> Verdict {
    let connector = bench.connector;
    for (class, can) in &bench.discovery.capabilities.classes {
        let writes = can.create || can.update || can.rename || can.delete != DeleteStyle::Unsupported;
        let declared = [
            ("writer", writes, connector.writer().is_some()),
            ("membership", can.members, connector.membership().is_some()),
            ("lifecycle", can.disable != DisableMeaning::Unsupported, connector.lifecycle().is_some()),
            ("credential", can.credential, connector.credential().is_some()),
            ("change feed", can.change_feed, connector.change_feed().is_some()),
        ];
        for (facet, capable, there) in declared {
            ensure(there || !capable, || format!("`{class}` declares a {facet} facet that is missing"))?;
        }
        for power in Power::ALL.into_iter().filter(|power| !power.declared(can)) {
            if let Some(result) = power.call(bench, class).await {
                let effect = (power != Power::Changes).then_some(Effect::None);
                fails(&format!("{power:?} of `{class}`"), result, ErrorKind::Unsupported, effect)?;
            }
        }
        if !can.create && connector.writer().is_some() {
            let attributes = if *class == bench.class { bench.attributes("24a") } else { Attributes::new() };
            let result = bench.send(bench.birth_of(class, attributes, "24a")).await?;
            fails(&format!("create of `{class}`"), result, ErrorKind::Unsupported, Some(Effect::None))?;
        }
    }
    Ok(())
}

/// C-2.5
pub(super) async fn declared_capability_works(bench: &Bench<'_>) -> Verdict {
    let works = |what: &str, result: Result<()>| match result {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            broken(format!("{what} is declared and refused: {}", error.report()))
        }
        // What else may come of a call about nobody is another clause's.
        _ => Ok(()),
    };
    for (class, can) in &bench.discovery.capabilities.classes {
        for power in Power::ALL.into_iter().filter(|power| power.declared(can)) {
            if let Some(result) = power.call(bench, class).await {
                works(&format!("{power:?} of `{class}`"), result)?;
            }
        }
    }
    if bench.can().create && bench.connector.writer().is_some() {
        works("create", bench.send(bench.birth("25a")).await?.map(drop))?;
    }
    if let Some((class, attributes)) = bench.profile.group(&bench.suffix("25g"))
        && bench.discovery.capabilities.class(&class).create
        && bench.connector.writer().is_some()
    {
        let birth = bench.birth_of(&class, attributes, "25g");
        works("create of a group", bench.send(birth).await?.map(drop))?;
    }
    Ok(())
}
