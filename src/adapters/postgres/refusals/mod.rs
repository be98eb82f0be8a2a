//! Writes a page's rows into the table, inside a transaction that its caller has begun, and finds
//! those that cannot be written: somebody holds them locked, they wait for another row, or the
//! target refuses them.
//!
//! - `locked_rows`: finds the rows that somebody holds locked
//! - `waiting_rows`: finds the rows that wait for another one
//! - `halving`: finds the rows that are refused

mod halving;
mod locked_rows;
pub mod waiting_rows;

use tokio_postgres::error::SqlState;

use super::apply::{attempt, fresh as fresh_table, parts};
use super::connection::session::Session;
use super::fault::PostgresError;
use super::rows::keys::SplitPage;
use super::script::Halving;
use super::sql::refusal::Refused;
use super::sql::transaction::PART;
use super::state::rejects::rejected_row;
use crate::engine::model::page::Page;
use crate::engine::model::reject::RejectedRow;
use crate::engine::model::run::Tally;
use crate::engine::model::shape::Shape;
use halving::HalvedPage;
use waiting_rows::ReasonedSplit;

/// The most times that a page is tried again without the rows that are locked. Others may be locked
/// meanwhile.
const MOST_PARTINGS: usize = 3;

/// The most times that a page is tried again without the rows that wait. What is left of it may
/// break another constraint.
const MOST_LOOKS: usize = 8;

/// Writes the rows, but for those that somebody holds locked: they are rejected, and tried again
/// like refused ones. A page that was tried as a whole comes with its refusal, and is not tried so
/// again.
pub async fn write(
    session: &Session,
    shape: &Shape,
    page: &Page,
    fresh: bool,
    waiting: Waiting,
    mut refused: Option<Box<Refused>>,
) -> Result<WrittenPage, PostgresError> {
    let (mut page, mut rejects) = (page.clone(), Vec::new());
    for _ in 0..MOST_PARTINGS {
        let refused = refused.take();
        let tried = Box::pin(write_unlocked(session, shape, &page, fresh, waiting, refused));
        let lock_error = match tried.await {
            Err(error) if error.is_of_a_lock() => error,
            written => return written.map(|page| page.with_rejected(rejects)),
        };
        session.roll_back_to(PART).await?;
        let Some(SplitPage { rest, removed }) =
            locked_rows::take_out(session, shape, &page).await?
        else {
            return Err(lock_error);
        };
        let refusal = lock_error.refusal()?;
        rejects.extend(removed.into_iter().map(|key| rejected_row(key, &refusal)));
        page = rest;
    }
    let tried = Box::pin(write_unlocked(session, shape, &page, fresh, waiting, None));
    let written = tried.await?;
    Ok(written.with_rejected(rejects))
}

/// The treatment of rows that wait for other rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Nothing is written where there are any: the error says what they lack.
    Report,
    /// They are rejected, however many they are.
    Reject,
}

/// The outcome of a page's rows.
pub struct WrittenPage {
    /// Their counts.
    pub tally: Tally,
    /// They were copied straight into the table.
    pub straight: bool,
    /// The rows that are to be rejected.
    pub rejects: Vec<RejectedRow>,
}

impl WrittenPage {
    /// Adds rows that were left out before.
    fn with_rejected(mut self, mut left: Vec<RejectedRow>) -> Self {
        self.tally.rejected += left.len() as u64;
        self.rejects.append(&mut left);
        self
    }
}

/// Writes the rows, but for those that the target refuses. Those that wait for another row are
/// taken out together, and what is refused then is found by halving.
async fn write_unlocked(
    session: &Session,
    shape: &Shape,
    page: &Page,
    fresh: bool,
    waiting: Waiting,
    mut refused: Option<Box<Refused>>,
) -> Result<WrittenPage, PostgresError> {
    let (mut page, mut rejects) = (page.clone(), Vec::new());
    for _ in 0..MOST_LOOKS {
        let whole = Box::pin(write_whole(session, shape, &page, fresh, refused.take()));
        let refusal = match whole.await? {
            Ok(page) => return Ok(page.with_rejected(rejects)),
            Err(refusal) => refusal,
        };
        if waiting == Waiting::Report {
            let found = waiting_rows::find(session, shape, &page, &refusal.code).await?;
            match found.lacking(shape, &page)? {
                Some(lacking) => return Err(PostgresError::Waits(lacking)),
                None => break,
            }
        }
        let found = waiting_rows::find_refused(session, shape, &page, &refusal).await?;
        let Some(ReasonedSplit { rest, rejects: removed }) = found.split(shape, &page)? else {
            break;
        };
        rejects.extend(removed);
        page = rest;
    }
    let HalvedPage { tally, broken, waiting } = halving::halves(session, shape, &page).await?;
    let written = WrittenPage { tally, straight: false, rejects: Vec::new() };
    Ok(written.with_rejected(rejects).with_rejected(broken).with_rejected(waiting))
}

/// Writes the rows: straight into a table that was empty, otherwise staged and compared, and once
/// more with the unique values freed that they hand on to each other. The inner error is a row's
/// refusal, which may be known before.
async fn write_whole(
    session: &Session,
    shape: &Shape,
    page: &Page,
    fresh: bool,
    refused: Option<Box<Refused>>,
) -> Result<Result<WrittenPage, Box<Refused>>, PostgresError> {
    let all_in = |tally, straight| Ok(WrittenPage { tally, straight, rejects: Vec::new() });
    if page.rows == 0 {
        return Ok(all_in(Tally::default(), fresh));
    }
    let whole = async {
        if let Some(refused) = refused {
            // What follows is taken back to here, as after a try.
            session.savepoint(PART).await?;
            return Err(PostgresError::Refused(refused));
        }
        if fresh && fresh_table::write(session, shape, page).await? {
            let tally = Tally { inserted: page.rows, ..Tally::default() };
            return Ok(all_in(tally, true));
        }
        let rows = 0..usize::try_from(page.rows).unwrap_or(usize::MAX);
        let over_wire = attempt::upsert_staged(session, shape, page);
        let in_script = parts::of_page(session, shape, page, Halving::none());
        let mut tried = session.try_rows(rows, over_wire, in_script).await?;
        Ok(all_in(tried.swap_remove(0).outcome?, false))
    };
    let refusal = match whole.await {
        Err(error) => PostgresError::refusal_of_a_row(error)?,
        written => return written,
    };
    session.roll_back_to(PART).await?;
    // A step between could look newer than the row that is to follow it.
    if refusal.code == SqlState::UNIQUE_VIOLATION
        && shape.overwrites()
        && let Some(tally) = Box::pin(attempt::upsert_exchange(session, shape, page)).await?
    {
        return Ok(all_in(tally, false));
    }
    Ok(Err(refusal))
}
