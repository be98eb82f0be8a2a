//! Takes those rows out of a refused page, all at once, that wait for another row: a parent that
//! the target lacks, or the holder of their unique value. Halving would take a dozen attempts for
//! each of them, and a busy source makes hundreds: children that were inserted while their parents
//! were read.
//!
//! Only the constraint that spoke is looked after; what another one refuses is told by the next
//! attempt. A row stays in the page that would not be written, or whose columns under the
//! constraint stay as they are: no constraint looks at it again.
//!
//! Left to halving are tables whose triggers look at rows before they are inserted: what such a row
//! comes to is told by trying alone.

use std::collections::BTreeMap;

use tokio_postgres::error::SqlState;

use crate::adapters::postgres::apply::row_sql::place;
use crate::adapters::postgres::apply::stage::{self, STAGED};
use crate::adapters::postgres::apply::{foreign_keys, merge, unique_values};
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::rows::keys::{self, SplitPage};
use crate::adapters::postgres::sql::refusal::Refused;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::transaction::PART;
use crate::adapters::postgres::state::rejects::NewReject;
use crate::engine::model::page::Page;
use crate::engine::model::shape::Shape;

/// The most times that a page is looked through, and the most generations of rows each look takes
/// out: a row whose parent is taken out goes, too. A longer line is left to halving.
pub const MOST_LOOKS: usize = 16;

/// A page without the rows that wait.
pub struct ReasonedSplit {
    /// The other rows.
    pub rest: Page,
    /// The rows that were taken out, and why.
    pub out: Vec<NewReject>,
}

/// Parts a page that was refused; none where no row of it waits for another one.
pub async fn part(
    session: &Session,
    shape: &Shape,
    page: &Page,
    refused: &Refused,
) -> Result<Option<ReasonedSplit>, PostgresError> {
    let code = &refused.code;
    let waits = *code == SqlState::FOREIGN_KEY_VIOLATION || *code == SqlState::UNIQUE_VIOLATION;
    if !waits || !merge::takes_copy(session, shape).await? {
        return Ok(None);
    }
    let reasons = match look(session, shape, page, refused).await {
        // A type has no operator on the search path, say, or there is no room for a column.
        Err(error) if error.is_of_the_statement() => BTreeMap::new(),
        looked => looked?,
    };
    session.roll_back_to(PART).await?;
    if reasons.is_empty() {
        return Ok(None);
    }
    let SplitPage { rest, out } = keys::split_at(shape, page, &reasons.keys().copied().collect())?;
    let code = code.code();
    let refusal = |(key, reason)| NewReject { key, code: code.to_owned(), reason };
    Ok(Some(ReasonedSplit {
        rest,
        out: out.into_iter().zip(reasons.into_values()).map(refusal).collect(),
    }))
}

/// Stages the page, and takes the rows out that the constraint refuses: their places, and why.
async fn look(
    session: &Session,
    shape: &Shape,
    page: &Page,
    refused: &Refused,
) -> Result<BTreeMap<i64, String>, PostgresError> {
    stage::stage(session, shape, page).await?;
    // Filled in the order of the rows, which is that of the page.
    let place = place(shape);
    session.batch(&format!("alter table {STAGED} add column {place} serial")).await?;
    let spoke =
        |name: &str| refused.constraint.as_deref().is_none_or(|constraint| constraint == name);
    let mut statements = Vec::new();
    if refused.code == SqlState::FOREIGN_KEY_VIOLATION {
        let foreign_keys = foreign_keys::of_table(session, shape).await?;
        for foreign_key in foreign_keys
            .iter()
            .filter(|foreign_key| foreign_key.readable && spoke(&foreign_key.name))
        {
            statements.push((foreign_key.take_orphans(shape), foreign_key.refusal_words(shape)));
        }
    // Where the newest wins, who keeps a value depends on which rows are written.
    } else if shape.newest_by().is_none() {
        let uniques = unique_values::uniques(session, shape).await?;
        for unique in uniques.iter().filter(|unique| spoke(&unique.name)) {
            statements.push((unique.take_clashes(shape), unique.refusal_words()));
        }
    }
    let mut reasons = BTreeMap::new();
    for _ in 0..MOST_LOOKS {
        let before = reasons.len();
        for (statement, (start, end)) in &statements {
            let taken = session.query(statement, []).await?;
            reasons.extend(taken.iter().map(|row| reason(row, start, end)));
        }
        if reasons.len() == before {
            break;
        }
    }
    Ok(reasons)
}

/// The place of a row that was taken out, and the server's sentence about its values.
fn reason(row: &Row, start: &str, end: &str) -> (i64, String) {
    (row.get(0), format!("{start}{}{end}", row.get::<String>(1)))
}
