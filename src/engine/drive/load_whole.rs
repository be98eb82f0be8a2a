//! Loads a table whose rows point to one another in one transaction: a tree, a chain. In whatever
//! order its rows are read, most of a page's parents come in later pages, and none has to be looked
//! for where all of them go in together.
//!
//! That is done for tables of some pages alone, since nothing of it is saved before its end. What
//! does not go in like that is loaded page by page, parents first: a statement that takes too long,
//! a lock, or a connection that is lost may concern the large transaction alone, and a table whose
//! run ends with it would end so in each run.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::mpsc::{self, Sender};

use super::advance::Advance;
use crate::engine::model::checkpoint::{Reached, Scan};
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::page::Page;
use crate::engine::model::shape::Shape;
use crate::engine::plan::pace::Pace;
use crate::engine::plan::window;
use crate::engine::ports::{Committed, Load, LoadPage};

/// The most bytes of such a table.
const MOST_BYTES: u64 = 64 << 20;

/// The most time that such a load may take: no page of it renews the lease, and who else takes it
/// undoes all of the load.
const MOST_TIME: Duration = Duration::from_secs(60);

/// The part of the time that is left which such a load may take. The rest is for loading the table
/// page by page.
const PART_OF_TIME: u32 = 3;

impl Advance<'_> {
    /// Says whether a table is to be loaded in one transaction, by its first page.
    pub(super) fn is_loaded_whole(&self, shape: &Shape, scan: &Scan, page: &Page) -> bool {
        let is_first = scan.fresh && scan.after.is_none();
        let points_to_itself = || {
            let references = self.transfer.related.references(&shape.table, &shape.table);
            references.iter().any(|reference| reference.parent == shape.table)
        };
        let bytes = page.bytes.len() as u64 * shape.estimated_rows / page.rows.max(1);
        is_first && !page.complete && bytes <= MOST_BYTES && points_to_itself()
    }

    /// Loads a table, beginning with its first page. None where nothing was saved.
    pub(super) async fn load_whole(
        &self,
        shape: &Shape,
        reached: &Reached,
        scan: &Scan,
        first: Page,
        pace: Pace,
    ) -> Result<Option<Committed>, Fault> {
        let left = self.transfer.budget.left(self.now()).map(|left| left / PART_OF_TIME);
        let time = left.unwrap_or(MOST_TIME).min(MOST_TIME);
        let load = Load { run: self.transfer.run, shape, time };
        let (sender, pages) = mpsc::channel(1);
        let read = pin!(self.read_all(shape, reached, scan.clone(), first, pace, sender));
        let mut load = pin!(self.transfer.target.load(self.transfer.lease, &load, pages));
        // A load that gives up waits for no page that is being read.
        let loaded = tokio::select! {
            loaded = &mut load => loaded,
            () = read => load.await,
        };
        match loaded {
            Err(fault) if fault.code != FaultCode::LeaseLost => {
                let (table, code) = (&shape.table, fault.code.name());
                tracing::warn!(%table, code, "Loads {table} page by page");
                Ok(None)
            }
            loaded => loaded,
        }
    }

    /// Reads all pages. It ends early where they become too many, or take a third of the time that
    /// there is.
    async fn read_all(
        &self,
        shape: &Shape,
        reached: &Reached,
        mut scan: Scan,
        mut page: Page,
        mut pace: Pace,
        sender: Sender<LoadPage>,
    ) {
        let (start, mut bytes) = (self.now(), 0);
        loop {
            let rest = window::after_page(&scan, &page);
            let checkpoint = window::checkpoint(shape, reached, &scan, rest.as_ref());
            pace.read(&page);
            bytes += page.bytes.len() as u64;
            let took = self.now().duration_since(start).unwrap_or_default();
            if bytes > MOST_BYTES || !self.fits(took) {
                return;
            }
            let is_last = rest.is_none();
            if sender.send(LoadPage { page, checkpoint, is_last }).await.is_err() {
                return;
            }
            let Some(rest) = rest else { return };
            // The page is written from now on: one is read while one is written.
            if sender.reserve().await.is_err() {
                return;
            }
            match self.read(shape, &rest, pace.limit()).await {
                Ok(next) => page = next,
                // The fault comes again when the pages are loaded one by one.
                Err(_) => return,
            }
            scan = rest;
        }
    }
}
