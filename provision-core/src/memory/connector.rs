//! What the target is and what can be read of it.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::fault::About;
use super::page::Pages;
use super::target::{refuse, spelled};
use super::{MemoryClass, MemoryConfig, MemoryConnector, Operation};
use crate::connector::{
    Capabilities, ChangeFeed, ClassCapabilities, Connector, ConnectorInfo, Context, Credential, DeleteStyle,
    DisableMeaning, Discovery, FilterSupport, GetRequest, LifecycleFacet, ListRequest, Listing,
    MembershipFacet, Object, Writer,
};
use crate::error::{ErrorKind, Result};
use crate::filter::Filter;

#[async_trait]
impl Connector for MemoryConnector {
    fn info(&self) -> ConnectorInfo {
        ConnectorInfo {
            kind: "memory".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_schema: serde_json::json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "personality": { "enum": ["directory", "plain", "service"] },
                    "classes": { "type": "object" },
                    "state_file": { "type": ["string", "null"] },
                    "page_size_max": { "type": "integer", "minimum": 1 },
                    "members_per_request": { "type": "integer", "minimum": 1 },
                    "idempotent_create": { "type": "boolean" },
                    "filter": { "type": ["object", "null"] },
                    "delete_window_s": { "type": "integer", "minimum": 0 },
                    "pending_polls": { "type": "integer", "minimum": 0 },
                    "visible_after_s": { "type": "integer", "minimum": 0 },
                    "password_length_min": { "type": "integer", "minimum": 0 },
                    "changes_kept": { "type": "integer", "minimum": 1 },
                    "faults": { "type": "object" },
                    "manners": { "type": "object" },
                },
            }),
        }
    }

    async fn check(&self, cx: &Context) -> Result<()> {
        let about = About { operation: Operation::Check, class: None, key: None, attributes: None };
        self.target.begin(cx, about).await?;
        self.target.content().map(drop)
    }

    async fn discover(&self, cx: &Context) -> Result<Discovery> {
        let about = About { operation: Operation::Discover, class: None, key: None, attributes: None };
        self.target.begin(cx, about).await?;
        let content = self.target.content()?;
        let config = &self.target.config;
        let classes =
            content.classes.iter().map(|(name, class)| (name.clone(), capabilities(config, class))).collect();
        Ok(Discovery { schema: self.target.schema.clone(), capabilities: Capabilities { classes } })
    }

    async fn get(&self, cx: &Context, request: GetRequest) -> Result<Option<Object>> {
        self.target.class(&request.class)?;
        let about = About {
            operation: Operation::Get,
            class: Some(&request.class),
            key: Some(&request.key.id),
            attributes: None,
        };
        self.target.begin(cx, about).await?;
        let content = self.target.content()?;
        let stored = content.find(&request.class, &request.key.id);
        Ok(stored.map(|stored| self.target.view(&content, &request.class, stored, true)))
    }

    fn list(&self, cx: &Context, request: ListRequest) -> Result<Listing> {
        let class = self.target.class(&request.class)?;
        let attributes = request.attributes.as_ref().map(|wanted| spelled(class, wanted)).transpose()?;
        if let Some(filter) = &request.filter {
            filter.check()?;
            pushed(&self.target.filters(&request.class), class, filter)?;
        }
        Ok(Pages::listing(&self.target, cx.clone(), request, attributes))
    }

    fn writer(&self) -> Option<&dyn Writer> {
        Some(self)
    }

    fn membership(&self) -> Option<&dyn MembershipFacet> {
        Some(self)
    }

    fn lifecycle(&self) -> Option<&dyn LifecycleFacet> {
        Some(self)
    }

    fn credential(&self) -> Option<&dyn Credential> {
        Some(self)
    }

    fn change_feed(&self) -> Option<&dyn ChangeFeed> {
        Some(self)
    }
}

pub(super) fn filters(config: &MemoryConfig, class: &MemoryClass) -> FilterSupport {
    config.filter.clone().or_else(|| class.filter.clone()).unwrap_or_else(FilterSupport::full)
}

/// Refuses a filter that the capabilities do not declare.
fn pushed(support: &FilterSupport, class: &crate::schema::ObjectClass, filter: &Filter) -> Result<()> {
    if !support.pushes(filter) {
        return Err(refuse(ErrorKind::Unsupported, "the target does not evaluate such a filter"));
    }
    match filter {
        Filter::All(parts) | Filter::Any(parts) => {
            parts.iter().try_for_each(|part| pushed(support, class, part))
        }
        Filter::Not(part) => pushed(support, class, part),
        Filter::Present(path) | Filter::Compare(path, ..) => {
            spelled(class, &BTreeSet::from([path.attribute.clone()])).map(drop)
        }
    }
}

fn capabilities(config: &MemoryConfig, class: &MemoryClass) -> ClassCapabilities {
    let unique = class.attributes.iter().filter(|(_, schema)| schema.unique);
    let writes = !class.read_only;
    let sign_in = writes && class.sign_in;
    let members = writes && class.members;
    let delete = match config.delete_window_s {
        _ if !(writes && class.delete) => DeleteStyle::Unsupported,
        0 => DeleteStyle::Irreversible,
        seconds => DeleteStyle::Reversible { window: std::time::Duration::from_secs(seconds) },
    };
    ClassCapabilities {
        create: writes,
        update: writes,
        rename: writes && class.naming.is_some(),
        delete,
        disable: if sign_in { DisableMeaning::BlocksSignIn } else { DisableMeaning::Unsupported },
        credential: sign_in,
        members,
        members_per_request: if members { config.members_per_request } else { 0 },
        change_feed: class.changes,
        list_complete: true,
        page_size_max: config.page_size_max,
        filter: filters(config, class),
        unique: unique.map(|(name, _)| name.clone()).collect(),
        idempotent_create: writes && config.idempotent_create,
        visible_after: std::time::Duration::from_secs(config.visible_after_s),
        concurrency_max: 0,
    }
}
