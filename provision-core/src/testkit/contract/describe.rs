//! Clauses 1 and 2: what a connector says of itself and of its target.

use super::profile::{Bench, Profile, Trouble};
use super::verdict::{Verdict, ensure, fails, skip};
use crate::connector::{
    Connector, CredentialRequest, DeleteRequest, DeleteStyle, DisableMeaning, GetRequest, LifecycleRequest,
    ListRequest, MembershipRequest, ObjectKey,
};
use crate::error::{Effect, ErrorKind};
use crate::id::ClassName;
use crate::schema::{AttributeType, Mutability};
use crate::value::{Secret, Value};

/// C-1.2
pub async fn refused_credentials_are_told_as_such(
    connector: &dyn Connector,
    profile: &dyn Profile,
) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    bench.provoke(Trouble::RefuseCredentials)?;
    fails("check", connector.check(&bench.cx).await, ErrorKind::Unauthenticated, None)?;
    Ok(())
}

/// C-1.3
pub async fn debug_shows_no_secret(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    let mut secrets: Vec<String> = profile.planted_secret().into_iter().collect();
    if let (true, Some(password), Some(facet)) =
        (bench.can().credential, profile.password(true), connector.credential())
    {
        let key = bench.create("13a").await?;
        secrets.push(password.expose().to_owned());
        let request = CredentialRequest { class: bench.class.clone(), key, password, must_change: false };
        let told = format!("{request:?}");
        ensure(secrets.iter().all(|secret| !told.contains(secret)), || {
            "the request's Debug shows it".to_owned()
        })?;
        facet.set_password(&bench.cx, request).await?;
    }
    if secrets.is_empty() {
        return skip("the target has no secrets");
    }
    let told = format!("{connector:?} {:#?} {:?}", connector, connector.info());
    ensure(secrets.iter().all(|secret| !told.contains(secret)), || {
        "the connector's Debug shows a secret".to_owned()
    })
}

/// C-2.1
pub async fn discover_is_stable(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    let again = connector.discover(&bench.cx).await?;
    ensure(again == bench.discovery, || "two calls differ".to_owned())?;
    let through = serde_json::to_value(&again).and_then(serde_json::from_value);
    ensure(through.is_ok_and(|through: crate::connector::Discovery| through == again), || {
        "it does not survive serialization".to_owned()
    })?;
    for class in again.capabilities.classes.keys() {
        bench.shape(class)?;
    }
    bench.shape(&bench.class).map(drop)
}

/// C-2.2
pub async fn reads_keep_to_the_schema(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    let key = bench.create("22a").await?;
    let shape = bench.shape(&bench.class)?;
    let mut objects = bench.list(ListRequest::all(bench.class.clone())).await?;
    objects.push(bench.read(&key).await?);
    for object in objects {
        ensure(object.class == bench.class, || format!("`{}` has another class", object.key.id))?;
        for (name, slot) in object.attributes.iter() {
            let Some(schema) = shape.attributes.get(name) else {
                return ensure(false, || format!("`{name}` is not in the schema, in this spelling"));
            };
            let readable = schema.returned && schema.mutability != Mutability::WriteOnly;
            ensure(readable, || format!("`{name}` comes back against the schema"))?;
            ensure(!slot.values().is_empty(), || format!("`{name}` is null in a read"))?;
            ensure(schema.multi || slot.values().len() == 1, || format!("`{name}` has several values"))?;
            ensure(slot.values().iter().all(|value| is_of(schema.kind, value)), || {
                format!("`{name}` is not of its type")
            })?;
        }
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

/// C-2.3
pub async fn unknown_class_is_unsupported(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    let class = ClassName::new("no-such-class");
    let key = ObjectKey::id("1");
    let get = connector.get(&bench.cx, GetRequest { class: class.clone(), key }).await;
    fails("get", get, ErrorKind::Unsupported, None)?;
    let list = connector.list(&bench.cx, ListRequest::all(class.clone())).map(drop);
    fails("list", list, ErrorKind::Unsupported, None)?;
    let Ok(writer) = bench.writer() else { return Ok(()) };
    let birth = crate::connector::CreateRequest { class, ..bench.birth("23a") };
    fails("create", writer.create(&bench.cx, birth).await, ErrorKind::Unsupported, Some(Effect::None))?;
    Ok(())
}

/// C-2.4
pub async fn absent_capability_is_refused(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    for (class, can) in &bench.discovery.capabilities.classes {
        let cx = &bench.cx;
        let key = ObjectKey::id("none");
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
        let unsupported =
            |what: &str, result| fails(what, result, ErrorKind::Unsupported, Some(Effect::None)).map(drop);
        if can.delete == DeleteStyle::Unsupported
            && let Some(writer) = connector.writer()
        {
            let request = DeleteRequest { class: class.clone(), key: key.clone() };
            unsupported("delete", writer.delete(cx, request).await.map(drop))?;
        }
        if can.disable == DisableMeaning::Unsupported
            && let Some(lifecycle) = connector.lifecycle()
        {
            let request = LifecycleRequest { class: class.clone(), key: key.clone(), enabled: false };
            unsupported("lifecycle", lifecycle.set(cx, request).await.map(drop))?;
        }
        if !can.credential
            && let Some(credential) = connector.credential()
        {
            let password = Secret::new("Correct horse 7 battery");
            let (class, key) = (class.clone(), key.clone());
            let request = CredentialRequest { class, key, password, must_change: false };
            unsupported("credential", credential.set_password(cx, request).await.map(drop))?;
        }
        if !can.members
            && let Some(membership) = connector.membership()
        {
            let (class, member_class) = (class.clone(), bench.class.clone());
            let request = MembershipRequest { class, group: key, member_class, edges: Vec::new() };
            unsupported("membership", membership.change(cx, request).await.map(drop))?;
        }
    }
    Ok(())
}
