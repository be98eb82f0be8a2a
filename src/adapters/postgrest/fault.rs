//! The errors of a project's API, and who must act on each. The API's sentences may hold values of
//! rows: they are shown only where they name a table, a column or a role.

use serde::Deserialize;

use crate::adapters::api::http::{HttpAnswer, NoAnswer};
use crate::adapters::api::verdict;
use crate::adapters::json_rows::BadRow;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::table::TableName;

/// The reason why a call of a project's API failed.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// The API did not answer.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    /// The API refused the call.
    #[error("The source's API answered {status}{}{to_key}", in_brackets(code, words.as_deref()))]
    Refused {
        /// The status.
        status: u16,
        /// The setting of the key, in words, where the key may be why.
        to_key: String,
        /// PostgREST's code or Postgres'; empty where a gateway answered.
        code: String,
        /// The API's sentence, if it holds no value.
        words: Option<String>,
    },
    /// The answer is not PostgREST's.
    #[error("The answer is not what PostgREST would say")]
    Stranger,
    /// The API's description of the schema cannot be read.
    #[error("The API's description of its tables cannot be read")]
    Description(#[source] serde_json::Error),
    /// A row is not what was asked for.
    #[error(transparent)]
    Row(#[from] BadRow),
    /// A key or a cursor is not valid text.
    #[error("A key or a cursor is not valid in UTF-8")]
    NotUtf8,
    /// A row has no value in a key column, so it cannot be found again.
    #[error("A row has no value in its key column {0}")]
    NoKey(String),
    /// Row-level security would hide rows without an error.
    #[error("The key is the role {0}'s, to which rows may be hidden")]
    HiddenRows(String),
    /// The plain API cannot convert values to another type.
    #[error("The plain API cannot take values the way into another type")]
    NoDigests,
    /// A key may be spelled otherwise on the target, which no API shows.
    #[error("The API does not tell how the key column {0} rounds its values")]
    HiddenType(String),
    /// The API cannot evaluate SQL.
    #[error("The plain API evaluates no condition of `where`")]
    NoConditions,
}

/// The body of an error. A gateway's has no code.
#[derive(Debug, Default, Deserialize)]
struct ErrorBody {
    /// PostgREST's own code or Postgres'.
    #[serde(default)]
    code: Option<String>,
    /// A sentence, which may hold values.
    #[serde(default)]
    message: Option<String>,
}

/// The number of letters of a sentence that are shown.
const LONGEST_WORDS: usize = 300;

fn in_brackets(code: &str, words: Option<&str>) -> String {
    match (code, words) {
        ("", None) => String::new(),
        (code, None) => format!(" ({code})"),
        ("", Some(words)) => format!(" ({words})"),
        (code, Some(words)) => format!(" ({code}: {words})"),
    }
}

impl RestError {
    /// Reads the error from an answer that is no success.
    pub fn from_answer(answer: &HttpAnswer, key_setting: &str) -> Self {
        let body: ErrorBody = serde_json::from_slice(&answer.body).unwrap_or_default();
        let code = body.code.unwrap_or_default();
        // A gateway has no code and knows nothing of rows.
        let names_no_value = code.is_empty()
            || ["42501", "42P01", "42703"].contains(&code.as_str())
            || ["PGRST0", "PGRST106", "PGRST2", "PGRST3"]
                .iter()
                .any(|start| code.starts_with(start));
        let words = body.message.as_ref().filter(|_| names_no_value);
        let words = words.map(|words| words.chars().take(LONGEST_WORDS).collect());
        let status = answer.status.as_u16();
        let to_key = match status {
            401 | 403 => format!(" to the key in {key_setting}"),
            _ => String::new(),
        };
        Self::Refused { status, to_key, code, words }
    }

    /// Says whether the same call may succeed a moment later. A 500 comes from the server itself,
    /// and only some of its errors pass.
    pub fn passes_by_itself(&self) -> bool {
        let Self::Refused { status, code, .. } = self else { return false };
        match (status, code.as_str()) {
            (_, "57014") | (504, "") => false,
            (500, code) => ["55P03", "40", "57"].iter().any(|start| code.starts_with(start)),
            (status, _) => matches!(status, 429 | 502..=504 | 520..=527),
        }
    }

    /// The fault of a step that this error ended.
    pub fn into_fault(self, step: Step, table: Option<&TableName>) -> Fault {
        let (code, hint) = self.judgement(table);
        let unreached =
            matches!(&self, Self::NoAnswer(none) if !matches!(none, NoAnswer::TooLarge(_)));
        let message = match step {
            _ if unreached => "Cannot reach the source",
            Step::Plan => "Cannot compare the two databases",
            Step::Compare => "Cannot compare the rows of the two databases",
            _ => "Cannot read from the source",
        };
        let step = if unreached { Step::ConnectSource } else { step };
        let fault = Fault::new(step, code, message, hint).caused_by(self);
        match table {
            Some(table) => fault.of_table(table),
            None => fault,
        }
    }

    fn judgement(&self, table: Option<&TableName>) -> Judgement {
        if let Self::Refused { status, code, .. } = self {
            return refusal_judgement(*status, code, table);
        }
        let (code, hint) = match self {
            Self::NoAnswer(error) => verdict::of_no_answer(error),
            Self::Row(_) => (
                FaultCode::BadFrame,
                "report it with the API's version; nothing was saved for this page",
            ),
            Self::NotUtf8 => (
                FaultCode::KeyEncoding,
                "correct the keys and cursors of the source that are not in UTF-8, or leave the table out",
            ),
            Self::NoKey(_) => (FaultCode::NoKey, "choose a `key` that every row has a value in"),
            Self::HiddenRows(_) => (
                FaultCode::BrowserKey,
                "use the service-role key or a secret key, from the project's settings, API keys",
            ),
            Self::NoDigests => (
                FaultCode::NoDigests,
                "give the source as a postgres:// URL, or both sides the same types: rows are compared, and \
                 deletes found, as the target would hold them",
            ),
            Self::HiddenType(_) => (
                FaultCode::HiddenType,
                "no row is deleted by such a key: set `deletes` off for the table, or give the source the \
                 function that `syncline project-sql source` prints",
            ),
            Self::NoConditions => (
                FaultCode::NoConditions,
                "leave `where` out, make a view of those rows and sync that, or give the source as a \
                 postgres:// URL",
            ),
            Self::Stranger | Self::Description(_) | Self::Refused { .. } => verdict::NO_API,
        };
        (code, hint.to_owned())
    }
}

/// The fault's code, and the hint that says what to do.
type Judgement = (FaultCode, String);

fn refusal_judgement(status: u16, code: &str, table: Option<&TableName>) -> Judgement {
    let reload = "run notify pgrst, 'reload schema' in the source";
    let named = table.map_or_else(|| "the table".to_owned(), ToString::to_string);
    let (word, hint) = match (status, code) {
        (_, "57014") | (544, _) | (504, "") => (
            FaultCode::StatementTimeout,
            "the statement ran too long for the API: create an index on the cursor and the key, or give \
             the role more time (alter role service_role set statement_timeout = '60s'; notify pgrst, \
             'reload config')",
        ),
        (540, _) => verdict::PAUSED,
        (402, _) => verdict::OVER_QUOTA,
        (_, "PGRST303") => (
            FaultCode::KeyExpired,
            "the key has expired: copy a new one from the project's settings, API keys",
        ),
        (401, "42501") => (
            FaultCode::BrowserKey,
            "the key is no more than anybody's: use the service-role key or a secret key, from the \
             project's settings, API keys",
        ),
        (_, "42501") => {
            let hint = format!("run this in the source: grant select on {named} to service_role");
            return (FaultCode::NoPrivilege, hint);
        }
        (401, "22023") => (
            FaultCode::KeyRefused,
            "the key names a role that the database does not have: create it, or use another key",
        ),
        (401, _) | (_, "PGRST301" | "PGRST302") => (
            FaultCode::KeyRefused,
            "the key is not this project's: copy it anew from the project's settings, API keys",
        ),
        (403, _) => (
            FaultCode::BrowserKey,
            "the API shows its tables to the service-role key or a secret key alone",
        ),
        (_, "PGRST205" | "42P01") => {
            let hint = format!("the API does not know the table: if it is there, {reload}");
            return (FaultCode::SchemaChanged, hint);
        }
        (_, "PGRST204" | "42703") => {
            let hint = format!("a column is gone, or new and not known to the API yet: {reload}");
            return (FaultCode::SchemaChanged, hint);
        }
        (406, "PGRST106") => (
            FaultCode::SchemaHidden,
            "add the schema to the exposed ones in the project's settings, API",
        ),
        (_, "PGRST002") => (
            FaultCode::Unavailable,
            "the API is reading its schema; if that lasts, a schema it is to expose does not exist",
        ),
        (_, "55P03") => (
            FaultCode::Locked,
            "somebody holds a lock on the table; the next run goes on where this one stopped",
        ),
        (_, "40001" | "40P01") => {
            (FaultCode::Conflict, "another transaction was in the way; try again")
        }
        (400, "22P02" | "22007" | "22008" | "22003") => {
            let hint = "the table's key or cursor has another type than the API describes";
            return (FaultCode::BadValue, format!("{hint}: {reload}"));
        }
        (414, _) => (
            FaultCode::UrlTooLong,
            "a key's values are too long for the API's URLs: choose a shorter `key`",
        ),
        (429, _) => verdict::BUSY,
        (500, "21000" | "55000") => {
            (FaultCode::Refused, "the server refused the statement; its code says why")
        }
        (500.., _) => verdict::BROKEN_GATEWAY,
        (404 | 300..=399, _) => verdict::NO_API,
        _ => (FaultCode::Refused, "the API refused the call; its code says why"),
    };
    (word, hint.to_owned())
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use reqwest::header::HeaderMap;

    use super::*;
    use crate::engine::model::fault_code::Remedy;

    fn error(status: u16, body: &str) -> RestError {
        let body = body.to_owned().into();
        let status = StatusCode::from_u16(status).unwrap();
        let answer = HttpAnswer { status, headers: HeaderMap::new(), body, cut: false };
        RestError::from_answer(&answer, "SOURCE_SERVICE_ROLE_KEY")
    }

    fn coded(status: u16, code: &str) -> RestError {
        let body = format!(r#"{{"code":"{code}","details":null,"hint":null,"message":"hunter2"}}"#);
        error(status, &body)
    }

    #[test]
    fn every_refusal_has_its_remedy() {
        let table = TableName::new("public", "users");
        for (status, code, word, remedy, passes) in [
            (500, "57014", FaultCode::StatementTimeout, Remedy::Retry, false),
            (544, "", FaultCode::StatementTimeout, Remedy::Retry, false),
            (504, "", FaultCode::StatementTimeout, Remedy::Retry, false),
            (504, "PGRST003", FaultCode::Unavailable, Remedy::Retry, true),
            (540, "", FaultCode::ProjectPaused, Remedy::Operator, false),
            (402, "", FaultCode::OverQuota, Remedy::Operator, false),
            (401, "PGRST301", FaultCode::KeyRefused, Remedy::Operator, false),
            (401, "PGRST303", FaultCode::KeyExpired, Remedy::Operator, false),
            (401, "22023", FaultCode::KeyRefused, Remedy::Operator, false),
            (401, "42501", FaultCode::BrowserKey, Remedy::Operator, false),
            (401, "", FaultCode::KeyRefused, Remedy::Operator, false),
            (403, "42501", FaultCode::NoPrivilege, Remedy::Operator, false),
            (403, "", FaultCode::BrowserKey, Remedy::Operator, false),
            (404, "PGRST205", FaultCode::SchemaChanged, Remedy::Operator, false),
            (400, "42703", FaultCode::SchemaChanged, Remedy::Operator, false),
            (406, "PGRST106", FaultCode::SchemaHidden, Remedy::Operator, false),
            (503, "PGRST002", FaultCode::Unavailable, Remedy::Retry, true),
            (503, "57P01", FaultCode::Unavailable, Remedy::Retry, true),
            (500, "55P03", FaultCode::Locked, Remedy::Retry, true),
            (500, "40P01", FaultCode::Conflict, Remedy::Retry, true),
            (500, "21000", FaultCode::Refused, Remedy::Operator, false),
            (414, "", FaultCode::UrlTooLong, Remedy::Operator, false),
            (429, "", FaultCode::Busy, Remedy::Retry, true),
            (502, "", FaultCode::Unavailable, Remedy::Retry, true),
            (404, "", FaultCode::NoApi, Remedy::Operator, false),
            (301, "", FaultCode::NoApi, Remedy::Operator, false),
            (400, "22P02", FaultCode::BadValue, Remedy::Operator, false),
        ] {
            let error = coded(status, code);
            assert_eq!(error.passes_by_itself(), passes, "{status} {code}");
            let fault = error.into_fault(Step::Read, Some(&table));
            assert_eq!((fault.code, fault.remedy), (word, remedy), "{status} {code}");
            assert!(!fault.hint.is_empty());
        }
        let grant = coded(403, "42501").into_fault(Step::Read, Some(&table));
        assert!(grant.hint.ends_with("grant select on public.users to service_role"));
    }

    #[test]
    fn words_that_may_hold_a_value_are_not_told() {
        let words = |error: RestError| error.into_fault(Step::Read, None).chain();
        assert!(!words(coded(400, "22P02")).contains("hunter2"));
        assert!(!words(coded(409, "23505")).contains("hunter2"));
        assert!(!words(error(400, "<html>hunter2</html>")).contains("hunter2"));
        let gateway = error(401, r#"{"message":"Invalid API key","hint":"Double check it"}"#);
        assert!(words(gateway).ends_with(
            "The source's API answered 401 (Invalid API key) to the key in SOURCE_SERVICE_ROLE_KEY"
        ));
    }
}
