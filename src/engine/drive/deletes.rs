//! Finds the rows of the target that are gone from the source, and deletes them. `plan/deletes`
//! decides whether that is allowed. Right before a delete, each key is looked up in the source.

use crate::engine::model::fault::Fault;
use crate::engine::model::lease::Lease;
use crate::engine::model::range::{Comparison, Difference, FilledFrom, KeyRange, RowKey};
use crate::engine::model::run::RunId;
use crate::engine::model::shape::Shape;
use crate::engine::plan::deletes::Extent;
use crate::engine::ports::{Deleted, Deletion, KeptRow, Source, Target};

use super::reconcile::{CompareTable, ComparedTable, TableDigests};

/// The most rows of one transaction: some kilobytes of keys, and few locks at a time.
pub const ROWS_AT_ONCE: usize = 500;

/// A comparison of the keys of a table's two sides.
pub struct CompareKeys<'a> {
    source: &'a dyn Source,
    target: &'a dyn Target,
    /// The table.
    pub table: ComparedTable,
    /// The digests of both sides.
    pub digests: TableDigests,
}

/// Keys that only one side has. A row that the target has marked as deleted counts as absent there.
#[derive(Debug, Default)]
pub struct KeyDifferences {
    /// The keys that are gone from the source.
    pub gone: Vec<RowKey>,
    /// The keys that only the source has.
    pub missing: Vec<RowKey>,
}

impl<'a> CompareKeys<'a> {
    /// Digests the keys of both sides, within the rows that the target was filled with.
    pub async fn start(
        source: &'a dyn Source,
        target: &'a dyn Target,
        shape: &Shape,
        filled_from: Option<FilledFrom>,
    ) -> Result<Self, Fault> {
        let table =
            ComparedTable::new(target.digests(), shape.keys_only(), None, filled_from).await?;
        let compare =
            CompareTable { source: source.digests(), target: target.digests(), table: &table };
        let digests = compare.digest_table().await?;
        Ok(Self { source, target, table, digests })
    }

    /// Returns the next keys that differ, some hundreds at most. Each was compared twice, and
    /// looked up in the source without the table's condition: a row that merely left the condition
    /// is not gone.
    pub async fn next(&mut self) -> Result<KeyDifferences, Fault> {
        let Self { source, target, table, digests } = self;
        let compare = CompareTable { source: source.digests(), target: target.digests(), table };
        let (mut extra, mut missing) = (Vec::new(), Vec::new());
        for row in compare.name_rows(digests, 1).await? {
            match row.difference {
                Difference::Extra => extra.push(row.key),
                Difference::Missing => missing.push(row.key),
                Difference::Different(_) => {}
            }
        }
        let gone = find_gone(*source, table, &extra).await?.unwrap_or_default();
        Ok(KeyDifferences { gone, missing })
    }

    /// Returns the extent of the deletes if so many rows are gone.
    pub fn extent(&self, gone: u64) -> Extent {
        let (source, target) = (self.digests.source.rows, self.digests.target.rows);
        Extent { source, target, gone, filtered: self.table.is_filtered() }
    }
}

/// Returns those of the keys that the source has no more; none, not even an empty list, if the
/// source's table is empty.
pub async fn find_gone(
    source: &dyn Source,
    table: &ComparedTable,
    keys: &[RowKey],
) -> Result<Option<Vec<RowKey>>, Fault> {
    if keys.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let whole = Shape { filter: None, ..table.source.clone() };
    let whole = Comparison { shape: &whole, settled_to: None, filled_from: None };
    if source.digests().rows(whole, &[KeyRange::ALL], 0).await?.is_some() {
        return Ok(None);
    }
    let rows = source.digests().columns(whole, keys).await?;
    let is_gone = |key: &&RowKey| rows.iter().all(|row| row.key != **key);
    Ok(Some(keys.iter().filter(is_gone).cloned().collect()))
}

/// The context of a deletion.
#[derive(Clone, Copy)]
pub struct DeleteRows<'a> {
    /// The side in which the keys are looked up once more.
    pub source: &'a dyn Source,
    /// The side that rows are deleted from.
    pub target: &'a dyn Target,
    /// The right to delete.
    pub lease: &'a Lease,
    /// The run that counts the rows.
    pub run: &'a RunId,
}

/// The outcome of a deletion.
#[derive(Debug, Default)]
pub struct DeleteOutcome {
    /// The number of rows that were deleted.
    pub rows: u64,
    /// The rows that the target keeps, with the reasons.
    pub kept: Vec<KeptRow>,
    /// The source's table is empty now, so that no row was deleted.
    pub empty_source: bool,
}

impl DeleteRows<'_> {
    /// Deletes the rows of these keys that the source still lacks: at most `ROWS_AT_ONCE`, in one
    /// transaction.
    pub async fn delete(
        &self,
        table: &ComparedTable,
        keys: &[RowKey],
    ) -> Result<DeleteOutcome, Fault> {
        let Some(keys) = find_gone(self.source, table, keys).await? else {
            return Ok(DeleteOutcome { empty_source: true, ..DeleteOutcome::default() });
        };
        if keys.is_empty() {
            return Ok(DeleteOutcome::default());
        }
        let deletion = Deletion { run: self.run, shape: &table.target, keys: &keys };
        let Deleted { rows, kept } = self.target.delete(self.lease, &deletion).await?;
        Ok(DeleteOutcome { rows, kept, empty_source: false })
    }
}
