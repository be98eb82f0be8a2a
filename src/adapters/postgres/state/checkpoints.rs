//! The checkpoints in `sync_state`.

use super::format::{self, StoredCheckpoint, checkpoint_key, deletes_key};
use super::lease;
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::statement::Statement;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::engine::model::checkpoint::Checkpoint;
use crate::engine::model::lease::Lease;
use crate::engine::model::table::TableName;
use crate::engine::ports::{Checkpoints, NewRun, Settled};

/// Reads the checkpoints of a pipeline. Without state tables there are none.
pub async fn checkpoints(
    session: &Session,
    schema: &str,
    pipeline: &str,
) -> Result<Checkpoints, PostgresError> {
    match session.run_all(Purpose::Look, [all_checkpoints(schema, pipeline)]).await {
        Err(error) if error.is_of_missing_tables() => Ok(Checkpoints::new()),
        rows => rows.and_then(|[rows]| read_checkpoints(&rows)),
    }
}

/// The statement that gives the keys of the records that earlier runs of the same chain saved.
pub fn keys_saved_by_chain(schema: &str, run: &NewRun<'_>) -> Statement {
    let text = format!(
        "select key from {schema}.sync_state \
         where (starts_with(key, $1) or starts_with(key, $5)) and updated_at > \
             (select min(created_at) from {schema}.sync_metadata \
              where pipeline = $2 and chain = $3 and run_id <> $4)",
        schema = sql::ident(schema)
    );
    let values = [
        format::checkpoint_prefix(run.pipeline).into(),
        run.pipeline.into(),
        run.chain.id().into(),
        run.id.as_str().into(),
        deletes_key(run.pipeline, "").into(),
    ];
    Statement::rows(text, values)
}

/// The statement that gives all checkpoints of a pipeline.
pub fn all_checkpoints(schema: &str, pipeline: &str) -> Statement {
    let text = format!(
        "select value::text from {}.sync_state where starts_with(key, $1)",
        sql::ident(schema)
    );
    Statement::rows(text, [format::checkpoint_prefix(pipeline).into()])
}

/// Reads checkpoints from their rows.
pub fn read_checkpoints(rows: &[Row]) -> Result<Checkpoints, PostgresError> {
    rows.iter().map(read_checkpoint).collect()
}

fn read_checkpoint(row: &Row) -> Result<(TableName, Checkpoint), PostgresError> {
    let stored: StoredCheckpoint = serde_json::from_str(&row.get::<String>(0))?;
    Ok(stored.into_model())
}

/// Saves a table's checkpoint, in the transaction that saves the rows below it.
pub async fn save_checkpoint(
    session: &Session,
    schema: &str,
    lease: &Lease,
    table: &TableName,
    checkpoint: &Checkpoint,
) -> Result<(), PostgresError> {
    session.ask(save_statement(schema, lease, table, checkpoint)?).await?;
    Ok(())
}

/// The statement that saves a table's checkpoint.
pub fn save_statement(
    schema: &str,
    lease: &Lease,
    table: &TableName,
    checkpoint: &Checkpoint,
) -> Result<Statement, PostgresError> {
    let text = format!(
        "insert into {}.sync_state (key, value) values ($1, $2::jsonb) \
         on conflict (key) do update set value = excluded.value, updated_at = now()",
        sql::ident(schema)
    );
    let value = serde_json::to_string(&StoredCheckpoint::new(table, checkpoint))?;
    Ok(Statement::write(text, [checkpoint_key(lease.pipeline(), table).into(), value.into()]))
}

/// Saves the checkpoints of several tables in which there was nothing to read.
pub async fn settle(
    session: &Session,
    schema: &str,
    lease: &Lease,
    settled: &[Settled<'_>],
) -> Result<(), PostgresError> {
    let mut keys = Vec::with_capacity(settled.len());
    let mut values = Vec::with_capacity(settled.len());
    for Settled { table, checkpoint } in settled {
        keys.push(checkpoint_key(lease.pipeline(), table));
        values.push(serde_json::to_string(&StoredCheckpoint::new(table, checkpoint))?);
    }
    let text = format!(
        "insert into {}.sync_state (key, value) \
         select k, v::jsonb from unnest($1::text[], $2::text[]) as new(k, v) \
         on conflict (key) do update set value = excluded.value, updated_at = now()",
        sql::ident(schema)
    );
    let statement = Statement::write(text, [keys.into(), values.into()]);
    lease::run_with_proof(session, schema, lease, [statement]).await
}

/// Records that a table's deletes are done, and renews the lease.
pub async fn record_deletes_done(
    session: &Session,
    schema: &str,
    lease: &Lease,
    table: &TableName,
) -> Result<(), PostgresError> {
    let text = format!(
        "insert into {}.sync_state (key, value) values ($1, '{{}}') \
         on conflict (key) do update set updated_at = now()",
        sql::ident(schema)
    );
    let key = deletes_key(lease.pipeline(), &table.to_string());
    lease::run_with_proof(session, schema, lease, [Statement::write(text, [key.into()])]).await
}
