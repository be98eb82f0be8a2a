//! Refusals in PostgREST's words: its codes, its statuses and the four fields of its body.

use serde_json::{Value, json};
use tokio_postgres::Error;

use super::answer::Answer;

/// A request that is not served, and why.
#[derive(Clone, Debug)]
pub struct Refusal {
    status: u16,
    code: String,
    message: String,
    details: Option<String>,
    hint: Option<String>,
    headers: Vec<(&'static str, String)>,
}

impl Refusal {
    /// A refusal without details.
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        let (code, message) = (code.to_owned(), message.into());
        Self { status, code, message, details: None, hint: None, headers: Vec::new() }
    }

    /// Refuses a request whose effect nobody has observed: the stand-in does not guess, and its
    /// sender learns that at once.
    pub fn unknown(what: impl AsRef<str>) -> Self {
        let message = format!("The stand-in for PostgREST does not know {}", what.as_ref());
        Self::new(501, "STANDIN", message).hint("Observe the real one, then teach the stand-in")
    }

    /// A query parameter that cannot be read.
    pub fn unreadable(parameter: &str, text: &str, expected: &str) -> Self {
        let message = format!("\"failed to parse {parameter} ({text})\" (line 1, column 1)");
        Self::new(400, "PGRST100", message).details(format!("unexpected text expecting {expected}"))
    }

    /// A body or its form that cannot be taken.
    pub fn bad_body(message: impl Into<String>) -> Self {
        Self::new(400, "PGRST102", message)
    }

    /// Adds details.
    #[must_use]
    pub fn details(mut self, details: impl Into<String>) -> Self {
        self.details = Some(details.into());
        self
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Tells an error of the database, or that no connection could be had.
    pub fn of_database(error: &Error, is_anonymous: bool) -> Self {
        let Some(refused) = error.as_db_error() else {
            let message = "Database client error. Retrying the connection.";
            return Self::new(503, "PGRST001", message)
                .details(error.to_string())
                .header("retry-after", "0");
        };
        let code = refused.code().code();
        let status = status_of(code, refused.message(), is_anonymous);
        let mut refusal = Self::new(status, code, refused.message());
        refusal.details = refused.detail().map(str::to_owned);
        refusal.hint = refused.hint().map(str::to_owned);
        match status {
            401 => refusal.header("www-authenticate", "Bearer"),
            503 => refusal.header("retry-after", "0"),
            _ => refusal,
        }
    }

    /// The transaction could be run again as it is, and the real one does so by itself.
    pub fn is_run_again(&self) -> bool {
        matches!(self.code.as_str(), "40001" | "40P01")
    }

    /// The answer that tells it.
    pub fn answer(self) -> Answer {
        let Self { status, code, message, details, hint, headers } = self;
        let text = |text: Option<String>| text.map_or(Value::Null, Value::String);
        let body = json!({
            "code": code, "message": message, "details": text(details), "hint": text(hint),
        });
        let mut answer = Answer::new(status, "application/json; charset=utf-8", body.to_string());
        answer.headers.push(("proxy-status", format!("PostgREST; error={code}")));
        answer.headers.extend(headers);
        answer
    }
}

/// The mapping of SQLSTATEs that PostgREST has in its source.
fn status_of(code: &str, message: &str, is_anonymous: bool) -> u16 {
    match code {
        "23503" | "23505" => 409,
        "25006" => 405,
        "21000" if message.ends_with("requires a WHERE clause") => 400,
        "21000" => 500,
        "22023" if message.starts_with("role") && message.ends_with("does not exist") => 401,
        "42501" if is_anonymous => 401,
        "42501" => 403,
        "42883" | "42P01" => 404,
        "42P17" | "53400" => 500,
        "57P01" => 503,
        "P0001" => 400,
        _ => match &code[..2] {
            "PT" => code[2..].parse().unwrap_or(500),
            "08" | "53" => 503,
            "0L" | "0P" | "28" => 403,
            "09" | "25" | "2D" | "38" | "39" | "3B" | "40" | "54" | "55" | "57" | "58" | "F0"
            | "HV" | "P0" | "XX" => 500,
            _ => 400,
        },
    }
}
