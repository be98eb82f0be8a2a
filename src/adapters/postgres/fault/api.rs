//! Maps the errors of a project's API to a fault code and a hint. They come in place of an answer
//! of the database behind it.

use super::judgement::Judgement;
use crate::adapters::api::http::NoAnswer;
use crate::adapters::api::project::ApiError;
use crate::engine::model::fault_code::FaultCode;

/// The hint for a target without our state tables: its SQL must be run there by hand.
pub const PASTE: &str =
    "run what `syncline project-sql target` prints in the target's SQL editor, once";
/// The hint for a project without `syncline_run`, which may be the source or the target.
const PASTE_IN_EITHER: &str = "the project lacks the function syncline_run: run what `syncline project-sql source` \
    or `syncline project-sql target` prints, whichever side it is, in its SQL editor, once";

/// Returns the fault code and the hint of an error of the API.
pub fn judged(error: &ApiError) -> Judgement {
    match error {
        ApiError::NoAnswer(NoAnswer::TooLarge(_)) => (
            FaultCode::TooLarge,
            "leave the table out, or give the database's own postgres:// URL: one row of it is larger \
             than what is read over an API",
        ),
        ApiError::NoAnswer(_) => (
            FaultCode::Unreachable,
            "check the project's URL and the network; the next run goes on where this one stopped",
        ),
        ApiError::Refused { code, .. } if code == "PGRST202" => {
            (FaultCode::NoFunction, PASTE_IN_EITHER)
        }
        ApiError::Refused { code, .. } if code.starts_with("PGRST0") => (
            FaultCode::Unavailable,
            "the project's database is starting, stopping or out of connections; try again",
        ),
        ApiError::Refused { .. } => {
            (FaultCode::Refused, "the API refused the call; the message says why")
        }
        ApiError::Key(_) => (
            FaultCode::KeyRefused,
            "check the service-role key, and that it is this project's: the project's settings, \
             API keys",
        ),
        ApiError::Paused => (
            FaultCode::ProjectPaused,
            "restore the project in its dashboard; the next run goes on where the last one stopped",
        ),
        ApiError::Quota => (
            FaultCode::OverQuota,
            "wait for the plan's next month or upgrade it; what the API no longer gives, \
             `syncline gap sql` and `syncline gap import` bring over as files",
        ),
        ApiError::Busy(_) => {
            (FaultCode::Busy, "the API is called too often; the next run goes on from here")
        }
        ApiError::GatewayTimeout => (
            FaultCode::StatementTimeout,
            "the call ran too long; set a smaller SYNC_PAGE_ROWS or create the index that \
             `syncline plan` names",
        ),
        ApiError::TooLarge => (
            FaultCode::TooLarge,
            "set a smaller SYNC_PAGE_ROWS; a row that is too large alone needs the database's own URL",
        ),
        ApiError::NoApi(_) => (
            FaultCode::NoApi,
            "check that the URL is the project's own, as in https://PROJECT.supabase.co",
        ),
        ApiError::Gateway(_) => (
            FaultCode::Unavailable,
            "the project's gateway does not work at the moment; see the provider's status page",
        ),
        ApiError::Answer(_) => (
            FaultCode::BadAnswer,
            "check that the URL is a project's, and run there what this version's \
             `syncline project-sql` prints",
        ),
    }
}
