//! The history in `sync_metadata`: a row for each run, and one for each message that the queue gave
//! up.

use std::time::SystemTime;

use super::format;
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::statement::Statement;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::engine::model::run::{PastRun, RunEnd, RunId, RunKind, Tally};
use crate::engine::model::table::TableName;
use crate::engine::ports::{ClosedRun, LostMessage, NewRun};

/// The statement that finds the run that did this piece of work before, by its chain and slice. A
/// run that died did not do it. A run that failed did it only if the chain has gone on since.
pub fn find_finished(schema: &str, run: &NewRun<'_>) -> Statement {
    let text = format!(
        "select run_id, sync_status = 'success', later, created_at, \
             coalesce(ended_at, created_at), tables::text, api_calls \
         from {schema}.sync_metadata, (select exists (select from {schema}.sync_metadata \
             where pipeline = $1 and chain = $2 and slice > $3 and sync_status <> 'lost')) \
             as rest (later) \
         where pipeline = $1 and chain = $2 and slice = $3 and (sync_status in ('success', 'partial') \
             or sync_status = 'failed' and later) \
         order by id desc limit 1",
        schema = sql::ident(schema)
    );
    let (chain, slice) = (run.chain.id(), i64::from(run.chain.slice()));
    Statement::rows(text, [run.pipeline.into(), chain.into(), slice.into()])
}

/// Reads that run from its row.
pub fn read_finished(row: &Row) -> Result<PastRun, PostgresError> {
    Ok(PastRun {
        id: RunId::recorded(row.get::<String>(0)),
        done: row.get(1),
        continued: row.get(2),
        began: row.get::<SystemTime>(3),
        ended: row.get::<SystemTime>(4),
        tallies: format::tallies(&row.get::<String>(5))?,
        calls: row.count(6),
    })
}

/// The subquery of the pipeline's last success, which its newest row has. `$2` is the pipeline.
fn last_success(schema: &str) -> String {
    format!(
        "select last_sync_timestamp from {schema}.sync_metadata where pipeline = $2 \
         order by created_at desc limit 1"
    )
}

/// The statements that record the start of a run. Another run of this pipeline that is recorded as
/// running has died, because its lease is ours now.
pub fn record_start(schema: &str, run: &NewRun<'_>) -> [Statement; 2] {
    let schema = sql::ident(schema);
    let close_dead = format!(
        "update {schema}.sync_metadata set sync_status = 'interrupted', ended_at = now(), \
             error = 'The run ended without a word; what it saved stays saved' \
         where pipeline = $1 and sync_status = 'running'"
    );
    let start = format!(
        "insert into {schema}.sync_metadata (run_id, pipeline, sync_type, trigger, sync_status, \
             message_id, retried, schedule_id, chain, slice, last_sync_timestamp) \
         values ($1, $2, $9, $3, 'running', $4, $5, $6, $7, $8, ({last_success}))",
        last_success = last_success(&schema)
    );
    let NewRun { id, pipeline, kind, trigger, chain, delivery, lease: _ } = *run;
    let values = [
        id.as_str().into(),
        pipeline.into(),
        trigger.name().into(),
        delivery.map(|delivery| delivery.message.as_str()).into(),
        delivery.map(|delivery| i64::from(delivery.retried)).into(),
        delivery.and_then(|delivery| delivery.schedule.as_ref()).map(|id| id.as_str()).into(),
        chain.id().into(),
        i64::from(chain.slice()).into(),
        kind.name().into(),
    ];
    [Statement::write(close_dead, [pipeline.into()]), Statement::write(start, values)]
}

/// Adds a page's counts to its run, in the transaction that saves the page's rows. Returns how many
/// rows of the table are rejected now. That number is not a sum, since rejected rows leave again.
pub async fn add_counts(
    session: &Session,
    schema: &str,
    run: &RunId,
    table: &TableName,
    tally: &Tally,
) -> Result<u64, PostgresError> {
    let written = i64::try_from(tally.written()).unwrap_or(i64::MAX);
    let mut statement = add_counts_to(schema, run, table, "$3", "$4");
    statement.values.extend([written.into(), format::counts_json(tally).into()]);
    let rows = session.ask(statement).await?;
    Ok(rows.first().map_or(0, |row| row.count(0)))
}

