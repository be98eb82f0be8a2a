//! What goes wrong on the side that is written: whose fault it is, a row's or somebody else's, and
//! who must act.

use super::fault::{Judgement, RestError};
use crate::adapters::http::NoAnswer;
use crate::engine::model::fault::{Fault, LEASE_LOST, Remedy, STATEMENT_TIMEOUT, Step};
use crate::engine::model::range::Side;
use crate::engine::model::table::TableName;

/// What the target said of a row that it does not take. It may hold the row's values: it goes to
/// the table of refused rows, and nowhere else.
pub struct Refusal {
    /// The SQLSTATE.
    pub code: String,
    /// Why, in the server's words.
    pub reason: String,
}

impl RestError {
    /// The fault for whoever writes.
    pub fn into_target_fault(self, step: Step, table: Option<&TableName>) -> Fault {
        let (remedy, code, hint) = self.judged(Side::Target, table);
        let message = match (&self, step) {
            (Self::NoAnswer(_), _) => "Cannot reach the target",
            (_, Step::Plan) => "Cannot compare the two databases",
            (_, Step::Compare) => "Cannot compare the rows of the two databases",
            (_, Step::State) => "Cannot use the state tables in the target",
            (_, Step::Alter) => "Cannot alter the target's table",
            _ => "Cannot write to the target",
        };
        let step = if matches!(self, Self::NoAnswer(_)) { Step::ConnectTarget } else { step };
        let fault = Fault::new(step, remedy, code, message, hint).caused_by(self);
        match table {
            Some(table) => fault.of_table(table),
            None => fault,
        }
    }

    /// What the target said of a row, if a row was at fault; the error itself if not.
    pub fn refusal_of_a_row(self) -> Result<Refusal, Self> {
        match self {
            Self::Refused { status, code, said, .. } if is_told_of_a_row(status, &code) => {
                let message = said.0.message.unwrap_or_else(|| format!("Refused with {status}"));
                let reason = match said.0.details {
                    Some(details) => format!("{message}: {details}"),
                    None => message,
                };
                Ok(Refusal { code, reason })
            }
            other => Err(other),
        }
    }

    /// The table is not there, or the API does not know it.
    pub fn is_of_no_table(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "PGRST205" || code == "42P01")
    }

    /// A value does not fit the type that it is compared with.
    pub fn is_of_a_value(&self) -> bool {
        matches!(self, Self::Refused { status: 400, code, .. } if code.starts_with("22"))
    }

    /// The same call may succeed, if it was cut or answered with what passes.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::NoAnswer(NoAnswer::Cut(_))) || self.passes_by_itself()
    }

    /// Somebody held the row for longer than a statement may wait.
    pub fn is_of_a_lock(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "55P03" || code == "57014")
    }
}

/// A status that speaks of the key or of the server says nothing of a row, whatever the code: a
/// role that the database does not have is a bad value, too.
fn is_told_of_a_row(status: u16, code: &str) -> bool {
    is_of_a_row(code) && !matches!(status, 401 | 429 | 502..=504)
}

/// A row is at fault, not the statement, the role or the connection: a bad value, a broken
/// constraint, a trigger that refused, a key that comes twice, a row too large. A function may
/// raise any code but the server's own.
fn is_of_a_row(code: &str) -> bool {
    const OF_THE_SERVER: [&str; 17] = [
        "08", "0A", "25", "28", "2D", "3D", "3F", "40", "42", "53", "54", "55", "57", "58", "F0",
        "XX", "PG",
    ];
    let is_state = code.len() == 5 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_servers = OF_THE_SERVER.iter().any(|class| code.starts_with(class));
    is_state && (!is_servers || code == "54000")
}

