//! One page into the target: rows, checkpoint, counts and lease in one transaction.
//!
//! The order inside it: prove the lease and that the table is still what was agreed on, stage the
//! rows, write those that differ, reject those that are refused, save the checkpoint and the
//! counts, commit. A run whose lease was taken over fails at the first step, a process that dies at
//! any point leaves nothing, and a page that is sent twice finds its rows equal the second time.

use std::collections::BTreeSet;

use super::under_lease::{Constraints, Destination, begin};
use crate::adapters::postgres::fault::{Lacking, PostgresError};
use crate::adapters::postgres::refusals::{self, Waiting, WrittenPage};
use crate::adapters::postgres::rows::keys;
use crate::adapters::postgres::sql::refusal::Refused;
use crate::adapters::postgres::state::{checkpoints, history, rejects, rewritten};
use crate::engine::model::page::Page;
use crate::engine::model::range::RowKey;
use crate::engine::model::reject::RejectedRow;
use crate::engine::model::shape::Shape;
use crate::engine::ports::{Batch, Committed, RetriedRows, Saved};

/// Ends an attempt: where rows of the page wait for others nothing of it is kept, and the answer
/// says what they lack.
pub async fn saved(
    to: Destination<'_>,
    written: Result<Committed, PostgresError>,
) -> Result<Saved, PostgresError> {
    match written {
        Ok(committed) => Ok(Saved::All(committed)),
        Err(PostgresError::Waits(lacking)) => {
            to.session.roll_back().await?;
            Ok(match lacking {
                Lacking::Parents(orphans) => Saved::LackParents(orphans),
                Lacking::Holders => Saved::LackHolders,
            })
        }
        Err(error) => Err(error),
    }
}

/// Saves a batch. A constraint that waits for the end of the transaction speaks when the page is in
/// already; then the page is tried once more, with its constraints checked at once. `refused` is
/// the refusal of the whole page if it was tried before.
pub async fn commit(
    to: Destination<'_>,
    batch: &Batch<'_>,
    waiting: Waiting,
    refused: Option<Box<Refused>>,
) -> Result<Committed, PostgresError> {
    match Box::pin(write(to, batch, waiting, refused, Constraints::AsDeclared)).await {
        Err(error) => {
            error.refusal_of_a_row()?;
            to.session.roll_back().await?;
            Box::pin(write(to, batch, waiting, None, Constraints::AtOnce)).await
        }
        saved => saved,
    }
}

async fn write(
    to: Destination<'_>,
    batch: &Batch<'_>,
    waiting: Waiting,
    refused: Option<Box<Refused>>,
    constraints: Constraints,
) -> Result<Committed, PostgresError> {
    let Destination { session, schema, lease } = to;
    let Batch { run, shape, page, checkpoint, fresh } = *batch;
    let begin = begin(to, shape, constraints);
    let write = Box::pin(refusals::write(session, shape, page, fresh, waiting, refused));
    let ((), written) = session.in_turn(begin, write).await?;
    let WrittenPage { tally, straight, rejects } = written;
    if tally.rewritten > 0 {
        session.ask(rewritten::record_columns(schema, lease.pipeline(), shape)).await?;
    }
    let (saved, kept, counted) = tokio::join!(
        checkpoints::save_checkpoint(session, schema, lease, &shape.table, checkpoint),
        rejects::record(session, schema, lease.pipeline(), &shape.table, &rejects),
        history::add_counts(session, schema, run, &shape.table, &tally),
    );
    saved?;
    kept?;
    let rejects = clear_accepted(to, shape, page, &rejects, counted?).await?;
    session.commit().await?;
    Ok(Committed { tally, straight, rejects })
}

/// Lets those rows of a page go that were rejected before and are accepted now; returns how many of
/// the table's rows are rejected still. Rows of earlier pages are, too, and some of them may have
/// come with this page.
async fn clear_accepted(
    Destination { session, schema, lease, .. }: Destination<'_>,
    shape: &Shape,
    page: &Page,
    refused: &[RejectedRow],
    rejects: u64,
) -> Result<u64, PostgresError> {
    if rejects <= refused.len() as u64 {
        return Ok(rejects);
    }
    let refused: BTreeSet<&RowKey> = refused.iter().map(|reject| &reject.key).collect();
    let mut accepted = keys::page_keys(shape, page)?;
    accepted.retain(|key| !refused.contains(key));
    let pipeline = lease.pipeline();
    let cleared = rejects::clear(session, schema, pipeline, &shape.table, &accepted).await?;
    Ok(rejects.saturating_sub(cleared))
}

/// Tries rejected rows again: `page` is what the source still has of `keys`. What goes
/// in, and what is gone, is let go; what is refused again stays. `refused` is the refusal of the
/// whole page if it was tried before.
pub async fn retry(
    to: Destination<'_>,
    again: &RetriedRows<'_>,
    waiting: Waiting,
    refused: Option<Box<Refused>>,
) -> Result<Committed, PostgresError> {
    let Destination { session, schema, lease } = to;
    let RetriedRows { run, shape, page, keys, fresh } = *again;
    let begin = begin(to, shape, Constraints::AtOnce);
    let write = Box::pin(refusals::write(session, shape, page, fresh, waiting, refused));
    let ((), written) = session.in_turn(begin, write).await?;
    let WrittenPage { tally, straight, rejects } = written;
    let rejected: BTreeSet<&RowKey> = rejects.iter().map(|reject| &reject.key).collect();
    let gone: Vec<RowKey> = keys.iter().filter(|key| !rejected.contains(key)).cloned().collect();
    let (cleared, kept, counted) = tokio::join!(
        rejects::clear(session, schema, lease.pipeline(), &shape.table, &gone),
        rejects::record(session, schema, lease.pipeline(), &shape.table, &rejects),
        history::add_counts(session, schema, run, &shape.table, &tally),
    );
    cleared?;
    kept?;
    let mut left = counted?;
    // Otherwise the keys are those of the page, and maybe more.
    if keys.is_empty() {
        left = clear_accepted(to, shape, page, &rejects, left).await?;
    }
    session.commit().await?;
    Ok(Committed { tally, straight, rejects: left })
}
