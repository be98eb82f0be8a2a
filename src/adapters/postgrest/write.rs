//! One page into the target over its API: rows first, and the checkpoint after.
//!
//! The order: prove the lease, look at the target's rows, write those that differ, prove the lease
//! once more, set aside those that were refused, save the checkpoint and the counts. A process that
//! dies at any point repeats rows and skips none; rows that are sent twice are found the same the
//! second time.

use std::collections::BTreeSet;

use super::fault::RestError;
use super::lines::{Line, Taken};
use super::put::{Late, Put, Putting};
use super::rejects::{self, Attempts};
use super::target::PostgrestTarget;
use super::target_fault::Refusal;
use super::{history, lease, ledger, present};
use crate::engine::model::lease::Lease;
use crate::engine::model::page::Page;
use crate::engine::model::range::RowKey;
use crate::engine::model::run::Tally;
use crate::engine::model::shape::Shape;
use crate::engine::ports::{Again, Batch, Committed, Deletion};

/// Rows that were put in, and the keys of all that were tried.
struct Tried {
    put: Put,
    keys: Vec<RowKey>,
}

/// Saves a batch.
pub async fn commit(
    of: &PostgrestTarget,
    lease: &Lease,
    batch: &Batch<'_>,
) -> Result<Committed, RestError> {
    let Batch { run: _, shape, page, checkpoint, fresh, end: _ } = *batch;
    let how = How { fresh, late: Late::GivesUp };
    let Tried { put, keys } = put(of, lease, shape, page, how).await?;
    lease::prove(of, lease).await?;
    let set_aside = set_aside(of, lease, shape, &put, &keys).await?;
    ledger::save_checkpoint(of, lease, &shape.table, checkpoint).await?;
    history::count(of, lease, &shape.table, &put.tally, set_aside).await?;
    Ok(Committed { tally: put.tally, straight: put.straight, set_aside, closed: false })
}

/// Tries rows again that were set aside: what goes in, and what is gone from the source, is let go.
pub async fn retry(
    of: &PostgrestTarget,
    lease: &Lease,
    again: &Again<'_>,
) -> Result<Committed, RestError> {
    let Again { run: _, shape, page, keys } = *again;
    let Tried { put, keys: tried } = put(of, lease, shape, page, AGAIN).await?;
    lease::prove(of, lease).await?;
    let keys: Vec<RowKey> = tried.into_iter().chain(keys.iter().cloned()).collect();
    let set_aside = set_aside(of, lease, shape, &put, &keys).await?;
    history::count(of, lease, &shape.table, &put.tally, set_aside).await?;
    Ok(Committed { tally: put.tally, straight: false, set_aside, closed: false })
}

