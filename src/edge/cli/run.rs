//! `syncline run`: one slice after the other until caught up.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::output::{self, Exit};
use super::{Selection, opened, plan, selected};
use crate::engine::model::delivery::{Chain, Stalled};
use crate::engine::model::fault::{Fault, Remedy, Step};
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::run::{RunId, Trigger};
use crate::engine::model::table::TableName;
use crate::jobs::sync_tables::{SyncReport, SyncTables};
use crate::jobs::{self, Job, Outcome, Served};
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
    let run = app.new_run();
    let asked = asked(&app, &arguments.selection, &run);
    let (served, mut job) = match asked {
        Ok(asked) => asked,
        Err(fault) => return output::fault(&fault, &run, arguments.json),
    };
    let extent = if arguments.once { Extent::Slice } else { Extent::UntilCaughtUp };
    match slices(&app, served, &mut job, extent).await {
        Err(fault) => output::fault(&fault, &job.run, arguments.json),
        Ok(Ended::Busy(left)) => {
            eprintln!(
                "Another run of this pipeline is at work.\n  Wait for it, or if it has died, \
                 for its lease to end in {} s",
                left.as_secs()
            );
            Exit::Busy
        }
        Ok(Ended::Repeated) => Exit::Done,
        Ok(Ended::Report(report)) => output::report(&report, arguments.json),
    }
}

/// How far a run goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// To the end of its first slice.
    Slice,
    /// Until nothing is left to do.
    UntilCaughtUp,
}

/// How it ended.
#[derive(Debug)]
pub enum Ended {
    /// With this, all slices together.
    Report(Box<SyncReport>),
    /// Another run holds the lease, for that long unless it commits or ends.
    Busy(Duration),
    /// A chain is named after its first run: nobody else can have worked it.
    Repeated,
}

/// Does one slice after the other. The job's run is that of the slice at work.
pub async fn slices(
    app: &App,
    served: &Served,
    job: &mut SyncTables,
    extent: Extent,
) -> Result<Ended, Fault> {
    let mut earlier = None;
    loop {
        let budget = app.budget(SystemTime::now(), None);
        match jobs::run(&Job::SyncTables(job.clone()), &served.ports, &budget).await? {
            Outcome::Busy(left) => return Ok(Ended::Busy(left)),
            Outcome::Repeated(_) => return Ok(Ended::Repeated),
            Outcome::Continue(report) if extent == Extent::UntilCaughtUp => {
                job.chain = job.chain.next(report.total().read() > 0).map_err(too_small)?;
                job.run = app.new_run();
                earlier = Some(report.after(earlier));
            }
            Outcome::Done(report) | Outcome::Continue(report) => {
                return Ok(Ended::Report(Box::new(report.after(earlier))));
            }
        }
    }
}

/// The job that the arguments ask for, and whose it is.
pub fn asked<'a>(
    app: &'a App,
    selection: &Selection,
    run: &RunId,
) -> Result<(&'a Served, SyncTables), Fault> {
    let (served, pipeline) = asked_of(app, selection)?;
    Ok((served, by_person(pipeline, run)))
}

/// The pipeline that the arguments ask for, with no other tables than theirs.
pub fn asked_of<'a>(
    app: &'a App,
    selection: &Selection,
) -> Result<(&'a Served, Arc<Pipeline>), Fault> {
    let served = selected(app, selection)?;
    let pipeline = match selection.tables.as_slice() {
        [] => Arc::clone(&served.pipeline),
        listed => Arc::new(Pipeline {
            tables: Some(listed.iter().map(|text| parsed(text)).collect::<Result<_, _>>()?),
            ..Pipeline::clone(&served.pipeline)
        }),
    };
    Ok((served, pipeline))
}

/// The job of somebody at a terminal.
pub fn by_person(pipeline: Arc<Pipeline>, run: &RunId) -> SyncTables {
    let chain = Chain::begun(run.as_str());
    SyncTables { pipeline, trigger: Trigger::Manual, chain, delivery: None, run: run.clone() }
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
