//! A sync that a person asks for: the job, its slices one after the other, and how it ended.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::app::{ExtraSteps, Selection, select_pipeline};
use super::output::{self, Exit};
use crate::edge::calling;
use crate::engine::model::deletes::Cap;
use crate::engine::model::delivery::Chain;
use crate::engine::model::fault::Fault;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::run::{RunId, Trigger};
use crate::jobs::PipelineWithPorts;
use crate::jobs::sync_tables::{Outcome, SyncReport, SyncTables};
use crate::wiring::App;

/// Reports the end of a run.
pub fn report_end(end: SlicesEnd, json: bool) -> Exit {
    match end {
        SlicesEnd::Busy(left) => {
            eprintln!(
                "Another run of this pipeline is at work.\n  Wait for it, or if it has died, \
                 for its lease to end in {} s",
                left.as_secs()
            );
            Exit::Busy
        }
        SlicesEnd::Repeated => Exit::Done,
        SlicesEnd::Report(report) => output::report(&report, json),
    }
}

/// The extent of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// To the end of its first slice.
    Slice,
    /// All slices, until nothing is left to do.
    UntilCaughtUp,
}

/// The end of a run.
#[derive(Debug)]
pub enum SlicesEnd {
    /// The run ended or failed. The report adds up all slices.
    Report(Box<SyncReport>),
    /// Another run holds the lease, for that long unless it commits or ends.
    Busy(Duration),
    /// The slice was done before. This cannot happen: the chain is named after its first run.
    Repeated,
}

/// Runs one slice after the other. The job's run is that of the current slice.
pub async fn slices(
    app: &App,
    served: &PipelineWithPorts,
    job: &mut SyncTables,
    extent: Extent,
) -> Result<SlicesEnd, Fault> {
    let mut earlier = None;
    loop {
        let budget = app.budget(SystemTime::now(), None);
        match job.run(&served.ports, &budget).await? {
            Outcome::Busy(left) => return Ok(SlicesEnd::Busy(left)),
            Outcome::Repeated(_) => return Ok(SlicesEnd::Repeated),
            Outcome::Continue(report) if extent == Extent::UntilCaughtUp => {
                job.chain = job.chain.next(report.has_progress()).map_err(calling::stalled)?;
                job.run = app.new_run();
                earlier = Some(report.after(earlier));
            }
            Outcome::Done(report) | Outcome::Continue(report) => {
                return Ok(SlicesEnd::Report(Box::new(report.after(earlier))));
            }
        }
    }
}

/// Makes the sync that the arguments ask for, and returns its pipeline, too.
pub fn sync_job<'a>(
    app: &'a App,
    selection: &Selection,
    extra_steps: ExtraSteps,
    run: &RunId,
) -> Result<(&'a PipelineWithPorts, SyncTables), Fault> {
    let (served, mut pipeline) = selected_pipeline(app, selection)?;
    if extra_steps.add_columns {
        pipeline = Arc::new(Pipeline { add_columns: true, ..Pipeline::clone(&pipeline) });
    }
    let job = SyncTables { sequences: extra_steps.sequences, ..manual_job(pipeline, run) };
    Ok((served, job))
}

/// Finds the pipeline that the arguments select, limited to their tables.
pub fn selected_pipeline<'a>(
    app: &'a App,
    selection: &Selection,
) -> Result<(&'a PipelineWithPorts, Arc<Pipeline>), Fault> {
    let served = select_pipeline(app, selection.pipeline.as_deref())?;
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

/// Makes a sync at the word of a person at the terminal.
pub fn manual_job(pipeline: Arc<Pipeline>, run: &RunId) -> SyncTables {
    let chain = Chain::new(run.as_str());
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