/// The statement that adds counts to a run. `written` and `counts` are expressions: the number of
/// rows written, and all counts in the form of `format::counts_json`. The statement returns how
/// many rows of the table are rejected.
pub fn add_counts_to(
    schema: &str,
    run: &RunId,
    table: &TableName,
    written: &str,
    counts: &str,
) -> Statement {
    let text = format!(
        "update {schema}.sync_metadata as m set records_synced = records_synced + {written}, \
             tables = jsonb_set(tables, array[$2], \
                 (select jsonb_object_agg(n.name, n.value + \
                     coalesce((m.tables -> $2 ->> n.name)::int8, 0)) \
                     from jsonb_to_recordset({counts}::jsonb) as n(name text, value int8)) \
                 || jsonb_build_object('rejected', (select count(*) from {schema}.sync_rejects as r \
                     where r.pipeline = m.pipeline and r.table_name = $2))) \
         where run_id = $1 returning (tables -> $2 ->> 'rejected')::int8 as rejected",
        schema = sql::ident(schema)
    );
    Statement::rows(text, [run.as_str().into(), table.to_string().into()])
}

/// The statement that records the end of a run, unless the run was recorded as dead meanwhile. It
/// measures the database too, but only once an hour: the server has to visit each of its files.
pub fn record_end(schema: &str, closed: &ClosedRun<'_>) -> Statement {
    let text = format!(
        "update {schema}.sync_metadata as m set sync_status = $2, error = $3, api_calls = $5, \
             ended_at = t.now, last_sync_timestamp = case when $4 then t.now else last_sync_timestamp end, \
             database_bytes = case when $4 and not exists (select from {schema}.sync_metadata as s \
                 where s.pipeline = m.pipeline and s.database_bytes is not null \
                     and s.created_at > now() - interval '1 hour') \
                 then pg_database_size(current_database()) end \
         from (select clock_timestamp() as now) as t \
         where run_id = $1 and sync_status = 'running'",
        schema = sql::ident(schema)
    );
    let values = [
        closed.id.as_str().into(),
        closed.end.name().into(),
        closed.error.into(),
        (closed.end == RunEnd::Success).into(),
        i64::try_from(closed.calls).unwrap_or(i64::MAX).into(),
    ];
    Statement::write(text, values)
}

/// Records a message that the queue gave up. A message that is reported twice is recorded once.
pub async fn record_lost(
    session: &Session,
    schema: &str,
    lost: &LostMessage<'_>,
) -> Result<(), PostgresError> {
    let schema = sql::ident(schema);
    let record = format!(
        "insert into {schema}.sync_metadata (run_id, pipeline, sync_type, trigger, sync_status, \
             message_id, retried, schedule_id, chain, slice, error, ended_at, last_sync_timestamp) \
         values ('lost-' || $1, $2, $9, $3, 'lost', $1, $4, $5, $6, $7, $8, now(), \
             ({last_success})) \
         on conflict (run_id) do nothing",
        last_success = last_success(&schema)
    );
    let LostMessage { pipeline, trigger, chain, delivery, reason } = *lost;
    let message = delivery.message.as_str();
    let parameters = [
        message.into(),
        pipeline.into(),
        trigger.name().into(),
        i64::from(delivery.retried).into(),
        delivery.schedule.as_ref().map(|id| id.as_str()).into(),
        chain.id().into(),
        i64::from(chain.slice()).into(),
        reason.into(),
        RunKind::Incremental.name().into(),
    ];
    session.run_all(Purpose::Write, [Statement::write(record, parameters)]).await?;
    Ok(())
}
