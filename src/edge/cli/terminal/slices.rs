//! A sync that a person asks for: the job, its slices one after the other, and how it ended.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::app::{Besides, Selection, selected};
use super::output::{self, Exit};
use crate::edge::calling;
use crate::engine::model::deletes::Cap;
use crate::engine::model::delivery::Chain;
use crate::engine::model::fault::Fault;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::run::{RunId, Trigger};
use crate::jobs::Served;
use crate::jobs::sync_tables::{Outcome, SyncReport, SyncTables};
use crate::wiring::App;

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

/// The extent of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// To the end of its first slice.
    Slice,
    /// Until nothing is left to do.
    UntilCaughtUp,
}

/// The end of a run.
#[derive(Debug)]
pub enum Ended {
    /// The run came to its end or failed; the report adds all slices up.
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
                job.chain = job.chain.next(report.has_progress()).map_err(calling::stalled)?;
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
    let served = selected(app, selection.pipeline.as_deref())?;
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
        reread: false,
    }
}
