//! Reads the records of a pipeline for a person. It creates and changes nothing.

use std::time::SystemTime;

use super::{checkpoints, rejects, rewritten};
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::engine::model::history::{
    RECENT_RUNS, Records, RunRecord, RunStatus, SizePoint, WINDOW_DAYS,
};
use crate::engine::model::run::RunId;

/// Reads the records in one round trip. Returns nothing if there are no state tables yet. Reading
/// must not upgrade the tables of an older version. So a column that they may lack is read through
/// `to_jsonb`, which gives null for it.
pub async fn records(
    session: &Session,
    schema: &str,
    pipeline: &str,
) -> Result<Option<Records>, PostgresError> {
    let [recent, summary, sizes] = statements(&sql::ident(schema));
    let (begin, recent, summary, sizes, rejects, checkpoints, columns, end) = tokio::join!(
        session.begin(Purpose::Look),
        session.query(&recent, [pipeline.into(), i64::from(RECENT_RUNS).into()]),
        session.query(&summary, [pipeline.into(), i64::from(WINDOW_DAYS).into()]),
        session.query(&sizes, [pipeline.into(), i64::from(WINDOW_DAYS).into()]),
        session.ask(rejects::count_rejects(schema, pipeline)),
        session.ask(checkpoints::all_checkpoints(schema, pipeline)),
        session.ask(rewritten::select_columns(schema, pipeline)),
        session.commit(),
    );
    begin?;
    let recent = match recent {
        Err(error) if error.is_of_missing_tables() => return Ok(None),
        recent => recent?,
    };
    let (summary, sizes) = (summary?, sizes?);
    let (rejects, checkpoints, columns) = (rejects?, checkpoints?, columns?);
    end?;
    let mut records = Records {
        recent: recent.iter().filter_map(run).collect(),
        sizes: sizes.iter().map(size).collect(),
        rejected: rejects::read_counts(&rejects),
        checkpoints: checkpoints::read_checkpoints(&checkpoints)?,
        rewritten: rewritten::read_columns(&columns),
        ..Records::default()
    };
    if let Some(row) = summary.first() {
        records.last_success = row.get::<Option<SystemTime>>(0);
        records.ended = row.count(1);
        records.succeeded = row.count(2);
        records.calls = row.count(3);
        records.bytes = row.count(4);
    }
    Ok(Some(records))
}

/// The statements of the last runs, of the sums over the window, and of the sizes in the window.
fn statements(schema: &str) -> [String; 3] {
    let ended = "created_at > now() - $2 * interval '1 day' and sync_status in";
    [
        format!(
            "select run_id, sync_type, to_jsonb(m) ->> 'trigger', sync_status, created_at, ended_at, \
                 records_synced, coalesce((to_jsonb(m) ->> 'api_calls')::int8, 0), error \
             from {schema}.sync_metadata as m where pipeline = $1 order by id desc limit $2"
        ),
        format!(
            "select max(coalesce(ended_at, created_at)) filter \
                     (where sync_status = 'success' and sync_type = 'incremental'), \
                 count(*) filter (where {ended} ('success', 'partial', 'failed', 'interrupted')), \
                 count(*) filter (where {ended} ('success', 'partial')), \
                 coalesce(sum((to_jsonb(m) ->> 'api_calls')::int8) filter \
                     (where created_at > now() - $2 * interval '1 day'), 0)::int8, \
                 pg_database_size(current_database()) \
             from {schema}.sync_metadata as m where pipeline = $1"
        ),
        format!(
            "select created_at, (to_jsonb(m) ->> 'database_bytes')::int8 \
             from {schema}.sync_metadata as m \
             where pipeline = $1 and created_at > now() - $2 * interval '1 day' \
                 and to_jsonb(m) ->> 'database_bytes' is not null \
             order by created_at"
        ),
    ]
}

fn run(row: &Row) -> Option<RunRecord> {
    Some(RunRecord {
        run: RunId::recorded(row.get::<String>(0)),
        kind: row.get(1),
        trigger: row.get(2),
        status: RunStatus::named(&row.get::<String>(3))?,
        began: row.get(4),
        ended: row.get(5),
        rows: row.count(6),
        calls: row.count(7),
        error: row.get(8),
    })
}

fn size(row: &Row) -> SizePoint {
    SizePoint { at: row.get(0), bytes: row.count(1) }
}
