//! Our state tables: the lease and the checkpoints. The history is beside it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::adapters::postgres::sql::row::Row;
use tokio_postgres::error::SqlState;

use super::{history, rejects, tables};
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::Purpose;
use crate::adapters::postgres::sql::statement::Statement;
use crate::adapters::stored::{
    self, StoredCheckpoint, VERSION, checkpoint_key, deletes_key, lease_key, reconciled_of,
};
use crate::engine::model::checkpoint::Checkpoint;
use crate::engine::model::lease::Lease;
use crate::engine::model::table::TableName;
use crate::engine::ports::{Begun, Checkpoints, NewRun, Opened, Settled};

/// Takes the lease and records the start, in a constant number of round trips once the state
/// tables are there.
pub async fn open(
    session: &Session,
    schema: &str,
    run: &NewRun<'_>,
) -> Result<Opened, PostgresError> {
    prepare(session, schema).await?;
    for _ in 1..MOST_TRIES {
        match one_by_one(session, schema, run).await {
            // Behind an API the transaction is run twice, and whoever had the lease has let it go,
            // or the other way round.
            Err(PostgresError::Changed) => session.roll_back().await?,
            opened => return opened,
        }
    }
    one_by_one(session, schema, run).await
}

/// How often a run is opened anew that others come between: as many as may begin at once.
const MOST_TRIES: usize = 10;

async fn one_by_one(
    session: &Session,
    schema: &str,
    run: &NewRun<'_>,
) -> Result<Opened, PostgresError> {
    session.begin(Purpose::Write).await?;
    // Asked after the lease was waited for: of two deliveries of one message at once, the second
    // sees what the first has done.
    let (taken, finished) = tokio::join!(
        session.ask(take_lease(schema, run)),
        session.ask(history::finished(schema, run))
    );
    let taken = match taken {
        // The holder is saving a page right now and has the row locked.
        Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
            session.roll_back().await?;
            return Ok(Opened::Busy(run.lease.min(ONE_PAGE)));
        }
        taken => taken?,
    };
    if let Some(past) = finished?.first() {
        let past = history::past_run(past)?;
        session.roll_back().await?;
        return Ok(Opened::Finished(past));
    }
    let Some(taken) = taken.first() else {
        let left = lease_left(session, schema, run).await?;
        session.roll_back().await?;
        return Ok(Opened::Busy(left));
    };
    let [close_dead, start] = history::record_start(schema, run);
    let (closed, started, checkpoints, done, set_aside, committed) = tokio::join!(
        session.ask(close_dead),
        session.ask(start),
        session.ask(all_checkpoints(schema, run.pipeline)),
        session.ask(done_by_chain(schema, run)),
        session.ask(rejects::counts(schema, run.pipeline)),
        session.commit(),
    );
    closed?;
    started?;
    let (checkpoints, done, set_aside) = (checkpoints?, done?, set_aside?);
    committed?;
    begun(run, &OpenRows { taken, checkpoints: &checkpoints, done: &done, set_aside: &set_aside })
        .map(Opened::Run)
}

/// What a run begins with, as the statements gave it.
pub struct OpenRows<'a> {
    /// The lease's fence.
    pub taken: &'a Row,
    /// All checkpoints of the pipeline.
    pub checkpoints: &'a [Row],
    /// What earlier slices have saved.
    pub done: &'a [Row],
    /// How many rows are set aside.
    pub set_aside: &'a [Row],
}

/// What a run begins with, read from its rows.
pub fn begun(run: &NewRun<'_>, rows: &OpenRows<'_>) -> Result<Begun, PostgresError> {
    let checkpoints: Checkpoints = read_checkpoints(rows.checkpoints)?;
    let done: BTreeSet<String> = rows.done.iter().map(|row| row.get(0)).collect();
    let set_aside = rejects::counted(rows.set_aside);
    let reconciled = reconciled_of(run.pipeline, &done);
    let done = checkpoints
        .iter()
        .filter(|(table, of)| {
            of.scan.is_none() && done.contains(&checkpoint_key(run.pipeline, table))
        })
        .map(|(table, _)| table.clone())
        .collect();
    let lease = Lease::granted(run.pipeline, rows.taken.get(0));
    Ok(Begun { lease, checkpoints, done, reconciled, rejects: set_aside })
}

