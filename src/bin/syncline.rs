//! The terminal's program: arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser;
use syncline::edge::cli::{self, Arguments};
use syncline::settings;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    cli::main(Arguments::parse(), settings::log_filter().as_deref()).await
}
