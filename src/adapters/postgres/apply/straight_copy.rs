//! Asks whether a page may be copied straight into its table, and what has to be looked at then.

use super::merge::HAS_AFTER_TRIGGER;
use super::triggers;
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::engine::model::shape::Shape;
use crate::engine::model::trigger::Firing;

/// Asks whether rows that are inserted need a stage, whether triggers fire after them, and whether
/// ordinary triggers are suppressed. They need a stage where triggers fire for them before each
/// row: rows that those drop or write otherwise can be told apart only in a staged page. And they
/// do where a trigger fires after them and nothing counts the rows that it changes.
const COPYING: &str = "\
    select later.fires and not current_setting('track_counts')::bool or exists (\
            select from pg_catalog.pg_trigger as t where (t.tgrelid = $1::pg_catalog.regclass \
            or t.tgrelid in (select relid from pg_catalog.pg_partition_tree($1::pg_catalog.regclass))) \
            and not (t.tgisinternal and t.tgconstraint <> 0) and t.tgtype & 7 = 7 \
            and t.tgenabled <> 'D' and not (t.tgenabled = 'O' and role.is_replica)), \
        later.fires, role.is_replica \
    from (select HAS_AFTER_TRIGGER as fires) as later, \
        (select current_setting('session_replication_role') = 'replica' as is_replica) as role";

/// Asks whether the foreign keys of rows that are copied may be checked together, by one statement
/// for each, with the server's triggers suppressed: those look up one parent at a time, which takes
/// longer than the COPY itself. They may where no other trigger would be suppressed for that, or
/// all are already, and where the rows can be found again at the table's end (from version 14 on).
/// A foreign key over periods compares otherwise, and one that can wait may do so for later pages.
/// The number is that of the table's last block. The last answer says whether there is a foreign
/// key.
const CHECKED_TOGETHER: &str = "\
    select current_setting('server_version_num')::int4 >= 140000 and c.relkind = 'r' \
        and exists (select from pg_catalog.pg_constraint as f where f.conrelid = c.oid and f.contype = 'f') \
        and not exists (select from pg_catalog.pg_constraint as f where f.conrelid = c.oid and f.contype = 'f' \
            and (f.condeferrable or pg_catalog.to_jsonb(f) ->> 'conperiod' = 'true')) \
        and (current_setting('session_replication_role') = 'replica' \
            or not exists (select from pg_catalog.pg_trigger as t where t.tgrelid = c.oid \
                and not (t.tgisinternal and t.tgconstraint <> 0) and t.tgenabled <> 'D' and t.tgtype & 4 = 4)), \
        greatest(pg_catalog.pg_relation_size(c.oid) / current_setting('block_size')::int8 - 1, 0), \
        exists (select from pg_catalog.pg_constraint as f where f.contype = 'f' and (f.conrelid = c.oid \
            or f.conrelid in (select relid from pg_catalog.pg_partition_tree(c.oid)))) \
    from pg_catalog.pg_class as c where c.oid = $1::pg_catalog.regclass";

/// Asks whether this transaction has updated or deleted rows of the table, or tried to.
pub const HAS_CHANGED_ROWS: &str = "\
    select coalesce(sum(pg_catalog.pg_stat_get_xact_tuples_updated(oid) \
        + pg_catalog.pg_stat_get_xact_tuples_deleted(oid)), 0) > 0 \
    from pg_catalog.pg_class where oid = $1::pg_catalog.regclass or oid in (\
        select relid from pg_catalog.pg_partition_tree($1::pg_catalog.regclass))";

/// The server's answer about a COPY straight into a table.
pub struct StraightCopy {
    /// It can be. The server checks the foreign keys then, unless they are checked together.
    pub is_safe: bool,
    /// Triggers fire after the rows and may change them.
    pub fires_after: bool,
    /// The table's last block before, if the foreign keys may be checked together.
    pub last_block: Option<i64>,
}

/// Asks whether rows can be copied straight into the table, and how they are checked then. Triggers
/// that the plan suppresses are suppressed first, if some fire for inserts: most that both sides
/// have fire for updates alone, and are in nobody's way.
pub async fn ask(session: &Session, shape: &Shape) -> Result<StraightCopy, PostgresError> {
    let table = [sql::table(&shape.table).into()];
    let suppressing = triggers::suppress_for_inserts(shape);
    let (suppressed, answer, together) = tokio::join!(
        async {
            match suppressing.as_str() {
                "" => Ok(()),
                suppressing => session.batch(suppressing).await,
            }
        },
        ask_triggers(session, shape),
        session.query(CHECKED_TOGETHER, table)
    );
    suppressed?;
    let (answer, together) = (answer?, &together?[0]);
    let last_block = together.get::<bool>(0).then(|| together.get(1));
    let has_foreign_keys: bool = together.get(2);
    // Where the database or the role is set so that no trigger fires, a COPY would bring in
    // orphans.
    let is_checked = !answer.is_replica
        || shape.triggers == Firing::Suppress && (last_block.is_some() || !has_foreign_keys);
    let is_safe = is_checked && !answer.needs_stage;
    Ok(StraightCopy { is_safe, fires_after: answer.fires_after, last_block })
}

/// Asks whether rows can be copied straight into the table while its triggers fire, and nothing
/// that changes with the rows that are written: behind an API, the answer must be the same each
/// time.
pub async fn is_safe(session: &Session, shape: &Shape) -> Result<bool, PostgresError> {
    let Triggers { needs_stage, is_replica, fires_after: _ } = ask_triggers(session, shape).await?;
    Ok(!needs_stage && !is_replica)
}

/// The server's answer about the triggers of a table.
struct Triggers {
    needs_stage: bool,
    fires_after: bool,
    is_replica: bool,
}

async fn ask_triggers(session: &Session, shape: &Shape) -> Result<Triggers, PostgresError> {
    let text = COPYING.replace("HAS_AFTER_TRIGGER", HAS_AFTER_TRIGGER);
    let answer = &session.query(&text, [sql::table(&shape.table).into()]).await?[0];
    let [needs_stage, fires_after, is_replica] = [answer.get(0), answer.get(1), answer.get(2)];
    Ok(Triggers { needs_stage, fires_after, is_replica })
}
