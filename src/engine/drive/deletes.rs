//! Finds the rows of the target that are gone from the source, and deletes them. `plan/deletes`
//! decides whether they may go; each key is asked for in the source right before.

use crate::engine::model::fault::Fault;
use crate::engine::model::lease::Lease;
use crate::engine::model::range::{Comparison, Difference, FilledFrom, KeyRange, RowKey};
use crate::engine::model::run::RunId;
use crate::engine::model::shape::Shape;
use crate::engine::plan::deletes::Extent;
use crate::engine::ports::{Deletion, KeptRow, Source, Target};

use super::reconcile::{Compare, Compared, Found};

/// The most rows of one transaction: some kilobytes of keys, and few locks at a time.
pub const ROWS_AT_ONCE: usize = 500;

/// A comparison of the keys of a table's two sides.
pub struct Search<'a> {
    source: &'a dyn Source,
    target: &'a dyn Target,
    /// The sides, as they are asked.
    pub compared: Compared,
    /// The rows of each side, and the spans that differ.
    pub found: Found,
}

/// Keys that one side alone has, or the other has marked.
#[derive(Debug, Default)]
pub struct Differing {
    /// The keys that are gone from the source.
    pub gone: Vec<RowKey>,
    /// The keys of the source that are not among the target's rows without a mark.
    pub missing: Vec<RowKey>,
}

impl<'a> Search<'a> {
    /// Digests the keys of both sides, of the rows that the target was filled with.
    pub async fn begin(
        source: &'a dyn Source,
        target: &'a dyn Target,
        shape: &Shape,
        filled_from: Option<FilledFrom>,
    ) -> Result<Self, Fault> {
        let compared = Compared::of(target.digests(), shape.keys_only(), None, filled_from).await?;
        let found =
            Compare { source: source.digests(), target: target.digests(), compared: &compared }
                .whole()
                .await?;
        Ok(Self { source, target, compared, found })
    }

    /// Returns the next keys that differ, some hundreds at most. Each was compared twice, and asked
    /// for in the source without the pipeline's condition: a row that merely left the condition is
    /// not gone.
    pub async fn next(&mut self) -> Result<Differing, Fault> {
        let Self { source, target, compared, found } = self;
        let compare = Compare { source: source.digests(), target: target.digests(), compared };
        let (mut extra, mut missing) = (Vec::new(), Vec::new());
        for row in compare.narrow(found, 1).await? {
            match row.difference {
                Difference::Extra => extra.push(row.key),
                Difference::Missing => missing.push(row.key),
                Difference::Different(_) => {}
            }
        }
        let gone = gone(*source, compared, &extra).await?.unwrap_or_default();
        Ok(Differing { gone, missing })
    }

    /// Returns the extent of the deletes, once so many rows are known to be gone.
    pub fn extent(&self, gone: u64) -> Extent {
        let (source, target) = (self.found.source.rows, self.found.target.rows);
        Extent { source, target, gone, filtered: self.compared.is_filtered() }
    }
}

/// Returns those of the keys that the source has no more; none at all if its table is empty.
pub async fn gone(
    source: &dyn Source,
    compared: &Compared,
    keys: &[RowKey],
) -> Result<Option<Vec<RowKey>>, Fault> {
    if keys.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let whole = Shape { filter: None, ..compared.source.clone() };
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
pub struct Removal<'a> {
    /// The side that is asked once more.
    pub source: &'a dyn Source,
    /// The side that they are deleted from.
    pub target: &'a dyn Target,
    /// The right to delete.
    pub lease: &'a Lease,
    /// The run that counts them.
    pub run: &'a RunId,
}

/// The outcome of a deletion.
#[derive(Debug, Default)]
pub struct Removed {
    /// The number of rows that went.
    pub rows: u64,
    /// The rows that the target keeps, and why.
    pub kept: Vec<KeptRow>,
    /// The source's table was found empty: the rest stayed.
    pub empty_source: bool,
}

impl Removal<'_> {
    /// Deletes the rows of these keys that the source still has not: at most `ROWS_AT_ONCE`, in one
    /// transaction.
    pub async fn rows(&self, compared: &Compared, keys: &[RowKey]) -> Result<Removed, Fault> {
        let Some(keys) = gone(self.source, compared, keys).await? else {
            return Ok(Removed { empty_source: true, ..Removed::default() });
        };
        if keys.is_empty() {
            return Ok(Removed::default());
        }
        let deletion = Deletion { run: self.run, shape: &compared.target, keys: &keys };
        let deleted = self.target.delete(self.lease, &deletion).await?;
        Ok(Removed { rows: deleted.rows, kept: deleted.kept, empty_source: false })
    }
}
