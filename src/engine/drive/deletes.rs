//! Finds the rows of the target that are gone from the source, and takes them off it. Whether they
//! may go is decided elsewhere; here each key is asked for in the source right before.

use crate::engine::model::fault::Fault;
use crate::engine::model::lease::Lease;
use crate::engine::model::range::{Comparison, Difference, FilledFrom, KeyRange, RowKey};
use crate::engine::model::run::RunId;
use crate::engine::model::shape::Shape;
use crate::engine::plan::deletes::Extent;
use crate::engine::ports::{Deletion, KeptRow, Source, Target};

use super::reconcile::{Compare, Compared, Found};

/// How many rows go in one transaction: some kilobytes of keys, and few locks at a time.
pub const ROWS_AT_ONCE: usize = 500;

/// A comparison of the keys of a table's two sides.
pub struct Search<'a> {
    source: &'a dyn Source,
    target: &'a dyn Target,
    /// The sides, as they are asked.
    pub compared: Compared,
    /// How many rows they have.
    pub found: Found,
}

/// Keys that one side alone has, or the other has marked.
#[derive(Debug, Default)]
pub struct Differing {
    /// Gone from the source.
    pub gone: Vec<RowKey>,
    /// In the source, and not among the target's rows that are not marked.
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
        let compared = Compared::of(target, shape.keys_only(), None, filled_from).await?;
        let found = Compare { source, target, compared: &compared }.whole().await?;
        Ok(Self { source, target, compared, found })
    }

    /// The next keys that differ, some hundreds at most. Each was looked at twice, and asked for in
    /// the source without the pipeline's condition: a row that merely left the condition is not
    /// gone.
    pub async fn next(&mut self) -> Result<Differing, Fault> {
        let Self { source, target, compared, found } = self;
        let compare = Compare { source: *source, target: *target, compared };
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

    /// What is known of the table, once so many of its rows are known to be gone.
    pub fn extent(&self, gone: u64) -> Extent {
        let (source, target) = (self.found.source.rows, self.found.target.rows);
        Extent { source, target, gone, filtered: self.compared.is_filtered() }
    }
}

/// Those of the keys that the source has no more; none at all if its table is empty.
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
    if source.rows(whole, &[KeyRange::ALL], 0).await?.is_some() {
        return Ok(None);
    }
    let here = source.columns(whole, keys).await?;
    let is_gone = |key: &&RowKey| here.iter().all(|row| row.key != **key);
    Ok(Some(keys.iter().filter(is_gone).cloned().collect()))
}

/// What taking rows off the target needs.
#[derive(Clone, Copy)]
pub struct Removal<'a> {
    /// The side that is asked once more.
    pub source: &'a dyn Source,
    /// The side that they are taken off.
    pub target: &'a dyn Target,
    /// The right to.
    pub lease: &'a Lease,
    /// The run that counts them.
    pub run: &'a RunId,
}

/// What became of rows that were to go.
#[derive(Debug, Default)]
pub struct Removed {
    /// How many went.
    pub rows: u64,
    /// Those that the target keeps, and why.
    pub kept: Vec<KeptRow>,
    /// The source's table was found empty: the rest stayed.
    pub empty_source: bool,
}

impl Removal<'_> {
    /// Takes the rows of these keys off the target that the source still has not: at most
    /// `ROWS_AT_ONCE`, in one transaction.
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
