//! `syncline verify`: compares the rows of both sides, and names those that differ.

mod report;

use std::path::PathBuf;

use super::terminal::app::{Selection, with_app};
use super::terminal::output::{self, Exit};
use super::terminal::slices::selected_pipeline;
use crate::jobs::verify::{ComparedRows, ExtraRows, VerifyReport, VerifyTables};

#[derive(Debug, clap::Args)]
pub struct VerifyArguments {
    #[command(flatten)]
    selection: Selection,
    /// Also compare the rows above the cursor, which the next run would bring; only if nobody writes
    #[arg(long)]
    all: bool,
    /// Write the rows that are missing or different in the target, as the source has them now
    #[arg(long)]
    repair: bool,
    /// Delete the rows that only the target has, each asked for in the source once more
    #[arg(long, requires = "repair")]
    delete_extra: bool,
    /// Delete them even if they are more than a tenth of the target's rows
    #[arg(long, requires = "delete_extra")]
    yes: bool,
    #[arg(
        long,
        value_name = "ROWS",
        default_value_t = 1000,
        help = "How many differing rows of a table are named at most"
    )]
    limit: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Write the JSON object to a file, too
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Compares both sides and prints the result. The exit is 5 if rows differ.
pub async fn verify(arguments: &VerifyArguments) -> Exit {
    with_app(arguments.json, async |app, run| {
        let (served, pipeline) = selected_pipeline(app, &arguments.selection)?;
        let extras = match (arguments.delete_extra, arguments.yes) {
            (false, _) => ExtraRows::Keep,
            (true, false) => ExtraRows::DeleteFew,
            (true, true) => ExtraRows::DeleteAny,
        };
        let repair = arguments.repair.then_some(extras);
        let rows = if arguments.all { ComparedRows::All } else { ComparedRows::Settled };
        let run = run.clone();
        let job = VerifyTables { pipeline, rows, most: arguments.limit, repair, run };
        Ok(print_report(&job.run(&served.ports).await?, arguments))
    })
    .await
}

fn print_report(report: &VerifyReport, arguments: &VerifyArguments) -> Exit {
    let json = report::json(report);
    if arguments.json {
        output::print_json(&json);
    } else {
        for note in &report.notes {
            eprintln!("{note}");
        }
        print!("{}", report::text(report));
        output::print_faults(&report.faults);
    }
    if let Some(path) = &arguments.report
        && let Err(error) = std::fs::write(path, format!("{json:#}\n"))
    {
        eprintln!("Cannot write {}: {error}", path.display());
        return Exit::Failed;
    }
    if let (Some(left), false) = (report.busy, arguments.json) {
        let seconds = left.as_secs();
        eprintln!("Nothing was repaired: another run is at work, for {seconds} s at most.");
    }
    match (report.is_complete(), report.is_equal()) {
        _ if report.busy.is_some() => Exit::Busy,
        (false, _) => Exit::Failed,
        (true, false) => Exit::Differs,
        (true, true) => Exit::Done,
    }
}
