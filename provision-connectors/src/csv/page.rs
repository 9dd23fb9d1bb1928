//! Pages of the table.

use std::sync::Arc;

use async_trait::async_trait;
use provision_core::connector::{Context, ListRequest, Object, Page, PageSource};
use provision_core::filter::{Comparison, Filter};
use provision_core::value::{Attributes, Slot};
use provision_core::{Effect, Result};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use super::desk::Desk;
use super::error;
use super::schema::{PAGE_MAX, Shape};
use super::table::{Row, Table};

/// Rows looked at for one page, so that a filter that fits nothing does not hold its thread.
const LOOKED_MAX: usize = 10_000;

/// Reads pages of the table as it was at the first one: rows written meanwhile are not in it.
#[derive(Debug)]
pub(super) struct TablePages {
    pub(super) desk: Arc<Desk>,
    pub(super) cx: Context,
    pub(super) request: ListRequest,
    pub(super) table: OnceCell<Arc<Table>>,
}

#[async_trait]
impl PageSource for TablePages {
    type Token = u64;

    async fn page(&self, token: Option<&u64>) -> Result<Page<u64>> {
        let read = || async {
            let desk = Arc::clone(&self.desk);
            spawn_blocking(move || desk.table()).await.map_err(|_| error::stopped(Effect::None))?
        };
        self.desk.in_time(&self.cx)?;
        let table = self.table.get_or_try_init(read).await?;
        let (shape, filter) = (&self.desk.shape, self.request.filter.as_ref());
        if let Some(found) = filter.and_then(|filter| by_index(shape, table, filter)) {
            let objects = found.map(|row| self.object(row)).transpose()?.flatten();
            return Ok(Page { objects: objects.into_iter().collect(), next: None, total: None });
        }
        let size = self.request.page_size.clamp(1, PAGE_MAX) as usize;
        let mut objects = Vec::new();
        let mut last = None;
        let mut rows = table.after(token.copied()).peekable();
        for _ in 0..LOOKED_MAX {
            if objects.len() == size {
                break;
            }
            let Some((position, row)) = rows.next() else { break };
            objects.extend(self.object(row)?);
            last = Some(position);
        }
        let next = if rows.peek().is_some() { last } else { None };
        Ok(Page { objects, next, total: filter.is_none().then_some(table.len() as u64) })
    }
}

impl TablePages {
    /// The object of a row, with the attributes asked for; `None` when the filter leaves it out.
    fn object(&self, row: &Row) -> Result<Option<Object>> {
        let mut object = self.desk.shape.object_of(row)?;
        if let Some(filter) = &self.request.filter
            && !filter.matches(&self.desk.shape.class, &object.attributes)
        {
            return Ok(None);
        }
        if let Some(wanted) = &self.request.attributes {
            let kept = object.attributes.iter().filter(|(name, _)| wanted.contains(*name));
            object.attributes = kept.map(|(name, slot)| (name.clone(), slot.clone())).collect::<Attributes>();
        }
        Ok(Some(object))
    }
}

/// The only row that can satisfy the filter, by an equality on a unique column. The outer `None`: there is no such
/// equality, look at all rows.
fn by_index<'a>(shape: &Shape, table: &'a Table, filter: &Filter) -> Option<Option<&'a Row>> {
    match filter {
        Filter::All(parts) => parts.iter().find_map(|part| by_index(shape, table, part)),
        Filter::Compare(path, Comparison::Equal, value) if path.sub.is_none() => {
            let column = shape.attributes.iter().find(|column| column.name == path.attribute)?;
            let cell = shape.to_cell(column, Some(&Slot::Values(vec![value.clone()])));
            Some(table.find_unique(shape, column.index, &cell)?.map(|(_, row)| row))
        }
        _ => None,
    }
}
