//! `syncline demo`: shows everything on this machine, step by step, to somebody who has never seen
//! it.
//!
//! - `steps`: the steps, which check what they show.
//! - `stage`: the server, the function and the QStash that the steps use.
//! - `caller`, `ticks`: the calls of the function by people and by QStash.
//! - `story`, `page`: the text, and its layout.
//! - `full_sync`: `syncline demo full-sync`, the steps and their text; `contacts`: the same of
//!   `syncline demo contacts`; `commands`: the commands that both run.
//! - `error`: the reasons for which the demo ends early.

mod caller;
mod commands;
mod contacts;
mod error;
mod full_sync;
mod page;
mod stage;
mod steps;
mod story;
#[cfg(test)]
mod tests;
mod ticks;

use std::error::Error;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::serve::interrupted;
use super::terminal::output::Exit;
use crate::demo::{Cluster, ClusterError, ClusterOptions};
use error::DemoError;
use page::Page;
use story::Story;

/// The arguments of `syncline demo`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DemoArguments {
    #[command(subcommand)]
    command: Option<DemoCommand>,
    /// Leave everything running at the end, with URLs and commands to play with
    #[arg(long)]
    keep: bool,
    /// The directory of initdb and postgres [default: found, or else fetched]
    #[arg(long, value_name = "DIRECTORY")]
    postgres: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum DemoCommand {
    /// Shows a full sync between two deployments: pulls, is killed, resumes, pushes
    FullSync(OneDemoArguments),
    /// Shows contacts: 2,000 people here and at a MailerLite, from an existing mess to being in step
    Contacts(OneDemoArguments),
}

#[derive(Debug, clap::Args)]
struct OneDemoArguments {
    /// The directory of initdb and postgres [default: found, or else fetched]
    #[arg(long, value_name = "DIRECTORY")]
    postgres: Option<PathBuf>,
}

/// The longest wait for a server whose start is interrupted. After that its supervisor removes it.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// Shows everything. The exit says whether all steps went as they should.
pub async fn demo(arguments: &DemoArguments) -> Exit {
    let start = Instant::now();
    let shown = match &arguments.command {
        None => show(arguments, &mut Story::default(), start).await,
        Some(DemoCommand::FullSync(part)) => {
            show_part(part, start, full_sync::opening, full_sync::show, full_sync_ending).await
        }
        Some(DemoCommand::Contacts(part)) => {
            show_part(part, start, contacts::opening, contacts::show, contacts_ending).await
        }
    };
    match shown {
        Ok(exit) => exit,
        Err(error) => failed(&error),
    }
}

async fn show(
    arguments: &DemoArguments,
    story: &mut Story,
    start: Instant,
) -> Result<Exit, DemoError> {
    // One future for the whole demo: between two of them, a signal could be lost.
    let mut interrupted = pin!(interrupted());
    story.opening()?;
    let Some(cluster) = start_cluster(arguments.postgres.clone(), interrupted.as_mut()).await?
    else {
        return Ok(stopped_early());
    };
    let stage = tokio::select! {
        stage = steps::show(cluster, story, start.elapsed(), arguments.keep) => Some(stage?),
        () = interrupted.as_mut() => None,
    };
    let Some(stage) = stage else {
        return Ok(stopped_early());
    };
    if arguments.keep {
        story.invitation(&stage)?;
        tokio::select! {
            () = stage.keep_ticking() => {}
            () = interrupted => {}
        }
    }
    let folder = stage.stop().await;
    if folder.exists() {
        return Err(DemoError::Unexpected(format!("{} is still there", folder.display())));
    }
    story.ending(start.elapsed(), arguments.keep)?;
    Ok(Exit::Done)
}

/// Shows one part. The opening is shown before the server starts, and the ending with the time that
/// all of it took.
async fn show_part(
    arguments: &OneDemoArguments,
    start: Instant,
    opening: fn(&mut Page) -> Result<(), DemoError>,
    steps: impl AsyncFnOnce(Cluster, &mut Page, Duration) -> Result<PathBuf, DemoError>,
    ending: impl FnOnce(&str) -> String,
) -> Result<Exit, DemoError> {
    let (mut interrupted, mut page) = (pin!(interrupted()), Page::default());
    opening(&mut page)?;
    let cluster = start_cluster(arguments.postgres.clone(), interrupted.as_mut()).await?;
    let Some(cluster) = cluster else { return Ok(stopped_early()) };
    let folder = tokio::select! {
        folder = steps(cluster, &mut page, start.elapsed()) => folder?,
        () = interrupted.as_mut() => return Ok(stopped_early()),
    };
    if folder.exists() {
        return Err(DemoError::Unexpected(format!("{} is still there", folder.display())));
    }
    page.text(&ending(&page::duration_text(start.elapsed())))?;
    Ok(Exit::Done)
}

fn full_sync_ending(time: &str) -> String {
    format!(
        "\nBoth deployments and their databases are stopped, and their files are removed. All of this\n\
         took {time}. docs/full-sync.md tells how to set up two deployments of yours."
    )
}

fn contacts_ending(time: &str) -> String {
    format!(
        "\nThe database and the MailerLite are stopped, and their files are removed. All of this took\n\
         {time}. docs/contacts.md tells how to bring your own people in step."
    )
}

/// Starts a server, or returns none if a signal came first. The start has a thread of its own, for
/// which nobody has to wait: a server may have to be downloaded.
async fn start_cluster(
    binaries: Option<PathBuf>,
    interrupted: Pin<&mut impl Future<Output = ()>>,
) -> Result<Option<Cluster>, DemoError> {
    let options = ClusterOptions { binaries, ..ClusterOptions::default() };
    let (sender, mut receiver) = oneshot::channel();
    thread::spawn(move || sender.send(Cluster::start(&options)));
    tokio::select! {
        cluster = &mut receiver => Ok(Some(cluster.expect("starting a server does not panic")?)),
        () = interrupted => {
            // A server that starts all the same is dropped, which stops it.
            let _ = tokio::time::timeout(LONGEST_WAIT, receiver).await;
            Ok(None)
        }
    }
}

fn stopped_early() -> Exit {
    eprintln!("\nInterrupted. The throwaway server stops, and its files go with it.");
    Exit::Interrupted
}

fn failed(error: &DemoError) -> Exit {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    let hint = match error {
        DemoError::Cluster(ClusterError::Binaries(_)) => {
            "\n  To name a directory: syncline demo --postgres DIRECTORY"
        }
        DemoError::Unexpected(_) | DemoError::Function(_) | DemoError::Call(_) => {
            "\n  This is a defect of Syncline: please report it, with what is written above"
        }
        DemoError::Cluster(_)
        | DemoError::Data(_)
        | DemoError::QStash(_)
        | DemoError::MailerLite(_)
        | DemoError::Output(_) => "",
    };
    // If stdout is closed, stderr may be closed, too.
    let _ = io::Write::write_all(&mut io::stderr(), format!("\n{text}{hint}\n").as_bytes());
    Exit::Failed
}
