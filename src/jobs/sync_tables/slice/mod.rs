//! The part of a sync that one invocation does, under its lease.

mod deletes;
mod related_tables;
mod retry_rejected;
pub(super) mod survey;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::engine::drive::advance::{Advance, Advanced, Stopped};
use crate::engine::drive::sequences;
use crate::engine::model::budget::Budget;
use crate::engine::model::checkpoint::{Reached, Scan};
use crate::engine::model::facts::Facts;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::lease::Lease;
use crate::engine::model::shape::Shape;
use crate::engine::model::survey::Survey;
use crate::engine::model::table::TableName;
use crate::engine::model::writer::{Writer, is_nobody, still_open};
use crate::engine::plan::lag::{self, Lag};
use crate::engine::plan::sequences::SequencesPlan;
use crate::engine::plan::tables;
use crate::engine::plan::window::{self, Move};
use crate::engine::ports::{Checkpoints, Clock, Ledger, Settled, Source, Target};

use super::{SyncReport, SyncTables, columns};
use deletes::Kept;
use survey::Looked;

/// How long a run waits for the writers it saw to end before it reads. Most transactions last
/// milliseconds; once they have ended the watermark can be kept at once, and the tail is not read
/// again by the next run.
const WRITERS_PATIENCE: Duration = Duration::from_millis(300);

/// How long it waits before it looks for the first time; then twice as long each time.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// A scan that was cut in an earlier slice is finished with the watermark of its start. One more
/// look after that finds what came meanwhile.
const MOST_ROUNDS: usize = 2;

/// What a slice needs.
pub struct Slice<'a> {
    /// What is asked.
    pub job: &'a SyncTables,
    /// The side that is read.
    pub source: &'a dyn Source,
    /// The side that is written.
    pub target: &'a dyn Target,
    /// Our state.
    pub ledger: &'a dyn Ledger,
    /// Time.
    pub clock: &'a dyn Clock,
    /// The time there is.
    pub budget: &'a Budget,
    /// The right to save.
    pub lease: &'a Lease,
    /// The tables whose deletes earlier slices of the chain have done.
    pub reconciled: &'a BTreeSet<TableName>,
}

/// A table with a scan to carry forward.
struct Work<'a> {
    shape: &'a Shape,
    reached: Reached,
    scan: Scan,
    resumed: bool,
}

