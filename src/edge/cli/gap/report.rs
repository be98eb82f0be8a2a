//! The report of an import for people and for scripts. The reasons of rejected rows may hold values
//! of the rows, so only a trial prints them, for the person who runs it. Those of an import are in
//! the target.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::edge::cli::terminal::output;
use crate::engine::model::cursor::CursorValue;
use crate::jobs::gap::{
    CheckpointChange, Export, FilledTable, GapPlan, GapReport, PlannedFile, RejectedLine,
};

/// The most rejected rows of a table in an output.
const MOST_PRINTED: usize = 100;

/// The instructions after the queries.
pub const AFTER_EXPORTS: &str = "\
Save each result as the file that is named above it, all in one folder, with no row limit. Then:
  syncline gap import DIR --null null --dry-run    # files of the Supabase dashboard, which writes NULL as null
  syncline gap import DIR --dry-run                # files of psql and of spreadsheets";

/// One table's export.
pub fn export_text(export: &Export) -> String {
    let Export { table, file, rows_text, .. } = export;
    let copy = match export.psql_line() {
        Ok(line) => format!("or in psql: {line}"),
        Err(fault) => format!("no line for psql: {}; {}", fault.message, fault.hint),
    };
    format!("-- {table}: {rows_text}\n-- save as {file}\n{};\n-- {copy}\n\n", export.query())
}

/// Prints a line for each file, and below the table the columns without a counterpart.
pub fn plan_text(plan: &GapPlan) -> String {
    if plan.files.is_empty() {
        return "There is nothing to import.\n".to_owned();
    }
    let line = |file: &PlannedFile| {
        let PlannedFile { shape, rows, .. } = file;
        let columns = shape.columns.len().to_string();
        [file.file.clone(), shape.table.to_string(), rows.to_string(), columns]
    };
    let heads = ["file", "table", "rows", "columns"];
    let mut text = output::columns(heads, plan.files.iter().map(line));
    for file in &plan.files {
        let mut say = |what: &str, names: &[String]| {
            if !names.is_empty() {
                let _ = writeln!(text, "{}: {what}: {}", file.file, names.join(", "));
            }
        };
        say("not in the table, and ignored", &file.extra);
        say("not in the file, and left as they are", &file.missing);
        let null_words: Vec<String> =
            file.null_words.iter().map(|(name, count)| format!("{name} ({count})")).collect();
        say("holds the word null, which may be NULL; say --null null if it is", &null_words);
        if let Some(change) = &file.checkpoint {
            let _ = writeln!(text, "{}: {}", file.file, checkpoint(change, "moves"));
        }
    }
    text
}

/// The change of a checkpoint in words.
fn checkpoint(change: &CheckpointChange, moves: &str) -> String {
    match change {
        CheckpointChange::Moves(on) => {
            let from = on.from().map_or("nothing", CursorValue::as_str);
            format!("the checkpoint {moves} from {from} to {}", on.to.as_str())
        }
        CheckpointChange::Stays(why) => format!("the checkpoint stays: {why}"),
    }
}

/// Prints a line for each table, the rejected rows, and what a person can do next.
pub fn text(report: &GapReport, dry_run: bool) -> String {
    if report.tables.is_empty() {
        return String::new();
    }
    let heads = ["table", "inserted", "updated", "unchanged", "doubled", "refused"];
    let mut text = String::from("\n");
    if dry_run {
        text.push_str("This was a trial, and nothing of it stays:\n");
    }
    text.push_str(&output::columns(heads, report.tables.iter().map(line)));
    for table in report.tables.iter().filter(|table| !table.rejected.is_empty()) {
        for RejectedLine { line, code, reason } in
            rejected_lines(table).into_iter().take(MOST_PRINTED)
        {
            let file = &table.file;
            let _ = match dry_run {
                true => writeln!(text, "{file}, line {line}: {code}: {reason}"),
                false => writeln!(text, "{file}, line {line}: refused ({code})"),
            };
        }
        if table.rejected.len() > MOST_PRINTED {
            let _ =
                writeln!(text, "{}: and {} more", table.file, table.rejected.len() - MOST_PRINTED);
        }
    }
    if report.rejected() > 0 && !dry_run {
        text.push_str("The reasons: syncline rejects list. Mend the rows or the table, and repeat the import.\n");
    }
    let moved = if dry_run { "would move" } else { "moved" };
    let mut has_changes = false;
    for table in &report.tables {
        if let Some(change) = &table.checkpoint {
            has_changes = true;
            let _ = writeln!(text, "{}: {}", table.table, checkpoint(change, moved));
        }
    }
    if !dry_run {
        text.push_str(if has_changes { AFTER_CHECKPOINTS } else { AFTER_IMPORT });
    }
    text
}

