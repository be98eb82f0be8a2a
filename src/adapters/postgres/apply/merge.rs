//! Writes those rows of a page that differ from the table's in a byte, and counts them. The page is
//! staged, or comes with the statement.
//!
//! Equal means byte-equal: `*<>` compares the stored images, where `<>` calls 1.0 and 1.00 the same
//! and knows nothing of json. A row that is equal is neither written nor locked. Rows are written
//! in key order, so that two writers meet in the same order.

use super::row_sql::{differs, is_newer, same_key, unused_name};
use super::stage::STAGED;
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::row::Row;
use crate::engine::model::deletes::{Mark, MarkKind};
use crate::engine::model::pipeline::Policy;
use crate::engine::model::run::Tally;
use crate::engine::model::shape::Shape;

/// Says in SQL whether a trigger of the table, or of a partition, fires that meets a condition. The
/// table is `$1`.
macro_rules! fires {
    ($condition:literal) => {
        concat!(
            "exists (select from pg_catalog.pg_trigger as t \
                where (t.tgrelid = $1::pg_catalog.regclass or t.tgrelid in (\
                    select relid from pg_catalog.pg_partition_tree($1::pg_catalog.regclass))) \
                and not (t.tgisinternal and t.tgconstraint <> 0) and t.tgenabled in ('A', \
                    case current_setting('session_replication_role') \
                        when 'replica' then 'R' else 'O' end) and ",
            $condition,
            ")"
        )
    };
}

/// A trigger fires before rows are written, and may drop them or write them otherwise.
pub const HAS_ROW_TRIGGER: &str = fires!("t.tgtype & 3 = 3");

/// A trigger fires after rows are inserted or updated, and may change them.
pub const HAS_AFTER_TRIGGER: &str = fires!("t.tgtype & 66 = 0 and t.tgtype & 20 <> 0");

/// Asks whether MERGE can write the page and its counts can be told, how many rows this transaction
/// has inserted so far, and whether triggers may drop or change rows in silence. (A rule that would
/// is refused beside others, in WITH.) MERGE came with 15, knows no rules, and before 17 says only
/// how many rows it wrote; how many of them it inserted is told by the transaction's own counters,
/// which exist where counting is not switched off, and for a table that is not partitioned.
const MERGEABLE: &str = "\
    select current_setting('server_version_num')::int4 >= 150000 \
        and current_setting('track_counts')::bool and relkind = 'r' and not relhasrules, \
        pg_catalog.pg_stat_get_xact_tuples_inserted(oid), \
        (relhastriggers or relkind = 'p') and HAS_ROW_TRIGGER, \
        (relhastriggers or relkind = 'p') and HAS_AFTER_TRIGGER, \
        current_setting('session_replication_role') = 'replica' \
    from pg_catalog.pg_class where oid = $1::pg_catalog.regclass";

/// The question, put together.
fn mergeable() -> String {
    MERGEABLE
        .replace("HAS_ROW_TRIGGER", HAS_ROW_TRIGGER)
        .replace("HAS_AFTER_TRIGGER", HAS_AFTER_TRIGGER)
}

/// The outcome of a page that was written.
pub struct Applied {
    /// Its counts.
    pub tally: Tally,
    /// Triggers were suppressed, those that keep foreign keys among them.
    pub suppressed: bool,
}

/// Says whether MERGE can write the page.
pub async fn is_mergeable(session: &Session, shape: &Shape) -> Result<bool, PostgresError> {
    Ok(session.query(&mergeable(), [sql::table(&shape.table).into()]).await?[0].get(0))
}

/// Applies the staged page, which has `rows` rows.
pub async fn apply(session: &Session, shape: &Shape, rows: u64) -> Result<Applied, PostgresError> {
    apply_from(session, shape, rows, "").await
}

