//! The plan for rows that are gone from the source: the keys of both sides are compared as a run
//! compares them, and nothing is changed.

use std::fmt;

use crate::engine::drive::deletes::CompareKeys;
use crate::engine::model::deletes::Deletes;
use crate::engine::model::fault::Fault;
use crate::engine::model::range::RowKey;
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;
use crate::engine::plan::deletes::{self as plan, DeleteRefusalText, MOST_ROWS};
use crate::engine::plan::lookback;
use crate::engine::ports::{Checkpoints, Source, Target};

use super::request::SyncTables;

/// The most keys of a table that a plan names.
const KEYS_NAMED: usize = 20;

/// The plan for the rows of one table that are gone from the source.
#[derive(Debug)]
pub struct DeletesIntent {
    /// The table.
    pub table: TableName,
    /// Its key's columns.
    pub key: Vec<String>,
    /// The number of rows that are gone.
    pub rows: u64,
    /// The comparison stopped at its limit, and more rows may be gone.
    pub more: bool,
    /// The keys of the first of them.
    pub keys: Vec<RowKey>,
    /// The rows would be marked, and stay.
    pub marks: bool,
    /// The reason why none of them would be deleted, and the remedy.
    pub refusal: Option<String>,
}

/// Finds what a run would do with rows that are gone from the source.
pub async fn deletes(
    job: &SyncTables,
    source: &dyn Source,
    target: &dyn Target,
    shapes: &[Shape],
    checkpoints: &Checkpoints,
) -> Result<Vec<DeletesIntent>, Fault> {
    let mut intents = Vec::new();
    let has_deletes = |shape: &&Shape| *job.pipeline.deletes(&shape.table) != Deletes::Off;
    for shape in shapes.iter().rev().filter(has_deletes) {
        let filled_from = lookback::filled_from(shape, checkpoints.get(&shape.table));
        let mut compare = CompareKeys::start(source, target, shape, filled_from).await?;
        let mut gone = Vec::new();
        while gone.len() as u64 <= MOST_ROWS && !compare.digests.is_narrowed() {
            gone.extend(compare.next().await?.gone);
        }
        let extent = compare.extent(gone.len() as u64);
        let refusal = plan::check(extent, job.cap).err();
        if gone.is_empty() && refusal.is_none() {
            continue;
        }
        gone.truncate(KEYS_NAMED);
        intents.push(DeletesIntent {
            table: shape.table.clone(),
            key: shape.key.clone(),
            rows: extent.gone,
            more: !compare.digests.is_narrowed(),
            keys: gone,
            marks: shape.mark.is_some(),
            refusal: refusal.map(|refusal| {
                format!("{}; {}", DeleteRefusalText(refusal, extent), refusal.remedy())
            }),
        });
    }
    Ok(intents)
}

impl fmt::Display for DeletesIntent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, key, rows, more, keys, marks, refusal } = self;
        let verb = if *marks { "marked" } else { "deleted" };
        let least = if *more { "at least " } else { "" };
        writeln!(f, "{table}: {least}{rows} rows are gone from the source, to be {verb}")?;
        for row in keys {
            let pairs = key.iter().zip(row.values());
            let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}={value}")).collect();
            writeln!(f, "  {}", pairs.join(" "))?;
        }
        if *rows > keys.len() as u64 {
            writeln!(f, "  ...")?;
        }
        refusal.iter().try_for_each(|reason| writeln!(f, "  {reason}"))
    }
}
