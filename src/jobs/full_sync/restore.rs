//! The restore of a copy: all rows into their tables, in one transaction.
//!
//! Frames are applied one after the other, a page each. A row may point to one that comes in a
//! later frame. So:
//!
//! 1. Rows that wait for another one stay out, and the others of their frame go in.
//! 2. Frames with such rows are applied again, as long as that brings rows in.
//! 3. If it brings none, rows point at each other. They are written with NULL in a column that
//!    points, where that is possible, and then as they are.
//! 4. Rows that still wait are refused, like those that break another rule. If there is one,
//!    nothing is saved, and all of them are told.
//!
//! A frame that is applied again finds its rows equal. So a verification is one more pass in which
//! every row must be.

use std::collections::BTreeMap;
use std::time::Duration;

use super::frames::FrameReader;
use super::plan;
use super::ports::{
    CopyStore, LackingParents, Restore, RestoreConstraints, RestoreSide, RestoredPage,
};
use super::work::Work;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::manifest::Manifest;
use crate::engine::model::page::Page;
use crate::engine::model::reject::MISSING_PARENT;
use crate::engine::model::run::Tally;
use crate::engine::model::session::{CopyOptions, Phase, RefusedRow, Restored, RestoredTable};
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;
use crate::engine::plan::sequences;
use crate::engine::ports::Clock;

/// The most refused rows that are told.
const MOST_REFUSED: usize = 100;

/// The code of a row that somebody else holds locked (SQLSTATE 55P03).
const LOCKED: &str = "55P03";

/// The first pause before the transaction is begun once more, and the last: 25 s in all.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(15);

/// A restore.
pub struct CopyRestore<'a> {
    /// The spool.
    pub store: &'a dyn CopyStore,
    /// The database that is written.
    pub side: &'a dyn RestoreSide,
    /// The time.
    pub clock: &'a dyn Clock,
    /// The work that it is.
    pub work: &'a Work<'a>,
    /// The copy.
    pub manifest: &'a Manifest,
    /// The options of the session.
    pub options: &'a CopyOptions,
}

impl CopyRestore<'_> {
    /// Writes the copy, and completes the session in the same transaction.
    pub async fn run(&self) -> Result<Restored, Fault> {
        let shapes = self.shapes().await?;
        let groups: Vec<&[Shape]> = match self.options.per_table {
            true => shapes.chunks(1).collect(),
            false => vec![&shapes[..]],
        };
        let rows: u64 = self.manifest.rows();
        self.work.enter(Phase::Restore, self.manifest.bytes(), rows);
        let mut restored = Restored::default();
        for (number, group) in groups.iter().enumerate() {
            let is_last = number + 1 == groups.len();
            restored = self.group(group, restored, is_last).await?;
        }
        Ok(restored)
    }

    /// The agreement on each table of the copy, as both sides are now.
    async fn shapes(&self) -> Result<Vec<Shape>, Fault> {
        let names: Vec<TableName> =
            self.manifest.tables.iter().map(|table| table.table.clone()).collect();
        plan::refuse_system_tables(&names)?;
        let own = self.side.describe(Some(&names)).await?.facts;
        plan::agreed(self.manifest, &names, self.options, &own)
    }

    /// Writes the tables of one transaction. A constraint that waits for its end names no row: then
    /// all is written once more, with constraints checked at once, which finds the rows.
    async fn group(
        &self,
        shapes: &[Shape],
        restored: Restored,
        is_last: bool,
    ) -> Result<Restored, Fault> {
        let constraints = RestoreConstraints::AtTheEnd;
        match self.attempt(shapes, constraints, restored.clone(), is_last).await {
            Err(fault) if fault.code == FaultCode::RowRefused => {
                self.attempt(shapes, RestoreConstraints::AtOnce, restored, is_last).await
            }
            result => result,
        }
    }

    /// Begins the transaction. One copy is written into a database at a time, and the transaction
    /// of a process that was killed is open until the server notices: so it waits a while.
    async fn begin(
        &self,
        shapes: &[Shape],
        constraints: RestoreConstraints,
    ) -> Result<Box<dyn Restore>, Fault> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.side.begin(shapes, constraints).await {
                Err(fault) if fault.code == FaultCode::Busy && pause < LAST_PAUSE => {}
                result => return result,
            }
            self.clock.sleep(pause).await;
            pause *= 2;
        }
    }

    async fn attempt(
        &self,
        shapes: &[Shape],
        constraints: RestoreConstraints,
        mut restored: Restored,
        is_last: bool,
    ) -> Result<Restored, Fault> {
        let transaction = self.begin(shapes, constraints).await?;
        let reader = FrameReader::new(self.store, &self.work.held.session, self.manifest);
        let mut passes = Passes { restore: self, shapes, transaction, reader };
        let (counts, refused) = passes.until_all_are_in().await?;
        if !refused.is_empty() {
            return Err(self.refused(refused));
        }
        passes.transaction.check().await?;
        if self.options.verify {
            restored.verified += passes.verify().await?;
        }
        restored.tables.extend(counts);
        let tables: Vec<TableName> = shapes.iter().map(|shape| shape.table.clone()).collect();
        let own = self.side.sequences(&tables).await?;
        let steps = sequences::plan(&self.manifest.sequences, &own).steps;
        let outcome = is_last.then_some(&restored);
        passes.transaction.commit(&self.work.held, &steps, outcome).await?;
        Ok(restored)
    }

    fn refused(&self, refused: Vec<RefusedRow>) -> Fault {
        let mut tables: Vec<String> = refused.iter().map(|row| row.table.to_string()).collect();
        tables.dedup();
        let count = match refused.len() {
            MOST_REFUSED => format!("{MOST_REFUSED} rows or more"),
            1 => "1 row".to_owned(),
            count => format!("{count} rows"),
        };
        let saved = match self.options.per_table {
            true => "that table and those after it were not saved",
            false => "nothing was saved",
        };
        let message = format!("The target refuses {count} of {}, so {saved}", tables.join(", "));
        self.work.refuse(Restored { refused, ..Restored::default() });
        let hint = "`syncline full-sync status` lists them with the reasons; mend them on the \
                    target and resume, or on the source and start again";
        Fault::new(Step::Write, FaultCode::RowsRefused, message, hint)
    }
}

