//! `syncline demo`.
use super::output::Exit;

#[derive(Debug, clap::Args)]
pub struct DemoArguments {
    /// Leave everything running
    #[arg(long)]
    keep: bool,
}

pub async fn demo(_arguments: &DemoArguments) -> Exit {
    Exit::Done
}