/// Makes or upgrades the state tables where that is needed; the versions before and after.
pub async fn prepare(session: &Session, schema: &str) -> Result<(i64, i64), PostgresError> {
    let stored = stored_version(session, schema).await?;
    if stored < VERSION {
        tables::upgrade(session, schema).await?;
    }
    Ok((stored, VERSION.max(stored)))
}

/// Whether the state tables are up to date or may be made by the role.
pub async fn check_place(session: &Session, schema: &str) -> Result<(), PostgresError> {
    if stored_version(session, schema).await? >= VERSION {
        return Ok(());
    }
    if session.script().is_some() {
        return Err(PostgresError::NoState);
    }
    let asked = "select case when to_regnamespace($1) is null \
        then has_database_privilege(current_database(), 'create') \
        else has_schema_privilege(to_regnamespace($1), 'create') end";
    let rows = session.alone(Purpose::Look, asked, [sql::ident(schema).into()]).await?;
    match rows.first().is_some_and(|row| row.get(0)) {
        true => Ok(()),
        false => Err(PostgresError::NoPlace(schema.to_owned())),
    }
}

/// How long a page's transaction usually holds the lease's row, at most.
const ONE_PAGE: Duration = Duration::from_secs(10);

async fn stored_version(session: &Session, schema: &str) -> Result<i64, PostgresError> {
    match session.alone(Purpose::Look, &version_sql(schema), []).await {
        Ok(rows) => Ok(rows.first().map_or(0, |row| row.get(0))),
        Err(error) if is_missing(&error) => Ok(0),
        Err(error) => Err(error),
    }
}

/// The version of the state tables.
pub fn version_sql(schema: &str) -> String {
    format!(
        "select (value ->> 'version')::int8 as version from {}.sync_state where key = 'version'",
        sql::ident(schema)
    )
}

/// Whether the state tables are not there.
pub fn is_missing(error: &PostgresError) -> bool {
    error.code().is_some_and(|code| {
        *code == SqlState::UNDEFINED_TABLE || *code == SqlState::INVALID_SCHEMA_NAME
    })
}

/// Takes the lease if nobody has it or its time is over by this database's clock; the fence grows
/// with every holder.
pub fn take_lease(schema: &str, run: &NewRun<'_>) -> Statement {
    let text = format!(
        "insert into {schema}.sync_state as s (key, value) \
         values ($1, jsonb_build_object('fence', 1, 'run', $2::text, 'seconds', $3::int8, \
             'expires_at', clock_timestamp() + $3::int8 * interval '1 second')) \
         on conflict (key) do update set updated_at = now(), \
             value = excluded.value || jsonb_build_object('fence', (s.value ->> 'fence')::int8 + 1) \
         where (s.value ->> 'expires_at')::timestamptz <= clock_timestamp() \
         returning (value ->> 'fence')::int8",
        schema = sql::ident(schema)
    );
    let values =
        vec![lease_key(run.pipeline).into(), run.id.as_str().into(), seconds(run.lease).into()];
    Statement { text, values }
}

async fn lease_left(
    session: &Session,
    schema: &str,
    run: &NewRun<'_>,
) -> Result<Duration, PostgresError> {
    let statement = format!(
        "select greatest(ceil(extract(epoch from \
             (value ->> 'expires_at')::timestamptz - clock_timestamp())), 1)::int8 \
         from {}.sync_state where key = $1",
        sql::ident(schema)
    );
    let rows = session.query(&statement, [lease_key(run.pipeline).into()]).await?;
    let left = rows.first().map_or(1, |row| row.get::<i64>(0));
    Ok(Duration::from_secs(left.unsigned_abs()))
}

/// The checkpoints as they are; none where there are no state tables yet.
pub async fn checkpoints(
    session: &Session,
    schema: &str,
    pipeline: &str,
) -> Result<Checkpoints, PostgresError> {
    let (begun, read, ended) = tokio::join!(
        session.begin(Purpose::Look),
        session.ask(all_checkpoints(schema, pipeline)),
        session.commit(),
    );
    begun?;
    let read = match read {
        Err(error) if is_missing(&error) => return Ok(Checkpoints::new()),
        read => read?,
    };
    ended?;
    read_checkpoints(&read)
}

