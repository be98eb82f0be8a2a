//! The quick half of a survey: it finds the tables that are as the last scan left them.

use std::time::Duration;

use super::floor::floor_sql;
use super::window_sql::{digest_expression, horizon, minus_overlap, rows_sql};
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::statement::Parameters;
use crate::engine::model::checkpoint::{Checkpoint, Seen};
use crate::engine::model::cursor::{Cursor, CursorValue};
use crate::engine::model::survey::{Floor, SurveyAsk, TableSurvey};

/// Finds the quiet tables, by their index: their maximum and the digest of their tail are those of
/// the last scan. A table whose checkpoint has something pending is never among them, since only a
/// full survey can settle it. Nor is a table whose floor depends on the clock.
pub async fn quiet_tables(
    session: &Session,
    asks: &[SurveyAsk<'_>],
    overlap: Duration,
) -> Result<Vec<(usize, TableSurvey)>, PostgresError> {
    let mut parameters = Parameters::default();
    let statements: Vec<String> = asks
        .iter()
        .enumerate()
        .filter_map(|(index, ask)| {
            let checkpoint = ask.checkpoint?;
            seen(checkpoint)?;
            // Any other floor depends on the clock.
            matches!(ask.floor, Floor::None | Floor::Chosen(_))
                .then(|| table_sql(index, ask, checkpoint, overlap, &mut parameters))
        })
        .collect();
    if statements.is_empty() {
        return Ok(Vec::new());
    }
    let rows = session.query(&statements.join(" union all "), parameters.0).await?;
    let quiet = rows.iter().filter_map(|row| {
        let index = usize::try_from(row.get::<i32>(0)).ok()?;
        let ask = asks.get(index)?;
        let seen = seen(ask.checkpoint?)?;
        let start = match &ask.floor {
            Floor::Chosen(from) => Some(from.clone()),
            Floor::None | Floor::Back(_) | Floor::Lower(..) => None,
        };
        let max = row.get::<Option<String>>(1).map(CursorValue::new);
        let tail = row.get::<Option<String>>(2);
        let is_quiet = max == seen.max && tail == seen.digest;
        is_quiet.then(|| (index, TableSurvey { max, tail, start, ..TableSurvey::default() }))
    });
    Ok(quiet.collect())
}

/// Returns the last scan's view of the table, if a table that still looks so needs no work.
fn seen(checkpoint: &Checkpoint) -> Option<&Seen> {
    let Checkpoint { shape: _, reached, scan } = checkpoint;
    let settled = reached.pending.is_none() && scan.is_none();
    reached.seen.as_ref().filter(|seen| settled && seen.digest.is_some())
}

/// The statement that gives a table's maximum and the digest of its tail in one pass over the tail.
/// The tail begins below the kept cursor, so the maximum lies in it. If the rows of the maximum
/// were deleted, the answer differs and the full survey follows.
fn table_sql(
    index: usize,
    ask: &SurveyAsk<'_>,
    checkpoint: &Checkpoint,
    overlap: Duration,
    parameters: &mut Parameters,
) -> String {
    let digest = digest_expression(ask.shape);
    let Cursor::Column { name, type_name, kind, nullable, .. } = &ask.shape.cursor else {
        let rows = rows_sql(ask.shape);
        return format!("select {index}, null::text, {digest} {rows}");
    };
    let rows = floor_sql(ask, parameters).rows(ask.shape);
    let column = format!("r.{}", sql::ident(name));
    let past = match horizon(*kind) {
        Some(horizon) => format!(" filter (where {column} <= {horizon})"),
        None => String::new(),
    };
    let tail = match &checkpoint.reached.kept {
        None => String::new(),
        Some(kept) => {
            let kept = format!("{}::{type_name}", parameters.bind(kept.as_str()));
            let nulls = if *nullable { format!(" or {column} is null") } else { String::new() };
            format!(" and ({column} >= {}{nulls})", minus_overlap(&kept, *kind, overlap))
        }
    };
    format!("select {index}, (max({column}){past})::text, {digest} {rows}{tail}")
}
