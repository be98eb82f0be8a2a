//! Leads from an error to the fault that says who must act.

use super::api;
use super::connect_verdict;
use super::error::PostgresError;
use super::sqlstate::of_a_row;
use crate::adapters::api::verdict::Judgement;
use crate::adapters::postgres::rows::copy_frames::BadFrame;
use crate::adapters::postgres::sql::refusal::Refused;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::{FaultCode, Remedy};

/// The one table from what Postgres said to who must act.
pub fn to_fault(error: PostgresError, step: Step) -> Fault {
    let (code, hint) = judged(&error, step);
    let message = match step {
        Step::Plan => "Cannot compare the two databases",
        Step::ConnectSource => "Cannot reach the source",
        Step::ConnectTarget => "Cannot reach the target",
        Step::Compare => "Cannot compare the rows of the two databases",
        Step::State => "Cannot use the state tables in the target",
        Step::Alter => "Cannot alter the target's table",
        Step::Read => "Cannot read from the source",
        Step::Write => "Cannot write to the target",
        Step::Ask | Step::Queue | Step::Notify | Step::Peer => "Cannot use the database",
    };
    let remedy = match &error {
        // The columns are agreed on anew when a run begins: the next one reads the table as it is.
        PostgresError::Altered => Remedy::Retry,
        _ => code.remedy(),
    };
    Fault { remedy, ..Fault::new(step, code, message, hint) }.caused_by(error)
}

/// A value is none of its type: broken text, a time that is none or out of range, a number out of
/// range.
fn is_of_a_value(refused: &Refused) -> bool {
    ["22P02", "22007", "22008", "22003"].contains(&refused.code.code())
}

/// The judgement of such a value in a statement that reads: a key that is asked for, or one that a
/// condition meets.
const BAD_ONE: Judgement = (
    FaultCode::BadValue,
    "correct the table's `where` in syncline.toml, or the rows that it cannot be evaluated for",
);

fn judged(error: &PostgresError, step: Step) -> (FaultCode, String) {
    let (code, hint): Judgement = match error {
        PostgresError::Connect(error) => return connect_verdict::judged(error, step),
        PostgresError::Refused(refused) if step == Step::Read && is_of_a_value(refused) => BAD_ONE,
        PostgresError::Refused(refused) => judged_refusal(refused),
        PostgresError::Connection(_) => (
            FaultCode::Unreachable,
            "check the host, the port and that the server runs and accepts connections; a paused \
             Supabase project refuses them",
        ),
        PostgresError::Silent(_) => (
            FaultCode::Silent,
            "check the network between here and the server; the next run goes on where this one \
             stopped",
        ),
        PostgresError::Frame(BadFrame::NotUtf8) => (
            FaultCode::KeyEncoding,
            "correct the keys and cursors of the source that are not in UTF-8, or leave the table out",
        ),
        PostgresError::Frame(BadFrame::Broken(_) | BadFrame::Json(_) | BadFrame::Count { .. }) => (
            FaultCode::BadFrame,
            "report it with the server's version; nothing was saved for this page",
        ),
        PostgresError::State(_) => (
            FaultCode::BadState,
            "the state was written by another version; upgrade this one, or delete the row from \
             sync_state to start that table over",
        ),
        PostgresError::NoPlace(_) => (
            FaultCode::NoPrivilege,
            "grant create on that schema to that role, or name another one in SYNC_STATE_SCHEMA",
        ),
        PostgresError::NoState => (FaultCode::NoState, api::PASTE),
        PostgresError::Frame(BadFrame::NoKey(_)) => (
            FaultCode::NoKey,
            "leave such rows out with `where`, or choose a `key` that every row has",
        ),
        PostgresError::KeyNotUnique(_) => {
            (FaultCode::KeyNotUnique, "choose a `key` that tells the source's rows apart")
        }
        PostgresError::TooManyRefused(_) => (
            FaultCode::RowsRefused,
            "the rule that refuses them holds for most of the table: `syncline rejects list` shows \
             the reason of others; correct the rule or the rows, then run again",
        ),
        PostgresError::Changed | PostgresError::Waits(_) => {
            (FaultCode::Conflict, "another transaction was in the way; try again")
        }
        PostgresError::NoWire => (
            FaultCode::NoConnection,
            "give the database's own postgres:// URL: this cannot be done over an API",
        ),
        PostgresError::Api(error) => api::judged(&error.failure),
        PostgresError::Answer(_) => api::BAD_ANSWER,
        PostgresError::Altered => (
            FaultCode::SchemaChanged,
            "nothing of this page was saved; the next run reads the table as it is then, and \
             `syncline plan` tells what differs",
        ),
        PostgresError::LeaseLost => (
            FaultCode::LeaseLost,
            "nothing of this page was saved; the run that holds the lease goes on",
        ),
    };
    (code, hint.to_owned())
}

fn judged_refusal(refused: &Refused) -> Judgement {
    match refused.code.code() {
        "28P01" | "28000" => {
            (FaultCode::LoginRefused, "check user and password in the database's URL")
        }
        "3D000" => (FaultCode::NoDatabase, "check the database's name in its URL"),
        "42501" => (
            FaultCode::NoPrivilege,
            "grant the role what the message names; `syncline plan` lists it all",
        ),
        "42P01" | "42703" | "42704" => (
            FaultCode::SchemaChanged,
            "a table or column is gone or was renamed; `syncline plan` tells which",
        ),
        "25006" => (
            FaultCode::ReadOnly,
            "the server takes no writes: a standby, or a full disk or plan; make room first",
        ),
        "53100" => (FaultCode::DiskFull, "make room on the server"),
        "55P03" => (
            FaultCode::Locked,
            "somebody holds a lock on the table; the next run goes on where this one stopped",
        ),
        "57014" => (
            FaultCode::StatementTimeout,
            "the statement ran too long; set a smaller SYNC_PAGE_ROWS or create the index that \
             `syncline plan` names",
        ),
        "40001" | "40P01" => (FaultCode::Conflict, "another transaction was in the way; try again"),
        code if code.starts_with("08") || code.starts_with("57") || code.starts_with("53") => (
            FaultCode::Unavailable,
            "the server is starting, stopping or out of connections; try again",
        ),
        _ if of_a_row(refused) => (
            FaultCode::RowRefused,
            "the target refuses a row of this page; correct the row on the source or the rule on \
             the target, then run again: nothing of this page was saved",
        ),
        _ => (FaultCode::Refused, "the server refused the statement; the message says why"),
    }
}
