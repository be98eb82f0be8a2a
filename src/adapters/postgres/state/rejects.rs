//! Rows that the target refused: where they are kept, and how they leave.

use tokio_postgres::error::SqlState;

use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::refusal::Refused;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::statement::Statement;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::engine::model::range::RowKey;
use crate::engine::model::reject::Reject;
use crate::engine::model::table::TableName;
use crate::engine::ports::RejectCounts;

/// A row that was just refused.
#[derive(Debug)]
pub struct NewReject {
    /// The row.
    pub key: RowKey,
    /// The SQLSTATE.
    pub code: String,
    /// Why, in the server's words.
    pub reason: String,
}

impl NewReject {
    /// A row that the server spoke of: its message, and its detail where it has one.
    pub fn new(key: RowKey, error: &Refused) -> Self {
        let reason = match (&error.code, &error.detail) {
            (&SqlState::LOCK_NOT_AVAILABLE, _) => {
                "Somebody holds the row locked; it is tried again by every run".to_owned()
            }
            (_, Some(detail)) => format!("{}: {detail}", error.message),
            (_, None) => error.message.clone(),
        };
        Self { key, code: error.code.code().to_owned(), reason }
    }
}

/// The statement that counts the rejected rows of each table.
pub fn counts(schema: &str, pipeline: &str) -> Statement {
    let text = format!(
        "select table_name, count(*) from {}.sync_rejects where pipeline = $1 group by 1",
        sql::ident(schema)
    );
    Statement::rows(text, [pipeline.into()])
}

/// The counts, read from their rows.
pub fn counted(rows: &[Row]) -> RejectCounts {
    let count = |row: &Row| {
        let table = TableName::parse(&row.get::<String>(0)).ok()?;
        Some((table, u64::try_from(row.get::<i64>(1)).unwrap_or(0)))
    };
    rows.iter().filter_map(count).collect()
}

/// Records rejected rows, in the transaction that saves the page they came in. One that is there
/// already counts another attempt.
pub async fn record(
    session: &Session,
    schema: &str,
    pipeline: &str,
    table: &TableName,
    refused: &[NewReject],
) -> Result<(), PostgresError> {
    if refused.is_empty() {
        return Ok(());
    }
    let keys = refused.iter().map(|reject| serde_json::to_string(reject.key.values()));
    let keys: Vec<String> = keys.collect::<Result<_, _>>()?;
    let codes: Vec<String> = refused.iter().map(|reject| reject.code.clone()).collect();
    let reasons: Vec<String> = refused.iter().map(|reject| reject.reason.clone()).collect();
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
    session.ask(Statement::write(statement, parameters)).await?;
    Ok(())
}

/// Arrays of keys of several columns cannot travel as one parameter: an array of arrays must be a
/// rectangle, and says nothing of where a key ends.
const KEY_OF_JSON: &str = "array(select jsonb_array_elements_text(n.key::jsonb))";

/// Lets rows go: they are in the target, or gone from the source, or nobody wants them.
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
    let keys = keys
        .iter()
        .map(|key| serde_json::to_string(key.values()))
        .collect::<Result<Vec<_>, _>>()?;
    let statement = format!(
        "with gone as (delete from {}.sync_rejects where pipeline = $1 and table_name = $2 and key in \
         (select {KEY_OF_JSON} from unnest($3::text[]) as n(key)) returning 1) \
         select count(*) from gone",
        sql::ident(schema)
    );
    let parameters = [pipeline.into(), table.to_string().into(), keys.into()];
    let rows = session.query(&statement, parameters).await?;
    Ok(rows.first().map_or(0, |row| u64::try_from(row.get::<i64>(0)).unwrap_or(0)))
}

/// Lets rows go in a transaction of its own, for a person who asked for it.
pub async fn discard(
    session: &Session,
    schema: &str,
    pipeline: &str,
    table: &TableName,
    keys: &[RowKey],
) -> Result<u64, PostgresError> {
    session.begin(Purpose::Write).await?;
    let gone = clear(session, schema, pipeline, table, keys).await?;
    session.commit().await?;
    Ok(gone)
}

/// The rejected rows of one table or of all, those first that were tried longest ago.
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
    match session.alone(Purpose::Look, &statement, parameters).await {
        Ok(rows) => Ok(rows.iter().filter_map(reject).collect()),
        // There are no state tables yet, or older ones.
        Err(error) if error.is_of_missing_tables() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn reject(row: &Row) -> Option<Reject> {
    Some(Reject {
        table: TableName::parse(&row.get::<String>(0)).ok()?,
        key: RowKey::new(row.get(1)),
        code: row.get(2),
        reason: row.get(3),
        attempts: u64::try_from(row.get::<i64>(4)).unwrap_or(0),
        first_seen: row.get(5),
        last_seen: row.get(6),
    })
}
