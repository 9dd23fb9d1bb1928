//! The lane of a group: of all nodes, one at a time sends edges of it, so that requests stay full and no two of them
//! write the same group side by side. Requests of one node share its lane.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::company::Group;
use super::lane::Lane;
use crate::engine::Held;
use crate::error::Result;
use crate::id::RealmId;
use crate::value::Timestamp;

/// How long a request waits for another node to be through with a group, at most. Then its edges are begun again.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(100);
/// The lease of a group lasts so much longer than the request it was taken for may take.
const MARGIN: Duration = Duration::from_secs(5);

/// Lanes of groups that this process has, or asks for.
#[derive(Debug, Default)]
pub(crate) struct GroupLanes(Mutex<BTreeMap<(RealmId, String), Arc<GroupLane>>>);

#[derive(Debug)]
struct GroupLane {
    state: Mutex<State>,
    /// One asks, or gives back.
    asks: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
    /// Requests that have it, or wait for it.
    users: usize,
}

impl GroupLane {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GroupLanes {
    fn lanes(&self) -> MutexGuard<'_, BTreeMap<(RealmId, String), Arc<GroupLane>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, key: &(RealmId, String)) -> Arc<GroupLane> {
        let mut lanes = self.lanes();
        let new = || Arc::new(GroupLane { state: Mutex::default(), asks: Semaphore::new(1) });
        let lane = Arc::clone(lanes.entry(key.clone()).or_insert_with(new));
        lane.state().users += 1;
        lane
    }
}

/// A request's part in the lane of its group.
#[derive(Debug)]
pub(super) struct InGroup<'a> {
    lanes: &'a GroupLanes,
    key: (RealmId, String),
    lane: Arc<GroupLane>,
}

impl Drop for InGroup<'_> {
    fn drop(&mut self) {
        let mut lanes = self.lanes.lanes();
        let mut state = self.lane.state();
        state.users = state.users.saturating_sub(1);
        // A lease that was not given back, because its request was dropped, ends by itself.
        if state.users == 0 {
            lanes.remove(&self.key);
        }
    }
}

/// What a request may send under: its part in the lane, or nothing, in a process without a name.
#[derive(Debug)]
pub(super) struct Entered<'a>(Option<InGroup<'a>>);

impl Entered<'_> {
    /// How long the lane is certainly ours.
    pub(super) fn left(&self, now: Timestamp) -> Duration {
        let Some(part) = &self.0 else { return Duration::MAX };
        part.lane.state().held.as_ref().map_or(Duration::ZERO, |held| held.left(now))
    }
}

impl Lane<'_> {
    /// Takes the lane of a group for one request; `None` when another node keeps it. A process without a name has no
    /// lanes.
    pub(super) async fn enter(&self, group: &Group, until: Timestamp) -> Result<Option<Entered<'_>>> {
        let engine = self.engine;
        if engine.inner.node.is_none() {
            return Ok(Some(Entered(None)));
        }
        // While it waits for its turn, and for the call.
        let need = self.timeout().saturating_mul(2);
        let patience = PATIENCE.min(until.since(engine.stored_at_most()) / 2);
        let (target, class) = (group.target.as_str(), group.class.as_str());
        let name = format!("group/{target}/{class}/{}", group.key.id);
        let key = (engine.realm.clone(), name.clone());
        let lane = engine.inner.lanes.join(&key);
        let part = InGroup { lanes: &engine.inner.lanes, key, lane: Arc::clone(&lane) };
        let (begun, lasts) = (engine.now(), need + MARGIN);
        // It does not matter to a turn that nobody gives any more.
        let _asking = lane.asks.acquire().await.ok();
        let known = lane.state().held.clone();
        let mut held = match known {
            Some(held) if held.left(engine.now()) >= need => return Ok(Some(Entered(Some(part)))),
            Some(held) => engine.renew_lease(&held, lasts).await?,
            None => None,
        };
        while held.is_none() {
            held = engine.take_lease(&name, lasts).await?;
            if held.is_some() {
                break;
            }
            if engine.now().since(begun) >= patience || self.ends() {
                return Ok(None);
            }
            engine.inner.clock.deadline(LOOK).await;
        }
        lane.state().held = held;
        Ok(Some(Entered(Some(part))))
    }

    /// Gives the lane of a group back, if no other request of this process needs it.
    pub(super) async fn leave(&self, entered: Entered<'_>) {
        let Some(part) = entered.0 else { return };
        let lane = Arc::clone(&part.lane);
        let _asking = lane.asks.acquire().await.ok();
        let held = {
            let mut state = lane.state();
            if state.users > 1 { None } else { state.held.take() }
        };
        if let Some(held) = held
            && let Err(error) = self.engine.release_lease(&held).await
        {
            // It ends by itself.
            tracing::warn!(error = %error.report(), "the lane of a group was not given back");
        }
        drop(part);
    }
}
