//! Surveys all tables of the source: it reads their greatest cursors, the digests that distinguish
//! a quiet table from a changed one, and the open transactions before and after.
//!
//! - `quiet`: finds the tables that are as the last scan left them
//! - `floor`: the cursor below which a survey reads no row
//! - `writers`: samples the transactions that may write
//! - `window_sql`: the SQL for the window of a scan, and for the digest of its rows
//! - `reach`: compares the cursor that a file gives with the kept cursor

mod floor;
mod quiet;
pub mod reach;
pub mod window_sql;
pub mod writers;

use std::time::Duration;

use super::connection::session::Session;
use super::fault::PostgresError;
use super::sql;
use super::sql::row::Row;
use super::sql::statement::Parameters;
use super::sql::transaction::Purpose;
use crate::engine::model::checkpoint::Checkpoint;
use crate::engine::model::cursor::{Cursor, CursorValue};
use crate::engine::model::survey::{Survey, SurveyAsk, TableSurvey};
use floor::floor_sql;
use window_sql::{digest_sql, greatest, horizon, minus_overlap, newest, rows_sql, window};
use writers::{WRITERS, read_writers, resample_on_standby};

/// Surveys all tables between two samples of the writers, in two statements:
///
/// 1. one that only finds the tables that are still quiet;
/// 2. one that surveys the other tables in full.
///
/// Each statement has a snapshot of its own, so that it sees what a writer committed since the
/// first sample. A single full survey would run no longer, but the server takes 100 ms to plan it
/// for a hundred tables.
pub async fn survey(
    session: &Session,
    asks: &[SurveyAsk<'_>],
    overlap: Duration,
) -> Result<Survey, PostgresError> {
    let mut survey = empty_survey(asks);
    let mut changed: Vec<usize> = (0..asks.len()).collect();
    let (begin, before, quiet, after) = tokio::join!(
        session.begin(Purpose::Look),
        session.query(WRITERS, []),
        quiet::quiet_tables(session, asks, overlap),
        session.query(WRITERS, []),
    );
    begin?;
    // If a statement fails, those behind it fail for no other reason. So the first one is reported.
    let (before, quiet) = (before?, quiet?);
    survey.writers_before = read_writers(&before);
    survey.writers_after = read_writers(&after?);
    for (index, table) in quiet {
        survey.tables[index] = table;
        changed.retain(|other| *other != index);
    }
    if !changed.is_empty() {
        survey_in_full(session, asks, overlap, &changed, &mut survey).await?;
    }
    session.commit().await?;
    resample_on_standby(session, survey).await
}

/// Surveys all tables in full, behind an API: a second call would count against a quota, and cost
/// more than the planning of the statement.
pub async fn survey_in_one_call(
    session: &Session,
    asks: &[SurveyAsk<'_>],
    overlap: Duration,
) -> Result<Survey, PostgresError> {
    let mut survey = empty_survey(asks);
    let all: Vec<usize> = (0..asks.len()).collect();
    let (begin, before, full) = tokio::join!(
        session.begin(Purpose::Look),
        session.query(WRITERS, []),
        survey_in_full(session, asks, overlap, &all, &mut survey),
    );
    begin?;
    survey.writers_before = read_writers(&before?);
    full?;
    session.commit().await?;
    resample_on_standby(session, survey).await
}

fn empty_survey(asks: &[SurveyAsk<'_>]) -> Survey {
    Survey { tables: vec![TableSurvey::default(); asks.len()], ..Survey::default() }
}

/// Surveys the tables with these indexes in full, and samples the writers after that.
async fn survey_in_full(
    session: &Session,
    asks: &[SurveyAsk<'_>],
    overlap: Duration,
    indexes: &[usize],
    survey: &mut Survey,
) -> Result<(), PostgresError> {
    let mut parameters = Parameters::default();
    let statements: Vec<String> = (indexes.iter())
        .map(|&index| table_sql(index, &asks[index], overlap, &mut parameters))
        .collect();
    let rows = async {
        match statements.is_empty() {
            true => Ok(Vec::new()),
            false => session.query(&statements.join(" union all "), parameters.0).await,
        }
    };
    let (rows, after) = tokio::join!(rows, session.query(WRITERS, []));
    for row in &rows? {
        let index = usize::try_from(row.get::<i32>(0)).unwrap_or(usize::MAX);
        if let (Some(table), Some(ask)) = (survey.tables.get_mut(index), asks.get(index)) {
            *table = read_table(row, ask);
        }
    }
    survey.writers_after = read_writers(&after?);
    Ok(())
}

fn read_table(row: &Row, ask: &SurveyAsk<'_>) -> TableSurvey {
    let max: Option<CursorValue> = row.get::<Option<String>>(1).map(CursorValue::new);
    let tail: Option<String> = row.get(2);
    let next: Option<String> = row.get(3);
    // The statement leaves out the second digest where it equals the first.
    let next = if same_window(ask.checkpoint) && next.is_none() { tail.clone() } else { next };
    let start = row.get::<Option<String>>(6).map(CursorValue::new);
    TableSurvey { max, tail, next, beyond: row.get(4), nulls: row.get(5), start }
}

/// Says whether the window from the kept cursor on is the window from an unchanged maximum on. It
/// is, if nothing is pending.
fn same_window(checkpoint: Option<&Checkpoint>) -> bool {
    checkpoint.is_some_and(|checkpoint| {
        let reached = &checkpoint.reached;
        reached.pending.is_none()
            && reached.seen.as_ref().is_some_and(|seen| seen.max == reached.kept)
    })
}

/// The full survey of one table as a `select` of one row: index, maximum, the two digests, whether
/// rows lie beyond the maximum, whether rows have no cursor, and the floor.
fn table_sql(
    index: usize,
    ask: &SurveyAsk<'_>,
    overlap: Duration,
    parameters: &mut Parameters,
) -> String {
    let shape = ask.shape;
    let Cursor::Column { name, type_name, kind, nullable, .. } = &shape.cursor else {
        return format!(
            "select {index}, null::text, {digest}, null::text, false, false, null::text",
            digest = digest_sql(shape, &rows_sql(shape), "true")
        );
    };
    let floor = floor_sql(ask, parameters);
    let rows = floor.rows(shape);
    let column = format!("r.{}", sql::ident(name));
    let nulls = if *nullable { format!(" or {column} is null") } else { String::new() };
    let reached = ask.checkpoint.map(|checkpoint| &checkpoint.reached);
    let seen = reached.and_then(|reached| reached.seen.as_ref());
    let seen_max = seen.and_then(|seen| seen.max.as_ref()).map(CursorValue::as_str);
    let seen_max = parameters.bind(seen_max);
    let tail = match reached.and_then(|reached| reached.kept.as_ref()) {
        _ if seen.is_none() => "null::text".to_owned(),
        None => digest_sql(shape, &rows, "true"),
        Some(kept) => {
            let kept = format!("{}::{type_name}", parameters.bind(kept.as_str()));
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
        "select {index}, w.m::text, case when {unchanged} then {tail} end, \
         case when {known} then null else {next} end, {beyond}, {without}, {start} \
         from {newest}",
        start = floor.text,
        newest = newest(&rows, &column, *kind)
    )
}
