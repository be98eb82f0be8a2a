//! `syncline run`: one slice after the other until caught up.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::output::{self, Exit};
use super::{Besides, Selection, opened, plan, selected};
use crate::edge::calling;
use crate::engine::model::deletes::Cap;
use crate::engine::model::delivery::Chain;
use crate::engine::model::fault::Fault;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::run::{RunId, Trigger};
use crate::jobs::Served;
use crate::jobs::sync_tables::{Outcome, SyncReport, SyncTables};
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

/// Tells how a run ended.
pub fn ended(end: Ended, json: bool) -> Exit {
    match end {
        Ended::Busy(left) => {
            eprintln!(
                "Another run of this pipeline is at work.\n  Wait for it, or if it has died, \
                 for its lease to end in {} s",
                left.as_secs()
            );
            Exit::Busy
        }
        Ended::Repeated => Exit::Done,
        Ended::Report(report) => output::report(&report, json),
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
        match job.run(&served.ports, &budget).await? {
            Outcome::Busy(left) => return Ok(Ended::Busy(left)),
            Outcome::Repeated(_) => return Ok(Ended::Repeated),
            Outcome::Continue(report) if extent == Extent::UntilCaughtUp => {
                job.chain = job.chain.next(report.got_on()).map_err(calling::stalled)?;
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
    besides: Besides,
    run: &RunId,
) -> Result<(&'a Served, SyncTables), Fault> {
    let (served, mut pipeline) = asked_of(app, selection)?;
    if besides.add_columns {
        pipeline = Arc::new(Pipeline { add_columns: true, ..Pipeline::clone(&pipeline) });
    }
    let job = SyncTables { sequences: besides.sequences, ..by_person(pipeline, run) };
    Ok((served, job))
}

/// The pipeline that the arguments ask for, with no other tables than theirs.
pub fn asked_of<'a>(
    app: &'a App,
    selection: &Selection,
) -> Result<(&'a Served, Arc<Pipeline>), Fault> {
    let served = selected(app, selection)?;
    let tables = selection.parsed()?;
    let pipeline = match tables.is_empty() {
        true => Arc::clone(&served.pipeline),
        false => {
            let pipeline = Pipeline::clone(&served.pipeline);
            Arc::new(Pipeline { tables: Some(tables), ..pipeline })
        }
    };
    Ok((served, pipeline))
}

/// The job of somebody at a terminal.
pub fn by_person(pipeline: Arc<Pipeline>, run: &RunId) -> SyncTables {
    let chain = Chain::begun(run.as_str());
    SyncTables {
        pipeline,
        trigger: Trigger::Manual,
        chain,
        delivery: None,
        run: run.clone(),
        cap: Cap::Kept,
        sequences: false,
        anew: false,
    }
}
