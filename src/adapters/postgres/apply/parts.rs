//! The statements that try a page and its parts behind an API.

use super::{foreign_keys, merge, stage};
use crate::adapters::postgres::connection::parts::ScriptParts;
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::rows::json_page;
use crate::adapters::postgres::script::{Halving, Step};
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::statement::{Gives, Statement};
use crate::adapters::postgres::sql::transaction::PART;
use crate::engine::model::page::Page;
use crate::engine::model::run::Tally;
use crate::engine::model::shape::Shape;

/// Creates the stage behind a savepoint, and returns the statements that stage a part and write the
/// rows that differ; the last one returns the counts. All parts are staged in one table: a table
/// that is created and dropped keeps its locks until the transaction ends, and a server has room
/// for some thousands of locks.
pub async fn of_page(
    session: &Session,
    shape: &Shape,
    page: &Page,
    halving: Halving,
) -> Result<ScriptParts<Tally>, PostgresError> {
    session.attempt(PART, &stage::create_stage(shape)).await?;
    let step = |text: &str| Step::new(text.to_owned(), Gives::RowCount);
    let mut steps = vec![
        step(&format!("delete from {} where true", stage::STAGED)),
        step(&json_page::loading(stage::STAGED, shape)),
    ];
    steps.extend(write_steps(shape));
    steps.push(step(&foreign_keys::refuse_orphans(shape, stage::STAGED)));
    steps.push(Step::new(merge::counts_of_settings(shape), Gives::Rows));
    Ok(ScriptParts { steps, page: json_page::members(&page.bytes), halving, read: tally })
}

/// The statements that write the staged rows that differ, and refuse them if a trigger dropped one
/// without an error.
pub fn write_steps(shape: &Shape) -> [Step; 3] {
    let expected = merge::expected_in_settings(shape);
    [
        Statement::rows(expected, [sql::table(&shape.table).into()]).into(),
        Step::new(merge::counted_in_settings(shape), Gives::Rows),
        Step::new(merge::REFUSE_DROPPED.to_owned(), Gives::RowCount),
    ]
}

fn tally(counts: &Row, rows: usize) -> Tally {
    let count = |place: usize| u64::try_from(counts.get::<i64>(place)).unwrap_or(0);
    let (inserted, updated, rewritten) = (count(0), count(1), count(2));
    let unchanged = (rows as u64).saturating_sub(inserted + updated);
    Tally { inserted, updated, unchanged, rewritten, ..Tally::default() }
}
