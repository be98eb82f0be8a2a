//! Checks the claims of a token, one by one in the order of the official receivers. The MAC was
//! checked before, so a holder of the key wrote them.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::refusal::Refusal;

const ISSUER: &str = "Upstash";

/// The difference of clocks that is tolerated, so that a delivery at the end of its five minutes
/// does not fail for a second.
const CLOCK_TOLERANCE_SECONDS: f64 = 2.0;

/// The longest life of a token: twice the 300 s that QStash gives, since clocks differ. Without
/// this limit, a token that is made with a leaked key could be valid for years.
const LONGEST_LIFE_SECONDS: f64 = 600.0;

/// The claims that are checked. `aud` (empty in live tokens), `iat` and `jti` (new for each
/// attempt) are not read.
#[derive(Deserialize)]
pub(super) struct Claims {
    #[serde(default, deserialize_with = "present")]
    iss: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    sub: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    exp: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    body: Option<Value>,
}

impl Claims {
    /// Reports the first claim that fails.
    pub(super) fn check(&self, url: &str, body: &[u8], now: SystemTime) -> Result<(), Refusal> {
        if text("iss", &self.iss)? != ISSUER {
            return Err(Refusal::Issuer);
        }
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        self.check_expiry(now)?;
        self.check_start(now)?;
        check_url(text("sub", &self.sub)?, url)?;
        check_body(text("body", &self.body)?, body)
    }

    fn check_expiry(&self, now: f64) -> Result<(), Refusal> {
        let life = number("exp", &self.exp)?.ok_or(Refusal::Missing("exp"))? - now;
        if life <= -CLOCK_TOLERANCE_SECONDS {
            return Err(Refusal::Expired { seconds: -life as u64 });
        }
        if life > LONGEST_LIFE_SECONDS {
            return Err(Refusal::Lifetime { seconds: life as u64 });
        }
        Ok(())
    }

    /// Live tokens have the zero time of Go, -62135596800; older ones have the time of signing.
    /// Both are in the past.
    fn check_start(&self, now: f64) -> Result<(), Refusal> {
        match number("nbf", &self.nbf)? {
            Some(start) if start > now => {
                Err(Refusal::NotYet { seconds: (start - now).ceil() as u64 })
            }
            _ => Ok(()),
        }
    }
}

/// Reads a field that is there, even if it is `null`. The derived `Option` would treat `null` like
/// a missing field.
pub(super) fn present<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(field).map(Some)
}

fn text<'a>(name: &'static str, claim: &'a Option<Value>) -> Result<&'a str, Refusal> {
    let claim = claim.as_ref().ok_or(Refusal::Missing(name))?;
    claim.as_str().ok_or(Refusal::ClaimType(name))
}

fn number(name: &'static str, claim: &Option<Value>) -> Result<Option<f64>, Refusal> {
    let Some(claim) = claim else { return Ok(None) };
    claim.as_f64().map(Some).ok_or(Refusal::ClaimType(name))
}

fn check_url(signed: &str, configured: &str) -> Result<(), Refusal> {
    if with_path(signed) == with_path(configured) {
        return Ok(());
    }
    let [signed_base, configured_base] = [signed, configured].map(without_query);
    if with_path(signed_base) == with_path(configured_base) {
        return Err(Refusal::Query);
    }
    Err(Refusal::Url { signed_for: signed_base.to_owned() })
}

/// Adds the path `/` to a URL without a path, as QStash does. No other spellings count as the same
/// URL: case, port and a slash at the end must be equal.
fn with_path(url: &str) -> Cow<'_, str> {
    let authority = url.find("://").map_or(0, |scheme| scheme + 3);
    match url[authority..].find(['/', '?', '#']).map(|end| url.split_at(authority + end)) {
        None => Cow::Owned(format!("{url}/")),
        Some((_, rest)) if rest.starts_with('/') => Cow::Borrowed(url),
        Some((origin, rest)) => Cow::Owned(format!("{origin}/{rest}")),
    }
}

fn without_query(url: &str) -> &str {
    url.split_once('?').map_or(url, |(base, _)| base)
}

/// Live tokens pad the hash with `=`, the test signers of the SDKs do not.
fn check_body(signed: &str, body: &[u8]) -> Result<(), Refusal> {
    let ours = URL_SAFE_NO_PAD.encode(Sha256::digest(body));
    let signed = signed.trim_end_matches('=');
    if bool::from(ours.as_bytes().ct_eq(signed.as_bytes())) { Ok(()) } else { Err(Refusal::Body) }
}