/// The passes over the frames of some tables, in one transaction.
struct Passes<'a> {
    restore: &'a CopyRestore<'a>,
    shapes: &'a [Shape],
    transaction: Box<dyn Restore>,
    reader: FrameReader<'a>,
}

/// The outcome of a pass.
#[derive(Default)]
struct PassOutcome {
    /// Frames that have to be applied again.
    again: Vec<usize>,
    /// Rows that wait for another one.
    waiting: Vec<RefusedRow>,
    waiting_count: u64,
    /// Rows that break a rule.
    refused: Vec<RefusedRow>,
}

type Counts = BTreeMap<TableName, RestoredTable>;

impl Passes<'_> {
    /// Applies frames until no row waits that could go in.
    async fn until_all_are_in(&mut self) -> Result<(Counts, Vec<RefusedRow>), Fault> {
        let manifest = self.restore.manifest;
        let tables = self.shapes.iter().map(|shape| (shape.table.clone(), Default::default()));
        let mut counts: Counts = tables.collect();
        let is_ours = |table: &TableName| self.shapes.iter().any(|shape| shape.table == *table);
        let mut frames: Vec<usize> = (0..manifest.frames.len())
            .filter(|number| is_ours(&manifest.tables[manifest.frames[*number].table].table))
            .collect();
        let (mut refused, mut waited, mut lack) = (Vec::new(), u64::MAX, LackingParents::Wait);
        let mut was_left_out = false;
        loop {
            let is_first = waited == u64::MAX;
            let outcome = self.pass(&frames, lack, is_first, |table, tally| {
                let count: &mut RestoredTable = counts.entry(table.clone()).or_default();
                count.inserted += tally.inserted;
                // After rows were written with NULL, they are written once more.
                count.updated += if was_left_out { 0 } else { tally.updated };
            });
            let outcome = outcome.await?;
            if refused.len() < MOST_REFUSED {
                // A frame that is applied again has its refused rows refused again.
                for row in outcome.refused {
                    if !refused.contains(&row) {
                        refused.push(row);
                    }
                }
            }
            if outcome.again.is_empty() {
                break;
            }
            let is_stuck = outcome.waiting_count >= waited && lack == LackingParents::Wait;
            if is_stuck && was_left_out {
                refused.extend(outcome.waiting);
                break;
            }
            was_left_out |= lack == LackingParents::LeaveOut;
            lack = if is_stuck { LackingParents::LeaveOut } else { LackingParents::Wait };
            (waited, frames) = (outcome.waiting_count, outcome.again);
        }
        refused.truncate(MOST_REFUSED);
        for (table, count) in manifest.tables.iter().map(|table| (&table.table, table.rows)) {
            if let Some(counted) = counts.get_mut(table) {
                let written = counted.inserted + counted.updated;
                counted.unchanged = count.saturating_sub(written);
            }
        }
        Ok((counts, refused))
    }

    /// Applies these frames once. The next one is read while one is applied.
    async fn pass(
        &mut self,
        frames: &[usize],
        lack: LackingParents,
        is_first: bool,
        mut count: impl FnMut(&TableName, &Tally),
    ) -> Result<PassOutcome, Fault> {
        let mut outcome = PassOutcome::default();
        let mut next = match frames.first() {
            Some(first) => Some(self.reader.frame(*first).await?),
            None => None,
        };
        for (place, number) in frames.iter().enumerate() {
            let page = next.take().expect("a frame was read before");
            let shape = self.shape(*number);
            let written = self.transaction.page(&shape, &page, lack);
            let (written, read) = match frames.get(place + 1) {
                Some(following) => {
                    let (written, read) = tokio::join!(written, self.reader.frame(*following));
                    (written?, Some(read))
                }
                None => (written.await?, None),
            };
            add_up(&page, &written).map_err(|fault| fault.of_table(&shape.table))?;
            count(&shape.table, &written.tally);
            outcome.add(*number, written);
            if is_first {
                let bytes = self.restore.manifest.frames[*number].bytes;
                self.restore.work.advance(bytes, page.rows);
            }
            next = read.transpose()?;
        }
        Ok(outcome)
    }

    /// Applies all frames once more: every row must be equal by now.
    async fn verify(&mut self) -> Result<u64, Fault> {
        let manifest = self.restore.manifest;
        self.restore.work.enter(Phase::Verify, manifest.bytes(), manifest.rows());
        let tables = self.shapes.iter().map(|shape| &shape.table);
        let tables: Vec<&TableName> = tables.collect();
        let frames: Vec<usize> = (0..manifest.frames.len())
            .filter(|number| {
                tables.contains(&&manifest.tables[manifest.frames[*number].table].table)
            })
            .collect();
        let (mut compared, mut differing) = (0, BTreeMap::new());
        let outcome = self.pass(&frames, LackingParents::Wait, true, |table, tally| {
            compared += tally.unchanged;
            let differ = tally.inserted + tally.updated + tally.rejected;
            if differ > 0 {
                *differing.entry(table.to_string()).or_insert(0) += differ;
            }
        });
        outcome.await?;
        match differing.is_empty() {
            true => Ok(compared),
            false => Err(unequal(&differing)),
        }
    }

    fn shape(&self, frame: usize) -> Shape {
        let manifest = self.restore.manifest;
        let table = &manifest.tables[manifest.frames[frame].table].table;
        let shape = self.shapes.iter().find(|shape| shape.table == *table);
        shape.expect("frames are of the tables of this transaction").clone()
    }
}

