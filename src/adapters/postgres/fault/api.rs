//! Maps the errors of a project's API to a fault code and a hint. They come in place of an answer
//! of the database behind it.

use crate::adapters::api::project::Failure;
use crate::adapters::api::verdict::{self, Judgement};
use crate::engine::model::fault_code::FaultCode;

/// The hint for a target without our state tables: its SQL must be run there by hand.
pub const PASTE: &str =
    "run what `syncline project-sql target` prints in the target's SQL editor, once";
/// The hint for a project without `syncline_run`, which may be the source or the target.
const PASTE_IN_EITHER: &str = "the project lacks the function syncline_run: run what `syncline project-sql source` \
    or `syncline project-sql target` prints, whichever side it is, in its SQL editor, once";

/// The code and the hint of an answer that our function never gives.
pub const BAD_ANSWER: Judgement = (
    FaultCode::BadAnswer,
    "check that the URL is a project's, and run there what this version's \
     `syncline project-sql` prints",
);

/// Returns the fault code and the hint of an error of the API.
pub fn judged(failure: &Failure) -> Judgement {
    match failure {
        Failure::NoAnswer(error) => verdict::of_no_answer(error),
        Failure::Refused { code, .. } if code == "PGRST202" => {
            (FaultCode::NoFunction, PASTE_IN_EITHER)
        }
        Failure::Refused { code, .. } if code.starts_with("PGRST0") => (
            FaultCode::Unavailable,
            "the project's database is starting, stopping or out of connections; try again",
        ),
        Failure::Refused { .. } => {
            (FaultCode::Refused, "the API refused the call; the message says why")
        }
        Failure::Key(_) => (
            FaultCode::KeyRefused,
            "check the service-role key, and that it is this project's: the project's settings, \
             API keys",
        ),
        Failure::KeyExpired => {
            (FaultCode::KeyExpired, "copy a new one from the project's settings, API keys")
        }
        Failure::Paused => verdict::PAUSED,
        Failure::Quota => verdict::OVER_QUOTA,
        Failure::Busy(_) => verdict::BUSY,
        Failure::GatewayTimeout => (
            FaultCode::StatementTimeout,
            "the call ran too long; set a smaller SYNC_PAGE_ROWS or create the index that \
             `syncline plan` names",
        ),
        Failure::TooLarge => (
            FaultCode::TooLarge,
            "set a smaller SYNC_PAGE_ROWS; a row that is too large alone needs the database's own URL",
        ),
        Failure::NoApi(_) => verdict::NO_API,
        Failure::Gateway(_) => verdict::BROKEN_GATEWAY,
        Failure::Answer => BAD_ANSWER,
        Failure::CutAnswer => (
            FaultCode::BadAnswer,
            "set Max rows in the project's settings, API, to 1000: it is too small for an answer of \
             syncline_run, which takes two rows",
        ),
    }
}
