//! All pages of a table into the target, in one transaction: rows may point to rows of the same
//! table that come in a later page.
//!
//! The pages are copied straight into the table if the role may suppress the server's triggers, and
//! one statement checks each foreign key at the end. Otherwise the pages are staged, and one
//! statement inserts all of them: the server checks foreign keys behind each statement, a row at a
//! time, so they may be fewer.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::Receiver;

use super::under_lease::{Constraints, Destination, begin};
use crate::adapters::postgres::apply::stage::{self, STAGED};
use crate::adapters::postgres::apply::straight_copy::{self, StraightCopy};
use crate::adapters::postgres::apply::{foreign_keys, fresh, triggers};
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::transaction::{
    IDLE_TIMEOUT, STATEMENT_TIMEOUT, statement_timeout,
};
use crate::adapters::postgres::state::{checkpoints, history, lease};
use crate::engine::model::run::Tally;
use crate::engine::model::shape::Shape;
use crate::engine::ports::{Committed, Load, LoadPage};

/// The most bytes that are staged.
const MOST_STAGED_BYTES: usize = 16 << 20;

/// The most time that a page may take to come: the server ends a transaction that waits for longer.
const MOST_WAIT: Duration = Duration::from_secs(IDLE_TIMEOUT.as_secs() * 3 / 4);

/// Asks whether no trigger fires.
const IS_SUPPRESSED: &str = "select current_setting('session_replication_role') = 'replica'";

/// Writes the pages. None where nothing was saved.
pub async fn all_pages(
    to: Destination<'_>,
    load: &Load<'_>,
    pages: Receiver<LoadPage>,
) -> Result<Option<Committed>, PostgresError> {
    let saved = match Box::pin(write(to, load, pages)).await {
        Err(error) if fresh::may_compare(&error) => None,
        Err(error) => error.refusal_of_a_row().map(|_| None)?,
        Ok(saved) => saved,
    };
    if saved.is_none() {
        to.session.roll_back().await?;
    }
    Ok(saved)
}

async fn write(
    to: Destination<'_>,
    load: &Load<'_>,
    mut pages: Receiver<LoadPage>,
) -> Result<Option<Committed>, PostgresError> {
    let Destination { session, schema, lease: own } = to;
    let Load { run, shape, time } = *load;
    let end = Instant::now() + time;
    begin(to, shape, Constraints::AsDeclared).await?;
    limit_statements(session, end).await?;
    let straight = straight_copy::ask(session, shape).await?;
    if !straight.is_safe || straight.fires_after {
        return Ok(None);
    }
    let into = table_for_pages(session, shape, &straight).await?;
    let (mut rows, mut bytes, mut copies) = (0, 0, 0);
    let checkpoint = loop {
        let next = tokio::time::timeout(left(end).min(MOST_WAIT), pages.recv());
        let Ok(Some(LoadPage { page, checkpoint, is_last })) = next.await else {
            return Ok(None);
        };
        bytes += page.bytes.len();
        if into == STAGED && bytes > MOST_STAGED_BYTES {
            return Ok(None);
        }
        stage::copy_in(session, &into, shape, &page).await?;
        rows += page.rows;
        copies += 1;
        if is_last {
            break checkpoint;
        }
    };
    limit_statements(session, end).await?;
    match straight.last_block.filter(|_| into != STAGED) {
        Some(last_block) => {
            let check = foreign_keys::refuse_copied_orphans(shape, rows, copies, last_block);
            session.batch(&format!("{check}; {}", triggers::resume())).await?;
        }
        None if into != STAGED => session.batch(&triggers::resume()).await?,
        None if session.execute(&fresh::insert_sql(shape)).await? != rows => return Ok(None),
        None => {}
    }
    let tally = Tally { inserted: rows, ..Tally::default() };
    // Another run may have taken the lease over.
    let (proved, saved, rejects) = tokio::join!(
        lease::prove(session, schema, own),
        checkpoints::save_checkpoint(session, schema, own, &shape.table, &checkpoint),
        history::add_counts(session, schema, run, &shape.table, &tally),
    );
    proved?;
    saved?;
    // One of these rows may be among the rejected ones: the other way tells.
    if rejects? > 0 {
        return Ok(None);
    }
    session.commit().await?;
    Ok(Some(Committed { tally, straight: true, rejects: 0 }))
}

/// Returns the table that the pages are copied into: their own, with triggers suppressed, or a new
/// stage.
async fn table_for_pages(
    session: &Session,
    shape: &Shape,
    straight: &StraightCopy,
) -> Result<String, PostgresError> {
    if straight.last_block.is_some() {
        session.batch(&triggers::suppress_for_copy(shape)).await?;
    }
    let path = stage::path_to_operators([shape]);
    if session.query(IS_SUPPRESSED, []).await?[0].get(0) {
        session.prepare(&path).await?;
        return Ok(sql::table(&shape.table));
    }
    session.prepare(&format!("{}{path}", stage::stage_table(shape))).await?;
    Ok(STAGED.to_owned())
}

/// Gives the statements that follow the time that is left.
async fn limit_statements(session: &Session, end: Instant) -> Result<(), PostgresError> {
    session.batch(&statement_timeout(Some(left(end).min(STATEMENT_TIMEOUT)))).await
}

fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}
