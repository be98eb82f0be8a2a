//! `syncline run`: one slice after the other until caught up.

use std::sync::Arc;

use super::plan;
use super::terminal::app::{ExtraSteps, Selection, with_app};
use super::terminal::output::{self, Exit};
use super::terminal::slices::{Extent, report_end, slices, sync_job};
use crate::engine::model::deletes::Cap;
use crate::engine::model::pipeline::Pipeline;
use crate::jobs::sync_tables::SyncTables;

#[derive(Debug, clap::Args)]
pub struct RunArguments {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    extra_steps: ExtraSteps,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Stop after one slice, at the budget of SYNC_BUDGET_SECONDS; exit 3 says that there is more
    #[arg(long)]
    once: bool,
    /// Delete the rows that are gone from the source, also in tables whose setting is off
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
    let RunArguments { selection, extra_steps, dry_run, once, json, .. } = arguments;
    with_app(*json, async |app, run| {
        let (served, job) = sync_job(app, selection, *extra_steps, run)?;
        let mut job = arguments.change(job);
        if *dry_run {
            return plan::print(served, &job, *json).await;
        }
        let extent = if *once { Extent::Slice } else { Extent::UntilCaughtUp };
        match slices(app, served, &mut job, extent).await {
            // The run that met the fault is the slice at work, not the first one.
            Err(fault) => Ok(output::fault(&fault, &job.run, *json)),
            Ok(end) => Ok(report_end(end, *json)),
        }
    })
    .await
}