const AFTER_IMPORT: &str = "\
No cursor was moved: a file does not prove that it holds everything. The next run reads the gap once more, and \
finds these rows equal. Where you know that the files are whole, --checkpoint moves it.\n";

const AFTER_CHECKPOINTS: &str = "\
The next run goes on from a checkpoint that moved, less the overlap; where it stays, it reads the gap once more.\n";

fn line(table: &FilledTable) -> [String; 6] {
    let counts =
        [table.tally.inserted, table.tally.updated, table.tally.unchanged, table.duplicates];
    let [inserted, updated, unchanged, doubled] = counts.map(|count| count.to_string());
    [
        table.table.to_string(),
        inserted,
        updated,
        unchanged,
        doubled,
        table.rejected.len().to_string(),
    ]
}

/// The rejected rows in the order of their lines.
fn rejected_lines(table: &FilledTable) -> Vec<&RejectedLine> {
    let mut lines: Vec<&RejectedLine> = table.rejected.values().collect();
    lines.sort_by_key(|line| line.line);
    lines
}

/// Everything as one object.
pub fn json(plan: &GapPlan, report: &GapReport, dry_run: bool) -> Value {
    let files: Vec<Value> = plan.files.iter().map(file_json).collect();
    let entry = |table: &FilledTable| (table.table.to_string(), table_json(table, dry_run));
    let tables: Map<String, Value> = report.tables.iter().map(entry).collect();
    json!({
        "success": report.is_complete(),
        "dry_run": dry_run,
        "run_id": report.run.as_str(),
        "files": files,
        "tables": tables,
        "refused": report.rejected(),
        "busy_seconds": report.busy.map(|left| left.as_secs()),
        "notes": report.notes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "faults": report.faults.iter().map(output::fault_json).collect::<Vec<_>>(),
    })
}

fn file_json(file: &PlannedFile) -> Value {
    json!({
        "file": file.file,
        "table": file.shape.table.to_string(),
        "rows": file.rows,
        "columns": file.shape.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(),
        "extra": file.extra,
        "missing": file.missing,
        "word_null": file.null_words,
        "checkpoint": file.checkpoint.as_ref().map(checkpoint_json),
    })
}

fn table_json(table: &FilledTable, dry_run: bool) -> Value {
    let row = |line: &RejectedLine| match dry_run {
        true => json!({ "line": line.line, "code": line.code, "reason": line.reason }),
        false => json!({ "line": line.line, "code": line.code }),
    };
    let rows: Vec<Value> = rejected_lines(table).into_iter().take(MOST_PRINTED).map(row).collect();
    json!({
        "file": table.file,
        "inserted": table.tally.inserted,
        "updated": table.tally.updated,
        "unchanged": table.tally.unchanged,
        "doubled": table.duplicates,
        "refused": table.rejected.len(),
        "refused_lines": rows,
        "checkpoint": table.checkpoint.as_ref().map(checkpoint_json),
    })
}

fn checkpoint_json(change: &CheckpointChange) -> Value {
    match change {
        CheckpointChange::Moves(on) => json!({
            "moves": true,
            "from": on.from().map(CursorValue::as_str),
            "to": on.to.as_str(),
        }),
        CheckpointChange::Stays(why) => json!({ "moves": false, "why": why.to_string() }),
    }
}
