//! Mends what a comparison has named, and nothing else: rows that the target lacks or has otherwise
//! are read from the source by key and written as a sync writes them; rows that only the target has
//! are deleted where that is asked for and nothing speaks against it.
//!
//! It works under the lease. The table's checkpoint is saved as it was: no cursor moves.

use std::collections::BTreeSet;

use super::plan::{self, Extras, Kept};
use super::report::{TableVerified, VerifyReport};
use crate::engine::drive::deletes::{self, Removal};
use crate::engine::drive::fetch;
use crate::engine::drive::manual_run::ManualRun;
use crate::engine::drive::reconcile::{Compare, Compared};
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
const ROWS_AT_ONCE: usize = 32;

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
    /// The fate of the rows that only the target has.
    pub extras: Extras,
}

impl Repair<'_> {
    /// Mends all tables, and says in the report which rows still differ.
    pub async fn tables(
        &self,
        compared: &[Compared],
        report: &mut VerifyReport,
    ) -> Result<(), Fault> {
        let manual = ManualRun {
            id: self.run,
            pipeline: self.pipeline,
            kind: RunKind::Repair,
            ledger: self.ledger,
            meter: self.meter,
        };
        let before = report.faults.len();
        let busy = manual.work(async |lease, checkpoints| {
            self.mend(lease, &checkpoints, compared, report).await;
            report.faults.get(before).map(Fault::chain)
        });
        report.busy = busy.await?;
        Ok(())
    }

    /// Parents are written before their children, and deleted after them.
    async fn mend(
        &self,
        lease: &Lease,
        checkpoints: &Checkpoints,
        compared: &[Compared],
        report: &mut VerifyReport,
    ) {
        let VerifyReport { tables, faults, .. } = report;
        let mut failed = |compared: &Compared, result: Result<(), Fault>| {
            if let Err(fault) = result {
                faults.push(fault.of_table(&compared.source.table));
            }
        };
        for (compared, table) in compared.iter().zip(tables.iter()) {
            let checkpoint = checkpoints.get(&table.table);
            failed(compared, self.write(lease, checkpoint, &compared.source, table).await);
        }
        for (compared, table) in compared.iter().zip(tables.iter_mut()).rev() {
            failed(compared, self.delete(lease, compared, table).await);
        }
        for (compared, table) in compared.iter().zip(tables.iter_mut()) {
            failed(compared, self.compare_again(compared, table).await);
        }
    }

    /// Writes the rows that the target lacks or has otherwise.
    async fn write(
        &self,
        lease: &Lease,
        checkpoint: Option<&Checkpoint>,
        shape: &Shape,
        table: &TableVerified,
    ) -> Result<(), Fault> {
        let keys: Vec<Vec<String>> = table
            .rows
            .iter()
            .filter(|row| row.difference != Difference::Extra)
            .map(|row| row.key.values().to_vec())
            .collect();
        let begun = || Checkpoint { shape: ShapeMark::new(shape), ..Checkpoint::default() };
        let checkpoint = checkpoint.cloned().unwrap_or_else(begun);
        let mut left = &keys[..];
        while !left.is_empty() {
            let values = &left[..left.len().min(ROWS_AT_ONCE)];
            let fetch = Fetch { shape, columns: &shape.key, values };
            let (page, taken) = fetch::first(self.source, &fetch).await?;
            left = &left[taken..];
            let run = self.run;
            let batch = Batch { run, shape, page: &page, checkpoint: &checkpoint, fresh: false };
            if page.rows > 0 {
                self.target.commit(lease, &batch).await?;
            }
        }
        Ok(())
    }

    /// Deletes the rows that only the target has, or marks them where the table is set to that. Rows
    /// that the target does not let go still differ, and stay in the list.
    async fn delete(
        &self,
        lease: &Lease,
        compared: &Compared,
        table: &mut TableVerified,
    ) -> Result<(), Fault> {
        let extra = table.rows.iter().filter(|row| row.difference == Difference::Extra);
        let keys: Vec<RowKey> = extra.map(|row| row.key.clone()).collect();
        if keys.is_empty() {
            return Ok(());
        }
        if let Err(kept) = plan::may_delete(self.extras, table.extent(), table.more) {
            table.kept = Some(kept);
            return Ok(());
        }
        let Self { source, target, .. } = *self;
        let removal = Removal { source, target, lease, run: self.run };
        for keys in keys.chunks(deletes::ROWS_AT_ONCE) {
            if removal.rows(compared, keys).await?.empty_source {
                table.kept = Some(Kept::Refused(DeleteRefusal::EmptySource));
                return Ok(());
            }
        }
        Ok(())
    }

    /// Compares the named rows once more. Those that still differ stay in the list; the others are
    /// mended.
    async fn compare_again(
        &self,
        compared: &Compared,
        table: &mut TableVerified,
    ) -> Result<(), Fault> {
        let keys: Vec<RowKey> = table.rows.iter().map(|row| row.key.clone()).collect();
        let compare =
            Compare { source: self.source.digests(), target: self.target.digests(), compared };
        let left = compare.rows(&keys).await?;
        let named = std::mem::take(&mut table.rows);
        let left_keys: BTreeSet<&RowKey> = left.iter().map(|row| &row.key).collect();
        let mended = named.into_iter().filter(|row| !left_keys.contains(&row.key));
        table.mended = mended.collect();
        table.rows = left;
        Ok(())
    }
}
