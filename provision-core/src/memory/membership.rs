//! Edges of groups.

use async_trait::async_trait;

use super::MemoryConnector;
use super::content::Entry;
use super::fault::{About, Operation};
use super::target::{not_found, refuse};
use crate::connector::{Context, EdgeOutcome, MembershipFacet, MembershipRequest};
use crate::error::{ErrorKind, Result};

#[async_trait]
impl MembershipFacet for MemoryConnector {
    async fn change(&self, cx: &Context, request: MembershipRequest) -> Result<Vec<EdgeOutcome>> {
        let about = About {
            operation: Operation::Membership,
            class: Some(&request.class),
            key: Some(&request.group.id),
            attributes: None,
        };
        let turn = self.target.begin(cx, about).await?;
        let outcomes = {
            let mut content = self.target.content()?;
            let shape = self.target.shape(&content, &request.class)?;
            if !shape.members || shape.read_only {
                return Err(refuse(ErrorKind::Unsupported, "objects of this class have no members"));
            }
            self.target.class(&request.member_class)?;
            let limit = self.target.config.members_per_request as usize;
            if request.edges.len() > limit {
                let message = format!("a request takes {limit} edges and got {}", request.edges.len());
                return Err(refuse(ErrorKind::Unsupported, message));
            }
            let group = self.target.found(&content, &request.class, &request.group)?.number;
            let (mut add, mut remove) = (Vec::new(), Vec::new());
            let mut outcomes = Vec::with_capacity(request.edges.len());
            for edge in &request.edges {
                let member = content.find(&request.member_class, &edge.member.id).map(|member| member.number);
                // Removing what is gone is a success: its edges went with it.
                let error = match member {
                    None if edge.add => Some(not_found(&request.member_class, &edge.member).record()),
                    _ => None,
                };
                if let Some(member) = member {
                    let (into, other) =
                        if edge.add { (&mut add, &mut remove) } else { (&mut remove, &mut add) };
                    other.retain(|known| *known != member);
                    into.push(member);
                }
                outcomes.push(EdgeOutcome { error });
            }
            add.retain(|member| !content.is_member(group, *member));
            remove.retain(|member| content.is_member(group, *member));
            if !add.is_empty() || !remove.is_empty() {
                self.target
                    .write(&mut content, &Entry::Edges { class: request.class, group, add, remove })?;
            }
            outcomes
        };
        self.target.settle(&turn, outcomes).await
    }
}
