//! The check that QStash signed a call: a function of the keys, the token, the public URL, the raw
//! body and the time. What a refused caller is told belongs to the edge: a fixed 401, never the
//! reason.

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

/// Accepts the call only when the token is QStash's, for this URL, for these bytes, and current.
///
/// `url` is the configured public URL of the route, query included, never one rebuilt from the
/// request's own headers. `body` is what came over the wire, after Lambda's base64.
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
    /// Tells which key signed: the next one means that the keys were rolled and this deployment
    /// holds the old pair, so that one more roll locks QStash out.
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

/// The pair of keys a token may be signed with; never printed.
#[derive(Clone)]
pub struct SigningKeys {
    current: DecodingKey,
    next: Option<DecodingKey>,
}

impl SigningKeys {
    /// Takes the keys as the QStash console shows them: the text itself is the key. Without the
    /// next one, calls are refused from a rotation on until it is set.
    pub fn new(current: &str, next: Option<&str>) -> Result<Self, BadKey> {
        mac::install();
        let current = parse_key(KeyName::Current, current)?;
        let next = next.map(|key| parse_key(KeyName::Next, key)).transpose()?;
        Ok(Self { current, next })
    }

    /// Chooses the key by the MAC alone. The SDKs also fall through to the next key on a failed
    /// claim, and then report a bad signature for a token that has merely expired.
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

/// Why a signing key was not taken. An empty key would let anyone sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Nothing, or nothing but blanks.
    #[error("The {0} QStash signing key is empty")]
    Empty(KeyName),
    /// A blank or line break came along when the key was pasted, and no token would ever match.
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

/// Parsing and the MAC are the library's part. Its own claim checks refuse live tokens (`aud` is
/// empty, `nbf` negative), so all of them are off and [`Claims::check`] does the work.
fn mac_only() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

/// Two spellings of one token would be two tokens to whoever compares texts, so only one passes.
fn decode_segments(token: &str) -> Result<[Vec<u8>; 3], Refusal> {
    let segments: Vec<&str> = token.split('.').collect();
    let segments: [&str; 3] = segments.try_into().map_err(|_| Refusal::Parts)?;
    let decode = |segment| URL_SAFE_NO_PAD.decode(segment).map_err(|_| Refusal::Encoding);
    let [header, claims, mac] = segments.map(decode);
    Ok([header?, claims?, mac?])
}

/// The header is read here too, before the library reads it, for two things it leaves open: why an
/// algorithm was refused, and `crit`.
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

/// A struct is read from a JSON array too, field by field in the order of its declaration.
fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().starts_with(b"{")
}

#[cfg(test)]
mod tests;
