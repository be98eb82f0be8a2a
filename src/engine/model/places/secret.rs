//! A text that must not be printed: a password, a token, a key.

use std::fmt;

/// Keeps its text out of every log and message; only `expose` gives it back.
#[derive(Clone)]
pub struct SecretText(String);

impl SecretText {
    /// Takes the text into custody.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Gives the text to whoever must send it or compare with it. There is no equality on purpose:
    /// it would not run in constant time.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_given_only_when_asked_for() {
        let secret = SecretText::new("hunter2");

        assert_eq!(format!("{secret} {secret:?} {secret:#?}"), "[secret] [secret] [secret]");
        assert_eq!(secret.expose(), "hunter2");
    }
}
