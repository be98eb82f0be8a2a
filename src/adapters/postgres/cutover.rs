//! The record of a cutover in `sync_state`, and the sessions that write in the source.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::fault::PostgresError;
use super::source::PostgresSource;
use super::sql;
use super::sql::statement::Statement;
use super::sql::transaction::Purpose;
use super::state::format::lease_key;
use super::target::PostgresTarget;
use crate::engine::model::fault::{Fault, Step as FaultStep};
use crate::jobs::cutover::ports::{
    CutoverRecord, OpenWriter, OpenWriters, PassedStep, Records, Step,
};

/// The statement that lists the sessions which hold locks that only writers take, on tables outside
/// of the catalog. A reader holds none of them, nor does `analyze`, nor most of autovacuum's work.
/// Every role may see the roles of other sessions, but not their statements, so these are not read.
/// Temporary tables do not count: a session that fills one may only read otherwise. A temporary
/// table that was created in the open transaction is not in the catalog yet, so it counts.
const OPEN_WRITERS: &str = "\
    select a.usename::text, coalesce(a.application_name, ''), count(distinct coalesce(l.pid, 0)) \
    from pg_locks l left join pg_stat_activity a on a.pid = l.pid \
    left join pg_class c on c.oid = l.relation \
    where c.relpersistence is distinct from 't' and l.locktype = 'relation' and l.granted and l.relation >= 16384 \
    and l.mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') \
    and l.database = (select oid from pg_database where datname = current_database()) \
    and l.pid is distinct from pg_backend_pid() \
    and a.backend_type is distinct from 'autovacuum worker' and not pg_is_in_recovery() \
    group by 1, 2 order by 1, 2";

/// The stored form of the record.
#[derive(Serialize, Deserialize)]
struct StoredRecord {
    steps: BTreeMap<String, StoredStep>,
    paused: Vec<String>,
    /// The attempt. Older versions did not write it, so it is empty in their records.
    #[serde(default)]
    attempt: String,
}

#[derive(Serialize, Deserialize)]
struct StoredStep {
    /// The time, in seconds since 1970.
    at: u64,
    look: String,
}

impl StoredRecord {
    fn of(record: &CutoverRecord) -> Self {
        let CutoverRecord { passed, paused, attempt } = record;
        let steps = passed.iter().map(|(step, PassedStep { at, state })| {
            let at = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
            (step.name().to_owned(), StoredStep { at, look: state.clone() })
        });
        Self { steps: steps.collect(), paused: paused.clone(), attempt: attempt.clone() }
    }

    fn into_model(self) -> CutoverRecord {
        let passed = self.steps.into_iter().filter_map(|(name, StoredStep { at, look })| {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
            Some((Step::named(&name)?, PassedStep { at, state: look }))
        });
        CutoverRecord { passed: passed.collect(), paused: self.paused, attempt: self.attempt }
    }
}

fn key(pipeline: &str) -> String {
    format!("cutover:{pipeline}")
}

#[async_trait]
impl Records for PostgresTarget {
    async fn load(&self, pipeline: &str) -> Result<Option<CutoverRecord>, Fault> {
        let statement = format!(
            "select value::text from {}.sync_state where key = $1",
            sql::ident(&self.schema)
        );
        let call = self.pool.call(FaultStep::State, None).await?;
        let result = match call
            .run_in_own_transaction(Purpose::Look, &statement, [key(pipeline).into()])
            .await
        {
            Err(error) if error.is_of_missing_tables() => Ok(None),
            Err(error) => Err(error),
            Ok(rows) => {
                let stored = rows.first().map(|row| {
                    let text: String = row.get(0);
                    serde_json::from_str::<StoredRecord>(&text)
                });
                let stored = stored.transpose().map_err(PostgresError::from);
                stored.map(|stored| stored.map(StoredRecord::into_model))
            }
        };
        call.end(result)
    }

    async fn save(
        &self,
        pipeline: &str,
        before: Option<&str>,
        record: &CutoverRecord,
    ) -> Result<bool, Fault> {
        let table = format!("{}.sync_state", sql::ident(&self.schema));
        let statement = match before {
            None => format!(
                "insert into {table} (key, value) select $1, $2::jsonb where $3::text is null \
                 on conflict (key) do nothing returning 1"
            ),
            Some(_) => format!(
                "update {table} set value = $2::jsonb, updated_at = now() \
                 where key = $1 and coalesce(value ->> 'attempt', '') = $3::text returning 1"
            ),
        };
        let value =
            serde_json::to_string(&StoredRecord::of(record)).expect("our own shape is JSON");
        let call = self.pool.call(FaultStep::State, None).await?;
        let before = before.map(str::to_owned);
        let parameters = [key(pipeline).into(), value.into(), before.into()];
        let result = call.run_in_own_transaction(Purpose::Write, &statement, parameters).await;
        let result = result.map(|rows| !rows.is_empty());
        call.end(result)
    }

    async fn forget(&self, pipeline: &str) -> Result<(), Fault> {
        let statement =
            format!("delete from {}.sync_state where key = $1", sql::ident(&self.schema));
        let call = self.pool.call(FaultStep::State, None).await?;
        let statement = Statement::write(statement, [key(pipeline).into()]);
        let result = match call.run_all(Purpose::Write, [statement]).await {
            Err(error) if error.is_of_missing_tables() => Ok(()),
            result => result.map(drop),
        };
        call.end(result)
    }

    async fn lease_left(&self, pipeline: &str) -> Result<Option<Duration>, Fault> {
        let statement = format!(
            "select ceil(extract(epoch from \
                 (value ->> 'expires_at')::timestamptz - clock_timestamp()))::int8 \
             from {}.sync_state where key = $1 \
                 and (value ->> 'expires_at')::timestamptz > clock_timestamp()",
            sql::ident(&self.schema)
        );
        let call = self.pool.call(FaultStep::State, None).await?;
        let parameters = [lease_key(pipeline).into()];
        let result = match call.run_in_own_transaction(Purpose::Look, &statement, parameters).await
        {
            Err(error) if error.is_of_missing_tables() => Ok(None),
            Err(error) => Err(error),
            Ok(rows) => Ok(rows.first().map(|row| {
                let seconds: i64 = row.get(0);
                Duration::from_secs(seconds.max(1).unsigned_abs())
            })),
        };
        call.end(result)
    }
}

#[async_trait]
impl OpenWriters for PostgresSource {
    async fn list(&self) -> Result<Vec<OpenWriter>, Fault> {
        let call = self.pool.call(FaultStep::Read, None).await?;
        let result = call.run_in_own_transaction(Purpose::Look, OPEN_WRITERS, []).await;
        let rows = call.end(result)?;
        let writers = rows.iter().map(|row| {
            let sessions: i64 = row.get(2);
            OpenWriter {
                role: row.get(0),
                application: row.get(1),
                sessions: sessions.unsigned_abs(),
            }
        });
        Ok(writers.collect())
    }
}