/// Applies the staged page from its greatest key down, if MERGE can write it. The rows that it
/// updates are locked first, in the order in which others lock them.
pub async fn apply_down(
    session: &Session,
    shape: &Shape,
    rows: u64,
) -> Result<Applied, PostgresError> {
    session.execute(&locking_sql(shape)).await?;
    apply_from(session, shape, rows, " desc").await
}

async fn apply_from(
    session: &Session,
    shape: &Shape,
    rows: u64,
    direction: &str,
) -> Result<Applied, PostgresError> {
    if session.is_replayed() {
        return apply_in_script(session, shape, rows).await;
    }
    let table = sql::table(&shape.table);
    let mergeable = mergeable();
    let before = session.query(&mergeable, [table.as_str().into()]).await?;
    let expected = match before[0].get(2) {
        true => Some(count(&session.query(&differing_sql(shape), []).await?[0], 0)),
        false => None,
    };
    let (inserted, updated) = if before[0].get(0) {
        let (text, asks) = (merge_from(shape, STAGED, direction), [table.as_str().into()]);
        let (written, after) =
            tokio::join!(session.execute(&text), session.query(&mergeable, asks));
        let written = written?;
        // A trigger that inserts into the same table counts as well.
        let inserted = count(&after?[0], 1).saturating_sub(count(&before[0], 1)).min(written);
        (inserted, written - inserted)
    } else {
        let counted = session.query(&update_and_insert_sql(shape), []).await?;
        (count(&counted[0], 0), count(&counted[0], 1))
    };
    if expected.is_some_and(|expected| inserted + updated < expected) {
        session.batch(DROPPED).await?;
    }
    let unchanged = rows.saturating_sub(inserted + updated);
    let may_differ =
        expected.is_some_and(|rows| rows > 0) || before[0].get::<bool>(3) && inserted + updated > 0;
    let rewritten = match may_differ {
        true => count(&session.query(&differing_sql(shape), []).await?[0], 0),
        false => 0,
    };
    let tally = Tally { inserted, updated, unchanged, rewritten, ..Tally::default() };
    Ok(Applied { tally, suppressed: before[0].get(4) })
}

/// Applies the staged page in a script, by statements that need not wait for each other. The
/// counters would be those of a server that has also run what was undone, so nothing is merged
/// here; only a page that is one call (`unstaged`) is.
async fn apply_in_script(
    session: &Session,
    shape: &Shape,
    rows: u64,
) -> Result<Applied, PostgresError> {
    let expecting = expected_in_settings(shape);
    let (writing, counting) = (counted_in_settings(shape), counts_of_settings(shape));
    let (expected, written, refused, counts) = tokio::join!(
        session.query(&expecting, [sql::table(&shape.table).into()]),
        session.query(&writing, []),
        session.batch(REFUSE_DROPPED),
        session.query(&counting, []),
    );
    expected?;
    written?;
    refused?;
    let counts = &counts?[0];
    let (inserted, updated, rewritten) = (count(counts, 0), count(counts, 1), count(counts, 2));
    let unchanged = rows.saturating_sub(inserted + updated);
    let tally = Tally { inserted, updated, unchanged, rewritten, ..Tally::default() };
    Ok(Applied { tally, suppressed: counts.get(3) })
}

/// The words about a row that is not written although nothing refused it. The server says it, so
/// that it comes the way that other refusals come, and its row is found as theirs are.
macro_rules! refuse_dropped {
    () => {
        "raise exception 'A trigger of the target dropped the row without a word'; "
    };
}

const DROPPED: &str = concat!("do $$ begin ", refuse_dropped!(), "end $$");

fn count(row: &Row, place: usize) -> u64 {
    u64::try_from(row.get::<i64>(place)).unwrap_or(0)
}

/// Each key is looked up once, and a row that was found is written where it was found: as quick as
/// an `insert ... on conflict do update`, which would lock and log the equal rows too.
pub fn merge_sql(shape: &Shape, page: &str) -> String {
    merge_from(shape, page, "")
}