/// The keys of what earlier runs of the same chain have saved of tables.
pub fn done_by_chain(schema: &str, run: &NewRun<'_>) -> Statement {
    let text = format!(
        "select key from {schema}.sync_state \
         where (starts_with(key, $1) or starts_with(key, $5)) and updated_at > \
             (select min(created_at) from {schema}.sync_metadata \
              where pipeline = $2 and chain = $3 and run_id <> $4)",
        schema = sql::ident(schema)
    );
    let values = vec![
        stored::checkpoint_prefix(run.pipeline).into(),
        run.pipeline.into(),
        run.chain.id().into(),
        run.id.as_str().into(),
        deletes_key(run.pipeline, "").into(),
    ];
    Statement { text, values }
}

/// All checkpoints of a pipeline.
pub fn all_checkpoints(schema: &str, pipeline: &str) -> Statement {
    let text = format!(
        "select value::text from {}.sync_state where starts_with(key, $1)",
        sql::ident(schema)
    );
    Statement { text, values: vec![stored::checkpoint_prefix(pipeline).into()] }
}

/// The checkpoints, read from their rows.
pub fn read_checkpoints(rows: &[Row]) -> Result<Checkpoints, PostgresError> {
    rows.iter().map(read_checkpoint).collect()
}

fn read_checkpoint(row: &Row) -> Result<(TableName, Checkpoint), PostgresError> {
    let stored: StoredCheckpoint = serde_json::from_str(&row.get::<String>(0))?;
    Ok(stored.into_model())
}

/// Proves inside a transaction that the lease is still ours, and renews it. The row stays locked
/// until the transaction ends, so nobody can take the lease in the middle of a page.
pub async fn prove(session: &Session, schema: &str, lease: &Lease) -> Result<(), PostgresError> {
    if session.ask(proof(schema, lease)).await?.is_empty() {
        return Err(PostgresError::LeaseLost);
    }
    if let Some(script) = session.script() {
        script.renews_by(proof(schema, lease));
    }
    Ok(())
}

/// What gives one row where the lease is still ours, and renews it.
pub fn proof(schema: &str, lease: &Lease) -> Statement {
    let text = format!(
        "update {}.sync_state set updated_at = now(), value = value || \
             jsonb_build_object('expires_at', clock_timestamp() + \
                 (value ->> 'seconds')::int8 * interval '1 second') \
         where key = $1 and (value ->> 'fence')::int8 = $2 returning 1",
        sql::ident(schema)
    );
    Statement { text, values: vec![lease_key(lease.pipeline()).into(), lease.fence().into()] }
}

/// Saves a table's checkpoint, in the transaction that saves the rows it stands for.
pub async fn save_checkpoint(
    session: &Session,
    schema: &str,
    lease: &Lease,
    table: &TableName,
    checkpoint: &Checkpoint,
) -> Result<(), PostgresError> {
    session.ask(saving(schema, lease, table, checkpoint)?).await?;
    Ok(())
}

/// What saves a table's checkpoint.
pub fn saving(
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
    let value = serde_json::to_string(&StoredCheckpoint::of(table, checkpoint))?;
    let values = vec![checkpoint_key(lease.pipeline(), table).into(), value.into()];
    Ok(Statement { text, values })
}

/// Saves the checkpoints of tables in which nothing was to be read, all at once.
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
        values.push(serde_json::to_string(&StoredCheckpoint::of(table, checkpoint))?);
    }
    session.begin(Purpose::Write).await?;
    prove(session, schema, lease).await?;
    let statement = format!(
        "insert into {}.sync_state (key, value) \
         select k, v::jsonb from unnest($1::text[], $2::text[]) as new(k, v) \
         on conflict (key) do update set value = excluded.value, updated_at = now()",
        sql::ident(schema)
    );
    session.query(&statement, [keys.into(), values.into()]).await?;
    session.commit().await
}

/// Remembers that a table's deletes are done, and renews the lease.
pub async fn reconciled(
    session: &Session,
    schema: &str,
    lease: &Lease,
    table: &TableName,
) -> Result<(), PostgresError> {
    let statement = format!(
        "insert into {}.sync_state (key, value) values ($1, '{{}}') \
         on conflict (key) do update set updated_at = now()",
        sql::ident(schema)
    );
    let key = deletes_key(lease.pipeline(), &table.to_string());
    let (begun, proved) =
        tokio::join!(session.begin(Purpose::Write), prove(session, schema, lease));
    begun?;
    proved?;
    let (noted, committed) =
        tokio::join!(session.query(&statement, [key.into()]), session.commit());
    noted?;
    committed
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
