//! The rejected rows in `sync_rejects`: how they come in, and how they leave.

use tokio_postgres::error::SqlState;

use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::refusal::Refused;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::statement::Statement;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::engine::model::range::RowKey;
use crate::engine::model::reject::{Reject, RejectedRow};
use crate::engine::model::table::TableName;
use crate::engine::ports::RejectCounts;

/// Returns a row as rejected for the server's refusal: its message, and its detail if it has one.
pub fn rejected_row(key: RowKey, refused: &Refused) -> RejectedRow {
    let reason = match (&refused.code, &refused.detail) {
        (&SqlState::LOCK_NOT_AVAILABLE, _) => {
            "Somebody holds the row locked; it is tried again by every run".to_owned()
        }
        (_, Some(detail)) => format!("{}: {detail}", refused.message),
        (_, None) => refused.message.clone(),
    };
    RejectedRow { key, code: refused.code.code().to_owned(), reason }
}

/// The statement that counts the rejected rows of each table.
pub fn count_rejects(schema: &str, pipeline: &str) -> Statement {
    let text = format!(
        "select table_name, count(*) from {}.sync_rejects where pipeline = $1 group by 1",
        sql::ident(schema)
    );
    Statement::rows(text, [pipeline.into()])
}

/// Reads these counts from their rows.
pub fn read_counts(rows: &[Row]) -> RejectCounts {
    let count = |row: &Row| {
        let table = TableName::parse(&row.get::<String>(0)).ok()?;
        Some((table, row.count(1)))
    };
    rows.iter().filter_map(count).collect()
}

/// Records rejected rows, in the transaction that saves the rest of their page. A row that is
/// recorded already counts another attempt.
pub async fn record(
    session: &Session,
    schema: &str,
    pipeline: &str,
    table: &TableName,
    rejected: &[RejectedRow],
) -> Result<(), PostgresError> {
    if !rejected.is_empty() {
        session.ask(record_statement(schema, pipeline, table, rejected)?).await?;
    }
    Ok(())
}

/// The statement that records rejected rows.
pub fn record_statement(
    schema: &str,
    pipeline: &str,
    table: &TableName,
    rejected: &[RejectedRow],
) -> Result<Statement, PostgresError> {
    let keys = keys_as_json(rejected.iter().map(|row| &row.key))?;
    let codes: Vec<String> = rejected.iter().map(|row| row.code.clone()).collect();
    let reasons: Vec<String> = rejected.iter().map(|row| row.reason.clone()).collect();
    let statement = format!(
        "insert into {}.sync_rejects as r (pipeline, table_name, key, code, reason) \
         select $1, $2, {KEY_OF_JSON}, n.code, n.reason \
         from unnest($3::text[], $4::text[], $5::text[]) as n(key, code, reason) \
         on conflict (pipeline, table_name, key) do update set code = excluded.code, \
             reason = excluded.reason, attempts = r.attempts + 1, last_seen = now()",
        sql::ident(schema)
    );
    let parameters =
        [pipeline.into(), table.to_string().into(), keys.into(), codes.into(), reasons.into()];
    Ok(Statement::write(statement, parameters))
}

/// The expression of a key that travels as JSON. Keys of several columns cannot travel as an array
/// of arrays: these would all need the same length, and do not say where a key ends.
const KEY_OF_JSON: &str = "array(select jsonb_array_elements_text(n.key::jsonb))";

fn keys_as_json<'a>(
    keys: impl Iterator<Item = &'a RowKey>,
) -> Result<Vec<String>, serde_json::Error> {
    keys.map(|key| serde_json::to_string(key.values())).collect()
}

/// Forgets rejected rows: they are in the target now, or deleted from the source, or a person
/// discards them. Returns their number.
pub async fn clear(
    session: &Session,
    schema: &str,
    pipeline: &str,
    table: &TableName,
    keys: &[RowKey],
) -> Result<u64, PostgresError> {
    if keys.is_empty() {
        return Ok(0);
    }
    let rows = session.ask(clear_statement(schema, pipeline, table, keys)?).await?;
    Ok(rows.first().map_or(0, |row| row.count(0)))
}

/// The statement that forgets rejected rows. It gives their number.
pub fn clear_statement(
    schema: &str,
    pipeline: &str,
    table: &TableName,
    keys: &[RowKey],
) -> Result<Statement, PostgresError> {
    let statement = format!(
        "with cleared as (delete from {}.sync_rejects where pipeline = $1 and table_name = $2 \
         and key in (select {KEY_OF_JSON} from unnest($3::text[]) as n(key)) returning 1) \
         select count(*) from cleared",
        sql::ident(schema)
    );
    let keys = keys_as_json(keys.iter())?;
    Ok(Statement::rows(statement, [pipeline.into(), table.to_string().into(), keys.into()]))
}

/// Forgets rejected rows in a transaction of its own, for a person who discards them.
pub async fn discard(
    session: &Session,
    schema: &str,
    pipeline: &str,
    table: &TableName,
    keys: &[RowKey],
) -> Result<u64, PostgresError> {
    session.begin(Purpose::Write).await?;
    let cleared = clear(session, schema, pipeline, table, keys).await?;
    session.commit().await?;
    Ok(cleared)
}

/// Lists the rejected rows of one table or of all. The row that was tried longest ago comes first.
pub async fn list(
    session: &Session,
    schema: &str,
    pipeline: &str,
    table: Option<&TableName>,
    most: u32,
) -> Result<Vec<Reject>, PostgresError> {
    let statement = format!(
        "select table_name, key, code, reason, attempts, first_seen, last_seen \
         from {}.sync_rejects where pipeline = $1 and ($2::text is null or table_name = $2) \
         order by last_seen, table_name, key limit $3",
        sql::ident(schema)
    );
    let table = table.map(ToString::to_string);
    let parameters = [pipeline.into(), table.into(), i64::from(most).into()];
    match session.run_in_own_transaction(Purpose::Look, &statement, parameters).await {
        Ok(rows) => Ok(rows.iter().filter_map(read_reject).collect()),
        // There are no state tables yet, or tables of an older version.
        Err(error) if error.is_of_missing_tables() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn read_reject(row: &Row) -> Option<Reject> {
    Some(Reject {
        table: TableName::parse(&row.get::<String>(0)).ok()?,
        key: RowKey::new(row.get(1)),
        code: row.get(2),
        reason: row.get(3),
        attempts: row.count(4),
        first_seen: row.get(5),
        last_seen: row.get(6),
    })
}
