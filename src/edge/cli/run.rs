//! `syncline run`: one slice after the other until caught up.

use std::sync::Arc;

use super::app::{Besides, Selection, opened};
use super::output::{self, Exit};
use super::plan;
use super::slices::{Extent, asked, ended, slices};
use crate::engine::model::deletes::Cap;
use crate::engine::model::pipeline::Pipeline;
use crate::jobs::sync_tables::SyncTables;
use crate::wiring::App;

#[derive(Debug, clap::Args)]
pub struct RunArguments {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    besides: Besides,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Stop after one slice, at the budget of SYNC_BUDGET_SECONDS; exit 3 says that there is more
    #[arg(long)]
    once: bool,
    /// Delete the rows that are gone from the source, also in tables that are not set to that
    #[arg(long)]
    deletes: bool,
    /// Delete them even if they are more than a tenth of a table's rows, or than 10,000
    #[arg(long)]
    yes: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl RunArguments {
    /// The job as the arguments on deletes change it, for this run alone.
    fn change(&self, mut job: SyncTables) -> SyncTables {
        if self.deletes {
            job.pipeline = Arc::new(Pipeline::clone(&job.pipeline).mirrored());
        }
        if self.yes {
            job.cap = Cap::Lifted;
        }
        job
    }
}

/// Runs until caught up, or says why not.
pub async fn run(arguments: &RunArguments) -> Exit {
    let app = match opened(App::from_process()) {
        Ok(app) => app,
        Err(exit) => return exit,
    };
    if arguments.dry_run {
        let RunArguments { selection, besides, json, .. } = arguments;
        return plan::print(&app, selection, *besides, *json, |job| arguments.change(job)).await;
    }
    let run = app.new_run();
    let asked = asked(&app, &arguments.selection, arguments.besides, &run);
    let (served, mut job) = match asked {
        Ok((served, job)) => (served, arguments.change(job)),
        Err(fault) => return output::fault(&fault, &run, arguments.json),
    };
    let extent = if arguments.once { Extent::Slice } else { Extent::UntilCaughtUp };
    match slices(&app, served, &mut job, extent).await {
        Err(fault) => output::fault(&fault, &job.run, arguments.json),
        Ok(end) => ended(end, arguments.json),
    }
}
