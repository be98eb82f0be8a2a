//! Writes a page into a table that was empty when its scan began, without comparing its rows with
//! the table's. A row that exists already ends the attempt, but not the transaction: it was updated
//! on the source during the scan, or somebody else writes into the table. Row-level security ends
//! the attempt too, because COPY refuses to work under it.

use tokio_postgres::error::SqlState;

use super::stage::{self, STAGED};
use super::straight_copy::{self, StraightCopy};
use super::{foreign_keys, merge, triggers};
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::transaction::PART;
use crate::engine::model::page::Page;
use crate::engine::model::shape::Shape;
use crate::engine::model::trigger::Firing;

/// Writes the rows without a comparison. Returns false, and leaves none of them, if that cannot be.
pub async fn write(session: &Session, shape: &Shape, page: &Page) -> Result<bool, PostgresError> {
    let straight = straight_copy::ask(session, shape).await?;
    let written = if straight.is_safe {
        copy(session, shape, page, &straight).await
    } else if shape.triggers == Firing::Suppress {
        insert(session, shape, page).await
    } else {
        return Ok(false);
    };
    match written {
        Ok(true) => return Ok(true),
        Ok(false) => {}
        Err(error) if may_compare(&error) => {}
        Err(error) => return Err(error),
    }
    session.roll_back_to(PART).await?;
    Ok(false)
}

/// Copies the rows straight into the table. Returns false if a trigger behind them has changed some
/// of its rows: which of the page's they were can be told apart only in a staged page.
async fn copy(
    session: &Session,
    shape: &Shape,
    page: &Page,
    straight: &StraightCopy,
) -> Result<bool, PostgresError> {
    let table = sql::table(&shape.table);
    let path = stage::path_to_operators([shape]);
    let ready = match straight.last_block {
        Some(_) => format!("{}; {path}", triggers::suppress_for_copy(shape)),
        None => path,
    };
    session.attempt(PART, &ready).await?;
    stage::copy_in(session, &table, shape, page).await?;
    if let Some(last_block) = straight.last_block {
        let check = foreign_keys::refuse_copied_orphans(shape, page.rows, 1, last_block);
        session.batch(&format!("{check}; {}", triggers::resume())).await?;
    } else if shape.triggers == Firing::Suppress {
        session.batch(&triggers::resume()).await?;
    }
    if !straight.fires_after {
        return Ok(true);
    }
    Ok(!session.query(straight_copy::HAS_CHANGED_ROWS, [table.into()]).await?[0].get::<bool>(0))
}

/// Inserts the rows while triggers are suppressed, and checks their foreign keys. That needs the
/// rows once more, so they are staged. They are not looked up in the table: a MERGE took a fifth
/// longer.
async fn insert(session: &Session, shape: &Shape, page: &Page) -> Result<bool, PostgresError> {
    stage::stage(session, shape, page).await?;
    let table = sql::table(&shape.table);
    let rewrites = format!("select {} or {}", merge::HAS_ROW_TRIGGER, merge::HAS_AFTER_TRIGGER);
    if session.query(&rewrites, [table.as_str().into()]).await?[0].get(0) {
        return Ok(false);
    }
    let text = insert_sql(shape);
    let check = foreign_keys::refuse_orphans(shape, STAGED);
    let (inserted, checked) = tokio::join!(session.execute(&text), session.batch(&check));
    let inserted = inserted?;
    checked?;
    Ok(inserted == page.rows)
}

/// Says whether a page that fails so may be compared and written instead.
pub fn may_compare(error: &PostgresError) -> bool {
    error.code().is_some_and(|code| {
        *code == SqlState::UNIQUE_VIOLATION || *code == SqlState::FEATURE_NOT_SUPPORTED
    })
}

/// The statement that inserts the staged rows.
pub fn insert_sql(shape: &Shape) -> String {
    let columns = sql::idents(shape.columns.iter().map(|column| column.name.as_str()));
    format!(
        "insert into {table} ({columns}) overriding system value select {columns} from {STAGED}",
        table = sql::table(&shape.table),
    )
}
