//! The terminal's program: arguments in, exit code out.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use syncline::edge::cli::{self, Arguments};
use syncline::settings;
use syncline::telemetry::{self, Reader};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let described = Arguments::command().after_long_help(settings::described());
    let arguments = Arguments::from_arg_matches(&described.get_matches())
        .expect("clap has checked the arguments against the same description");
    telemetry::start(Reader::Person, settings::log_filter().as_deref(), arguments.progress());
    cli::main(arguments).await
}