/// What is said of errors that only a target gives.
pub(super) fn of_the_target_alone(error: &RestError) -> Option<Judgement> {
    let (remedy, code, hint) = match error {
        RestError::LeaseLost => (
            Remedy::Retry,
            LEASE_LOST,
            "the run that holds the lease goes on; what this one wrote since is read again",
        ),
        RestError::NoState => (
            Remedy::Operator,
            "no_state",
            "run what `syncline project-sql target` prints in the project's SQL editor, once; with \
             --without-function it prints the state tables alone",
        ),
        RestError::State(_) => (
            Remedy::Operator,
            "bad_state",
            "the state was written by another version; upgrade this one, or delete the row from \
             sync_state to start that table over",
        ),
        RestError::TooLong(_) => (
            Remedy::Retry,
            STATEMENT_TIMEOUT,
            "so many rows of the page are refused that telling them apart takes longer than a page may; \
             smaller pages are tried, and the next run goes on where this one stopped",
        ),
        RestError::TooManyRefused(_) => (
            Remedy::Operator,
            "rows_refused",
            "the rule that refuses them holds for most of the table: `syncline rejects list` shows \
             the reason of others; correct the rule or the rows, then run again",
        ),
        RestError::Computed(_) => (
            Remedy::Operator,
            "computed_key",
            "choose a `key` that the target does not compute, or leave the table out",
        ),
        RestError::IdentityAlways(column) => {
            let hint = format!(
                "run this in the target: alter table ... alter column \"{}\" set generated by default; \
                 or give the project the function that `syncline project-sql target` prints",
                column.replace('"', "\"\"")
            );
            return Some((Remedy::Operator, "identity_always", hint));
        }
        RestError::NoWay(_) => (
            Remedy::Operator,
            "no_connection",
            "give the project the function that `syncline project-sql target` prints, or the \
             database's own postgres:// URL",
        ),
        _ => return None,
    };
    Some((remedy, code, hint.to_owned()))
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use reqwest::header::HeaderMap;

    use super::*;
    use crate::adapters::http::Answered;

    fn coded(status: u16, code: &str) -> RestError {
        let body = format!(r#"{{"code":"{code}","details":"(id)=(hunter2)","message":"no"}}"#);
        let status = StatusCode::from_u16(status).unwrap();
        RestError::of(&Answered {
            status,
            headers: HeaderMap::new(),
            body: body.into(),
            cut: false,
        })
    }

    #[test]
    fn a_row_is_at_fault_or_somebody_else_is() {
        for (status, code, of_a_row) in [
            (409, "23505", true),
            (409, "23503", true),
            (400, "22P02", true),
            (500, "21000", true),
            (400, "P0001", true),
            (500, "54000", true),
            (400, "MY001", true),
            (403, "PT403", true),
            (401, "22023", false),
            (503, "P0001", false),
            (403, "42501", false),
            (405, "25006", false),
            (500, "57014", false),
            (500, "40P01", false),
            (400, "42P10", false),
            (400, "428C9", false),
            (503, "53100", false),
            (400, "PGRST204", false),
            (404, "PGRST205", false),
            (540, "", false),
        ] {
            let refused = coded(status, code).refusal_of_a_row();
            assert_eq!(refused.is_ok(), of_a_row, "{status} {code}");
            if let Ok(Refusal { reason, .. }) = refused {
                assert_eq!(reason, "no: (id)=(hunter2)");
            }
        }
    }

    #[test]
    fn every_fault_has_its_remedy_and_holds_no_value() {
        let table = TableName::new("public", "users");
        for (error, word, remedy) in [
            (coded(403, "42501"), "no_privilege", Remedy::Operator),
            (coded(405, "25006"), "read_only", Remedy::Operator),
            (coded(400, "42P10"), "no_unique_key", Remedy::Operator),
            (RestError::LeaseLost, LEASE_LOST, Remedy::Retry),
            (RestError::NoState, "no_state", Remedy::Operator),
            (RestError::TooManyRefused(1_000), "rows_refused", Remedy::Operator),
            (RestError::TooLong(4), STATEMENT_TIMEOUT, Remedy::Retry),
            (RestError::Computed("a".into()), "computed_key", Remedy::Operator),
            (RestError::IdentityAlways("a".into()), "identity_always", Remedy::Operator),
            (RestError::NoWay("add columns"), "no_connection", Remedy::Operator),
        ] {
            assert!(!format!("{error:?}").contains("hunter2"));
            let fault = error.into_target_fault(Step::Write, Some(&table));
            assert_eq!((fault.code, fault.remedy), (word, remedy));
            assert!(!fault.hint.is_empty() && !fault.chain().contains("hunter2"), "{word}");
        }
        let grant = coded(403, "42501").into_target_fault(Step::Write, Some(&table));
        assert!(
            grant.hint.contains("target: grant select, insert, update, delete on public.users")
        );
    }
}