impl Slice<'_> {
    /// Plans and works the tables. One look at the rows is for all tables, and fails where one of
    /// them was altered since the catalog was read; then both are looked at once more.
    pub async fn run(
        &self,
        here: &Facts,
        there: Facts,
        done: &BTreeSet<TableName>,
        mut checkpoints: Checkpoints,
        report: &mut SyncReport,
    ) -> Result<(), Fault> {
        // A wider window may hold the rows of the last look and no others, and so look as before. A
        // scan that was cut began at an overlap of its own. Later slices go on with what begins
        // here.
        if self.job.anew && self.job.chain.slice() == 0 {
            for checkpoint in checkpoints.values_mut() {
                checkpoint.reached.seen = None;
                checkpoint.scan = None;
            }
        }
        match self.attempt(here, there, done, &mut checkpoints, report).await {
            Err(fault) if fault.code == FaultCode::SchemaChanged && fault.table.is_none() => {
                let (here, there) = self.job.describe(self.source, self.target).await;
                self.attempt(&here?, there?, done, &mut checkpoints, report).await
            }
            worked => worked,
        }
    }

    /// Brings the target's columns up where that is asked for, plans, and works the tables.
    async fn attempt(
        &self,
        here: &Facts,
        there: Facts,
        done: &BTreeSet<TableName>,
        checkpoints: &mut Checkpoints,
        report: &mut SyncReport,
    ) -> Result<(), Fault> {
        let gone = tables::gone(&self.job.pipeline, here, &there, checkpoints.keys());
        let plan = columns::add(&self.job.pipeline, self.target, self.lease, here, there).await?;
        report.notes = plan.notes;
        report.notes.extend(gone);
        self.work(&plan.shapes, done, checkpoints, report).await?;
        if !(self.job.sequences && report.done) {
            return Ok(());
        }
        let tables: Vec<TableName> = plan.shapes.iter().map(|shape| shape.table.clone()).collect();
        let SequencesPlan { steps, notes } =
            sequences::advance(self.source, self.target, self.lease, &tables).await?;
        report.notes.extend(notes);
        report.sequences = Some(steps);
        Ok(())
    }

    /// Works the tables in order and fills the report. The fault is one after which no table can
    /// go on; what is wrong with a single table is in the report.
    async fn work(
        &self,
        all: &[Shape],
        done: &BTreeSet<TableName>,
        checkpoints: &mut Checkpoints,
        report: &mut SyncReport,
    ) -> Result<(), Fault> {
        // A table that changes all the time would keep the chain alive for ever.
        let is_left = |shape: &&Shape| !done.contains(&shape.table);
        let mut shapes: Vec<Shape> = all.iter().filter(is_left).cloned().collect();
        // A chain leaves to the next tick what came while it was at work, or it might not end.
        let rounds = if self.job.chain.slice() == 0 { MOST_ROUNDS } else { 1 };
        for _ in 0..rounds {
            let again = self.round(&shapes, checkpoints, report).await?;
            shapes.retain(|shape| again.contains(&shape.table));
            if shapes.is_empty() || !report.done {
                break;
            }
        }
        if !report.done {
            return Ok(());
        }
        // What waits may use up the budget, and may wait for a row to go: so the deletes come first
        // in the slices after the first, or their turn would never come.
        let first = self.job.chain.slice() == 0;
        if first {
            self.try_again(all, &mut [], report).await?;
        }
        let (before, mut kept) = (report.total().deleted, Vec::new());
        let mut worked = self.deletes(all, checkpoints, &mut kept, report).await;
        // A row whose unique value another one has, that was gone, goes in now.
        let freed = report.total().deleted > before || kept.iter().any(Kept::is_held);
        if worked.is_ok() && report.done && (freed || !first) {
            worked = self.try_again(all, &mut kept, report).await;
        }
        report.notes.extend(kept.iter().filter_map(deletes::told));
        worked
    }

    /// One look at all tables and the scans that follow from it. Gives back the tables whose scan
    /// had begun in an earlier slice and is finished now.
    async fn round(
        &self,
        shapes: &[Shape],
        checkpoints: &mut Checkpoints,
        report: &mut SyncReport,
    ) -> Result<BTreeSet<TableName>, Fault> {
        if shapes.is_empty() {
            return Ok(BTreeSet::new());
        }
        let Looked { shapes, survey } = self.look(shapes, checkpoints, report).await?;
        // A table that is cut keeps the lag that it began with, until the next slice looks.
        for (shape, look) in shapes.iter().zip(&survey.tables) {
            let stored = checkpoints.get(&shape.table);
            let behind = lag::of(shape, stored, look, &survey.writers_before);
            report.lags.insert(shape.table.clone(), behind);
        }
        let works = self.decide(&shapes, checkpoints, &survey).await?;
        let mut finished = BTreeSet::new();
        for Work { shape, reached, scan, resumed } in works {
            let done = window::settled(shape, scan.goal.clone());
            report.starts(&shape.table, done.reached.start.as_ref());
            let first = report.is_untouched();
            let advanced = self.advance().table(shape, &reached, scan, first).await;
            tracing::debug!(target: "syncline::progress", table = %shape.table, ended = true);
            match advanced {
                Ok(Advanced { tally, rejects, left: None }) => {
                    report.add(&shape.table, tally, rejects);
                    checkpoints.insert(shape.table.clone(), done);
                    report.lags.insert(shape.table.clone(), Lag::None);
                    if resumed {
                        finished.insert(shape.table.clone());
                    }
                }
                Ok(Advanced { tally, rejects, left: Some(left) }) => {
                    report.add(&shape.table, tally, rejects);
                    report.cut(&shape.table, left.after.as_ref());
                    return Ok(BTreeSet::new());
                }
                Err(Stopped { tally, rejects, fault }) => {
                    report.add(&shape.table, tally, rejects);
                    if fault.stops_the_run() {
                        return Err(fault);
                    }
                    report.fail(&shape.table, fault);
                }
            }
        }
        Ok(finished)
    }

    fn advance(&self) -> Advance<'_> {
        Advance {
            source: self.source,
            target: self.target,
            clock: self.clock,
            pipeline: &self.job.pipeline,
            lease: self.lease,
            run: &self.job.run,
            budget: self.budget,
        }
    }

    /// Decides each table's move, saves what is settled without reading, and fills in what the
    /// scans that begin now may promise.
    async fn decide<'a>(
        &self,
        shapes: &'a [Shape],
        checkpoints: &mut Checkpoints,
        survey: &Survey,
    ) -> Result<Vec<Work<'a>>, Fault> {
        let mut settled = Vec::new();
        let mut works = Vec::new();
        for (shape, look) in shapes.iter().zip(&survey.tables) {
            let checkpoint = window::usable(shape, checkpoints.get(&shape.table));
            let reached = checkpoint.map(|of| of.reached.clone()).unwrap_or_default();
            match window::decide(shape, checkpoint, look, &survey.writers_before) {
                Move::Quiet => {}
                Move::Settle(reached) => settled.push(Settled {
                    table: &shape.table,
                    checkpoint: window::settled(shape, reached),
                }),
                Move::Scan(scan) => {
                    works.push((Work { shape, reached, scan, resumed: false }, look))
                }
                Move::Resume(scan) => {
                    works.push((Work { shape, reached, scan, resumed: true }, look))
                }
            }
        }
        // A scan that was cut goes first, or a budget that new scans use up would never reach it.
        works.sort_by_key(|(work, _)| !work.resumed);
        if !settled.is_empty() {
            self.target.settle(self.lease, &settled).await?;
            let saved = settled.into_iter().map(|of| (of.table.clone(), of.checkpoint));
            checkpoints.extend(saved);
        }
        let begins = works.iter().any(|(work, _)| !work.resumed);
        let open =
            if begins { self.still_writing(&survey.writers_after).await? } else { BTreeSet::new() };
        let unknown: Vec<TableName> = works
            .iter()
            .filter(|(work, _)| !work.resumed && work.reached == Reached::default())
            .map(|(work, _)| work.shape.table.clone())
            .collect();
        let empty =
            if unknown.is_empty() { BTreeSet::new() } else { self.target.empty(&unknown).await? };
        Ok(works
            .into_iter()
            .map(|(mut work, look)| {
                if !work.resumed {
                    work.scan.fresh = empty.contains(&work.shape.table);
                    work.scan = window::promise(work.scan, work.shape, &work.reached, look, &open);
                }
                work
            })
            .collect())
    }

    /// Those of the writers that are still open after a short wait for them.
    async fn still_writing(&self, seen: &BTreeSet<Writer>) -> Result<BTreeSet<Writer>, Fault> {
        let mut open = seen.clone();
        let mut pause = FIRST_PAUSE;
        let mut waited = Duration::ZERO;
        while !is_nobody(&open) && waited < WRITERS_PATIENCE {
            self.clock.sleep(pause).await;
            waited += pause;
            pause *= 2;
            open = still_open(seen, self.source.writers().await?);
        }
        Ok(open)
    }
}
