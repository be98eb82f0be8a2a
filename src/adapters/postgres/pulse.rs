//! A source's description and its pulse, in one call of an API: what a survey would see of each
//! table, before it is known how the tables are synced.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::fault::PostgresError;
use super::session::Session;
use super::sql::{self, Purpose};
use super::statement::Statement;
use super::{describe, survey};
use crate::engine::model::cursor::{CursorKind, CursorValue};
use crate::engine::model::facts::Facts;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::pulse::{Beat, Pulse};
use crate::engine::model::table::TableName;
use crate::engine::model::writer::NUMBERED;

/// Looks at each table that the description tells of. What it does with each is decided by its
/// columns, which only the server knows then: so it is a block of code, and not a query.
const LOOK: &str = include_str!("../../../infra/sql/api/pulse.sql");

/// The types that a cursor may have, as `format_type` prints them without modifiers.
const TYPES: [&str; 7] = [
    "timestamp with time zone",
    "timestamp without time zone",
    "date",
    "smallint",
    "integer",
    "bigint",
    "numeric",
];

/// The facts, as `describe` reads them, and the pulse; none where a table cannot be looked at so.
/// The writers are sampled after all looks, each of which has a snapshot of its own: a row below a
/// maximum that the look at it did not see belongs to one of them. A standby counts its primary's
/// numbers once a transaction, and an operator's condition may have had them counted before.
pub async fn described(
    session: &Session,
    pipeline: &Pipeline,
) -> Result<(Facts, Option<Pulse>), PostgresError> {
    let asked = asked(pipeline).to_string();
    let (history, begun, identity, tables, asked, looked, writers, pulse) = tokio::join!(
        session.query(describe::HISTORY, []),
        session.begin(Purpose::Look),
        session.query(describe::IDENTITY, []),
        session.ask(gathering(pipeline.tables.as_deref())),
        session.query("select set_config('syncline.asked', $1, true)", [asked.into()]),
        session.batch(LOOK),
        session.query(survey::WRITERS, []),
        session.query("select current_setting('syncline.pulse')", []),
    );
    begun?;
    let (identity, tables) = (identity?, tables?);
    asked?;
    looked?;
    let writers = survey::names(&writers?);
    let pulse = pulse?;
    session.roll_back().await?;
    let tables = describe::gathered(&tables[0].get::<String>(0))?;
    let facts = describe::read(describe::told(history)?.first(), &identity[0], tables);
    let is_told = !writers.iter().any(|writer| writer.starts_with(NUMBERED));
    let pulse = read(&pulse[0].get::<String>(0))?.map(|tables| Pulse {
        tables,
        overlap: pipeline.overlap,
        writers: is_told.then_some(writers),
    });
    Ok((facts, pulse))
}

/// What gives the tables of the catalog as one JSON text, which the look finds in a setting.
fn gathering(tables: Option<&[TableName]>) -> Statement {
    let Statement { text, values } = describe::catalog(tables);
    let text = format!(
        "select set_config('syncline.tables', {}, true) from ({text}) as t (schema_name, table_name, facts)",
        describe::GATHERED
    );
    Statement { text, values }
}

/// What the look is told: whether the tables were named, since otherwise those without a key are
/// passed over; the operator's rules; and how a table is looked at whole, or by a cursor of each
/// type.
fn asked(pipeline: &Pipeline) -> Value {
    let rules = pipeline.rules.iter().map(|rule| {
        json!({
            "schema": rule.table.schema(),
            "table": rule.table.name(),
            "cursor": rule.cursor,
            "condition": rule.filter.as_deref().map(sql::condition),
        })
    });
    let kinds = TYPES.into_iter().filter_map(|name| {
        let kind = CursorKind::of_type(name)?;
        let of = json!({ "of_time": kind.is_of_time(), "look": look(kind, pipeline.overlap) });
        Some((name.to_owned(), of))
    });
    json!({
        "listed": pipeline.tables.is_some(),
        "rules": rules.collect::<Vec<_>>(),
        "kinds": kinds.collect::<Map<_, _>>(),
        "whole": format!("jsonb_build_array({}, false, false)", survey::VERSIONS),
    })
}

/// The look at a table by a cursor of that kind, as a format: of where the rows come from, the
/// cursor column, and the condition that finds rows without one. Rows past the maximum and rows
/// without a cursor are in the window, so one pass over it tells of them, too, and no index is
/// needed for that.
fn look(kind: CursorKind, overlap: Duration) -> String {
    let [rows, column, nulls] = ["%1$s", "%2$s", "%3$s"];
    let window = survey::window(column, kind, nulls, overlap);
    let seen = |beyond: &str| {
        format!(
            "jsonb_build_array({digest}, coalesce(bool_or({beyond}), false), \
             coalesce(bool_or({column} is null), false))",
            digest = survey::VERSIONS
        )
    };
    format!(
        "select w.m::text, case when w.m is null then (select {all} {rows}) \
         else (select {tail} {rows} and {window}) end \
         from {newest}",
        all = seen(&format!("{column} is not null")),
        tail = seen(&format!("{column} > w.m")),
        newest = survey::newest(rows, column, kind)
    )
}

/// The tables as the look leaves them: a list a table of schema, name, cursor, maximum, and what
/// was seen from there on.
fn read(text: &str) -> Result<Option<BTreeMap<TableName, Beat>>, PostgresError> {
    type Told = (String, String, Option<String>, Option<String>, (String, bool, bool));
    if text.is_empty() {
        return Ok(None);
    }
    let beats: Vec<Told> = serde_json::from_str(text)?;
    let tables = beats.into_iter().map(|(schema, name, cursor, max, (digest, beyond, nulls))| {
        let beat = Beat { cursor, max: max.map(CursorValue::new), digest, beyond, nulls };
        (TableName::new(schema, name), beat)
    });
    Ok(Some(tables.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_a_cursor_may_have_is_looked_at_and_its_format_has_no_place_but_three() {
        for name in TYPES {
            let kind = CursorKind::of_type(name).expect("a cursor may have it");
            let text = look(kind, Duration::from_secs(600));
            let bare = ["%1$s", "%2$s", "%3$s"].iter().fold(text, |text, of| text.replace(of, ""));
            assert!(!bare.contains('%'), "{name}: {bare}");
        }
    }

    #[test]
    fn a_pulse_is_read_as_the_look_leaves_it() {
        assert_eq!(read("").unwrap(), None);
        let text = r#"[["public", "a", "updated_at", "2026-01-01", ["1:2", false, true]],
            ["b", "c", null, null, ["0:0", true, false]]]"#;
        let tables = read(text).unwrap().expect("a pulse");
        let digest = "0:0".to_owned();
        let beat = Beat { cursor: None, max: None, digest, beyond: true, nulls: false };
        assert_eq!(tables[&TableName::new("b", "c")], beat);
        assert_eq!(tables.len(), 2);
    }
}
