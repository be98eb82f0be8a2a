//! `syncline gap`: fills what is missing for a known span, from files that were exported by hand or
//! from the source itself.

mod report;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::terminal::app::{ExtraSteps, Selection, select_pipeline, with_app};
use super::terminal::output::{self, Exit};
use super::terminal::slices::{Extent, report_end, slices, sync_job};
use crate::edge::text::timestamp;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::run::RunId;
use crate::jobs::gap::{
    CheckpointChange, ExportGap, GapPlan, GapReport, ImportGap, Nulls, PlannedFile,
};
use crate::wiring::App;

#[derive(Debug, clap::Args)]
pub struct GapArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Prints what to export by hand, and as which file; the source is not asked
    Sql {
        #[command(flatten)]
        selection: Selection,
        /// From when on: 7d, 36h, or a date [default: where each table's sync stands]
        #[arg(long, value_name = "SPAN")]
        since: Option<String>,
        /// Print nothing but lines for psql, to be piped into it
        #[arg(long)]
        psql: bool,
    },
    /// Imports the folder's TABLE.csv files; repeating it changes nothing
    Import(ImportArguments),
    /// Reads a span of the source again, whatever was synced of it
    Run {
        #[command(flatten)]
        selection: Selection,
        /// From when on: 7d, 36h, or a date
        #[arg(long, value_name = "SPAN")]
        since: String,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
struct ImportArguments {
    /// The folder with the files
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    selection: Selection,
    /// Do not ask before rows are written
    #[arg(long)]
    yes: bool,
    /// Try all rows in a transaction that is undone, and tell what would go wrong
    #[arg(long)]
    dry_run: bool,
    /// Vouch for the files: each holds all rows up to its newest cursor, and nobody was writing
    /// behind it. The checkpoints move, and the next run goes on from there
    #[arg(long)]
    checkpoint: bool,
    /// A text that stands for NULL where it is not quoted; may be repeated [default: nothing at
    /// all]
    #[arg(long = "null", value_name = "TEXT", allow_hyphen_values = true)]
    nulls: Vec<String>,
    /// The encoding of files that do not say it themselves [default: utf-8]
    #[arg(long, value_name = "NAME")]
    encoding: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Does one of the three actions.
pub async fn gap(arguments: &GapArguments) -> Exit {
    let json = match &arguments.action {
        Action::Sql { .. } => false,
        Action::Import(arguments) => arguments.json,
        Action::Run { json, .. } => *json,
    };
    with_app(json, async |app, run| match &arguments.action {
        Action::Sql { selection, since, psql } => {
            sql(app, selection, since.as_deref(), *psql).await
        }
        Action::Import(arguments) => import(app, arguments, run).await,
        Action::Run { selection, since, json } => reread(app, selection, since, *json, run).await,
    })
    .await
}

async fn sql(
    app: &App,
    selection: &Selection,
    since: Option<&str>,
    psql: bool,
) -> Result<Exit, Fault> {
    let served = select_pipeline(app, selection.pipeline.as_deref())?;
    let since = since.map(|text| parse_start(text, SystemTime::now())).transpose()?.map(timestamp);
    let (pipeline, tables) = (Arc::clone(&served.pipeline), selection.parsed()?);
    let job = ExportGap { pipeline, tables, since };
    let exports = job.run(&served.ports).await?;
    // All lines are made before the first one is printed: psql would execute the lines before a
    // failure.
    let lines = exports.iter().map(|export| match psql {
        true => export.psql_line().map(|line| format!("{line}\n")),
        false => Ok(report::export_text(export)),
    });
    for line in lines.collect::<Result<Vec<String>, Fault>>()? {
        print!("{line}");
    }
    if !psql {
        eprintln!("{}", report::AFTER_EXPORTS);
    }
    Ok(Exit::Done)
}

async fn import(app: &App, arguments: &ImportArguments, run: &RunId) -> Result<Exit, Fault> {
    let ImportArguments { folder, selection, yes, dry_run, checkpoint, nulls, encoding, json } =
        arguments;
    let served = select_pipeline(app, selection.pipeline.as_deref())?;
    let terminal = app.terminal(served);
    let folder = terminal.folder(folder, encoding.as_deref())?;
    let job = ImportGap {
        pipeline: Arc::clone(&served.pipeline),
        tables: selection.parsed()?,
        nulls: Nulls(nulls.clone()),
        move_checkpoints: *checkpoint,
        run: run.clone(),
    };
    let plan = job.plan(&*folder, &served.ports).await?;
    if !json {
        print!("{}", report::plan_text(&plan));
        plan.notes.iter().for_each(|note| eprintln!("{note}"));
    }
    let report = match (plan.files.is_empty(), dry_run) {
        (true, _) => GapReport::new(run, &plan.notes),
        (false, true) => job.rehearse(&plan, &*folder, &*terminal.rehearse).await?,
        (false, false) => {
            if !yes && *json {
                return Err(not_confirmed());
            }
            if !yes && !confirm(&plan)? {
                println!("Nothing was imported.");
                return Ok(Exit::Done);
            }
            job.run(&plan, &*folder, &served.ports).await?
        }
    };
    print(&plan, &report, arguments);
    Ok(exit_of(&report))
}

fn print(plan: &GapPlan, report: &GapReport, arguments: &ImportArguments) {
    if arguments.json {
        output::print_json(&report::json(plan, report, arguments.dry_run));
        return;
    }
    if let Some(left) = report.busy {
        let seconds = left.as_secs();
        eprintln!("Nothing was imported: another run is at work, for {seconds} s at most.");
        return;
    }
    print!("{}", report::text(report, arguments.dry_run));
    output::print_faults(&report.faults);
}

fn exit_of(report: &GapReport) -> Exit {
    match (report.busy, report.is_complete(), report.rejected()) {
        (Some(_), ..) => Exit::Busy,
        (None, false, _) => Exit::Failed,
        (None, true, 0) => Exit::Done,
        (None, true, _) => Exit::Rejected,
    }
}

/// Asks the person at the terminal for consent.
fn confirm(plan: &GapPlan) -> Result<bool, Fault> {
    if !std::io::stdin().is_terminal() {
        return Err(not_confirmed());
    }
    let rows: u64 = plan.files.iter().map(|file| file.rows).sum();
    let moves = |file: &&PlannedFile| matches!(file.checkpoint, Some(CheckpointChange::Moves(_)));
    let moves = match plan.files.iter().filter(moves).count() {
        0 => String::new(),
        tables => format!(", and move the checkpoints of {tables}"),
    };
    let question = format!("Import {rows} rows into {} tables{moves}?", plan.files.len());
    output::ask(&question).map_err(|error| {
        let (message, hint) = ("The answer cannot be read", "say --yes instead");
        Fault::of_call(FaultCode::NotConfirmed, message, hint).caused_by(error)
    })
}

fn not_confirmed() -> Fault {
    Fault::of_call(
        FaultCode::NotConfirmed,
        "Nobody is there to be asked before rows are written",
        "look at the plan, which is told without --json, then say --yes; --dry-run tells more",
    )
}

/// Runs a sync with an overlap as long as the span. It starts to read no later than the span
/// begins, because no cursor of a checkpoint is in the future.
async fn reread(
    app: &App,
    selection: &Selection,
    since: &str,
    json: bool,
    run: &RunId,
) -> Result<Exit, Fault> {
    let now = SystemTime::now();
    let span = now.duration_since(parse_start(since, now)?).unwrap_or(Duration::ZERO);
    let (served, mut job) = sync_job(app, selection, ExtraSteps::default(), run)?;
    let overlap = job.pipeline.overlap.max(span);
    job.pipeline = Arc::new(Pipeline { overlap, ..Pipeline::clone(&job.pipeline) });
    job.reread = true;
    Ok(report_end(slices(app, served, &mut job, Extent::UntilCaughtUp).await?, json))
}

/// Parses the start of a span: a duration before now, or a date or time of UTC. Times before 1970
/// cannot be printed as RFC 3339 here.
fn parse_start(text: &str, now: SystemTime) -> Result<SystemTime, Fault> {
    let ago = humantime::parse_duration(text).ok().and_then(|span| now.checked_sub(span));
    let at = || {
        let zoned = text.parse::<jiff::Timestamp>().ok();
        let plain = || text.parse::<jiff::civil::DateTime>().ok();
        let of_utc = |plain: jiff::civil::DateTime| {
            plain.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
        };
        zoned.or_else(|| plain().and_then(of_utc)).map(SystemTime::from)
    };
    let allowed = SystemTime::UNIX_EPOCH..=now;
    ago.or_else(at).filter(|start| allowed.contains(start)).ok_or_else(|| {
        Fault::of_call(
            FaultCode::BadSpan,
            format!("--since {text} is no point in the past since 1970"),
            "write 7d, 36h, 2026-01-31 or 2026-01-31T12:00:00Z",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_begins_so_long_ago_or_at_a_point_of_utc() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let seconds = |text: &str| {
            let begin = parse_start(text, now).ok()?;
            Some(begin.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs())
        };
        assert_eq!(seconds("7d"), Some(1_800_000_000 - 7 * 86_400));
        assert_eq!(seconds("1970-01-02"), Some(86_400));
        assert_eq!(seconds("1970-01-02T00:00:01"), Some(86_401));
        assert_eq!(seconds("1970-01-02T00:00:00+01:00"), Some(82_800));
        for wrong in ["", "yesterday", "2999-01-01", "-7d", "31.12.2025", "1969-12-31", "100y"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
