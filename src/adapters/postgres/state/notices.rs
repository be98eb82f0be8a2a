//! The notices that were sent about a pipeline: one row of `sync_state`, compared and swapped.

use super::format::{StoredNotices, notices_key};
use super::tables;
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::engine::model::notice::{NoticeFacts, SentNotices};

/// The rows of a pipeline that were rejected since a time, by their tables.
pub const OF_TABLES: &str = "select table_name, count(*), max(max(first_seen)) over ()::text \
     from STATE.sync_rejects where pipeline = $1 and first_seen > SINCE \
     group by table_name order by table_name";

/// The people of whom a value was rejected since a time.
pub const OF_CONTACTS: &str = "select $1::text, count(*), max(created_at)::text \
     from STATE.sync_conflicts where kind = 'rejected' and status = 'open' \
         and created_at > SINCE and $1 = 'the contacts' \
     having count(*) > 0";

/// Reads the notices that were sent, and by the statement what was rejected for the first time
/// since, in one round trip.
pub async fn read(
    session: &Session,
    schema: &str,
    pipeline: &str,
    rejects: &str,
) -> Result<NoticeFacts, PostgresError> {
    let schema = sql::ident(schema);
    let sent = format!("select value::text from {schema}.sync_state where key = $1");
    let since = format!(
        "coalesce((select (value ->> 'rejects_until')::timestamptz \
             from {schema}.sync_state where key = $2), '-infinity')"
    );
    let rejects = rejects.replace("STATE", &schema).replace("SINCE", &since);
    let (begin, sent, rejects, end) = tokio::join!(
        session.begin(Purpose::Look),
        session.query(&sent, [notices_key(pipeline).into()]),
        session.query(&rejects, [pipeline.into(), notices_key(pipeline).into()]),
        session.commit(),
    );
    begin?;
    let sent = match sent {
        // There are no state tables yet.
        Err(error) if error.is_of_missing_tables() => return Ok(NoticeFacts::default()),
        sent => sent?,
    };
    let rejects = rejects?;
    end?;
    let stored =
        sent.first().map(|row| serde_json::from_str::<StoredNotices>(&row.get::<String>(0)));
    Ok(NoticeFacts {
        sent: stored.transpose()?.map(StoredNotices::into_model),
        newest: rejects.first().map(|row| row.get(2)),
        rejects: rejects.iter().map(|row| (row.get(0), row.count(1))).collect(),
    })
}

/// Replaces the record of sent notices if it is still `before`, and returns whether it was.
pub async fn replace(
    session: &Session,
    schema: &str,
    pipeline: &str,
    before: Option<&SentNotices>,
    after: Option<&SentNotices>,
) -> Result<bool, PostgresError> {
    tables::prepare(session, schema).await?;
    let table = format!("{}.sync_state", sql::ident(schema));
    let text = |sent: Option<&SentNotices>| sent.map(StoredNotices::text).transpose();
    let (before, after) = (text(before)?, text(after)?);
    let statement = match (&before, &after) {
        (None, _) => format!(
            "insert into {table} (key, value) select $1, $3::jsonb \
             where $2::text is null and $3::text is not null \
             on conflict (key) do nothing returning 1"
        ),
        (Some(_), Some(_)) => format!(
            "update {table} set value = $3::jsonb, updated_at = now() \
             where key = $1 and value = $2::jsonb returning 1"
        ),
        (Some(_), None) => format!(
            "delete from {table} where key = $1 and value = $2::jsonb and $3::text is null \
             returning 1"
        ),
    };
    let parameters = [notices_key(pipeline).into(), before.into(), after.into()];
    let rows = session.run_in_own_transaction(Purpose::Write, &statement, parameters).await?;
    Ok(!rows.is_empty())
}
