//! One look at all tables of the source: their greatest cursors, the digests that tell a quiet
//! table from a changed one, and who is writing before and after.

mod floor;
mod quiet;
pub mod reach;

use std::collections::BTreeSet;
use std::time::Duration;

use super::sql::row::Row;

use super::connection::session::Session;
use super::fault::PostgresError;
use super::sql;
use super::sql::Purpose;
use super::sql::statement::Parameter;
use crate::engine::model::checkpoint::Checkpoint;
use crate::engine::model::cursor::{Cursor, CursorKind, CursorValue};
use crate::engine::model::shape::Shape;
use crate::engine::model::survey::{Survey, SurveyAsk, TableSurvey};
use crate::engine::model::writer::{NUMBERED, Writer};
use floor::floor;

/// Who has a transaction open. `pg_locks` lists every virtual transaction to every role, those
/// without a transaction id too; prepared ones have no backend and stand in their own view.
/// Transactions of other databases cannot write here, nor do autovacuum's. A transaction becomes
/// visible before it gives up its virtual id, so one that is not listed is visible.
///
/// A standby's sessions write nothing, and its primary's are known to it by number alone: a
/// snapshot's `xmin` is the first that may be open. The next to begin is not the snapshot's `xmax`,
/// which follows the last one that *ended*; it is found by the age of a number. That is counted
/// once a transaction, so it is the truth only in the first sample of one.
const WRITERS: &str = "\
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

