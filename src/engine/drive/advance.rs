//! Carries one table's scan forward, page by page: one is read while one is written, and after each
//! commit the scan could stop for good and lose nothing. A page that fails for its size or for what
//! else goes on is retried with fewer rows.

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

/// The rows that were saved of a scan, and the end that it came to.
#[derive(Debug)]
pub struct Advanced {
    /// The counts of the rows.
    pub tally: Tally,
    /// The number of the table's rejected rows now; none if no page was saved.
    pub rejects: Option<u64>,
    /// The rest of the scan, none when it is done; or the reason why it went no further.
    pub ended: Result<Option<Scan>, Fault>,
}

impl Advance<'_> {
    /// Reads and writes pages until the scan is done or the budget is. At least one page is done,
    /// or a budget smaller than a page would never get anywhere. `first` says whether this scan
    /// is the first of its slice to use that allowance.
    pub async fn table(
        &self,
        shape: &Shape,
        reached: &Reached,
        scan: Scan,
        first: bool,
    ) -> Advanced {
        let mut saved = Saved::default();
        let ended = match first || self.fits(Duration::ZERO) {
            true => self.pages(shape, reached, scan, &mut saved).await,
            false => Ok(Some(scan)),
        };
        let Saved { tally, rejects } = saved;
        Advanced { tally, rejects, ended }
    }

    /// Works the pages, and returns what is left of the scan.
    async fn pages(
        &self,
        shape: &Shape,
        reached: &Reached,
        mut scan: Scan,
        saved: &mut Saved,
    ) -> Result<Option<Scan>, Fault> {
        let mut slowest = Duration::ZERO;
        let mut pace = Pace::first(self.pipeline.page_rows, shape.encoding);
        let mut begun = self.clock.now();
        let mut page = match self.read(shape, &scan, pace.limit()).await {
            Ok(page) => page,
            Err(fault) => {
                self.read_smaller(shape, &scan, &mut pace, Failed::read(fault, begun)).await?
            }
        };
        loop {
            let left = window::after_page(&scan, &page);
            let limit = pace.limit();
            pace.read(&page);
            let checkpoint = window::checkpoint(shape, reached, &scan, left.as_ref());
            let (run, fresh) = (self.run, scan.fresh);
            let batch = Batch { run, shape, page: &page, checkpoint: &checkpoint, fresh };
            // The next page is read for nothing if the budget ends here; that costs a read.
            let (written, next) = tokio::join!(
                self.target.commit(self.lease, &batch),
                self.read_next(shape, left.as_ref(), pace.limit()),
            );
            let committed = match written {
                Ok(committed) => committed,
                Err(fault) => {
                    pace.back_to(limit);
                    let failed = Failed { fault, rows: Some(page.rows), begun };
                    begun = self.clock.now();
                    page = self.read_smaller(shape, &scan, &mut pace, failed).await?;
                    continue;
                }
            };
            saved.tally += committed.tally;
            saved.rejects = Some(committed.rejects);
            self.tell(shape, &saved.tally);
            slowest = slowest.max(elapsed(begun, self.clock.now()));
            let (Some(mut rest), Some(next)) = (left, next) else { return Ok(None) };
            rest.fresh = rest.fresh && committed.straight;
            if !self.fits(slowest) {
                return Ok(Some(rest));
            }
            pace.saved();
            scan = rest;
            page = match next {
                Ok(page) => page,
                Err(fault) => {
                    self.read_smaller(shape, &scan, &mut pace, Failed::read(fault, begun)).await?
                }
            };
            begun = self.clock.now();
        }
    }

    fn fits(&self, slowest: Duration) -> bool {
        self.budget.allows(self.clock.now(), slowest)
    }

    /// Reads a page that failed, smaller each time, until it comes, or another try would not help
    /// or not fit.
    async fn read_smaller(
        &self,
        shape: &Shape,
        scan: &Scan,
        pace: &mut Pace,
        mut failed: Failed,
    ) -> Result<Page, Fault> {
        loop {
            let Failed { fault, rows, begun } = failed;
            let took = elapsed(begun, self.clock.now());
            let pause = match pace.failed(&fault, rows) {
                Some(pause) if self.fits(took / SHRINK) => pause,
                _ => return Err(fault),
            };
            tracing::warn!(
                table = %shape.table,
                code = fault.code.name(),
                rows = pace.limit().rows,
                "Tries a page of {} again with {} rows", shape.table, pace.limit().rows
            );
            self.clock.sleep(pause).await;
            let begun = self.clock.now();
            match self.read(shape, scan, pace.limit()).await {
                Ok(page) => return Ok(page),
                Err(fault) => failed = Failed::read(fault, begun),
            }
        }
    }

    async fn read_next(
        &self,
        shape: &Shape,
        left: Option<&Scan>,
        limit: PageLimit,
    ) -> Option<Result<Page, Fault>> {
        match left {
            Some(scan) => Some(self.read(shape, scan, limit).await),
            None => None,
        }
    }

    async fn read(&self, shape: &Shape, scan: &Scan, limit: PageLimit) -> Result<Page, Fault> {
        let overlap = self.pipeline.overlap;
        self.source.read(&ReadPage { shape, scan, overlap, limit }).await
    }

    /// One line a page, for whoever draws progress.
    fn tell(&self, shape: &Shape, tally: &Tally) {
        tracing::debug!(
            target: "syncline::progress",
            table = %shape.table,
            rows = tally.read(),
            expected = shape.estimated_rows,
            "Committed a page"
        );
    }
}

/// The rows that are saved so far.
#[derive(Default)]
struct Saved {
    tally: Tally,
    rejects: Option<u64>,
}

/// A page that could not be read or written.
struct Failed {
    fault: Fault,
    /// The number of its rows, if it was read.
    rows: Option<u64>,
    begun: SystemTime,
}

impl Failed {
    fn read(fault: Fault, begun: SystemTime) -> Self {
        Self { fault, rows: None, begun }
    }
}

fn elapsed(from: SystemTime, to: SystemTime) -> Duration {
    to.duration_since(from).unwrap_or_default()
}