impl PassOutcome {
    fn add(&mut self, frame: usize, page: RestoredPage) {
        let (waiting, refused): (Vec<_>, Vec<_>) = (page.refused.into_iter())
            .partition(|row| row.code == MISSING_PARENT || row.code == LOCKED);
        if !waiting.is_empty() || page.left_out {
            self.again.push(frame);
        }
        self.waiting_count += waiting.len() as u64;
        let add = |all: &mut Vec<RefusedRow>, rows: Vec<RefusedRow>| {
            let room = MOST_REFUSED.saturating_sub(all.len());
            all.extend(rows.into_iter().take(room));
        };
        add(&mut self.waiting, waiting);
        add(&mut self.refused, refused);
    }
}

/// Checks that no row of a page was lost without a word.
fn add_up(page: &Page, written: &RestoredPage) -> Result<(), Fault> {
    let Tally { inserted, updated, unchanged, .. } = written.tally;
    let counted = inserted + updated + unchanged + written.refused.len() as u64;
    if counted == page.rows {
        return Ok(());
    }
    let message = format!("{counted} of {} rows of a page were counted as written", page.rows);
    let hint = "its transaction is undone; please report it";
    Err(Fault::new(Step::Write, FaultCode::BadCopy, message, hint))
}

fn unequal(differing: &BTreeMap<String, u64>) -> Fault {
    let tables: Vec<String> =
        differing.iter().map(|(table, rows)| format!("{rows} rows of {table}")).collect();
    let message =
        format!("After the write {} differ from the copy, so it is undone", tables.join(", "));
    let hint = "triggers of the target rewrite them: see which with `syncline plan`, and disable \
                them or leave --verify out";
    Fault::new(Step::Compare, FaultCode::Unequal, message, hint)
}
