//! Virtual time: it stands still while anybody can go on, and jumps to the next timer when nobody can.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;

use super::lock;
use crate::runtime::Clock;
use crate::value::Timestamp;

#[derive(Debug, Default)]
struct Timers {
    now: i64,
    next: u64,
    waiting: BTreeMap<(i64, u64), Waker>,
}

/// The time of a world. Clones show the same time.
#[derive(Clone, Debug)]
pub(super) struct Time(Arc<Mutex<Timers>>);

impl Time {
    pub(super) fn starting_at(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Timers { now: now.as_micros(), ..Timers::default() })))
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_micros(lock(&self.0).now)
    }

    /// When the next timer is due.
    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        lock(&self.0).waiting.keys().next().map(|(at, _)| Timestamp::from_micros(*at))
    }

    /// Moves on to `now` and wakes who waited for it; never back.
    pub(super) fn advance(&self, now: Timestamp) {
        let due: Vec<Waker> = {
            let mut timers = lock(&self.0);
            timers.now = timers.now.max(now.as_micros());
            let after = timers.now.saturating_add(1);
            let later = timers.waiting.split_off(&(after, 0));
            std::mem::replace(&mut timers.waiting, later).into_values().collect()
        };
        due.into_iter().for_each(Waker::wake);
    }

    /// Waits in virtual time.
    pub(super) fn sleep(&self, duration: Duration) -> Sleep {
        Sleep { time: self.clone(), until: self.now().plus(duration).as_micros(), timer: None }
    }
}

/// A wait. Dropped, it is forgotten.
#[derive(Debug)]
pub(super) struct Sleep {
    time: Time,
    until: i64,
    timer: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let shared = Arc::clone(&self.time.0);
        let mut timers = lock(&shared);
        if timers.now >= self.until {
            return Poll::Ready(());
        }
        let number = match self.timer {
            Some(number) => number,
            None => {
                timers.next += 1;
                timers.next
            }
        };
        timers.waiting.insert((self.until, number), cx.waker().clone());
        self.timer = Some(number);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.timer {
            lock(&self.time.0).waiting.remove(&(self.until, number));
        }
    }
}

/// The clock of one process: the world's time, ahead or behind by a little.
#[derive(Clone, Debug)]
pub(super) struct SimClock {
    time: Time,
    skew: i64,
}

impl SimClock {
    /// A clock that is ahead by so many microseconds.
    pub(super) fn ahead(time: &Time, skew: i64) -> Self {
        Self { time: time.clone(), skew }
    }

    /// An instant of this clock as the world's.
    pub(super) fn in_world(&self, at: Timestamp) -> Timestamp {
        Timestamp::from_micros(at.as_micros().saturating_sub(self.skew))
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.time.now().as_micros().saturating_add(self.skew))
    }

    async fn sleep(&self, duration: Duration) {
        self.time.sleep(duration).await;
    }
}
