//! The restore of a copy: all rows into their tables, in one transaction.
//!
//! If all tables have the rows of the copy already, and no others, nothing is read or written.
//! Otherwise frames are applied one after the other, a page each. A row may point to one that comes
//! in a later frame. So:
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
//!
//! - `transaction`: the transaction, as a database offers it; `passes`: the passes over the frames
//! - `limits`: the time that a restore may take

mod limits;
mod passes;
pub mod transaction;

use std::time::Duration;

use super::frames::FrameReader;
use super::plan;
use super::ports::{CopyStore, Extent, Restore, RestoreConstraints, RestoreSide};
use super::work::Work;
use crate::engine::model::budget::Budget;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::manifest::Manifest;
use crate::engine::model::session::{CopyOptions, Phase, Progress, Restored};
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;
use crate::engine::plan::sequences;
use crate::engine::ports::Clock;
use passes::{MOST_REFUSED, Passes, RejectedRows};

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
    /// The lease of the session, and its progress.
    pub work: &'a Work<'a>,
    /// The copy.
    pub manifest: &'a Manifest,
    /// The options of the session.
    pub options: &'a CopyOptions,
    /// The time that it may take.
    pub budget: &'a Budget,
    /// The tables that an earlier restore of the same copy has saved, with `per_table`.
    pub saved: Restored,
}

impl CopyRestore<'_> {
    /// Writes the copy, and completes the session in the same transaction.
    pub async fn run(&self) -> Result<Restored, Fault> {
        let shapes = self.shapes().await?;
        let groups: Vec<&[Shape]> = match self.options.per_table {
            true => self.unsaved(&shapes),
            false => vec![&shapes[..]],
        };
        let keyless = self.manifest.keyless.clone();
        let mut restored = Restored { keyless, ..self.saved.clone() };
        let pace = self.pace().await?;
        for (number, group) in groups.iter().enumerate() {
            let extent = if number + 1 == groups.len() { Extent::All } else { Extent::Some };
            self.check_time(group, &pace, &restored)?;
            restored = self.group(group, restored, extent).await?;
        }
        Ok(restored)
    }

    /// The tables that are still to be saved, each a transaction of its own. The last one completes
    /// the session, so that there always is one.
    fn unsaved<'s>(&self, shapes: &'s [Shape]) -> Vec<&'s [Shape]> {
        let is_unsaved = |group: &&[Shape]| !self.saved.tables.contains_key(&group[0].table);
        shapes.chunks(1).filter(is_unsaved).collect()
    }

    /// The agreement on each table of the copy, as both sides are now.
    async fn shapes(&self) -> Result<Vec<Shape>, Fault> {
        let names: Vec<TableName> =
            self.manifest.tables.iter().map(|table| table.table.clone()).collect();
        plan::refuse_system_tables(&names)?;
        let own = self.side.describe(Some(&names)).await?;
        plan::agreed(self.manifest, &names, self.options, &own)
    }

    /// Writes the tables of one transaction. A constraint that waits for its end names no row: then
    /// all is written once more, with constraints checked at once, which finds the rows.
    async fn group(
        &self,
        shapes: &[Shape],
        restored: Restored,
        extent: Extent,
    ) -> Result<Restored, Fault> {
        let constraints = RestoreConstraints::AtTheEnd;
        match self.attempt(shapes, constraints, restored.clone(), extent).await {
            Err(fault) if fault.code == FaultCode::RowRefused => {
                self.attempt(shapes, RestoreConstraints::AtOnce, restored, extent).await
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
        restored: Restored,
        extent: Extent,
    ) -> Result<Restored, Fault> {
        self.work.follow(Phase::Restore, self.progress_before(shapes));
        let written = async {
            let transaction = self.begin(shapes, constraints).await?;
            let reader = FrameReader::new(self.store, &self.work.held.session, self.manifest);
            let (manifest, work) = (self.manifest, self.work);
            let mut passes = Passes { manifest, work, shapes, transaction, reader };
            let restored = self.write(&mut passes, restored.clone()).await?;
            Ok((passes.transaction, restored))
        };
        // The commit is not cut: nobody would know what came of it.
        let (transaction, restored) = self.in_time(&restored, written).await?;
        let tables: Vec<TableName> = shapes.iter().map(|shape| shape.table.clone()).collect();
        let own = self.side.sequences(&tables).await?;
        let steps = sequences::plan(&self.manifest.sequences, &own).steps;
        transaction.commit(&self.work.held, &steps, &restored, extent).await?;
        Ok(restored)
    }

    /// The progress at the start of a transaction of these tables: those before them are written.
    fn progress_before(&self, shapes: &[Shape]) -> Progress {
        let first = shapes.first().map(|shape| &shape.table);
        let tables = self.manifest.tables.iter();
        let first = tables.take_while(|table| Some(&table.table) != first).count();
        let before = self.manifest.frames.iter().filter(|frame| frame.table < first);
        let (bytes, rows) =
            before.fold((0, 0), |(bytes, rows), frame| (bytes + frame.bytes, rows + frame.rows));
        let (bytes_total, rows_total) = (self.manifest.bytes(), self.manifest.rows());
        Progress { bytes, bytes_total, rows, rows_total, speed: 0 }
    }

    /// Writes all rows and checks them, and adds their counts.
    async fn write(
        &self,
        passes: &mut Passes<'_>,
        mut restored: Restored,
    ) -> Result<Restored, Fault> {
        if passes.are_equal(self.left()).await? {
            let counts = passes.unchanged();
            let rows = || counts.values().map(|table| table.unchanged).sum::<u64>();
            restored.verified += if self.options.verify { rows() } else { 0 };
            restored.tables.extend(counts);
            return Ok(restored);
        }
        let (counts, refused) = passes.until_all_are_in().await?;
        if !refused.is_empty() {
            return Err(self.refused(refused, restored));
        }
        passes.transaction.check(self.left()).await?;
        if self.options.verify {
            restored.verified += passes.verify().await?;
        }
        restored.tables.extend(counts);
        Ok(restored)
    }

    fn refused(&self, refused: RejectedRows, restored: Restored) -> Fault {
        let RejectedRows { rows, count, has_more } = refused;
        let mut tables: Vec<String> = rows.iter().map(|row| row.table.to_string()).collect();
        tables.dedup();
        let count = match (has_more, count) {
            (true, count) => format!("more than {} rows", count.saturating_sub(1)),
            (false, 1) => "1 row".to_owned(),
            (false, count) => format!("{count} rows"),
        };
        let saved = match self.options.per_table {
            true => "that table and those after it were not saved",
            false => "nothing was saved",
        };
        let message = format!("The target refuses {count} of {}, so {saved}", tables.join(", "));
        self.work.refuse(Restored { refused: rows, ..restored });
        let hint = format!(
            "`syncline full-sync status` lists up to {MOST_REFUSED} of them with the reasons; mend \
             them on the target and resume, or on the source and start again"
        );
        Fault::new(Step::Write, FaultCode::RowsRefused, message, hint)
    }
}
