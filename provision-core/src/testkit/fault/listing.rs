//! Listings that are cut, repeat a page, fail in the middle or show what was there earlier.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use futures_util::StreamExt;

use super::layer::{Shared, Turn, refused};
use super::request::{Answer, Request};
use crate::connector::{Completeness, Context, ListEvent, ListRequest, Listing, Object};
use crate::error::{ErrorKind, Result};
use crate::memory::Fault;
use crate::schema::ObjectClass;

/// The listing with everything that goes wrong with it. Nothing happens before it is polled.
pub(super) fn spoiled(shared: &Arc<Shared>, cx: Context, request: ListRequest, inner: Listing) -> Listing {
    let spoiling = Spoiling {
        shared: Arc::clone(shared),
        cx,
        request,
        inner: Some(inner),
        turn: None,
        stale: None,
        pages: 0,
        objects: 0,
        queue: VecDeque::new(),
    };
    let events = futures_util::stream::unfold(spoiling, |mut spoiling| async move {
        let event = spoiling.next().await?;
        Some((event, spoiling))
    });
    Box::pin(events.fuse())
}

struct Spoiling {
    shared: Arc<Shared>,
    cx: Context,
    request: ListRequest,
    /// The listing of the connector; gone at the end.
    inner: Option<Listing>,
    turn: Option<Turn>,
    stale: Option<Stale>,
    pages: u64,
    objects: u64,
    queue: VecDeque<Result<ListEvent>>,
}

/// How the class looked earlier.
struct Stale {
    rule: usize,
    fault: Fault,
    /// Objects that looked otherwise, and that the listing has not come to.
    former: BTreeMap<String, Option<Object>>,
    class: Option<ObjectClass>,
    acted: bool,
}

impl Spoiling {
    async fn next(&mut self) -> Option<Result<ListEvent>> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Some(event);
            }
            self.inner.as_ref()?;
            if self.turn.is_none()
                && let Err(error) = self.begin().await
            {
                self.inner = None;
                return Some(Err(error));
            }
            match self.inner.as_mut()?.next().await {
                None => self.inner = None,
                Some(Err(error)) => {
                    let answer = Err(error);
                    self.shared.answered(&self.cx, &self.as_request(), &answer).await;
                    return answer.err().map(Err);
                }
                Some(Ok(ListEvent::Objects(objects))) => self.page(objects),
                Some(Ok(ListEvent::End(end))) => self.end(end).await,
            }
        }
    }

    fn as_request(&self) -> Request {
        Request::List(self.request.clone())
    }

    async fn begin(&mut self) -> Result<()> {
        let request = self.as_request();
        let turn = self.shared.begin(&self.cx, &request).await?;
        self.shared.sending(&self.cx, &request).await;
        if let Some((rule, fault, then)) = self.shared.stale_since(&turn) {
            let class = match self.request.filter {
                Some(_) => {
                    let discovery = self.shared.inner.discover(&self.cx).await?;
                    discovery.schema.class(&self.request.class).cloned()
                }
                None => None,
            };
            let former = self.shared.state().past.all_at(&self.request.class, then);
            self.stale = Some(Stale { rule, fault, former, class, acted: false });
        }
        self.turn = Some(turn);
        Ok(())
    }

    /// Lets the faults act on a page.
    fn page(&mut self, objects: Vec<Object>) {
        let Some(turn) = self.turn.take() else { return };
        let number = self.pages;
        self.pages += 1;
        let mut objects = self.former(objects);
        let before = self.objects;
        self.objects += objects.len() as u64;
        let (mut last, mut twice) = (None, false);
        for (rule, fault) in &turn.faults {
            let (after, end) = match fault {
                Fault::PageError(at) if *at == number => {
                    let message = format!("page {number} cannot be read");
                    self.stop(&turn, *rule, fault, Some(Err(refused(ErrorKind::Unavailable, message))));
                    self.turn = Some(turn);
                    return;
                }
                Fault::RepeatToken if number == 1 => {
                    let error = refused(ErrorKind::Unexpected, "the target repeated a page token");
                    self.stop(&turn, *rule, fault, Some(Err(error)));
                    self.turn = Some(turn);
                    return;
                }
                Fault::RepeatPage(at) if *at == number && !objects.is_empty() => {
                    self.shared.note(&turn, *rule, fault.clone());
                    twice = true;
                    continue;
                }
                Fault::Hide => (0, Some(whole())),
                Fault::HideAfter(after) => (*after, Some(whole())),
                Fault::Truncate(after) => (*after, Some(cut())),
                Fault::Break(after) => (*after, None),
                _ => continue,
            };
            let room = after.saturating_sub(before);
            if objects.len() as u64 > room {
                objects.truncate(usize::try_from(room).unwrap_or(usize::MAX));
                last = Some((*rule, fault.clone(), end));
            }
        }
        if twice {
            self.queue.push_back(Ok(ListEvent::Objects(objects.clone())));
        }
        self.queue.push_back(Ok(ListEvent::Objects(objects)));
        if let Some((rule, fault, end)) = last {
            self.stop(&turn, rule, &fault, end.map(|end| Ok(ListEvent::End(end))));
        }
        self.turn = Some(turn);
    }

    /// Ends the listing here, with that event or without any.
    fn stop(&mut self, turn: &Turn, rule: usize, fault: &Fault, event: Option<Result<ListEvent>>) {
        self.shared.note(turn, rule, fault.clone());
        self.inner = None;
        self.queue.extend(event);
    }

    /// The objects of a page as they looked earlier.
    fn former(&mut self, objects: Vec<Object>) -> Vec<Object> {
        let Some(stale) = &mut self.stale else { return objects };
        let mut shown = Vec::with_capacity(objects.len());
        for object in objects {
            match stale.former.remove(&object.key.id) {
                None => shown.push(object),
                Some(state) => {
                    stale.acted = true;
                    shown.extend(state.and_then(|state| wanted(&self.request, stale.class.as_ref(), state)));
                }
            }
        }
        shown
    }

    async fn end(&mut self, end: Completeness) {
        self.inner = None;
        let request = self.as_request();
        let Some(turn) = self.turn.take() else { return };
        if let Some(stale) = self.stale.take() {
            let gone = stale.former.into_values().flatten();
            let gone = gone.filter_map(|state| wanted(&self.request, stale.class.as_ref(), state));
            let gone = gone.collect::<Vec<_>>();
            if stale.acted || !gone.is_empty() {
                self.shared.note(&turn, stale.rule, stale.fault);
            }
            if !gone.is_empty() {
                self.queue.push_back(Ok(ListEvent::Objects(gone)));
            }
        }
        let answer = Ok(Answer::Listed(end.clone()));
        self.shared.answered(&self.cx, &request, &answer).await;
        let answer = self.shared.way_back(&self.cx, &turn, answer).await;
        self.queue.push_back(answer.map(|_| ListEvent::End(end)));
        self.turn = Some(turn);
    }
}

fn whole() -> Completeness {
    Completeness::Complete { proof: "last page reached".to_owned() }
}

fn cut() -> Completeness {
    Completeness::Partial { reason: "the target stopped in the middle".to_owned() }
}

/// The object as the listing would have shown it.
fn wanted(request: &ListRequest, class: Option<&ObjectClass>, mut object: Object) -> Option<Object> {
    if let Some(filter) = &request.filter {
        class.filter(|class| filter.matches(class, &object.attributes))?;
    }
    if let Some(asked) = &request.attributes {
        let slots = object.attributes.iter().filter(|(name, _)| asked.contains(*name));
        object.attributes = slots.map(|(name, slot)| (name.clone(), slot.clone())).collect();
    }
    Some(object)
}
