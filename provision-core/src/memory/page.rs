//! Listings: pages by number of the object, so that objects deleted meanwhile do not disturb.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::StreamExt;

use super::Operation;
use super::content::{Content, Stored};
use super::fault::{About, Fault};
use super::target::{Target, Turn, lock, refuse};
use crate::connector::{
    Completeness, Context, ListEvent, ListRequest, Listing, Object, Page, PageSource, paged,
};
use crate::error::{ErrorKind, Result};
use crate::filter::{Comparison, Filter};
use crate::schema::ObjectClass;
use crate::value::{AttrName, Value};

/// Reads a listing page by page.
pub(super) struct Pages {
    target: Arc<Target>,
    cx: Context,
    request: ListRequest,
    attributes: Option<BTreeSet<AttrName>>,
    progress: Arc<Mutex<Progress>>,
}

/// How far a listing is, and what its faults ask for.
#[derive(Debug, Default)]
struct Progress {
    turn: Option<Turn>,
    pages: u64,
    objects: u64,
    /// The listing ends here, early, and so.
    cut: Option<Cut>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Partial,
    Silent,
}

impl Pages {
    pub(super) fn listing(
        target: &Arc<Target>,
        cx: Context,
        request: ListRequest,
        attributes: Option<BTreeSet<AttrName>>,
    ) -> Listing {
        let progress = Arc::new(Mutex::new(Progress::default()));
        let pages =
            Self { target: Arc::clone(target), cx, request, attributes, progress: Arc::clone(&progress) };
        Box::pin(paged(pages).filter_map(move |event| {
            let event = match (event, lock(&progress).cut) {
                (Ok(ListEvent::End(_)), Some(Cut::Silent)) => None,
                (Ok(ListEvent::End(_)), Some(Cut::Partial)) => {
                    Some(Ok(ListEvent::End(Completeness::Partial {
                        reason: "the target stopped in the middle".to_owned(),
                    })))
                }
                (event, _) => Some(event),
            };
            std::future::ready(event)
        }))
    }

    async fn begin(&self) -> Result<()> {
        if lock(&self.progress).turn.is_some() {
            return Ok(());
        }
        let about = About {
            operation: Operation::List,
            class: Some(&self.request.class),
            key: None,
            attributes: None,
        };
        let turn = self.target.begin(&self.cx, about).await?;
        lock(&self.progress).turn = Some(turn);
        Ok(())
    }

    /// The objects after `after`, at most a page, and where the next page starts.
    fn read(&self, content: &Content, after: u64) -> Result<Page<u64>> {
        let size = self.request.page_size.clamp(1, self.target.config.page_size_max) as usize;
        let class = self.target.class(&self.request.class)?;
        let mut objects = Vec::new();
        let mut next = None;
        let Some(shelf) = content.shelves.get(&self.request.class) else {
            return Ok(Page { objects, next, total: None });
        };
        let from = after.saturating_add(1);
        let chosen =
            self.request.filter.as_ref().and_then(|filter| candidates(class, content, &self.request, filter));
        let rest: Box<dyn Iterator<Item = &Stored>> = match &chosen {
            Some(numbers) => Box::new(numbers.range(from..).filter_map(|number| shelf.objects.get(number))),
            None => Box::new(shelf.objects.range(from..).map(|(_, stored)| stored)),
        };
        let asked = self.attributes.as_ref();
        let members = self.request.filter.is_some() || asked.is_some_and(|asked| asked.contains("member"));
        let mut last = after;
        for stored in rest {
            let object = self.target.view(content, &self.request.class, stored, members);
            let wanted =
                self.request.filter.as_ref().is_none_or(|filter| filter.matches(class, &object.attributes));
            if !wanted {
                continue;
            }
            if objects.len() < size {
                last = stored.number;
                objects.push(self.only_asked(object));
            } else {
                next = Some(last);
                break;
            }
        }
        Ok(Page { objects, next, total: self.total(content, class) })
    }

    /// How many objects there are in all, where the target tells.
    fn total(&self, content: &Content, class: &ObjectClass) -> Option<u64> {
        let shelf = content.shelves.get(&self.request.class)?;
        if !content.classes.get(&self.request.class)?.totals {
            return None;
        }
        let counts = |stored: &&Stored| match &self.request.filter {
            None => true,
            Some(filter) => {
                let object = self.target.view(content, &self.request.class, stored, true);
                filter.matches(class, &object.attributes)
            }
        };
        Some(shelf.objects.values().filter(counts).count() as u64)
    }

    fn only_asked(&self, mut object: Object) -> Object {
        object.attributes = match &self.attributes {
            None => {
                object.attributes.remove("member");
                object.attributes
            }
            Some(asked) => {
                let slots = object.attributes.iter().filter(|(name, _)| asked.contains(*name));
                slots.map(|(name, slot)| (name.clone(), slot.clone())).collect()
            }
        };
        object
    }

    /// Lets the faults of the listing act on a page.
    fn spoil(&self, page: &mut Page<u64>) -> Result<()> {
        let mut progress = lock(&self.progress);
        let before = progress.objects;
        let number = progress.pages;
        progress.pages += 1;
        progress.objects += page.objects.len() as u64;
        let faults = progress.turn.as_ref().map(|turn| turn.faults.clone()).unwrap_or_default();
        for fault in faults {
            let (after, cut) = match fault {
                Fault::PageError(at) if at == number => {
                    return Err(refuse(ErrorKind::Unavailable, format!("page {number} cannot be read")));
                }
                Fault::RepeatToken if page.next.is_some() => {
                    page.next = Some(0);
                    continue;
                }
                Fault::Hide => (0, None),
                Fault::HideAfter(after) => (after, None),
                Fault::Truncate(after) => (after, Some(Cut::Partial)),
                Fault::Break(after) => (after, Some(Cut::Silent)),
                _ => continue,
            };
            let room = after.saturating_sub(before);
            let here = page.objects.len() as u64;
            if here > room || (here == room && page.next.is_some()) {
                page.objects.truncate(usize::try_from(room).unwrap_or(usize::MAX));
                page.next = None;
                page.total = None;
                progress.cut = cut;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl PageSource for Pages {
    type Token = u64;

    async fn page(&self, token: Option<&u64>) -> Result<Page<u64>> {
        self.begin().await?;
        self.target.in_time(&self.cx)?;
        let mut page = {
            let content = self.target.content()?;
            self.read(&content, token.copied().unwrap_or(0))?
        };
        self.spoil(&mut page)?;
        Ok(page)
    }
}

/// A superset of the matching objects, by an index; `None`: all must be looked at.
fn candidates(
    class: &ObjectClass,
    content: &Content,
    request: &ListRequest,
    filter: &Filter,
) -> Option<BTreeSet<u64>> {
    match filter {
        Filter::All(parts) => parts.iter().find_map(|part| candidates(class, content, request, part)),
        Filter::Compare(path, comparison, Value::Text(text)) if path.sub.is_none() => {
            let (name, schema) = class.attribute(path.attribute.as_str())?;
            if !content.classes.get(&request.class)?.indexed.contains(name) {
                return None;
            }
            let shelf = content.shelves.get(&request.class)?;
            let folded = schema.case.fold(text);
            match comparison {
                Comparison::Equal => Some(shelf.holders(name.as_str(), &folded).collect()),
                Comparison::StartsWith => Some(shelf.starting(name.as_str(), &folded)),
                _ => None,
            }
        }
        _ => None,
    }
}
