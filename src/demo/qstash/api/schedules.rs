//! `schedules`.

use super::call::{Answer, Call};
use crate::demo::qstash::desk::Desk;
use crate::demo::qstash::state::Order;
use crate::demo::qstash::{Millis, Refused, wire};
use serde_json::json;

use super::publish::check_size;

pub(super) fn route(
    desk: &Desk,
    call: &Call,
    rest: &str,
    named: &[&str],
    now: Millis,
) -> Result<Answer, Refused> {
    let mut state = desk.state();
    match (call.method.as_str(), named) {
        ("GET", []) => Ok(Answer::with(state.schedules().map(wire::schedule).collect())),
        ("GET", [id]) => state.schedule_of(id).map(|found| Answer::with(wire::schedule(found))),
        ("DELETE", [id]) => state.unschedule(id).map(|()| Answer::empty()),
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
            Ok(Answer::with(json!({ "scheduleId": id })))
        }
        _ => Err(call.no_route()),
    }
}
