//! Mends the rows that a comparison has named, and no others, under the lease. Rows that the target
//! lacks, or has with other values, are read from the source by key and written as a sync writes
//! them. Rows that only the target has are deleted if that is requested and no refusal applies.
//!
//! The table's checkpoint is saved as it was, so no cursor moves.

use std::collections::BTreeSet;

use super::plan::{self, ExtraRows, KeepReason};
use super::report::{TableComparison, VerifyReport};
use crate::engine::drive::deletes::{DeleteRows, ROWS_AT_ONCE};
use crate::engine::drive::fetch;
use crate::engine::drive::manual_run::ManualRun;
use crate::engine::drive::reconcile::{CompareTable, ComparedTable};
use crate::engine::model::checkpoint::Checkpoint;
use crate::engine::model::fault::Fault;
use crate::engine::model::lease::Lease;
use crate::engine::model::meter::Meter;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::range::{Difference, RowKey};
use crate::engine::model::run::{RunId, RunKind};
use crate::engine::model::shape::Shape;
use crate::engine::model::shape_mark::ShapeMark;
use crate::engine::plan::deletes::DeleteRefusal;
use crate::engine::ports::{Batch, Checkpoints, Fetch, Ledger, Source, Target};

/// The number of rows that are fetched and written in one transaction. A fetched page is bounded by
/// its rows alone, and 32 rows of a megabyte fit the smallest function.
const ROWS_IN_PAGE: usize = 32;

/// A repair that is about to begin.
pub struct Repair<'a> {
    /// The pipeline.
    pub pipeline: &'a Pipeline,
    /// The id that the repair is recorded under.
    pub run: &'a RunId,
    /// The side that rows are read from.
    pub source: &'a dyn Source,
    /// The side that they are written to.
    pub target: &'a dyn Target,
    /// Gives the lease and records the repair.
    pub ledger: &'a dyn Ledger,
    /// Counts the API calls that both sides make.
    pub meter: &'a Meter,
    /// The treatment of rows that only the target has.
    pub extras: ExtraRows,
}

impl Repair<'_> {
    /// Mends all tables, and reports which rows still differ.
    pub async fn tables(
        &self,
        tables: &[ComparedTable],
        report: &mut VerifyReport,
    ) -> Result<(), Fault> {
        let run = ManualRun {
            id: self.run,
            pipeline: self.pipeline,
            kind: RunKind::Repair,
            ledger: self.ledger,
            meter: self.meter,
        };
        let before = report.faults.len();
        let work = run.work(async |lease, checkpoints| {
            self.mend(lease, &checkpoints, tables, report).await;
            report.faults.get(before).map(Fault::chain)
        });
        report.busy = work.await?;
        Ok(())
    }

    /// Writes parents before their children, and deletes them after their children.
    async fn mend(
        &self,
        lease: &Lease,
        checkpoints: &Checkpoints,
        tables: &[ComparedTable],
        report: &mut VerifyReport,
    ) {
        let VerifyReport { tables: comparisons, faults, .. } = report;
        let mut note_fault = |table: &ComparedTable, result: Result<(), Fault>| {
            if let Err(fault) = result {
                faults.push(fault.of_table(&table.source.table));
            }
        };
        for (table, comparison) in tables.iter().zip(comparisons.iter()) {
            let checkpoint = checkpoints.get(&comparison.table);
            note_fault(table, self.write(lease, checkpoint, &table.source, comparison).await);
        }
        for (table, comparison) in tables.iter().zip(comparisons.iter_mut()).rev() {
            note_fault(table, self.delete(lease, table, comparison).await);
        }
        for (table, comparison) in tables.iter().zip(comparisons.iter_mut()) {
            note_fault(table, self.compare_again(table, comparison).await);
        }
    }

    /// Writes the rows that the target lacks, or has with other values.
    async fn write(
        &self,
        lease: &Lease,
        checkpoint: Option<&Checkpoint>,
        shape: &Shape,
        comparison: &TableComparison,
    ) -> Result<(), Fault> {
        let keys: Vec<Vec<String>> = comparison
            .rows
            .iter()
            .filter(|row| row.difference != Difference::Extra)
            .map(|row| row.key.values().to_vec())
            .collect();
        let empty = || Checkpoint { shape: ShapeMark::new(shape), ..Checkpoint::default() };
        let checkpoint = checkpoint.cloned().unwrap_or_else(empty);
        let mut rest = &keys[..];
        while !rest.is_empty() {
            let values = &rest[..rest.len().min(ROWS_IN_PAGE)];
            let fetch = Fetch { shape, columns: &shape.key, values };
            let (page, count) = fetch::first(self.source, &fetch).await?;
            rest = &rest[count..];
            let run = self.run;
            let batch = Batch { run, shape, page: &page, checkpoint: &checkpoint, fresh: false };
            if page.rows > 0 {
                self.target.commit(lease, &batch).await?;
            }
        }
        Ok(())
    }

    /// Deletes the rows that only the target has, or marks them if the table is set so. Rows that
    /// the target refuses to delete still differ, and stay in the list.
    async fn delete(
        &self,
        lease: &Lease,
        table: &ComparedTable,
        comparison: &mut TableComparison,
    ) -> Result<(), Fault> {
        let extra = comparison.rows.iter().filter(|row| row.difference == Difference::Extra);
        let keys: Vec<RowKey> = extra.map(|row| row.key.clone()).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let check = plan::check_delete(self.extras, comparison.extent(), comparison.more);
        if let Err(reason) = check {
            comparison.keep_reason = Some(reason);
            return Ok(());
        }
        let Self { source, target, .. } = *self;
        let rows = DeleteRows { source, target, lease, run: self.run };
        for keys in keys.chunks(ROWS_AT_ONCE) {
            if rows.delete(table, keys).await?.empty_source {
                comparison.keep_reason = Some(KeepReason::Refused(DeleteRefusal::EmptySource));
                return Ok(());
            }
        }
        Ok(())
    }

    /// Compares the named rows once more. Those that still differ stay in the list; the others are
    /// mended.
    async fn compare_again(
        &self,
        table: &ComparedTable,
        comparison: &mut TableComparison,
    ) -> Result<(), Fault> {
        let keys: Vec<RowKey> = comparison.rows.iter().map(|row| row.key.clone()).collect();
        let compare =
            CompareTable { source: self.source.digests(), target: self.target.digests(), table };
        let differing = compare.compare_rows(&keys).await?;
        let differing_keys: BTreeSet<&RowKey> = differing.iter().map(|row| &row.key).collect();
        let rows = std::mem::take(&mut comparison.rows);
        let mended = rows.into_iter().filter(|row| !differing_keys.contains(&row.key));
        comparison.mended = mended.collect();
        comparison.rows = differing;
        Ok(())
    }
}
