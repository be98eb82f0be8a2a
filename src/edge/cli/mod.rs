//! The terminal: commands, their arguments and their exit codes.

mod certificate;
mod cutover;
mod demo;
mod export;
mod gap;
mod local_qstash;
mod plan;
mod project_sql;
mod rejects;
mod run;
mod schedule;
mod serve;
mod setup;
mod startup;
mod status;
mod terminal;
mod verify;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::{Layer, Registry};

pub use status::text as status_text;
pub use terminal::output::Exit;

/// Keeps two Postgres databases in step.
#[derive(Debug, Parser)]
#[command(name = "syncline", version, about)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Moves what changed from source to target, until caught up
    Run(run::RunArguments),
    /// Prints what a run would do and what is wrong with the set-up; changes nothing
    Plan(plan::PlanArguments),
    /// Shows how the pipelines stand: last runs, health, lag, size, API calls
    Status(status::StatusArguments),
    /// Shows the rows that the target refuses, and what to do about them
    Rejects(rejects::RejectsArguments),
    /// Compares both sides without moving rows, and names the keys that differ
    Verify(verify::VerifyArguments),
    /// Writes the tables of one side to files, as of one moment: SQL, CSV or JSON lines
    Export(export::ExportArguments),
    /// Fills a gap: says what to export by hand, imports CSV files, or reads a span again
    Gap(gap::GapArguments),
    /// Checks everything, makes what is missing, syncs once; repeating it changes nothing
    Setup(setup::SetupArguments),
    /// Shows the certificates of a side's server, and prints the one to pin
    Certificate(certificate::CertificateArguments),
    /// Prints what to run once in the SQL editor of a project that is reached over its API
    ProjectSql(project_sql::ProjectSqlArguments),
    /// Manages the schedules that call the function
    Schedule(schedule::ScheduleArguments),
    /// Moves the last rows, compares, and tells how to switch to the target; step by step
    Cutover(cutover::CutoverArguments),
    /// Syncs what is missing, then becomes a command, which starts whatever became of that
    Startup(startup::StartupArguments),
    /// Serves the function's routes on a plain port
    Serve(serve::ServeArguments),
    /// Shows all of it on this machine, with real data in two throwaway databases
    Demo(demo::DemoArguments),
    /// Serves a QStash on this machine: its API, schedules, retries and signatures
    LocalQstash(local_qstash::LocalQstashArguments),
}

impl Arguments {
    /// Returns the layer that draws the command's progress; none where nobody looks on.
    pub fn progress(&self) -> Option<Box<dyn Layer<Registry> + Send + Sync>> {
        let watched = std::io::stderr().is_terminal();
        let moves_rows = matches!(
            self.command,
            Command::Run(_) | Command::Setup(_) | Command::Gap(_) | Command::Export(_)
        );
        (watched && moves_rows).then(terminal::progress::layer)
    }
}

/// Does what the arguments say. Results go to stdout, everything else to stderr.
pub async fn main(arguments: Arguments) -> ExitCode {
    let exit = match arguments.command {
        Command::Run(arguments) => run::run(&arguments).await,
        Command::Plan(arguments) => plan::plan(&arguments).await,
        Command::Status(arguments) => status::status(&arguments).await,
        Command::Rejects(arguments) => rejects::rejects(&arguments).await,
        Command::Verify(arguments) => verify::verify(&arguments).await,
        Command::Export(arguments) => export::export(&arguments).await,
        Command::Gap(arguments) => gap::gap(&arguments).await,
        Command::Setup(arguments) => setup::setup(&arguments).await,
        Command::Certificate(arguments) => certificate::certificate(&arguments).await,
        Command::ProjectSql(arguments) => project_sql::project_sql(&arguments),
        Command::Schedule(arguments) => schedule::schedule(&arguments).await,
        Command::Cutover(arguments) => cutover::cutover(&arguments).await,
        Command::Startup(arguments) => startup::startup(&arguments).await,
        Command::Serve(arguments) => serve::serve(&arguments).await,
        Command::Demo(arguments) => demo::demo(&arguments).await,
        Command::LocalQstash(arguments) => local_qstash::local_qstash(&arguments).await,
    };
    exit.into()
}
