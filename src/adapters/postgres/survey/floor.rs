//! The floor of a survey: the cursor below which it reads no row of a table, as the source prints
//! and compares it.

use std::time::Duration;

use super::window_sql::{rows_sql, time_before_now};
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::statement::Parameters;
use crate::engine::model::cursor::{Cursor, CursorValue};
use crate::engine::model::shape::Shape;
use crate::engine::model::survey::{Floor, SurveyAsk};

/// The SQL of a table's floor.
pub struct FloorSql {
    /// The condition that a row is not below the floor. Without a floor there is none.
    condition: Option<String>,
    /// The expression of the floor's text, which the checkpoint keeps.
    pub text: String,
}

impl FloorSql {
    /// The clauses `from ... where ...` that give the synced rows above the floor, as `r`.
    pub fn rows(&self, shape: &Shape) -> String {
        let mut rows = rows_sql(shape);
        if let Some(condition) = &self.condition {
            rows.push_str(" and ");
            rows.push_str(condition);
        }
        rows
    }
}

/// Builds the SQL of a table's floor. All statements of a transaction read the same time, so they
/// mean the same floor.
pub fn floor_sql(ask: &SurveyAsk<'_>, parameters: &mut Parameters) -> FloorSql {
    let nothing = || FloorSql { condition: None, text: "null::text".to_owned() };
    let Cursor::Column { name, type_name, kind, nullable, .. } = &ask.shape.cursor else {
        return nothing();
    };
    let mut bound =
        |value: &CursorValue| format!("{}::{type_name}", parameters.bind(value.as_str()));
    let back = |lookback: &Duration| {
        let time = time_before_now(*kind, *lookback)?;
        Some(format!("({time})::{type_name}"))
    };
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
