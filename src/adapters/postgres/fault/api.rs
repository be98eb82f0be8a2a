//! What an API before the database answered instead of it, and who must act.

use super::Judgement;
use crate::adapters::http::NoAnswer;
use crate::adapters::project::ApiError;
use crate::engine::model::fault::{Remedy, STATEMENT_TIMEOUT};

/// The code of a request or an answer that is too large for an API.
const TOO_LARGE: &str = "too_large";

/// What only a person can do in a project.
pub const PASTE: &str =
    "run what `syncline project-sql target` prints in the target's SQL editor, once";
/// The same where the project may be either side.
const PASTE_IN_EITHER: &str = "the project lacks the function syncline_run: run what `syncline project-sql source` \
    or `syncline project-sql target` prints, as the side it is, in its SQL editor, once";

/// Who must act on what an API answered.
pub fn judged(error: &ApiError) -> Judgement {
    match error {
        ApiError::NoAnswer(NoAnswer::TooLarge(_)) => (
            Remedy::Operator,
            TOO_LARGE,
            "leave the table out, or give the database's own postgres:// URL: one row of it is larger \
             than what is read over an API",
        ),
        ApiError::NoAnswer(_) => (
            Remedy::Retry,
            "unreachable",
            "check the project's URL and the network; the next run goes on where this one stopped",
        ),
        ApiError::Refused { code, .. } if code == "PGRST202" => {
            (Remedy::Operator, "no_function", PASTE_IN_EITHER)
        }
        ApiError::Refused { code, .. } if code.starts_with("PGRST0") => (
            Remedy::Retry,
            "unavailable",
            "the project's database is starting, stopping or out of connections; try again",
        ),
        ApiError::Refused { .. } => {
            (Remedy::Operator, "refused", "the API refused the call; the message says why")
        }
        ApiError::Key(_) => (
            Remedy::Operator,
            "key_refused",
            "check the service-role key, and that it is this project's: the project's settings, \
             API keys",
        ),
        ApiError::Paused => (
            Remedy::Operator,
            "project_paused",
            "restore the project in its dashboard; the next run goes on where the last one stopped",
        ),
        ApiError::Quota => (
            Remedy::Operator,
            "over_quota",
            "wait for the plan's next month or upgrade it; what the API no longer gives, \
             `syncline gap sql` and `syncline gap import` bring over as files",
        ),
        ApiError::Busy(_) => {
            (Remedy::Retry, "busy", "the API is called too often; the next run goes on from here")
        }
        ApiError::GatewayTimeout => (
            Remedy::Retry,
            STATEMENT_TIMEOUT,
            "the call ran too long; set a smaller SYNC_PAGE_ROWS or create the index that \
             `syncline plan` names",
        ),
        ApiError::TooLarge => (
            Remedy::Operator,
            TOO_LARGE,
            "set a smaller SYNC_PAGE_ROWS; a row that is too large alone needs the database's own URL",
        ),
        ApiError::NoApi(_) => (
            Remedy::Operator,
            "no_api",
            "check that the URL is the project's own, as in https://PROJECT.supabase.co",
        ),
        ApiError::Gateway(_) => (
            Remedy::Retry,
            "unavailable",
            "the project's gateway is out of order; the provider's status page tells more",
        ),
        ApiError::Answer(_) => (
            Remedy::Report,
            "bad_answer",
            "check that the URL is a project's, and run there what this version's \
             `syncline project-sql` prints",
        ),
    }
}
