//! The digest of a table's rows, written by the server as those of the copy were.

use std::pin::pin;
use std::time::Duration;

use futures_util::TryStreamExt;

use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::rows::copy_frames;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::transaction::{self, STATEMENT_TIMEOUT};
use crate::engine::model::manifest::RowsDigest;
use crate::engine::model::page::Encoding;
use crate::engine::model::shape::Shape;

/// Digests all rows of the table, if there are so many. All of them are printed, so the time of a
/// statement is not enough.
pub async fn of_table(
    session: &Session,
    shape: &Shape,
    rows: u64,
    left: Option<Duration>,
) -> Result<Option<RowsDigest>, PostgresError> {
    let table = sql::rows_of(&shape.table, shape.target);
    session.batch(&transaction::statement_timeout(left)).await?;
    // A larger table is not counted to its end.
    let most = i64::try_from(rows).unwrap_or(i64::MAX).saturating_add(1);
    let count = format!("select count(*) from (select from {table} limit $1) as r");
    let counted: i64 = session.query(&count, [most.into()]).await?[0].get(0);
    let digest = match u64::try_from(counted) == Ok(rows) && rows > 0 {
        true => Some(printed(session, shape, &table).await?),
        false => None,
    };
    session.batch(&transaction::statement_timeout(Some(STATEMENT_TIMEOUT))).await?;
    Ok(digest)
}

async fn printed(
    session: &Session,
    shape: &Shape,
    table: &str,
) -> Result<RowsDigest, PostgresError> {
    let columns = shape.columns.iter().map(|column| column.name.as_str());
    let columns = sql::prefixed("r.", columns);
    let format = if shape.encoding == Encoding::Binary { "binary" } else { "text" };
    let copy = format!("copy (select {columns} from {table} as r) to stdout (format {format})");
    let mut stream = pin!(session.copy_out(&copy).await?);
    let mut digest = RowsDigest::default();
    // A message is a row.
    while let Some(message) = stream.try_next().await? {
        match (shape.encoding, copy_frames::row_of_message(shape.encoding, &message)) {
            (Encoding::Binary, Some(row)) => digest.add_row(row),
            (_, Some(line)) => digest.add_row(line.strip_suffix(b"\n").unwrap_or(line)),
            (_, None) => {}
        }
    }
    Ok(digest)
}
