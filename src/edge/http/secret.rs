//! A secret that a caller must present. It is never printed, and the time of a comparison does not
//! show how near a guess was.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The fewest characters of a secret: guessing so many over HTTP is hopeless.
const MIN_CHARACTERS: usize = 16;

/// A configured secret. Only its hash is kept, so that it cannot be printed.
#[derive(Clone)]
pub struct Secret {
    digest: [u8; 32],
}

impl Secret {
    /// Takes a text that is long enough for a secret and that a header can hold unchanged.
    pub fn parse(text: &str) -> Result<Self, BadSecret> {
        match text.trim().chars().count() {
            0 => Err(BadSecret::Empty),
            1..MIN_CHARACTERS => Err(BadSecret::Short),
            _ if text != text.trim() => Err(BadSecret::Blank),
            _ => Ok(Self { digest: digest(text) }),
        }
    }

    /// Compares a text with the secret in a time that depends on the text alone. The hashes have
    /// the same length, so that the length of the secret does not show.
    pub fn matches(&self, presented: &str) -> bool {
        self.digest.ct_eq(&digest(presented)).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(redacted)")
    }
}

/// The reason why a text cannot be a secret. It does not show the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    /// Nothing, or nothing but blanks.
    #[error("The secret is empty")]
    Empty,
    /// Could be guessed.
    #[error("The secret is shorter than {MIN_CHARACTERS} characters")]
    Short,
    /// A header loses such blanks on its way, so that no caller could ever match it.
    #[error("The secret begins or ends with a blank or line break")]
    Blank,
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "an-invented-token-of-some-length";

    #[test]
    fn the_secret_itself_matches() {
        assert!(Secret::parse(TEXT).unwrap().matches(TEXT));
    }

    #[test]
    fn anything_else_does_not_match() {
        let secret = Secret::parse(TEXT).unwrap();
        let longer = format!("{TEXT}x");
        let others = ["", &TEXT[1..], &TEXT[..TEXT.len() - 1], &longer, "AN-INVENTED-TOKEN"];
        for other in others.into_iter().chain([&*format!("{TEXT} "), &TEXT.to_uppercase()]) {
            assert!(!secret.matches(other), "{other:?} was taken for the secret");
        }
    }

    #[test]
    fn two_thousand_guesses_do_not_match() {
        // A comparison of the first byte alone takes one guess in 256.
        let secret = Secret::parse(TEXT).unwrap();
        assert!(!(0..2000).any(|guess| secret.matches(&format!("guess {guess}"))));
    }

    #[test]
    fn a_secret_that_is_empty_short_or_padded_is_refused() {
        let cases = [
            ("", BadSecret::Empty),
            (" \t\n", BadSecret::Empty),
            ("fifteen-letters", BadSecret::Short),
            ("short               ", BadSecret::Short),
            ("a-secret-with-its-line-break\n", BadSecret::Blank),
            (" a-secret-with-a-blank-before", BadSecret::Blank),
        ];
        for (text, expected) in cases {
            assert_eq!(Secret::parse(text).err(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn sixteen_characters_are_enough_whatever_their_bytes() {
        assert!(Secret::parse("sixteen--letters").is_ok());
        assert!(Secret::parse("Straße-über-Äcker").is_ok());
        assert_eq!(Secret::parse("ÄÖÜäöüßÄÖÜäöüß!").err(), Some(BadSecret::Short));
    }

    #[test]
    fn nothing_prints_the_secret_or_its_hash() {
        let secret = Secret::parse(TEXT).unwrap();
        assert_eq!(format!("{secret:?} {secret}"), "Secret(redacted) (redacted)");
    }
}
