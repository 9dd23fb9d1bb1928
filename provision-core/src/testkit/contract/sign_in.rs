//! Clause 6: lifecycle and credentials.

use super::profile::{Bench, Profile};
use super::verdict::{Verdict, ensure, fails, skip};
use crate::connector::{Connector, CredentialRequest, DisableMeaning, LifecycleRequest};
use crate::error::{Effect, ErrorKind};

/// C-6.1
pub async fn lifecycle_is_repeatable(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    if bench.can().disable == DisableMeaning::Unsupported {
        return skip("the class has no such state");
    }
    let mut key = bench.create("61a").await?;
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
    ensure(after.attributes == before.attributes, || "disabling and enabling lost something".to_owned())
}

/// C-6.2
pub async fn password_stays_secret(connector: &dyn Connector, profile: &dyn Profile) -> Verdict {
    let bench = Bench::new(connector, profile).await?;
    let (true, Some(facet), Some(password)) =
        (bench.can().credential, connector.credential(), profile.password(true))
    else {
        return skip("the target sets no passwords");
    };
    let key = bench.create("62a").await?;
    let class = bench.class.clone();
    let request =
        |password| CredentialRequest { class: class.clone(), key: key.clone(), password, must_change: true };
    let done = bench.done(facet.set_password(&bench.cx, request(password.clone())).await?).await?;
    let told = format!("{:?} {done:?}", bench.read(&key).await?);
    ensure(!told.contains(password.expose()), || "the password can be read back".to_owned())?;
    if let Some(refused) = profile.password(false) {
        let result = facet.set_password(&bench.cx, request(refused.clone())).await;
        let error = fails("a bad password", result, ErrorKind::PolicyRejected, Some(Effect::None))?;
        let told = format!("{error:?} {}", error.report());
        ensure(!told.contains(refused.expose()), || "the error shows the password".to_owned())?;
    }
    let nobody = CredentialRequest { key: crate::connector::ObjectKey::id("nobody"), ..request(password) };
    let result = facet.set_password(&bench.cx, nobody).await;
    fails("a missing object", result, ErrorKind::NotFound, Some(Effect::None)).map(drop)
}
