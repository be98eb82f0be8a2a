//! Samples the transactions that may write during a survey.

use std::collections::BTreeSet;

use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::engine::model::survey::Survey;
use crate::engine::model::writer::{NUMBERED, Writer};

/// The statement that lists the open transactions. `pg_locks` shows every virtual transaction to
/// every role, also those without a transaction id. Prepared transactions have no backend, and
/// stand in a view of their own. Transactions of other databases cannot write into this one, and
/// autovacuum's do not. A transaction becomes visible before it gives up its virtual id, so the
/// rows of a transaction that is not listed are visible.
///
/// A standby's sessions write nothing, and it knows its primary's transactions only by number. A
/// snapshot's `xmin` is the first number that may be open. The next number to begin is not the
/// snapshot's `xmax`, which follows the last transaction that *ended*; the age of a number gives
/// it. The server counts that age once in a transaction, so only the first sample is right.
pub const WRITERS: &str = "\
    select l.virtualtransaction from pg_locks l \
    left join pg_stat_activity a on a.pid = l.pid \
    where not pg_is_in_recovery() and l.locktype = 'virtualxid' and l.pid <> pg_backend_pid() \
    and (a.datname is null or a.datname = current_database()) \
    and a.backend_type is distinct from 'autovacuum worker' \
    union all \
    select 'prepared ' || gid from pg_prepared_xacts \
    where not pg_is_in_recovery() and database = current_database() \
    union all \
    select 'numbers ' || txid_snapshot_xmin(s.now) || ' to ' || txid_snapshot_xmax(s.now) \
        + age((txid_snapshot_xmax(s.now) % 4294967296)::text::xid) \
    from (select txid_current_snapshot() as now) as s where pg_is_in_recovery()";

/// Samples the writers of a standby again, in a transaction of its own: the numbers of its primary
/// are right only in the first sample of a transaction.
pub async fn resample_on_standby(
    session: &Session,
    mut survey: Survey,
) -> Result<Survey, PostgresError> {
    if survey.writers_after.iter().any(|writer| writer.starts_with(NUMBERED)) {
        survey.writers_after = writers(session).await?;
    }
    Ok(survey)
}

/// Samples the writers in a transaction of its own.
pub async fn writers(session: &Session) -> Result<BTreeSet<Writer>, PostgresError> {
    Ok(read_writers(&session.run_in_own_transaction(Purpose::Look, WRITERS, []).await?))
}

/// Reads the writers from the rows of a sample.
pub fn read_writers(rows: &[Row]) -> BTreeSet<Writer> {
    rows.iter().map(|row| row.get(0)).collect()
}
