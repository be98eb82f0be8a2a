//! Tries pages in one transaction that is never committed: the database itself says what it would
//! refuse, and each page sees the rows of the pages before.
//!
//! The rows that a trial changes stay locked until its end, as they would be by any long
//! transaction. That is the price of its being exact: constraints, triggers and unique values
//! answer as they will. Behind an API nothing is locked between two calls, and each call does anew
//! what the ones before did: so it ends at some pages.

use async_trait::async_trait;

use super::PostgresTarget;
use super::fault::{PostgresError, to_fault};
use super::pages::Pages;
use super::refusals::{Waiting, WrittenPage, write};
use super::sql::transaction::Purpose;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::page::{PAGE_BYTES, Page};
use crate::engine::model::shape::Shape;
use crate::jobs::gap::ports::{PageOutcome, Rehearsal, Rehearse};

/// The most rows, in bytes, that are tried over an API: four pages, of which the last ones are sent
/// in each of a dozen calls. A call has less than a minute.
const MOST_OVER_API: usize = 4 * PAGE_BYTES;

/// One trial.
struct Trial {
    pages: Pages,
    /// The most bytes that are tried, if there is a limit.
    most_bytes: Option<usize>,
    /// The bytes of the pages so far.
    tried: usize,
}

#[async_trait]
impl Rehearse for PostgresTarget {
    async fn rehearse(&self) -> Result<Box<dyn Rehearsal>, Fault> {
        let session = self.pool.take().await?;
        let begin = async {
            session.begin(Purpose::Write).await?;
            // What waits for the end of the transaction would never be checked.
            session.batch("set constraints all immediate").await
        };
        begin.await.map_err(|error| to_fault(error, Step::Write))?;
        let most_bytes = self.pool.is_project().then_some(MOST_OVER_API);
        Ok(Box::new(Trial { pages: Pages::of(session), most_bytes, tried: 0 }))
    }
}

#[async_trait]
impl Rehearsal for Trial {
    async fn page(&mut self, shape: &Shape, page: &Page) -> Result<PageOutcome, Fault> {
        self.tried += page.bytes.len();
        if self.most_bytes.is_some_and(|most_bytes| self.tried > most_bytes) {
            return Err(too_many().of_table(&shape.table));
        }
        let tried = self.attempt(shape, page).await;
        self.pages.finish(shape, tried).await
    }
}

fn too_many() -> Fault {
    Fault::new(
        Step::Write,
        FaultCode::NoTrial,
        "So many rows cannot be tried over an API",
        "try fewer files at once, name the target by its postgres:// URL, or leave out --dry-run: the \
         import has no such limit",
    )
}

impl Trial {
    async fn attempt(&mut self, shape: &Shape, page: &Page) -> Result<PageOutcome, PostgresError> {
        self.pages.start(shape).await?;
        let session = self.pages.session();
        let WrittenPage { tally, rejects, straight: _ } =
            write(session, shape, page, false, Waiting::Reject, None).await?;
        Ok(PageOutcome { tally, rejected: rejects })
    }
}
