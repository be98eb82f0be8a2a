//! `syncline demo`: the whole of it on this machine, told step by step to somebody who has never
//! seen it. The steps are in [`steps`], what they happen on in [`stage`], who calls in [`caller`]
//! and [`ticks`], and how it reads in [`story`].

mod caller;
mod error;
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
use story::Story;

/// The arguments of `syncline demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArguments {
    /// Leave everything running at the end, with URLs and commands to play with
    #[arg(long)]
    keep: bool,
    /// The directory of initdb and postgres [default: found, or else fetched]
    #[arg(long, value_name = "DIRECTORY")]
    postgres: Option<PathBuf>,
}

/// The longest wait of a person who interrupts the start of the server: it takes a second. Then
/// the server's supervisor clears up alone.
const PATIENCE: Duration = Duration::from_secs(3);

/// Shows everything; the exit says whether all of it was as it should be.
pub async fn demo(arguments: &DemoArguments) -> Exit {
    let begun = Instant::now();
    match told(arguments, &mut Story::default(), begun).await {
        Ok(exit) => exit,
        Err(error) => failed(&error),
    }
}

async fn told(
    arguments: &DemoArguments,
    story: &mut Story,
    begun: Instant,
) -> Result<Exit, DemoError> {
    // One future for the whole demo: between two of them, a signal could be lost.
    let mut interrupted = pin!(interrupted());
    story.opening()?;
    let Some(cluster) = started(arguments, interrupted.as_mut()).await? else {
        return Ok(stopped_early());
    };
    let shown = tokio::select! {
        shown = steps::show(cluster, story, begun.elapsed(), arguments.keep) => Some(shown?),
        () = interrupted.as_mut() => None,
    };
    let Some(stage) = shown else {
        return Ok(stopped_early());
    };
    if arguments.keep {
        story.invitation(&stage)?;
        tokio::select! {
            () = stage.tick_on() => {}
            () = interrupted => {}
        }
    }
    let left = stage.clear().await;
    if left.exists() {
        return Err(DemoError::Unexpected(format!("{} is still there", left.display())));
    }
    story.ending(begun.elapsed(), arguments.keep)?;
    Ok(Exit::Done)
}

/// A server, or none if a signal came first. It is started on a thread of its own, which nobody
/// has to wait for: a server may have to be downloaded.
async fn started(
    arguments: &DemoArguments,
    interrupted: Pin<&mut impl Future<Output = ()>>,
) -> Result<Option<Cluster>, DemoError> {
    let options =
        ClusterOptions { binaries: arguments.postgres.clone(), ..ClusterOptions::default() };
    let (sender, mut receiver) = oneshot::channel();
    thread::spawn(move || sender.send(Cluster::start(&options)));
    tokio::select! {
        started = &mut receiver => Ok(Some(started.expect("starting a server does not panic")?)),
        () = interrupted => {
            // The server that may come is dropped, and thereby stopped.
            let _ = tokio::time::timeout(PATIENCE, receiver).await;
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
        DemoError::Unexpected(_) | DemoError::Door(_) | DemoError::Call(_) => {
            "\n  This is a defect of Syncline: please report it, with what is written above"
        }
        DemoError::Cluster(_)
        | DemoError::Data(_)
        | DemoError::QStash(_)
        | DemoError::Output(_) => "",
    };
    // Where stdout has gone, stderr may have gone too.
    let _ = io::Write::write_all(&mut io::stderr(), format!("\n{text}{hint}\n").as_bytes());
    Exit::Failed
}