/// Rows of one table may wait for each other and go in with one request. Those of several tables
/// would need a transaction, and stay set aside, as do those that wait for a row to go.
pub async fn retry_together(
    of: &PostgrestTarget,
    lease: &Lease,
    all: &[Again<'_>],
    gone: &[Deletion<'_>],
) -> Result<Vec<Committed>, RestError> {
    let mut saved = Vec::with_capacity(all.len() + gone.len());
    for Again { run: _, shape, page, keys: _ } in all {
        let before = of.held(lease)?.set_aside.get(&shape.table).copied().unwrap_or(0);
        let Tried { put, keys } = put(of, lease, shape, page, AGAIN).await?;
        lease::prove(of, lease).await?;
        // They are no news: those that are refused again were counted when they were tried alone.
        let tally = Tally { rejected: 0, ..put.tally };
        let went_in = Put::default();
        let stay: BTreeSet<&RowKey> = put.staying().map(|(key, _)| key).collect();
        let keys: Vec<RowKey> = keys.into_iter().filter(|key| !stay.contains(key)).collect();
        let set_aside = match keys.is_empty() {
            true => before,
            false => set_aside(of, lease, shape, &went_in, &keys).await?,
        };
        if tally.written() > 0 {
            history::count(of, lease, &shape.table, &tally, set_aside).await?;
        }
        saved.push(Committed { tally, straight: false, set_aside, closed: false });
    }
    for Deletion { shape, .. } in gone {
        let set_aside = of.held(lease)?.set_aside.get(&shape.table).copied().unwrap_or(0);
        saved.push(Committed {
            tally: Tally::default(),
            straight: false,
            set_aside,
            closed: false,
        });
    }
    Ok(saved)
}

/// How a page's rows are put in.
#[derive(Clone, Copy)]
struct How {
    /// The table was empty when the scan began.
    fresh: bool,
    /// What becomes of rows that there is no time for.
    late: Late,
}

/// How rows are that were set aside: no smaller page follows that would have them.
const AGAIN: How = How { fresh: false, late: Late::Leaves };

/// Puts a page's rows in. A column that the target turns out to compute is left to it from then on.
async fn put(
    of: &PostgrestTarget,
    lease: &Lease,
    shape: &Shape,
    page: &Page,
    how: How,
) -> Result<Tried, RestError> {
    let How { fresh, late } = how;
    let lines = Line::of_page(shape, page)?;
    loop {
        let computed = of.computed(&shape.table);
        let taken = Taken { shape, computed: &computed };
        let putting = Putting { of, lease, taken: &taken, late };
        let put = match (lines.is_empty(), fresh) {
            (true, fresh) => {
                lease::prove(of, lease).await?;
                Ok(Put::of_no_rows(fresh))
            }
            (false, true) => {
                lease::prove(of, lease).await?;
                putting.fresh(&lines).await
            }
            (false, false) => {
                let looked =
                    tokio::join!(lease::prove(of, lease), present::look(of, &taken, page, &lines));
                looked.0?;
                let standings = match looked.1 {
                    // A key or a cursor does not fit the target's type: writing tells whose.
                    Err(error) if error.is_of_a_value() => None,
                    standings => Some(standings?),
                };
                let lines: Vec<&Line> = lines.iter().collect();
                putting.compared(&lines, standings.as_deref()).await
            }
        };
        match put {
            Err(RestError::Computed(column)) if !shape.key.contains(&column) => {
                of.is_computed(&shape.table, column);
            }
            put => {
                let keys = lines.into_iter().map(|line| line.key).collect();
                return Ok(Tried { put: put?, keys });
            }
        }
    }
}

/// Sets those aside that were refused, and lets the others of these keys go; how many of the table
/// are set aside then. A table without any, the usual case, costs no call. A row that there was no
/// time for stays as it is if it waits already, so that it is among the first that are tried next
/// time.
async fn set_aside(
    of: &PostgrestTarget,
    lease: &Lease,
    shape: &Shape,
    put: &Put,
    keys: &[RowKey],
) -> Result<u64, RestError> {
    let (table, pipeline) = (&shape.table, lease.pipeline());
    let known = of.held(lease)?.set_aside.get(table).copied().unwrap_or(0);
    if known == 0 && put.staying().next().is_none() {
        return Ok(0);
    }
    let before = match known {
        0 => Attempts::new(),
        _ => rejects::attempts(of, pipeline, table).await?,
    };
    let unknown = put.left.iter().filter(|(key, _)| !before.contains_key(key));
    let refused: Vec<&(RowKey, Refusal)> = put.refused.iter().chain(unknown).collect();
    rejects::set_aside(of, pipeline, table, &refused, &before).await?;
    let stay: BTreeSet<&RowKey> = put.staying().map(|(key, _)| key).collect();
    let leave: BTreeSet<&RowKey> =
        keys.iter().filter(|key| before.contains_key(key) && !stay.contains(key)).collect();
    let leave: Vec<RowKey> = leave.into_iter().cloned().collect();
    rejects::clear(of, pipeline, table, &leave).await?;
    let new = stay.iter().filter(|key| !before.contains_key(key)).count();
    Ok((before.len() - leave.len() + new) as u64)
}
