//! Everything that is kept of a pipeline, for whoever looks after it: read, and nothing made.

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

/// Reads it in one round trip; none where there are no state tables yet. What an older version's
/// tables lack is read through `to_jsonb`, which has null for it: whoever only looks must not
/// upgrade them.
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
        session.ask(rejects::counts(schema, pipeline)),
        session.ask(checkpoints::all_checkpoints(schema, pipeline)),
        session.ask(rewritten::reading(schema, pipeline)),
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
        set_aside: rejects::counted(&rejects),
        checkpoints: checkpoints::read_checkpoints(&checkpoints)?,
        rewritten: rewritten::read(&columns),
        ..Records::default()
    };
    if let Some(row) = summary.first() {
        records.last_success = row.get::<Option<SystemTime>>(0);
        records.ended = unsigned(row.get(1));
        records.succeeded = unsigned(row.get(2));
        records.calls = unsigned(row.get(3));
        records.bytes = unsigned(row.get(4));
    }
    Ok(Some(records))
}

/// The last runs, sums over the window, and the sizes in it.
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
        rows: unsigned(row.get(6)),
        calls: unsigned(row.get(7)),
        error: row.get(8),
    })
}

fn size(row: &Row) -> SizePoint {
    SizePoint { at: row.get(0), bytes: unsigned(row.get(1)) }
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
