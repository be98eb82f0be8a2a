//! The cursor below which a look sees no row of a table, as the source prints and compares it.

use std::time::Duration;

use super::window_sql::{horizon, rows_sql, text};
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::statement::Parameter;
use crate::engine::model::cursor::{Cursor, CursorKind, CursorValue};
use crate::engine::model::shape::Shape;
use crate::engine::model::survey::{Floor, SurveyAsk};

/// A floor in a statement.
pub struct FloorSql {
    /// The condition that it puts on a row, if it puts any.
    condition: Option<String>,
    /// It as text: what is kept of it.
    pub text: String,
}

impl FloorSql {
    /// `from ... where ...` over the rows that are synced and not below it, as `r`.
    pub fn rows(&self, shape: &Shape) -> String {
        let mut rows = rows_sql(shape);
        if let Some(condition) = &self.condition {
            rows.push_str(" and ");
            rows.push_str(condition);
        }
        rows
    }
}

/// The floor that is known without asking for the time.
pub fn known(floor: &Floor) -> Option<CursorValue> {
    match floor {
        Floor::Chosen(from) => Some(from.clone()),
        Floor::None | Floor::Back(_) | Floor::Lower(..) => None,
    }
}

/// Says whether nothing has to be asked for the floor.
pub fn is_known(floor: &Floor) -> bool {
    matches!(floor, Floor::None | Floor::Chosen(_))
}

/// The floor as a look puts it in its statement. The clock is read once a transaction: all of its
/// statements mean the same floor.
pub fn floor(ask: &SurveyAsk<'_>, parameters: &mut Vec<Parameter>) -> FloorSql {
    let nothing = || FloorSql { condition: None, text: "null::text".to_owned() };
    let Cursor::Column { name, type_name, kind, nullable, .. } = &ask.shape.cursor else {
        return nothing();
    };
    let mut bound = |value: &CursorValue| {
        parameters.push(text(value).into());
        format!("${}::{type_name}", parameters.len())
    };
    let back =
        |lookback: &Duration| ago(*kind, *lookback).map(|ago| format!("({ago})::{type_name}"));
    let from = match &ask.floor {
        Floor::None => None,
        Floor::Chosen(from) => Some(bound(from)),
        Floor::Back(lookback) => back(lookback),
        Floor::Lower(from, lookback) => {
            back(lookback).map(|back| format!("least({}, {back})", bound(from)))
        }
    };
    let Some(from) = from else { return nothing() };
    let column = format!("r.{}", sql::ident(name));
    let nulls = if *nullable { format!(" or {column} is null") } else { String::new() };
    FloorSql {
        condition: Some(format!("({column} >= {from}{nulls})")),
        text: format!("({from})::text"),
    }
}

/// So long before now, by the source's clock; none where the cursor is no time.
fn ago(kind: CursorKind, lookback: Duration) -> Option<String> {
    let seconds = lookback.as_secs();
    let span = match kind {
        CursorKind::Day => seconds.div_ceil(86_400).to_string(),
        CursorKind::Instant | CursorKind::WallClock => format!("interval '{seconds} seconds'"),
        CursorKind::Sequence | CursorKind::Decimal => return None,
    };
    horizon(kind).map(|now| format!("{now} - {span}"))
}
