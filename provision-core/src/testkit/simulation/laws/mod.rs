//! The laws, checked from outside after everything has come to rest.

mod account;
mod approval;
mod budget;
mod history;
mod planning;
mod target;

use std::sync::Arc;

use super::verdict::Violation;
use super::world::{Process, World};
use crate::error::Result;
use crate::store::{self, Record, Select};

/// Checks every law.
pub(super) async fn check(world: &Arc<World>, process: &Process) -> Vec<Violation> {
    let mut found = Vec::new();
    for (realm, engine, _) in &process.realms {
        let checked = async {
            account::check(world, realm, engine, &mut found).await?;
            budget::check(world, realm, &mut found);
            approval::check(realm, engine, &mut found).await?;
            target::check(realm, engine, &mut found).await?;
            history::check(world, realm, engine, &mut found).await?;
            planning::check(world, realm, engine, &mut found).await
        };
        let checked: Result<()> = checked.await;
        if let Err(error) = checked {
            let what = format!("{}: the laws cannot be checked: {}", realm.id, error.report());
            found.push(Violation { law: 0, what });
        }
    }
    found
}

/// All records of a kind.
async fn all<R: Record>(engine: &crate::engine::Engine) -> Result<Vec<R>> {
    let select = Select::KeyPrefix(String::new());
    let store = engine.inner.store.as_ref();
    let (found, _) = store::list_by::<R>(store, engine.realm(), select, None, 100_000).await?;
    Ok(found.into_iter().map(|stored| stored.value).collect())
}
