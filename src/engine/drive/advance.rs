//! Carries one table's scan forward, page by page. The next page is read while one is written. The
//! scan may stop for good after any commit, and loses nothing. A page that is too large, or that
//! conflicts with another transaction, is retried with fewer rows; one whose unique values rows
//! behind it hold, with more. The parents that its rows lack are written before it; those that the
//! pages before lacked, too, are read with the page.

use std::time::{Duration, SystemTime};

use super::parent_page::ParentPage;
use super::transfer::{MovedTo, RowCounts, Transfer};
use crate::engine::model::checkpoint::{Reached, Scan};
use crate::engine::model::fault::Fault;
use crate::engine::model::page::{Page, PageLimit};
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::run::Tally;
use crate::engine::model::shape::Shape;
use crate::engine::plan::pace::{Pace, SHRINK};
use crate::engine::plan::parents::{Foreseen, Foresight};
use crate::engine::plan::window;
use crate::engine::ports::{Attempt, Batch, Committed, ReadPage, Saved};

/// The context of carrying a scan forward.
#[derive(Clone, Copy)]
pub struct Advance<'a> {
    /// Moves the parents that rows lack, with the sides that a scan works between.
    pub transfer: Transfer<'a>,
    /// The pipeline's limits.
    pub pipeline: &'a Pipeline,
}

/// The rows that were saved of a scan, and the rest of it.
#[derive(Debug)]
pub struct ScanProgress {
    /// The counts of the saved rows.
    pub tally: Tally,
    /// The number of the table's rejected rows now; none if no page was saved.
    pub rejects: Option<u64>,
    /// The parents that were brought along.
    pub brought: RowCounts,
    /// The rest of the scan, none if it is done; or the fault that stopped it.
    pub rest: Result<Option<Scan>, Fault>,
}

impl ScanProgress {
    /// Adds a page, and emits an event, which the terminal draws its progress from.
    fn add(&mut self, shape: &Shape, saved: &Committed) {
        self.tally += saved.tally;
        self.rejects = Some(saved.rejects);
        tracing::debug!(
            target: "syncline::progress",
            table = %shape.table,
            rows = self.tally.read(),
            expected = shape.estimated_rows,
            "Committed a page"
        );
    }
}

