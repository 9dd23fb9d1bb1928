//! Clause 3: reading one object.

use super::profile::{Bench, Profile, Trouble};
use super::verdict::{Finding, Verdict, ensure, fails, skip};
use crate::connector::{Connector, GetRequest, ObjectKey};
use crate::error::ErrorKind;
use crate::schema::CaseRule;
use crate::value::{AttrName, Attributes};

/// C-3.1
pub async fn get_tells_absence_from_failure(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    let nobody = bench.find(&bench.class, &ObjectKey::id("no such object")).await?;
    ensure(nobody.is_none(), || format!("an object was made up: {nobody:?}"))?;
    let key = bench.create("31a").await?;
    bench.read(&key).await?;
    if !profile.provoke(Trouble::Unreachable) {
        return Ok(());
    }
    let request = GetRequest { class: bench.class.clone(), key };
    fails("get", connector.get(&bench.cx, request).await, ErrorKind::Unavailable, None)?;
    Ok(())
}

/// C-3.2
pub async fn what_was_created_is_read(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    if !bench.can().visible_after.is_zero() {
        return skip("writes are visible later");
    }
    let key = bench.create("32a").await?;
    let object = bench.read(&key).await?;
    ensure(object.key == key, || format!("the key read is {:?}, of the create {key:?}", object.key))?;
    bench.shows(&object.attributes, &profile.attributes("32a"))?;
    let wanted = bench.birth("32b").enabled;
    ensure(object.enabled == wanted, || format!("enabled is {:?}, {wanted:?} was written", object.enabled))
}

/// C-3.3
pub async fn names_compare_as_declared(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    let shape = bench.shape(&bench.class)?;
    let upper = profile.attributes("33a").iter().fold(Attributes::new(), |mut upper, (name, slot)| {
        upper.insert(AttrName::new(name.as_str().to_uppercase()), slot.clone());
        upper
    });
    let birth = crate::connector::CreateRequest { attributes: upper, ..bench.birth("33a") };
    let created = bench.writer()?.create(&bench.cx, birth).await;
    match shape.names {
        CaseRule::Ignore => {
            let key = bench.done(created?).await?.key;
            bench.shows(&bench.read(&key).await?.attributes, &profile.attributes("33a"))?;
        }
        CaseRule::Exact => {
            fails("create with other spellings", created, ErrorKind::InvalidAttribute, None)?;
            bench.create("33a").await?;
        }
    }
    let Some((naming, schema)) = shape.naming.as_ref().and_then(|name| shape.attribute(name.as_str())) else {
        return Ok(());
    };
    let name = profile.attributes("33a").text(naming.as_str()).map(str::to_uppercase);
    let Some(name) = name else { return Err(Finding::Broken("the profile gives no name".to_owned())) };
    let mut birth = bench.birth("33b");
    birth.attributes.set(naming.clone(), vec![name.into()]);
    let created = bench.writer()?.create(&bench.cx, birth).await;
    match (schema.unique, schema.case) {
        (true, CaseRule::Ignore) => {
            fails("create of a name in upper case", created, ErrorKind::AlreadyExists, None).map(drop)
        }
        _ => bench.done(created?).await.map(drop),
    }
}
