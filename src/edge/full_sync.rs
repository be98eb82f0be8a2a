//! The sessions of full syncs, as both doors show them.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::text::timestamp;
use crate::engine::model::session::{Method, NewSession, Session};

/// The price of a full sync that goes record by record.
const RECORD_BY_RECORD: &str = "Record by record: each batch of rows is saved by itself. The rows \
    are not of one moment, and those that are saved stay saved however it ends.";

/// The price of a full sync that saves table by table.
const TABLE_BY_TABLE: &str = "Table by table: each table is saved by itself, parents first. If one \
    fails, those before it stay saved, and `resume` goes on behind them. Rows of several tables \
    that point at each other in a circle are rejected.";

/// The promise that a session gives up, which a person learns before it starts; none if all rows
/// arrive or none.
pub fn price(session: &NewSession) -> Option<&'static str> {
    match session.method {
        Method::Records => Some(RECORD_BY_RECORD),
        Method::Copy => session.options.per_table.then_some(TABLE_BY_TABLE),
    }
}

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
