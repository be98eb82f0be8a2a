//! The report of a comparison for people and for scripts. It names the keys of differing rows,
//! which stand in no log and no error.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::edge::cli::terminal::output;
use crate::edge::text::point;
use crate::engine::model::range::{Difference, DifferingRow, SideRows};
use crate::jobs::verify::{KeepReason, TableComparison, VerifyReport};

/// A line for each table, then the differing rows of each, and the sum.
pub fn text(report: &VerifyReport) -> String {
    let heads = ["table", "source", "target", "missing", "extra", "different", "rewritten"];
    let mut text = match report.tables.is_empty() {
        true => String::new(),
        false => output::columns(heads, report.tables.iter().map(line)),
    };
    for table in report.tables.iter().filter(|table| !table.is_equal() || !table.mended.is_empty())
    {
        let _ = writeln!(text, "\n{}", table.table);
        table.mended.iter().for_each(|row| {
            let _ = writeln!(text, "  repaired: {}", row_text(table, row));
        });
        table.rows.iter().for_each(|row| {
            let _ = writeln!(text, "  {}", row_text(table, row));
        });
        if table.more {
            let _ = writeln!(text, "  and perhaps more: --limit names more rows of a table");
        }
        if table.counts().rewritten > 0 {
            let _ = writeln!(text, "  {}", rewritten_hint(table));
        }
        if let Some(reason) = table.keep_reason {
            let _ = writeln!(text, "  {}", reason.sentence());
        }
    }
    for table in &report.tables {
        if let Some(from) = &table.started_from {
            let _ = writeln!(text, "{}", output::lookback_sentence(&table.table, &point(from)));
        }
    }
    if report.is_complete() && report.is_equal() {
        let rows: u64 = report.tables.iter().map(|table| table.source.rows).sum();
        let _ = writeln!(text, "All {rows} rows are the same on both sides.");
    }
    text
}

fn line(table: &TableComparison) -> [String; 7] {
    let counts = table.counts();
    // A comparison that stopped at its limit has counted only some of the rows.
    let counted = |rows: u64| if table.more { format!("{rows}+") } else { rows.to_string() };
    [
        table.table.to_string(),
        table.source.rows.to_string(),
        table.target.rows.to_string(),
        counted(counts.missing),
        counted(counts.extra),
        counted(counts.different),
        counted(counts.rewritten),
    ]
}

fn row_text(table: &TableComparison, row: &DifferingRow) -> String {
    let pairs = table.key.iter().zip(row.key.values());
    let key: Vec<String> = pairs.map(|(column, value)| format!("{column}={value}")).collect();
    let key = key.join(" ");
    match &row.difference {
        Difference::Missing => format!("missing    {key}"),
        Difference::Extra => format!("extra      {key}"),
        Difference::Different(columns) => {
            format!("{:<9}  {key}: {}", kind(table, columns), columns.join(", "))
        }
    }
}

/// Names the kind of a row that both sides have with other values.
fn kind(table: &TableComparison, columns: &[String]) -> &'static str {
    if table.are_rewritten(columns) { "rewritten" } else { "different" }
}

/// The cause of rewritten rows, and its remedy.
fn rewritten_hint(table: &TableComparison) -> String {
    let columns: Vec<&str> = table.rewritten.iter().map(String::as_str).collect();
    format!(
        "a trigger of the target has rewritten {}: once `syncline plan` names none that fires, --repair \
         mends these rows",
        columns.join(", ")
    )
}

/// The comparison as one JSON object.
pub fn json(report: &VerifyReport) -> Value {
    let took = report.ended.duration_since(report.started).unwrap_or_default();
    json!({
        "success": report.is_complete(),
        "equal": report.is_complete() && report.is_equal(),
        "busy_seconds": report.busy.map(|left| left.as_secs()),
        "run_id": report.run.as_str(),
        "duration_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "tables": report.tables.iter().map(table_json).collect::<Vec<_>>(),
        "warnings": report.notes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "errors": report.faults.iter().map(output::fault_json).collect::<Vec<_>>(),
    })
}

fn table_json(table: &TableComparison) -> Value {
    let counts = table.counts();
    json!({
        "table": table.table.to_string(),
        "equal": table.is_equal(),
        "settled_to": table.settled_to,
        "started_from": table.started_from.as_ref().map(point),
        "target_filtered": table.target_filtered,
        "source": side_json(&table.source),
        "target": side_json(&table.target),
        "missing": counts.missing,
        "extra": counts.extra,
        "different": counts.different,
        "rewritten": counts.rewritten,
        "rewritten_columns": table.rewritten,
        "at_least": table.more,
        "repaired": table.mended.iter().map(|row| row_json(table, row)).collect::<Vec<_>>(),
        "not_deleted": table.keep_reason.map(KeepReason::sentence),
        "rows": table.rows.iter().map(|row| row_json(table, row)).collect::<Vec<_>>(),
    })
}

/// The digest as hexadecimal digits: as a number it would not fit a reader's double.
fn side_json(side: &SideRows) -> Value {
    json!({ "rows": side.rows, "digest": format!("{:032x}", side.digest) })
}

fn row_json(table: &TableComparison, row: &DifferingRow) -> Value {
    let pairs = table.key.iter().zip(row.key.values());
    let key: Map<String, Value> =
        pairs.map(|(column, value)| (column.clone(), Value::from(value.as_str()))).collect();
    match &row.difference {
        Difference::Missing => json!({ "difference": "missing", "key": key }),
        Difference::Extra => json!({ "difference": "extra", "key": key }),
        Difference::Different(columns) => {
            json!({ "difference": kind(table, columns), "key": key, "columns": columns })
        }
    }
}
