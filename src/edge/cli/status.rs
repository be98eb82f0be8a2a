//! `syncline status`: the state of the pipelines.

use std::fmt::Write as _;
use std::time::Duration;

use super::terminal::app::{select_pipeline, with_app};
use super::terminal::output::{self, Exit, columns};
use crate::edge::overview::{
    self, CallsView, DatabaseView, PipelineView, RateView, RunView, TableView,
};
use crate::edge::text::{megabytes, span};

#[derive(Debug, clap::Args)]
pub struct StatusArguments {
    /// The pipeline [default: all of them]
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Prints the state of the pipelines. The exit says only whether all of them could be read; a
/// script finds their health in the JSON.
pub async fn status(arguments: &StatusArguments) -> Exit {
    with_app(arguments.json, async |app, _| {
        let overview = match arguments.pipeline.as_deref() {
            None => overview::read(app).await?,
            Some(name) => overview::read_pipeline(app, select_pipeline(app, Some(name))?).await?,
        };
        if arguments.json {
            output::print_json(&overview);
        } else {
            let texts: Vec<String> = overview.pipelines.iter().map(text).collect();
            print!("{}", texts.join("\n"));
        }
        Ok(if overview.is_whole() { Exit::Done } else { Exit::Failed })
    })
    .await
}

/// The status of a pipeline for a person.
pub fn text(view: &PipelineView) -> String {
    let mut text = format!("{}: {}. {}.\n", view.pipeline, view.health, view.message);
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<12}  {value}");
    };
    let next = view.next_tick.clone().unwrap_or_else(|| "never".to_owned());
    line("schedule", format!("{}, next at {next}", view.schedule));
    if let Some(error) = &view.error {
        line("what to do", error.hint().to_owned());
        return text;
    }
    if let Some(last) = view.history.first() {
        line("last run", last_run(last));
        line("success", rate(&view.success_rate));
    }
    if let Some(database) = &view.database {
        line("database", size(database));
    }
    line("API calls", calls(&view.api_calls));
    if !view.tables.is_empty() {
        text.push('\n');
        text.push_str(&tables(&view.tables));
    }
    if let Some(why) = &view.lag_unknown {
        let _ = writeln!(text, "How far the tables are behind is not known: {why}");
    }
    if !view.history.is_empty() {
        text.push('\n');
        text.push_str(&history(&view.history));
    }
    text
}

fn last_run(run: &RunView) -> String {
    let trigger = run.trigger.as_deref().unwrap_or("unknown trigger");
    let mut text = format!("{} ({trigger}) at {}", run.sync_status, run.started_at);
    let _ = write!(text, ", {} rows", run.records_synced);
    if let Some(error) = &run.error {
        let _ = write!(text, ": {error}");
    }
    text
}

fn rate(rate: &RateView) -> String {
    let RateView { window_days, runs, succeeded, percent } = rate;
    match percent {
        Some(percent) => {
            format!("{percent:.1} %: {succeeded} of {runs} runs in the last {window_days} days")
        }
        None => format!("no run ended in the last {window_days} days"),
    }
}

fn size(database: &DatabaseView) -> String {
    let DatabaseView { bytes, limit_bytes, percent, forecast } = database;
    // No database has 0 bytes: its size was not read yet.
    let mut text = match bytes {
        0 => "of an unknown size".to_owned(),
        bytes => megabytes(*bytes),
    };
    if let (Some(limit), Some(percent)) = (limit_bytes, percent) {
        let _ = write!(text, " of {} ({percent:.1} %)", megabytes(*limit));
    }
    if let Some(forecast) = forecast {
        let _ = write!(text, ". {}", forecast.message);
    }
    text
}

fn calls(calls: &CallsView) -> String {
    let CallsView { last_run, window_days, in_window, monthly_quota, percent } = calls;
    let mut text = format!("{last_run} in the last run, {in_window} in {window_days} days");
    if let (Some(quota), Some(percent)) = (monthly_quota, percent) {
        let _ = write!(text, ", of {quota} a month ({percent:.1} %)");
    }
    text
}

fn tables(tables: &[TableView]) -> String {
    let head = ["table", "behind", "rejected", "has come to"];
    let rows = tables.iter().map(|table| {
        let cursor = table.cursor.clone().unwrap_or_default();
        [table.table.clone(), lag_text(table), table.rejected.to_string(), cursor]
    });
    let mut text = columns(head, rows);
    for table in tables {
        if let Some(from) = &table.started_from {
            let _ = writeln!(text, "{}", output::lookback_sentence(&table.table, from));
        }
        if !table.rewritten_columns.is_empty() {
            let columns: Vec<&str> = table.rewritten_columns.iter().map(String::as_str).collect();
            let _ = writeln!(
                text,
                "{}: a trigger of the target has rewritten {}",
                table.table,
                columns.join(", ")
            );
        }
    }
    text
}

fn lag_text(table: &TableView) -> String {
    match (table.lag, table.lag_seconds, table.lag_steps) {
        ("time", Some(seconds), _) => span(Duration::from_secs(seconds)),
        ("steps", _, Some(steps)) => format!("{steps} steps"),
        ("none", ..) => "no".to_owned(),
        (word, ..) => word.to_owned(),
    }
}

fn history(runs: &[RunView]) -> String {
    let head = ["began", "what", "trigger", "status", "rows", "took"];
    let rows = runs.iter().map(|run| {
        let took = run.duration_ms.map(|took| format!("{:.1} s", took as f64 / 1e3));
        [
            run.started_at.clone(),
            run.sync_type.clone(),
            run.trigger.clone().unwrap_or_default(),
            run.sync_status.to_owned(),
            run.records_synced.to_string(),
            took.unwrap_or_default(),
        ]
    });
    columns(head, rows)
}
