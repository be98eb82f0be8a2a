//! The sessions of this deployment, as text and as JSON.

use std::time::Duration;

use serde_json::Value;

use super::bars;
use crate::edge::cli::terminal::output::{self, Exit};
use crate::edge::full_sync::object;
use crate::edge::text::{counted, timestamp};
use crate::engine::model::fault::Fault;
use crate::engine::model::session::{RejectedCopyRow, Restored, Session, SessionState};
use crate::jobs::full_sync::OwnDeployment;
use crate::jobs::full_sync::estimate::{left_of_session, minutes};

/// Prints the sessions, the newest first.
pub async fn list(own: &OwnDeployment, json: bool) -> Result<Exit, Fault> {
    let sessions = own.sessions().await?;
    if json {
        output::print_json(&Value::Array(sessions.iter().map(object).collect()));
        return Ok(Exit::Done);
    }
    let rows = sessions.iter().map(|session| {
        [
            session.new.id.as_str()[..8].to_owned(),
            session.new.direction.name().to_owned(),
            session.new.peer.clone(),
            session.state.name().to_owned(),
            session.phase.name().to_owned(),
            timestamp(session.started_at),
        ]
    });
    let heads = ["session", "direction", "peer", "state", "phase", "began"];
    print!("{}", output::columns(heads, rows));
    Ok(Exit::Done)
}

/// Prints a session.
pub fn session(session: &Session, json: bool) -> Result<Exit, Fault> {
    match json {
        true => output::print_json(&object(session)),
        false => print!("{}", text(session)),
    }
    Ok(match session.state {
        SessionState::Failed => Exit::Failed,
        SessionState::Interrupted => Exit::More,
        SessionState::Completed | SessionState::Running | SessionState::Cancelled => Exit::Done,
    })
}

fn text(session: &Session) -> String {
    let phase = match session.state {
        SessionState::Completed => String::new(),
        _ => format!(" in phase {}", session.phase.name()),
    };
    let mut text = format!(
        "Full sync {}: {} {}, {}{phase}, begun {}\n",
        session.new.id,
        session.new.direction.name(),
        session.new.peer,
        session.state.name(),
        timestamp(session.started_at),
    );
    if let Some(restored) = session.restored.as_ref().filter(|restored| !restored.tables.is_empty())
    {
        let rows = restored.tables.iter().map(|(table, count)| {
            let numbers = [count.inserted, count.updated, count.unchanged].map(|n| n.to_string());
            let [inserted, updated, unchanged] = numbers;
            [table.to_string(), inserted, updated, unchanged]
        });
        text.push_str(&output::columns(["table", "inserted", "updated", "unchanged"], rows));
        let rows = restored.tables.values().map(|count| count.rows()).sum();
        text.push_str(&format!("{} are saved.\n", counted(rows, "row")));
        if restored.verified > 0 {
            let verified = counted(restored.verified, "row");
            text.push_str(&format!("{verified} were compared after the write and are equal.\n"));
        }
    }
    if let Some(Restored { keyless, .. }) = &session.restored
        && !keyless.is_empty()
    {
        let names: Vec<String> = keyless.iter().map(ToString::to_string).collect();
        text.push_str(&format!("Left out, since they have no key: {}\n", names.join(", ")));
    }
    if let Some(error) = &session.error {
        text.push_str(&format!("{}\n  {}\n", error.message, error.hint));
    }
    text.push_str(&rejected_rows(session));
    text
}

/// The progress of a session that is running, and the time that is left as far as it is known.
pub fn progress(session: &Session, sessions: &[Session]) -> String {
    let phase = bars::text(session.phase, &session.progress, Duration::ZERO);
    let left = match left_of_session(session, sessions) {
        Some(left) => format!("about {} until all is done", minutes(left)),
        None => "the time until all is done is not known".to_owned(),
    };
    format!("In phase {}: {phase}; {left}.\n", session.phase.name())
}

/// The rows that the target refused, a line each.
pub fn rejected_rows(session: &Session) -> String {
    let Some(Restored { refused, refused_in_all, .. }) = &session.restored else {
        return String::new();
    };
    let line = |row: &RejectedCopyRow| {
        format!("  {} {}: {} {}\n", row.table, row.key.join(", "), row.code, row.reason)
    };
    let mut text: String = refused.iter().map(line).collect();
    let more = refused_in_all.saturating_sub(refused.len() as u64);
    if more > 0 {
        text.push_str(&format!("  and {} more\n", counted(more, "row")));
    }
    text
}
