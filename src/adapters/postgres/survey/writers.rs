//! Samples the transactions that may write while a survey looks.

use std::collections::BTreeSet;

use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::engine::model::survey::Survey;
use crate::engine::model::writer::{NUMBERED, Writer};

/// Lists everybody who has a transaction open. `pg_locks` lists every virtual transaction to every
/// role, those without a transaction id too; prepared ones have no backend and stand in their own
/// view. Transactions of other databases cannot write here, nor do autovacuum's. A transaction
/// becomes visible before it gives up its virtual id, so one that is not listed is visible.
///
/// A standby's sessions write nothing, and its primary's are known to it by number alone: a
/// snapshot's `xmin` is the first that may be open. The next to begin is not the snapshot's `xmax`,
/// which follows the last one that *ended*; it is found by the age of a number. That is counted
/// once a transaction, so it is the truth only in the first sample of one.
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

/// A standby tells the truth of its primary's numbers in the first sample of a transaction alone.
pub async fn past_numbers(session: &Session, mut survey: Survey) -> Result<Survey, PostgresError> {
    if survey.writers_after.iter().any(|writer| writer.starts_with(NUMBERED)) {
        survey.writers_after = writers(session).await?;
    }
    Ok(survey)
}

/// Samples the writers alone, in a transaction of its own.
pub async fn writers(session: &Session) -> Result<BTreeSet<Writer>, PostgresError> {
    Ok(names(&session.alone(Purpose::Look, WRITERS, []).await?))
}

/// Those that a sample lists.
pub fn names(rows: &[Row]) -> BTreeSet<Writer> {
    rows.iter().map(|row| row.get(0)).collect()
}