/// Looks at all tables between two samples of the writers: at those that were quiet last in a
/// statement that tells no more than whether they still are, and in full at the others and at
/// those that are not. Each statement has a snapshot of its own, so that what a writer committed
/// between the first sample and a look is seen by the look.
///
/// One full look at all would take no longer to answer, but a hundred tables take 100 ms to plan.
/// Where a round trip is a call that counts against a quota, that is the lesser cost.
pub async fn look(
    session: &Session,
    asks: &[SurveyAsk<'_>],
    overlap: Duration,
) -> Result<Survey, PostgresError> {
    let mut survey =
        Survey { tables: vec![TableSurvey::default(); asks.len()], ..Survey::default() };
    let mut changed: Vec<usize> = (0..asks.len()).collect();
    if session.script().is_some() {
        let (begun, before, full) = tokio::join!(
            session.begin(Purpose::Look),
            session.query(WRITERS, []),
            look_in_full(session, asks, overlap, &changed, &mut survey),
        );
        begun?;
        survey.writers_before = names(&before?);
        full?;
        session.commit().await?;
        return past_numbers(session, survey).await;
    }
    let (begun, before, quick, after) = tokio::join!(
        session.begin(Purpose::Look),
        session.query(WRITERS, []),
        quiet::look(session, asks, overlap),
        session.query(WRITERS, []),
    );
    begun?;
    // A look that failed ends the transaction, and what comes behind it is told no more than that.
    let (before, quick) = (before?, quick?);
    survey.writers_before = names(&before);
    survey.writers_after = names(&after?);
    for (at, table) in quick {
        survey.tables[at] = table;
        changed.retain(|other| *other != at);
    }
    if !changed.is_empty() {
        look_in_full(session, asks, overlap, &changed, &mut survey).await?;
    }
    session.commit().await?;
    past_numbers(session, survey).await
}

/// Looks at some of the tables in full, and who writes after that.
async fn look_in_full(
    session: &Session,
    asks: &[SurveyAsk<'_>],
    overlap: Duration,
    places: &[usize],
    survey: &mut Survey,
) -> Result<(), PostgresError> {
    let mut parameters = Vec::new();
    let looks: Vec<String> =
        places.iter().map(|&at| look_sql(at, &asks[at], overlap, &mut parameters)).collect();
    let rows = async {
        match looks.is_empty() {
            true => Ok(Vec::new()),
            false => session.query(&looks.join(" union all "), parameters).await,
        }
    };
    let (rows, after) = tokio::join!(rows, session.query(WRITERS, []));
    for row in &rows? {
        let at = usize::try_from(row.get::<i32>(0)).unwrap_or(usize::MAX);
        if let (Some(table), Some(ask)) = (survey.tables.get_mut(at), asks.get(at)) {
            *table = table_survey(row, ask);
        }
    }
    survey.writers_after = names(&after?);
    Ok(())
}

/// A standby tells the truth of its primary's numbers in the first sample of a transaction alone.
async fn past_numbers(session: &Session, mut survey: Survey) -> Result<Survey, PostgresError> {
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
fn names(rows: &[Row]) -> BTreeSet<Writer> {
    rows.iter().map(|row| row.get(0)).collect()
}

fn table_survey(row: &Row, ask: &SurveyAsk<'_>) -> TableSurvey {
    let max: Option<CursorValue> = row.get::<Option<String>>(1).map(CursorValue::new);
    let tail: Option<String> = row.get(2);
    let next: Option<String> = row.get(3);
    // The same window once: with nothing pending, the window from the kept cursor on is the one
    // from an unchanged maximum on, and the statement leaves the second out.
    let next = if same_window(ask.checkpoint) && next.is_none() { tail.clone() } else { next };
    let start = row.get::<Option<String>>(6).map(CursorValue::new);
    TableSurvey { max, tail, next, beyond: row.get(4), nulls: row.get(5), start }
}

fn same_window(checkpoint: Option<&Checkpoint>) -> bool {
    checkpoint.is_some_and(|checkpoint| {
        let reached = &checkpoint.reached;
        reached.pending.is_none()
            && reached.seen.as_ref().is_some_and(|seen| seen.max == reached.kept)
    })
}

/// The look at one table as a select of one row: place, maximum, the two digests, whether rows lie
/// beyond the maximum or without a cursor, and the floor.
fn look_sql(
    at: usize,
    ask: &SurveyAsk<'_>,
    overlap: Duration,
    parameters: &mut Vec<Parameter>,
) -> String {
    let shape = ask.shape;
    let Cursor::Column { name, type_name, kind, nullable, .. } = &shape.cursor else {
        return format!(
            "select {at}, null::text, {digest}, null::text, false, false, null::text",
            digest = digest_sql(shape, &rows_sql(shape), "true")
        );
    };
    let floor = floor(ask, parameters);
    let rows = floor.rows(shape);
    let column = format!("r.{}", sql::ident(name));
    let nulls = if *nullable { format!(" or {column} is null") } else { String::new() };
    let reached = ask.checkpoint.map(|checkpoint| &checkpoint.reached);
    let seen = reached.and_then(|reached| reached.seen.as_ref());
    parameters.push(seen.and_then(|seen| seen.max.as_ref()).map(text).into());
    let seen_max = format!("${}", parameters.len());
    let tail = match reached.and_then(|reached| reached.kept.as_ref()) {
        _ if seen.is_none() => "null::text".to_owned(),
        None => digest_sql(shape, &rows, "true"),
        Some(kept) => {
            parameters.push(text(kept).into());
            let kept = format!("${}::{type_name}", parameters.len());
            let from = minus_overlap(&kept, *kind, overlap);
            digest_sql(shape, &rows, &format!("({column} >= {from}{nulls})"))
        }
    };
    let to = greatest(*kind);
    let window = window(&column, *kind, &nulls, overlap);
    let next = format!(
        "case when w.m is null then {all} else {tail} end",
        all = digest_sql(shape, &rows, "true"),
        tail = digest_sql(shape, &rows, &window)
    );
    let unchanged = format!("w.m::text is not distinct from {seen_max}");
    let known = if same_window(ask.checkpoint) { unchanged.as_str() } else { "false" };
    let beyond = match horizon(*kind) {
        None => "false".to_owned(),
        Some(horizon) => {
            format!("exists (select {rows} and {column} > {horizon} and {column} <= {to})")
        }
    };
    let without = match nullable {
        true => format!("exists (select {rows} and {column} is null)"),
        false => "false".to_owned(),
    };
    format!(
        "select {at}, w.m::text, case when {unchanged} then {tail} end, \
         case when {known} then null else {next} end, {beyond}, {without}, {start} \
         from {newest}",
        start = floor.text,
        newest = newest(&rows, &column, *kind)
    )
}

/// The greatest cursor that is not in the future, as `w.m`; `rows` is `from ... where ...`.
fn newest(rows: &str, column: &str, kind: CursorKind) -> String {
    let past = match horizon(kind) {
        Some(horizon) => format!(" and {column} <= {horizon}"),
        None => String::new(),
    };
    format!("(select max({column}) as m {rows}{past}) as w")
}

/// What finds the rows from `w.m`, less the overlap, on; `nulls` adds those without a cursor.
fn window(column: &str, kind: CursorKind, nulls: &str, overlap: Duration) -> String {
    let (from, to) = (minus_overlap("w.m", kind, overlap), greatest(kind));
    format!("({column} >= {from} and {column} <= {to}{nulls})")
}

/// `from ... where ...` over the rows that are synced, as `r`.
fn rows_sql(shape: &Shape) -> String {
    let mut text = format!("from {} as r where ", sql::rows_of(&shape.table, shape.source));
    match &shape.filter {
        Some(filter) => text.push_str(&sql::condition(filter)),
        None => text.push_str("true"),
    }
    text
}

/// A digest over row versions, not over values: a version has its own place (`ctid`) and its own
/// transaction (`xmin`), so any write changes it and no value has to be read. A restore or a
/// rewrite of the table changes it too, which costs a re-read and loses nothing.
pub const VERSIONS: &str = "concat(count(*), ':', \
    coalesce(sum(hashtextextended(concat(r.tableoid, r.ctid, r.xmin), 0)), 0))";

/// The digest of a table's rows. Where they have no versions, their values are read.
fn digest_expression(shape: &Shape) -> String {
    if shape.source.has_versions() {
        return VERSIONS.to_owned();
    }
    let moved = sql::prefixed("r.", shape.columns.iter().map(|column| column.name.as_str()));
    format!("concat(count(*), ':', coalesce(sum(hashtextextended(row({moved})::text, 0)), 0))")
}

fn digest_sql(shape: &Shape, rows: &str, condition: &str) -> String {
    format!("(select {digest} {rows} and {condition})", digest = digest_expression(shape))
}

/// A cursor less the overlap, in the column's own type.
pub fn minus_overlap(value: &str, kind: CursorKind, overlap: Duration) -> String {
    match kind {
        CursorKind::Instant => format!("{value} - interval '{} seconds'", overlap.as_secs()),
        // When summer time ends, a wall clock's stamps go back by an hour, or by two at most.
        CursorKind::WallClock => {
            let seconds = overlap.as_secs().max(2 * 60 * 60);
            format!("{value} - interval '{seconds} seconds'")
        }
        CursorKind::Day => format!("{value} - {}", overlap.as_secs().div_ceil(86_400)),
        CursorKind::Sequence | CursorKind::Decimal => value.to_owned(),
    }
}

/// What no cursor is greater than. A window with an end is taken for a small part of the table by
/// a planner that cannot know where it begins, and so it is read by the index; without an end it
/// is taken for a third of the table, which is then read in full. For a sequence it is the maximum
/// itself, which has no horizon.
fn greatest(kind: CursorKind) -> &'static str {
    match kind {
        CursorKind::Instant | CursorKind::WallClock | CursorKind::Day => "'infinity'",
        CursorKind::Decimal => "'NaN'",
        CursorKind::Sequence => "w.m",
    }
}

/// What counts as the future: a stamp beyond it never sets the watermark, or one row dated 2099
/// would end the sync. A wall clock's zone is unknown; the earlier reading is the safe one.
pub fn horizon(kind: CursorKind) -> Option<&'static str> {
    match kind {
        CursorKind::Instant => Some("now()"),
        CursorKind::WallClock => Some(
            "least(now() at time zone 'UTC', now() at time zone \
             (select reset_val from pg_settings where name = 'TimeZone'))",
        ),
        CursorKind::Day => Some("(now() at time zone 'UTC')::date"),
        // NaN and Infinity are greater than any number, and so is, for this, what is near the end
        // of the type's range; servers before 14 know no Infinity to compare with.
        CursorKind::Decimal => Some("1e131071"),
        CursorKind::Sequence => None,
    }
}

fn text(value: &CursorValue) -> String {
    value.as_str().to_owned()
}
