//! Pages of several tables in one transaction: those of a trial, and those of a copy.
//!
//! Each page is behind a savepoint. What the page before it has set in the transaction is set back
//! first: triggers fire, and types are named under the pinned path.
//!
//! There is one stage for all pages of a table. A server keeps the locks and the files of a table
//! that was dropped until the transaction ends. So with a stage for each page a copy of some
//! gigabytes would use up the table of locks, and be on the disk once more. The stage is made, and
//! emptied before each page, outside of all savepoints: a server truncates a table at once that was
//! made at the same level, and keeps the file otherwise.

use super::apply::stage::{self, STAGED};
use super::apply::triggers;
use super::catalog::agreement;
use super::connection::session::Session;
use super::fault::{PostgresError, to_fault};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::range::Side;
use crate::engine::model::shape::Shape;
use crate::engine::model::trigger::Firing;

const PINNED_PATH: &str = "set local search_path = pg_catalog, pg_temp";

/// The savepoint before each page.
const PAGE: &str = "page";

/// A transaction in which pages are written. Its connection is not given back: the server undoes
/// the transaction when it is dropped.
pub struct Pages {
    session: Session,
    /// A page has suppressed triggers.
    suppressed: bool,
    /// The shape that the stage has.
    staged: Option<Shape>,
}

impl Pages {
    /// Takes a connection in which a transaction has begun.
    pub fn of(session: Session) -> Self {
        session.keep_stage();
        Self { session, suppressed: false, staged: None }
    }

    /// The connection.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Prepares the transaction for rows of a table, and holds the table to its agreement.
    pub async fn start(&mut self, shape: &Shape) -> Result<(), PostgresError> {
        let session = &self.session;
        let settings = self.settings();
        let has_columns_of =
            |staged: &Shape| staged.table == shape.table && staged.columns == shape.columns;
        if self.staged.as_ref().is_some_and(has_columns_of) {
            return self.savepoint_after(&format!("{settings}truncate {STAGED}")).await;
        }
        self.savepoint_after(&settings).await?;
        agreement::enforce(session, shape, Side::Target).await?;
        if !session.keeps_stage() {
            return Ok(());
        }
        // The table is locked now, so that nothing keeps its stage from being made.
        session.release(PAGE).await?;
        let emptying = self.staged.as_ref().map(|_| format!("truncate {STAGED}; "));
        let stage = emptying.unwrap_or_default() + &stage::stage_table(shape);
        self.savepoint_after(&stage).await?;
        self.staged = Some(shape.clone());
        Ok(())
    }

    /// Runs statements and sets the savepoint of a page behind them.
    async fn savepoint_after(&self, statements: &str) -> Result<(), PostgresError> {
        let (prepared, saved) =
            tokio::join!(self.session.prepare(statements), self.session.savepoint(PAGE));
        prepared.and(saved)
    }

    /// Keeps or undoes what was done for a page since its start.
    pub async fn finish<T>(
        &mut self,
        shape: &Shape,
        written: Result<T, PostgresError>,
    ) -> Result<T, Fault> {
        self.suppressed |= shape.triggers == Firing::Suppress;
        let ended = match written {
            Ok(written) => self.session.release(PAGE).await.map(|()| written),
            // Where the connection is gone, both say so, and the first has the reason.
            Err(error) => match self.session.roll_back_to(PAGE).await {
                Err(gone) if error.code().is_some() && gone.code().is_none() => Err(gone),
                _ => Err(error),
            },
        };
        ended.map_err(|error| to_fault(error, Step::Write).of_table(&shape.table))
    }

    /// Sets back what the last page has set.
    pub fn settings(&self) -> String {
        let firing = if self.suppressed { triggers::resume() } else { String::new() };
        format!("{firing}{PINNED_PATH}; ")
    }
}