fn merge_from(shape: &Shape, page: &str, direction: &str) -> String {
    let Names { own_rows, moved, staged, .. } = &Names::of(shape);
    let key = shape.key.iter().map(|name| format!("s.{}{direction}", sql::ident(name)));
    let order = key.collect::<Vec<_>>().join(", ");
    let sets = sets(shape, "s");
    let update = match sets.is_empty() {
        true => String::new(),
        false => format!("when matched and {} then update set {sets} ", differs(shape)),
    };
    format!(
        "merge into {own_rows} as t using (select {moved} from {page} as s order by {order}) as s \
         on {matches} {update}\
         when not matched then insert ({moved}) overriding system value values ({staged})",
        matches = same_key(shape, "t", "s"),
    )
}

/// Writes the rows that differ where MERGE is not to be had: found by key, then updated or
/// inserted. The updated rows are looked up twice.
fn update_and_insert_sql(shape: &Shape) -> String {
    format!(
        "{} select (select count(*) from inserted), (select count(*) from updated)",
        changes(shape, STAGED)
    )
}

/// Writes them likewise; the counts are left in two settings of the transaction, for a statement
/// behind it.
pub fn counted_in_settings(shape: &Shape) -> String {
    in_settings(&changes(shape, STAGED))
}

/// Adds to such a statement that it leaves its counts in the two settings.
pub fn in_settings(changes: &str) -> String {
    let count = |rows: &str| {
        format!("set_config('syncline.{rows}', (select count(*) from {rows})::text, true)")
    };
    format!("{changes} select {}, {}", count("inserted"), count("updated"))
}

/// Leaves in a setting how many rows are going to be written, where a trigger may drop some, and in
/// another one whether triggers fire after them; `$1` is the table.
pub fn expected_in_settings(shape: &Shape) -> String {
    format!(
        "select set_config('syncline.expected', case when {HAS_ROW_TRIGGER} \
             then ({})::text else '' end, true), \
             set_config('syncline.fires_after', {HAS_AFTER_TRIGGER}::text, true)",
        differing_sql(shape)
    )
}

/// Says the same of rows that were not written, as those settings tell.
pub const REFUSE_DROPPED: &str = concat!(
    "do $$ begin if current_setting('syncline.inserted')::int8 \
         + current_setting('syncline.updated')::int8 \
         < nullif(current_setting('syncline.expected'), '')::int8 then ",
    refuse_dropped!(),
    "end if; end $$"
);

/// The counts in those settings, how many rows a trigger has written otherwise, and whether no
/// trigger fires, those that keep foreign keys among them.
pub fn counts_of_settings(shape: &Shape) -> String {
    format!(
        "select current_setting('syncline.inserted')::int8, \
             current_setting('syncline.updated')::int8, {}, \
             current_setting('session_replication_role') = 'replica'",
        rewritten(shape)
    )
}

/// Leaves in a setting how many rows a trigger has written otherwise.
pub fn rewritten_in_settings(shape: &Shape) -> String {
    format!("select set_config('syncline.rewritten', ({})::text, true)", rewritten(shape))
}

fn rewritten(shape: &Shape) -> String {
    format!(
        "case when nullif(current_setting('syncline.expected'), '')::int8 > 0 \
                 or current_setting('syncline.fires_after')::bool and \
                     current_setting('syncline.inserted')::int8 \
                     + current_setting('syncline.updated')::int8 > 0 \
             then ({}) else 0 end",
        differing_sql(shape)
    )
}

