//! `syncline export`: the tables of one side in files, as of one moment.

mod compression;
mod files;

use std::path::PathBuf;

use serde_json::json;

use super::terminal::app::{Selection, SideArgument, open_or_print};
use super::terminal::output::{self, Exit};
use super::terminal::slices;
use crate::edge::http::wire::ErrorAnswer;
use crate::engine::model::fault::Fault;
use crate::engine::model::run::RunId;
use crate::engine::ports::export::{Consistency, Format};
use crate::jobs::export::{ExportReport, ExportTables};
use crate::wiring::App;
use compression::Compression;
use files::{Files, Place};

#[derive(Debug, clap::Args)]
pub struct ExportArguments {
    #[command(flatten)]
    selection: Selection,
    /// The side that is read
    #[arg(long, value_enum, default_value_t = SideArgument::Source)]
    from: SideArgument,
    /// SQL that restores the tables, CSV as COPY writes it, or a JSON object a row
    #[arg(long, value_enum)]
    format: FormatArgument,
    /// Compress with gzip
    #[arg(long, conflicts_with = "zstd")]
    gzip: bool,
    /// Compress with zstd
    #[arg(long)]
    zstd: bool,
    #[arg(
        long,
        value_name = "FILE|DIR",
        help = "Where to write: a file, or a directory for a file a table (csv, jsonl) [default: stdout]"
    )]
    output: Option<PathBuf>,
    /// Print one JSON object; on stderr where the rows are on stdout
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FormatArgument {
    Sql,
    Csv,
    Jsonl,
}

impl ExportArguments {
    fn format(&self) -> Format {
        match self.format {
            FormatArgument::Sql => Format::Sql,
            FormatArgument::Csv => Format::Csv,
            FormatArgument::Jsonl => Format::Jsonl,
        }
    }

    fn compression(&self) -> Compression {
        match (self.gzip, self.zstd) {
            (true, _) => Compression::Gzip,
            (false, true) => Compression::Zstd,
            (false, false) => Compression::None,
        }
    }
}

/// Writes all tables. If the export fails, it leaves no file under the given names.
pub async fn export(arguments: &ExportArguments) -> Exit {
    let app = match open_or_print(App::from_process()) {
        Ok(app) => app,
        Err(exit) => return exit,
    };
    let run = app.new_run();
    let place = Place::of(arguments.output.as_deref(), arguments.format());
    let stream = ReportStream { json: arguments.json, rows_on_stdout: place == Place::Stdout };
    match write_tables(&app, arguments, place).await {
        Ok(report) => {
            stream.report(&report, arguments);
            Exit::Done
        }
        Err(fault) => stream.fault(&fault, &run),
    }
}

async fn write_tables(
    app: &App,
    arguments: &ExportArguments,
    place: Place,
) -> Result<ExportReport, Fault> {
    let (served, pipeline) = slices::selected_pipeline(app, &arguments.selection)?;
    let terminal = app.terminal(served);
    let (format, compression) = (arguments.format(), arguments.compression());
    ExportTables { pipeline, side: arguments.from.into(), format }
        .run(&terminal.sides, &served.ports.meter, |tables, consistency| {
            let place = place.clone();
            let place = if consistency == Consistency::Proved {
                place.when_complete(terminal.temporary_folder())
            } else {
                place
            };
            Ok(Box::new(Files::open(place, format, compression, tables)?))
        })
        .await
}

/// The stream for the report: stderr if the rows go to stdout.
#[derive(Clone, Copy)]
struct ReportStream {
    json: bool,
    rows_on_stdout: bool,
}

impl ReportStream {
    fn say(self, text: &str) {
        match self.rows_on_stdout {
            true => eprint!("{text}"),
            false => print!("{text}"),
        }
    }

    fn report(self, report: &ExportReport, arguments: &ExportArguments) {
        let ExportReport { tables, notes, calls } = report;
        let total: u64 = tables.values().sum();
        if self.json {
            let counts: serde_json::Map<_, _> =
                tables.iter().map(|(table, rows)| (table.to_string(), json!(rows))).collect();
            let output = arguments.output.as_ref().map(|path| path.display().to_string());
            let report = json!({
                "success": true, "rows": total, "tables": counts, "output": output, "notes": notes,
                "api_calls": calls,
            });
            return self.say(&format!("{report}\n"));
        }
        for note in notes {
            eprintln!("note: {note}");
        }
        let lines = tables.iter().map(|(table, rows)| [table.to_string(), rows.to_string()]);
        let last = ["total".to_owned(), total.to_string()];
        self.say(&output::columns(["table", "rows"], lines.chain([last])));
        if *calls > 0 {
            self.say(&format!("in {calls} API calls\n"));
        }
    }

    fn fault(self, fault: &Fault, run: &RunId) -> Exit {
        if self.json && self.rows_on_stdout {
            let answer = serde_json::to_string(&ErrorAnswer::of(fault, run));
            eprintln!("{}", answer.expect("our own shapes are JSON"));
            return Exit::of_fault(fault);
        }
        if let (Some(table), false) = (&fault.table, self.json) {
            eprint!("{table}: ");
        }
        output::fault(fault, run, self.json)
    }
}