impl Advance<'_> {
    /// Reads and writes pages until the scan is done or the budget is used up. The first scan of a
    /// slice, `is_first`, does one page whatever the budget: a budget smaller than a page would
    /// otherwise never move a row.
    pub async fn table(
        &self,
        shape: &Shape,
        reached: &Reached,
        scan: Scan,
        is_first: bool,
    ) -> ScanProgress {
        let (tally, brought) = (Tally::default(), RowCounts::default());
        let mut progress = ScanProgress { tally, rejects: None, brought, rest: Ok(None) };
        progress.rest = match is_first || self.fits(Duration::ZERO) {
            true => self.pages(shape, reached, scan, &mut progress).await,
            false => Ok(Some(scan)),
        };
        progress
    }

    /// Reads and writes pages, adds their counts to the progress, and returns the rest of the scan.
    async fn pages(
        &self,
        shape: &Shape,
        reached: &Reached,
        mut scan: Scan,
        progress: &mut ScanProgress,
    ) -> Result<Option<Scan>, Fault> {
        let mut slowest = Duration::ZERO;
        let mut pace = Pace::first(self.pipeline.page_rows, shape.encoding);
        let mut foresight = Foresight::default();
        let mut start = self.now();
        let mut page = self.read_patiently(shape, &scan, &mut pace).await?;
        let mut parents = None;
        if self.is_loaded_whole(shape, &scan, &page) {
            let load = Box::pin(self.load_whole(shape, reached, &scan, page, pace));
            if let Some(saved) = load.await? {
                progress.add(shape, &saved);
                return Ok(None);
            }
            // The time of the load is none of a page.
            start = self.now();
            page = self.read_patiently(shape, &scan, &mut pace).await?;
        }
        loop {
            let rest = window::after_page(&scan, &page);
            let (limit, widest) = (pace.limit(), pace.widest());
            pace.read(&page);
            let checkpoint = window::checkpoint(shape, reached, &scan, rest.as_ref());
            let (run, fresh) = (self.transfer.run, scan.fresh);
            let batch = Batch { run, shape, page: &page, checkpoint: &checkpoint, fresh };
            let can_widen = !page.complete && limit != widest;
            let foreseen = foresight.foreseen().first().cloned();
            let read_next = self.read_next(shape, rest.as_ref(), pace.limit(), foreseen);
            // If the budget ends here, the next page was read for nothing. That costs one read.
            let brought = &mut progress.brought;
            let save =
                Box::pin(self.save(&batch, can_widen, parents.take(), brought, &mut foresight));
            let (saved, next) = tokio::join!(save, read_next);
            let committed = match saved {
                Ok(PageEnd::Saved(committed)) => committed,
                Ok(PageEnd::Budget) => return Ok(Some(scan)),
                Ok(PageEnd::TooSmall) => {
                    pace.back_to(widest);
                    page = self.read_patiently(shape, &scan, &mut pace).await?;
                    continue;
                }
                Err(fault) => {
                    pace.back_to(limit);
                    let failure = FailedPage { fault, rows: Some(page.rows), start };
                    start = self.now();
                    page = self.read_smaller(shape, &scan, &mut pace, failure).await?;
                    continue;
                }
            };
            progress.add(shape, &committed);
            slowest = slowest.max(elapsed(start, self.now()));
            let (Some(mut rest), Some(next)) = (rest, next) else { return Ok(None) };
            rest.fresh = rest.fresh && committed.straight;
            if !self.fits(slowest) {
                return Ok(Some(rest));
            }
            pace.saved();
            scan = rest;
            page = match next {
                Ok((next, parents_of_next)) => {
                    parents = parents_of_next;
                    next
                }
                Err(fault) => {
                    let failure = FailedPage::unread(fault, start);
                    self.read_smaller(shape, &scan, &mut pace, failure).await?
                }
            };
            start = self.now();
        }
    }

    /// Reads the next page, if there is one, and its parents by a foreign key that the pages before
    /// lacked parents by.
    async fn read_next(
        &self,
        shape: &Shape,
        rest: Option<&Scan>,
        limit: PageLimit,
        foreseen: Option<Foreseen>,
    ) -> Option<Result<(Page, Option<ParentPage>), Fault>> {
        let scan = rest?;
        let page = match self.read(shape, scan, limit).await {
            Ok(page) => page,
            Err(fault) => return Some(Err(fault)),
        };
        let limit = PageLimit { rows: u32::try_from(page.rows).unwrap_or(u32::MAX), ..limit };
        let read = ReadPage { shape, scan, overlap: self.pipeline.overlap, limit };
        let parents = match foreseen.filter(|_| page.rows > 0) {
            Some(foreseen) => self.transfer.parents_of_page(read, foreseen).await,
            None => None,
        };
        Some(Ok((page, parents)))
    }

    /// Saves a page, after the parents that its rows lack. Rows that still wait for another row
    /// are rejected, and retried at the end of the run.
    async fn save(
        &self,
        batch: &Batch<'_>,
        can_widen: bool,
        parents: Option<ParentPage>,
        brought: &mut RowCounts,
        foresight: &mut Foresight,
    ) -> Result<PageEnd, Fault> {
        let Transfer { source, target, lease, .. } = self.transfer;
        let Batch { shape, page, .. } = *batch;
        if self.bring_foreseen(shape, page, parents, brought, foresight).await? == MovedTo::Budget {
            return Ok(PageEnd::Budget);
        }
        let mut hopeless = Vec::new();
        match target.attempt(lease, Attempt::Batch(batch)).await? {
            Saved::All(committed) => return Ok(PageEnd::Saved(committed)),
            Saved::LackHolders if can_widen => return Ok(PageEnd::TooSmall),
            Saved::LackHolders => {}
            Saved::LackParents(orphans) => {
                for lacking in &orphans {
                    let rows = lacking.keys.len();
                    foresight.lacked(&shape.table, &lacking.reference, rows, page.rows);
                }
                let keys = source.keys(shape, page)?;
                let help = Box::pin(self.transfer.help(shape, &keys, orphans, None, brought));
                match help.await? {
                    (MovedTo::End, rows) => hopeless = rows,
                    (MovedTo::Budget, _) => return Ok(PageEnd::Budget),
                }
            }
        }
        let committed = target.commit(lease, batch).await?;
        if committed.tally.rejected > 0 {
            self.transfer.related.add_hopeless(&shape.table, hopeless);
        }
        Ok(PageEnd::Saved(committed))
    }

    /// Brings the parents of a page by those foreign keys that the pages before lacked most by.
    async fn bring_foreseen(
        &self,
        shape: &Shape,
        page: &Page,
        mut parents: Option<ParentPage>,
        brought: &mut RowCounts,
        foresight: &mut Foresight,
    ) -> Result<MovedTo, Fault> {
        let all = foresight.foreseen().to_vec();
        if page.rows == 0 {
            return Ok(MovedTo::End);
        }
        for Foreseen { reference, .. } in &all {
            let before = brought.tally(&reference.parent);
            let is_of_reference = |parents: &mut ParentPage| parents.reference == *reference;
            let ended = match parents.take_if(is_of_reference) {
                Some(parents) => self.transfer.write_parents(parents, brought).await?,
                None => {
                    let keys = self.transfer.source.keys(shape, page)?;
                    self.transfer.parents(shape, reference, &keys, &keys, None, brought).await?
                }
            };
            if ended == MovedTo::Budget {
                return Ok(MovedTo::Budget);
            }
            let after = brought.tally(&reference.parent);
            let (read, new) = (after.read() - before.read(), after.inserted - before.inserted);
            foresight.brought(reference, read, new);
        }
        Ok(MovedTo::End)
    }

    pub(super) fn now(&self) -> SystemTime {
        self.transfer.clock.now()
    }

    pub(super) fn fits(&self, slowest: Duration) -> bool {
        self.transfer.budget.allows(self.now(), slowest)
    }

    /// Reads a page, or a smaller one where that fails.
    async fn read_patiently(
        &self,
        shape: &Shape,
        scan: &Scan,
        pace: &mut Pace,
    ) -> Result<Page, Fault> {
        let start = self.now();
        match self.read(shape, scan, pace.limit()).await {
            Ok(page) => Ok(page),
            Err(fault) => {
                self.read_smaller(shape, scan, pace, FailedPage::unread(fault, start)).await
            }
        }
    }

    /// Reads a page that failed again, with fewer rows each time, until the read succeeds. Gives up
    /// with the fault if fewer rows would not help, or the budget has no time for another attempt.
    async fn read_smaller(
        &self,
        shape: &Shape,
        scan: &Scan,
        pace: &mut Pace,
        mut failure: FailedPage,
    ) -> Result<Page, Fault> {
        loop {
            let FailedPage { fault, rows, start } = failure;
            let duration = elapsed(start, self.now());
            let pause = match pace.failed(&fault, rows) {
                Some(pause) if self.fits(duration / SHRINK) => pause,
                _ => return Err(fault),
            };
            tracing::warn!(
                table = %shape.table,
                code = fault.code.name(),
                rows = pace.limit().rows,
                "Tries a page of {} again with {} rows", shape.table, pace.limit().rows
            );
            self.transfer.clock.sleep(pause).await;
            let start = self.now();
            match self.read(shape, scan, pace.limit()).await {
                Ok(page) => return Ok(page),
                Err(fault) => failure = FailedPage::unread(fault, start),
            }
        }
    }

    pub(super) async fn read(
        &self,
        shape: &Shape,
        scan: &Scan,
        limit: PageLimit,
    ) -> Result<Page, Fault> {
        let overlap = self.pipeline.overlap;
        self.transfer.source.read(&ReadPage { shape, scan, overlap, limit }).await
    }
}

/// The end that a page came to.
enum PageEnd {
    /// It is saved.
    Saved(Committed),
    /// It is not saved: rows behind it hold unique values of its rows.
    TooSmall,
    /// It is not saved: the budget ended while its parents were brought.
    Budget,
}

/// A page that could not be read or written.
struct FailedPage {
    fault: Fault,
    /// The number of the page's rows; none if the page was not read.
    rows: Option<u64>,
    start: SystemTime,
}

impl FailedPage {
    fn unread(fault: Fault, start: SystemTime) -> Self {
        Self { fault, rows: None, start }
    }
}

fn elapsed(start: SystemTime, end: SystemTime) -> Duration {
    end.duration_since(start).unwrap_or_default()
}
