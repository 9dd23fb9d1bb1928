//! Passwords: kept as digests, checked against the target's rules, verifiable by a test.

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use super::content::{Entry, Stored, id, number};
use super::fault::{About, Operation};
use super::target::{Target, refuse};
use super::{MemoryConfig, MemoryConnector};
use crate::connector::{Context, Credential, CredentialRequest, ObjectKey, Outcome};
use crate::error::{ErrorKind, Result};
use crate::value::Secret;

/// The digest kept of a password, salted by the object. Enough for a rehearsal; no real target should do so.
pub(super) fn digest(number: u64, password: &Secret) -> String {
    let mut hasher = Sha256::new();
    hasher.update(id(number));
    hasher.update([0]);
    hasher.update(password.expose());
    hex::encode(hasher.finalize())
}

fn no_password() -> crate::Error {
    refuse(ErrorKind::Unsupported, "objects of this class have no password")
}

/// Refuses a password that the target's rules do not allow. The error says nothing of the password.
pub(super) fn accept(config: &MemoryConfig, sign_in: bool, password: &Secret) -> Result<()> {
    if !sign_in {
        return Err(no_password());
    }
    if password.expose().chars().count() < config.password_length_min as usize {
        let message =
            format!("the password is refused: the target wants {} characters", config.password_length_min);
        return Err(refuse(ErrorKind::PolicyRejected, message));
    }
    Ok(())
}

impl Target {
    pub(super) fn verify_password(&self, key: &ObjectKey, password: &Secret) -> bool {
        let Ok(content) = self.content() else { return false };
        let Some(number) = number(&key.id) else { return false };
        let stored = content.class_of(number).and_then(|class| content.find(class, &key.id));
        stored.is_some_and(|stored| {
            stored.enabled != Some(false)
                && stored.password.as_deref() == Some(digest(number, password).as_str())
        })
    }
}

#[async_trait]
impl Credential for MemoryConnector {
    async fn set_password(&self, cx: &Context, request: CredentialRequest) -> Result<Outcome> {
        let about = About {
            operation: Operation::Credential,
            class: Some(&request.class),
            key: Some(&request.key.id),
            attributes: None,
        };
        let turn = self.target.begin(cx, about).await?;
        let outcome = {
            let mut content = self.target.content()?;
            let shape = self.target.shape(&content, &request.class)?;
            let sign_in = shape.sign_in && !shape.read_only;
            if !sign_in {
                return Err(no_password());
            }
            let stored = self.target.found(&content, &request.class, &request.key)?;
            accept(&self.target.config, sign_in, &request.password)?;
            let number = stored.number;
            let password = Some(digest(number, &request.password));
            let object = Stored { password, must_change: request.must_change, ..stored };
            self.target.write(&mut content, &Entry::Put { class: request.class.clone(), object })?;
            self.target.outcome(&content, &request.class, number, &turn, None)
        };
        self.target.answer(self.target.settle(&turn, outcome).await?)
    }
}
