//! The incremental sync over HTTP.

use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, Method};
use axum::response::Response;

use super::answer::Answer;
use super::call::deadline;
use super::{Door, SYNC_PATH};
use crate::engine::model::fault::{Fault, Remedy, Step};
use crate::jobs::sync_tables::SyncTables;
use crate::jobs::{self, Job, Served};
use crate::wiring::App;

/// The pipeline that the path is named after.
const PIPELINE: &str = "slave-to-prod";

/// Who calls, what is asked, one slice of it, and what came of it.
pub async fn sync(
    State(door): State<Arc<Door>>,
    method: Method,
    headers: HeaderMap,
    extensions: Extensions,
    body: Bytes,
) -> Response {
    let now = SystemTime::now();
    let Ok(trigger) = door.keys.trigger(&method, SYNC_PATH, &headers, &body, now) else {
        return Answer::unauthorized();
    };
    let run = door.app.new_run();
    let served = match pipeline(&door.app) {
        Ok(served) => served,
        Err(fault) => return Answer::fault(&fault, &run),
    };
    let job = SyncTables { pipeline: Arc::clone(&served.pipeline), trigger, run: run.clone() };
    let budget = door.app.budget(now, deadline(&extensions, now));
    match jobs::run(&Job::SyncTables(job), &served.ports, &budget).await {
        Ok(outcome) => Answer::outcome(&outcome, trigger, &run),
        Err(fault) => Answer::fault(&fault, &run),
    }
}

/// The pipeline that the path is named after, or the only one there is.
fn pipeline(app: &App) -> Result<&Served, Fault> {
    app.named(PIPELINE).or_else(|| app.only()).ok_or_else(|| {
        Fault::new(
            Step::Ask,
            Remedy::Operator,
            "no_pipeline",
            format!("No pipeline is named {PIPELINE}"),
            "name one of the pipelines in syncline.toml so",
        )
    })
}
