//! Who is in which team.

use async_trait::async_trait;
use provision_core::connector::*;
use provision_core::{ErrorKind, Result};

use super::shape::{ACCOUNT, TEAM, id_of};
use super::{AccountTable, refused};

#[async_trait]
impl MembershipFacet for AccountTable {
    async fn change(&self, cx: &Context, request: MembershipRequest) -> Result<Vec<EdgeOutcome>> {
        if request.class.as_str() != TEAM || request.member_class.as_str() != ACCOUNT {
            return Err(refused(
                ErrorKind::Unsupported,
                "accounts are members of teams, and nothing else is",
            ));
        }
        self.there(cx, &request.class).await?;
        let team = &request.group.id;
        if self.one(&request.class, team).await?.is_none() {
            return Err(refused(ErrorKind::NotFound, "there is no such team"));
        }
        let ids = |add: bool| -> Vec<i64> {
            let edges = request.edges.iter().filter(|edge| edge.add == add);
            edges.map(|edge| id_of(&edge.member.id)).collect()
        };
        let (add, remove) = (ids(true), ids(false));
        if !remove.is_empty() {
            self.write("delete from member where team = $1 and account = any($2)", &[team, &remove]).await?;
        }
        let mut there = Vec::new();
        if !add.is_empty() {
            let sql = "with put as (insert into member (team, account) select $1, id from account where id = any($2) \
                       on conflict do nothing) select id from account where id = any($2)";
            let rows = self.write(sql, &[team, &add]).await?;
            there.extend(rows.iter().filter_map(|row| row.try_get::<_, i64>(0).ok()));
        }
        let outcomes = request.edges.iter().map(|edge| {
            let is_missing = edge.add && !there.contains(&id_of(&edge.member.id));
            let error = is_missing.then(|| refused(ErrorKind::NotFound, "there is no such account").record());
            EdgeOutcome { error }
        });
        Ok(outcomes.collect())
    }
}