/// The statement's beginning: `inserted` and `updated` have a row for each that was written. The
/// order is that of the table's key, whichever collation the page's has.
pub fn changes(shape: &Shape, page: &str) -> String {
    let Names { table, own_rows, moved, staged, fresh, .. } = &Names::of(shape);
    let key = shape.key.iter().map(|name| sql::ident(name));
    let order = key.map(|name| format!("coalesce(s.{name}, t.{name})")).collect::<Vec<_>>();
    let known = unused_name(shape, "known");
    let sets = sets(shape, "d");
    let updated = match sets.is_empty() {
        true => "select 1 where false".to_owned(),
        false => format!(
            "update {own_rows} as t set {sets} from differing as d where d.{known} and {matches} \
             returning 1",
            matches = same_key(shape, "t", "d"),
        ),
    };
    format!(
        "with differing as materialized (\
           select {staged}, t.ctid is not null as {known} \
           from {page} as s left join {own_rows} as t on {matches} \
           where t.ctid is null or {differs} order by {order}), \
         updated as ({updated}), \
         inserted as (insert into {table} ({moved}) overriding system value \
           select {fresh} from differing as d where not d.{known} returning 1)",
        order = order.join(", "),
        differs = differs(shape),
        matches = same_key(shape, "t", "s"),
    )
}

/// The places in the page of rows that an update would wait for. The rows that it would not wait
/// for are locked until the transaction's end, or the savepoint before.
pub fn locked_sql(shape: &Shape) -> String {
    let table = sql::rows_of(&shape.table, shape.target);
    let (matches, differs) = (same_key(shape, "t", "s"), differs(shape));
    format!(
        "with free as materialized (select s.ctid as place from {STAGED} as s \
           join {table} as t on {matches} where {differs} for no key update of t skip locked), \
         page as (select s.*, s.ctid as place, row_number() over (order by s.ctid) as number \
           from {STAGED} as s) \
         select s.number from page as s join {table} as t on {matches} \
         where {differs} and s.place not in (select place from free)"
    )
}

/// Locks the rows that an update of the page writes, in the order of their keys.
fn locking_sql(shape: &Shape) -> String {
    format!(
        "with locked as materialized (select from {table} as t join {STAGED} as s on {matches} \
           where {differs} order by {key} for no key update of t) select count(*) from locked",
        table = sql::rows_of(&shape.table, shape.target),
        matches = same_key(shape, "t", "s"),
        differs = differs(shape),
        key = sql::prefixed("t.", shape.key.iter().map(String::as_str)),
    )
}

/// Counts the rows of the page that are not in the table as they are in the page.
fn differing_sql(shape: &Shape) -> String {
    let table = sql::rows_of(&shape.table, shape.target);
    format!(
        "select count(*) from {STAGED} as s left join {table} as t on {matches} \
         where t.ctid is null or {differs}",
        matches = same_key(shape, "t", "s"),
        differs = differs(shape),
    )
}

/// The lists of names that both statements are made of.
struct Names {
    table: String,
    /// The table without those that inherit from it: their rows may have the same keys.
    own_rows: String,
    moved: String,
    /// In the page.
    staged: String,
    /// In what differs.
    fresh: String,
}

impl Names {
    fn of(shape: &Shape) -> Self {
        let moved = || shape.columns.iter().map(|column| column.name.as_str());
        Self {
            table: sql::table(&shape.table),
            own_rows: sql::rows_of(&shape.table, shape.target),
            moved: sql::idents(moved()),
            staged: sql::prefixed("s.", moved()),
            fresh: sql::prefixed("d.", moved()),
        }
    }
}

fn sets(shape: &Shape, from: &str) -> String {
    if shape.policy == Policy::TargetWins {
        return String::new();
    }
    let unmark = shape.mark.iter().map(|Mark { column, kind }| {
        let value = match kind {
            MarkKind::Time => "null",
            MarkKind::Flag => "false",
        };
        format!("{} = {value}", sql::ident(column))
    });
    let is_newer = is_newer(shape, from).filter(|_| shape.mark.is_some());
    let set = shape.changeable().map(|column| {
        let name = sql::ident(&column.name);
        match &is_newer {
            None => format!("{name} = {from}.{name}"),
            Some(newer) => {
                format!("{name} = case when {newer} then {from}.{name} else t.{name} end")
            }
        }
    });
    set.chain(unmark).collect::<Vec<_>>().join(", ")
}
