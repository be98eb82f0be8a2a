//! Tries rows of which some may be refused: over a connection all at once, behind an API by halves
//! in one call. A call for each half would run all earlier statements of the transaction again.

use std::ops::Range;

use bytes::Bytes;

use super::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::script::halves::Part;
use crate::adapters::postgres::script::{Answer, Halving, Parts, Step, unreadable};
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::transaction::PART;

/// Rows that were tried together.
pub struct Tried<T> {
    /// The positions of the rows.
    pub rows: Range<usize>,
    /// The outcome. An error is the refusal of a row among them, or a lock that somebody holds.
    pub outcome: Result<T, PostgresError>,
}

/// The statements that try rows behind an API.
pub struct ScriptParts<T> {
    /// The statements that try one part, which is their `$2`. The last one returns a row.
    pub steps: Vec<Step>,
    /// All rows. The parts are taken from them.
    pub page: Bytes,
    /// The treatment of a part that is refused.
    pub halving: Halving,
    /// Reads the outcome of a part from that row, with the number of rows in the part.
    pub read: fn(&Row, usize) -> T,
}

impl Session {
    /// Tries rows behind the savepoint `PART`, which `over_wire` and `in_script` set. Returns the
    /// rows that were tried, in their order, and one row at least. The caller tries the others.
    pub async fn try_rows<T>(
        &self,
        rows: Range<usize>,
        over_wire: impl Future<Output = Result<T, PostgresError>>,
        in_script: impl Future<Output = Result<ScriptParts<T>, PostgresError>>,
    ) -> Result<Vec<Tried<T>>, PostgresError> {
        let Some(script) = self.script() else {
            let outcome = row_outcome(over_wire.await)?;
            return Ok(vec![Tried { rows, outcome }]);
        };
        let ScriptParts { steps, page, halving, read } = in_script.await?;
        let ranges = vec![(rows.start + 1, rows.end)];
        let parts = Parts { ranges, steps, halving: Some(halving) };
        let (mut tried, mut next) = (Vec::new(), rows.start);
        for Part { range: (first, last), outcome } in script.in_parts(parts, page).await? {
            if first != next + 1 || last < first || last > rows.end {
                return Err(unreadable("the parts of a page in their order"));
            }
            let outcome = match outcome {
                Err(refused) => row_outcome(Err(PostgresError::Refused(refused)))?,
                Ok(Answer::Rows(counts)) if !counts.is_empty() => Ok(read(&counts[0], last - next)),
                Ok(_) => return Err(unreadable("counts")),
            };
            tried.push(Tried { rows: next..last, outcome });
            next = last;
        }
        match tried.is_empty() {
            true => Err(unreadable("what became of a page's parts")),
            false => Ok(tried),
        }
    }

    /// Tries rows in the same way, and then forgets the savepoint. Rows that were accepted stay.
    pub async fn in_parts<T>(
        &self,
        rows: Range<usize>,
        over_wire: impl Future<Output = Result<T, PostgresError>>,
        in_script: impl Future<Output = Result<ScriptParts<T>, PostgresError>>,
    ) -> Result<Vec<Tried<T>>, PostgresError> {
        let tried = self.try_rows(rows, over_wire, in_script).await?;
        match tried.iter().any(|tried| tried.outcome.is_ok()) {
            true => self.release(PART).await?,
            false => self.undo(PART).await?,
        }
        Ok(tried)
    }
}

/// Separates the refusals of rows, and the locks on them, from the errors that end the transaction.
fn row_outcome<T>(
    outcome: Result<T, PostgresError>,
) -> Result<Result<T, PostgresError>, PostgresError> {
    match outcome {
        Err(error) if !error.is_of_a_lock() => {
            error.refusal_of_a_row().map(|refused| Err(PostgresError::Refused(refused)))
        }
        outcome => Ok(outcome),
    }
}
