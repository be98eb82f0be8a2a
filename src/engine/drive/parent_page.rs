//! Reads the parents of a page while the page before it is written. Then the source works while the
//! target does, and neither is sent the keys of the page's rows.

use std::sync::Arc;

use super::transfer::{Help, MovedTo, RowCounts, Transfer};
use crate::engine::model::facts::Reference;
use crate::engine::model::fault::Fault;
use crate::engine::model::page::Page;
use crate::engine::model::shape::Shape;
use crate::engine::plan::parents::Foreseen;
use crate::engine::ports::{FetchPageParents, ReadPage};

/// The parents of a page by one foreign key.
pub struct ParentPage {
    /// The foreign key.
    pub reference: Reference,
    shape: Arc<Shape>,
    page: Page,
    /// The target most likely has none of them.
    fresh: bool,
}

impl Transfer<'_> {
    /// Reads the parents of a page that was just read, by a limit of as many rows. None where they
    /// are brought in another way: rows of a circle go in together, and parents that do not fit one
    /// page are read by their children's keys. A fault comes again there.
    pub(super) async fn parents_of_page(
        &self,
        page: ReadPage<'_>,
        foreseen: Foreseen,
    ) -> Option<ParentPage> {
        let Foreseen { reference, all_new } = foreseen;
        let child = &page.shape.table;
        if self.related.references(child, child).contains(&reference) {
            return None;
        }
        let shape = self.related.shape(&reference.parent).await.ok()??;
        let Reference { referenced, columns, .. } = &reference;
        let fetch = FetchPageParents { parent: &shape, referenced, page, columns };
        let page = self.source.parents_of_page(&fetch).await.ok()??;
        Some(ParentPage { reference, shape, page, fresh: all_new })
    }

    /// Writes the parents of a page.
    pub(super) async fn write_parents(
        &self,
        parents: ParentPage,
        brought: &mut RowCounts,
    ) -> Result<MovedTo, Fault> {
        let ParentPage { shape, page, fresh, .. } = parents;
        match page.rows {
            0 => Ok(MovedTo::End),
            _ => self.page(&shape, page, &[], Help::Parents(None), fresh, brought).await,
        }
    }
}
