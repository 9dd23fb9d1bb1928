//! Certified listings: a stream of pages that ends in a completeness proof, and the guard that keeps pages honest.

use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;

use async_trait::async_trait;
use futures_core::Stream;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::Object;
use crate::error::{Error, ErrorKind, Result};

/// Whether a listing was whole. Absence counts only after `Complete`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Completeness {
    /// Everything was read; `proof` says how that is known ("last page reached", "server count 512").
    Complete {
        /// How it is known.
        proof: String,
    },
    /// Something is missing or may be.
    Partial {
        /// Why.
        reason: String,
    },
}

impl Completeness {
    /// True for a complete listing.
    pub fn is_complete(&self) -> bool {
        matches!(self, Self::Complete { .. })
    }
}

/// What a listing yields. The last event is `End`; a stream that stops without it is partial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListEvent {
    /// Some objects.
    Objects(Vec<Object>),
    /// The end, and what it proves.
    End(Completeness),
}

/// A stream of [`ListEvent`]s. Dropping it releases what it holds (C-4.4).
pub type Listing = Pin<Box<dyn Stream<Item = Result<ListEvent>> + Send>>;

/// One page of a target.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The objects.
    pub objects: Vec<Object>,
    /// Where the next page starts; `None`: this was the last.
    pub next: Option<T>,
    /// How many objects the target says there are in all, where it says so.
    pub total: Option<u64>,
}

/// Reads one page; [`paged`] makes a guarded listing of it.
#[async_trait]
pub trait PageSource: Send + Sync + 'static {
    /// Where a page starts.
    type Token: Hash + Eq + Clone + Send + Sync + fmt::Debug;

    /// Reads the page at `token`; the first has none.
    async fn page(&self, token: Option<&Self::Token>) -> Result<Page<Self::Token>>;
}

/// Most pages a listing may have.
const PAGES_MAX: u64 = 10_000_000;

struct Paging<S: PageSource> {
    source: S,
    token: Option<S::Token>,
    seen_tokens: HashSet<u64>,
    pages: u64,
    objects: u64,
    ended: bool,
    queued: Option<ListEvent>,
}

/// A listing over pages. A page token that comes back is an error, not a loop (C-4.2); a total that the target
/// declares and does not deliver ends as `Partial`.
pub fn paged<S: PageSource>(source: S) -> Listing {
    let paging = Paging {
        source,
        token: None,
        seen_tokens: HashSet::new(),
        pages: 0,
        objects: 0,
        ended: false,
        queued: None,
    };
    Box::pin(futures_util::stream::unfold(paging, |mut paging| async move {
        if let Some(event) = paging.queued.take() {
            paging.ended = true;
            return Some((Ok(event), paging));
        }
        if paging.ended {
            return None;
        }
        let event = next_event(&mut paging).await;
        if event.is_err() {
            paging.ended = true;
        }
        Some((event, paging))
    }))
}

async fn next_event<S: PageSource>(paging: &mut Paging<S>) -> Result<ListEvent> {
    let page = paging.source.page(paging.token.as_ref()).await?;
    paging.pages += 1;
    paging.objects += page.objects.len() as u64;
    match page.next {
        None => {
            let end = match page.total {
                Some(total) if total != paging.objects => Completeness::Partial {
                    reason: format!("the target counts {total} objects and delivered {}", paging.objects),
                },
                Some(total) => {
                    Completeness::Complete { proof: format!("last page reached, {total} of {total} objects") }
                }
                None => Completeness::Complete { proof: "last page reached".to_owned() },
            };
            paging.queued = Some(ListEvent::End(end));
        }
        Some(token) => {
            let mut hasher = DefaultHasher::new();
            token.hash(&mut hasher);
            if !paging.seen_tokens.insert(hasher.finish()) {
                return Err(Error::new(ErrorKind::Unexpected, "the target repeated a page token")
                    .with_context("token", format!("{token:?}"))
                    .with_effect(crate::Effect::None));
            }
            if paging.pages >= PAGES_MAX {
                return Err(Error::new(ErrorKind::Unexpected, format!("more than {PAGES_MAX} pages")));
            }
            paging.token = Some(token);
        }
    }
    Ok(ListEvent::Objects(page.objects))
}

/// Reads a listing to its end, at most `limit` objects. For lookups and tests; population reads stream.
///
/// An error in mid-stream is an error: what came before it is not returned.
pub async fn collect(mut listing: Listing, limit: usize) -> Result<(Vec<Object>, Completeness)> {
    let mut objects = Vec::new();
    while let Some(event) = listing.next().await {
        match event? {
            ListEvent::Objects(page) => objects.extend(page),
            ListEvent::End(completeness) => return Ok((objects, completeness)),
        }
        if objects.len() > limit {
            return Ok((objects, Completeness::Partial { reason: format!("stopped after {limit} objects") }));
        }
    }
    Ok((
        objects,
        Completeness::Partial { reason: "the listing stopped without saying that it is whole".to_owned() },
    ))
}
