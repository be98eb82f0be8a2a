//! The routes below `schedules`.

use super::call::{Answer, Call};
use crate::demo::qstash::service::Service;
use crate::demo::qstash::state::Order;
use crate::demo::qstash::{Millis, Refusal, wire};
use serde_json::json;

use super::publish::check_size;

pub(super) fn route(
    service: &Service,
    call: &Call,
    rest: &str,
    segments: &[&str],
    now: Millis,
) -> Result<Answer, Refusal> {
    let mut state = service.state();
    match (call.method.as_str(), segments) {
        ("GET", []) => Ok(Answer::json(state.schedules().map(wire::schedule).collect())),
        ("GET", [id]) => {
            state.find_schedule(id).map(|schedule| Answer::json(wire::schedule(schedule)))
        }
        ("DELETE", [id]) => state.delete_schedule(id).map(|()| Answer::empty()),
        // A destination has slashes as well, but a scheme before them.
        ("POST" | "PATCH", [id, "pause"]) => state.pause_schedule(id).map(|()| Answer::empty()),
        ("POST" | "PATCH", [id, "resume"]) => {
            state.resume_schedule(id, now).map(|()| Answer::empty())
        }
        ("POST", [_, ..]) => {
            check_size(&call.body)?;
            let destination = call.destination(rest)?;
            let (headers, body) = (call.headers.clone(), call.body.clone());
            let order = Order { destination, headers, body };
            let id = state.schedule(order, now)?;
            Ok(Answer::json(json!({ "scheduleId": id })))
        }
        _ => Err(call.route_refusal()),
    }
}
