//! The status of the pipelines, for a person with the admin token and for dashboards.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::answer::Answer;
use super::call::Call;
use super::door::Door;
use crate::edge::overview::{self, Overview};
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::wiring::App;

/// The query of the call.
#[derive(Debug, Default, Deserialize)]
pub struct StatusQuery {
    /// The name of a pipeline; none for all of them.
    pipeline: Option<String>,
}

/// Answers with what `syncline status --json` prints.
pub async fn status(
    State(door): State<Arc<Door>>,
    Query(query): Query<StatusQuery>,
    call: Call,
) -> Response {
    if door.keys.person(&call).is_err() {
        return Answer::unauthorized();
    }
    match read(&door.app, query.pipeline.as_deref()).await {
        Ok(overview) => Json(overview).into_response(),
        Err(fault) => Answer::fault(&fault, &door.app.new_run()),
    }
}

async fn read(app: &App, pipeline: Option<&str>) -> Result<Overview, Fault> {
    let Some(name) = pipeline else { return overview::read(app).await };
    let served = app.named(name).ok_or_else(|| {
        let hint = "leave `pipeline` out, or name one of syncline.toml";
        Fault::of_call(FaultCode::NoPipeline, "There is no such pipeline", hint)
    })?;
    overview::read_pipeline(app, served).await
}
