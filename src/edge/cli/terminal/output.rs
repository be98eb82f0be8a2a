//! The output of a command, for a person or a script: tables, sentences, JSON, and the exit code
//! that follows from the remedy.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::edge::http::wire::{ErrorAnswer, SyncAnswer};
use crate::edge::text::point;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::Remedy;
use crate::engine::model::run::{RunId, Tally, Trigger};
use crate::jobs::sync_tables::SyncReport;

/// The end of a command; scripts rely on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Failed; nothing is lost.
    Failed,
    /// The arguments or the settings are wrong.
    Usage,
    /// Stopped at its budget; there is more to do.
    More,
    /// Done, but the target rejected rows.
    Rejected,
    /// `verify` found differences.
    Differs,
    /// Another run holds the lease.
    Busy,
    /// Stopped by Ctrl-C before its end.
    Interrupted,
    /// Stopped by SIGTERM before its end.
    Terminated,
    /// The command to become cannot be executed.
    NotExecutable,
    /// There is no such command to become.
    NotFound,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::More => 3,
            Exit::Rejected => 4,
            Exit::Differs => 5,
            Exit::Busy => 75,
            // What a shell reports of a command that the signal ended.
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
            // What a shell reports of a command that it cannot start.
            Exit::NotExecutable => 126,
            Exit::NotFound => 127,
        })
    }
}

impl Exit {
    /// The exit of a run that ended with this report.
    pub fn of(report: &SyncReport) -> Self {
        match (report.succeeded(), report.done, report.rejects()) {
            (false, ..) => Self::Failed,
            (true, false, _) => Self::More,
            (true, true, 0) => Self::Done,
            (true, true, _) => Self::Rejected,
        }
    }

    /// The exit of a command that met this fault.
    pub fn of_fault(fault: &Fault) -> Self {
        match fault.remedy {
            Remedy::Caller => Self::Usage,
            Remedy::Retry | Remedy::Operator | Remedy::Report => Self::Failed,
        }
    }
}

/// Prints a fault: for a person on stderr, for a script as JSON on stdout.
pub fn fault(fault: &Fault, run: &RunId, json: bool) -> Exit {
    if json {
        print_json(&ErrorAnswer::of(fault, run));
    } else {
        eprintln!("{}", sentence(fault));
    }
    Exit::of_fault(fault)
}

/// Prints the report of a run.
pub fn report(report: &SyncReport, json: bool) -> Exit {
    if json {
        print_json(&SyncAnswer::of(report, Trigger::Manual));
        return Exit::of(report);
    }
    for note in &report.notes {
        eprintln!("{note}");
    }
    print!("{}", counts(report));
    for (name, table) in &report.tables {
        if let Some(from) = &table.started_from {
            println!("{}", lookback_sentence(name, &point(from)));
        }
    }
    for step in report.sequences.iter().flatten() {
        println!("{step}");
    }
    if report.sequences.as_ref().is_some_and(Vec::is_empty) {
        println!("No sequence had to be advanced.");
    }
    for (name, table) in &report.tables {
        if let Some(fault) = &table.fault {
            eprintln!("{name}: {}", sentence(fault));
        }
    }
    if let Some(fault) = &report.fault {
        eprintln!("{}", sentence(fault));
    }
    if report.rejects() > 0 {
        eprintln!(
            "Rejected rows: {}. The target refuses them, or lacks rows that they point to. \
             Every run retries them.\n  See why: syncline rejects list",
            report.rejects()
        );
    }
    Exit::of(report)
}

/// Says of a table that a look-back limited its first run.
pub fn lookback_sentence(table: &impl std::fmt::Display, from: &str) -> String {
    format!("{table} begins at {from}: older rows were never asked for.")
}

/// Prints a value as one JSON object.
pub fn print_json(value: &impl serde::Serialize) {
    println!("{}", serde_json::to_string(value).expect("our own shapes are JSON"));
}

/// Lays out rows of texts below their heads.
pub fn columns<const N: usize>(
    heads: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let lines = std::iter::once(heads.map(str::to_owned)).chain(rows).map(Vec::from);
    table(&lines.collect::<Vec<_>>(), Align::Left)
}

/// The alignment of cells. Those of the first column are always at the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// For words.
    Left,
    /// For counts.
    Right,
}

/// Lays out lines with the same number of cells. A column is as wide as its widest cell.
pub fn table(lines: &[Vec<String>], align: Align) -> String {
    let cells = lines.iter().flat_map(|line| line.iter().enumerate());
    let mut widths = vec![0; lines.first().map_or(0, Vec::len)];
    for (column, cell) in cells {
        widths[column] = widths[column].max(cell.chars().count());
    }
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, &width))| match align {
            Align::Right if column > 0 => format!("{cell:>width$}"),
            Align::Left | Align::Right => format!("{cell:width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Asks the person at the terminal, and returns whether the answer was yes.
pub fn ask(question: &str) -> io::Result<bool> {
    write!(io::stderr(), "{question} [y/N] ").and_then(|()| io::stderr().flush())?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Prints faults on stderr, each behind the table that it is about.
pub fn print_faults(faults: &[Fault]) {
    for fault in faults {
        let table = fault.table.as_ref().map(|table| format!("{table}: ")).unwrap_or_default();
        eprintln!("{table}{}", sentence(fault));
    }
}

/// A fault as the JSON of a command that goes on after it.
pub fn fault_json(fault: &Fault) -> Value {
    json!({
        "table": fault.table.as_ref().map(ToString::to_string),
        "code": fault.code.name(),
        "message": fault.chain(),
        "hint": fault.hint,
    })
}

/// A fault as a person reads it.
pub fn sentence(fault: &Fault) -> String {
    format!("{}\n  {}", fault.chain(), fault.hint)
}

/// A line for each table that was read, then the sum. Deleted and rejected rows have a column only
/// where there are any.
fn counts(report: &SyncReport) -> String {
    if report.tables.is_empty() {
        return match report.succeeded() {
            true => format!("Nothing had changed{}.\n", calls_of(report)),
            false => String::new(),
        };
    }
    let total = report.total();
    let is_shown = [true, true, true, total.deleted > 0, report.rejects() > 0];
    let line = |name: String, counts: [String; 5]| -> Vec<String> {
        let counts = counts.into_iter().zip(is_shown).filter(|(_, is_shown)| *is_shown);
        std::iter::once(name).chain(counts.map(|(count, _)| count)).collect()
    };
    let counts = |tally: &Tally, rejects: u64| {
        let Tally { inserted, updated, unchanged, rejected: _, deleted, rewritten: _ } = *tally;
        [inserted, updated, unchanged, deleted, rejects].map(|count| count.to_string())
    };
    let heads = ["inserted", "updated", "unchanged", "deleted", "rejected"];
    let mut lines = vec![line("table".to_owned(), heads.map(str::to_owned))];
    let tables = report.tables.iter();
    lines.extend(
        tables.map(|(name, table)| line(name.to_string(), counts(&table.tally, table.rejects))),
    );
    lines.push(line("total".to_owned(), counts(&total, report.rejects())));
    let took = report.ended.duration_since(report.started).unwrap_or_default();
    format!("{}in {:.1} s{}\n", table(&lines, Align::Right), took.as_secs_f64(), calls_of(report))
}

/// The API calls, which count in a monthly quota; between two Postgres databases there are none.
fn calls_of(report: &SyncReport) -> String {
    match report.calls {
        0 => String::new(),
        calls => format!(", with {calls} API calls"),
    }
}
