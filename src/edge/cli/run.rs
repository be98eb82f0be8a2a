//! `syncline run`: one slice after the other until caught up.

use std::sync::Arc;
use std::time::SystemTime;

use super::output::{self, Exit};
use super::{Selection, opened, plan, selected};
use crate::engine::model::delivery::{Chain, Stalled};
use crate::engine::model::fault::{Fault, Remedy, Step};
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::run::{RunId, Trigger};
use crate::engine::model::table::TableName;
use crate::jobs::sync_tables::SyncTables;
use crate::jobs::{self, Job, Outcome};
use crate::wiring::App;

#[derive(Debug, clap::Args)]
pub struct RunArguments {
    #[command(flatten)]
    selection: Selection,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Stop after one slice, at the budget of SYNC_BUDGET_SECONDS; exit 3 says that there is more
    #[arg(long)]
    once: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs until caught up, or says why not.
pub async fn run(arguments: &RunArguments) -> Exit {
    let app = match opened(App::from_process()) {
        Ok(app) => app,
        Err(exit) => return exit,
    };
    if arguments.dry_run {
        return plan::print(&app, &arguments.selection, arguments.json).await;
    }
    let mut run = app.new_run();
    let mut job = match asked(&app, &arguments.selection, &run) {
        Ok(job) => job,
        Err(fault) => return output::fault(&fault, &run, arguments.json),
    };
    let mut earlier = None;
    loop {
        match slice(&app, &arguments.selection, job.clone()).await {
            Err(fault) => return output::fault(&fault, &run, arguments.json),
            Ok(Outcome::Busy(left)) => {
                eprintln!(
                    "Another run of this pipeline is at work.\n  Wait for it, or if it has died, \
                     for its lease to end in {} s",
                    left.as_secs()
                );
                return Exit::Busy;
            }
            Ok(Outcome::Continue(report)) if !arguments.once => {
                match job.chain.next(report.total().read() > 0) {
                    Ok(next) => job.chain = next,
                    Err(stalled) => {
                        let fault = too_small(stalled);
                        return output::fault(&fault, &run, arguments.json);
                    }
                }
                earlier = Some(report.after(earlier));
                run = app.new_run();
                job.run = run.clone();
            }
            // A chain is named after its first run: nobody else can have worked it.
            Ok(Outcome::Repeated(_)) => return Exit::Done,
            Ok(Outcome::Done(report) | Outcome::Continue(report)) => {
                return output::report(&report.after(earlier), arguments.json);
            }
        }
    }
}

async fn slice(app: &App, selection: &Selection, job: SyncTables) -> Result<Outcome, Fault> {
    let served = selected(app, selection)?;
    let budget = app.budget(SystemTime::now(), None);
    jobs::run(&Job::SyncTables(job), &served.ports, &budget).await
}

/// The job that the arguments ask for.
pub fn asked(app: &App, selection: &Selection, run: &RunId) -> Result<SyncTables, Fault> {
    let served = selected(app, selection)?;
    let pipeline = match selection.tables.as_slice() {
        [] => Arc::clone(&served.pipeline),
        listed => Arc::new(Pipeline {
            tables: Some(listed.iter().map(|text| parsed(text)).collect::<Result<_, _>>()?),
            ..Pipeline::clone(&served.pipeline)
        }),
    };
    let chain = Chain::begun(run.as_str());
    Ok(SyncTables { pipeline, trigger: Trigger::Manual, chain, delivery: None, run: run.clone() })
}

fn too_small(stalled: Stalled) -> Fault {
    Fault::new(
        Step::Ask,
        Remedy::Operator,
        "stalled",
        "The sync does not get on",
        "raise or unset SYNC_BUDGET_SECONDS, or make pages smaller with SYNC_PAGE_ROWS",
    )
    .caused_by(stalled)
}

fn parsed(text: &str) -> Result<TableName, Fault> {
    TableName::parse(text).map_err(|error| {
        Fault::new(
            Step::Ask,
            Remedy::Caller,
            "bad_table",
            format!("--table {text} is no table's name"),
            "write it as SQL does: orders, sales.orders, \"Order Lines\"",
        )
        .caused_by(error)
    })
}
