//! The commands that a demo runs as processes: how they are shown, and what they printed.

use std::process::Output;

use serde::Deserialize;

use super::error::DemoError;
use super::page::Page;

/// Shows a command before its output.
pub fn command(page: &mut Page, arguments: &[&str]) -> Result<(), DemoError> {
    Ok(page.say(&format!("$ syncline {}", arguments.join(" ")))?)
}

/// The stdout of a command that succeeded.
pub fn output(ended: &Output, arguments: &[&str]) -> Result<String, DemoError> {
    match ended.status.success() {
        true => Ok(stdout(ended)),
        false => unexpected(&format!(
            "syncline {} failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&ended.stderr)
        )),
    }
}

/// The stdout of a command, whatever its exit code is.
pub fn stdout(ended: &Output) -> String {
    String::from_utf8_lossy(&ended.stdout).into_owned()
}

/// Reads a JSON object that a command printed.
pub fn parse<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, DemoError> {
    serde_json::from_str(text)
        .or_else(|error| unexpected(&format!("the answer cannot be read ({error}): {text}")))
}

/// The end of a demo that saw something else than what it shows.
pub fn unexpected<T>(text: &str) -> Result<T, DemoError> {
    Err(DemoError::Unexpected(text.to_owned()))
}
