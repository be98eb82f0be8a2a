//! The fault code and the hint of what comes in place of an answer of a project's database: a word
//! of the gateway before it, or nothing.

use super::http::NoAnswer;
use crate::engine::model::fault_code::FaultCode;

/// The code and the hint of a fault.
pub type Judgement = (FaultCode, &'static str);

/// The project sleeps.
pub const PAUSED: Judgement = (
    FaultCode::ProjectPaused,
    "restore the project in its dashboard: a free one is paused after a week without use; the next \
     run goes on where the last one stopped",
);

/// The organisation has used up its plan's quota.
pub const OVER_QUOTA: Judgement = (
    FaultCode::OverQuota,
    "wait for the plan's next month or upgrade it; what the API no longer gives, `syncline gap sql` \
     and `syncline gap import` bring over as files",
);

/// Too many calls were made in a short time.
pub const BUSY: Judgement =
    (FaultCode::Busy, "the API takes no more calls for a moment; the next run goes on from here");

/// No API answers at the URL.
pub const NO_API: Judgement = (
    FaultCode::NoApi,
    "check that the URL is the project's own, as in https://PROJECT.supabase.co",
);

/// Something before the database is out of order.
pub const BROKEN_GATEWAY: Judgement = (
    FaultCode::Unavailable,
    "the project's gateway does not work at the moment; if that lasts, see the project's dashboard \
     and the provider's status page",
);

/// Returns the code and the hint of a call that got no answer.
pub fn of_no_answer(error: &NoAnswer) -> Judgement {
    match error {
        NoAnswer::TooLarge(_) => (
            FaultCode::TooLarge,
            "leave the table out, or give the database's own postgres:// URL: one row of it is larger \
             than what is read over an API",
        ),
        NoAnswer::Certificate(_) => (
            FaultCode::TlsRefused,
            "give the authority of the project's certificate in SOURCE_SSL_CA or TARGET_SSL_CA, as the \
             side is, or add it to this machine's own list",
        ),
        NoAnswer::Authority(_) => (
            FaultCode::RootCertificate,
            "give SOURCE_SSL_CA or TARGET_SSL_CA, as the side is, the whole PEM text or a readable file \
             of PEM certificates",
        ),
        NoAnswer::NoConnection(_) | NoAnswer::Cut(_) | NoAnswer::Timeout(_) => (
            FaultCode::Unreachable,
            "check the project's URL and the network; the next run goes on where this one stopped",
        ),
    }
}
