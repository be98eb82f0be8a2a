//! Tokens as QStash, its SDKs and strangers make them. They are minted by hand: a token made by the
//! library that reads it would share its mistakes.

mod accepted;
mod any;
mod refused;
mod spelling;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::*;

const CURRENT: &str = "sig_currentkeyinventedfortests000";
const NEXT: &str = "sig_nextkeyinventedfortests000000";
const URL: &str = "https://sync.example.com/api/background/sync/slave-to-prod";
const BODY: &[u8] = br#"{"type": "scheduled", "note": "as it was sent"}"#;
const NOW: i64 = 1_784_000_010;

fn keys() -> SigningKeys {
    SigningKeys::new(CURRENT, Some(NEXT)).unwrap()
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW as u64)
}

/// Checks a token against the keys, the URL, the body and the time of these tests.
fn check(token: &str) -> Result<Verified, Refusal> {
    verify(&keys(), token, URL, BODY, now())
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn padded_hash(body: &[u8]) -> String {
    URL_SAFE.encode(Sha256::digest(body))
}

fn mac_of(message: &str, key: &str) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.chain_update(message).finalize().into_bytes().to_vec()
}

/// A token in the making. Claims are a list, so that a test can leave one out or give one twice.
#[derive(Clone)]
struct Mint {
    header: String,
    claims: Vec<(&'static str, Value)>,
    key: &'static str,
}

impl Mint {
    /// The shape of a delivery captured in July 2026.
    fn live() -> Self {
        let claims = vec![
            ("aud", json!("")),
            ("body", json!(padded_hash(BODY))),
            ("exp", json!(NOW + 290)),
            ("iat", json!(NOW - 10)),
            ("iss", json!("Upstash")),
            ("jti", json!("jwt_invented")),
            ("nbf", json!(-62_135_596_800_i64)),
            ("sub", json!(URL)),
        ];
        Self { header: r#"{"alg":"HS256","typ":"JWT"}"#.to_owned(), claims, key: CURRENT }
    }

    fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        let value = value.into();
        match self.claims.iter_mut().find(|(claim, _)| *claim == name) {
            Some(claim) => claim.1 = value,
            None => self.claims.push((name, value)),
        }
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.claims.retain(|(claim, _)| *claim != name);
        self
    }

    fn twice(mut self, name: &'static str) -> Self {
        let claim = self.claims.iter().find(|(claim, _)| *claim == name).unwrap().clone();
        self.claims.push(claim);
        self
    }

    fn header(mut self, json: &str) -> Self {
        self.header = json.to_owned();
        self
    }

    fn signed_with(mut self, key: &'static str) -> Self {
        self.key = key;
        self
    }

    fn payload(&self) -> String {
        let pairs = self.claims.iter().map(|(name, value)| format!("\"{name}\":{value}"));
        format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
    }

    fn message(&self) -> String {
        format!("{}.{}", encode(&self.header), encode(self.payload()))
    }

    fn token(&self) -> String {
        signed(&self.message(), self.key)
    }

    fn check(&self) -> Result<Verified, Refusal> {
        check(&self.token())
    }
}

/// Puts a good MAC under any text, so that what is refused is the text.
fn signed(message: &str, key: &str) -> String {
    format!("{message}.{}", encode(mac_of(message, key)))
}
