//! Carries one table's scan forward, page by page: one is read while one is written, and after
//! each commit the scan could stop for good and lose nothing.

use std::time::{Duration, SystemTime};

use crate::engine::model::budget::Budget;
use crate::engine::model::checkpoint::{Reached, Scan};
use crate::engine::model::fault::Fault;
use crate::engine::model::lease::Lease;
use crate::engine::model::page::{Page, PageLimit};
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::run::{RunId, Tally};
use crate::engine::model::shape::Shape;
use crate::engine::plan::window;
use crate::engine::ports::{Batch, Clock, ReadPage, Source, Target};

/// What carrying a scan forward needs.
#[derive(Clone, Copy)]
pub struct Advance<'a> {
    /// Where rows come from.
    pub source: &'a dyn Source,
    /// Where rows go.
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

/// How far a scan has come.
#[derive(Debug)]
pub struct Advanced {
    /// The rows of this slice.
    pub tally: Tally,
    /// How many rows of the table are set aside now; none if no page was saved.
    pub set_aside: Option<u64>,
    /// What is left of the scan; none when it is done.
    pub left: Option<Scan>,
}

/// A fault with what was saved before it.
#[derive(Debug)]
pub struct Stopped {
    /// The rows that were saved.
    pub tally: Tally,
    /// How many rows of the table are set aside now; none if no page was saved.
    pub set_aside: Option<u64>,
    /// Why it went no further.
    pub fault: Fault,
}

impl Advance<'_> {
    /// Reads and writes pages until the scan is done or the budget is. At least one page is done,
    /// or a budget smaller than a page would never get anywhere. `first` says whether this scan
    /// is the first of its slice to use that allowance.
    pub async fn table(
        &self,
        shape: &Shape,
        reached: &Reached,
        mut scan: Scan,
        first: bool,
    ) -> Result<Advanced, Stopped> {
        let (mut tally, mut set_aside) = (Tally::default(), None);
        let mut slowest = Duration::ZERO;
        let mut limit = PageLimit::first(self.pipeline.page_rows);
        if !first && !self.fits(slowest) {
            return Ok(Advanced { tally, set_aside, left: Some(scan) });
        }
        let mut begun = self.clock.now();
        let mut page = match self.read(shape, &scan, limit).await {
            Ok(page) => page,
            Err(fault) => return Err(Stopped { tally, set_aside, fault }),
        };
        loop {
            let left = window::after_page(&scan, &page);
            limit = PageLimit::after(&page, limit, self.pipeline.page_rows);
            let checkpoint = window::checkpoint(shape, reached, &scan, left.as_ref());
            let batch = Batch {
                run: self.run,
                shape,
                page: &page,
                checkpoint: &checkpoint,
                fresh: scan.fresh,
            };
            // The next page is read for nothing if the budget ends here; that costs a read.
            let (written, ahead) = tokio::join!(
                self.target.commit(self.lease, &batch),
                self.read_ahead(shape, left.as_ref(), limit),
            );
            let committed = match written {
                Ok(committed) => committed,
                Err(fault) => return Err(Stopped { tally, set_aside, fault }),
            };
            tally += committed.tally;
            set_aside = Some(committed.set_aside);
            self.tell(shape, &tally);
            slowest = slowest.max(elapsed(begun, self.clock.now()));
            begun = self.clock.now();
            let (mut rest, next) = match (left, ahead) {
                (None, _) => return Ok(Advanced { tally, set_aside, left: None }),
                (Some(_), Err(fault)) => return Err(Stopped { tally, set_aside, fault }),
                (Some(rest), Ok(next)) => (rest, next),
            };
            rest.fresh = rest.fresh && committed.straight;
            match next {
                Some(next) if self.fits(slowest) => (scan, page) = (rest, next),
                _ => return Ok(Advanced { tally, set_aside, left: Some(rest) }),
            }
        }
    }

    fn fits(&self, slowest: Duration) -> bool {
        self.budget.allows(self.clock.now(), slowest)
    }

    async fn read_ahead(
        &self,
        shape: &Shape,
        left: Option<&Scan>,
        limit: PageLimit,
    ) -> Result<Option<Page>, Fault> {
        match left {
            Some(scan) => self.read(shape, scan, limit).await.map(Some),
            None => Ok(None),
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

fn elapsed(from: SystemTime, to: SystemTime) -> Duration {
    to.duration_since(from).unwrap_or_default()
}
