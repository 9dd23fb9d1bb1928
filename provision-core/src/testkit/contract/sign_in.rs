//! Clause 6: lifecycle and credentials.

use super::bench::Bench;
use super::describe::NOBODY;
use super::verdict::{Verdict, ensure, fails, skip};
use crate::connector::{CredentialRequest, DisableMeaning, LifecycleRequest, ListRequest, ObjectKey};
use crate::error::{Effect, ErrorKind};

/// C-6.1
pub(super) async fn lifecycle_is_repeatable(bench: &Bench<'_>) -> Verdict {
    bench.creates()?;
    if bench.can().disable == DisableMeaning::Unsupported {
        return skip("the class has no such state");
    }
    let mut key = bench.create("61a").await?;
    let other = bench.create("61b").await?;
    let before = bench.read(&key).await?;
    for enabled in [false, false, true, true] {
        let request = LifecycleRequest { class: bench.class.clone(), key: key.clone(), enabled };
        key = bench.done(bench.lifecycle()?.set(&bench.cx, request).await?).await?.key;
        let object = bench.read(&key).await?;
        ensure(object.enabled == Some(enabled), || {
            format!("set to {enabled}, read as {:?}", object.enabled)
        })?;
    }
    let after = bench.read(&key).await?;
    ensure(after.attributes == before.attributes, || {
        format!("disabling and enabling made {:?} of {:?}", after.attributes, before.attributes)
    })?;
    let other = bench.read(&other).await?;
    ensure(other.enabled == Some(true), || "another object was disabled".to_owned())
}

/// C-6.2
pub(super) async fn password_stays_secret(bench: &Bench<'_>) -> Verdict {
    bench.creates()?;
    let (true, Some(facet), Some(password)) =
        (bench.can().credential, bench.connector.credential(), bench.profile.password(true))
    else {
        return skip("the target sets no passwords");
    };
    let key = bench.create("62a").await?;
    let class = bench.class.clone();
    let request =
        |password| CredentialRequest { class: class.clone(), key: key.clone(), password, must_change: true };
    let done = bench.done(facet.set_password(&bench.cx, request(password.clone())).await?).await?;
    let listed = bench.list(ListRequest::all(bench.class.clone())).await?;
    let told = format!("{:?} {done:?} {listed:?}", bench.read(&key).await?);
    ensure(!told.contains(password.expose()), || "the password can be read back".to_owned())?;
    if let Some(refused) = bench.profile.password(false) {
        let result = facet.set_password(&bench.cx, request(refused.clone())).await;
        let error = fails("a bad password", result, ErrorKind::PolicyRejected, Some(Effect::None))?;
        let told = format!("{error:?} {}", error.report());
        ensure(!told.contains(refused.expose()), || "the error shows the password".to_owned())?;
    }
    let nobody = CredentialRequest { key: ObjectKey::id(NOBODY), ..request(password) };
    let result = facet.set_password(&bench.cx, nobody).await;
    fails("a missing object", result, ErrorKind::NotFound, Some(Effect::None)).map(drop)
}
