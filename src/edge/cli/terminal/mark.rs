//! The mark of a check or a step, and the line that begins with it.

use serde::Serialize;

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// As it ought to be.
    Ok,
    /// It needed a check that failed, and was not made.
    Skip,
    /// It works, and somebody should look at it.
    Warn,
    /// It does not work.
    Fail,
}

impl Mark {
    /// A sign where a person looks on; a word that is found by searching everywhere else.
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

/// The line of a check or a step, and below it what to do, if anything.
pub fn marked_line(mark: &str, name: &str, width: usize, found: &str, remedy: &str) -> String {
    let mut text = format!("{mark} {name:width$}  {found}\n");
    if !remedy.is_empty() {
        text.push_str(&format!("      {remedy}\n"));
    }
    text
}
