//! The terminal's program: arguments in, exit code out.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use syncline::edge::cli::Arguments;
use syncline::settings::{self, Program};
use syncline::telemetry::{self, Reader, emf};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let described = Arguments::command().after_long_help(settings::described());
    let arguments = Arguments::from_arg_matches(&described.get_matches())
        .expect("clap has checked the arguments against the same description");
    let metrics = settings::counts_runs(Program::Terminal).then(emf::layer);
    let work = arguments.work();
    let layers = work.progress().into_iter().chain(metrics).collect();
    telemetry::start(Reader::Person, settings::log_filter().as_deref(), layers);
    work.finish().await
}
