//! The sessions of full syncs, as both doors show them.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::text::timestamp;
use crate::engine::model::session::Session;

/// A session with everything that its record has. Rows that were refused hold values, so it goes
/// to people alone.
pub fn object(session: &Session) -> Value {
    let time = |time: Option<SystemTime>| time.map(timestamp);
    json!({
        "session": session.new.id,
        "peer": session.new.peer,
        "role": session.new.role,
        "direction": session.new.direction,
        "method": session.new.method,
        "options": session.new.options,
        "state": session.state,
        "phase": session.phase,
        "progress": session.progress,
        "restored": session.restored,
        "error": session.error,
        "started_at": timestamp(session.started_at),
        "updated_at": timestamp(session.updated_at),
        "finished_at": time(session.finished_at),
    })
}
