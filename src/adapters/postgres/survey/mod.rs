//! One look at all tables of the source: their greatest cursors, the digests that tell a quiet
//! table from a changed one, and who is writing before and after.
//!
//! - `quiet`: which tables are as the last scan left them
//! - `floor`: the cursor below which a look sees no row
//! - `writers`: samples the transactions that may write
//! - `window_sql`: the window of a scan and the digest of its rows
//! - `reach`: compares a stamp of a file with a cursor that is kept

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
use super::sql::statement::Parameter;
use super::sql::transaction::Purpose;
use crate::engine::model::checkpoint::Checkpoint;
use crate::engine::model::cursor::{Cursor, CursorValue};
use crate::engine::model::survey::{Survey, SurveyAsk, TableSurvey};
use floor::floor;
use window_sql::{digest_sql, greatest, horizon, minus_overlap, newest, rows_sql, text, window};
use writers::{WRITERS, names, past_numbers};

/// Looks at all tables between two samples of the writers: at those that were quiet last in a
/// statement that tells no more than whether they still are, and in full at the others and at
/// those that are not. Each statement has a snapshot of its own, so that what a writer committed
/// between the first sample and a look is seen by the look.
///
/// One full look at all would take no longer to answer, but a hundred tables take 100 ms to plan.
pub async fn look(
    session: &Session,
    asks: &[SurveyAsk<'_>],
    overlap: Duration,
) -> Result<Survey, PostgresError> {
    let mut survey = empty_survey(asks);
    let mut changed: Vec<usize> = (0..asks.len()).collect();
    let (begin, before, quick, after) = tokio::join!(
        session.begin(Purpose::Look),
        session.query(WRITERS, []),
        quiet::look(session, asks, overlap),
        session.query(WRITERS, []),
    );
    begin?;
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

/// Looks at all tables in full, for an API: a call counts against a quota, and costs more than the
/// planning of the statement.
pub async fn look_in_one_call(
    session: &Session,
    asks: &[SurveyAsk<'_>],
    overlap: Duration,
) -> Result<Survey, PostgresError> {
    let mut survey = empty_survey(asks);
    let all: Vec<usize> = (0..asks.len()).collect();
    let (begin, before, full) = tokio::join!(
        session.begin(Purpose::Look),
        session.query(WRITERS, []),
        look_in_full(session, asks, overlap, &all, &mut survey),
    );
    begin?;
    survey.writers_before = names(&before?);
    full?;
    session.commit().await?;
    past_numbers(session, survey).await
}

fn empty_survey(asks: &[SurveyAsk<'_>]) -> Survey {
    Survey { tables: vec![TableSurvey::default(); asks.len()], ..Survey::default() }
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
