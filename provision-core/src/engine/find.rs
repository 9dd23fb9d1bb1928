//! Finding an identity by what people know of it.

use std::collections::BTreeMap;

use super::Engine;
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::id::{IdentityId, SourceName};
use crate::model::{Identity, SourceRecord};
use crate::store::{self, Select};

/// Identities read at a time.
const PAGE: u32 = 500;
/// Candidates that an error names.
const CANDIDATES_MAX: usize = 10;

impl Engine {
    /// Finds an identity by its id, by `source:key`, by a key alone, or by a display name, user name or mail address;
    /// the record of a role by `role:name` and by nothing else.
    ///
    /// Ids and keys are looked up; a name reads every identity, page by page. Names compare without case.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` naming the candidates when several identities match.
    pub async fn find(&self, who: &str) -> Result<Identity> {
        let who = who.trim();
        if who.is_empty() {
            return Err(nobody(who));
        }
        if let Some(id) = IdentityId::parse(who)
            && let Some(found) = self.identity(id).await?
        {
            return Ok(found);
        }
        if let Some(role) = who.strip_prefix("role:")
            && let Some(found) = self.identity_by_key(&SourceName::roles(), role).await?
        {
            return Ok(found);
        }
        if let Some((source, key)) = who.split_once(':')
            && let Some(found) = self.identity_by_key(&SourceName::new(source), key).await?
        {
            return Ok(found);
        }
        let mut found: BTreeMap<IdentityId, Identity> = BTreeMap::new();
        for source in self.sources().await? {
            if let Some(identity) = self.identity_by_key(&source.settings.name, who).await? {
                found.insert(identity.id, identity);
            }
        }
        if found.is_empty() {
            found = self.identities_by_name(who).await?;
        }
        let mut found: Vec<Identity> = found.into_values().collect();
        match (found.pop(), found.is_empty()) {
            (None, _) => Err(nobody(who)),
            (Some(one), true) => Ok(one),
            (Some(one), false) => {
                found.push(one);
                Err(several(who, &found))
            }
        }
    }

    /// An identity by id.
    pub(crate) async fn identity(&self, id: IdentityId) -> Result<Option<Identity>> {
        let found = store::get::<Identity>(self.store(), &self.realm, &id.to_string()).await?;
        Ok(found.map(|stored| stored.value))
    }

    /// The identity of a source's record.
    async fn identity_by_key(&self, source: &SourceName, key: &str) -> Result<Option<Identity>> {
        let row_key = SourceRecord::row_key(source, key);
        let record = store::get::<SourceRecord>(self.store(), &self.realm, &row_key).await?;
        if let Some(record) = record
            && let Some(found) = self.identity(record.value.identity).await?
        {
            return Ok(Some(found));
        }
        let select = Select::Equal("source_key", row_key);
        let (found, _) = store::list_by::<Identity>(self.store(), &self.realm, select, None, 1).await?;
        Ok(found.into_iter().next().map(|stored| stored.value))
    }

    async fn identities_by_name(&self, who: &str) -> Result<BTreeMap<IdentityId, Identity>> {
        let wanted = who.to_lowercase();
        let mut found = BTreeMap::new();
        let mut cursor = None;
        loop {
            let select = Select::KeyPrefix(String::new());
            let (page, next) =
                store::list_by::<Identity>(self.store(), &self.realm, select, cursor, PAGE).await?;
            for identity in page.into_iter().map(|stored| stored.value) {
                if identity.role().is_none()
                    && answers_to(&identity, &wanted)
                    && found.len() <= CANDIDATES_MAX
                {
                    found.insert(identity.id, identity);
                }
            }
            cursor = next;
            if cursor.is_none() || found.len() > CANDIDATES_MAX {
                return Ok(found);
            }
        }
    }
}

/// Whether people call the identity so; `wanted` in lower case.
fn answers_to(identity: &Identity, wanted: &str) -> bool {
    let is = |text: &str| text.to_lowercase() == wanted;
    let named = ["displayName", "userName", "mail"]
        .iter()
        .flat_map(|name| identity.attributes.values(name))
        .filter_map(crate::value::Value::as_text)
        .any(is);
    let parts = [identity.attributes.text("givenName"), identity.attributes.text("familyName")];
    let full = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
    named || is(&full) || is(&identity.key)
}

pub(super) fn nobody(who: &str) -> Error {
    Error::new(ErrorKind::NotFound, "no identity has this id, key, name or address")
        .with_context("who", who)
        .with_effect(Effect::None)
}

fn several(who: &str, found: &[Identity]) -> Error {
    let labels: Vec<String> = found.iter().take(CANDIDATES_MAX).map(Identity::label).collect();
    let more = if found.len() > CANDIDATES_MAX { " and more" } else { "" };
    let message =
        format!("several identities answer to this; say which, as `source:key`: {}{more}", labels.join(", "));
    Error::new(ErrorKind::Conflict, message).with_context("who", who).with_effect(Effect::None)
}
