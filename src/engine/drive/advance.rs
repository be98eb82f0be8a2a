//! Carries one table's scan forward, page by page. The next page is read while one is written. The
//! scan may stop for good after any commit, and loses nothing. A page that is too large, or that
//! conflicts with another transaction, is retried with fewer rows.

use std::time::{Duration, SystemTime};

use crate::engine::model::budget::Budget;
use crate::engine::model::checkpoint::{Reached, Scan};
use crate::engine::model::fault::Fault;
use crate::engine::model::lease::Lease;
use crate::engine::model::page::{Page, PageLimit};
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::run::{RunId, Tally};
use crate::engine::model::shape::Shape;
use crate::engine::plan::pace::{Pace, SHRINK};
use crate::engine::plan::window;
use crate::engine::ports::{Batch, Clock, ReadPage, Source, Target};

/// The context of carrying a scan forward.
#[derive(Clone, Copy)]
pub struct Advance<'a> {
    /// The side that rows come from.
    pub source: &'a dyn Source,
    /// The side that rows go to.
    pub target: &'a dyn Target,
    /// Measures pages against the budget.
    pub clock: &'a dyn Clock,
    /// The pipeline's limits.
    pub pipeline: &'a Pipeline,
    /// The right to save.
    pub lease: &'a Lease,
    /// The run that counts the rows.
    pub run: &'a RunId,
    /// The time there is.
    pub budget: &'a Budget,
}

/// The rows that were saved of a scan, and the rest of it.
#[derive(Debug)]
pub struct ScanProgress {
    /// The counts of the saved rows.
    pub tally: Tally,
    /// The number of the table's rejected rows now; none if no page was saved.
    pub rejects: Option<u64>,
    /// The rest of the scan, none if it is done; or the fault that stopped it.
    pub rest: Result<Option<Scan>, Fault>,
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
        let mut progress = ScanProgress { tally: Tally::default(), rejects: None, rest: Ok(None) };
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
        let mut start = self.clock.now();
        let mut page = match self.read(shape, &scan, pace.limit()).await {
            Ok(page) => page,
            Err(fault) => {
                self.read_smaller(shape, &scan, &mut pace, FailedPage::unread(fault, start)).await?
            }
        };
        loop {
            let rest = window::after_page(&scan, &page);
            let limit = pace.limit();
            pace.read(&page);
            let checkpoint = window::checkpoint(shape, reached, &scan, rest.as_ref());
            let (run, fresh) = (self.run, scan.fresh);
            let batch = Batch { run, shape, page: &page, checkpoint: &checkpoint, fresh };
            let read_next = async {
                match &rest {
                    Some(rest) => Some(self.read(shape, rest, pace.limit()).await),
                    None => None,
                }
            };
            // If the budget ends here, the next page was read for nothing. That costs one read.
            let (commit, next) = tokio::join!(self.target.commit(self.lease, &batch), read_next);
            let committed = match commit {
                Ok(committed) => committed,
                Err(fault) => {
                    pace.back_to(limit);
                    let failure = FailedPage { fault, rows: Some(page.rows), start };
                    start = self.clock.now();
                    page = self.read_smaller(shape, &scan, &mut pace, failure).await?;
                    continue;
                }
            };
            progress.tally += committed.tally;
            progress.rejects = Some(committed.rejects);
            self.log_page(shape, &progress.tally);
            slowest = slowest.max(elapsed(start, self.clock.now()));
            let (Some(mut rest), Some(next)) = (rest, next) else { return Ok(None) };
            rest.fresh = rest.fresh && committed.straight;
            if !self.fits(slowest) {
                return Ok(Some(rest));
            }
            pace.saved();
            scan = rest;
            page = match next {
                Ok(page) => page,
                Err(fault) => {
                    let failure = FailedPage::unread(fault, start);
                    self.read_smaller(shape, &scan, &mut pace, failure).await?
                }
            };
            start = self.clock.now();
        }
    }

    fn fits(&self, slowest: Duration) -> bool {
        self.budget.allows(self.clock.now(), slowest)
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
            let duration = elapsed(start, self.clock.now());
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
            self.clock.sleep(pause).await;
            let start = self.clock.now();
            match self.read(shape, scan, pace.limit()).await {
                Ok(page) => return Ok(page),
                Err(fault) => failure = FailedPage::unread(fault, start),
            }
        }
    }

    async fn read(&self, shape: &Shape, scan: &Scan, limit: PageLimit) -> Result<Page, Fault> {
        let overlap = self.pipeline.overlap;
        self.source.read(&ReadPage { shape, scan, overlap, limit }).await
    }

    /// Emits an event for each page, which the terminal draws its progress from.
    fn log_page(&self, shape: &Shape, tally: &Tally) {
        tracing::debug!(
            target: "syncline::progress",
            table = %shape.table,
            rows = tally.read(),
            expected = shape.estimated_rows,
            "Committed a page"
        );
    }
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
