//! The schedules over HTTP, for a person with the admin token.

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
use crate::edge::schedules::wire::ActionAnswer;
use crate::edge::schedules::{Change, change, create, list, trigger};
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::wiring::App;

/// The actions of this path.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", rename_all_fields = "camelCase")]
enum Action {
    /// Creates or corrects the schedules of all pipelines, or of one.
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
    /// Reads an action from a JSON object. Serde would also read one from a list of values, in
    /// which no name says that a schedule is deleted.
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
    let answer = match call.method {
        Method::GET | Method::HEAD => list(&door.app).await.map(Json).map(Json::into_response),
        _ => act(&door.app, &call).await.map(Json).map(Json::into_response),
    };
    answer.unwrap_or_else(|fault| Answer::fault(&fault, &door.app.new_run()))
}

async fn act(app: &App, call: &Call) -> Result<ActionAnswer, Fault> {
    match Action::parse(&call.body)? {
        Action::Create { pipeline } => {
            Ok(ActionAnswer::created(&create(app, pipeline.as_deref()).await?, SystemTime::now()))
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
