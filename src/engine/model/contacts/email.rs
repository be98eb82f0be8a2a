//! The form of an e-mail address by which people are matched. Each side keeps its own spelling.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

/// The most bytes of an address that mail can be sent to (RFC 5321, section 4.5.3.1.3).
const LONGEST: usize = 254;

/// An address in small letters and Unicode's form NFC, without space around it. Dots and `+tags`
/// stay: only the provider of a mailbox knows whether they matter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(String);

/// The reason why a text is no address. It does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEmail {
    /// The text is empty.
    #[error("There is no e-mail address")]
    Empty,
    /// The text has no name, no `@`, or no host.
    #[error("An e-mail address is NAME@HOST")]
    Incomplete,
    /// A space or a control character is in it.
    #[error("An e-mail address holds no space and no control character")]
    Space,
    /// No mail can be sent to it.
    #[error("An e-mail address has at most {LONGEST} bytes")]
    TooLong,
}

impl Email {
    /// Reads an address as somebody spells it.
    pub fn parse(text: &str) -> Result<Self, BadEmail> {
        let text: String = text.trim().nfc().collect::<String>().to_lowercase();
        if text.is_empty() {
            return Err(BadEmail::Empty);
        }
        if text.len() > LONGEST {
            return Err(BadEmail::TooLong);
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(BadEmail::Space);
        }
        match text.rsplit_once('@') {
            Some((name, host)) if !name.is_empty() && !host.is_empty() => Ok(Self(text)),
            _ => Err(BadEmail::Incomplete),
        }
    }

    /// The address in this form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Email {
    type Error = BadEmail;

    fn try_from(text: String) -> Result<Self, BadEmail> {
        Self::parse(&text)
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_are_equal() {
        let ann = Email::parse("ann@example.com").unwrap();
        for text in [" Ann@Example.COM", "ANN@EXAMPLE.COM\n"] {
            assert_eq!(Email::parse(text).unwrap(), ann);
        }
        let (composed, decomposed) = ("jos\u{e9}@example.com", "jose\u{301}@example.com");
        assert_eq!(Email::parse(composed), Email::parse(decomposed));
    }

    #[test]
    fn dots_and_tags_tell_people_apart() {
        let addresses = ["ann.b@example.com", "annb@example.com", "annb+x@example.com"];
        let parsed = addresses.map(|text| Email::parse(text).unwrap());
        assert!(parsed[0] != parsed[1] && parsed[1] != parsed[2]);
    }

    #[test]
    fn a_text_that_nobody_can_write_to_is_no_address() {
        let long = format!("{}@example.com", "x".repeat(250));
        let cases = [
            ("", BadEmail::Empty),
            ("  ", BadEmail::Empty),
            ("ann", BadEmail::Incomplete),
            ("@example.com", BadEmail::Incomplete),
            ("ann@", BadEmail::Incomplete),
            ("ann smith@example.com", BadEmail::Space),
            (long.as_str(), BadEmail::TooLong),
        ];
        for (text, reason) in cases {
            assert_eq!(Email::parse(text), Err(reason), "{text}");
        }
    }
}
