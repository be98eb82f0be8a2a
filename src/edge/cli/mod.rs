//! The terminal: commands, their arguments and their exit codes.

mod certificate;
mod contacts;
mod cutover;
mod demo;
mod export;
mod full_sync;
mod gap;
mod local;
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
use std::pin::Pin;
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
    /// Shows the rows that the target rejected, and what to do about them
    Rejects(rejects::RejectsArguments),
    /// Compares both sides without moving rows, and names the keys that differ
    Verify(verify::VerifyArguments),
    /// Writes the tables of one side to files, as of one moment: SQL, CSV or JSON lines
    Export(export::ExportArguments),
    /// Copies all tables from another deployment, or to one, as of one moment: all or nothing
    FullSync(full_sync::FullSyncArguments),
    /// Keeps people in a table and in MailerLite in step, both ways
    Contacts(contacts::ContactsArguments),
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
    /// Shows what Syncline does on this machine, with real data in two throwaway databases
    Demo(demo::DemoArguments),
    /// Serves a QStash on this machine: its API, schedules, retries and signatures
    LocalQstash(local::qstash::LocalQstashArguments),
    /// Serves a MailerLite on this machine: subscribers, groups, batches, limits and webhooks
    LocalMailerlite(local::mailerlite::LocalMailerliteArguments),
}

/// A command that is ready to run.
pub struct Work<'a> {
    shows_progress: bool,
    future: Pin<Box<dyn Future<Output = Exit> + 'a>>,
}

impl Arguments {
    /// The work that the arguments ask for. Results go to stdout, everything else to stderr.
    pub fn work(&self) -> Work<'_> {
        match &self.command {
            Command::Run(arguments) => Work::with_progress(run::run(arguments)),
            Command::Plan(arguments) => Work::quiet(plan::plan(arguments)),
            Command::Status(arguments) => Work::quiet(status::status(arguments)),
            Command::Rejects(arguments) => Work::quiet(rejects::rejects(arguments)),
            Command::Verify(arguments) => Work::quiet(verify::verify(arguments)),
            Command::Export(arguments) => Work::with_progress(export::export(arguments)),
            Command::FullSync(arguments) => Work::quiet(full_sync::full_sync(arguments)),
            Command::Contacts(arguments) => Work::quiet(contacts::contacts(arguments)),
            Command::Gap(arguments) => Work::with_progress(gap::gap(arguments)),
            Command::Setup(arguments) => Work::with_progress(setup::setup(arguments)),
            Command::Certificate(arguments) => Work::quiet(certificate::certificate(arguments)),
            Command::ProjectSql(arguments) => {
                Work::quiet(async { project_sql::project_sql(arguments) })
            }
            Command::Schedule(arguments) => Work::quiet(schedule::schedule(arguments)),
            Command::Cutover(arguments) => Work::quiet(cutover::cutover(arguments)),
            Command::Startup(arguments) => Work::quiet(startup::startup(arguments)),
            Command::Serve(arguments) => Work::quiet(serve::serve(arguments)),
            Command::Demo(arguments) => Work::quiet(demo::demo(arguments)),
            Command::LocalQstash(arguments) => Work::quiet(local::qstash::local_qstash(arguments)),
            Command::LocalMailerlite(arguments) => {
                Work::quiet(local::mailerlite::local_mailerlite(arguments))
            }
        }
    }
}

impl<'a> Work<'a> {
    fn quiet(work: impl Future<Output = Exit> + 'a) -> Self {
        Self { shows_progress: false, future: Box::pin(work) }
    }

    /// A command that moves rows, which a person watches.
    fn with_progress(work: impl Future<Output = Exit> + 'a) -> Self {
        Self { shows_progress: true, ..Self::quiet(work) }
    }

    /// Returns the layer that draws the progress; none where stderr is no terminal.
    pub fn progress(&self) -> Option<Box<dyn Layer<Registry> + Send + Sync>> {
        let is_watched = std::io::stderr().is_terminal();
        (is_watched && self.shows_progress).then(terminal::progress::layer)
    }

    /// Runs the command.
    pub async fn finish(self) -> ExitCode {
        self.future.await.into()
    }
}
