//! The schedules over HTTP: what a person with the admin token does with them.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::answer::Answer;
use super::call::Call;
use super::door::Door;
use crate::edge::schedules::wire::Acted;
use crate::edge::schedules::{Change, change, create, listed, trigger};
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::wiring::App;

/// The acts that can be asked for.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", rename_all_fields = "camelCase")]
enum Action {
    /// Makes the schedules what they ought to be: all, or one pipeline's.
    Create {
        #[serde(default)]
        pipeline: Option<String>,
    },
    Delete {
        schedule_id: String,
    },
    Pause {
        schedule_id: String,
    },
    Resume {
        schedule_id: String,
    },
    /// Does now what a tick does.
    TriggerManual {
        #[serde(default)]
        pipeline: Option<String>,
    },
}

impl Action {
    /// A list of values in the order of the fields would do for an action as well, if it were not
    /// refused: whoever deletes must have said so.
    fn parse(body: &[u8]) -> Result<Self, Fault> {
        let object: Result<Map<String, Value>, _> = serde_json::from_slice(body);
        object
            .and_then(|object| serde_json::from_value(Value::Object(object)))
            .map_err(|_| unknown_action())
    }
}

/// Lists on GET, acts on POST.
pub async fn schedule(State(door): State<Arc<Door>>, call: Call) -> Response {
    if door.keys.person(&call).is_err() {
        return Answer::unauthorized();
    }
    let done = match call.method {
        Method::GET | Method::HEAD => listed(&door.app).await.map(Json).map(Json::into_response),
        _ => acted(&door.app, &call).await.map(Json).map(Json::into_response),
    };
    done.unwrap_or_else(|fault| Answer::fault(&fault, &door.app.new_run()))
}

async fn acted(app: &App, call: &Call) -> Result<Acted, Fault> {
    match Action::parse(&call.body)? {
        Action::Create { pipeline } => {
            Ok(Acted::created(&create(app, pipeline.as_deref()).await?, SystemTime::now()))
        }
        Action::TriggerManual { pipeline } => trigger(app, pipeline.as_deref()).await,
        Action::Pause { schedule_id } => change(app, &schedule_id, Change::Pause).await,
        Action::Resume { schedule_id } => change(app, &schedule_id, Change::Resume).await,
        Action::Delete { schedule_id } => change(app, &schedule_id, Change::Delete).await,
    }
}

fn unknown_action() -> Fault {
    Fault::of_call(
        FaultCode::BadAction,
        "The body asks for nothing that this path does",
        r#"send {"action": ...} with create, trigger-manual, or, with a scheduleId, pause, resume, delete"#,
    )
}
