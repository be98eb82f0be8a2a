//! The mark of a check or a step, and the line that begins with that mark.

use serde::Serialize;

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// The check succeeded.
    Ok,
    /// The check was not made, since it depends on one that failed.
    Skip,
    /// The check succeeded, but a person should look at the result.
    Warn,
    /// The check failed.
    Fail,
}

impl Mark {
    /// The mark as a sign, for a terminal, or as a word that can be searched for.
    pub fn text(self, signs: bool) -> &'static str {
        match (self, signs) {
            (Self::Ok, true) => "✓",
            (Self::Skip, true) => "-",
            (Self::Warn, true) => "!",
            (Self::Fail, true) => "✗",
            (Self::Ok, false) => "ok  ",
            (Self::Skip, false) => "skip",
            (Self::Warn, false) => "warn",
            (Self::Fail, false) => "FAIL",
        }
    }
}

/// The line of a check or a step, and below it the remedy, if there is one.
pub fn marked_line(mark: &str, name: &str, width: usize, result: &str, remedy: &str) -> String {
    let mut text = format!("{mark} {name:width$}  {result}\n");
    if !remedy.is_empty() {
        text.push_str(&format!("      {remedy}\n"));
    }
    text
}
