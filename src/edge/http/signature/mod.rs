//! Checks that QStash signed a call, from the keys, the token, the public URL, the raw body and the
//! time. The refusal is for the log; the route answers 401 without the reason.

mod claims;
mod mac;
mod refusal;

use std::fmt;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::Value;

use claims::{Claims, present};
use refusal::MAX_TOKEN_BYTES;

pub use refusal::Refusal;

/// Accepts a call only if QStash made its token, for this URL, for these bytes, and for this time.
///
/// `url` is the configured public URL of the route with its query, never one that is made from the
/// request's headers. `body` has the bytes as they were sent, decoded from Lambda's base64.
pub fn verify(
    keys: &SigningKeys,
    token: &str,
    url: &str,
    body: &[u8],
    now: SystemTime,
) -> Result<Verified, Refusal> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Refusal::TooLong);
    }
    let [header, payload, _] = decode_segments(token)?;
    check_header(&header)?;
    let (claims, signed_with) = keys.open(token)?;
    if !is_object(&payload) {
        return Err(Refusal::Claims);
    }
    claims.check(url, body, now)?;
    Ok(Verified { signed_with })
}

/// The proof that a call passed [`verify`], which alone makes it.
#[derive(Debug, PartialEq, Eq)]
pub struct Verified {
    signed_with: KeyName,
}

impl Verified {
    /// The key that signed. The next key means that the keys were rotated and this deployment has
    /// the old pair: after another rotation it would refuse QStash.
    pub fn signed_with(&self) -> KeyName {
        self.signed_with
    }
}

/// One of the two keys that QStash hands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyName {
    /// The key that signs now.
    Current,
    /// The key that signs after the next roll.
    Next,
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Current => "current",
            Self::Next => "next",
        })
    }
}

/// The two keys that a token may be signed with. They are never printed.
#[derive(Clone)]
pub struct SigningKeys {
    current: DecodingKey,
    next: Option<DecodingKey>,
}

impl SigningKeys {
    /// Takes the keys as the QStash console shows them; the text itself is the key. Without the
    /// next key, calls are refused after a rotation until the new keys are set.
    pub fn new(current: &str, next: Option<&str>) -> Result<Self, BadKey> {
        mac::install();
        let current = parse_key(KeyName::Current, current)?;
        let next = next.map(|key| parse_key(KeyName::Next, key)).transpose()?;
        Ok(Self { current, next })
    }

    /// Chooses the key by the MAC alone. The SDKs also try the next key after a failed claim, and
    /// then report a bad signature for a token that has merely expired.
    fn open(&self, token: &str) -> Result<(Claims, KeyName), Refusal> {
        let next = self.next.as_ref().map(|key| (KeyName::Next, key));
        for (name, key) in std::iter::once((KeyName::Current, &self.current)).chain(next) {
            match jsonwebtoken::decode::<Claims>(token, key, &mac_only()) {
                Ok(opened) => return Ok((opened.claims, name)),
                Err(error) => match error.kind() {
                    ErrorKind::InvalidSignature => continue,
                    _ => return Err(Refusal::Claims),
                },
            }
        }
        Err(Refusal::Mac)
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKeys(redacted)")
    }
}

/// The reason why a signing key cannot be used. An empty key would let anyone sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// The key is empty, or has nothing but blanks.
    #[error("The {0} QStash signing key is empty")]
    Empty(KeyName),
    /// The key was pasted with a blank or line break, so that no token would ever match.
    #[error("The {0} QStash signing key has a blank or line break in it")]
    Blank(KeyName),
}

fn parse_key(name: KeyName, text: &str) -> Result<DecodingKey, BadKey> {
    if text.trim().is_empty() {
        return Err(BadKey::Empty(name));
    }
    if text.contains(char::is_whitespace) {
        return Err(BadKey::Blank(name));
    }
    Ok(DecodingKey::from_secret(text.as_bytes()))
}

/// The library parses the token and checks its MAC. Its checks of claims would refuse live tokens
/// (`aud` is empty, `nbf` negative), so they are off, and [`Claims::check`] takes their place.
fn mac_only() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

/// Decodes the three parts of a token. Only one spelling of a token passes: two would be two tokens
/// for a program that compares texts.
fn decode_segments(token: &str) -> Result<[Vec<u8>; 3], Refusal> {
    let segments: Vec<&str> = token.split('.').collect();
    let segments: [&str; 3] = segments.try_into().map_err(|_| Refusal::Parts)?;
    let decode = |segment| URL_SAFE_NO_PAD.decode(segment).map_err(|_| Refusal::Encoding);
    let [header, claims, mac] = segments.map(decode);
    Ok([header?, claims?, mac?])
}

/// Checks the header before the library does, because the library does not say which algorithm it
/// refused, and ignores `crit`.
fn check_header(json: &[u8]) -> Result<(), Refusal> {
    #[derive(Deserialize)]
    struct Header {
        #[serde(default, deserialize_with = "present")]
        alg: Option<Value>,
        #[serde(default, deserialize_with = "present")]
        crit: Option<Value>,
    }
    if !is_object(json) {
        return Err(Refusal::Header);
    }
    let header: Header = serde_json::from_slice(json).map_err(|_| Refusal::Header)?;
    if header.alg != Some(Value::from("HS256")) {
        return Err(Refusal::Algorithm);
    }
    if header.crit.is_some() {
        return Err(Refusal::Critical);
    }
    Ok(())
}

/// Says whether the text is a JSON object. Serde would also read a struct from an array.
fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().starts_with(b"{")
}

#[cfg(test)]
mod tests;
