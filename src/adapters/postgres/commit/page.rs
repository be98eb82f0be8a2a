//! One page into the target: rows, checkpoint, counts and lease in one transaction.
//!
//! The order inside it: prove the lease and that the table is still what was agreed on, stage the
//! rows, write those that differ, reject those that are refused, save the checkpoint and the
//! counts, commit. A run whose lease was taken over fails at the first step, a process that dies at
//! any point leaves nothing, and a page that is sent twice finds its rows equal the second time.

use std::collections::BTreeSet;

use super::under_lease::{Constraints, Destination, begin};
use crate::adapters::postgres::apply::merge;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::refusals::{WrittenPage, write};
use crate::adapters::postgres::rows::copy_frames;
use crate::adapters::postgres::rows::keys::key_of;
use crate::adapters::postgres::state::rejects::{self, NewReject};
use crate::adapters::postgres::state::{checkpoints, history};
use crate::engine::model::page::Page;
use crate::engine::model::range::RowKey;
use crate::engine::model::shape::Shape;
use crate::engine::ports::{Batch, Committed, RetriedRows};

/// Saves a batch. A constraint that waits for the end of the transaction speaks when the page is in
/// already; then the page is tried once more, with its constraints checked at once.
pub async fn commit(to: Destination<'_>, batch: &Batch<'_>) -> Result<Committed, PostgresError> {
    match attempt(to, batch, Constraints::AsDeclared).await {
        Err(error) => {
            error.refusal_of_a_row()?;
            to.session.roll_back().await?;
            attempt(to, batch, Constraints::AtOnce).await
        }
        saved => saved,
    }
}

async fn attempt(
    to: Destination<'_>,
    batch: &Batch<'_>,
    constraints: Constraints,
) -> Result<Committed, PostgresError> {
    let Destination { session, schema, lease, .. } = to;
    let Batch { run, shape, page, checkpoint, fresh } = *batch;
    let suppressed = begin(to, shape, constraints).await?;
    // Foreign keys are looked after here then, and that needs the page to be staged.
    let straight = fresh && !suppressed && merge::takes_copy(session, shape).await?;
    let WrittenPage { tally, straight, rejects } = write(session, shape, page, straight).await?;
    let (checkpoint, record, count) = tokio::join!(
        checkpoints::save_checkpoint(session, schema, lease, &shape.table, checkpoint),
        rejects::record(session, schema, lease.pipeline(), &shape.table, &rejects),
        history::count(session, schema, run, &shape.table, &tally),
    );
    checkpoint?;
    record?;
    let mut rejects_left = count?;
    // Rows of earlier pages are rejected, too: some of them may have come with this page.
    if rejects_left > rejects.len() as u64 {
        let accepted = accepted_keys(shape, page, &rejects)?;
        rejects_left -=
            rejects::clear(session, schema, lease.pipeline(), &shape.table, &accepted).await?;
    }
    session.commit().await?;
    Ok(Committed { tally, straight, rejects: rejects_left })
}

/// The keys of a page's rows, but for those that were refused.
fn accepted_keys(
    shape: &Shape,
    page: &Page,
    rejects: &[NewReject],
) -> Result<Vec<RowKey>, PostgresError> {
    let rejects: BTreeSet<&RowKey> = rejects.iter().map(|reject| &reject.key).collect();
    let rows = copy_frames::rows(shape.encoding, &page.bytes)?;
    let keys = rows.into_iter().map(|row| key_of(shape, &page.bytes[row]));
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    Ok(keys.into_iter().filter(|key| !rejects.contains(key)).collect())
}

/// Tries rejected rows again: `page` is what the source still has of `keys`. What goes
/// in, and what is gone, is let go; what is refused again stays.
pub async fn retry(
    to: Destination<'_>,
    again: &RetriedRows<'_>,
) -> Result<Committed, PostgresError> {
    let Destination { session, schema, lease, .. } = to;
    let RetriedRows { run, shape, page, keys } = *again;
    begin(to, shape, Constraints::AtOnce).await?;
    let WrittenPage { tally, straight, rejects } = write(session, shape, page, false).await?;
    let gone: Vec<RowKey> = keys
        .iter()
        .filter(|key| !rejects.iter().any(|reject| reject.key == **key))
        .cloned()
        .collect();
    let (clear, record, count, commit) = tokio::join!(
        rejects::clear(session, schema, lease.pipeline(), &shape.table, &gone),
        rejects::record(session, schema, lease.pipeline(), &shape.table, &rejects),
        history::count(session, schema, run, &shape.table, &tally),
        session.commit(),
    );
    clear?;
    record?;
    let rejects_left = count?;
    commit?;
    Ok(Committed { tally, straight, rejects: rejects_left })
}
