//! The quick half of a look: which tables are as the last scan left them.

use std::time::Duration;

use super::floor;
use super::window_sql::{digest_expression, horizon, minus_overlap, rows_sql, text};
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::statement::Parameter;
use crate::engine::model::checkpoint::{Checkpoint, Seen};
use crate::engine::model::cursor::{Cursor, CursorValue};
use crate::engine::model::survey::{SurveyAsk, TableSurvey};

/// The tables, by their place, whose maximum and tail are what was seen last. A table with
/// something pending is not among them: settling it needs a full look, and so does a new floor.
pub async fn look(
    session: &Session,
    asks: &[SurveyAsk<'_>],
    overlap: Duration,
) -> Result<Vec<(usize, TableSurvey)>, PostgresError> {
    let mut parameters = Vec::new();
    let looks: Vec<String> = asks
        .iter()
        .enumerate()
        .filter_map(|(at, ask)| {
            let checkpoint = ask.checkpoint?;
            seen(checkpoint)?;
            floor::is_known(&ask.floor).then_some(())?;
            Some(look_sql(at, ask, checkpoint, overlap, &mut parameters))
        })
        .collect();
    if looks.is_empty() {
        return Ok(Vec::new());
    }
    let rows = session.query(&looks.join(" union all "), parameters).await?;
    let quiet = rows.iter().filter_map(|row| {
        let at = usize::try_from(row.get::<i32>(0)).ok()?;
        let ask = asks.get(at)?;
        let seen = seen(ask.checkpoint?)?;
        let start = floor::known(&ask.floor);
        let max = row.get::<Option<String>>(1).map(CursorValue::new);
        let tail = row.get::<Option<String>>(2);
        let as_before = max == seen.max && tail == seen.digest;
        as_before.then(|| (at, TableSurvey { max, tail, start, ..TableSurvey::default() }))
    });
    Ok(quiet.collect())
}

/// The last scan's view of the table, if comparing with it can tell that nothing is to be done.
fn seen(checkpoint: &Checkpoint) -> Option<&Seen> {
    let Checkpoint { shape: _, reached, scan } = checkpoint;
    let settled = reached.pending.is_none() && scan.is_none();
    reached.seen.as_ref().filter(|seen| settled && seen.digest.is_some())
}

/// The maximum and the digest of the tail in one pass over it. The maximum lies in the tail, which
/// begins below the kept cursor; if its rows are gone the answer is another and the full look
/// follows.
fn look_sql(
    at: usize,
    ask: &SurveyAsk<'_>,
    checkpoint: &Checkpoint,
    overlap: Duration,
    parameters: &mut Vec<Parameter>,
) -> String {
    let digest = digest_expression(ask.shape);
    let Cursor::Column { name, type_name, kind, nullable, .. } = &ask.shape.cursor else {
        let rows = rows_sql(ask.shape);
        return format!("select {at}, null::text, {digest} {rows}");
    };
    let rows = floor::floor(ask, parameters).rows(ask.shape);
    let column = format!("r.{}", sql::ident(name));
    let counted = match horizon(*kind) {
        Some(horizon) => format!(" filter (where {column} <= {horizon})"),
        None => String::new(),
    };
    let tail = match &checkpoint.reached.kept {
        None => String::new(),
        Some(kept) => {
            parameters.push(text(kept).into());
            let kept = format!("${}::{type_name}", parameters.len());
            let nulls = if *nullable { format!(" or {column} is null") } else { String::new() };
            format!(" and ({column} >= {}{nulls})", minus_overlap(&kept, *kind, overlap))
        }
    };
    format!("select {at}, (max({column}){counted})::text, {digest} {rows}{tail}")
}
